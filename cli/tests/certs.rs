//! The commands that make a cluster's certificates, run as a user runs them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use myrmidon_certs::Credentials;

fn myrmidon(dir: &Path, args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_myrmidon")).current_dir(dir).args(args.split(' ')).output().unwrap()
}

#[track_caller]
fn succeeds(dir: &Path, args: &str) -> String {
    let output = myrmidon(dir, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn fails(dir: &Path, args: &str, code: i32) -> String {
    let output = myrmidon(dir, args);
    assert_eq!(output.status.code(), Some(code), "{args}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_two_commands_that_the_runtime_prints_make_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let said = succeeds(dir.path(), "certs init --cluster prod");
    assert!(said.contains("myrmidon-ca/ca.key") && said.contains("myrmidon certs issue NODE\n"), "{said}");
    let said = succeeds(dir.path(), "certs issue a");
    for part in
        ["spiffe://prod/node/a", "a/node.key", "Runtime(transport=\"quic\", certs=\"a\")", "89 days left"]
    {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert_eq!(Credentials::load(&dir.path().join("a")).unwrap().identity().node(), "a");
}

#[test]
fn directories_and_lifetime_can_be_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let said = succeeds(dir.path(), "certs init --cluster prod --ca-dir keys/prod");
    assert!(said.contains("myrmidon certs issue NODE --ca-dir keys/prod"), "{said}");
    let said = succeeds(dir.path(), "certs issue a --ca-dir keys/prod --out etc/a --ttl 24h");
    assert!(said.contains("23 hours left") && said.contains("etc/a/node.crt"), "{said}");
    Credentials::load(&dir.path().join("etc/a")).unwrap();
}

#[test]
fn what_was_made_can_be_shown() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), "certs init --cluster prod");
    succeeds(dir.path(), "certs issue a");
    for path in ["a", "a/node.crt"] {
        let said = succeeds(dir.path(), &format!("certs show {path}"));
        assert!(
            said.starts_with("Node a of cluster prod.") && said.contains("a.node.prod.myrmidon.internal"),
            "{said}"
        );
    }
    for path in ["myrmidon-ca", "a/ca.crt"] {
        let said = succeeds(dir.path(), &format!("certs show {path}"));
        assert!(said.starts_with("The authority of cluster prod."), "{said}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), "certs init --cluster prod");
    let said = fails(dir.path(), "certs init --cluster test", 1);
    assert!(said.contains("myrmidon-ca/ca.crt exists and is never overwritten"), "{said}");
    succeeds(dir.path(), "certs issue a");
    let said = fails(dir.path(), "certs issue a", 1);
    assert!(said.contains("name another directory with --out"), "{said}");
}

#[test]
fn a_mistake_is_answered_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let said = fails(dir.path(), "certs issue a", 1);
    assert!(said.contains("myrmidon certs init --cluster NAME"), "{said}");
    succeeds(dir.path(), "certs init --cluster prod");
    assert!(fails(dir.path(), "certs issue A", 1).contains("a-z"));
    assert!(fails(dir.path(), "certs issue a --ttl 6y", 1).contains("the authority itself ends"));
    assert!(fails(dir.path(), "certs issue a --ttl soon", 2).contains("90d"));
    assert!(fails(dir.path(), "certs show nowhere", 1).contains("nowhere"));
    assert!(fails(dir.path(), "certs init --cluster ../prod --ca-dir x", 1).contains("cluster name"));
    assert!(!dir.path().join("x").exists() && !dir.path().join("a").exists());
}

#[test]
fn help_says_how_to_begin() {
    let dir = tempfile::tempdir().unwrap();
    assert!(succeeds(dir.path(), "--help").contains("certs"));
    assert!(succeeds(dir.path(), "certs issue --help").contains("--ca-dir"));
    assert!(fails(dir.path(), "certs forge", 2).contains("forge"));
}
