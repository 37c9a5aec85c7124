//! Questions by bare PID to actors that take bytes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, eventually, next, runtime};
use myrmidon::actor::{Actor, AskError, AsyncActor, Context, ExitReason, Flow, Request, SpawnOptions};
use myrmidon::mailbox::{Mailbox, Overflow, Payload, Value};
use myrmidon::runtime::Event;
use myrmidon::{Pid, Runtime};

const LONG: Duration = DEADLINE;
const SHORT: Duration = Duration::from_millis(10);

/// Answers with what it was asked, unless that is an order.
fn clerk(rt: &Runtime) -> Pid {
    rt.spawn_fn(|message: Bytes, cx: &mut Context<'_>| match &message[..] {
        b"panic" => panic!("as ordered"),
        b"stop" => Flow::Stop(ExitReason::Other("closing".into())),
        b"keep" => {
            // Kept until the actor ends.
            std::mem::forget(cx.take_reply());
            Flow::Continue
        }
        b"forget" => Flow::Continue,
        _ => {
            if let Some(reply) = cx.take_reply() {
                reply.send(message.into());
            }
            Flow::Continue
        }
    })
}

fn ask(rt: &Runtime, pid: Pid, text: &'static str, within: Duration) -> Result<Bytes, AskError> {
    rt.ask_blocking(pid, text, within).map(|answer| answer.into_bytes().unwrap())
}

#[test]
fn g5_each_question_has_one_outcome() {
    let rt = runtime();
    let pid = clerk(&rt);
    assert_eq!(ask(&rt, pid, "hello", LONG), Ok("hello".into()));
    assert_eq!(rt.io().block_on(rt.ask(pid, "again", LONG)).unwrap().into_bytes().unwrap(), "again");
    assert_eq!(ask(&rt, pid, "forget", LONG), Err(AskError::NoReply(pid)));
    assert_eq!(ask(&rt, pid, "keep", SHORT), Err(AskError::Timeout(pid)));
    rt.send(pid, "a plain message has no way back").unwrap();
    assert_eq!(ask(&rt, pid, "still there", LONG), Ok("still there".into()));
    let reason = ExitReason::Other("closing".into());
    assert_eq!(ask(&rt, pid, "stop", LONG), Err(AskError::Ended { pid, reason }));
    eventually("it ends", || !rt.is_alive(pid));
    assert_eq!(ask(&rt, pid, "hello", LONG), Err(AskError::NoProcess(pid)));
}

#[test]
fn s38_the_end_of_the_actor_ends_the_question_at_once() {
    let rt = runtime();
    let pid = clerk(&rt);
    let outcome = ask(&rt, pid, "panic", LONG);
    assert!(matches!(outcome, Err(AskError::Ended { reason: ExitReason::Panic(_), .. })), "{outcome:?}");
}

#[test]
fn a_crash_says_whether_who_asked_was_told_of_it() {
    let (tell, crashes) = sync_channel(10);
    let listen = move |event: &Event| {
        if let Event::Crash { pid, asker_told, .. } = event {
            tell.send((*pid, *asker_told)).unwrap();
        }
    };
    let rt = Runtime::builder().workers(2).on_event(Arc::new(listen)).start().unwrap();
    for order in ["panic", "stop"] {
        let asked = clerk(&rt);
        assert!(matches!(ask(&rt, asked, order, LONG), Err(AskError::Ended { .. })));
        assert_eq!(next(&crashes), (asked, true), "{order}");
        let sent = clerk(&rt);
        rt.send(sent, order).unwrap();
        assert_eq!(next(&crashes), (sent, false), "{order}");
    }
    // Who asks waits behind the message in which it fails, or has given up.
    let (begin, begun) = sync_channel(1);
    let (go, may_go) = sync_channel::<()>(1);
    let may_go = Mutex::new(may_go);
    let slow = rt.spawn_fn(move |_: Bytes, _: &mut Context<'_>| -> Flow {
        begin.send(()).unwrap();
        may_go.lock().unwrap().recv().unwrap();
        panic!("as ordered")
    });
    assert_eq!(ask(&rt, slow, "x", SHORT), Err(AskError::Timeout(slow)));
    next(&begun);
    let behind = std::thread::spawn({
        let rt = rt.clone();
        move || ask(&rt, slow, "y", LONG)
    });
    eventually("it waits behind", || rt.mailbox_size(slow) == Some(1));
    go.send(()).unwrap();
    assert!(matches!(behind.join().unwrap(), Err(AskError::Ended { .. })));
    assert_eq!(next(&crashes), (slow, false));
}

