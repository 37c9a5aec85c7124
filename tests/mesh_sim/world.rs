//! A few nodes that talk to each other while their network and their processes fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};

use myrmidon::Pid;
use myrmidon::actor::ExitReason;
use myrmidon::config::NodeConfig;
use myrmidon::node::{DownReason, Node, RemoteMonitor};
use myrmidon::sim::Random;
use myrmidon::transport::{NodeAddr, Transport};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep};

use crate::actors::{ACTORS, Actors, pid};
use crate::ledger::{Ledger, Life};
use crate::network::{Mischief, Network};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
/// After the last fault everything is well again within this (F15).
const CONVERGED: Duration = Duration::from_secs(15);
/// The queue of a node for one peer.
const QUEUE: usize = 200;
const QUEUE_BYTES: usize = 256 << 10;
/// What an actor's mailbox may hold before its senders are asked to wait.
const MAILBOX: usize = 30;
/// What may be under way on one link.
const CREDIT: u32 = 50;
/// The longest message, which takes several chunks.
const LONGEST: usize = 150_000;

pub(crate) struct World {
    random: Random,
    network: Network,
    pub(crate) ledger: Ledger,
    hosts: Vec<Host>,
    /// How long it goes on being disturbed.
    disturbed: Duration,
}

/// A machine on which a node runs, in one life after the other.
struct Host {
    number: usize,
    config: NodeConfig,
    life: u64,
    running: Option<Running>,
    /// Lives that ended without a word.
    crashed: BTreeSet<u64>,
    /// Lives that were shut down, with the number of messages that they could not account for.
    left: BTreeMap<u64, usize>,
    /// What is left of each life in memory has one of these.
    transports: Vec<Weak<dyn Transport>>,
}

struct Running {
    node: Node,
    actors: Arc<Actors>,
    /// The monitor of each peer, by the ledger's number.
    monitors: BTreeMap<usize, (usize, RemoteMonitor)>,
    /// Monitors that are taken back.
    passing: BTreeMap<usize, (usize, RemoteMonitor)>,
    /// Actors to which a task sends in order.
    busy: Arc<Mutex<BTreeSet<Pid>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    pub(crate) fn new(seed: u64, mischief: Mischief) -> Self {
        let mut random = Random::stream(seed, 0);
        let network = Network::new(Random::stream(seed, 1), mischief);
        let nodes = 2 + random.below(4) as usize;
        let hosts = (0..nodes).map(|number| Host::new(number, seed, &mut random)).collect();
        let disturbed = S * (5 + random.below(15) as u32);
        Self { random, network, ledger: Ledger::new(), hosts, disturbed }
    }

    /// Lets everything happen, and looks at what came of it.
    pub(crate) async fn run(&mut self) -> Result<(), String> {
        for host in &mut self.hosts {
            host.start(&self.network, &self.ledger).await;
        }
        let until = Instant::now() + self.disturbed;
        while Instant::now() < until && !self.ledger.has_faults() {
            sleep(MS * self.random.below(300) as u32).await;
            self.something_happens().await;
            self.check_bounds();
        }
        self.calm_down().await;
        self.end().await;
        self.ledger.verdict()
    }

    async fn something_happens(&mut self) {
        let (one, other) = self.two_hosts();
        match self.random.below(33) {
            0..16 => self.send(one, other),
            // Both begin at once.
            16 | 17 => {
                self.send(one, other);
                self.send(other, one);
            }
            18 => self.come_and_go(one, other),
            19 => self.ping(one, other),
            20 => self.resolve(one, other),
            21 | 22 => self.cut(one, other),
            23 => self.sever(one, other),
            24 => self.refuse(one),
            25 => self.freeze(one),
            26 | 27 => self.change_pace(one),
            28 => self.end_actor(one),
            29 => self.crash(one).await,
            30 => self.leave(one).await,
            31 => self.swizzle(),
            _ => sleep(S * self.random.below(4) as u32).await,
        }
    }

    fn two_hosts(&mut self) -> (usize, usize) {
        let hosts = self.hosts.len() as u64;
        let one = self.random.below(hosts);
        let other = (one + 1 + self.random.below(hosts - 1)) % hosts;
        (one as usize, other as usize)
    }

