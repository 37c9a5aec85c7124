//! One direction of a lane in a simulated network: bytes on their way, each with its time of arrival.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use myrmidon::sim::Random;
use myrmidon::transport::{CloseCode, LaneReceiver, LaneSender, TransportError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::network::{Mischief, Path};
use crate::wire::{Announcement, Handle};

/// What a pipe is like.
pub(crate) struct Nature {
    /// The shortest time that bytes take, and by how much more it may be, drawn for each write.
    pub(crate) delay: (Duration, Duration),
    /// Bytes under way or unread before a writer has to wait.
    pub(crate) capacity: usize,
    pub(crate) random: Random,
    pub(crate) mischief: Mischief,
}

pub(crate) struct Pipe {
    path: Arc<Path>,
    /// The way of news to the writer.
    back: Arc<Path>,
    nature: Mutex<Nature>,
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
}

#[derive(Default)]
struct State {
    /// Writes, with the time at which they arrive.
    chunks: VecDeque<(Instant, Bytes)>,
    len: usize,
    writes: u64,
    /// When the end of the stream arrives.
    finished: Option<Instant>,
    /// The connection is gone: what is written arrives nowhere.
    severed: bool,
    reader: Option<Notice>,
    writer: Option<Notice>,
}

/// When one end learns that it is over, and why.
struct Notice {
    at: Instant,
    error: TransportError,
    /// Whether the news come over the network.
    travels: bool,
}

/// What a reader finds.
enum Found {
    Bytes(Bytes),
    End,
    Failed(TransportError),
    /// Nothing before this time, if anything at all.
    Nothing(Option<Instant>),
}

impl Pipe {
    pub(crate) fn new(path: &Arc<Path>, back: &Arc<Path>, nature: Nature) -> Arc<Self> {
        let (readable, writable) = (Notify::new(), Notify::new());
        let state = Mutex::default();
        let (path, back) = (path.clone(), back.clone());
        let pipe = Arc::new(Self { path, back, nature: Mutex::new(nature), state, readable, writable });
        pipe.path.add(&pipe);
        pipe.back.add(&pipe);
        pipe
    }

    /// The next time at which something sent now arrives.
    fn arrival(&self) -> Instant {
        let mut nature = self.nature.lock().unwrap();
        let (least, spread) = nature.delay;
        let extra = nature.random.below(spread.as_micros() as u64 + 1);
        Instant::now() + least + Duration::from_micros(extra)
    }

    /// The reader learns of an end that the other side has caused, once the news have travelled.
    pub(crate) fn tell_reader(&self, error: TransportError) {
        let at = self.arrival();
        self.notice(|state| &mut state.reader, Notice { at, error, travels: true });
    }

    /// The same for the writer.
    pub(crate) fn tell_writer(&self, error: TransportError) {
        let at = self.arrival();
        self.notice(|state| &mut state.writer, Notice { at, error, travels: true });
    }

    /// The side itself has ended it.
    pub(crate) fn end_here(&self, is_reader: bool) {
        let notice = Notice { at: Instant::now(), error: TransportError::ClosedLocally, travels: false };
        if is_reader {
            self.notice(|state| &mut state.reader, notice);
        } else {
            self.notice(|state| &mut state.writer, notice);
        }
    }

    /// What is under way is gone, and the ends learn of it on their own, each at its time.
    pub(crate) fn sever(&self, reader: Instant, writer: Instant) {
        let now = Instant::now();
        {
            let mut state = self.state();
            state.severed = true;
            let arrived = state.chunks.iter().take_while(|(at, _)| *at <= now).count();
            let lost: usize = state.chunks.drain(arrived..).map(|(_, bytes)| bytes.len()).sum();
            state.len -= lost;
            state.finished = state.finished.filter(|at| *at <= now);
        }
        let error = || TransportError::Lost("the network was cut".into());
        self.notice(|state| &mut state.reader, Notice { at: reader, error: error(), travels: false });
        self.notice(|state| &mut state.writer, Notice { at: writer, error: error(), travels: false });
    }

    /// The path is whole again.
    pub(crate) fn wake(&self) {
        self.readable.notify_one();
        self.writable.notify_one();
    }

    fn notice(&self, end: impl FnOnce(&mut State) -> &mut Option<Notice>, notice: Notice) {
        let mut state = self.state();
        if state.severed && notice.travels {
            return;
        }
        let known = end(&mut state);
        if known.as_ref().is_none_or(|known| notice.at < known.at) {
            *known = Some(notice);
        }
        drop(state);
        self.wake();
    }

    fn pop(&self, max: usize) -> Found {
        let now = Instant::now();
        let mut state = self.state();
        let mut next = None;
        if let Some(notice) = &state.reader {
            if notice.is_known(&self.path) {
                // As a reset does, it takes with it what has not been read.
                let error = notice.error.clone();
                state.chunks.clear();
                return Found::Failed(error);
            }
            next = Some(notice.at).filter(|at| *at > now);
        }
        if self.path.is_cut() {
            return Found::Nothing(next);
        }
        let held = self.path.healed_at();
        let due = |at: Instant| held.map_or(at, |healed| at.max(healed));
        let Some(at) = state.chunks.front().map(|(at, _)| due(*at)) else {
            return match state.finished.map(due) {
                Some(at) if at <= now => Found::End,
                at => Found::Nothing(next.into_iter().chain(at).min()),
            };
        };
        if at > now {
            return Found::Nothing(next.into_iter().chain([at]).min());
        }
        let front = &mut state.chunks.front_mut().expect("it is there").1;
        let piece = front.split_to(max.clamp(1, front.len()));
        if front.is_empty() {
            state.chunks.pop_front();
        }
        state.len -= piece.len();
        Found::Bytes(piece)
    }

    /// Takes as much of `buf` as there is room for.
    fn push(&self, buf: &mut Bytes, at: Instant) -> Result<(), TransportError> {
        let capacity = self.nature.lock().unwrap().capacity;
        let mut state = self.state();
        state.check_writer(&self.back)?;
        let room = capacity.saturating_sub(state.len).min(buf.len());
        if room > 0 {
            let piece = buf.split_to(room);
            state.len += piece.len();
            let at = state.chunks.back().map_or(at, |(last, _)| at.max(*last));
            if !state.severed {
                state.chunks.push_back((at, piece));
            }
        }
        Ok(())
    }

    /// What mischief makes of one write. The first ones, of the handshake, are spared.
    fn mischief(&self, bufs: &[Bytes]) -> Option<Vec<Bytes>> {
        let mut state = self.state();
        state.writes += 1;
        if state.writes < 3 {
            return None;
        }
        drop(state);
        let mut nature = self.nature.lock().unwrap();
        let mischief = nature.mischief;
        if mischief == Mischief::None || !nature.random.one_in(10) {
            return None;
        }
        Some(match mischief {
            Mischief::None => return None,
            Mischief::Lose => Vec::new(),
            Mischief::Repeat => bufs.iter().chain(bufs).cloned().collect(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Notice {
    fn is_known(&self, path: &Path) -> bool {
        self.at <= Instant::now() && !(self.travels && path.is_cut())
    }
}

impl State {
    fn check_writer(&self, back: &Path) -> Result<(), TransportError> {
        match &self.writer {
            Some(notice) if notice.is_known(back) => Err(notice.error.clone()),
            _ if self.finished.is_some() => Err(TransportError::ClosedLocally),
            _ => Ok(()),
        }
    }
}

/// The writing end.
pub(crate) struct Sender {
    pub(crate) pipe: Arc<Pipe>,
    pub(crate) handle: Option<Arc<Handle>>,
    /// The other side learns of the lane by its first bytes.
    pub(crate) announcement: Option<Announcement>,
    pub(crate) finished: bool,
}

impl Sender {
    async fn write_all(&self, bufs: &mut [Bytes]) -> Result<(), TransportError> {
        for buf in bufs {
            let at = self.pipe.arrival();
            while !buf.is_empty() {
                self.pipe.push(buf, at)?;
                self.pipe.readable.notify_one();
                if !buf.is_empty() {
                    let now = Instant::now();
                    let until = self.pipe.state().writer.as_ref().map(|notice| notice.at);
                    let until = until.filter(|at| *at > now);
                    wait(&self.pipe.writable, until).await;
                }
            }
            *buf = Bytes::new();
        }
        Ok(())
    }
}

#[async_trait]
impl LaneSender for Sender {
    async fn write(&mut self, bufs: &mut [Bytes]) -> Result<(), TransportError> {
        if let Some(announcement) = self.announcement.take() {
            announcement.arrive(self.pipe.arrival());
        }
        let Some(mut instead) = self.pipe.mischief(bufs) else { return self.write_all(bufs).await };
        self.write_all(&mut instead).await?;
        bufs.iter_mut().for_each(|buf| *buf = Bytes::new());
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), TransportError> {
        let at = self.pipe.arrival();
        let mut state = self.pipe.state();
        state.check_writer(&self.pipe.back)?;
        let last = state.chunks.back().map_or(at, |(last, _)| at.max(*last));
        state.finished = (!state.severed).then_some(last);
        drop(state);
        self.finished = true;
        self.pipe.readable.notify_one();
        Ok(())
    }

    fn reset(&mut self, code: CloseCode) {
        self.pipe.end_here(false);
        self.pipe.tell_reader(TransportError::Reset { code: code.as_u16().into() });
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if !self.finished {
            self.reset(CloseCode::Normal);
        }
    }
}

/// The reading end.
pub(crate) struct Receiver {
    pub(crate) pipe: Arc<Pipe>,
    pub(crate) handle: Option<Arc<Handle>>,
}

#[async_trait]
impl LaneReceiver for Receiver {
    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, TransportError> {
        loop {
            match self.pipe.pop(max) {
                Found::Bytes(bytes) => {
                    self.pipe.writable.notify_one();
                    return Ok(Some(bytes));
                }
                Found::End => return Ok(None),
                Found::Failed(error) => return Err(error),
                Found::Nothing(until) => wait(&self.pipe.readable, until).await,
            }
        }
    }

    fn stop(&mut self, code: CloseCode) {
        self.pipe.end_here(true);
        self.pipe.tell_writer(TransportError::Reset { code: code.as_u16().into() });
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop(CloseCode::Normal);
    }
}

/// Waits for news or for a time.
pub(crate) async fn wait(news: &Notify, until: Option<Instant>) {
    match until {
        None => news.notified().await,
        Some(until) => tokio::select! {
            biased;
            () = news.notified() => {}
            () = sleep_until(until) => {}
        },
    }
}
