//! What the targets begin with: the inputs that were kept, and the golden vectors of the wire.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Target;

/// The folder of the inputs that a target has kept.
pub fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// Every input to begin with, in the same order each time.
///
/// # Panics
/// If a file cannot be read.
pub fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(folder(target))
        .map(|files| files.map(|file| file.expect("a file").path()).collect())
        .unwrap_or_default();
    files.sort();
    let mut inputs: Vec<_> = files.iter().map(|file| fs::read(file).expect("an input")).collect();
    inputs.extend(vectors(target.name));
    inputs.push(Vec::new());
    inputs
}

/// Golden bytes that suit a target.
fn vectors(target: &str) -> Vec<Vec<u8>> {
    let level1 = || golden(include_str!("../../interop-tests/vectors/frames.json"));
    let level2 = || golden(include_str!("../../interop-tests/vectors/level2.json"));
    match target {
        "level1" => level1().into_iter().map(|frame| [&[3], &frame[..]].concat()).collect(),
        "level2" => level2().into_iter().map(|frame| [&[3], &frame[..]].concat()).collect(),
        // Said as they are, by a peer whose link is up.
        "talk" => level2()
            .into_iter()
            .map(|frame| [&[2, 0, 0, 0, frame.len() as u8], &frame[..]].concat())
            .collect(),
        "text" => {
            let texts =
                ["127.0.0.1:9000", "db@host:1", "[::1]:0", "\0myrmidon/2?n=00112233445566778899aabbccddeeff"];
            texts.iter().map(|text| text.as_bytes().to_vec()).collect()
        }
        _ => vec![vec![4, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 3]],
    }
}

/// Everything that is written in hexadecimal digits, wherever it stands.
fn golden(json: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let document: Value = serde_json::from_str(json).expect("the golden vectors are JSON");
    collect(&document, &mut found);
    assert!(found.len() > 10, "the golden vectors are where they were");
    found
}

fn collect(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(fields) => {
            found.extend(fields.get("hex").and_then(Value::as_str).and_then(decoded));
            fields.values().for_each(|value| collect(value, found));
        }
        _ => {}
    }
}

fn decoded(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
