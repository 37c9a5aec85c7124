//! Actors of a few nodes that ask, link, watch, follow and stop each other while their network and their
//! processes fail. Some nodes know the documented framing only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use bytes::Bytes;
use myrmidon::actor::{AskError, SpawnOptions};
use myrmidon::config::{Level, NodeConfig, RuntimeConfig};
use myrmidon::node::Target;
use myrmidon::sim::Random;
use myrmidon::transport::{NodeAddr, Transport};
use myrmidon::{Pid, Runtime, Sim};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep};

use crate::clerk::{Clerk, Mood, content};
use crate::deeds::{Bond, Deeds};
use crate::ledger::{Ledger, Life};
use crate::network::{Mischief, Network};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
/// After the last fault everything is well again within this (F15).
const CONVERGED: Duration = Duration::from_secs(15);
/// Actors of each node that have names.
const CLERKS: u64 = 3;
/// Those that link and watch, which nobody else stops.
const WITNESSES: usize = 2;
/// The longest message, in chunks.
const LONGEST: u64 = 60_000;

pub(crate) struct Society {
    random: Random,
    network: Network,
    pub(crate) ledger: Ledger,
    pub(crate) deeds: Deeds,
    hosts: Vec<Host>,
    disturbed: Duration,
}

struct Host {
    number: usize,
    config: NodeConfig,
    life: u64,
    running: Option<Running>,
    /// Those of all its lives, which end with the node that has them.
    transports: Vec<Weak<dyn Transport>>,
}

struct Running {
    sim: Sim,
    witnesses: Vec<Pid>,
    /// The PIDs here of clerks elsewhere, by host and name.
    known: Known,
    tasks: Vec<JoinHandle<()>>,
}

type Known = Arc<Mutex<BTreeMap<(usize, u64, bool), Pid>>>;

