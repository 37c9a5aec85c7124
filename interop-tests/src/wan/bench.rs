//! The measurement behind `wan_bench`: what one lost packet does to everybody's messages.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use myrmidon_quic::Congestion;
use serde_json::{Value, json};

use super::truth::Losses;
use super::{Conditions, Wan};
use crate::ledger::quantile;
use crate::node::{Kind, Node, Setup};
use crate::traffic::{Pinged, Received, StreamId, Streamed};

/// Sent before the clock runs: connections are made and their windows are open.
const WARM_UP: Duration = Duration::from_secs(1);
/// A run that needs so much longer than planned is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What may delay a message on its way beside the path, in microseconds.
const STRAY: u32 = 5_000;
const MIB: usize = 1 << 20;
/// What a packet with one message has beside the message, in bytes, over TCP or QUIC: at least and at most. Another message
/// of the shortest size in the same packet is more than that.
const AROUND: (usize, usize) = (60, 120);

/// Small messages to many actors, over paths of every length and loss.
#[derive(Parser)]
#[command(name = "wan_bench", version)]
struct Options {
    /// Transports: tcp, quic
    #[arg(long, value_delimiter = ',', default_value = "tcp,quic", value_parser = kind)]
    transport: Vec<Kind>,
    /// Message lanes of the link, beside its control lane; 0 puts messages there too
    #[arg(long, value_delimiter = ',', default_value = "1,4")]
    lanes: Vec<u8>,
    /// Congestion controls of QUIC: cubic, newreno, bbr; that of TCP is the system's
    #[arg(long, value_delimiter = ',', default_value = "cubic")]
    congestion: Vec<Congestion>,
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
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
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
    /// Flood one more actor, which reads nothing, before the clock runs
    #[arg(long)]
    unread: bool,
    /// Ping all the while, and report the round trips
    #[arg(long)]
    pings: bool,
    /// Measure what bare TCP sockets make of pings beside a full connection, too
    #[arg(long)]
    bare: bool,
    /// Only the receivers of one lane lose packets, of one link with one lane a quarter of them: what they are sent has so
    /// many bytes, and only packets as long as with one such message can be lost. A row is about all others
    #[arg(long)]
    one_lane: Option<usize>,
    /// Only packets of at least so many bytes can be lost: not those with nothing but an acknowledgement, a ping or another
    /// short frame
    #[arg(long, conflicts_with = "one_lane")]
    lost_from: Option<usize>,
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
                for (congestion, &lanes) in options.ways(kind) {
                    let case = Case { kind, congestion, lanes, round_trip, loss };
                    let Some(row) = case.measure(&options) else { return ExitCode::FAILURE };
                    clean &= row["clean"] == json!(true);
                    println!("{row}");
                }
            }
        }
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One row.
struct Case {
    kind: Kind,
    /// Of QUIC; `None` leaves it to the system.
    congestion: Option<Congestion>,
    lanes: u8,
    round_trip: u64,
    loss: f64,
}

impl Case {
    /// `None` where there can be no WAN.
    fn measure(&self, options: &Options) -> Option<Value> {
        let &Self { kind, congestion, lanes, round_trip, loss } = self;
        let wan = Wan::start(2, options.seed)?;
        wan.everywhere(options.path(round_trip, loss));
        let setup = setup(kind, congestion, lanes);
        let (a, b) = (setup.node_on(&wan, 0), setup.node_on(&wan, 1));
        let mut run = Run { options, a, b, later: later(round_trip) };
        run.warm_up();
        let before = wan.tally(0, 1);
        let Measured { sent, got, harmed, bulk, pinged } = run.measured();
        let after = wan.tally(0, 1);
        let pings = pinged.map(|(pinged, trips)| {
            let losses = Losses::new(&wan.lost_at(0, 1), &wan.lost_at(1, 0));
            ping_report(&pinged, losses.unharmed(&trips, Duration::from_millis(round_trip)))
        });
        drop(run);
        let bare = options.bare.then(|| super::bare::measure(&wan, Duration::from_secs(options.seconds)));
        Some(json!({
            "transport": kind.name(),
            "congestion": congestion.map_or_else(|| wan.tcp_congestion(), |congestion| congestion.name().to_owned()),
            "lanes": lanes,
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
            "repeated": got.repeated,
            "late": got.late,
            "corrupt": got.corrupt,
            "checksum": got.sum,
            "clean": is_clean(&sent, &got) && harmed.as_ref().is_none_or(|(sent, got)| is_clean(sent, got)),
            "waited": got.later,
            "p50_us": got.p50,
            "p99_us": got.p99,
            "p999_us": got.p999,
            "max_us": got.max,
            "packets": after.offered - before.offered,
            "packets_lost": after.lost - before.lost,
            "packets_overflowed": after.overflowed - before.overflowed,
            "unread": options.unread,
            "one_lane": options.one_lane,
            "lost_from": options.lost_from,
            "harmed": harmed.map(|(_, got)| harmed_report(&got)),
            "bulk": bulk,
            "pings": pings,
            "bare": bare,
        }))
    }
}

