//! A process under test: lines in, lines out, and an end that is certain.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::wait::{DEADLINE, until};

/// Lines that wait to be read; a process that writes more is held up, as by any pipe.
const UNREAD_LINES: usize = 1024;
/// Lines that are kept to be shown when a test fails.
const KEPT_LINES: usize = 200;

/// A running child. It is killed when this is dropped; if the test has failed, what it wrote is
/// printed.
pub struct Process {
    name: String,
    child: Child,
    stdout: Receiver<String>,
    log: Log,
}

impl Process {
    /// Starts `command` with all three streams connected to this process.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let log = Log::default();
        let (lines, stdout) = sync_channel(UNREAD_LINES);
        collect(child.stdout.take(), "out", &log, Some(lines));
        collect(child.stderr.take(), "err", &log, None);
        Self { name: name.to_owned(), child, stdout, log }
    }

    /// The operating system's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes one line to its standard input.
    ///
    /// # Panics
    /// If it does not read any more.
    pub fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin is piped");
        let said = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        said.unwrap_or_else(|error| panic!("{} does not take {line:?}: {error}", self.name));
    }

    /// The next line of its standard output.
    ///
    /// # Panics
    /// If none comes within the deadline, or the process has ended.
    pub fn line(&self) -> String {
        let line = self.stdout.recv_timeout(DEADLINE);
        line.unwrap_or_else(|error| panic!("no line from {}: {error}", self.name))
    }

    /// Ends it the hard way (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    /// If the system does not let it be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not end within the deadline.
    pub fn exited(&mut self) -> ExitStatus {
        until("the process to end", || self.child.try_wait().expect("wait"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.log.print(&self.name);
        }
    }
}

/// The last lines of both outputs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    fn add(&self, stream: &str, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(format!("{stream}: {line}"));
    }

    fn print(&self, name: &str) {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.iter() {
            eprintln!("[{name}] {line}");
        }
    }
}

/// Reads `stream` to its end on a thread of its own, so that the child is never held up by a full
/// pipe of errors.
fn collect(
    stream: Option<impl Read + Send + 'static>,
    name: &'static str,
    log: &Log,
    lines: Option<SyncSender<String>>,
) {
    let Some(stream) = stream else { return };
    let log = log.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            log.add(name, &line);
            if let Some(lines) = &lines
                && lines.send(line).is_err()
            {
                return;
            }
        }
    });
}