impl Society {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::stream(seed, 10);
        let network = Network::new(Random::stream(seed, 11), Mischief::None);
        let ledger = Ledger::new();
        let deeds = Deeds::new(ledger.clone());
        let nodes = 2 + random.below(4) as usize;
        let mixed = !network.is_authenticated() && random.one_in(2);
        let hosts = (0..nodes).map(|number| Host::new(number, seed, mixed, &mut random)).collect();
        let disturbed = S * (5 + random.below(15) as u32);
        Self { random, network, ledger, deeds, hosts, disturbed }
    }

    pub(crate) async fn run(&mut self) -> Result<(), String> {
        for host in &mut self.hosts {
            host.start(&self.network, &self.deeds, &self.ledger).await;
        }
        for _ in 0..3 * self.hosts.len() {
            let (one, other) = self.two_hosts();
            self.find(one, other);
        }
        sleep(S).await;
        let until = Instant::now() + self.disturbed;
        while Instant::now() < until && !self.ledger.has_faults() {
            sleep(MS * self.random.below(100) as u32).await;
            self.something_happens().await;
        }
        self.calm_down().await;
        self.end().await;
        self.ledger.verdict()
    }

    async fn something_happens(&mut self) {
        let (one, other) = self.two_hosts();
        match self.random.below(40) {
            0..5 => self.find(one, other),
            5..12 => self.send(one, other),
            12..19 => self.ask(one, other),
            19..23 => self.link(one, other),
            23 | 24 => self.monitor(one, other),
            25..28 => self.end_clerk(one, other),
            28..32 => self.hire(one),
            32 | 33 => self.cut(one, other),
            34 => self.sever(one, other),
            35 => self.crash(one).await,
            36 => self.leave(one).await,
            37 => self.end_witness(one),
            _ => sleep(S * self.random.below(2) as u32).await,
        }
    }

    fn two_hosts(&mut self) -> (usize, usize) {
        let hosts = self.hosts.len() as u64;
        let one = self.random.below(hosts);
        let other = (one + 1 + self.random.below(hosts - 1)) % hosts;
        (one as usize, other as usize)
    }

    /// Looks a clerk up once, or follows his name.
    fn find(&mut self, from: usize, to: usize) {
        let (clerk, follow) = (self.random.below(CLERKS), self.random.one_in(2));
        let Some(running) = &mut self.hosts[from].running else { return };
        let (rt, known) = (running.runtime(), running.known.clone());
        running.spawn(async move {
            let name = clerk_name(clerk);
            let found = match follow {
                true => rt.follow(&addr(to), name).await,
                false => rt.remote(&addr(to), Target::Name(name)).await,
            };
            drop(rt);
            if let Ok(pid) = found {
                lock(&known).insert((to, clerk, follow), pid);
            }
        });
    }

    /// A PID that was found at `from` for somebody at `to`, dead or alive.
    fn pick(&mut self, from: usize, to: usize) -> Option<(Pid, bool)> {
        let running = self.hosts[from].running.as_ref()?;
        let known: Vec<_> = lock(&running.known)
            .iter()
            .filter(|((host, ..), _)| *host == to)
            .map(|((_, _, follows), pid)| (*pid, *follows))
            .collect();
        let index = self.random.below(known.len() as u64) as usize;
        known.get(index).copied()
    }

    fn send(&mut self, from: usize, to: usize) {
        let Some((by, _)) = self.pick(from, to) else { return };
        let both_speak_two = self.hosts[from].speaks_two() && self.hosts[to].speaks_two();
        let (count, longest) = match self.random.below(8) {
            // Over a slow path those would hold up every resolve for minutes at level 1.
            0 if both_speak_two => (1 + self.random.below(3), LONGEST),
            _ => (1 + self.random.below(30), 100),
        };
        for _ in 0..count {
            let len = self.random.below(longest) as usize;
            self.hosts[from].send(by, len, &self.deeds);
        }
    }

    fn ask(&mut self, from: usize, to: usize) {
        let Some((whom, _)) = self.pick(from, to) else { return };
        for _ in 0..1 + self.random.below(8) {
            let mood = Mood::ALL[[0, 0, 0, 1, 1, 2][self.random.below(6) as usize]];
            // Many are given up while large ones are under way.
            let within = MS * [20, 200, 2000, 10_000][self.random.below(4) as usize];
            let longest = if self.random.one_in(4) { LONGEST } else { 100 };
            let len = self.random.below(longest) as usize;
            self.hosts[from].ask(whom, mood, len, within, &self.deeds);
        }
    }

    /// Makes a link, or undoes one.
    fn link(&mut self, from: usize, to: usize) {
        // Each two hosts link from one side only, so that whoever is told knows who linked himself.
        let (from, to) = (from.min(to), from.max(to));
        let (Some((by, _)), witness) = (self.pick(from, to), self.random.below(WITNESSES as u64) as usize)
        else {
            return;
        };
        let (bond, undo) = (self.bond(from, to), self.random.one_in(2));
        let host = &self.hosts[from];
        let Some(running) = &host.running else { return };
        let (rt, near, life) = (running.sim.runtime(), running.witnesses[witness], host.now());
        if !self.deeds.is_linked(life, near, by) {
            if rt.is_alive(near) && rt.link(near, by) {
                self.deeds.link(life, near, by, bond);
            }
        } else if undo {
            rt.unlink(near, by);
            self.deeds.unlink(life, near, by);
        }
    }

    /// Watches somebody, or does so no more.
    fn monitor(&mut self, from: usize, to: usize) {
        let (Some((by, _)), witness) = (self.pick(from, to), self.random.below(WITNESSES as u64) as usize)
        else {
            return;
        };
        let (bond, undo) = (self.bond(from, to), self.random.one_in(3));
        let host = &self.hosts[from];
        let Some(running) = &host.running else { return };
        let (rt, near, life) = (running.sim.runtime(), running.witnesses[witness], host.now());
        if !rt.is_alive(near) {
            return;
        }
        match self.deeds.any_monitor(life, near).filter(|_| undo) {
            Some(monitor) => {
                rt.demonitor(near, monitor);
                self.deeds.demonitor(life, near, monitor);
            }
            None => {
                let monitor = rt.monitor(near, by);
                self.deeds.monitor(life, near, monitor, bond);
            }
        }
    }

    /// A node that knows the documented framing only tells of no single end.
    fn bond(&self, from: usize, to: usize) -> Bond {
        let certain = self.hosts[from].speaks_two() && self.hosts[to].speaks_two();
        Bond { to, certain }
    }

    /// A clerk ends by the hand of another node, or by his own.
    fn end_clerk(&mut self, from: usize, to: usize) {
        let (how, clerk) = (self.random.below(4), self.random.below(CLERKS));
        let by = self.pick(from, to);
        self.ledger.note(format!("{from} ends a clerk of {to}, in the way {how}"));
        let far = |host: &Host, end: &dyn Fn(&Runtime, Pid) -> bool| {
            if let (Some(running), Some((pid, _))) = (&host.running, by) {
                end(running.sim.runtime(), pid);
            }
        };
        match how {
            0 => far(&self.hosts[from], &Runtime::stop),
            1 => far(&self.hosts[from], &Runtime::kill),
            _ => {
                let Some(running) = &self.hosts[to].running else { return };
                let rt = running.sim.runtime();
                if let Some(pid) = rt.names().whereis(&clerk_name(clerk)) {
                    rt.kill(pid);
                }
            }
        }
    }

    /// Whoever has ended is replaced.
    fn hire(&mut self, host: usize) {
        let life = self.hosts[host].now();
        if let Some(running) = &mut self.hosts[host].running {
            running.hire(life, &self.deeds);
        }
    }

    /// A witness ends, and those with whom it was linked are told.
    fn end_witness(&mut self, host: usize) {
        let (index, life) = (self.random.below(WITNESSES as u64) as usize, self.hosts[host].now());
        let Some(running) = &mut self.hosts[host].running else { return };
        running.sim.runtime().kill(running.witnesses[index]);
        running.witnesses[index] = running.witness(life, &self.deeds);
    }

    fn cut(&mut self, one: usize, other: usize) {
        let (one, other) = (host_name(one), host_name(other));
        let both = self.random.one_in(2);
        let lasts = MS * self.random.below(9000) as u32;
        self.ledger.note(format!("{one} to {other} is cut, both ways: {both}, for {lasts:?}"));
        let network = self.network.clone();
        let set = move |cut| {
            network.cut(&one, &other, cut);
            if both {
                network.cut(&other, &one, cut);
            }
        };
        set(true);
        drop(tokio::spawn(async move {
            sleep(lasts).await;
            set(false);
        }));
    }

    fn sever(&mut self, one: usize, other: usize) {
        let within = [S / 100, S, 10 * S][self.random.below(3) as usize];
        self.ledger.note(format!("connections of {one} and {other} break"));
        self.network.sever(&host_name(one), &host_name(other), within);
    }

    async fn crash(&mut self, host: usize) {
        self.ledger.note(format!("{host} crashes"));
        let within = [S / 100, 5 * S][self.random.below(2) as usize];
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.network.sever(&host_name(host), &host_name(other), within);
        }
        self.hosts[host].crash(&self.deeds);
        sleep(MS * self.random.below(2000) as u32).await;
        self.hosts[host].start(&self.network, &self.deeds, &self.ledger).await;
    }

    async fn leave(&mut self, host: usize) {
        let drain = MS * self.random.below(3000) as u32;
        self.ledger.note(format!("{host} leaves within {drain:?}"));
        self.hosts[host].leave(drain, &self.deeds).await;
        self.hosts[host].start(&self.network, &self.deeds, &self.ledger).await;
    }

    /// No more faults: what has to be true then.
    async fn calm_down(&mut self) {
        self.ledger.note("all is well from now on");
        self.network.heal();
        for host in 0..self.hosts.len() {
            self.hire(host);
        }
        self.converge().await;
        // Questions of before have ended by then, and what was followed is found.
        sleep(12 * S).await;
        for host in 0..self.hosts.len() {
            self.hire(host);
        }
        self.all_are_reached().await;
        self.deeds.check_questions();
        for host in self.hosts.iter().filter_map(|host| host.running.as_ref()) {
            let rt = host.sim.runtime();
            let clerks = (0..CLERKS).filter_map(|clerk| rt.names().whereis(&clerk_name(clerk)));
            for clerk in clerks {
                rt.stop(clerk);
            }
        }
        sleep(5 * S).await;
        self.deeds.check_bonds();
    }

    /// All nodes leave, and of none, in whichever of its lives, anything is left in memory.
    async fn end(&mut self) {
        for host in &mut self.hosts {
            host.leave(S, &self.deeds).await;
        }
        sleep(60 * S).await;
        for host in &self.hosts {
            let left: Vec<_> =
                (1..).zip(&host.transports).filter(|(_, node)| node.strong_count() > 0).collect();
            if let Some((life, node)) = left.first() {
                let owners = node.strong_count();
                self.ledger
                    .fault(format!("life {life} of {} is still in memory, {owners} times", host.number));
            }
        }
    }

    async fn converge(&mut self) {
        let until = Instant::now() + CONVERGED;
        for from in 0..self.hosts.len() {
            for to in (0..self.hosts.len()).filter(|to| *to != from) {
                let node = self.hosts[from].runtime().node().clone();
                while let Err(error) = node.ping(&addr(to)).await {
                    if Instant::now() > until {
                        return self.ledger.fault(format!("F15: {from} does not reach {to}: {error}"));
                    }
                    self.ledger.note(format!("{from} does not reach {to}: {error}"));
                    sleep(50 * MS).await;
                }
            }
        }
    }

    /// Whoever has a name is reached by all who follow it, and by all who look him up now.
    async fn all_are_reached(&mut self) {
        let mut sent = Vec::new();
        for from in 0..self.hosts.len() {
            let rt = self.hosts[from].runtime();
            let known = self.hosts[from].running.as_ref().map(|running| lock(&running.known).clone());
            let followed = known.into_iter().flatten().filter(|((.., follows), _)| *follows);
            // A node that knows the documented framing only tells nobody that another has the name now, nor does
            // anybody look whether a lane of it that nobody watches is still whole.
            let tells = |to: usize| self.hosts[from].speaks_two() && self.hosts[to].speaks_two();
            let mut pids: Vec<_> =
                followed.map(|((to, ..), pid)| (to, pid)).filter(|(to, _)| tells(*to)).collect();
            for to in (0..self.hosts.len()).filter(|to| *to != from && tells(*to)) {
                match rt.remote(&addr(to), clerk_name(0).as_str()).await {
                    Ok(pid) => pids.push((to, pid)),
                    Err(error) => {
                        let (here, there) = (self.hosts[from].describe(), self.hosts[to].describe());
                        let what = format!("{from} does not find a clerk of {to}: {error}\n{here}\n{there}");
                        self.ledger.fault(what);
                    }
                }
            }
            drop(rt);
            for (to, pid) in pids {
                let number = self.hosts[from].send(pid, 8, &self.deeds);
                sent.push((from, to, pid, number));
                self.hosts[from].ask(pid, Mood::Answers, 8, 5 * S, &self.deeds);
            }
        }
        sleep(8 * S).await;
        for (from, to, pid, number) in sent {
            if !self.deeds.has_arrived(number) {
                self.ledger.fault(format!("S37: {from} does not reach whoever has a name at {to} by {pid}"));
            }
        }
    }
}

