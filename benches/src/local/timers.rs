//! Arms and cancels timers while a million others wait.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use myrmidon::actor::{Actor, Context, Flow};
use myrmidon::mailbox::{Payload, Value};
use myrmidon::timer::TimerId;
use myrmidon::{Pid, Runtime};

use super::{Finish, runtime};
use crate::measure::Figures;

/// Timers of one message, so that no handler takes long.
const PART: u64 = 1000;

#[derive(Clone, Copy)]
enum Message {
    /// Arm some that stay.
    Fill,
    /// Arm some that are cancelled later.
    Arm,
    /// Cancel some of those.
    Cancel,
    /// Tell the nanoseconds of arming or cancelling since the last time.
    Tell,
    /// The one timer that goes off.
    Rang,
}

/// Arms and cancels, and knows how long that took.
struct Armer {
    rt: Runtime,
    armed: Vec<TimerId>,
    number: u64,
    busy: Duration,
    told: SyncSender<u64>,
}

impl Actor for Armer {
    type Msg = Message;

    fn handle(&mut self, message: Message, cx: &mut Context<'_>) -> Flow {
        let begun = Instant::now();
        match message {
            Message::Fill => (0..PART).for_each(|_| _ = self.arm(cx.pid())),
            Message::Arm => {
                (0..PART).for_each(|_| {
                    let timer = self.arm(cx.pid());
                    self.armed.push(timer);
                });
                self.busy += begun.elapsed();
            }
            Message::Cancel => {
                let rest = self.armed.len().saturating_sub(PART as usize);
                let timers = self.rt.timers();
                self.armed.drain(rest..).for_each(|timer| _ = timers.cancel(timer));
                self.busy += begun.elapsed();
            }
            Message::Tell => {
                let busy = std::mem::take(&mut self.busy).as_nanos();
                let _ = self.told.send(u64::try_from(busy).unwrap_or(u64::MAX));
            }
            Message::Rang => _ = self.told.send(0),
        }
        Flow::Continue
    }
}

impl Armer {
    fn arm(&mut self, me: Pid) -> TimerId {
        self.number += 1;
        self.rt.timers().send_after(delay(self.number), me, Payload::Value(Value::new(Message::Rang)))
    }
}

/// One to eleven minutes, in no order, so that none is due in this run.
pub(crate) fn delay(number: u64) -> Duration {
    Duration::from_millis(60_000 + number * 7919 % 600_000)
}

pub(super) fn run(alive: u64) -> Figures {
    let rt = runtime()?;
    let finish = Finish::new(1);
    let armer = Armer {
        rt: rt.clone(),
        armed: Vec::new(),
        number: 0,
        busy: Duration::ZERO,
        told: finish.tell.clone(),
    };
    let armer = rt.spawn(armer);
    // A tenth as many are armed and cancelled beside them.
    let (stay, measured) = (alive.div_ceil(PART), alive.div_ceil(10 * PART));
    let tell = |message: Message, times: u64| {
        (0..times).try_for_each(|_| armer.send(message)).map_err(|_| "the actor has ended")
    };
    let time = |message: Message, alive: u64| {
        tell(message, measured)?;
        tell(Message::Tell, 1)?;
        let nanos = finish.next()?;
        let alive = usize::try_from(alive * PART).unwrap_or(usize::MAX);
        let found = rt.timers().len();
        let each = nanos as f64 / (measured * PART) as f64;
        (found == alive).then_some(each).ok_or_else(|| format!("{found} timers wait instead of {alive}"))
    };
    tell(Message::Fill, stay)?;
    let figures = vec![time(Message::Arm, stay + measured)?, time(Message::Cancel, stay)?];
    let rang = Payload::Value(Value::new(Message::Rang));
    rt.timers().send_after(Duration::from_millis(1), armer.pid(), rang);
    finish.next()?;
    // It holds the runtime that runs it.
    rt.kill(armer.pid());
    Ok(figures)
}