    /// A few messages to one actor, either as many as are taken at once or one after the other.
    fn send(&mut self, from: usize, to: usize) {
        let actor = self.random.below(ACTORS.into()) as u32;
        let (count, longest) = match self.random.below(16) {
            0 => (2, LONGEST as u64),
            1..5 => (1 + self.random.below(10), 5000),
            _ => (1 + self.random.below(60), 100),
        };
        let lens: Vec<_> = (0..count).map(|_| self.random.below(longest) as usize).collect();
        let life = self.hosts[to].now();
        let waits = self.random.one_in(2);
        self.hosts[from].send(life, actor, &lens, waits, &self.ledger);
    }

    fn come_and_go(&mut self, from: usize, to: usize) {
        let (actor, life) = (self.random.below(ACTORS.into()) as u32, self.hosts[to].now());
        self.hosts[from].come_and_go(life, actor, &self.ledger);
    }

    fn ping(&mut self, from: usize, to: usize) {
        let Some(running) = &mut self.hosts[from].running else { return };
        let (node, addr) = (running.node.clone(), addr(to));
        running.spawn(async move { drop(node.ping(&addr).await) });
    }

    fn resolve(&mut self, from: usize, to: usize) {
        let Some(running) = &mut self.hosts[from].running else { return };
        let (node, addr, actor) = (running.node.clone(), addr(to), self.random.below(6));
        running.spawn(async move { drop(node.resolve(&addr, &format!("actor-{actor}")).await) });
    }

    /// One direction or both, for a while that may be shorter or longer than a heartbeat forgives.
    fn cut(&mut self, one: usize, other: usize) {
        let (one, other) = (name(one), name(other));
        let both = self.random.one_in(2);
        let lasts = MS * self.random.below(12_000) as u32;
        self.ledger.note(format!("{one} to {other} is cut, both ways: {both}, for {lasts:?}"));
        let network = self.network.clone();
        network.cut(&one, &other, true);
        if both {
            network.cut(&other, &one, true);
        }
        drop(tokio::spawn(async move {
            sleep(lasts).await;
            network.cut(&one, &other, false);
            if both {
                network.cut(&other, &one, false);
            }
        }));
    }

    /// Some hosts lose everybody one after the other, and come back in another order (F15).
    fn swizzle(&mut self) {
        for host in 0..self.hosts.len() {
            if self.random.one_in(2) {
                continue;
            }
            let (lost, back) = (MS * self.random.below(3000) as u32, MS * self.random.below(4000) as u32);
            self.ledger
                .note(format!("{host} loses everybody in {lost:?}, and is back in {:?}", 4 * S + back));
            let others: Vec<_> = (0..self.hosts.len()).filter(|other| *other != host).map(name).collect();
            let (network, host) = (self.network.clone(), name(host));
            let all = move |cut| {
                for other in &others {
                    network.cut(&host, other, cut);
                    network.cut(other, &host, cut);
                }
            };
            drop(tokio::spawn(async move {
                sleep(lost).await;
                all(true);
                sleep(4 * S + back - lost).await;
                all(false);
            }));
        }
    }

    fn sever(&mut self, one: usize, other: usize) {
        let within = [S / 100, S, 20 * S][self.random.below(3) as usize];
        self.ledger.note(format!("connections of {one} and {other} break"));
        self.network.sever(&name(one), &name(other), within);
    }

    fn refuse(&mut self, host: usize) {
        self.ledger.note(format!("{host} refuses to be dialled"));
        let (network, lasts) = (self.network.clone(), MS * self.random.below(5000) as u32);
        network.refuse(&name(host), true);
        drop(tokio::spawn(async move {
            sleep(lasts).await;
            network.refuse(&name(host), false);
        }));
    }

    fn freeze(&mut self, host: usize) {
        let Some(running) = &self.hosts[host].running else { return };
        self.ledger.note(format!("the scheduler of {host} is frozen"));
        running.actors.freeze();
        let (actors, lasts) = (running.actors.clone(), MS * self.random.below(10_000) as u32);
        drop(tokio::spawn(async move {
            sleep(lasts).await;
            actors.thaw();
        }));
    }