impl Host {
    fn new(number: usize, seed: u64, mixed: bool, random: &mut Random) -> Self {
        let level = if mixed && random.one_in(3) { Level::One } else { Level::Two };
        let config = NodeConfig {
            level,
            message_lanes: random.below(5) as u8,
            bulk_slots: random.below(3) as u8,
            bulk_above: 1 << 10,
            max_bulk_payload: 150_000,
            max_accepted_payload: 150_000,
            max_sent_payload: 150_000,
            outbound_messages: 200,
            outbound_bytes: 256 << 10,
            credit_messages: 50,
            credit_bytes: 64 << 10,
            actor_messages: 30,
            actor_bytes: 64 << 10,
            seed: Some(seed.wrapping_mul(100).wrapping_add(number as u64)),
            ..NodeConfig::default()
        };
        Self { number, config, life: 0, running: None, transports: vec![] }
    }

    fn now(&self) -> Life {
        (self.number, self.life)
    }

    fn speaks_two(&self) -> bool {
        self.config.level == Level::Two
    }

    /// What a failure shows of it.
    fn describe(&self) -> String {
        let peers = self.runtime().node().peers();
        format!("{:?}, {:?}: {peers:#?}", self.now(), self.config.level)
    }

    fn runtime(&self) -> Runtime {
        self.running.as_ref().expect("it runs again by then").runtime()
    }

