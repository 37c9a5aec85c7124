//! A host of the WAN: a network namespace without a name, and a thread that lives in it.
//!
//! Nothing has to be cleaned up. The namespace exists for as long as the thread, a process started by
//! it or the TUN device does, and the kernel takes it away with the last of them, however they end.

use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{fs, io, thread};

use nix::sched::{CloneFlags, unshare};
use tun_rs::{DeviceBuilder, SyncDevice};

/// All hosts are in one network of this size.
const PREFIX: u8 = 24;
/// As on Ethernet.
const MTU: u16 = 1500;
/// Packets that wait for the router to read them; so many that losses are the router's decision.
const DEVICE_QUEUE: u32 = 20_000;
/// What TCP does about loss, whatever this machine prefers: like QUIC here, it takes a loss as a sign of
/// congestion. A namespace may choose the first only where the machine allows it, the last always.
const CONGESTION: [&str; 2] = ["cubic", "reno"];
const CONGESTION_SETTING: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Host {
    addr: Ipv4Addr,
    jobs: SyncSender<Job>,
}

impl Host {
    /// A new host with this address, and the device through which its packets come and go.
    pub(super) fn start(addr: Ipv4Addr) -> io::Result<(Self, SyncDevice)> {
        let (ready, device) = sync_channel(1);
        let (jobs, todo) = sync_channel(1);
        thread::Builder::new().name(format!("wan-{addr}")).spawn(move || {
            let device = enter(addr);
            if ready.send(device).is_ok() {
                work(&todo);
            }
        })?;
        let device = device.recv().map_err(|_| io::Error::other("the thread of a host ended"))??;
        Ok((Self { addr, jobs }, device))
    }

    pub(super) const fn addr(&self) -> Ipv4Addr {
        self.addr
    }

    /// The congestion control of TCP on this host.
    pub(super) fn congestion(&self) -> io::Result<String> {
        self.run(|| fs::read_to_string(CONGESTION_SETTING)).map(|name| name.trim().to_owned())
    }

    /// Runs `job` inside the namespace: what it opens or starts belongs to this host.
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = sync_channel(1);
        let job = move || drop(done.send(catch_unwind(AssertUnwindSafe(job))));
        self.jobs.send(Box::new(job)).expect("the thread of a host lives as long as the host");
        result.recv().expect("every job is done").unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Whether a thread of this process may have a namespace of its own.
pub(super) fn namespaces_allowed() -> io::Result<()> {
    let tried = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join();
    Ok(tried.map_err(|_| io::Error::other("the attempt panicked"))??)
}

/// Moves the calling thread into a namespace of its own with one interface.
fn enter(addr: Ipv4Addr) -> io::Result<SyncDevice> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let mut choices = CONGESTION.iter().map(|name| fs::write(CONGESTION_SETTING, name));
    choices.find(Result::is_ok).unwrap_or_else(|| Err(io::Error::other("no congestion control")))?;
    DeviceBuilder::new()
        .name("wan0")
        .ipv4(addr, PREFIX, None)
        .mtu(MTU)
        .tx_queue_len(DEVICE_QUEUE)
        .build_sync()
}

fn work(todo: &Receiver<Job>) {
    while let Ok(job) = todo.recv() {
        job();
    }
}
