//! The seeded mode itself: the same seed gives the same run; time, blocking calls, supervision and
//! faults are its own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::actor::{
    Actor, AskError, AsyncActor, Context, ExitReason, Flow, Observed, Reply, SpawnOptions, bytes_fn,
};
use myrmidon::error::StepLimit;
use myrmidon::mailbox::{Mailbox, Overflow};
use myrmidon::runtime::JoinError;
use myrmidon::sim::{self, Step, Strategy, Trace};
use myrmidon::supervision::Strategy as Restart;
use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::{Pid, Runtime, Sim};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// An actor that writes down what it is sent.
    fn writer(&self, rt: &Runtime, name: &'static str) -> Pid {
        let log = self.clone();
        rt.spawn_fn(move |text, _| log.add(format!("{name} {}", String::from_utf8_lossy(&text))))
    }
}

/// A bit of everything whose order could differ: senders, links, monitors, timers, restarts, swaps.
fn busy(sim: &mut Sim) -> Vec<String> {
    let (rt, log) = (sim.runtime().clone(), Log::default());
    let center = rt.spawn_observed(SpawnOptions::default());
    let workers: Vec<Pid> = ["a", "b", "c", "d", "e"].iter().map(|name| log.writer(&rt, name)).collect();
    for (n, worker) in workers.iter().enumerate() {
        rt.link(center, *worker);
        rt.monitor(center, *worker);
        rt.timers().send_after(Duration::from_millis(10 * (n as u64 % 3)), *worker, "timer");
        (0..5).for_each(|m| rt.send(*worker, format!("message {m}")).unwrap());
    }
    rt.timers().send_interval(Duration::from_millis(7), workers[1], "tick");
    let restarted = log.clone();
    let factory_rt = rt.clone();
    let factory = Arc::new(move || {
        restarted.add("factory");
        Ok(Some(factory_rt.spawn_fn(|_, _| -> Flow { panic!("as ordered") })))
    });
    rt.supervisor().supervise_with_factory(center, factory, Restart::RestartOne).unwrap();
    sim.run_for(Duration::from_millis(30));
    for pid in rt.supervisor().child_pids() {
        let _ = rt.send(pid, "go");
    }
    let swapped = log.clone();
    let code = bytes_fn(move |_, _: &mut Context<'_>| swapped.add("new code"));
    rt.hot_swap(workers[2], Box::new(code)).unwrap();
    rt.send(workers[2], "after the swap").unwrap();
    let step = sim.trace().steps.len() + sim.random().below(6) as usize;
    sim.kill_at(step, workers[3]);
    rt.exit(workers[4], ExitReason::Other("enough".to_owned()));
    // One end that many hear of, each in its turn.
    let hub = rt.spawn_fn(|_, _| {});
    for name in ["f", "g", "h", "i", "j", "k"] {
        let (linked, monitored) = (log.writer(&rt, name), log.writer(&rt, name));
        rt.link(hub, linked);
        rt.monitor(hub, monitored);
        rt.monitor(center, linked);
    }
    sim.run();
    rt.kill(hub);
    sim.run_for(SECOND);
    // Without the numbers of monitors, which the whole process counts.
    let seen = rt.take_messages(center).unwrap().into_iter().map(|seen| match seen {
        Observed::System(myrmidon::actor::SystemMessage::Exit { target, reason, .. }) => {
            format!("{target:?} ended: {reason}")
        }
        other => format!("{other:?}"),
    });
    log.taken().into_iter().chain(seen).collect()
}

fn run_busy(seed: u64, strategy: &Strategy) -> (Vec<String>, Trace) {
    let mut sim = Sim::builder().seed(seed).strategy(strategy.clone()).start().unwrap();
    (busy(&mut sim), sim.trace())
}

#[test]
fn the_same_seed_gives_the_same_run_and_others_give_others() {
    let mut traces = BTreeSet::new();
    for seed in 0..100 {
        for strategy in [Strategy::Random, Strategy::RoundRobin, Strategy::Pct { depth: 3 }] {
            let ((seen, trace), again) = (run_busy(seed, &strategy), run_busy(seed, &strategy));
            assert_eq!((&seen, &trace), (&again.0, &again.1));
            if strategy == Strategy::Random {
                traces.insert(trace.to_string());
            }
        }
    }
    assert!(traces.len() > 90, "only {} different runs of 100 seeds", traces.len());
}

#[test]
fn a_trace_can_be_replayed_from_its_text_also_by_another_strategy_and_seed() {
    for seed in 0..20 {
        let (seen, trace) = run_busy(seed, &Strategy::Random);
        let replay = Strategy::Replay(trace.to_string().parse().unwrap());
        assert_eq!(run_busy(seed, &replay), (seen, trace));
    }
}

/// What the tests below look at in a process of their own; does nothing in this one.
#[test]
fn prints_runs() {
    if std::env::var_os("MYRMIDON_TEST_PRINT").is_some() {
        let (seen, trace) = run_busy(5, &Strategy::Random);
        println!("run: {seen:?} {trace}");
        sim::check(0..3, |sim| println!("seed {}", sim.seed()));
        sim::check(0..3, |sim| assert!(sim.seed() < 2, "as ordered"));
    }
}

/// What another process prints, to both of its outputs.
fn printed(seed: Option<u64>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "prints_runs", "--nocapture"]).env("MYRMIDON_TEST_PRINT", "1");
    command.env_remove("MYRMIDON_SEED").envs(seed.map(|seed| ("MYRMIDON_SEED", seed.to_string())));
    let output = command.output().unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
}

