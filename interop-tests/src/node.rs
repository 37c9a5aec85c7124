//! Nodes in processes of their own, in Rust or in Python, driven by the same lines.
//!
//! A node process prints `ready ADDR` and then answers every line it reads with one line, `ok …` or
//! `error …`. The commands are the methods of [`Node`]; `src/program/` and `nodes/node.py`
//! carry them out.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Process;
use crate::wait::until;

/// The transport of every node of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain TCP.
    Tcp,
    /// TCP with TLS, with certificates as for QUIC.
    Tls,
    /// QUIC, with the private certificates of a state directory of the tests.
    Quic,
}

impl Kind {
    /// As in `Runtime(transport=…)`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Quic => "quic",
        }
    }
}

/// What a node is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `src/program/`, as built by `src/bin/interop_node.rs`.
    Rust,
    /// `nodes/node.py`, run by the interpreter that `MYRMIDON_TEST_PYTHON` names.
    Python,
}

/// The environment variable that names a Python interpreter with the package `myrmidon`.
pub const PYTHON: &str = "MYRMIDON_TEST_PYTHON";

/// What a scenario needs to start nodes.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The transport.
    pub kind: Kind,
    /// The language of the node that serves.
    pub server: Language,
    /// The language of the node that asks.
    pub client: Language,
    rust_node: PathBuf,
    rust_arguments: Vec<String>,
    state_dir: PathBuf,
    python: Option<PathBuf>,
}

impl Setup {
    /// A set-up of Rust nodes: `rust_node` is the built `interop_node`, and private certificates
    /// go to `state_dir`.
    pub fn new(kind: Kind, rust_node: &str, state_dir: &str) -> Self {
        Self {
            kind,
            server: Language::Rust,
            client: Language::Rust,
            rust_node: rust_node.into(),
            rust_arguments: vec![],
            state_dir: Path::new(state_dir).join("state"),
            python: std::env::var_os(PYTHON).map(PathBuf::from),
        }
    }

    /// The same with another build of the Rust node.
    #[must_use]
    pub fn with_rust_node(self, rust_node: PathBuf) -> Self {
        Self { rust_node, ..self }
    }

    /// The same with these arguments of the Rust node before all others.
    #[must_use]
    pub fn with_rust_arguments(self, arguments: &[&str]) -> Self {
        Self { rust_arguments: arguments.iter().map(ToString::to_string).collect(), ..self }
    }

    /// The same with nodes in these languages; `None`, with a line that says so, if Python is needed
    /// and not there.
    #[must_use]
    pub fn with(self, server: Language, client: Language) -> Option<Self> {
        let needs_python = [server, client].contains(&Language::Python);
        if needs_python && self.python.is_none() {
            println!("skipped: set {PYTHON} to a Python with the package myrmidon to run this");
            return None;
        }
        Some(Self { server, client, ..self })
    }

    /// Where the nodes of this set-up keep their private certificates.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The node that serves, on a port of its own.
    pub fn server(&self) -> Node {
        self.server_on("127.0.0.1:0")
    }

    /// The node that serves, on this address.
    pub fn server_on(&self, addr: &str) -> Node {
        Node::start("server", self.command(self.server), self.kind, addr)
    }

    /// The node that serves, allowed to have so many files and sockets open.
    pub fn server_with_few_files(&self, files: u32) -> Node {
        let inner = self.command(self.server);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.env("MYRMIDON_STATE_DIR", &self.state_dir);
        Node::start("server", command, self.kind, "127.0.0.1:0")
    }

    /// The node that asks, listening on a port of its own.
    pub fn client(&self) -> Node {
        Node::start("client", self.command(self.client), self.kind, "127.0.0.1:0")
    }

    pub(crate) fn command(&self, language: Language) -> Command {
        let mut command = match (language, &self.python) {
            (Language::Python, Some(python)) => {
                let mut command = Command::new(python);
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/nodes/node.py"));
                command
            }
            _ => {
                let mut command = Command::new(&self.rust_node);
                command.args(&self.rust_arguments);
                command
            }
        };
        command.env("MYRMIDON_STATE_DIR", &self.state_dir);
        command
    }
}

/// What the counter of a node has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages, of either version.
    pub received: u64,
    /// Messages that were not the successor of the one before.
    pub out_of_order: u64,
    /// Messages handled by the first code of the counter.
    pub first: u64,
    /// Messages handled by the code that was swapped in.
    pub second: u64,
}

/// A running node with an actor called `counter`, to which numbered messages are sent.
pub struct Node {
    /// The process, for its id and its end.
    pub process: Process,
    /// Where it listens, with the real port.
    pub addr: String,
}

