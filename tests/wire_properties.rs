//! What holds for the codec whatever the bytes and however they are split.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::wire::{Answer, Answers, Asked, Batch, DecodeError, Decoder, Frame, Limits};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Sent {
    Message(u64, Vec<u8>),
    Resolve(String),
    Ping,
    Pong,
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        4 => (any::<u64>(), vec(any::<u8>(), 0..300)).prop_map(|(pid, data)| Sent::Message(pid, data)),
        1 => (any::<u64>(), vec(any::<u8>(), 4_000..6_000)).prop_map(|(pid, data)| Sent::Message(pid, data)),
        2 => ".{0,90}".prop_map(Sent::Resolve),
        1 => Just(Sent::Ping),
        1 => Just(Sent::Pong),
    ]
}

fn encode(frames: &[Sent]) -> Bytes {
    let mut batch = Batch::new();
    for frame in frames {
        match frame {
            Sent::Message(pid, data) => batch.message(Pid::from_u64(*pid), data.clone().into()),
            Sent::Resolve(name) => batch.resolve(name),
            Sent::Ping => batch.ping(),
            Sent::Pong => batch.pong(),
        }
    }
    batch.take().concat().into()
}

fn is_same(sent: &Sent, frame: &Frame) -> bool {
    match (sent, frame) {
        (Sent::Message(pid, sent), Frame::Message { to, data }) => Pid::from_u64(*pid) == *to && sent == data,
        (Sent::Resolve(sent), Frame::Resolve(name)) => sent == name.as_str(),
        (Sent::Ping, Frame::Ping) | (Sent::Pong, Frame::Pong) => true,
        _ => false,
    }
}

/// Feeds `bytes` in pieces of the given lengths, the last one repeated.
fn decode(bytes: &Bytes, lengths: &[usize]) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(Limits { max_payload: 8_000 });
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
    fn f05_frames_decode_alike_however_they_are_split(
        frames in vec(sent(), 0..12),
        lengths in vec(1usize..2_000, 1..40),
    ) {
        let bytes = encode(&frames);
        let (decoded, error) = decode(&bytes, &lengths);
        prop_assert_eq!(error, None);
        prop_assert_eq!(decoded.len(), frames.len());
        prop_assert!(frames.iter().zip(&decoded).all(|(sent, frame)| is_same(sent, frame)));
    }

    #[test]
    fn f05_a_cut_yields_only_the_complete_frames_before_it(frames in vec(sent(), 1..6), at in any::<prop::sample::Index>()) {
        let bytes = encode(&frames);
        let cut = bytes.slice(..at.index(bytes.len()));
        let (decoded, error) = decode(&cut, &[97]);
        prop_assert_eq!(error, None);
        prop_assert!(decoded.len() < frames.len());
        prop_assert!(frames.iter().zip(&decoded).all(|(sent, frame)| is_same(sent, frame)));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_fail_alike_however_they_are_split(
        bytes in vec(prop_oneof![3 => 0u8..5, 1 => any::<u8>()], 0..400),
        length in 1usize..64,
    ) {
        let bytes = Bytes::from(bytes);
        prop_assert_eq!(decode(&bytes, &[length]), decode(&bytes, &[bytes.len().max(1)]));
    }

    #[test]
    fn answers_decode_alike_however_they_are_split(
        asked in vec(any::<Option<u64>>(), 0..20),
        length in 1usize..30,
    ) {
        let mut answers = Answers::new();
        let mut batch = Batch::new();
        let mut expected = Vec::new();
        for (ticket, question) in asked.iter().enumerate() {
            match question {
                Some(pid) => {
                    answers.expect(Asked::Resolve, ticket);
                    batch.resolved(Pid::from_u64(*pid));
                    expected.push((ticket, Answer::Resolved(Pid::from_u64(*pid))));
                }
                None => {
                    answers.expect(Asked::Ping, ticket);
                    batch.pong();
                    expected.push((ticket, Answer::Pong));
                }
            }
        }
        let mut got = Vec::new();
        for piece in batch.take().concat().chunks(length) {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(answer) = answers.next_answer(&mut input).unwrap() {
                got.push(answer);
            }
        }
        prop_assert_eq!(got, expected);
        prop_assert!(answers.is_empty());
    }

    #[test]
    fn arbitrary_answers_never_panic(asked in vec(any::<bool>(), 0..8), bytes in vec(any::<u8>(), 0..80)) {
        let mut answers = Answers::new();
        for resolve in asked {
            answers.expect(if resolve { Asked::Resolve } else { Asked::Ping }, ());
        }
        let mut input = Bytes::from(bytes);
        while let Ok(Some(_)) = answers.next_answer(&mut input) {}
    }
}