    fn change_pace(&mut self, host: usize) {
        let Some(running) = &self.hosts[host].running else { return };
        let actor = self.random.below(ACTORS.into()) as u32;
        let pace = [None, Some(50 * MS), Some(MS), Some(Duration::ZERO)][self.random.below(4) as usize];
        self.ledger.note(format!("actor {actor} of {host} takes {pace:?} for a message"));
        running.actors.pace(actor, pace);
    }

    /// Actor 0 ends with its node only: it is the one that is monitored.
    fn end_actor(&mut self, host: usize) {
        let Some(running) = &self.hosts[host].running else { return };
        let actor = 1 + self.random.below(u64::from(ACTORS) - 1) as u32;
        self.ledger.note(format!("actor {actor} of {host} ends"));
        running.actors.end(actor, &ExitReason::Normal);
    }

    /// The process dies; its peers are told by their systems, or only by its silence.
    async fn crash(&mut self, host: usize) {
        let silent = self.random.one_in(2);
        self.ledger.note(format!("{host} crashes, silently: {silent}"));
        let others: Vec<_> = (0..self.hosts.len()).filter(|other| *other != host).collect();
        if silent {
            for other in &others {
                self.network.sever(&name(host), &name(*other), 20 * S);
            }
        }
        self.hosts[host].crash();
        sleep(MS * self.random.below(3000) as u32).await;
        self.hosts[host].start(&self.network, &self.ledger).await;
    }

    /// A node leaves in good order, and another comes in its place.
    async fn leave(&mut self, host: usize) {
        let drain = MS * self.random.below(4000) as u32;
        self.ledger.note(format!("{host} leaves within {drain:?}"));
        self.hosts[host].leave(drain, &self.ledger).await;
        self.hosts[host].start(&self.network, &self.ledger).await;
    }

    fn check_bounds(&self) {
        for host in &self.hosts {
            let Some(running) = &host.running else { continue };
            for peer in running.node.peers() {
                // One queue for the address, one for the link.
                if peer.queued_messages > 2 * QUEUE || peer.queued_bytes > 2 * (QUEUE_BYTES + LONGEST) {
                    self.ledger.fault(format!("L10: {} holds {peer:?}", host.number));
                }
            }
            let (longest, links) = (running.actors.longest(), self.network.opened(&name(host.number)));
            if longest > MAILBOX + (links + 1) * CREDIT as usize {
                self.ledger.fault(format!("L12: a mailbox held {longest} messages over {links} links"));
            }
        }
    }

    /// No more faults: what has to be true then.
    async fn calm_down(&mut self) {
        self.ledger.note("all is well from now on");
        self.network.heal();
        for host in &self.hosts {
            let Some(running) = &host.running else { continue };
            running.actors.thaw();
            (0..ACTORS).for_each(|actor| running.actors.pace(actor, Some(Duration::ZERO)));
        }
        self.converge().await;
        self.say_something_new().await;
        self.one_link_each().await;
        self.check_monitors().await;
        self.check_losses();
    }

    /// Everybody reaches everybody.
    async fn converge(&mut self) {
        let until = Instant::now() + CONVERGED;
        for (from, to) in self.pairs() {
            let node = self.hosts[from].node();
            while let Err(error) = node.ping(&addr(to)).await {
                self.ledger.note(format!("{from} does not reach {to}: {error}"));
                if Instant::now() > until {
                    return self.ledger.fault(format!("F15: {from} does not reach {to} after {CONVERGED:?}"));
                }
                sleep(50 * MS).await;
            }
        }
        // Whoever sends now does so over what lasts.
        sleep(12 * S).await;
    }

    /// What is sent now arrives.
    async fn say_something_new(&mut self) {
        let before = self.ledger.messages().len();
        for (from, to) in self.pairs() {
            let life = self.hosts[to].now();
            self.hosts[from].send(life, 0, &[8; 3], true, &self.ledger);
        }
        sleep(3 * S).await;
        for (number, message) in self.ledger.messages().iter().enumerate().skip(before) {
            if !message.arrived {
                self.ledger
                    .fault(format!("message {number} has not arrived though all is well: {message:?}"));
            }
        }
        for host in &self.hosts {
            for peer in host.node().peers() {
                if peer.queued_messages + peer.queued_bytes > 0 {
                    self.ledger.fault(format!("{} still holds {peer:?}", host.number));
                }
            }
        }
    }