impl Options {
    /// How the nodes are to be connected over a transport.
    fn ways(&self, kind: Kind) -> impl Iterator<Item = (Option<Congestion>, &u8)> {
        let controls = match kind {
            Kind::Quic => self.congestion.iter().copied().map(Some).collect(),
            Kind::Tcp | Kind::Tls => vec![None],
        };
        controls.into_iter().flat_map(|control| self.lanes.iter().map(move |lanes| (control, lanes)))
    }

    fn path(&self, round_trip: u64, loss: f64) -> Conditions {
        let path = Conditions::round_trip(round_trip).with_loss(loss / 100.0);
        let of_one_lane = self.one_lane.map(|size| (size + AROUND.0, size + AROUND.1));
        let lost_sizes = of_one_lane.or(self.lost_from.map(|least| (least, usize::MAX)));
        let path = Conditions { lost_sizes, ..path };
        self.megabits.map_or(path, |megabits| path.with_rate(megabits, self.queue << 10))
    }
}

/// The nodes are this very program.
fn setup(kind: Kind, congestion: Option<Congestion>, lanes: u8) -> Setup {
    let program = std::env::current_exe().expect("the system knows the running program");
    let state = std::env::temp_dir();
    let text = |path: PathBuf| path.into_os_string().into_string().expect("paths are text");
    Setup::new(kind, &text(program), &text(state)).with_rust_arguments(&[
        "node",
        "--lanes",
        &lanes.to_string(),
        "--congestion",
        congestion.unwrap_or_default().name(),
    ])
}

struct Run<'a> {
    options: &'a Options,
    /// Sends.
    a: Node,
    /// Receives.
    b: Node,
    /// A message that is under way for longer, in microseconds, has waited for something that was lost.
    later: u32,
}

/// Receivers that are sent messages of one size, in turn.
struct Group {
    pids: Vec<u64>,
    /// Where they are among all sinks.
    places: Vec<Range<usize>>,
    size: usize,
}

struct Measured {
    sent: Streamed,
    got: Received,
    /// Those that were to lose packets, where not all were.
    harmed: Option<(Streamed, Received)>,
    bulk: Value,
    pinged: Option<(Pinged, Vec<(u64, u64)>)>,
}

