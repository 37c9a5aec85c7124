//! Two processes for the length of one run.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use crate::local::LIMIT;
use crate::measure::Figures;

/// How long a program may take to start.
const START: Duration = Duration::from_secs(30);

/// Starts the side that serves, then the one that drives, which gets the address and the process of the
/// first; returns what it has measured. Both have ended afterwards.
pub(super) fn measure(mut serve: Command, drive: impl Fn(&str, u32) -> Command) -> Figures {
    let mut server = Process::start(&mut serve)?;
    let addr = server.first_line()?;
    let mut driver = Process::start(&mut drive(&addr, server.child.id()))?;
    let text = driver.output()?;
    let figures: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    figures.map_err(|_| format!("the driving side said {text:?}"))
}

/// A process that ends with its value. What it complains of goes where ours goes.
struct Process {
    child: Child,
    stdout: Option<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Result<Self, String> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        let stdout = child.stdout.take();
        Ok(Self { child, stdout })
    }

    fn first_line(&mut self) -> Result<String, String> {
        let line = self.within(START, |stdout| {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        })?;
        let line = line.trim();
        if line.is_empty() { Err("the serving side ended".to_owned()) } else { Ok(line.to_owned()) }
    }

    fn output(&mut self) -> Result<String, String> {
        let text = self.within(LIMIT, |mut stdout| {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        })?;
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(text),
                Some(status) => return Err(format!("the driving side failed, {status}: {text}")),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        Err("the driving side did not end".to_owned())
    }

    /// Reads on a thread of its own, which ends with the process at the latest.
    fn within(
        &mut self,
        limit: Duration,
        read: impl FnOnce(ChildStdout) -> std::io::Result<String> + Send + 'static,
    ) -> Result<String, String> {
        let stdout = self.stdout.take().ok_or("its output was read already")?;
        let (tell, told) = sync_channel(1);
        std::thread::spawn(move || tell.send(read(stdout)));
        let read = told.recv_timeout(limit).map_err(|_| format!("nothing was said within {limit:?}"))?;
        read.map_err(|error| error.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
