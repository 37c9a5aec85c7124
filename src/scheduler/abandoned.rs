//! The last turn of actors that nobody will run: they wait behind handlers that did not return before
//! the runtime went down. Who monitors them or waits for room in their mailboxes hears of it.

use std::sync::Arc;
use std::thread;

use super::Scheduler;
use super::run_queue::RunQueue;
use crate::actor::{Priority, Ready, Runner, Signal, System, run_slice};

impl Scheduler {
    /// Starts a thread that ends them, one more to wait for; `false` if there are none. To be called
    /// once the threads have ended that will.
    pub(crate) fn end_abandoned(self: &Arc<Self>, system: &Arc<System>) -> bool {
        let left = self.work_left()
            || self.desks.iter().any(|desk| desk.lifo.is_used())
            || self.blocking.has_actors();
        let run = {
            let (scheduler, system) = (self.clone(), system.clone());
            move || scheduler.run_abandoned(&system)
        };
        // Not here, as what an actor drops may wait for ever too.
        left && self.keep(thread::Builder::new().name("myrmidon-last".to_owned()).spawn(run)).is_ok()
    }

    fn run_abandoned(&self, system: &Arc<System>) {
        let _context = self.io.enter();
        let (mut runner, own) = (Runner::new(self.limits), RunQueue::new());
        while let Some(ready) = self.next_abandoned(&own) {
            // It was killed with all others, unless somebody has started it since.
            system.signal(ready.pid(), Signal::Kill);
            run_slice(ready, system, &mut runner, || false);
        }
    }

    fn next_abandoned(&self, own: &RunQueue<Ready>) -> Option<Ready> {
        let priorities = [Priority::High, Priority::Normal, Priority::Low];
        let fill = |batch: Vec<Ready>| batch.into_iter().for_each(|ready| self.injector.push(ready));
        self.injector.pop_oldest().into_iter().for_each(fill);
        let injected = || priorities.into_iter().find_map(|priority| self.injector.pop(priority));
        let stolen = || self.stealers().iter().find_map(|queue| queue.steal_half(own));
        let last = || self.desks.iter().find_map(|desk| desk.lifo.take());
        own.pop().or_else(injected).or_else(stolen).or_else(last).or_else(|| self.blocking.take_actor())
    }
}
