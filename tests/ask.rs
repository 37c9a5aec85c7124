//! Asks: exactly one outcome each.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use common::eventually;
use myrmidon::actor::{
    Actor, ActorRef, AskError, AsyncActor, Context, ExitReason, Flow, Reply, SpawnOptions,
};
use myrmidon::{Pid, Runtime};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

enum Msg {
    Double(u64, Reply<u64>),
    Keep(Reply<u64>),
    AnswerKept,
    Forget(Reply<u64>),
    Panic(Reply<u64>),
    Block(Receiver<()>),
    Stop,
    AskYourself(ActorRef<Self>, SyncSender<AskError>),
}

#[derive(Default)]
struct Clerk(Vec<Reply<u64>>);

impl Actor for Clerk {
    type Msg = Msg;

    fn handle(&mut self, message: Msg, _: &mut Context<'_>) -> Flow {
        match message {
            Msg::Double(number, reply) => _ = reply.send(number * 2),
            Msg::Keep(reply) => self.0.push(reply),
            Msg::AnswerKept => self.0.drain(..).for_each(|reply| _ = reply.send(1)),
            Msg::Forget(reply) => drop(reply),
            Msg::Panic(_reply) => panic!("while somebody waits"),
            Msg::Block(until) => _ = until.recv(),
            Msg::Stop => return Flow::Stop(ExitReason::Other("closing time".to_owned())),
            Msg::AskYourself(me, tell) => {
                _ = tell.send(me.ask_blocking(Msg::Keep, LONG).unwrap_err());
            }
        }
        Flow::Continue
    }
}

fn clerk() -> (Runtime, ActorRef<Msg>) {
    let rt = Runtime::new().unwrap();
    let clerk = rt.spawn(Clerk::default());
    (rt, clerk)
}

/// Waits for a future outside of tokio.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn an_answer_comes_back_from_threads_and_futures() {
    let (_rt, clerk) = clerk();
    for number in 0..100 {
        let ask = |reply| Msg::Double(number, reply);
        assert_eq!(clerk.ask_blocking(ask, LONG), Ok(number * 2));
        // A runtime without a clock: the deadline is the actor's runtime's business.
        assert_eq!(block_on(clerk.ask(ask, LONG)), Ok(number * 2));
    }
}

#[test]
fn s38_a_late_answer_is_dropped_and_counted() {
    let (rt, clerk) = clerk();
    let pid = clerk.pid();
    assert_eq!(clerk.ask_blocking(Msg::Keep, SHORT), Err(AskError::Timeout(pid)));
    assert_eq!(block_on(clerk.ask(Msg::Keep, SHORT)), Err(AskError::Timeout(pid)));
    assert_eq!(rt.late_replies(), 0);
    clerk.send(Msg::AnswerKept).unwrap();
    eventually("both late answers are counted", || rt.late_replies() == 2);
    assert_eq!(clerk.ask_blocking(|reply| Msg::Double(4, reply), LONG), Ok(8));
}

#[test]
fn s38_the_end_of_the_actor_is_told_at_once_with_its_reason() {
    let began = Instant::now();
    let closing = ExitReason::Other("closing time".to_owned());
    let (rt, clerk) = clerk();
    let pid = clerk.pid();
    let (go, until) = sync_channel(1);
    clerk.send(Msg::Block(until)).unwrap();
    eventually("the clerk is held", || rt.mailbox_size(pid) == Some(0));
    let (kept, asked) = (clerk.clone(), clerk.clone());
    // One answer that the actor keeps in its state, one question that still waits in its mailbox.
    let kept = std::thread::spawn(move || kept.ask_blocking(Msg::Keep, LONG));
    eventually("the first question waits", || rt.mailbox_size(pid) == Some(1));
    clerk.send(Msg::Stop).unwrap();
    let asked = std::thread::spawn(move || asked.ask_blocking(|reply| Msg::Double(1, reply), LONG));
    eventually("the second question waits", || rt.mailbox_size(pid) == Some(3));
    go.send(()).unwrap();
    let ended = Err(AskError::Ended { pid, reason: closing });
    assert_eq!(kept.join().unwrap(), ended);
    assert_eq!(asked.join().unwrap(), ended);
    assert!(began.elapsed() < LONG, "told before the deadline");
    eventually("the actor is dead", || !rt.is_alive(pid));
    assert_eq!(clerk.ask_blocking(Msg::Keep, LONG), Err(AskError::NoProcess(pid)));
}

#[test]
fn s39_a_panic_while_somebody_waits_is_told() {
    let (_rt, clerk) = clerk();
    let outcome = clerk.ask_blocking(Msg::Panic, LONG);
    assert!(matches!(outcome, Err(AskError::Ended { reason: ExitReason::Panic(_), .. })), "{outcome:?}");
}

#[test]
fn a_reply_that_is_dropped_is_no_answer_and_no_end() {
    let (rt, clerk) = clerk();
    assert_eq!(clerk.ask_blocking(Msg::Forget, LONG), Err(AskError::NoReply(clerk.pid())));
    assert!(rt.is_alive(clerk.pid()));
}