#[test]
fn another_process_does_the_same() {
    let (seen, trace) = run_busy(5, &Strategy::Random);
    let text = printed(None);
    assert!(text.contains(&format!("run: {seen:?} {trace}\n")), "{text}");
}

#[test]
fn the_environment_chooses_one_seed_and_a_failure_says_which() {
    let text = printed(None);
    assert!(["seed 0\n", "seed 1\n", "seed 2\n"].iter().all(|line| text.contains(line)), "{text}");
    assert!(text.contains("repeat it with: MYRMIDON_SEED=2 cargo test prints_runs"), "{text}");
    let text = printed(Some(41));
    assert!(text.contains("seed 41\n") && !text.contains("seed 1\n"), "{text}");
    assert!(text.contains("repeat it with: MYRMIDON_SEED=41 cargo test prints_runs"), "{text}");
}

#[test]
fn time_passes_only_when_the_test_says_so() {
    let mut sim = Sim::new(1).unwrap();
    let (rt, log) = (sim.runtime().clone(), Log::default());
    let writer = log.writer(&rt, "w");
    rt.timers().send_after(HOUR, writer, "late");
    rt.timers().send_after(SECOND, writer, "early");
    rt.send(writer, "now").unwrap();
    sim.run();
    assert_eq!(log.taken(), ["w now"]);
    sim.run_for(SECOND - Duration::from_nanos(1));
    assert!(log.taken().is_empty());
    sim.run_for(Duration::from_nanos(1));
    assert_eq!((log.taken(), sim.elapsed()), (vec!["w early".to_owned()], SECOND));
    assert!(!sim.run_until(SECOND, || false));
    assert_eq!(sim.elapsed(), 2 * SECOND);
    assert!(sim.run_until(2 * HOUR, || !log.0.lock().unwrap().is_empty()));
    assert_eq!(sim.elapsed(), HOUR);
}

#[test]
fn join_runs_the_actors_and_ends_by_the_simulated_clock() {
    let mut sim = Sim::new(1).unwrap();
    let rt = sim.runtime().clone();
    let pid = rt.spawn_fn(|_, _| Flow::Stop(ExitReason::Shutdown));
    rt.timers().send_after(HOUR, pid, "stop");
    assert_eq!(rt.join(pid, Some(SECOND)), Err(JoinError::Timeout(pid)));
    assert_eq!(sim.elapsed(), SECOND);
    assert_eq!(rt.join(pid, Some(2 * HOUR)), Ok(ExitReason::Shutdown));
    assert_eq!(sim.elapsed(), HOUR);
    let idle = rt.spawn_fn(|_, _| {});
    assert_eq!(rt.join(idle, None), Err(JoinError::Timeout(idle)), "nothing can end it any more");
    sim.run();
}

enum Question {
    Double(u64, Reply<u64>),
    Keep(Reply<u64>),
}

struct Oracle(Vec<Reply<u64>>);

impl Actor for Oracle {
    type Msg = Question;

    fn handle(&mut self, question: Question, _: &mut Context<'_>) -> Flow {
        match question {
            Question::Double(number, reply) => _ = reply.send(2 * number),
            Question::Keep(reply) => self.0.push(reply),
        }
        Flow::Continue
    }
}

