//! A Rust node in a process of its own, driven by lines (see `src/node.rs`): the program behind
//! `src/bin/interop_node.rs`, and behind the nodes that other programs of this crate start.

mod traffic;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::actor::{Behaviour, bytes_fn};
use myrmidon::config::{NodeConfig, Profile, RuntimeConfig};
use myrmidon::supervision::{Factory, Strategy};
use myrmidon::transport::{NodeAddr, Transport};
use myrmidon::{Pid, Runtime};
use myrmidon_certs::Credentials;
use myrmidon_quic::{Congestion, QuicConfig, QuicTransport};
use myrmidon_tcp::{TcpConfig, TcpTransport, TlsConfig};

use traffic::Traffic;

/// What goes wrong is told as text, to the driver or on standard error.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs a node until its input ends or says `quit`. `arguments` are pairs: `--transport` and `--listen`
/// must be there, `--certs` names a directory, `--beyond-loopback yes` lets plain TCP leave this machine,
/// `--lanes` is the number of message lanes, `--profile wan` says that the others are far away, and `--congestion`
/// names the congestion control of QUIC.
///
/// # Errors
/// If an argument is wrong, the node cannot start, or it ends with messages unsent.
pub fn run(arguments: impl Iterator<Item = String>) -> Outcome<()> {
    let options = pairs(arguments);
    let listen = options.get("--listen").ok_or("--listen is missing")?;
    let mut node = NodeConfig::of(profile(&options)?.unwrap_or(Profile::Lan));
    if let Some(lanes) = options.get("--lanes") {
        node.message_lanes = lanes.parse()?;
    }
    let config = RuntimeConfig { node, ..RuntimeConfig::default() };
    let mut node = Node::start(transport(&options)?, listen, config)?;
    println!("ready {}", node.addr);
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            let unsent = node.rt.shutdown(Duration::from_secs(10));
            return if unsent == 0 { Ok(()) } else { Err(format!("{unsent} messages were left").into()) };
        }
        let answer = match node.obey(&words) {
            Ok(answer) => format!("ok {answer}"),
            Err(error) => format!("error {error}").replace('\n', " "),
        };
        println!("{}", answer.trim_end());
        io::stdout().flush()?;
    }
    Ok(())
}