    async fn start(&mut self, network: &Network, deeds: &Deeds, ledger: &Ledger) {
        self.life += 1;
        ledger.note(format!("{} begins its life {}", self.number, self.life));
        let seed = self.config.seed.map(|seed| seed.wrapping_add(self.life << 40));
        let node = NodeConfig { seed, ..self.config.clone() };
        let transport: Arc<dyn Transport> = network.transport(&host_name(self.number));
        self.transports.push(Arc::downgrade(&transport));
        let sim = Sim::builder()
            .seed(seed.unwrap_or_default())
            .step_limit(20_000_000)
            .mesh_on(tokio::runtime::Handle::current())
            .configure(move |builder| {
                let config = RuntimeConfig { workers: 1, node: node.clone(), ..RuntimeConfig::default() };
                builder.config(config).transport(transport.clone())
            })
            .start()
            .unwrap();
        sim.runtime().node().listen(&addr(self.number)).await.unwrap();
        let (witnesses, known, tasks) = (Vec::new(), Known::default(), Vec::new());
        let mut running = Running { sim, witnesses, known, tasks };
        running.witnesses = (0..WITNESSES).map(|_| running.witness(self.now(), deeds)).collect();
        running.hire(self.now(), deeds);
        self.running = Some(running);
    }

    fn crash(&mut self, deeds: &Deeds) {
        let Some(running) = self.running.take() else { return };
        running.tasks.iter().for_each(JoinHandle::abort);
        deeds.over(self.now());
        drop(running);
    }