#[test]
fn a_handler_that_blocks_lets_the_others_run() {
    sim::check(0..20, |sim| {
        let (rt, log) = (sim.runtime().clone(), Log::default());
        let oracle = rt.spawn(Oracle(Vec::new()));
        let (asked, written) = (oracle.clone(), log.clone());
        let asker = rt.spawn_fn(move |_, _| {
            let answer = asked.ask_blocking(|reply| Question::Double(21, reply), SECOND);
            written.add(format!("{answer:?}"));
            let none = asked.ask_blocking(Question::Keep, SECOND);
            written.add(format!("{}", none == Err(AskError::Timeout(asked.pid()))));
        });
        rt.send(asker, "go").unwrap();
        sim.run();
        assert_eq!(log.taken(), ["Ok(42)", "true"]);
        assert_eq!(sim.elapsed(), SECOND);
    });
}

struct Waits(myrmidon::actor::ActorRef<Question>, Log);

impl AsyncActor for Waits {
    type Msg = u64;

    async fn handle(&mut self, number: u64, _: Pid) -> Flow {
        let answer = self.0.ask(|reply| Question::Double(number, reply), HOUR).await;
        self.1.add(format!("{answer:?}"));
        Flow::Continue
    }
}

#[test]
fn async_actors_wait_for_each_other() {
    sim::check(0..20, |sim| {
        let (rt, log) = (sim.runtime().clone(), Log::default());
        let oracle = rt.spawn(Oracle(Vec::new()));
        let waits = rt.spawn_async(Waits(oracle.clone(), log.clone()), SpawnOptions::default());
        (1..=3).for_each(|n| waits.send(n).unwrap());
        sim.run();
        assert_eq!(log.taken(), ["Ok(2)", "Ok(4)", "Ok(6)"]);
        let answer = sim.block_on(SECOND, oracle.ask(|reply| Question::Double(4, reply), HOUR));
        assert_eq!(answer, Some(Ok(8)));
        assert_eq!(sim.block_on(SECOND, std::future::pending::<()>()), None);
    });
}

#[test]
fn what_waits_for_a_time_waits_by_the_simulated_clock() {
    sim::check(0..20, |sim| {
        let rt = sim.runtime().clone();
        let oracle = rt.spawn(Oracle(Vec::new()));
        let timeout = Err(AskError::Timeout(oracle.pid()));
        assert_eq!(sim.block_on(2 * HOUR, oracle.ask(Question::Keep, HOUR)), Some(timeout));
        assert_eq!(sim.elapsed(), HOUR);
        assert_eq!(sim.block_on(2 * HOUR, rt.timers().sleep(SECOND)), Some(()));
        assert_eq!(sim.elapsed(), HOUR + SECOND);

        // One waits in the mailbox, which has no room for a second until the first is handled.
        let log = Log::default();
        let writer = log.writer(&rt, "w");
        let full = {
            let mailbox = Mailbox::bounded(1).overflow(Overflow::Block);
            let options = SpawnOptions { mailbox, ..SpawnOptions::default() };
            let forward = move |text: Bytes, cx: &mut Context<'_>| cx.send(writer, text).unwrap();
            rt.spawn_behaviour(Box::new(bytes_fn(forward)), options)
        };
        for text in ["1", "2", "3"] {
            rt.send_blocking(full, text, SECOND).unwrap();
        }
        sim.run();
        assert_eq!(log.taken(), ["w 1", "w 2", "w 3"]);
        assert_eq!(sim.elapsed(), HOUR + SECOND, "handling takes no time");
    });
}

#[test]
fn restarts_take_their_pauses_from_the_simulated_clock_and_run_on_this_thread() {
    let here = std::thread::current().id();
    sim::check(0..20, move |sim| {
        let (rt, starts) = (sim.runtime().clone(), Log::default());
        let (spawner, started) = (rt.clone(), starts.clone());
        let factory = Arc::new(move || {
            assert_eq!(std::thread::current().id(), here);
            started.add("start");
            Ok(Some(spawner.spawn_fn(|_, _| -> Flow { panic!("as ordered") })))
        });
        let owner = rt.spawn_fn(|_, _| {});
        rt.supervisor().supervise_with_factory(owner, factory, Restart::RestartOne).unwrap();
        sim.run();
        for expected in 2..8 {
            let before = sim.elapsed();
            rt.send(rt.supervisor().child_pids()[0], "crash").unwrap();
            assert!(sim.run_until(HOUR, || starts.0.lock().unwrap().len() == expected));
            let pause = (sim.elapsed() - before).as_millis();
            let shortest = if expected == 2 { 0 } else { 80 << (expected - 3) };
            assert!((shortest..=shortest * 3 / 2).contains(&pause), "pause {pause} of start {expected}");
        }
    });
}

