//! The measurement behind `wan_bench`: what one lost packet does to everybody's messages.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};

use super::{Conditions, Wan};
use crate::node::{Kind, Node, Setup};
use crate::traffic::{Received, Streamed};

/// Sent before the clock runs: connections are made and their windows are open.
const WARM_UP: Duration = Duration::from_secs(1);
/// A run that needs so much longer than planned is given up.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

/// Small messages to many actors, over paths of every length and loss.
#[derive(Parser)]
#[command(name = "wan_bench", version)]
struct Options {
    /// Transports: tcp, quic
    #[arg(long, value_delimiter = ',', default_value = "tcp,quic", value_parser = kind)]
    transport: Vec<Kind>,
    /// Round trips, in milliseconds
    #[arg(long, value_delimiter = ',', default_value = "20,50,100")]
    round_trip: Vec<u64>,
    /// Shares of packets that are lost, in percent
    #[arg(long, value_delimiter = ',', default_value = "0,0.1,1,5")]
    loss: Vec<f64>,
    /// Rate of the bottleneck, in megabits a second [default: unlimited]
    #[arg(long)]
    megabits: Option<u64>,
    /// Queue before the bottleneck, in KiB
    #[arg(long, default_value_t = 256)]
    queue: usize,
    /// Receiving actors
    #[arg(long, default_value_t = 64)]
    actors: usize,
    /// Messages a second, over all actors
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Bytes of a message, at least 24
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Seconds of each run
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Messages of 1 MiB to one more actor at the same time
    #[arg(long, default_value_t = 0)]
    bulk: u64,
    /// Ping all the while, and report the round trips
    #[arg(long)]
    pings: bool,
    /// Decides which packets are lost
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Measures and prints; the process's arguments say what.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let mut clean = true;
    for &round_trip in &options.round_trip {
        for &loss in &options.loss {
            for &kind in &options.transport {
                let Some(row) = measure(&options, kind, round_trip, loss) else { return ExitCode::FAILURE };
                clean &= row["clean"] == json!(true);
                println!("{row}");
            }
        }
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One row; `None` where there can be no WAN.
fn measure(options: &Options, kind: Kind, round_trip: u64, loss: f64) -> Option<Value> {
    let wan = Wan::start(2, options.seed)?;
    let mut conditions = Conditions::round_trip(round_trip).with_loss(loss / 100.0);
    if let Some(megabits) = options.megabits {
        conditions = conditions.with_rate(megabits, options.queue << 10);
    }
    wan.everywhere(conditions);
    let setup = setup(kind);
    let (mut a, mut b) = (setup.node_on(&wan, 0), setup.node_on(&wan, 1));
    let mut run = Run { options, addr: b.addr.clone(), a: &mut a, b: &mut b };
    run.warm_up();
    let before = wan.tally(0, 1);
    let (sent, got, rest) = run.measured();
    let after = wan.tally(0, 1);
    Some(json!({
        "transport": kind.name(),
        "congestion": if kind == Kind::Tcp { wan.tcp_congestion() } else { "cubic".to_owned() },
        "lanes": 1,
        "round_trip_ms": round_trip,
        "loss_percent": loss,
        "megabits": options.megabits,
        "actors": options.actors,
        "size": options.size,
        "rate": options.rate,
        "seed": options.seed,
        "accepted": sent.accepted,
        "refused": sent.refused,
        "received": got.received,
        "backwards": got.backwards,
        "corrupt": got.corrupt,
        "checksum": got.sum,
        "clean": is_clean(&sent, &got),
        "p50_us": got.p50,
        "p99_us": got.p99,
        "p999_us": got.p999,
        "max_us": got.max,
        "packets": after.offered - before.offered,
        "packets_lost": after.lost - before.lost,
        "packets_overflowed": after.overflowed - before.overflowed,
        "beside": rest,
    }))
}

/// The nodes are this very program.
fn setup(kind: Kind) -> Setup {
    let program = std::env::current_exe().expect("the system knows the running program");
    let state = std::env::temp_dir();
    let path = |path: &std::path::Path| path.to_str().expect("paths are text").to_owned();
    Setup::new(kind, &path(&program), &path(&state)).with_rust_arguments(&["node"])
}

struct Run<'a> {
    options: &'a Options,
    a: &'a mut Node,
    b: &'a mut Node,
    addr: String,
}

impl Run<'_> {
    fn warm_up(&mut self) {
        let sink = self.b.sinks(1);
        let Options { rate, size, .. } = *self.options;
        let stream = self.a.stream(&self.addr, &sink, rate * WARM_UP.as_secs(), size, 1_000_000 / rate);
        self.wait(|run| run.a.streamed(stream).done && run.b.received().received >= rate);
    }

    /// The measured messages, and what was measured beside them.
    fn measured(&mut self) -> (Streamed, Received, Value) {
        let Options { actors, rate, size, seconds, bulk, pings, .. } = *self.options;
        let (sinks, bulk_sink) = (self.b.sinks(actors), self.b.sinks(1));
        let small = 1..1 + actors;
        if pings {
            self.a.ping(&self.addr, u32::try_from(seconds * 50).unwrap_or(u32::MAX), 20);
        }
        let start = Instant::now();
        let large = self.a.stream(&self.addr, &bulk_sink, bulk, MIB, 0);
        let stream = self.a.stream(&self.addr, &sinks, rate * seconds, size, 1_000_000 / rate);
        self.wait(|run| {
            let sent = run.a.streamed(stream);
            sent.done && run.b.received_by(small.clone()).received >= sent.accepted
        });
        let bulk_got = |run: &mut Self| run.b.received_by(1 + actors..2 + actors);
        self.wait(|run| bulk_got(run).received >= bulk);
        let took = start.elapsed();
        let beside = json!({
            "bulk": (bulk > 0).then(|| {
                let (sent, got) = (self.a.streamed(large), bulk_got(self));
                json!({ "mib": got.received, "clean": is_clean(&sent, &got), "all_after_ms": took.as_millis() as u64 })
            }),
            "pings": pings.then(|| {
                let pinged = self.a.pinged();
                json!({ "answered": pinged.answered, "failed": pinged.failed, "p50_us": pinged.p50, "p99_us": pinged.p99, "max_us": pinged.max })
            }),
        });
        (self.a.streamed(stream), self.b.received_by(small), beside)
    }

    /// Waits for a condition, as long as the run may take. What is missing then shows in the counts.
    fn wait(&mut self, mut condition: impl FnMut(&mut Self) -> bool) {
        let limit = Duration::from_secs(self.options.seconds) + PATIENCE;
        let start = Instant::now();
        while !condition(self) && start.elapsed() < limit {
            sleep(Duration::from_millis(50));
        }
    }
}

fn is_clean(sent: &Streamed, got: &Received) -> bool {
    let all = sent.done && got.received == sent.accepted && got.sum == sent.sum;
    all && (got.missing, got.backwards, got.corrupt) == (0, 0, 0)
}

fn kind(name: &str) -> Result<Kind, String> {
    [Kind::Tcp, Kind::Quic]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| "tcp or quic".to_owned())
}
