//! The driver's side of a node's long-running work: streams, pings and monitors (Rust nodes only).

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use crate::node::Node;
use crate::wait::{DEADLINE, until_within};

/// What all sinks of a node have got, together. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Messages that were intact, each counted once.
    pub received: u64,
    /// Numbers below the greatest that have not come.
    pub missing: u64,
    /// Messages that had been there before.
    pub repeated: u64,
    /// Messages that came after one with a greater number.
    pub late: u64,
    /// Messages with a wrong checksum.
    pub corrupt: u64,
    /// The sum of all checksums.
    pub sum: u64,
    /// Messages that were under way for longer than was asked about.
    pub later: u64,
    /// Half of the messages took at most this long.
    pub p50: u64,
    /// 99 of 100 did.
    pub p99: u64,
    /// 999 of 1000 did.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
}

/// A stream that a node sends.
#[derive(Clone, Copy, Debug)]
pub struct StreamId(u64);

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// Messages that the node has taken.
    pub accepted: u64,
    /// Attempts that it refused; the message was offered again.
    pub refused: u64,
    /// The sum of the checksums of the accepted ones.
    pub sum: u64,
    /// Whether it is over.
    pub done: bool,
}

/// The answers to a series of pings. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinged {
    /// Pings that were answered.
    pub answered: u64,
    /// Pings that were not.
    pub failed: u64,
    /// Half of the answers took at most this long.
    pub p50: u64,
    /// 99 of 100 did.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
    /// Whether the series is over.
    pub done: bool,
}

/// What a node has done for one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerState {
    /// Messages written.
    pub sent: u64,
    /// Messages that were accepted and not written.
    pub dead_letters: u64,
    /// Bytes that wait.
    pub queued_bytes: u64,
}

/// All of these panic if the node answers with an error.
impl Node {
    /// Makes actors that account for what they get; their PIDs.
    pub fn sinks(&mut self, count: usize) -> Vec<u64> {
        numbers(&self.obey(&format!("sinks {count}")))
    }

    /// Makes an actor that reads nothing; its PID.
    pub fn unread(&mut self) -> u64 {
        number(&self.obey("unread"))
    }

    /// What the sinks have got.
    pub fn received(&mut self) -> Received {
        self.received_by(0..usize::MAX)
    }

    /// What some of the sinks have got, by their place among all that were made.
    pub fn received_by(&mut self, sinks: Range<usize>) -> Received {
        self.received_later(&[sinks], u32::MAX)
    }

    /// The same of several such ranges, with how many were under way for longer than so many microseconds.
    pub fn received_later(&mut self, sinks: &[Range<usize>], micros: u32) -> Received {
        let ranges =
            sinks.iter().map(|range| format!(" {} {}", range.start, range.len())).collect::<String>();
        let line = self.obey(&format!("received {micros}{ranges}"));
        let [received, missing, repeated, late, corrupt, sum, later, p50, p99, p999, max] = fields(&line);
        Received { received, missing, repeated, late, corrupt, sum, later, p50, p99, p999, max }
    }

    /// The lanes in which messages to `pids` at `addr` travel.
    pub fn lanes(&mut self, addr: &str, pids: &[u64]) -> Vec<u64> {
        let pids: Vec<_> = pids.iter().map(u64::to_string).collect();
        numbers(&self.obey(&format!("lanes {addr} {}", pids.join(" "))))
    }

    /// Starts to send `count` messages of `size` bytes in turn to `pids` at `addr`, one every `gap`
    /// microseconds; as fast as they are taken if that is 0.
    pub fn stream(&mut self, addr: &str, pids: &[u64], count: u64, size: usize, gap: u64) -> StreamId {
        self.stream_from(0, addr, pids, count, size, gap)
    }

    /// Sends one more message, of the shortest size, with this number.
    pub fn send_one(&mut self, addr: &str, pid: u64, number: u64) -> Streamed {
        let stream = self.stream_from(number, addr, &[pid], 1, 0, 0);
        self.stream_end(stream)
    }