#[test]
fn lanes_and_their_jobs_are_run_too() {
    let mut sim = Sim::new(3).unwrap();
    let (rt, log) = (sim.runtime().clone(), Log::default());
    let lane = rt.open_lane("lane");
    let (handled, done) = (log.clone(), log.clone());
    let code = bytes_fn(move |_, _: &mut Context<'_>| handled.add("message"));
    let pid = rt.spawn_behaviour(Box::new(code), SpawnOptions { lane: lane.id(), ..SpawnOptions::default() });
    rt.send(pid, "x").unwrap();
    lane.submit(Box::new(move || done.add("job")));
    sim.run();
    let mut seen = log.taken();
    seen.sort();
    assert_eq!(seen, ["job", "message"]);
}

#[test]
fn faults_come_before_their_step() {
    let mut sim = Sim::builder().seed(1).budget(1..=1).start().unwrap();
    let (rt, log) = (sim.runtime().clone(), Log::default());
    let writer = log.writer(&rt, "w");
    (0..10).for_each(|n| rt.send(writer, n.to_string()).unwrap());
    sim.kill_at(3, writer);
    let steps = log.clone();
    sim.between_steps(move |step| steps.add(format!("step {step}")));
    sim.run();
    let seen = log.taken();
    assert_eq!(seen, ["step 0", "w 0", "step 1", "w 1", "step 2", "w 2", "step 3"]);
    assert_eq!(rt.dead_letters(), 7);
    assert!(!rt.is_alive(writer));
    assert!(matches!(sim.trace().steps[0], Step::Actor { spent: 1, budget: 1, .. }));
}

#[test]
fn a_program_that_never_rests_fails_instead_of_hanging() {
    let spins = || {
        let mut sim = Sim::builder().step_limit(100).start().unwrap();
        let rt = sim.runtime().clone();
        let pid = rt.spawn_fn(|_, cx: &mut Context<'_>| drop(cx.send(cx.pid(), "again")));
        rt.send(pid, "go").unwrap();
        sim.run();
    };
    let panic = std::panic::catch_unwind(spins).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("not come to rest within its 100 steps"), "{text}");
}

#[test]
fn the_limit_of_steps_is_an_error_where_it_is_asked_for_and_keeps_nobody_from_ending() {
    let mut sim = Sim::builder().step_limit(100).start().unwrap();
    let rt = sim.runtime().clone();
    let pid = rt.spawn_fn(|_, cx: &mut Context<'_>| drop(cx.send(cx.pid(), "again")));
    rt.send(pid, "go").unwrap();
    assert_eq!(sim.try_run_until(SECOND, || false), Err(StepLimit(100)));
    assert_eq!(sim.try_step(), Err(StepLimit(100)));
    assert_eq!(rt.drive_until(Some(SECOND), || false), Err(StepLimit(100)));
    assert_eq!(sim.trace().steps.len(), 100);
    // Neither does it rest while its mailboxes are drained.
    rt.shutdown(SECOND);
    assert!(!rt.is_alive(pid));
}

#[test]
fn a_failing_seed_is_found_and_reported() {
    // Two senders race; the fault needs the second one first.
    let race = |sim: &mut Sim| {
        let (rt, log) = (sim.runtime().clone(), Log::default());
        let writer = log.writer(&rt, "w");
        for name in ["first", "second"] {
            let sender = rt.spawn_fn(move |_, cx: &mut Context<'_>| cx.send(writer, name).unwrap());
            rt.send(sender, "go").unwrap();
        }
        sim.run();
        assert_eq!(log.taken()[0], "w first");
    };
    let all = std::panic::catch_unwind(|| sim::check(0..50, race));
    assert!(all.is_err(), "no seed of fifty found it");
    Sim::builder().strategy(Strategy::RoundRobin).check(0..50, race);
}

#[test]
fn an_actor_started_on_another_thread_is_run_here() {
    let mut sim = Sim::new(1).unwrap();
    let (rt, log) = (sim.runtime().clone(), Log::default());
    let (tell, told) = sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = log.writer(&rt, "w");
            rt.send(writer, Bytes::from_static(b"from outside")).unwrap();
            tell.send(writer).unwrap();
        });
    });
    assert!(log.taken().is_empty());
    sim.run();
    assert_eq!(log.taken(), ["w from outside"]);
    assert!(rt.is_alive(told.recv().unwrap()));
}