fn pairs(arguments: impl Iterator<Item = String>) -> HashMap<String, String> {
    let arguments: Vec<String> = arguments.collect();
    arguments.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

struct Node {
    rt: Runtime,
    addr: NodeAddr,
    counter: Pid,
    counts: Arc<Mutex<Counts>>,
    proxies: Arc<Mutex<Proxies>>,
    traffic: Traffic,
}

impl Node {
    fn start(transport: Arc<dyn Transport>, listen: &str, config: RuntimeConfig) -> Outcome<Self> {
        let rt = Runtime::builder().config(config).transport(transport).start()?;
        let counts = Arc::new(Mutex::new(Counts::default()));
        let counter = rt.spawn_behaviour(counting(&counts, 0), Default::default());
        rt.names().register("counter", counter)?;
        let addr = rt.io().block_on(rt.node().listen(&listen.parse()?))?;
        let traffic = Traffic::new(&rt);
        Ok(Self { rt, addr, counter, counts, proxies: Arc::default(), traffic })
    }

    fn obey(&mut self, words: &[&str]) -> Outcome<String> {
        match *words {
            ["resolve", addr, name] => {
                let pid = self.rt.io().block_on(self.rt.node().resolve(&addr.parse()?, name))?;
                Ok(pid.map_or(0, Pid::as_u64).to_string())
            }
            ["send", addr, pid, count, first] => {
                self.send(&addr.parse()?, pid.parse()?, count.parse()?, first.parse()?)
            }
            ["counts"] => Ok(lock(&self.counts).report()),
            ["swap"] => Ok(self.rt.hot_swap(self.counter, counting(&self.counts, 1))?.to_string()),
            ["up", addr] => Ok(self.rt.io().block_on(self.rt.node().is_up(&addr.parse()?)).to_string()),
            ["heal", addr, name] => self.heal(addr.parse()?, name.to_owned()),
            ["follow", addr, name] => self.follow(&addr.parse()?, name),
            ["proxies"] => Ok(lock(&self.proxies).made.to_string()),
            ["tell", number] => self.tell(number.parse()?),
            ["crash"] => self.crash(),
            _ => self.traffic.obey(words).unwrap_or_else(|| Err("no such command".into())),
        }
    }

    fn send(&self, addr: &NodeAddr, pid: u64, count: u64, first: u64) -> Outcome<String> {
        let pid = Pid::from_u64(pid).ok_or("not a PID")?;
        self.rt.io().block_on(async {
            for number in first..first + count {
                self.rt.node().send(addr, pid, numbered(number)).await?;
            }
            Ok(String::new())
        })
    }

    /// Starts an actor that panics and returns the reason of its end.
    fn crash(&self) -> Outcome<String> {
        let (tell, told) = sync_channel(1);
        let failing = self.rt.spawn_fn(|_, _| -> () { panic!("as ordered") });
        self.rt.on_exit(failing, move |reason| tell.send(reason.to_string()).unwrap_or(()));
        self.rt.send(failing, "fail")?;
        Ok(told.recv_timeout(Duration::from_secs(10))?)
    }

    /// The factory of the documented example: it finds the name, monitors it and makes a proxy.
    fn heal(&self, addr: NodeAddr, name: String) -> Outcome<String> {
        let (rt, proxies) = (self.rt.clone(), self.proxies.clone());
        let factory: Factory = Arc::new(move || {
            let found = rt.io().block_on(rt.node().resolve(&addr, &name)).map_err(|e| e.to_string())?;
            let target = found.ok_or("nobody has the name yet")?;
            rt.monitor_remote(&addr, target);
            let proxy = proxy(&rt, addr.clone(), target);
            lock(&proxies).add(proxy);
            Ok(Some(proxy))
        });
        let first = factory()?.ok_or("no proxy")?;
        self.rt.supervisor().supervise_with_factory(first, factory, Strategy::RestartOne)?;
        Ok(String::new())
    }

    /// Tells whoever has the name from now on.
    fn follow(&self, addr: &NodeAddr, name: &str) -> Outcome<String> {
        let proxy = self.rt.io().block_on(self.rt.follow(addr, name))?;
        lock(&self.proxies).add(proxy);
        Ok(String::new())
    }

    fn tell(&self, number: u64) -> Outcome<String> {
        let living = lock(&self.proxies).living;
        let told = living.is_some_and(|proxy| self.rt.send(proxy, numbered(number)).is_ok());
        Ok(told.to_string())
    }
}

/// Plain TCP, TLS or QUIC, on loopback unless told otherwise, with the certificates of `--certs` or those of
/// loopback.
fn transport(options: &HashMap<String, String>) -> Outcome<Arc<dyn Transport>> {
    let allow_insecure_remote = options.contains_key("--beyond-loopback");
    match options.get("--transport").map(String::as_str) {
        Some("tcp") => {
            Ok(Arc::new(TcpTransport::new(TcpConfig { allow_insecure_remote, ..Default::default() })))
        }
        Some("tls") => {
            let tls = TlsConfig::new(credentials(options)?);
            Ok(Arc::new(TcpTransport::with_tls(TcpConfig::default(), tls)?))
        }
        Some("quic") => {
            let config = QuicConfig { profile: profile(options)?, ..QuicConfig::new(credentials(options)?) };
            let congestion =
                options.get("--congestion").map_or(Ok(Congestion::default()), |name| name.parse())?;
            Ok(Arc::new(QuicTransport::new(config.with_congestion(congestion))?))
        }
        other => Err(format!("no transport {other:?}").into()),
    }
}

/// How far away the others are, if that is said.
fn profile(options: &HashMap<String, String>) -> Outcome<Option<Profile>> {
    match options.get("--profile").map(String::as_str) {
        Some("wan") => Ok(Some(Profile::Wan)),
        Some(other) => Err(format!("no profile {other:?}").into()),
        None => Ok(None),
    }
}

fn credentials(options: &HashMap<String, String>) -> Outcome<Credentials> {
    match options.get("--certs") {
        Some(dir) => Ok(Credentials::load(Path::new(dir))?),
        None => Ok(Credentials::loopback()?),
    }
}

/// The code of the counter, in one of its two versions.
fn counting(counts: &Arc<Mutex<Counts>>, version: usize) -> Box<dyn Behaviour> {
    let counts = counts.clone();
    Box::new(bytes_fn(move |message: Bytes, _| lock(&counts).add(&message, version)))
}

fn proxy(rt: &Runtime, addr: NodeAddr, target: Pid) -> Pid {
    let node = rt.node().clone();
    rt.spawn_fn(move |message, _| {
        if let Err(error) = node.try_send(&addr, target, message) {
            eprintln!("the proxy cannot send: {error}");
        }
    })
}

#[derive(Default)]
struct Counts {
    expected: u64,
    out_of_order: u64,
    by_version: [u64; 2],
}

impl Counts {
    fn add(&mut self, message: &[u8], version: usize) {
        let Ok(number) = message.try_into().map(u64::from_be_bytes) else { return };
        self.out_of_order += u64::from(number != self.expected);
        self.expected = number + 1;
        self.by_version[version] += 1;
    }

    fn report(&self) -> String {
        let [first, second] = self.by_version;
        format!("{} {} {first} {second}", first + second, self.out_of_order)
    }
}

#[derive(Default)]
struct Proxies {
    made: u64,
    living: Option<Pid>,
}

impl Proxies {
    fn add(&mut self, proxy: Pid) {
        self.made += 1;
        self.living = Some(proxy);
    }
}

fn numbered(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
