//! Models of the inbox and the node pool: loom runs each through every order of steps and of
//! memory within its bounds, and fails on a chunk that is freed twice or never.
//!
//! Left out: links between nodes are plain memory that loom does not see. They are written and read
//! with the content of the same nodes, which the models watch.
#![allow(
    clippy::unwrap_used,
    clippy::arc_with_non_send_sync,
    reason = "tests, whose threads loom switches itself"
)]

use std::sync::{Arc, Mutex};

use loom::thread;

use super::{Batch, Chain, Inbox, Node, NodeRun, Push};
use crate::sync::Witness;

/// A message: whose, which one, and its content as loom sees it.
struct Letter {
    sender: u8,
    number: u8,
    content: Witness,
}

fn letter(sender: u8, number: u8) -> Node<Letter> {
    let letter = Letter { sender, number, content: Witness::new() };
    letter.content.exclusive();
    Node::new(1, letter)
}

/// An actor, without what makes it one.
struct Mailbox {
    inbox: Inbox<Letter>,
    /// What only the owner may touch.
    cell: Witness,
    /// Sender and number of each letter, as they were read.
    read: Mutex<Vec<(u8, u8)>>,
}

impl Mailbox {
    /// A mailbox whose owner is the caller.
    fn open() -> Arc<Self> {
        let inbox = Inbox::closed();
        inbox.open();
        Arc::new(Self { inbox, cell: Witness::new(), read: Mutex::default() })
    }

    /// Sends and, if the owner was idle, becomes the owner until it is idle again.
    fn send(&self, sender: u8, number: u8) {
        match self.inbox.push(letter(sender, number), true) {
            Push::Queued(_) => {}
            Push::WasIdle => self.own(),
            Push::Closed(_) => panic!("nobody closes this inbox"),
        }
    }

    /// As `send`, for two letters at once.
    fn send_batch(&self, sender: u8) {
        let mut batch = Batch::new();
        (0..2).for_each(|number| batch.add(letter(sender, number)));
        match self.inbox.push_all(batch) {
            Push::Queued(_) => {}
            Push::WasIdle => self.own(),
            Push::Closed(_) => panic!("nobody closes this inbox"),
        }
    }

    fn own(&self) {
        loop {
            self.cell.exclusive();
            let mut arrived = Chain::new();
            self.inbox.take(&mut Chain::new(), &mut arrived, |_| true, |_| false);
            self.read(arrived);
            self.cell.exclusive();
            if self.inbox.try_idle() {
                return;
            }
        }
    }

    fn read(&self, mut letters: Chain<Letter>) {
        let mut run = NodeRun::new();
        while let Some(node) = letters.pop() {
            let letter = node.open(&mut run).1;
            letter.content.exclusive();
            self.read.lock().unwrap().push((letter.sender, letter.number));
        }
    }

    /// The numbers of one sender's letters, in the order in which they were read.
    fn read_from(&self, sender: u8) -> Vec<u8> {
        let read = self.read.lock().unwrap();
        read.iter().filter(|letter| letter.0 == sender).map(|letter| letter.1).collect()
    }
}

#[test]
fn one_owner_at_a_time_reads_every_message_in_order() {
    loom::model(|| {
        let mailbox = Mailbox::open();
        let senders = [1, 2].map(|sender| {
            let mailbox = mailbox.clone();
            thread::spawn(move || (0..3 - sender).for_each(|number| mailbox.send(sender, number)))
        });
        mailbox.own();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(mailbox.read_from(1), [0, 1]);
        assert_eq!(mailbox.read_from(2), [0]);
    });
}

#[test]
fn a_batch_is_read_in_order_and_with_nothing_between() {
    loom::model(|| {
        let mailbox = Mailbox::open();
        let senders = [1, 2].map(|sender| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.send_batch(sender))
        });
        mailbox.own();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let read = mailbox.read.lock().unwrap().clone();
        assert!(read == [(1, 0), (1, 1), (2, 0), (2, 1)] || read == [(2, 0), (2, 1), (1, 0), (1, 1)]);
    });
}

#[test]
fn a_closing_inbox_takes_each_message_or_hands_it_back() {
    loom::model(|| {
        let mailbox = Mailbox::open();
        let senders = [1, 2].map(|sender| {
            let mailbox = mailbox.clone();
            thread::spawn(move || match mailbox.inbox.push(letter(sender, 0), true) {
                Push::Queued(_) => 0,
                Push::WasIdle => panic!("the owner never goes idle"),
                Push::Closed(node) => {
                    let back = node.into_value();
                    back.content.exclusive();
                    assert_eq!(back.sender, sender);
                    1
                }
            })
        });
        let mut rest = Chain::new();
        mailbox.inbox.take(&mut Chain::new(), &mut rest, |_| true, |_| false);
        mailbox.inbox.close(&mut rest);
        mailbox.read(rest);
        let back: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        assert_eq!(mailbox.read.lock().unwrap().len() + back, 2);
    });
}

#[test]
fn a_chunk_outlives_its_thread_and_is_freed_once() {
    loom::model(|| {
        let nodes: Vec<_> = (0..2).map(|number| letter(1, number)).collect();
        // The first goes back while this thread may still hand out the chunk's third node.
        let readers: Vec<_> = nodes
            .into_iter()
            .map(|node| thread::spawn(move || node.into_value().content.exclusive()))
            .collect();
        drop(letter(1, 2));
        drop(readers);
    });
}

#[test]
fn a_chunk_used_again_has_no_user_left() {
    loom::model(|| {
        let nodes: Vec<_> = (0..3).map(|number| letter(1, number)).collect();
        let reader = thread::spawn(move || {
            let mut run = NodeRun::new();
            for node in nodes {
                node.open(&mut run).1.content.exclusive();
            }
            run.flush();
            // From the chunk that this thread has just emptied.
            letter(2, 0)
        });
        drop(letter(1, 3));
        reader.join().unwrap().into_value().content.exclusive();
    });
}
