//! Dead letters: counted by reason, and shown to who listens.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, echo, eventually, held, held_with, next, runtime, watch};
use myrmidon::actor::{Actor, Codec, Context, DeadLetterReason, Flow, SpawnOptions};
use myrmidon::mailbox::{Mailbox, Overflow, Payload};
use myrmidon::{Pid, Runtime};

type Letters = Arc<Mutex<Vec<(Pid, DeadLetterReason, Option<String>)>>>;

/// Writes down every dead letter until the watch is dropped.
fn record(rt: &Runtime) -> (Letters, myrmidon::actor::DeadLetterWatch) {
    let letters = Letters::default();
    let seen = letters.clone();
    let watch = rt.on_dead_letter(move |letter| {
        let text = letter.message.as_ref().map(|message| match message {
            Payload::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Payload::Value(value) => format!("{value:?}"),
        });
        seen.lock().unwrap().push((letter.target, letter.reason, text));
    });
    (letters, watch)
}

fn small(overflow: Overflow) -> SpawnOptions {
    SpawnOptions { mailbox: Mailbox::bounded(1).overflow(overflow), ..SpawnOptions::default() }
}

#[test]
fn g3_every_kind_of_dead_letter_is_shown_with_its_message_and_counted_by_reason() {
    let rt = Runtime::builder().workers(4).start().unwrap();
    let (letters, _watch) = record(&rt);

    let (ended, go, _told) = held(&rt, "");
    rt.send(ended, "waited").unwrap();
    rt.kill(ended);
    let end = watch(&rt, ended);
    go.send(()).unwrap();
    next(&end);
    rt.timers().send_after(Duration::ZERO, ended, "too late");
    eventually("the timer goes off", || rt.dead_letters() == 2);

    let (new, _go, _told) = held_with(&rt, "", small(Overflow::DropNew));
    rt.send(new, "kept").unwrap();
    rt.send(new, "new").unwrap();
    let (old, _go, _told) = held_with(&rt, "", small(Overflow::DropOld));
    rt.send(old, "old").unwrap();
    rt.send(old, "kept").unwrap();

    let expected = [
        (ended, DeadLetterReason::Ended, "waited"),
        (ended, DeadLetterReason::NoProcess, "too late"),
        (new, DeadLetterReason::Full, "new"),
        (old, DeadLetterReason::Displaced, "old"),
    ]
    .map(|(pid, reason, text)| (pid, reason, Some(text.to_owned())));
    assert_eq!(*letters.lock().unwrap(), expected);
    for (_, reason, _) in expected {
        assert_eq!(rt.dead_letters_by(reason), 1, "{reason:?}");
    }
    assert_eq!(rt.dead_letters(), 4);
}

struct Strict;

impl Actor for Strict {
    type Msg = u32;

    fn handle(&mut self, _: u32, _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }

    fn codec() -> Option<Codec<u32>> {
        Some(|_: Bytes| Err("no number".to_owned()))
    }
}

#[test]
fn what_an_actor_cannot_read_is_a_dead_letter_of_that_reason() {
    let rt = runtime();
    let (letters, _watch) = record(&rt);
    let strict = rt.spawn(Strict).pid();
    rt.send(strict, "x").unwrap();
    eventually("it was read", || rt.dead_letters_by(DeadLetterReason::Unreadable) == 1);
    eventually("it was shown", || !letters.lock().unwrap().is_empty());
    assert_eq!(*letters.lock().unwrap(), [(strict, DeadLetterReason::Unreadable, None)]);
}

#[test]
fn each_of_several_sinks_sees_each_letter_until_its_watch_is_dropped() {
    let rt = runtime();
    let (pid, _go, _told) = held_with(&rt, "", small(Overflow::DropNew));
    rt.send(pid, "fills it").unwrap();
    rt.send(pid, "before anybody listens").unwrap();
    let ((first, watch), (second, _watch)) = (record(&rt), record(&rt));
    rt.send(pid, "1").unwrap();
    drop(watch);
    rt.send(pid, "2").unwrap();
    assert_eq!((first.lock().unwrap().len(), second.lock().unwrap().len()), (1, 2));
    assert_eq!(rt.dead_letters(), 3);
}

#[test]
fn a_sink_may_panic_send_and_end_its_own_watch() {
    let rt = runtime();
    let (pid, _go, _told) = held_with(&rt, "", small(Overflow::DropNew));
    let (other, told) = echo(&rt, "");
    rt.send(pid, "fills it").unwrap();
    let shown = Arc::new(AtomicUsize::new(0));
    let own = Arc::new(Mutex::new(None));
    let (count, handle, mine) = (shown.clone(), rt.clone(), own.clone());
    let watch = rt.on_dead_letter(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) > 0 {
            handle.send(pid, "lost by the sink").unwrap();
            handle.send(other, "heard").unwrap();
            drop(mine.lock().unwrap().take());
        }
        panic!("a sink panics");
    });
    *own.lock().unwrap() = Some(watch);
    for text in ["1", "2", "3"] {
        rt.send(pid, text).unwrap();
    }
    assert_eq!(next(&told), "heard");
    assert_eq!(shown.load(Ordering::Relaxed), 2, "the letter of the sink itself and the third are not shown");
    assert_eq!(rt.dead_letters(), 4);
    assert!(rt.is_alive(pid));
}

#[test]
fn an_interval_goes_on_after_a_message_that_found_the_mailbox_full() {
    let rt = runtime();
    let (pid, go, told) = held_with(&rt, "", small(Overflow::Reject));
    rt.send(pid, "fills it").unwrap();
    let timer = rt.timers().send_interval(Duration::from_millis(1), pid, "tick");
    eventually("ticks are lost", || rt.dead_letters_by(DeadLetterReason::Full) > 1);
    go.send(()).unwrap();
    for text in ["first", "fills it", "tick", "tick"] {
        assert_eq!(next(&told), text);
    }
    assert!(rt.timers().cancel(timer));
}

#[test]
fn a_watch_may_outlive_its_runtime() {
    let rt = runtime();
    let (tell, told) = sync_channel(1);
    let watch = rt.on_dead_letter(move |_| tell.send(()).unwrap());
    rt.shutdown(DEADLINE);
    drop(rt);
    drop(watch);
    assert_eq!(told.recv_timeout(DEADLINE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}
