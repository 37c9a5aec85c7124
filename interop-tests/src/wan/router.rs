//! The router: takes packets from the hosts, and hands each over when its path says so.
//!
//! One thread with a tokio runtime of its own. A task per host reads its device and asks the path; one
//! task keeps what is under way in the order of arrival and writes it. Timers are a millisecond fine.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{Notify, oneshot};
use tun_rs::{AsyncDevice, SyncDevice};

use super::conditions::Conditions;
use super::packet::{Opening, Port, change_port, destination, opening};
use super::path::{Path, Tally};

/// Longer than any packet that a device hands out.
const LONGEST: usize = 2048;
/// Packets under way, over all paths; more are lost, and counted as overflow.
const UNDER_WAY: usize = 200_000;

/// The hosts by number, in the order in which they were given.
pub(super) type HostNumber = usize;

pub(super) struct Router {
    state: Arc<State>,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    addrs: Vec<Ipv4Addr>,
    network: Mutex<Network>,
    /// Something is under way that arrives before everything else.
    sooner: Notify,
}

struct Network {
    /// By sender, then receiver.
    paths: Vec<Vec<Path>>,
    /// By host: the bits by which the others see its ports changed.
    translations: Vec<u16>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    /// Keeps packets with the same time in their order.
    admitted: u64,
    openings: Openings,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    arrives: Instant,
    number: u64,
    from: HostNumber,
    to: HostNumber,
    packet: Vec<u8>,
}

