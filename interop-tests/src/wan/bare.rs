//! What bare TCP sockets make of the same path: the limit of what a node can do there.
//!
//! One connection for pings and one that is always full, as a control lane beside bulk is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Wan;

/// Between an answer and the next ping, as nodes do it.
const GAP: Duration = Duration::from_millis(20);
/// A ping that takes so long counts as failed, and ends the measurement.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pings for so long beside a full connection.
pub(super) fn measure(wan: &Wan, length: Duration) -> Value {
    let addr = wan.addr(1);
    let (echo, drain) = wan.run(1, move || (listen(addr), listen(addr)));
    let ports = [&echo, &drain].map(|listener| listener.local_addr().expect("it is bound").port());
    spawn(move || serve(&echo, true));
    spawn(move || serve(&drain, false));
    let (pings, bulk) = wan.run(0, move || {
        let [pings, bulk] = ports.map(|port| TcpStream::connect((addr, port)).expect("a connection"));
        (pings, bulk)
    });
    let over = Arc::new(AtomicBool::new(false));
    let (full, stop) = (
        spawn({
            let over = over.clone();
            move || fill(bulk, &over)
        }),
        over,
    );
    let mut trips = trips(pings, length);
    stop.store(true, Ordering::Relaxed);
    let sent = full.join().expect("no panic");
    trips.sort_unstable();
    let at = |share: usize| trips.get((trips.len() * share).div_ceil(100).saturating_sub(1)).copied();
    json!({
        "answered": trips.len(),
        "p50_us": at(50),
        "p99_us": at(99),
        "max_us": trips.last(),
        "bulk_bytes": sent,
    })
}

fn listen(addr: Ipv4Addr) -> TcpListener {
    TcpListener::bind((addr, 0)).expect("a port")
}

fn serve(listener: &TcpListener, answers: bool) {
    let (mut stream, _) = listener.accept().expect("a connection");
    // Failing is the end of the other side.
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        if answers && stream.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// Writes until it is over; how many bytes.
fn fill(mut stream: TcpStream, over: &AtomicBool) -> usize {
    let (block, mut sent) = (vec![7; 64 << 10], 0);
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket takes it");
    while !over.load(Ordering::Relaxed) {
        sent += stream.write(&block).unwrap_or(0);
    }
    sent
}

/// Round trips, in microseconds.
fn trips(mut stream: TcpStream, length: Duration) -> Vec<u64> {
    stream.set_nodelay(true).expect("a socket takes it");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes it");
    let (start, mut trips) = (Instant::now(), Vec::new());
    while start.elapsed() < length {
        let begun = Instant::now();
        if stream.write_all(&[2]).and_then(|()| stream.read_exact(&mut [0])).is_err() {
            break;
        }
        trips.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        sleep(GAP);
    }
    trips
}
