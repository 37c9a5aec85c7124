//! Actors that fail, in nodes that must not.

use crate::Setup;

/// S39: a panic or an exception ends one actor with its reason, and the node goes on serving.
///
/// # Panics
/// If the node dies of it, or the reason is lost.
pub fn a_failing_actor_ends_alone_and_its_reason_is_told(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    for _ in 0..3 {
        let reason = server.crash();
        assert!(reason.contains("as ordered"), "the reason is {reason:?}");
    }
    let pid = client.find_counter(&server.addr);
    client.send(&server.addr, pid, 100, 0).expect("the node still takes messages");
    assert_eq!(server.counted(100).out_of_order, 0);
}
