//! Every scenario over every transport and pair of languages. `README.md` shows the matrix.

use myrmidon_interop_tests::{Kind, Language, Setup, scenario};

/// A test per scenario, for one transport and one pair of languages: who serves, who asks.
macro_rules! scenarios {
    ($kind:ident $server:ident $client:ident; $($module:ident: $($name:ident),+;)+) => {
        $($(
            #[test]
            fn $name() {
                if let Some(setup) = setup(Kind::$kind).with(Language::$server, Language::$client) {
                    scenario::$module::$name(&setup);
                }
            }
        )+)+
    };
}

/// What any two nodes must hold, whatever they are written in.
macro_rules! between_nodes {
    ($($name:ident: $kind:ident $server:ident $client:ident;)+) => {
        $(mod $name {
            use super::*;

            scenarios!($kind $server $client;
                messaging: names_resolve_and_messages_flow_both_ways,
                    ten_thousand_messages_arrive_once_and_in_order, an_unknown_name_resolves_to_nothing,
                    heartbeats_are_answered, a_clean_end_loses_nothing, three_nodes_send_around_a_circle;
                failing: a_failing_actor_ends_alone_and_its_reason_is_told;
                swapping: a_hot_swap_under_remote_load_loses_nothing;
                healing: a_killed_node_is_noticed_and_the_factory_reconnects,
                    a_node_that_is_back_at_once_is_found_again, a_pid_from_before_a_restart_reaches_nobody,
                    a_proxy_that_follows_a_name_reaches_every_life_of_a_node;
            );
        })+
    };
}

between_nodes! {
    tcp_rust_to_rust: Tcp Rust Rust;
    tcp_python_to_rust: Tcp Rust Python;
    tcp_rust_to_python: Tcp Python Rust;
    tcp_python_to_python: Tcp Python Python;
    tls_rust_to_rust: Tls Rust Rust;
    tls_python_to_rust: Tls Rust Python;
    tls_rust_to_python: Tls Python Rust;
    quic_rust_to_rust: Quic Rust Rust;
    quic_python_to_rust: Quic Rust Python;
    quic_rust_to_python: Quic Python Rust;
    quic_python_to_python: Quic Python Python;
}

/// What a node must hold against bytes that are wrong.
macro_rules! against_bad_bytes {
    ($($name:ident: $kind:ident $server:ident;)+) => {
        $(mod $name {
            use super::*;

            scenarios!($kind $server Rust;
                malformed: malformed_frames_close_their_lane_and_nobody_elses,
                    a_frame_cut_at_every_byte_is_never_half_a_message, a_lane_reset_at_every_byte_harms_nobody;
            );
        })+
    };
}

against_bad_bytes! {
    tcp_bad_bytes_to_rust: Tcp Rust;
    tcp_bad_bytes_to_python: Tcp Python;
    tls_bad_bytes_to_rust: Tls Rust;
    quic_bad_bytes_to_rust: Quic Rust;
    quic_bad_bytes_to_python: Quic Python;
}

/// What a node must hold with peers that know the documented framing only.
macro_rules! with_legacy_peers {
    ($($name:ident: $language:ident;)+) => {
        $(mod $name {
            use super::*;

            scenarios!(Tcp $language $language;
                legacy: a_bare_socket_does_everything_in_one_connection,
                    a_bare_socket_does_everything_in_a_thousand_connections,
                    what_a_bare_socket_sent_before_closing_arrives, answers_come_in_the_order_of_the_requests,
                    a_node_talks_to_a_legacy_server, a_legacy_server_that_comes_back_is_found_again,
                    a_node_out_of_file_descriptors_recovers;
            );
        })+
    };
}

with_legacy_peers! {
    legacy_with_rust: Rust;
    legacy_with_python: Python;
}

fn setup(kind: Kind) -> Setup {
    Setup::new(kind, env!("CARGO_BIN_EXE_interop_node"), env!("CARGO_TARGET_TMPDIR"))
}

/// S39 holds in an optimised build too, whose profile must unwind. `scripts/test.sh` builds one.
#[test]
fn a_release_build_survives_a_panicking_actor() {
    let Some(node) = std::env::var_os("MYRMIDON_TEST_RELEASE_NODE") else {
        println!(
            "skipped: set MYRMIDON_TEST_RELEASE_NODE to an interop_node built with --profile fast or --release"
        );
        return;
    };
    let setup = setup(Kind::Tcp).with_rust_node(node.into());
    scenario::failing::a_failing_actor_ends_alone_and_its_reason_is_told(&setup);
}
