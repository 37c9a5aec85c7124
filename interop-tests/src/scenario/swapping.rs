//! Hot swap while messages come from another process.

use std::thread;

use crate::node::{Counts, Setup};

const BATCH: u64 = 200;
const BATCHES: u64 = 60;

/// The counter's code is swapped in the middle of a stream of messages: none is lost, none is
/// handled twice, the order stays, and both codes have handled some (S40).
pub fn a_hot_swap_under_remote_load_loses_nothing(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    let addr = server.addr.clone();
    let pid = client.resolve(&addr, "counter").expect("the server's counter");
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for batch in 0..BATCHES {
                client.send(&addr, pid, BATCH, batch * BATCH).expect("send");
            }
        });
        server.counted(1);
        server.swap();
        sending.join().expect("the sender");
    });
    // However the two raced, these come after the swap.
    client.send(&addr, pid, BATCH, BATCHES * BATCH).expect("send");

    let total = (BATCHES + 1) * BATCH;
    let Counts { received, out_of_order, first, second } = server.counted(total);
    assert_eq!((received, out_of_order), (total, 0));
    assert_eq!(first + second, total);
    assert!(first > 0 && second >= BATCH, "{first} by the first code, {second} by the second");
}