    fn stream_from(
        &mut self,
        first: u64,
        addr: &str,
        pids: &[u64],
        count: u64,
        size: usize,
        gap: u64,
    ) -> StreamId {
        let pids: Vec<_> = pids.iter().map(u64::to_string).collect();
        let pids = pids.join(" ");
        StreamId(number(&self.obey(&format!("stream {addr} {first} {count} {size} {gap} {pids}"))))
    }

    /// How far a stream has come.
    pub fn streamed(&mut self, StreamId(id): StreamId) -> Streamed {
        let line = self.obey(&format!("streamed {id}"));
        let (counts, done) = flagged(&line);
        let [accepted, refused, sum] = fields(counts);
        Streamed { accepted, refused, sum, done }
    }

    /// Waits until a stream is over.
    pub fn stream_end(&mut self, id: StreamId) -> Streamed {
        self.stream_end_within(DEADLINE, id)
    }

    /// The same for a stream that is meant to take longer than [`DEADLINE`].
    pub fn stream_end_within(&mut self, deadline: Duration, id: StreamId) -> Streamed {
        until_within(deadline, "the stream to end", || Some(self.streamed(id)).filter(|sent| sent.done))
    }

    /// Ends a stream early, and waits until it is over.
    pub fn halt(&mut self, id: StreamId) -> Streamed {
        self.obey(&format!("halt {}", id.0));
        self.stream_end(id)
    }

    /// Sends up to `count` messages without waiting; how many were taken, and why no more.
    pub fn flood(&mut self, addr: &str, pid: u64, count: u64, size: usize) -> (u64, String) {
        let line = self.obey(&format!("flood {addr} {pid} {count} {size}"));
        let (taken, why) = line.split_once(' ').expect("a number and a reason");
        (number(taken), why.to_owned())
    }

    /// Monitors `pid` at `addr`.
    pub fn watch(&mut self, addr: &str, pid: u64) {
        self.obey(&format!("watch {addr} {pid}"));
    }

    /// The monitors that have fired, each with its address and reason.
    pub fn downs(&mut self) -> Vec<String> {
        let line = self.obey("downs");
        line.split('|').filter(|down| !down.is_empty()).map(str::to_owned).collect()
    }

    /// Starts to ping `addr` so many times, with `gap` milliseconds after each answer.
    pub fn ping(&mut self, addr: &str, count: u32, gap: u64) {
        self.obey(&format!("ping {addr} {count} {gap}"));
    }

    /// The answers so far.
    pub fn pinged(&mut self) -> Pinged {
        let line = self.obey("pinged");
        let (counts, done) = flagged(&line);
        let [answered, failed, p50, p99, max] = fields(counts);
        Pinged { answered, failed, p50, p99, max, done }
    }

    /// Each ping that was answered: when it was asked for, since the epoch, and how long it took, both in microseconds.
    pub fn trips(&mut self) -> Vec<(u64, u64)> {
        let line = self.obey("trips");
        numbers(&line).chunks_exact(2).map(|trip| (trip[0], trip[1])).collect()
    }

    /// What the node has done for the peer at `addr`.
    pub fn peer(&mut self, addr: &str) -> PeerState {
        let [sent, dead_letters, queued_bytes] = fields(&self.obey(&format!("info {addr}")));
        PeerState { sent, dead_letters, queued_bytes }
    }

    fn obey(&mut self, command: &str) -> String {
        self.ask(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

fn flagged(line: &str) -> (&str, bool) {
    let (counts, flag) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no flag in {line:?}"));
    (counts, parsed(flag))
}

fn fields<const N: usize>(line: &str) -> [u64; N] {
    numbers(line).try_into().unwrap_or_else(|_| panic!("not {N} numbers: {line:?}"))
}

fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace().map(number).collect()
}

fn number(word: &str) -> u64 {
    parsed(word)
}

fn parsed<T: FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("not an answer: {word:?}"))
}
