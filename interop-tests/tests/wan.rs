//! The scenarios of distance, over every transport. `README.md` says what they need and what they prove.
#![cfg(target_os = "linux")]

use myrmidon_interop_tests::scenario::wan;
use myrmidon_interop_tests::{Kind, Language, Setup};

macro_rules! over {
    ($($transport:ident: $kind:ident;)+) => {
        $(mod $transport {
            use super::*;

            scenarios!($kind;
                silence: f04_a_cut_is_seen_from_both_sides_and_heals,
                    f04_a_cut_of_one_direction_is_seen_from_both_sides_and_heals,
                    f04_a_sender_that_goes_on_trying_is_back_soon_after_the_heal,
                    f03_a_frozen_node_is_down_and_takes_part_again_when_it_wakes,
                    f01_f02_a_killed_node_is_missed_and_the_next_on_its_port_is_found,
                    f02_a_node_that_is_back_at_once_is_missed_at_once;
                outage: f06_a_short_outage_is_only_a_delay, f05_f06_a_long_outage_leaves_a_gap_and_the_sender_is_told,
                    f06_a_sender_whose_ports_change_is_back_soon,
                    f13_a_flapping_link_is_dialled_with_patience, f14_a_partition_leaves_each_side_whole_and_heals;
                rough: f07_one_lost_packet_in_a_hundred_loses_no_message,
                    f07_five_lost_packets_in_a_hundred_lose_no_message,
                    f07_twenty_lost_packets_in_a_hundred_lose_no_message_or_the_sender_is_told,
                    f07_half_of_the_packets_lost_for_a_second_is_only_a_delay,
                    f07_five_lost_packets_in_a_hundred_end_no_idle_connection;
                load: f17_a_peer_that_stands_still_costs_a_bounded_queue,
                    f17_an_actor_that_reads_nothing_holds_up_its_own_senders_only,
                    f17_f18_a_hog_a_dead_reader_and_loss_harm_nobody_else,
                    f18_large_messages_leave_room_for_signs_of_life,
                    f12_nodes_that_dial_each_other_at_once_lose_nothing;
            );

            #[test]
            fn f07_python_keeps_the_order_on_a_rough_path() {
                for (server, client) in [(Language::Python, Language::Rust), (Language::Python, Language::Python)] {
                    let Some(setup) = setup(Kind::$kind).with(server, client) else { return };
                    wan::rough::nodes_of_all_languages_keep_the_order_on_a_rough_path(&setup);
                }
            }
        })+
    };
}

macro_rules! scenarios {
    ($kind:ident; $($module:ident: $($name:ident),+;)+) => {
        $($(
            #[test]
            fn $name() {
                wan::$module::$name(&setup(Kind::$kind));
            }
        )+)+
    };
}

over! {
    tcp: Tcp;
    quic: Quic;
}

/// TLS adds nothing to what TCP does to packets; these show that it takes nothing away.
mod tls {
    use super::*;

    scenarios!(Tls;
        silence: f04_a_cut_is_seen_from_both_sides_and_heals,
            f01_f02_a_killed_node_is_missed_and_the_next_on_its_port_is_found;
        rough: f07_five_lost_packets_in_a_hundred_lose_no_message;
    );
}

/// What only QUIC can, and only where it may: at a distance.
mod far {
    use super::*;

    scenarios!(Quic; outage: f06_a_connection_far_away_survives_new_ports;);
}

fn setup(kind: Kind) -> Setup {
    Setup::new(kind, env!("CARGO_BIN_EXE_interop_node"), env!("CARGO_TARGET_TMPDIR"))
}
