//! Level 2 of the wire: the golden bytes of `interop-tests/vectors/level2.json`, and what holds
//! whatever the bytes and however they are split.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::wire::level2::{self, Decoder, Frame, Id, Probe, Text8, Text16};
use myrmidon::wire::{Answer, Answers, Asked, Batch, DecodeError};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

const MAX_FRAME: usize = 2 << 20;

#[test]
fn every_frame_decodes_to_its_meaning_however_it_is_split() {
    for vector in vectors("frames") {
        let bytes = bytes(&vector["hex"]);
        for split in 0..bytes.len() {
            let mut decoder = Decoder::new(MAX_FRAME);
            decoder.feed(bytes.slice(..split));
            assert_eq!(decoder.next_frame(), Ok(None), "{} at {split}", vector["name"]);
            decoder.feed(bytes.slice(split..));
            assert_eq!(decoder.next_frame(), Ok(Some(meant(&vector["frame"]))), "{}", vector["name"]);
            assert!(!decoder.mid_frame() && decoder.next_frame() == Ok(None));
        }
    }
}

#[test]
fn every_frame_encodes_to_its_bytes() {
    let written = vectors("frames").into_iter().filter(|vector| vector["decode_only"].is_null());
    for vector in written {
        assert_eq!(encoded([meant(&vector["frame"])]), bytes(&vector["hex"]), "{}", vector["name"]);
    }
}

#[test]
fn bad_bytes_are_refused_with_their_code() {
    for vector in vectors("refused") {
        let mut decoder = Decoder::new(MAX_FRAME);
        decoder.feed(bytes(&vector["hex"]));
        let error = decoder.next_frame().unwrap_err();
        assert_eq!(u64::from(error.code().as_u16()), vector["code"].as_u64().unwrap(), "{}", vector["name"]);
    }
}

#[test]
fn l26_unknown_types_from_80_up_are_skipped() {
    for vector in vectors("skipped") {
        let mut decoder = Decoder::new(MAX_FRAME);
        decoder.feed([bytes(&vector["hex"]), encoded([Frame::Ping])].concat().into());
        assert_eq!(decoder.next_frame(), Ok(Some(Frame::Ping)), "{}", vector["name"]);
        assert_eq!(decoder.skipped(), 1);
    }
}

#[test]
fn the_probe_has_its_bytes_and_its_answer() {
    let probe = &all()["probe"];
    let link = id(&probe["link"]);
    assert_eq!(Probe::read(text(&probe["name"])), Some(Probe { link }));
    let mut batch = Batch::new();
    batch.resolve(&Probe { link }.name());
    assert_eq!(Bytes::from(batch.take().concat()), bytes(&probe["resolve_hex"]));
    let mut answers = Answers::new();
    answers.expect(Asked::Resolve, ());
    let (_, answer) = answers.next_answer(&mut bytes(&probe["answer_hex"])).unwrap().unwrap();
    let Answer::Resolved(Some(answer)) = answer else { panic!("{answer:?}") };
    let expected = (probe["version"].as_u64().unwrap(), probe["capabilities"].as_u64().unwrap());
    let (version, capabilities) = level2::read_magic(answer.as_u64()).unwrap();
    assert_eq!((version.into(), capabilities.into()), expected);
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let known: Vec<_> = vectors("frames").iter().map(|vector| meant(&vector["frame"])).collect();
    let data = || vec(any::<u8>(), 0..6000).prop_map(Bytes::from);
    let any_frame = prop_oneof![
        4 => proptest::sample::select(known),
        2 => (any::<u64>(), data()).prop_map(|(pid, data)| Frame::Message { to: Pid::from_u64(pid), data }),
        1 => (any::<u64>(), any::<u64>(), data()).prop_map(|(rid, to, data)| {
            Frame::Reply(level2::Reply { rid, to: Pid::from_u64(to), data })
        }),
        1 => (any::<u64>(), ".{0,90}").prop_map(|(rid, name)| {
            Frame::Resolve(level2::Resolve { rid, from: None, name: Text16::from(name.as_str()) })
        }),
        1 => Just(Frame::Ping),
        1 => Just(Frame::Pong),
    ];
    vec(any_frame, 0..12)
}

