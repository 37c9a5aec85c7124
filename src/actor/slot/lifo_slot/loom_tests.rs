//! Models of the slot: an owner and thieves, each actor to one of them.
#![allow(clippy::unwrap_used, reason = "tests, whose threads loom switches itself")]

use loom::thread;

use super::*;

fn index(ready: Option<Ready>) -> impl Iterator<Item = usize> {
    ready.into_iter().map(|ready| ready.slot.index.load(Ordering::Relaxed) as usize)
}

/// An owner that puts actors in and takes them out, beside thieves, sees each once with them.
fn each_is_taken_once(fence: bool, thieves: usize, actors: u32) {
    loom::model(move || {
        let slots = Slot::chunk(actors);
        for (number, slot) in (0..).zip(slots) {
            slot.index.store(number, Ordering::Relaxed);
        }
        let ready = |number: usize| Ready { slot: &slots[number] };
        let owner = LifoSlot::with_fence(fence);
        let thieves: Vec<_> = (0..thieves)
            .map(|_| {
                let thief = owner.thief();
                thread::spawn(move || index(thief.take()).collect::<Vec<_>>())
            })
            .collect();
        let mut seen = Vec::new();
        // The second is put upon the first; the third where nothing is left.
        for number in 0..actors as usize {
            seen.extend(index(owner.replace(ready(number))));
            if number > 0 {
                seen.extend(index(owner.take()));
            }
        }
        seen.extend(index(owner.take()));
        thieves.into_iter().for_each(|thief| seen.extend(thief.join().unwrap()));
        seen.sort_unstable();
        assert_eq!(seen, (0..actors as usize).collect::<Vec<_>>());
    });
}

#[test]
fn an_owner_and_a_thief_take_each_actor_once() {
    each_is_taken_once(true, 1, 3);
}

#[test]
fn an_owner_and_two_thieves_take_each_actor_once() {
    each_is_taken_once(true, 2, 1);
}

#[test]
fn without_the_fence_they_exchange() {
    each_is_taken_once(false, 1, 3);
}
