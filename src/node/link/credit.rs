//! How much may be under way: what a peer allows us, and what we allow a peer (L11).
//!
//! Totals only grow, counted from the beginning of the link, so a CREDIT that is late does no harm. A
//! message may begin as long as any byte is left, so the last one may go beyond by its own length: a
//! message that did not fit into what is left would otherwise wait for a credit that nothing causes.

use crate::node::load::Load;

/// What the peer lets us send.
#[derive(Debug)]
pub(super) struct Allowance {
    window: Load,
    messages: u64,
    bytes: u64,
    used_messages: u64,
    used_bytes: u64,
}

impl Allowance {
    /// The windows of the peer's HELLO.
    pub(super) const fn new(messages: u64, bytes: u64) -> Self {
        let window = Load { messages: messages as usize, bytes: bytes as usize };
        Self { window, messages, bytes, used_messages: 0, used_bytes: 0 }
    }

    /// The windows of the peer's HELLO.
    pub(super) const fn window(&self) -> Load {
        self.window
    }

    /// Uses the credit of one message, if any is left.
    pub(super) const fn take(&mut self, len: usize) -> bool {
        let any = self.used_messages < self.messages && self.used_bytes < self.bytes;
        if any {
            self.used_messages += 1;
            self.used_bytes += len as u64;
        }
        any
    }

    /// Uses credit for bytes of a message that has used its own already, if any is left.
    pub(super) const fn take_bytes(&mut self, len: usize) -> bool {
        let any = self.used_bytes < self.bytes;
        if any {
            self.used_bytes += len as u64;
        }
        any
    }

    /// CREDIT came, with new totals.
    pub(super) fn raise(&mut self, messages: u64, bytes: u64) {
        self.messages = self.messages.max(messages);
        self.bytes = self.bytes.max(bytes);
    }
}

/// What we let the peer send.
#[derive(Debug)]
pub(super) struct Grant {
    /// The windows of our HELLO.
    window_messages: u64,
    window_bytes: u64,
    granted_messages: u64,
    granted_bytes: u64,
    /// The longest message, by which the last one may go beyond.
    longest: u64,
    received_messages: u64,
    received_bytes: u64,
}

/// More came than was granted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violated;

impl Grant {
    pub(super) const fn new(messages: u64, bytes: u64, longest: u64) -> Self {
        Self {
            longest,
            window_messages: messages,
            window_bytes: bytes,
            granted_messages: messages,
            granted_bytes: bytes,
            received_messages: 0,
            received_bytes: 0,
        }
    }

    /// Messages came, and are where they belong.
    pub(super) const fn received(&mut self, messages: u64, bytes: u64) -> Result<(), Violated> {
        self.received_messages += messages;
        self.received_bytes += bytes;
        let beyond = self.received_messages > self.granted_messages
            || self.received_bytes > self.granted_bytes + self.longest;
        if beyond { Err(Violated) } else { Ok(()) }
    }

    /// New totals for a CREDIT, once half a window is used up.
    pub(super) fn renew(&mut self) -> Option<(u64, u64)> {
        let messages = self.received_messages + self.window_messages;
        let bytes = self.received_bytes + self.window_bytes;
        let due = 2 * (messages - self.granted_messages) >= self.window_messages
            || 2 * (bytes - self.granted_bytes) >= self.window_bytes;
        due.then(|| {
            (self.granted_messages, self.granted_bytes) = (messages, bytes);
            (messages, bytes)
        })
    }

    /// Messages that have come.
    pub(super) const fn total(&self) -> u64 {
        self.received_messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l11_a_sender_that_keeps_to_its_credit_never_violates_the_grant() {
        let (mut allowance, mut grant) = (Allowance::new(10, 100), Grant::new(10, 100, 100));
        let mut sent = 0;
        for round in 0..1000 {
            let len = [0, 1, 30, 100][round % 4];
            while !allowance.take(len) {
                let (messages, bytes) = grant.renew().expect("a sender that is stuck gets credit");
                allowance.raise(messages, bytes);
            }
            sent += 1;
            assert_eq!(grant.received(1, len as u64), Ok(()));
        }
        assert_eq!((sent, grant.total()), (1000, 1000));
    }

    #[test]
    fn more_than_was_granted_is_a_violation() {
        let mut grant = Grant::new(2, 100, 10);
        assert_eq!(grant.received(2, 100), Ok(()));
        assert_eq!(grant.received(1, 0), Err(Violated));
        let mut grant = Grant::new(2, 100, 10);
        assert_eq!(grant.received(1, 110), Ok(()));
        assert_eq!(grant.received(1, 1), Err(Violated));
    }

    #[test]
    fn a_late_credit_does_not_take_back_a_newer_one() {
        let mut allowance = Allowance::new(1, 1);
        allowance.raise(5, 5);
        allowance.raise(3, 3);
        assert!((0..5).all(|_| allowance.take(1)) && !allowance.take(0));
        let mut allowance = Allowance::new(5, 10);
        assert!(allowance.take(9) && allowance.take(9) && !allowance.take(0), "the last one goes beyond");
    }
}
