//! Bytes that are no frames, and frames that are cut short.

use crate::legacy::{message, resolve};
use crate::node::{Kind, Setup};
use crate::raw::Raw;

/// One entry of the golden vectors: bytes that close a lane, and the code.
struct Refused {
    name: String,
    bytes: Vec<u8>,
    code: u64,
}

/// Every malformed input of the golden vectors (unknown types, oversized frames, bad UTF-8 …) closes
/// its own lane, after the answers to what came before it; a bystander is served all the while
/// (protocol, level 1). On QUIC the node says why.
pub fn malformed_frames_close_their_lane_and_nobody_elses(setup: &Setup) {
    let mut server = setup.server();
    let raw = Raw::new(setup);
    let mut bystander = raw.lane(&server.addr);
    for Refused { name, bytes, code } in refused() {
        let mut lane = raw.lane(&server.addr);
        lane.write(&[2]).expect("a ping");
        assert_eq!(lane.read(1), [3], "{name}");
        lane.write(&[&resolve("counter"), &bytes[..]].concat()).expect("the node reads");
        let (answers, end) = lane.read_to_end();
        assert_eq!(answers.len(), 8, "{name}: the resolve before it is answered, and nothing else");
        assert_ne!(answers, [0; 8], "{name}");
        if setup.kind == Kind::Quic {
            let said = format!("{end:?} {:?}", lane.closed());
            assert!(said.contains(&format!("code: {code}")), "{name}: {said}");
        }
        bystander.write(&[2]).expect("the bystander is served");
        assert_eq!(bystander.read(1), [3], "{name}");
    }
    assert_eq!(server.counts().received, 0);
}

/// A lane that ends at any byte of message, resolve and ping: complete frames count, a part of one
/// counts as nothing, every answer comes, and the lane ends in good order (F05).
pub fn a_frame_cut_at_every_byte_is_never_half_a_message(setup: &Setup) {
    let mut server = setup.server();
    let raw = Raw::new(setup);
    let pid = counter(&raw, &server.addr);
    let ends = frame_ends(pid);
    let mut complete = 0;
    for cut in 0..=ends[2] {
        let bytes = frames(pid, complete);
        let mut lane = raw.lane(&server.addr);
        if cut > 0 {
            lane.write(&bytes[..cut]).expect("the node reads");
        }
        lane.finish();
        if cut == 0 {
            // A lane on which nothing was ever written may be invisible to the peer.
            continue;
        }
        let (answers, end) = lane.read_to_end();
        let expected = if cut == ends[2] {
            9
        } else if cut >= ends[1] {
            8
        } else {
            0
        };
        assert_eq!(answers.len(), expected, "cut at {cut}");
        assert!(end.is_ok(), "cut at {cut}: {end:?}");
        complete += u64::from(cut >= ends[0]);
    }
    let counts = server.counted(complete);
    assert_eq!((counts.received, counts.out_of_order), (complete, 0));
}

/// The same with a reset in place of an end: at most the complete messages count, and the node goes
/// on serving.
pub fn a_lane_reset_at_every_byte_harms_nobody(setup: &Setup) {
    let mut server = setup.server();
    let raw = Raw::new(setup);
    let pid = counter(&raw, &server.addr);
    let ends = frame_ends(pid);
    for cut in 1..=ends[2] {
        let mut lane = raw.lane(&server.addr);
        lane.write(&frames(pid, 0)[..cut]).expect("the node reads");
        drop(lane);
    }
    let mut bystander = raw.lane(&server.addr);
    bystander.write(&[2]).expect("the node serves");
    assert_eq!(bystander.read(1), [3]);
    assert!(server.counts().received <= (ends[2] - ends[0] + 1) as u64);
}

fn counter(raw: &Raw, addr: &str) -> u64 {
    let mut lane = raw.lane(addr);
    lane.write(&resolve("counter")).expect("the node reads");
    let pid = u64::from_be_bytes(lane.read(8).try_into().expect("eight bytes"));
    assert_ne!(pid, 0);
    pid
}

/// A message, a resolve and a ping.
fn frames(pid: u64, number: u64) -> Vec<u8> {
    [message(pid, &number.to_be_bytes()), resolve("counter"), vec![2]].concat()
}

/// Where each of them ends.
fn frame_ends(pid: u64) -> [usize; 3] {
    let first = message(pid, &[0; 8]).len();
    let second = first + resolve("counter").len();
    [first, second, second + 1]
}

fn refused() -> Vec<Refused> {
    let text = include_str!("../../vectors/frames.json");
    let vectors: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let entries = vectors["refused"].as_array().expect("a list of refused bytes");
    entries.iter().map(refused_entry).collect()
}

fn refused_entry(entry: &serde_json::Value) -> Refused {
    let hex = entry["hex"].as_str().expect("hex");
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    Refused {
        name: entry["name"].as_str().expect("a name").to_owned(),
        bytes: (0..hex.len()).step_by(2).map(byte).collect(),
        code: entry["code"].as_u64().expect("a code"),
    }
}