#[test]
fn an_actor_that_asks_itself_gets_an_error_and_no_deadlock() {
    let (_rt, clerk) = clerk();
    let (tell, told) = sync_channel(1);
    clerk.send(Msg::AskYourself(clerk.clone(), tell)).unwrap();
    assert_eq!(told.recv_timeout(LONG), Ok(AskError::OwnActor(clerk.pid())));
}

/// Asks a clerk and passes the answer on.
struct Customer(ActorRef<Msg>);

impl AsyncActor for Customer {
    type Msg = (u64, Reply<Result<u64, AskError>>);

    async fn handle(&mut self, (number, reply): Self::Msg, _: Pid) -> Flow {
        reply.send(self.0.ask(|reply| Msg::Double(number, reply), LONG).await);
        Flow::Continue
    }
}

#[test]
fn async_actors_ask_each_other() {
    let (rt, clerk) = clerk();
    let customers: Vec<_> =
        (0..50).map(|_| rt.spawn_async(Customer(clerk.clone()), SpawnOptions::default())).collect();
    for (number, customer) in (0..).zip(&customers) {
        assert_eq!(customer.ask_blocking(|reply| (number, reply), LONG), Ok(Ok(number * 2)));
    }
}

/// Asks with one time limit after another; even ones are answered, odd ones are not.
struct Impatient(ActorRef<Msg>);

impl AsyncActor for Impatient {
    type Msg = (Vec<u64>, Reply<Vec<bool>>);

    async fn handle(&mut self, (limits, reply): Self::Msg, _: Pid) -> Flow {
        let mut right = Vec::new();
        for limit in limits {
            let (begun, within) = (Instant::now(), Duration::from_millis(limit));
            right.push(if limit % 2 == 0 {
                self.0.ask(|reply| Msg::Double(limit, reply), within).await == Ok(limit * 2)
            } else {
                let outcome = self.0.ask(Msg::Keep, within).await;
                outcome == Err(AskError::Timeout(self.0.pid())) && begun.elapsed() >= within
            });
        }
        reply.send(right);
        Flow::Continue
    }
}

#[test]
fn each_ask_has_a_deadline_of_its_own_whatever_was_asked_before() {
    let rt = Runtime::builder().workers(1).start().unwrap();
    let clerk = rt.spawn(Clerk::default());
    let asked = Instant::now();
    // Long before short, short before long, and two who ask in turn.
    let limits = [20_000, 3, 20_000, 1, 20_000, 15, 1, 7, 1, 20_000, 5, 5, 11];
    let askers: Vec<_> = (0..2)
        .map(|_| {
            let asker = rt.spawn_async(Impatient(clerk.clone()), SpawnOptions::default());
            std::thread::spawn(move || asker.ask_blocking(|reply| (limits.to_vec(), reply), LONG))
        })
        .collect();
    for asker in askers {
        assert_eq!(asker.join().unwrap(), Ok(vec![true; limits.len()]));
    }
    assert!(asked.elapsed() < LONG);
}

/// Says that it has begun and never answers.
struct Procrastinator;

impl AsyncActor for Procrastinator {
    type Msg = (SyncSender<()>, Reply<u64>);

    async fn handle(&mut self, (begun, _reply): Self::Msg, _: Pid) -> Flow {
        begun.send(()).unwrap();
        std::future::pending().await
    }
}

#[test]
fn s38_a_kill_while_the_handler_waits_is_told_with_its_reason() {
    let rt = Runtime::new().unwrap();
    let actor = rt.spawn_async(Procrastinator, SpawnOptions::default());
    let (begun, has_begun) = sync_channel(1);
    let asked = actor.clone();
    let asker = std::thread::spawn(move || asked.ask_blocking(|reply| (begun, reply), LONG));
    has_begun.recv_timeout(LONG).unwrap();
    rt.kill(actor.pid());
    let killed = AskError::Ended { pid: actor.pid(), reason: ExitReason::Killed };
    assert_eq!(asker.join().unwrap(), Err(killed));
}

/// Passes every question on.
struct Desk(SyncSender<Reply<u64>>);

impl Actor for Desk {
    type Msg = Reply<u64>;

    fn handle(&mut self, reply: Reply<u64>, _: &mut Context<'_>) -> Flow {
        self.0.send(reply).unwrap();
        Flow::Continue
    }
}

