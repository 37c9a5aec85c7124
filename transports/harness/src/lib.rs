//! One conformance suite that every transport passes, and decorators that inject faults.
//!
//! A transport proves itself in a few lines (`transports/tcp/tests/conformance.rs`):
//!
//! ```
//! use std::sync::Arc;
//! use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
//! use myrmidon_transport_harness::{Subject, conformance};
//!
//! conformance!(Subject::new(Arc::new(MemoryTransport::new(&MemoryNetwork::new())), "node:0"));
//! ```
//!
//! Every property becomes a test of its own, so a failure has a name. The suite asks for what all
//! transports promise; where they may differ, the doc comment of the property says what it accepts.
#![forbid(unsafe_code)]

mod faulty;
mod hostile;
mod leaving;
mod mutual;
mod noise;
mod pair;
mod reunion;
pub mod suite;

pub use faulty::{Faults, Faulty};
pub use hostile::Hostile;
pub use leaving::Leaving;
pub use mutual::Mutual;
pub use pair::{Pair, Subject, within};
pub use reunion::Reunion;

/// Turns every property of the suite into a `#[tokio::test]`. The expression makes the [`Subject`];
/// it runs once per test, inside a tokio runtime.
#[macro_export]
macro_rules! conformance {
    ($subject:expr) => {
        $crate::conformance!(@tests $subject;
            setup: port_zero_is_resolved, dialling_where_nobody_listens_fails,
                an_address_in_use_cannot_be_bound, a_dropped_listener_frees_its_address,
                an_idle_peer_does_not_hold_up_the_next, accepting_is_cancel_safe,
                a_hundred_connections_at_once;
            bytes: bytes_arrive_intact_and_in_order, both_directions_carry_at_once,
                written_buffers_are_left_empty, what_does_not_go_at_once_is_left_for_the_writer, reading_keeps_to_its_maximum, reading_is_cancel_safe,
                bytes_are_read_to_where_they_belong;
            lanes: lanes_do_not_mix, every_class_is_carried, an_unread_lane_does_not_stall_the_others,
                accepting_lanes_is_cancel_safe, only_the_dialler_has_to_open_lanes;
            ends: finish_comes_after_all_bytes, a_finished_lane_still_carries_the_other_way,
                a_reset_never_looks_like_the_end, a_reset_met_by_read_into_never_looks_like_the_end, a_dropped_sender_never_looks_like_the_end,
                an_abandoned_lane_fails_its_writer, close_ends_all_lanes_on_both_sides,
                after_close_nothing_works_and_the_reason_stays, dropping_everything_ends_the_connection;
            pressure: a_writer_stops_when_nobody_reads, a_writer_of_messages_stops_when_nobody_reads,
                a_write_that_is_dropped_leaves_what_is_to_be_written;
        );
    };
    (@tests $subject:expr; $($module:ident: $($property:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $crate::suite::$module::$property(&$subject).await;
            }
        )+)+
    };
}