/// Feeds `bytes` in pieces of the given lengths, the last one repeated.
fn decode(bytes: &Bytes, lengths: &[usize]) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(10_000);
    let mut rest = bytes.clone();
    let mut frames = Vec::new();
    let mut lengths = lengths.iter().copied().chain(std::iter::repeat(lengths.last().copied().unwrap_or(1)));
    while !rest.is_empty() {
        let n = lengths.next().unwrap_or(1).clamp(1, rest.len());
        decoder.feed(rest.split_to(n));
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

proptest! {
    #[test]
    fn f05_frames_decode_alike_however_they_are_split(frames in frames(), lengths in vec(1usize..3_000, 1..40)) {
        let (decoded, error) = decode(&encoded(frames.clone()), &lengths);
        prop_assert_eq!(error, None);
        prop_assert_eq!(decoded, frames);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_fail_alike_however_they_are_split(
        bytes in vec(prop_oneof![4 => 0u8..5, 2 => 0x10u8..0x43, 1 => any::<u8>()], 0..400),
        length in 1usize..64,
    ) {
        let bytes = Bytes::from(bytes);
        prop_assert_eq!(decode(&bytes, &[length]), decode(&bytes, &[bytes.len().max(1)]));
    }

    #[test]
    fn a_damaged_frame_never_panics(
        frames in frames(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        length in 1usize..64,
    ) {
        let mut bytes = encoded(frames).to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let bytes = Bytes::from(bytes);
        prop_assert_eq!(decode(&bytes, &[length]), decode(&bytes, &[bytes.len().max(1)]));
    }
}

fn encoded(frames: impl IntoIterator<Item = Frame>) -> Bytes {
    let mut batch = Batch::new();
    frames.into_iter().for_each(|frame| batch.frame(frame));
    let len = batch.len();
    let bytes: Bytes = batch.take().concat().into();
    assert_eq!(bytes.len(), len);
    bytes
}

/// The frame that a vector describes.
fn meant(frame: &Value) -> Frame {
    let fields = &frame["fields"];
    let number = |name: &str| fields[name].as_u64().unwrap_or_else(|| panic!("{name} in {frame}"));
    let pid = |name| Pid::from_u64(number(name));
    let byte = |name| number(name) as u8;
    let short = |name| number(name) as u16;
    let word = |name| number(name) as u32;
    let text8 = |name: &str| Text8::from(text(&fields[name]));
    let text16 = |name: &str| Text16::from(text(&fields[name]));
    let id = |name: &str| id(&fields[name]);
    let data = bytes(&frame["data_hex"]);
    let hello = || level2::Hello {
        cluster: text8("cluster"),
        name: text8("name"),
        node: id("node"),
        incarnation: number("incarnation"),
        link: id("link"),
        vmin: short("vmin"),
        vmax: short("vmax"),
        caps: number("caps"),
        lanes: byte("lanes"),
        max_frame: word("max_frame"),
        max_message: number("max_message"),
        credit_msgs: word("credit_msgs"),
        credit_bytes: word("credit_bytes"),
        bulk_slots: byte("bulk_slots"),
        heartbeat_ms: word("heartbeat_ms"),
        advertised: text8("advertised"),
    };
    match text(&frame["type"]) {
        "hello" => Frame::Hello(hello().into()),
        "hello_ack" => {
            Frame::HelloAck(level2::HelloAck { hello: hello(), other: id("other"), key: id("key") }.into())
        }
        "goaway" => Frame::Goaway(level2::Goaway { code: short("code"), reason: text16("reason") }),
        "lane" => Frame::Lane(level2::Lane {
            kind: byte("kind"),
            number: byte("number"),
            link: id("link"),
            key: id("key"),
        }),
        "lane_ok" => Frame::LaneOk(level2::LaneOk { kind: byte("kind"), number: byte("number") }),
        "ready" => Frame::Ready(level2::Ready { lanes: byte("lanes") }),
        "drained" => Frame::Drained(level2::Drained { received: number("received") }),
        "resolve" => {
            Frame::Resolve(level2::Resolve { rid: number("rid"), from: pid("from"), name: text16("name") })
        }
        "resolved" => Frame::Resolved(level2::Resolved {
            rid: number("rid"),
            to: pid("to"),
            pid: pid("pid"),
            incarnation: number("incarnation"),
        }),
        "ask" => Frame::Ask(level2::Ask {
            rid: number("rid"),
            to: pid("to"),
            from: pid("from"),
            left_ms: word("left_ms"),
            data,
        }),
        "reply" => Frame::Reply(level2::Reply { rid: number("rid"), to: pid("to"), data }),
        "error" => Frame::Error(level2::Error {
            rid: number("rid"),
            to: pid("to"),
            code: short("code"),
            text: text16("text"),
        }),
        "monitor" => Frame::Monitor(level2::Monitor {
            id: number("ref"),
            to: pid("to"),
            from: pid("from"),
            name: text16("name"),
        }),
        "demonitor" => {
            Frame::Demonitor(level2::Demonitor { id: number("ref"), to: pid("to"), from: pid("from") })
        }
        "down" => Frame::Down(
            level2::Down {
                id: number("ref"),
                to: pid("to"),
                pid: pid("pid"),
                reason: byte("reason"),
                name: text16("name"),
                text: text16("text"),
            }
            .into(),
        ),
        "link" => Frame::Link(level2::Link { to: pid("to"), from: pid("from") }),
        "unlink" => Frame::Unlink(level2::Unlink { id: number("unlink"), to: pid("to"), from: pid("from") }),
        "unlink_ack" => {
            Frame::UnlinkAck(level2::UnlinkAck { id: number("unlink"), to: pid("to"), from: pid("from") })
        }
        "exit" => Frame::Exit(level2::Exit {
            to: pid("to"),
            from: pid("from"),
            kind: byte("kind"),
            reason: byte("reason"),
            text: text16("text"),
        }),
        "xoff" => Frame::Xoff(level2::Xoff { pid: pid("pid") }),
        "xon" => Frame::Xon(level2::Xon { pid: pid("pid") }),
        "credit" => Frame::Credit(level2::Credit {
            msgs: number("msgs"),
            bytes: number("bytes"),
            received: number("received"),
        }),
        "bulk" => Frame::Bulk(level2::Bulk {
            bulk: number("bulk"),
            to: pid("to"),
            kind: byte("kind"),
            rid: number("rid"),
            from: pid("from"),
            left_ms: word("left_ms"),
            total: number("total"),
        }),
        "chunk" => Frame::Chunk(level2::Chunk {
            bulk: number("bulk"),
            to: pid("to"),
            total: number("total"),
            offset: number("offset"),
            data,
        }),
        "bulk_cancel" => Frame::BulkCancel(level2::BulkCancel { bulk: number("bulk"), to: pid("to") }),
        "info" => Frame::Info(level2::Info {
            python_age_ms: word("python_age_ms"),
            scheduler_lag_ms: word("scheduler_lag_ms"),
            data,
        }),
        other => panic!("unknown frame {other}"),
    }
}

fn all() -> Value {
    serde_json::from_str(include_str!("../interop-tests/vectors/level2.json")).unwrap()
}

fn vectors(section: &str) -> Vec<Value> {
    let vectors = all()[section].as_array().unwrap().clone();
    assert!(!vectors.is_empty());
    vectors
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn id(value: &Value) -> Id {
    Id(bytes(value)[..].try_into().unwrap())
}

fn bytes(value: &Value) -> Bytes {
    let digits = text(value);
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