#[test]
fn a_late_answer_is_counted_and_an_actor_cannot_ask_itself() {
    let rt = runtime();
    let (tell, told) = sync_channel(1);
    let keeper = rt.spawn_fn(move |_: Bytes, cx: &mut Context<'_>| tell.send(cx.take_reply()).unwrap());
    assert_eq!(ask(&rt, keeper, "x", SHORT), Err(AskError::Timeout(keeper)));
    let reply = next(&told).unwrap();
    assert!(reply.is_abandoned() && !reply.send("late".into()));
    assert_eq!(rt.late_replies(), 1);

    let (tell, told) = sync_channel(1);
    let asker = rt.clone();
    let own = rt.spawn_fn(move |_: Bytes, cx: &mut Context<'_>| {
        tell.send(asker.ask_blocking(cx.pid(), "x", LONG).map(|_| ())).unwrap();
    });
    rt.send(own, "go").unwrap();
    assert_eq!(next(&told), Err(AskError::OwnActor(own)));
}

/// An async actor that answers questions and counts plain messages.
struct Desk(u32);

impl AsyncActor for Desk {
    type Msg = Request;

    async fn handle(&mut self, request: Request, _: Pid) -> Flow {
        let question = request.is_question();
        let (_, reply) = request.into_parts();
        if let Some(reply) = reply.filter(|_| question) {
            reply.send(self.0.to_string().into());
        }
        self.0 += u32::from(!question);
        Flow::Continue
    }
}

#[test]
fn an_actor_of_requests_gets_plain_messages_too() {
    let rt = runtime();
    let desk = rt.spawn_async(Desk(0), SpawnOptions::default());
    for _ in 0..3 {
        rt.send(desk.pid(), "count me").unwrap();
    }
    assert_eq!(ask(&rt, desk.pid(), "how many?", LONG), Ok("3".into()));
}

struct Typed;

impl Actor for Typed {
    type Msg = u64;

    fn handle(&mut self, _: u64, _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }
}

struct Coded;

impl Actor for Coded {
    type Msg = usize;

    fn handle(&mut self, length: usize, cx: &mut Context<'_>) -> Flow {
        if let Some(reply) = cx.take_reply() {
            reply.send(length.to_string().into());
        }
        Flow::Continue
    }

    fn codec() -> Option<fn(Bytes) -> Result<usize, String>> {
        Some(|bytes| Ok(bytes.len()))
    }
}

#[test]
fn typed_actors_are_asked_where_they_have_a_codec() {
    let rt = runtime();
    let typed = rt.spawn(Typed).pid();
    assert_eq!(ask(&rt, typed, "x", LONG), Err(AskError::NotBytes(typed)));
    let coded = rt.spawn(Coded).pid();
    assert_eq!(ask(&rt, coded, "four", LONG), Ok("4".into()));
    let value = Payload::Value(Value::new(7));
    assert!(matches!(rt.ask_blocking(coded, value, LONG), Err(AskError::Unsendable { .. })));
}

#[test]
fn a_full_mailbox_and_an_observer_answer_for_themselves() {
    let rt = runtime();
    let mailbox = Mailbox::Bounded { capacity: 1, overflow: Overflow::Reject };
    let (go, gate) = sync_channel::<()>(1);
    let (begin, begun) = sync_channel(1);
    let full = rt.spawn_behaviour(
        Box::new(myrmidon::actor::bytes_fn(move |_: Bytes, _: &mut Context<'_>| {
            begin.send(()).unwrap();
            let _ = gate.recv();
        })),
        SpawnOptions { mailbox, ..SpawnOptions::default() },
    );
    rt.send(full, "held").unwrap();
    next(&begun);
    rt.send(full, "waits").unwrap();
    assert_eq!(ask(&rt, full, "x", LONG), Err(AskError::Full(full)));
    drop(go);

    let observer = rt.spawn_observed(SpawnOptions::default());
    assert_eq!(ask(&rt, observer, "seen", LONG), Err(AskError::NoReply(observer)));
    let seen = rt.take_messages(observer).unwrap();
    assert!(matches!(&seen[..], [myrmidon::actor::Observed::Message(Payload::Bytes(b))] if b == "seen"));
}

#[test]
fn many_ask_one_from_many_threads() {
    let rt = Arc::new(runtime());
    let pid = clerk(&rt);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let rt = rt.clone();
            scope.spawn(move || {
                for n in 0..500 {
                    let text = format!("{thread}:{n}");
                    let answer = rt.ask_blocking(pid, text.clone(), LONG).unwrap().into_bytes().unwrap();
                    assert_eq!(answer, text);
                }
            });
        }
    });
}