    async fn one_link_each(&mut self) {
        for (one, other) in self.pairs().into_iter().filter(|(one, other)| one < other) {
            let open = self.network.open_between(&name(one), &name(other));
            if open != 1 {
                self.ledger.fault(format!("F12: {open} connections are open between {one} and {other}"));
            }
        }
    }

    /// Monitors of what is gone have fired; the others do when their actor ends.
    async fn check_monitors(&mut self) {
        let stands = |ledger: &Ledger, hosts: &[Host], number: usize| {
            let monitor = &ledger.monitors()[number];
            hosts[monitor.owner.0].now() == monitor.owner && monitor.fired.is_none() && !monitor.taken_back
        };
        let numbers = 0..self.ledger.monitors().len();
        for number in numbers.clone().filter(|number| stands(&self.ledger, &self.hosts, *number)) {
            let monitor = &self.ledger.monitors()[number];
            let now = self.hosts[monitor.node].now();
            if (0..ACTORS).all(|actor| monitor.pid != pid(now, actor)) {
                self.ledger
                    .fault(format!("G6: monitor {number} of an earlier life has not fired: {monitor:?}"));
            }
        }
        for host in &self.hosts {
            let Some(running) = &host.running else { continue };
            (0..ACTORS).for_each(|actor| running.actors.end(actor, &ExitReason::Shutdown));
        }
        sleep(3 * S).await;
        for number in numbers.filter(|number| stands(&self.ledger, &self.hosts, *number)) {
            self.ledger.fault(format!("G6: monitor {number} does not fire at the end of its actor"));
        }
    }

    fn check_losses(&self) {
        let lives: Vec<_> = self.hosts.iter().map(Host::now).collect();
        for host in &self.hosts {
            for (life, unconfirmed) in &host.left {
                let missing = self.ledger.untold((host.number, *life), &lives);
                if missing > *unconfirmed {
                    let text = format!("G8: {missing} messages are missing, {unconfirmed} were said to be");
                    self.ledger.fault(text);
                }
            }
        }
        self.ledger.check_losses(&lives);
    }

    /// All nodes leave, and of none, in whichever of its lives, anything is left in memory.
    async fn end(&mut self) {
        for host in &mut self.hosts {
            host.leave(S, &self.ledger).await;
        }
        sleep(60 * S).await;
        for host in &self.hosts {
            let left = (1..).zip(&host.transports).find(|(_, node)| node.strong_count() > 0);
            if let Some((life, node)) = left {
                let owners = node.strong_count();
                self.ledger
                    .fault(format!("life {life} of {} is still in memory, {owners} times", host.number));
            }
        }
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let all = 0..self.hosts.len();
        all.clone()
            .flat_map(|one| all.clone().map(move |other| (one, other)))
            .filter(|(a, b)| a != b)
            .collect()
    }
}

impl Host {
    fn new(number: usize, seed: u64, random: &mut Random) -> Self {
        let config = NodeConfig {
            message_lanes: random.below(5) as u8,
            bulk_slots: random.below(3) as u8,
            bulk_above: 1 << 10,
            max_bulk_payload: LONGEST,
            max_accepted_payload: LONGEST,
            outbound_messages: QUEUE,
            outbound_bytes: QUEUE_BYTES,
            credit_messages: CREDIT,
            credit_bytes: 32 << 10,
            actor_messages: MAILBOX,
            actor_bytes: 8 << 10,
            seed: Some(seed.wrapping_mul(100).wrapping_add(number as u64)),
            ..NodeConfig::default()
        };
        let (crashed, left, transports) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        Self { number, config, life: 0, running: None, crashed, left, transports }
    }

    /// The node in its present life, or in its last one.
    fn now(&self) -> Life {
        (self.number, self.life)
    }

    fn node(&self) -> Node {
        self.running.as_ref().expect("it runs again by then").node.clone()
    }

