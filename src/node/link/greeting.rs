//! Who we are, what we offer, and what two nodes agree on (protocol §2, §5).

use sha2::{Digest, Sha256};

use super::bulk::MESSAGE;
use super::table::Life;
use crate::config::NodeConfig;
use crate::node::chance::Chance;
use crate::transport::{CloseCode, NodeAddr, PeerIdentity};
use crate::wire::level2::{Frame, Hello, HelloAck, Id, MIN_VERSION, Text8, VERSION};

/// The largest frame that is taken, beside its payload.
const FRAME_OVERHEAD: usize = 64 << 10;
/// What a frame has beside its payload at most, counted as `max_frame` is: the fields of CHUNK, and their length.
const HEAD: usize = 2 + 4 * 8;
/// A peer that takes less data than this in a CHUNK gets none: each would cost more than what it brings.
const LEAST_CHUNK: usize = 4 << 10;

/// What a node can do beyond the frames that all have: capability bits of HELLO.
pub(crate) mod caps {
    /// ASK, REPLY and ERROR, large ones included.
    pub(crate) const ASKS: u64 = 1;
    /// LINK, UNLINK, UNLINK_ACK and EXIT.
    pub(crate) const LINKS: u64 = 2;
    /// BULK_CANCEL.
    pub(crate) const CANCELS: u64 = 4;
    /// What this node can do.
    pub(crate) const ALL: u64 = ASKS | LINKS | CANCELS;
}

/// Who this node says it is.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    pub(crate) life: Life,
    identity: Option<PeerIdentity>,
}

/// What the two sides of a link agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Message lanes.
    pub(crate) lanes: u8,
    /// Large payloads that may be under way at once, each way; 0 if there is no lane for them.
    pub(crate) bulk_slots: u8,
    /// The largest payload that the peer takes.
    pub(crate) max_sent: usize,
    /// The largest that it takes in one frame.
    pub(crate) max_whole: usize,
    /// The most data of a CHUNK for it; `None` if there is no lane for them, or it takes too little at a time.
    pub(crate) max_chunk: Option<usize>,
    /// What the peer lets us send at first.
    pub(crate) credit_messages: u64,
    pub(crate) credit_bytes: u64,
    /// What both can do, see [`caps`].
    pub(crate) caps: u64,
}

impl Agreed {
    /// Whether a frame may come, by what both can do.
    pub(crate) fn allows(&self, frame: &Frame) -> bool {
        let needed = match frame {
            Frame::Ask(_) | Frame::Reply(_) | Frame::Error(_) => caps::ASKS,
            Frame::Bulk(bulk) if bulk.kind != MESSAGE => caps::ASKS,
            Frame::BulkCancel(_) => caps::CANCELS,
            Frame::Link(_) | Frame::Unlink(_) | Frame::UnlinkAck(_) | Frame::Exit(_) => caps::LINKS,
            _ => 0,
        };
        self.caps & needed == needed
    }
}

/// Why a greeting is not accepted, with the code that closes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Unwelcome {
    pub(crate) code: CloseCode,
    pub(crate) reason: String,
}

impl Me {
    /// A new life of the node that the transport proves us to be, or of a node without a name.
    pub(crate) fn new(identity: Option<PeerIdentity>, chance: &Chance) -> Self {
        let node = identity.as_ref().map_or_else(|| chance.id(), node_id);
        Self { life: Life { node, incarnation: chance.secret() }, identity }
    }

    /// Our HELLO for `link`.
    pub(crate) fn hello(&self, link: Id, config: &NodeConfig, advertised: Option<NodeAddr>) -> Hello {
        let (cluster, name) =
            self.identity.as_ref().map_or(("", ""), |identity| (&identity.cluster, &identity.node));
        Hello {
            cluster: cluster.into(),
            name: name.into(),
            node: self.life.node,
            incarnation: self.life.incarnation,
            link,
            vmin: MIN_VERSION,
            vmax: VERSION,
            caps: caps::ALL,
            lanes: config.message_lanes.min(NodeConfig::MOST_MESSAGE_LANES),
            max_frame: u32::try_from(max_frame(config)).unwrap_or(u32::MAX),
            max_message: config.max_accepted_payload as u64,
            credit_msgs: config.credit_messages,
            credit_bytes: config.credit_bytes,
            bulk_slots: config.bulk_slots,
            heartbeat_ms: u32::try_from(config.heartbeat.as_millis()).unwrap_or(u32::MAX),
            advertised: advertised.map_or_else(Text8::default, |addr| addr.to_string().as_str().into()),
        }
    }

