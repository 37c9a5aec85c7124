//! The decoders: the same bytes are the same frames, however they are split, and what was read can be
//! written and read again.

use bytes::Bytes;
use myrmidon::wire::{
    Answer, AnswerError, Answers, Asked, Batch, DecodeError, Decoder, Frame, Limits, level2,
};

use crate::input::Input;

/// What the decoders accept here.
const MOST: usize = 2000;

/// Level 1, from an accepted connection.
pub(crate) fn level1(data: &[u8]) {
    let mut input = Input::new(data);
    let cut = usize::from(input.byte());
    let bytes = input.rest();
    let whole = frames1(bytes, usize::MAX);
    assert_eq!(frames1(bytes, 1), whole, "byte by byte");
    assert_eq!(frames1(bytes, cut.max(1)), whole, "in pieces of {cut}");
    let mut again = Batch::new();
    for frame in &whole.0 {
        match frame {
            // A PID that names nobody is not written as it was read.
            Frame::Message { to: None, .. } => return,
            Frame::Message { to, data } => again.message(*to, data.clone()),
            Frame::Resolve(name) => again.resolve(name.as_str()),
            Frame::Ping => again.ping(),
            Frame::Pong => again.pong(),
        }
    }
    let again = again.take().concat();
    assert_eq!(bytes.get(..again.len()), Some(&again[..]), "written as it was read");
}

fn frames1(bytes: &[u8], piece: usize) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(Limits { max_payload: MOST });
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece.min(bytes.len()).max(1)) {
        decoder.feed(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_frame(), Err(error.clone()), "an error is final");
                    return (frames, Some(error));
                }
            }
        }
    }
    (frames, None)
}

/// Level 2, both directions.
pub(crate) fn level2(data: &[u8]) {
    let mut input = Input::new(data);
    let cut = usize::from(input.byte());
    let bytes = input.rest();
    let whole = frames2(bytes, usize::MAX);
    assert_eq!(frames2(bytes, 1), whole, "byte by byte");
    assert_eq!(frames2(bytes, cut.max(1)), whole, "in pieces of {cut}");
    for piece in [1, cut.max(1), usize::MAX] {
        assert_eq!(pieces2(bytes, piece), whole, "CHUNKs as they come, in pieces of {piece}");
    }
    let mut again = Batch::new();
    whole.0.iter().for_each(|frame| again.frame(frame.clone()));
    let again = frames2(&again.take().concat(), usize::MAX);
    assert_eq!(again, (whole.0, None), "read as it was written");
}

fn frames2(bytes: &[u8], piece: usize) -> (Vec<level2::Frame>, Option<DecodeError>) {
    let mut decoder = level2::Decoder::new(MOST);
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece.min(bytes.len()).max(1)) {
        decoder.feed(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_frame(), Err(error.clone()), "an error is final");
                    return (frames, Some(error));
                }
            }
        }
    }
    (frames, None)
}

/// As [`frames2`], as a link reads its bulk lane: the data of CHUNKs as it comes, and past the decoder where it may be.
fn pieces2(bytes: &[u8], piece: usize) -> (Vec<level2::Frame>, Option<DecodeError>) {
    let mut decoder = level2::Decoder::new(MOST);
    let (mut frames, mut open) = (Vec::new(), None);
    for mut part in bytes.chunks(piece.min(bytes.len()).max(1)) {
        while !part.is_empty() {
            if let Some((_, missing)) = decoder.awaited() {
                let (data, rest) = part.split_at(missing.min(part.len()));
                part = rest;
                let mut chunk = decoder.passed(data.len()).expect("it was awaited");
                chunk.data = Bytes::copy_from_slice(data);
                collect(&mut frames, &mut open, chunk, decoder.is_mid_data());
            } else {
                decoder.feed(Bytes::copy_from_slice(std::mem::take(&mut part)));
            }
            loop {
                if let Some(chunk) = decoder.next_piece() {
                    collect(&mut frames, &mut open, chunk, decoder.is_mid_data());
                    continue;
                }
                match decoder.next_frame() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error)),
                }
            }
        }
    }
    (frames, None)
}

/// Puts a piece to those of its chunk, which is a frame when nothing of it is missing.
fn collect(
    frames: &mut Vec<level2::Frame>,
    open: &mut Option<level2::Chunk>,
    piece: level2::Chunk,
    is_mid_data: bool,
) {
    let whole = match open.take() {
        None => piece,
        Some(mut whole) => {
            let next = whole.offset.saturating_add(whole.data.len() as u64);
            assert_eq!(piece.offset, next, "a piece is where it belongs");
            whole.data = [whole.data, piece.data].concat().into();
            whole
        }
    };
    if is_mid_data { *open = Some(whole) } else { frames.push(level2::Frame::Chunk(whole)) }
}

/// What a dialler of level 1 makes of the bytes that come back.
pub(crate) fn answers(data: &[u8]) {
    let mut input = Input::new(data);
    let asked: Vec<_> = (0..input.byte() % 16)
        .map(|_| if input.byte().is_multiple_of(2) { Asked::Resolve } else { Asked::Ping })
        .collect();
    let bytes = input.rest();
    let whole = answered(&asked, bytes, usize::MAX);
    assert_eq!(answered(&asked, bytes, 1), whole, "byte by byte");
    let in_order = whole.0.iter().enumerate().all(|(place, (ticket, answer))| {
        let fits = match asked[place] {
            Asked::Resolve => matches!(answer, Answer::Resolved(_)),
            Asked::Ping => *answer == Answer::Pong,
        };
        *ticket == place && fits
    });
    assert!(in_order, "{asked:?}: {whole:?}");
}

/// What was answered, each with the place of its question, and what was wrong.
type Answered = (Vec<(usize, Answer)>, Option<AnswerError>);

fn answered(asked: &[Asked], bytes: &[u8], piece: usize) -> Answered {
    let mut answers = Answers::new();
    asked.iter().enumerate().for_each(|(place, asked)| answers.expect(*asked, place));
    let mut got = Vec::new();
    for piece in bytes.chunks(piece.min(bytes.len()).max(1)) {
        let mut piece = Bytes::copy_from_slice(piece);
        loop {
            match answers.next_answer(&mut piece) {
                Ok(Some(answer)) => got.push(answer),
                Ok(None) => break,
                Err(error) => return (got, Some(error)),
            }
        }
    }
    (got, None)
}
