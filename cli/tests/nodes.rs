//! A node and someone who looks for it, as processes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

fn myrmidon(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_myrmidon"));
    command.current_dir(dir).env("MYRMIDON_STATE_DIR", dir.join("state")).args(args.split_whitespace());
    command
}

fn run(dir: &Path, args: &str) -> Output {
    myrmidon(dir, args).output().unwrap()
}

/// What a command that must succeed says.
#[track_caller]
fn said(dir: &Path, args: &str) -> String {
    let output = run(dir, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The transports with certificates.
const SECURE: [&str; 2] = ["tls", "quic"];

/// A running `myrmidon node`.
struct Node {
    process: Child,
    addr: String,
    /// Kept open: the node has more to say.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Node {
    fn start(dir: &Path, options: &str) -> Self {
        let args = format!("node --listen 127.0.0.1:0 {options}");
        let mut process = myrmidon(dir, &args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the node says where it listens").unwrap();
        let addr = first.strip_prefix("listening on ").expect("an address").to_owned();
        Self { process, addr, _said: lines }
    }

    /// Asks it to end, and returns its exit code.
    #[cfg(unix)]
    fn terminate(mut self) -> Option<i32> {
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_node_on_tcp_answers() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), "");
    let said = said(dir.path(), &format!("ping {} --count 2", node.addr));
    assert_eq!(said.lines().filter(|line| line.ends_with(" ms")).count(), 2, "{said}");
}

#[test]
fn a_node_on_tls_or_quic_answers_the_same_user_without_certificates() {
    let dir = tempfile::tempdir().unwrap();
    for kind in SECURE {
        let node = Node::start(dir.path(), &format!("--transport {kind}"));
        let said = said(dir.path(), &format!("ping {} --transport {kind}", node.addr));
        assert!(said.contains("of cluster loopback"), "{said}");
    }
}

#[test]
fn a_node_on_tls_or_quic_is_known_by_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    said(dir.path(), "certs init --cluster prod");
    said(dir.path(), "certs issue a");
    said(dir.path(), "certs issue b");
    for kind in SECURE {
        let node = Node::start(dir.path(), &format!("--transport {kind} --certs a"));
        let ping = |whom: &str| format!("ping {whom}{} --transport {kind} --certs b", node.addr);
        assert!(said(dir.path(), &ping("")).contains("node a of cluster prod"));
        assert!(said(dir.path(), &ping("a@")).contains("node a of cluster prod"));
        let refused = run(dir.path(), &ping("c@"));
        assert_eq!(refused.status.code(), Some(1));
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(text.contains("c.node.prod.myrmidon.internal"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_node_that_is_asked_to_end_ends_in_good_order() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Node::start(dir.path(), "").terminate(), Some(0));
    assert_eq!(Node::start(dir.path(), "--transport quic").terminate(), Some(0));
}

#[test]
fn beyond_loopback_tls_and_quic_ask_for_certificates_with_the_commands_to_run() {
    let dir = tempfile::tempdir().unwrap();
    for kind in SECURE {
        let output = run(dir.path(), &format!("node --listen 0.0.0.0:0 --transport {kind}"));
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("myrmidon certs init --cluster NAME"), "{text}");
        assert!(text.contains("myrmidon certs issue NODE"), "{text}");
    }
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(dir.path(), "ping 127.0.0.1:1 --certs a").status.code(), Some(1));
    assert_eq!(run(dir.path(), "ping nowhere").status.code(), Some(2));
    assert_eq!(run(dir.path(), "ping 127.0.0.1:1 --transport pigeon").status.code(), Some(2));
}
