//! The legacy peer itself: its two sides understand each other and the golden vectors.

use myrmidon_interop_tests::legacy::{LegacyClient, LegacyServer, message, resolve};
use myrmidon_interop_tests::wait::until;

#[test]
fn the_two_sides_understand_each_other() {
    let server = LegacyServer::start().unwrap();
    server.register("database", 7);
    let mut client = LegacyClient::connect(&server.addr().to_string()).unwrap();
    assert_eq!(client.resolve("database").unwrap(), 7);
    assert_eq!(client.resolve("nobody").unwrap(), 0);
    client.send(7, b"hello").unwrap();
    assert!(client.ping().unwrap());
    assert_eq!(server.messages(), [(7, b"hello".to_vec())]);
    assert_eq!(server.pings(), 1);
    client.raw(&[9]).unwrap();
    until("the unknown type", || (server.unknown() == [9]).then_some(()));
}

#[test]
fn its_frames_are_those_of_the_golden_vectors() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../vectors/frames.json")).unwrap();
    let mut compared = 0;
    for entry in vectors["frames"].as_array().unwrap() {
        let frame = &entry["frame"];
        let bytes = match frame["type"].as_str().unwrap() {
            "message" => message(frame["pid"].as_u64().unwrap(), &bytes(&frame["data_hex"])),
            "resolve" => resolve(frame["name"].as_str().unwrap()),
            _ => continue,
        };
        assert_eq!(bytes, self::bytes(&entry["hex"]), "{}", entry["name"]);
        compared += 1;
    }
    assert!(compared >= 5, "only {compared} vectors");
}

fn bytes(hex: &serde_json::Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap_or_default();
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digits).collect()
}
