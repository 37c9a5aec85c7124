//! A level-1 peer on bare sockets of the standard library: what a program does that has read the
//! documented framing and nothing else.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wait::DEADLINE;

/// The dialling side: one connection, used as the caller likes.
pub struct LegacyClient {
    stream: TcpStream,
}

impl LegacyClient {
    /// Connects to a node.
    pub fn connect(addr: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends a message; nothing comes back.
    pub fn send(&mut self, pid: u64, data: &[u8]) -> io::Result<()> {
        self.stream.write_all(&message(pid, data))
    }

    /// Asks for the PID of a name; 0 means that nobody has it.
    pub fn resolve(&mut self, name: &str) -> io::Result<u64> {
        self.stream.write_all(&resolve(name))?;
        let mut pid = [0; 8];
        self.stream.read_exact(&mut pid)?;
        Ok(u64::from_be_bytes(pid))
    }

    /// Sends a heartbeat and waits for its answer. False if another byte came.
    pub fn ping(&mut self) -> io::Result<bool> {
        self.stream.write_all(&[2])?;
        let mut answer = [0];
        self.stream.read_exact(&mut answer)?;
        Ok(answer == [3])
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Shuts the writing side and returns what the peer still says, until it closes too.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.stream.shutdown(Shutdown::Write)?;
        let mut rest = vec![];
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }
}

/// The bytes of a message frame.
pub fn message(pid: u64, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).expect("less than 4 GiB");
    [&[0][..], &pid.to_be_bytes(), &len.to_be_bytes(), data].concat()
}

/// The bytes of a resolve frame.
pub fn resolve(name: &str) -> Vec<u8> {
    let len = u32::try_from(name.len()).expect("a name");
    [&[1][..], &len.to_be_bytes(), name.as_bytes()].concat()
}

/// The accepting side: a thread per connection, names that are told to it, messages kept.
pub struct LegacyServer {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// What a legacy server has been told and asked.
#[derive(Default)]
struct Seen {
    names: HashMap<String, u64>,
    messages: Vec<(u64, Vec<u8>)>,
    pings: usize,
    /// Frame types that the documented framing does not know.
    unknown: Vec<u8>,
    /// For `stop`: the connections that are open.
    open: Vec<TcpStream>,
    stopped: bool,
}

impl LegacyServer {
    /// Serves on a free port of the loopback address.
    pub fn start() -> io::Result<Self> {
        Self::start_on("127.0.0.1:0".parse().expect("an address"))
    }

    /// Serves on `addr`.
    pub fn start_on(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        let server = Self { addr: listener.local_addr()?, seen: Arc::default() };
        let seen = server.seen.clone();
        std::thread::spawn(move || accept(&listener, &seen));
        Ok(server)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers `name` with `pid` from now on.
    pub fn register(&self, name: &str, pid: u64) {
        self.seen().names.insert(name.to_owned(), pid);
    }

    /// The messages so far, with their PIDs, in the order of their arrival.
    pub fn messages(&self) -> Vec<(u64, Vec<u8>)> {
        self.seen().messages.clone()
    }

    /// The heartbeats so far.
    pub fn pings(&self) -> usize {
        self.seen().pings
    }

    /// Frame types that came and are not documented.
    pub fn unknown(&self) -> Vec<u8> {
        self.seen().unknown.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for LegacyServer {
    /// Stops listening and closes every connection.
    fn drop(&mut self) {
        let mut seen = self.seen();
        seen.stopped = true;
        for stream in seen.open.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(seen);
        // Wakes the accepting thread, which then ends and lets go of the port.
        let _ = TcpStream::connect(self.addr);
    }
}

fn accept(listener: &TcpListener, seen: &Arc<Mutex<Seen>>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let mut state = lock(seen);
        if state.stopped {
            return;
        }
        if let Ok(clone) = stream.try_clone() {
            state.open.push(clone);
        }
        drop(state);
        let seen = seen.clone();
        // However a connection ends, the server goes on.
        std::thread::spawn(move || drop(serve(stream, &seen)));
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) -> io::Result<()> {
    loop {
        match read::<1>(&mut stream)? {
            [0] => {
                let pid = u64::from_be_bytes(read(&mut stream)?);
                let data = read_sized(&mut stream)?;
                lock(seen).messages.push((pid, data));
            }
            [1] => {
                let name = String::from_utf8(read_sized(&mut stream)?).map_err(io::Error::other)?;
                let pid = lock(seen).names.get(&name).copied().unwrap_or(0);
                stream.write_all(&pid.to_be_bytes())?;
            }
            [2] => {
                lock(seen).pings += 1;
                stream.write_all(&[3])?;
            }
            [unknown] => {
                lock(seen).unknown.push(unknown);
                return stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn read_sized(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let len = u32::from_be_bytes(read(stream)?);
    let mut data = vec![];
    stream.take(len.into()).read_to_end(&mut data)?;
    if data.len() < len as usize { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(data) }
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
