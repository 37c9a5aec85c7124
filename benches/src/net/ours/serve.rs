//! The serving side: an actor that counts, one that sends everything back, and many that count or stand still.

use bytes::Bytes;
use myrmidon::actor::{Context, SpawnOptions, bytes_fn};
use myrmidon::transport::NodeAddr;
use myrmidon::{Pid, Runtime};

use super::super::halves::Kind;
use super::super::message::{SMALL, Tally};
use super::{held, node, text};

/// Serves until the process is ended.
pub(in super::super) fn serve(kind: Kind, work: &str) -> Result<(), String> {
    let (rt, addr) = node(kind, work)?;
    start(&rt)?;
    if work == "held" {
        start_crowd(&rt)?;
    }
    println!("{addr}");
    park()
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// Starts the actors under their names.
pub(super) fn start(rt: &Runtime) -> Result<(), String> {
    let mut back = Back::new(rt);
    let echo = move |message: Bytes, _: &mut Context<'_>| {
        if !back.learn(&message) {
            back.send(message);
        }
    };
    rt.names().register("echo", rt.spawn_fn(echo)).map_err(text)?;
    rt.names().register("count", counter(rt)).map_err(text)
}

/// Starts those that hold what they get, or have it held for them.
fn start_crowd(rt: &Runtime) -> Result<(), String> {
    for name in held::names("count") {
        rt.names().register(&name, counter(rt)).map_err(text)?;
    }
    for name in held::names("still") {
        let still = |_: Bytes, _: &mut Context<'_>| -> () { park() };
        let still = rt.spawn_behaviour(Box::new(bytes_fn(still)), SpawnOptions::blocking());
        rt.names().register(&name, still).map_err(text)?;
    }
    Ok(())
}

fn counter(rt: &Runtime) -> Pid {
    let (mut back, mut tally) = (Back::new(rt), Tally::default());
    rt.spawn_fn(move |message: Bytes, _: &mut Context<'_>| match message.len() {
        SMALL.. => tally.enter(&message),
        // Whoever drives asks what has come, and begins anew.
        _ if back.learn(&message) => back.send(std::mem::take(&mut tally).encode()),
        _ => {}
    })
}

/// Whom to answer: the actor that the last such message named.
struct Back {
    rt: Runtime,
    to: Option<(NodeAddr, Pid)>,
}

/// What tells it.
pub(super) fn back_to(addr: &NodeAddr, pid: Pid) -> Bytes {
    format!("!{} {addr}", pid.as_u64()).into()
}

impl Back {
    fn new(rt: &Runtime) -> Self {
        Self { rt: rt.clone(), to: None }
    }

    /// Whether the message was one that tells whom to answer.
    fn learn(&mut self, message: &[u8]) -> bool {
        if message.first() != Some(&b'!') {
            return false;
        }
        self.to = std::str::from_utf8(&message[1..]).ok().and_then(|text| {
            let (pid, addr) = text.split_once(' ')?;
            Some((addr.parse().ok()?, Pid::from_u64(pid.parse().ok()?)?))
        });
        true
    }

    fn send(&self, message: Bytes) {
        if let Some((addr, pid)) = &self.to
            && let Err(error) = self.rt.node().try_send(addr, *pid, message)
        {
            eprintln!("cannot answer: {error}");
        }
    }
}