#[test]
fn a_reply_that_dies_with_somebody_else_says_nothing_about_the_actor_that_was_asked() {
    let rt = Runtime::new().unwrap();
    let (tell, told) = sync_channel(1);
    let desk = rt.spawn(Desk(tell));
    let panics = std::thread::spawn(move || {
        let _reply = told.recv().unwrap();
        panic!("elsewhere");
    });
    assert_eq!(desk.ask_blocking(|reply| reply, LONG), Err(AskError::NoReply(desk.pid())));
    assert!(panics.join().is_err());

    // Another actor that ends with the reply in its state.
    let (tell, told) = sync_channel(1);
    let (desk, clerk) = (rt.spawn(Desk(tell)), rt.spawn(Clerk::default()));
    let asked = desk.clone();
    let asker = std::thread::spawn(move || asked.ask_blocking(|reply| reply, LONG));
    clerk.send(Msg::Keep(told.recv_timeout(LONG).unwrap())).unwrap();
    clerk.send(Msg::Stop).unwrap();
    assert_eq!(asker.join().unwrap(), Err(AskError::NoReply(desk.pid())));
    assert!(rt.is_alive(desk.pid()));
}

#[test]
fn an_answer_may_come_from_another_runtime() {
    let (rt, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (tell, told) = sync_channel(1);
    let (desk, clerk) = (rt.spawn(Desk(tell)), other.spawn(Clerk::default()));
    for _ in 0..100 {
        let asked = desk.clone();
        let asker = std::thread::spawn(move || block_on(asked.ask(|reply| reply, LONG)));
        clerk.send(Msg::Keep(told.recv_timeout(LONG).unwrap())).unwrap();
        clerk.send(Msg::AnswerKept).unwrap();
        assert_eq!(asker.join().unwrap(), Ok(1));
    }
}

#[test]
fn an_ask_that_is_dropped_abandons_its_reply() {
    let rt = Runtime::new().unwrap();
    let (tell, told) = sync_channel(1);
    let desk = rt.spawn(Desk(tell));
    {
        let mut ask = std::pin::pin!(desk.ask(|reply| reply, LONG));
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(ask.as_mut().poll(&mut nobody).is_pending());
        assert!(ask.as_mut().poll(&mut nobody).is_pending());
    }
    let reply = told.recv_timeout(LONG).unwrap();
    assert!(reply.is_abandoned() && !reply.send(1));
    assert_eq!(rt.late_replies(), 1);
}

/// Answers when the time to wait is nearly up, or just over.
#[test]
fn s38_an_answer_at_the_last_moment_is_an_answer_or_late_and_never_both() {
    const ASKS: u64 = 200;
    let rt = Runtime::new().unwrap();
    let (tell, told) = sync_channel::<Reply<u64>>(ASKS as usize);
    let desk = rt.spawn(Desk(tell));
    let answers = std::thread::spawn(move || {
        for (number, reply) in (0..).zip(told) {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(number % 20 * 200) {
                std::thread::yield_now();
            }
            reply.send(1);
        }
    });
    let (mut answered, mut late) = (0, 0);
    for number in 0..ASKS {
        let within = Duration::from_millis(2);
        let outcome = match number % 2 {
            0 => block_on(desk.ask(|reply| reply, within)),
            _ => desk.ask_blocking(|reply| reply, within),
        };
        match outcome {
            Ok(_) => answered += 1,
            Err(AskError::Timeout(_)) => late += 1,
            Err(other) => panic!("{other}"),
        }
    }
    rt.stop(desk.pid());
    answers.join().unwrap();
    assert_eq!((answered + late, rt.late_replies()), (ASKS, late));
}

#[test]
fn s38_a_shutdown_tells_who_blocks_and_who_awaits() {
    let rt = Runtime::new().unwrap();
    let actor = rt.spawn_async(Procrastinator, SpawnOptions::default());
    let ask = |blocks: bool| {
        let (actor, (begun, has_begun)) = (actor.clone(), sync_channel(1));
        let asker = std::thread::spawn(move || match blocks {
            true => actor.ask_blocking(|reply| (begun, reply), LONG),
            false => block_on(actor.ask(|reply| (begun, reply), LONG)),
        });
        (asker, has_begun)
    };
    let (first, has_begun) = ask(true);
    has_begun.recv_timeout(LONG).unwrap();
    let (second, _waits) = ask(false);
    eventually("the second waits in the mailbox", || rt.mailbox_size(actor.pid()) == Some(1));
    rt.shutdown(Duration::ZERO);
    let killed = AskError::Ended { pid: actor.pid(), reason: ExitReason::Killed };
    assert_eq!(first.join().unwrap(), Err(killed.clone()));
    assert_eq!(second.join().unwrap(), Err(killed));
}

#[test]
fn an_ask_that_outlives_the_runtime_ends_without_a_panic() {
    let rt = Runtime::new().unwrap();
    let (tell, told) = sync_channel(1);
    let desk = rt.spawn(Desk(tell));
    let asked = desk.clone();
    let asker = std::thread::spawn(move || block_on(asked.ask(|reply| reply, LONG)));
    let reply = told.recv_timeout(LONG).unwrap();
    rt.shutdown(Duration::ZERO);
    let outcome = asker.join().expect("the asking thread goes on");
    drop(reply);
    assert_eq!(outcome, Err(AskError::Ended { pid: desk.pid(), reason: ExitReason::Killed }));
}