impl Node {
    pub(crate) fn start(name: &str, mut command: Command, kind: Kind, addr: &str) -> Self {
        command.args(["--transport", kind.name(), "--listen", addr]);
        let process = Process::start(name, command);
        let line = process.line();
        let addr = line.strip_prefix("ready ").unwrap_or_else(|| panic!("{name} is not ready: {line}"));
        Self { addr: addr.to_owned(), process }
    }

    /// The PID behind `name` at `addr`.
    ///
    /// # Panics
    /// If the node answers with an error.
    pub fn resolve(&mut self, addr: &str, name: &str) -> Option<u64> {
        match self.try_resolve(addr, name) {
            Ok(pid) => pid,
            Err(error) => panic!("resolve {name} at {addr}: {error}"),
        }
    }

    /// Like [`resolve`](Self::resolve), with the error as text.
    pub fn try_resolve(&mut self, addr: &str, name: &str) -> Result<Option<u64>, String> {
        let pid: u64 = self.ask(&format!("resolve {addr} {name}"))?.parse().expect("a PID");
        Ok((pid != 0).then_some(pid))
    }

    /// The counter of the node at `addr`, waiting until it can be found.
    pub fn find_counter(&mut self, addr: &str) -> u64 {
        until("the counter to be found", || self.try_resolve(addr, "counter").ok().flatten())
    }

    /// Sends `count` messages to `pid` at `addr`, numbered from `first`.
    pub fn send(&mut self, addr: &str, pid: u64, count: u64, first: u64) -> Result<(), String> {
        self.ask(&format!("send {addr} {pid} {count} {first}")).map(drop)
    }

    /// What this node's own counter has seen.
    ///
    /// # Panics
    /// If the node answers with an error.
    pub fn counts(&mut self) -> Counts {
        let line = self.ask("counts").expect("counts");
        let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().expect("a number")).collect();
        let [received, out_of_order, first, second] = numbers[..] else { panic!("four numbers: {line}") };
        Counts { received, out_of_order, first, second }
    }

    /// Waits until its counter has seen `received` messages, and returns the counts.
    pub fn counted(&mut self, received: u64) -> Counts {
        until(&format!("{received} messages at {}", self.addr), || {
            let counts = self.counts();
            (counts.received >= received).then_some(counts)
        })
    }

    /// Swaps the code of its counter.
    ///
    /// # Panics
    /// If the node answers with an error.
    pub fn swap(&mut self) {
        self.ask("swap").expect("swap");
    }

    /// Whether the node at `addr` answers a heartbeat.
    ///
    /// # Panics
    /// If the node answers with an error.
    pub fn is_up(&mut self, addr: &str) -> bool {
        self.ask(&format!("up {addr}")).expect("up") == "true"
    }

    /// Starts a supervised factory: it finds `name` at `addr`, monitors it, and spawns a local proxy
    /// that passes messages on. Returns when the first proxy lives.
    ///
    /// # Panics
    /// If the node answers with an error.
    pub fn heal(&mut self, addr: &str, name: &str) {
        self.ask(&format!("heal {addr} {name}")).expect("heal");
    }

    /// Makes a proxy of whoever has `name` at `addr`, one after the other.
    ///
    /// # Panics
    /// If the node answers with an error.
    pub fn follow(&mut self, addr: &str, name: &str) {
        self.ask(&format!("follow {addr} {name}")).expect("follow");
    }

    /// How many proxies the factory has made.
    ///
    /// # Panics
    /// If the node answers with an error.
    pub fn proxies(&mut self) -> u64 {
        self.ask("proxies").expect("proxies").parse().expect("a number")
    }

    /// Sends one message, numbered `number`, to the proxy that lives now. False if none does.
    ///
    /// # Panics
    /// If the node answers with an error.
    pub fn tell_proxy(&mut self, number: u64) -> bool {
        self.ask(&format!("tell {number}")).expect("tell") == "true"
    }

    /// Ends in good order, and says whether it did.
    pub fn quit(mut self) -> bool {
        self.process.say("quit");
        self.process.exited().success()
    }

    /// Lets an actor of the node fail; the reason of its end.
    ///
    /// # Panics
    /// If the node does not tell.
    pub fn crash(&mut self) -> String {
        self.ask("crash").unwrap_or_else(|error| panic!("no end was reported: {error}"))
    }

    pub(crate) fn ask(&mut self, command: &str) -> Result<String, String> {
        self.process.say(command);
        let line = self.process.line();
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("ok", answer) => Ok(answer.to_owned()),
            ("error", text) => Err(text.to_owned()),
            _ => panic!("not an answer to {command:?}: {line:?}"),
        }
    }
}