impl Router {
    /// Starts the router between these hosts. `seed` decides all chance.
    pub(super) fn start(hosts: Vec<(Ipv4Addr, SyncDevice)>, seed: u64) -> io::Result<Self> {
        let (addrs, devices): (Vec<_>, Vec<_>) = hosts.into_iter().unzip();
        let state = Arc::new(State {
            network: Mutex::new(Network::new(addrs.len(), seed)),
            addrs,
            sooner: Notify::new(),
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let routed = state.clone();
        let thread = std::thread::Builder::new().name("wan-router".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    Err(error) = route(routed, devices) => eprintln!("the router of the WAN broke: {error}"),
                }
            });
        })?;
        Ok(Self { state, stop: Some(stop), thread: Some(thread) })
    }

    /// Changes the path from one host to another.
    pub(super) fn change(&self, from: HostNumber, to: HostNumber, conditions: Conditions) {
        self.state.network().paths[from][to].conditions = conditions;
    }

    /// Cuts or heals the path from one host to another.
    pub(super) fn cut(&self, from: HostNumber, to: HostNumber, is_cut: bool) {
        self.state.network().paths[from][to].is_cut = is_cut;
    }

    /// Gives `host` new ports in the eyes of the others.
    pub(super) fn translate(&self, host: HostNumber) {
        let mut network = self.state.network();
        let translations = &mut network.translations;
        // Every time other bits than before, and never none.
        translations[host] = translations[host] % 0x0fff + 1;
    }

    pub(super) fn tally(&self, from: HostNumber, to: HostNumber) -> Tally {
        self.state.network().paths[from][to].tally()
    }

    /// When packets from one host to another came that were lost: by chance, for want of room or as the path was cut.
    pub(super) fn lost_at(&self, from: HostNumber, to: HostNumber) -> Vec<Instant> {
        self.state.network().paths[from][to].lost_at().to_vec()
    }

    /// Connections that `from` has tried to open at `to`.
    pub(super) fn attempts(&self, from: HostNumber, to: HostNumber) -> usize {
        self.state.network().openings.count(from, to)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A router that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl State {
    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a packet from a host.
    fn take(&self, from: HostNumber, packet: &[u8], now: Instant) {
        let to = destination(packet).and_then(|addr| self.addrs.iter().position(|host| *host == addr));
        // Anything else is for nobody: broadcasts, IPv6, or an address that is not here.
        let Some(to) = to.filter(|to| *to != from) else { return };
        if self.network().admit(from, to, packet, now) {
            self.sooner.notify_one();
        }
    }

    /// What has arrived by `now`, or the time at which something will.
    fn next(&self, now: Instant) -> Result<Option<UnderWay>, Option<Instant>> {
        let mut network = self.network();
        let arrives = network.under_way.peek().map(|Reverse(first)| first.arrives);
        match arrives {
            Some(arrives) if arrives <= now => Ok(network.arrive()),
            later => Err(later),
        }
    }
}

impl Network {
    fn new(hosts: usize, seed: u64) -> Self {
        let path = |from, to| Path::new(Conditions::PERFECT, seed ^ (from << 32 | to) as u64);
        let paths = (0..hosts).map(|from| (0..hosts).map(|to| path(from, to)).collect()).collect();
        let translations = vec![0; hosts];
        Self { paths, translations, under_way: BinaryHeap::new(), admitted: 0, openings: Openings::default() }
    }

    /// True if the packet arrives before everything that is under way.
    fn admit(&mut self, from: HostNumber, to: HostNumber, packet: &[u8], now: Instant) -> bool {
        if let Some(opening) = opening(packet) {
            self.openings.note(from, to, &opening);
        }
        let before = self.under_way.peek().map(|Reverse(first)| first.number);
        for arrives in self.paths[from][to].admit(now, packet.len()).into_iter().flatten() {
            if self.under_way.len() == UNDER_WAY {
                self.paths[from][to].overflowed();
                continue;
            }
            let mut packet = packet.to_vec();
            change_port(&mut packet, Port::Source, self.translations[from]);
            let number = self.admitted;
            self.admitted += 1;
            self.under_way.push(Reverse(UnderWay { arrives, number, from, to, packet }));
        }
        self.under_way.peek().map(|Reverse(first)| first.number) != before
    }

    /// The first packet under way; `None` if its path was cut in the meantime.
    fn arrive(&mut self) -> Option<UnderWay> {
        let Reverse(mut arriving) = self.under_way.pop()?;
        let path = &mut self.paths[arriving.from][arriving.to];
        if path.is_cut {
            path.lost_in_the_cut();
            return None;
        }
        change_port(&mut arriving.packet, Port::Destination, self.translations[arriving.to]);
        Some(arriving)
    }
}

/// The connections that were opened, by the packets that open them.
#[derive(Default)]
struct Openings {
    /// Sender, receiver, and what tells one connection from another.
    seen: HashSet<(HostNumber, HostNumber, Vec<u8>)>,
    /// Those of them that answer a connection of the other side.
    answers: HashSet<(HostNumber, HostNumber, Vec<u8>)>,
}

impl Openings {
    fn note(&mut self, from: HostNumber, to: HostNumber, opening: &Opening<'_>) {
        let own = (from, to, opening.own.to_vec());
        let is_answer = self.seen.contains(&(to, from, opening.addressed.to_vec()));
        if self.seen.insert(own.clone()) && is_answer {
            self.answers.insert(own);
        }
    }

    fn count(&self, from: HostNumber, to: HostNumber) -> usize {
        let on_this_path = |(a, b, _): &&(HostNumber, HostNumber, Vec<u8>)| (*a, *b) == (from, to);
        self.seen.iter().filter(on_this_path).count() - self.answers.iter().filter(on_this_path).count()
    }
}

async fn route(state: Arc<State>, devices: Vec<SyncDevice>) -> io::Result<()> {
    let devices = devices.into_iter().map(|device| AsyncDevice::new(device).map(Arc::new));
    let devices = devices.collect::<io::Result<Vec<_>>>()?;
    let mut tasks = tokio::task::JoinSet::new();
    for (from, device) in devices.iter().cloned().enumerate() {
        tasks.spawn(read(state.clone(), from, device));
    }
    tasks.spawn(write(state, devices));
    match tasks.join_next().await {
        Some(Ok(ended)) => ended,
        _ => Err(io::Error::other("a task ended")),
    }
}

async fn read(state: Arc<State>, from: HostNumber, device: Arc<AsyncDevice>) -> io::Result<()> {
    let mut packet = vec![0; LONGEST];
    loop {
        let len = device.recv(&mut packet).await?;
        state.take(from, &packet[..len], Instant::now());
    }
}

async fn write(state: Arc<State>, devices: Vec<Arc<AsyncDevice>>) -> io::Result<()> {
    loop {
        let sooner = state.sooner.notified();
        match state.next(Instant::now()) {
            Ok(Some(UnderWay { to, packet, .. })) => {
                devices[to].send(&packet).await?;
                // The readers have a turn too, however much arrives at once.
                tokio::task::yield_now().await;
            }
            Ok(None) => {}
            Err(Some(at)) => tokio::select! {
                () = sooner => {}
                () = tokio::time::sleep_until(at.into()) => {}
            },
            Err(None) => sooner.await,
        }
    }
}