    /// Our answer to `theirs`.
    pub(crate) fn ack(
        &self,
        theirs: &Hello,
        other: Id,
        key: Id,
        config: &NodeConfig,
        advertised: Option<NodeAddr>,
    ) -> HelloAck {
        let mut hello = self.hello(theirs.link, config, advertised);
        hello.lanes = hello.lanes.min(theirs.lanes);
        hello.bulk_slots = hello.bulk_slots.min(theirs.bulk_slots);
        let version = VERSION.min(theirs.vmax);
        (hello.vmin, hello.vmax) = (version, version);
        HelloAck { hello, other, key }
    }
}

/// The largest frame that we take.
pub(crate) fn max_frame(config: &NodeConfig) -> usize {
    config.max_accepted_payload.min(config.credit_bytes as usize).saturating_add(FRAME_OVERHEAD)
}

/// Judges a HELLO, or the one in a HELLO_ACK: who it is, if it may be.
pub(crate) fn judge(hello: &Hello, proved: Option<&PeerIdentity>) -> Result<Life, Unwelcome> {
    if hello.vmin > VERSION || hello.vmax < MIN_VERSION {
        let reason = format!(
            "it speaks the versions {} to {}, we {MIN_VERSION} to {VERSION}: update the older node",
            hello.vmin, hello.vmax
        );
        return Err(Unwelcome { code: CloseCode::Version, reason });
    }
    if let Some(identity) = proved {
        let says = (hello.cluster.as_str(), hello.name.as_str(), hello.node);
        if says != (&identity.cluster, &identity.node, node_id(identity)) {
            let reason = "its greeting names another node than its certificate".to_owned();
            return Err(Unwelcome { code: CloseCode::NotAuthenticated, reason });
        }
    }
    if !hello.node.is_some() || !hello.link.is_some() {
        return Err(Unwelcome { code: CloseCode::Malformed, reason: "its greeting names nobody".to_owned() });
    }
    Ok(Life { node: hello.node, incarnation: hello.incarnation })
}

/// What follows from the peer's greeting, with the numbers that the answer says, its or ours.
pub(crate) fn agree(theirs: &Hello, answer: &Hello, config: &NodeConfig) -> Agreed {
    let most = usize::try_from(theirs.max_message).unwrap_or(usize::MAX);
    let frame = (theirs.max_frame as usize).saturating_sub(HEAD);
    let max_whole = most.min(frame).min(config.max_sent_payload);
    // No longer than the credit at first, as one uses it at once.
    let chunk = frame.min((theirs.credit_bytes as usize).max(LEAST_CHUNK));
    let max_chunk = (answer.bulk_slots > 0 && chunk >= LEAST_CHUNK).then_some(chunk);
    Agreed {
        lanes: answer.lanes,
        bulk_slots: answer.bulk_slots,
        max_sent: max_chunk.map_or(max_whole, |_| most.min(config.max_bulk_payload)),
        max_whole,
        max_chunk,
        credit_messages: theirs.credit_msgs.into(),
        credit_bytes: theirs.credit_bytes.into(),
        caps: theirs.caps & caps::ALL,
    }
}