impl Run<'_> {
    fn warm_up(&mut self) {
        let sink = self.b.sinks(1);
        let Options { rate, size, .. } = *self.options;
        let count = rate * WARM_UP.as_secs();
        let stream = self.a.stream(&self.b.addr, &sink, count, size, 1_000_000 / rate);
        self.wait(|run| run.a.streamed(stream).done && run.b.received().received >= count);
    }

    fn measured(&mut self) -> Measured {
        let Options { actors, seconds, bulk, pings, .. } = *self.options;
        let (sinks, bulk_sink) = (self.b.sinks(actors), self.b.sinks(1));
        // The first sink is that of the warm-up.
        let large = 1 + actors..2 + actors;
        let (all, harmed) = self.groups(&sinks);
        if pings {
            self.a.ping(&self.b.addr, u32::try_from(seconds * 50).unwrap_or(u32::MAX), 20);
        }
        if self.options.unread {
            let unread = self.b.unread();
            self.a.flood(&self.b.addr, unread, 10_000_000, 1000);
        }
        let start = Instant::now();
        let bulk_stream = self.a.stream(&self.b.addr, &bulk_sink, bulk, MIB, 0);
        let stream = self.send(&all);
        let harmed_stream = harmed.as_ref().map(|group| self.send(group));
        let (sent, got) = self.account(stream, &all);
        let harmed = harmed_stream.zip(harmed).map(|(stream, group)| self.account(stream, &group));
        self.wait(|run| run.b.received_by(large.clone()).received >= bulk);
        let took = start.elapsed();
        let bulk =
            (bulk > 0).then(|| bulk_report(&self.a.streamed(bulk_stream), &self.b.received_by(large), took));
        let pinged = pings.then(|| (self.a.pinged(), self.a.trips()));
        Measured { sent, got, harmed, bulk: json!(bulk), pinged }
    }

    /// All receivers; or those of one lane, which are to lose packets, behind all others.
    fn groups(&mut self, sinks: &[u64]) -> (Group, Option<Group>) {
        let size = self.options.size;
        let group = |places: Vec<usize>, size| Group {
            pids: places.iter().map(|place| sinks[*place]).collect(),
            places: places.iter().map(|place| 1 + place..2 + place).collect(),
            size,
        };
        let all = 0..sinks.len();
        let Some(large) = self.options.one_lane else { return (group(all.collect(), size), None) };
        let lanes = self.a.lanes(&self.b.addr, sinks);
        let (mut harmed, mut others): (Vec<_>, Vec<_>) = all.partition(|place| lanes[*place] == lanes[0]);
        if others.is_empty() {
            others = harmed.split_off(sinks.len() / 4);
        }
        (group(others, size), Some(group(harmed, large)))
    }

    /// Starts to send a group its part of the messages.
    fn send(&mut self, group: &Group) -> StreamId {
        let Options { actors, rate, seconds, .. } = *self.options;
        let (part, actors) = (group.pids.len() as u64, actors as u64);
        let (count, gap) = (rate * seconds * part / actors, 1_000_000 * actors / (rate * part).max(1));
        self.a.stream(&self.b.addr, &group.pids, count, group.size, gap)
    }

    /// What became of it, when all is there.
    fn account(&mut self, stream: StreamId, group: &Group) -> (Streamed, Received) {
        self.wait(|run| {
            let sent = run.a.streamed(stream);
            sent.done && run.b.received_later(&group.places, u32::MAX).received >= sent.accepted
        });
        (self.a.streamed(stream), self.b.received_later(&group.places, self.later))
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

/// Half a round trip, and what a busy machine may add.
fn later(round_trip: u64) -> u32 {
    u32::try_from(round_trip * 500).unwrap_or(u32::MAX).saturating_add(STRAY)
}

fn bulk_report(sent: &Streamed, got: &Received, took: Duration) -> Value {
    json!({
        "mib": got.received,
        "clean": is_clean(sent, got),
        "all_after_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn harmed_report(got: &Received) -> Value {
    json!({ "received": got.received, "waited": got.later, "p50_us": got.p50, "p99_us": got.p99 })
}

/// `unharmed` took those that certainly lost nothing.
fn ping_report(pinged: &Pinged, mut unharmed: Vec<u32>) -> Value {
    let count = unharmed.len();
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| quantile(&mut unharmed, share));
    json!({
        "answered": pinged.answered,
        "failed": pinged.failed,
        "p50_us": pinged.p50,
        "p99_us": pinged.p99,
        "max_us": pinged.max,
        "unharmed": { "count": count, "p50_us": p50, "p99_us": p99, "max_us": most },
    })
}

fn is_clean(sent: &Streamed, got: &Received) -> bool {
    let all = sent.done && got.received == sent.accepted && got.sum == sent.sum;
    all && (got.missing, got.repeated, got.late, got.corrupt) == (0, 0, 0, 0)
}

fn kind(name: &str) -> Result<Kind, String> {
    [Kind::Tcp, Kind::Quic]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| "tcp or quic".to_owned())
}