    async fn start(&mut self, network: &Network, ledger: &Ledger) {
        self.life += 1;
        ledger.note(format!("{} begins its life {}", self.number, self.life));
        let actors = Actors::new(self.now(), ledger.clone());
        let seed = self.config.seed.map(|seed| seed.wrapping_add(self.life << 40));
        let config = NodeConfig { seed, ..self.config.clone() };
        let transport = network.transport(&name(self.number));
        self.transports.push(Arc::downgrade(&transport));
        let node = Node::new(transport, actors.clone(), tokio::runtime::Handle::current(), config);
        node.listen(&addr(self.number)).await.unwrap();
        let (monitors, passing, tasks) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        self.running = Some(Running { node, actors, monitors, passing, busy: Arc::default(), tasks });
    }

    fn crash(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.tasks.iter().for_each(JoinHandle::abort);
        self.crashed.insert(self.life);
    }

    async fn leave(&mut self, drain: Duration, ledger: &Ledger) {
        let Some(running) = self.running.take() else { return };
        let unconfirmed = running.node.shutdown(drain).await;
        ledger.note(format!("{} has left, {unconfirmed} messages are not confirmed", self.number));
        self.left.insert(self.life, unconfirmed);
    }

    /// Takes a monitor back, or makes one if there is none.
    fn come_and_go(&mut self, peer: Life, actor: u32, ledger: &Ledger) {
        let me = self.now();
        let Some(running) = &mut self.running else { return };
        match running.passing.remove(&peer.0) {
            Some((number, monitor)) => {
                if running.node.demonitor(monitor) {
                    ledger.taken_back(number);
                }
            }
            None => {
                let made = running.make_monitor(me, peer, actor, ledger);
                running.passing.insert(peer.0, made);
            }
        }
    }

    fn send(&mut self, to: Life, actor: u32, lens: &[usize], waits: bool, ledger: &Ledger) {
        let (from, pid) = (self.now(), pid(to, actor));
        let Some(running) = &mut self.running else { return };
        if running.busy.lock().unwrap().contains(&pid) {
            return;
        }
        let monitor = running.monitor(from, to, ledger);
        let (node, addr) = (running.node.clone(), addr(to.0));
        let messages: Vec<_> = lens.iter().map(|len| ledger.send(from, to, pid, monitor, *len)).collect();
        if !waits {
            for (number, data) in messages {
                ledger.answered(number, node.try_send(&addr, pid, data).is_ok());
            }
            return;
        }
        running.busy.lock().unwrap().insert(pid);
        let (busy, ledger) = (running.busy.clone(), ledger.clone());
        running.spawn(async move {
            for (number, data) in messages {
                ledger.answered(number, node.send(&addr, pid, data).await.is_ok());
            }
            busy.lock().unwrap().remove(&pid);
        });
    }
}

impl Running {
    /// A task that ends with the process.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.retain(|task| !task.is_finished());
        self.tasks.push(tokio::spawn(task));
    }

    /// The monitor of a peer that stands, a new one if there is none.
    fn monitor(&mut self, me: Life, peer: Life, ledger: &Ledger) -> usize {
        if let Some((number, _)) = self.monitors.get(&peer.0)
            && ledger.stands(*number, pid(peer, 0))
        {
            return *number;
        }
        let made = self.make_monitor(me, peer, 0, ledger);
        self.monitors.insert(peer.0, made);
        self.monitors[&peer.0].0
    }

    fn make_monitor(&self, me: Life, peer: Life, actor: u32, ledger: &Ledger) -> (usize, RemoteMonitor) {
        let target = pid(peer, actor);
        let number = ledger.monitor(me, peer.0, target);
        let told = ledger.clone();
        let on_down = Box::new(move |down| told.fired(number, down));
        (number, self.node.monitor(&addr(peer.0), target, on_down))
    }
}

/// Whether a monitor has told of a loss, and not of the end of an actor.
pub(crate) fn tells_of_loss(reason: Option<&DownReason>) -> bool {
    matches!(reason, Some(reason) if !matches!(reason, DownReason::Ended(_)))
}

fn name(host: usize) -> String {
    format!("host-{host}")
}

fn addr(host: usize) -> NodeAddr {
    NodeAddr::new(name(host), 1)
}