#[test]
fn what_a_simulation_that_ended_early_owed_changes_no_later_one() {
    // Sends to a queue of thousands, so it owes reductions, and ends before it pays.
    let run = || {
        let settings = Sim::builder().seed(3).strategy(Strategy::RoundRobin).budget(1_000..=1_000);
        let mut sim = settings.start().unwrap();
        let rt = sim.runtime().clone();
        let target = rt.spawn_fn(|_, _| {});
        let flooder = rt.spawn_fn(move |_, cx: &mut Context<'_>| drop(cx.send(target, "flood")));
        // A turn with one message ends before the actor's debt is looked at.
        for messages in [1, 2, 1] {
            rt.send_many(flooder, (0..messages).map(|_| "go")).unwrap();
            rt.send_many(target, (0..5_000).map(|_| Bytes::new())).unwrap();
            sim.run();
        }
        sim.trace().to_string()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_simulation_can_be_dropped_whose_actors_start_others_for_ever() {
    fn spawn(rt: &Runtime) {
        struct Heir(Runtime);
        impl Actor for Heir {
            type Msg = ();
            fn started(&mut self, _: &mut Context<'_>) -> Flow {
                spawn(&self.0);
                Flow::Stop(ExitReason::Normal)
            }
            fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
                Flow::Continue
            }
        }
        rt.spawn(Heir(rt.clone()));
    }
    let mut sim = Sim::new(0).unwrap();
    spawn(sim.runtime());
    (0..10).for_each(|_| assert!(sim.step()));
    drop(sim);
}

#[test]
fn blocking_work_is_done_while_its_result_is_waited_for() {
    let mut sim = Sim::new(5).unwrap();
    let rt = sim.runtime().clone();
    assert_eq!(rt.spawn_blocking(|| 7).unwrap().wait(SECOND).unwrap(), 7);

    // In a handler too, and not longer than the simulated clock says.
    let (log, inner) = (Log::default(), rt.clone());
    let mine = log.clone();
    let waits = rt.spawn_fn(move |_, _| {
        let (rt, other) = (inner.clone(), mine.writer(&inner, "other"));
        inner.send(other, "runs").unwrap();
        let mut task = inner.spawn_blocking(move || rt.join(other, Some(SECOND))).unwrap();
        let result = task.wait(HOUR).unwrap();
        assert_eq!(result, Err(JoinError::Timeout(other)));
        mine.add("done");
    });
    rt.send(waits, "go").unwrap();
    sim.run();
    assert_eq!(log.taken(), ["other runs", "done"]);
    assert_eq!(sim.elapsed(), SECOND);
}

/// The simulation's clock stands still there, so the machine's decides.
#[test]
fn a_shutdown_from_another_thread_ends_at_its_limit_and_says_what_is_left() {
    let sim = Sim::new(1).unwrap();
    let rt = sim.runtime().clone();
    let pid = rt.spawn_fn(|_, _| {});
    (0..3).for_each(|_| rt.send(pid, "x").unwrap());
    let left = std::thread::spawn(move || rt.shutdown(Duration::from_millis(50))).join().unwrap();
    assert_eq!(left, 3);
}

/// Two runtimes on one tokio runtime with a paused clock.
#[tokio::test(start_paused = true)]
async fn the_mesh_takes_part_in_a_simulation_and_its_time() {
    let network = MemoryNetwork::new();
    let start = |seed: u64| {
        let transport = Arc::new(MemoryTransport::new(&network));
        Sim::builder()
            .seed(seed)
            .mesh_on(tokio::runtime::Handle::current())
            .configure(move |builder| builder.transport(transport.clone()))
            .start()
            .unwrap()
    };
    let (here, there) = (start(1), start(2));
    let rt = there.runtime();
    let addr = rt.node().listen(&"there:1".parse().unwrap()).await.unwrap();
    rt.names().register("upper", rt.spawn_fn(answer_in_capitals)).unwrap();
    let rt = here.runtime();
    let upper = rt.remote(&addr, "upper").await.unwrap();
    let answer = rt.ask(upper, "hello", SECOND).await.unwrap();
    assert_eq!(answer.into_bytes().unwrap(), "HELLO");
    let (tell, told) = sync_channel(1);
    let sleeper = rt.spawn_fn(move |_, cx| tell.send(cx.now()).unwrap());
    let (began, by_tokio) = (rt.clock().now(), tokio::time::Instant::now());
    rt.timers().send_after(60 * SECOND, sleeper, "wake up");
    tokio::time::sleep(61 * SECOND).await;
    assert_eq!(told.try_recv().unwrap() - began, 60 * SECOND);
    assert!(rt.clock().now() - began >= by_tokio.elapsed() - SECOND, "one time for both");
    assert_eq!(rt.node().shutdown(SECOND).await, 0);
}

fn answer_in_capitals(message: Bytes, cx: &mut Context<'_>) {
    if let Some(reply) = cx.take_reply() {
        reply.send(message.to_ascii_uppercase().into());
    }
}
