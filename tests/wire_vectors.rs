//! The golden bytes of `interop-tests/vectors/frames.json`, encoded and decoded.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::wire::{Answer, Answers, Asked, Batch, DecodeError, Decoder, Frame, Limits};
use serde_json::Value;

#[test]
fn every_frame_decodes_to_its_meaning() {
    for vector in vectors("frames") {
        let mut decoder = Decoder::new(Limits::default());
        decoder.feed(bytes(&vector["hex"]));
        let frame = decoder.next_frame().unwrap().unwrap();
        assert_eq!(described(&frame), vector["frame"], "{}", vector["name"]);
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(!decoder.mid_frame());
    }
}

#[test]
fn every_frame_encodes_to_its_bytes() {
    for vector in vectors("frames") {
        let frame = &vector["frame"];
        let mut batch = Batch::new();
        match text(&frame["type"]) {
            "message" => batch.message(Pid::from_u64(number(&frame["pid"])), bytes(&frame["data_hex"])),
            "resolve" => batch.resolve(text(&frame["name"])),
            "ping" => batch.ping(),
            "pong" => batch.pong(),
            other => panic!("unknown frame {other}"),
        }
        assert_eq!(written(&mut batch), bytes(&vector["hex"]), "{}", vector["name"]);
    }
}

#[test]
fn every_answer_decodes_by_what_was_asked() {
    for vector in vectors("answers") {
        let mut answers = outstanding(&vector["asked"]);
        let mut input = bytes(&vector["hex"]);
        for expected in list(&vector["answers"]) {
            let (_, answer) = answers.next_answer(&mut input).unwrap().unwrap();
            assert_eq!(answered(answer), *expected, "{}", vector["name"]);
        }
        assert!(input.is_empty() && answers.is_empty());
    }
}

#[test]
fn every_answer_encodes_to_its_bytes() {
    for vector in vectors("answers") {
        let mut batch = Batch::new();
        for answer in list(&vector["answers"]) {
            match text(&answer["type"]) {
                "resolved" => batch.resolved(Pid::from_u64(number(&answer["pid"]))),
                "pong" => batch.pong(),
                other => panic!("unknown answer {other}"),
            }
        }
        assert_eq!(written(&mut batch), bytes(&vector["hex"]), "{}", vector["name"]);
    }
}

#[test]
fn bad_bytes_are_refused_with_their_code() {
    for vector in vectors("refused") {
        let error = refusal(bytes(&vector["hex"]));
        assert_eq!(u64::from(error.code().as_u16()), number(&vector["code"]), "{}", vector["name"]);
    }
    for vector in vectors("refused_answers") {
        let error = outstanding(&vector["asked"]).next_answer(&mut bytes(&vector["hex"])).unwrap_err();
        assert_eq!(u64::from(error.code().as_u16()), number(&vector["code"]), "{}", vector["name"]);
    }
}

fn refusal(input: Bytes) -> DecodeError {
    let mut decoder = Decoder::new(Limits::default());
    decoder.feed(input);
    decoder.next_frame().unwrap_err()
}

fn described(frame: &Frame) -> Value {
    match frame {
        Frame::Message { to, data } => {
            serde_json::json!({"type": "message", "pid": to.map_or(0, Pid::as_u64), "data_hex": hex(data)})
        }
        Frame::Resolve(name) => serde_json::json!({
            "type": "resolve", "name": name.as_str(), "registrable": name.registrable().is_some()
        }),
        Frame::Ping => serde_json::json!({"type": "ping"}),
        Frame::Pong => serde_json::json!({"type": "pong"}),
    }
}

fn answered(answer: Answer) -> Value {
    match answer {
        Answer::Resolved(pid) => serde_json::json!({"type": "resolved", "pid": pid.map_or(0, Pid::as_u64)}),
        Answer::Pong => serde_json::json!({"type": "pong"}),
    }
}

fn outstanding(asked: &Value) -> Answers<()> {
    let mut answers = Answers::new();
    for question in list(asked) {
        match text(question) {
            "resolve" => answers.expect(Asked::Resolve, ()),
            "ping" => answers.expect(Asked::Ping, ()),
            other => panic!("unknown question {other}"),
        }
    }
    answers
}

fn written(batch: &mut Batch) -> Bytes {
    batch.take().concat().into()
}

fn vectors(section: &str) -> Vec<Value> {
    let file = include_str!("../interop-tests/vectors/frames.json");
    let all: Value = serde_json::from_str(file).unwrap();
    let vectors = list(&all[section]).clone();
    assert!(!vectors.is_empty());
    vectors
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn bytes(value: &Value) -> Bytes {
    let digits = text(value);
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}