/// The id of a node that has a name.
pub(crate) fn node_id(identity: &PeerIdentity) -> Id {
    let mut hash = Sha256::new();
    hash.update(&identity.cluster);
    hash.update([0]);
    hash.update(&identity.node);
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    Id(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(node: &str) -> PeerIdentity {
        PeerIdentity { cluster: "prod".into(), node: node.into() }
    }

    #[test]
    fn the_id_of_a_named_node_is_the_hash_of_its_names() {
        // The first 16 bytes of SHA-256("prod\0db-1").
        assert_eq!(node_id(&identity("db-1")).to_string(), "94163af40b45de29a552d77a0d06a27f");
        assert_ne!(node_id(&identity("db-1")), node_id(&identity("db-2")));
    }

    #[test]
    fn a_greeting_must_agree_with_the_certificate() {
        let config = NodeConfig::default();
        let (me, link) = (Me::new(Some(identity("a")), &Chance::new(None)), Id([1; 16]));
        let hello = me.hello(link, &config, None);
        assert_eq!(judge(&hello, Some(&identity("a"))), Ok(me.life));
        assert_eq!(judge(&hello, Some(&identity("b"))).unwrap_err().code, CloseCode::NotAuthenticated);
        let forged = Hello { node: Id([7; 16]), ..hello };
        assert_eq!(judge(&forged, Some(&identity("a"))).unwrap_err().code, CloseCode::NotAuthenticated);
    }

    #[test]
    fn f26_versions_that_do_not_overlap_are_refused_and_the_lower_maximum_is_taken() {
        let config = NodeConfig::default();
        let me = Me::new(None, &Chance::new(None));
        let hello = me.hello(Id([1; 16]), &config, None);
        let newer = Hello { vmin: VERSION + 1, vmax: VERSION + 3, ..hello.clone() };
        assert_eq!(judge(&newer, None).unwrap_err().code, CloseCode::Version);
        let both = Hello { vmax: VERSION + 3, lanes: 2, ..hello };
        assert!(judge(&both, None).is_ok());
        let ack = me.ack(&both, Id::NONE, Id::NONE, &config, None);
        assert_eq!((ack.hello.vmin, ack.hello.vmax, ack.hello.lanes), (VERSION, VERSION, 2));
    }

    #[test]
    fn l02_a_chunk_is_no_longer_than_a_frame_that_the_peer_takes_and_there_is_none_if_that_is_too_little() {
        let config = NodeConfig::default();
        let sent_to = |max_frame: u32, credit_bytes: u32| {
            let theirs = Hello { max_frame, credit_bytes, bulk_slots: 2, ..Hello::default() };
            let Agreed { max_sent, max_whole, max_chunk, .. } = agree(&theirs, &theirs, &config);
            (max_sent, max_whole, max_chunk)
        };
        let (most, credit) = (1 << 20, 1 << 20);
        assert_eq!(sent_to(64 << 10, credit), (most, (64 << 10) - HEAD, Some((64 << 10) - HEAD)));
        assert_eq!(sent_to(4 << 20, credit), (most, most, Some(most)));
        assert_eq!(sent_to(4 << 20, 10_000), (most, most, Some(10_000)), "no longer than the credit");
        assert_eq!(sent_to(4 << 20, 0), (most, most, Some(LEAST_CHUNK)), "of which there may be more later");
        let least = (LEAST_CHUNK + HEAD) as u32;
        assert_eq!(sent_to(least, credit), (most, LEAST_CHUNK, Some(LEAST_CHUNK)));
        assert_eq!(sent_to(least - 1, credit), (LEAST_CHUNK - 1, LEAST_CHUNK - 1, None));
        assert_eq!(sent_to(10, credit), (0, 0, None));
    }

    #[test]
    fn l02_no_frame_with_a_payload_has_more_beside_it_than_is_counted() {
        use crate::wire::Batch;
        use crate::wire::level2::{Ask, Chunk, Reply};
        let (pid, data) = (crate::Pid::new(1, 1), bytes::Bytes::from_static(b"x"));
        let (bulk, total, offset) = (u64::MAX, u64::MAX, u64::MAX);
        let frames = [
            Frame::Ask(Ask { rid: u64::MAX, to: pid, from: pid, left_ms: 7, data: data.clone() }),
            Frame::Reply(Reply { rid: u64::MAX, to: pid, data: data.clone() }),
            Frame::Chunk(Chunk { bulk, to: pid, total, offset, data }),
        ];
        for frame in frames {
            let mut batch = Batch::new();
            batch.frame(frame.clone());
            let bytes = batch.take().concat();
            let counted = u32::from_be_bytes(bytes[2..6].try_into().unwrap());
            assert!(counted as usize <= HEAD + 1, "{frame:?}");
        }
    }
}