    async fn leave(&mut self, drain: Duration, deeds: &Deeds) {
        let Some(running) = self.running.take() else { return };
        running.runtime().node().shutdown(drain).await;
        running.tasks.iter().for_each(JoinHandle::abort);
        deeds.over(self.now());
        drop(running);
    }

    /// The number of the message.
    fn send(&mut self, by: Pid, len: usize, deeds: &Deeds) -> usize {
        let number = deeds.message(self.now(), by);
        if let Some(running) = &self.running {
            let sent = running.sim.runtime().send(by, content(number, Mood::Answers, len));
            deeds.sent(number, sent.is_ok());
        }
        number
    }

    fn ask(&mut self, whom: Pid, mood: Mood, len: usize, within: Duration, deeds: &Deeds) {
        let (life, deeds) = (self.now(), deeds.clone());
        let Some(running) = &mut self.running else { return };
        let (rt, number) = (running.runtime(), deeds.question(life));
        running.spawn(async move {
            let outcome = rt.ask(whom, content(number, mood, len), within).await;
            drop(rt);
            deeds.answered(number, &bytes_of(outcome));
        });
    }
}

impl Running {
    fn runtime(&self) -> Runtime {
        self.sim.runtime().clone()
    }

    /// A task that ends with the process.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.retain(|task| !task.is_finished());
        self.tasks.push(tokio::spawn(task));
    }

    fn witness(&self, life: Life, deeds: &Deeds) -> Pid {
        let options = SpawnOptions { trap_exit: true, ..SpawnOptions::default() };
        let rt = self.sim.runtime();
        let pid = rt.spawn_with(Clerk::new(life, deeds.clone()), options).pid();
        let deeds = deeds.clone();
        rt.on_exit(pid, move |_| deeds.ended(life, pid));
        pid
    }

    fn hire(&mut self, life: Life, deeds: &Deeds) {
        for name in (0..CLERKS).map(clerk_name) {
            let rt = self.sim.runtime();
            if rt.names().whereis(&name).is_none() {
                let clerk = self.witness(life, deeds);
                rt.names().register(&name, clerk).unwrap();
            }
        }
    }
}

fn bytes_of(outcome: Result<myrmidon::mailbox::Payload, AskError>) -> Result<Bytes, AskError> {
    outcome.map(|answer| answer.into_bytes().unwrap_or_default())
}

fn clerk_name(clerk: u64) -> String {
    format!("clerk-{clerk}")
}

fn host_name(host: usize) -> String {
    format!("host-{host}")
}

fn addr(host: usize) -> NodeAddr {
    NodeAddr::new(host_name(host), 1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
