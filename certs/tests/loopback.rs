//! The private cluster of a user is made once, whoever comes first (D10).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use myrmidon_certs::{Authority, Credentials};

/// Set for the processes that `ten_processes_at_once_share_one_authority` starts.
const DIR: &str = "MYRMIDON_TEST_LOOPBACK_DIR";

#[test]
fn ten_processes_at_once_share_one_authority() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_of_the_ten_processes", "--nocapture"])
            .env(DIR, dir.path().join("state"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..10).map(|_| start()).collect();
    let mut keys: Vec<_> =
        children.into_iter().map(|child| key_of(&child.wait_with_output().unwrap().stdout)).collect();
    keys.dedup();
    assert_eq!(keys.len(), 1, "{keys:?}");
}

/// Does nothing unless started by the test above.
#[test]
fn one_of_the_ten_processes() {
    if let Some(dir) = std::env::var_os(DIR) {
        let credentials = Credentials::loopback_in(Path::new(&dir)).unwrap();
        println!("key={:?}", credentials.derive_key("test", b""));
    }
}

fn key_of(stdout: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdout);
    let line = text.lines().find_map(|line| line.split_once("key=").map(|(_, key)| key.to_owned()));
    line.unwrap_or_else(|| panic!("no key in {text}"))
}

#[test]
fn ten_threads_at_once_share_one_authority_and_have_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let make = || Credentials::loopback_in(&dir.path().join("state")).unwrap();
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(
        made.iter().all(|c| c.derive_key("k", b"") == made[0].derive_key("k", b"") && c.is_loopback_only())
    );
    let names: std::collections::HashSet<_> = made.iter().map(|c| c.identity().node()).collect();
    assert_eq!(names.len(), 10);
}

#[test]
fn a_crash_between_key_and_certificate_is_cured() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    Credentials::loopback_in(&state).unwrap();
    std::fs::remove_file(state.join("ca.crt")).unwrap();
    Credentials::loopback_in(&state).unwrap();
    Authority::load(&state).unwrap();
}

#[test]
fn a_broken_private_cluster_says_how_to_start_over() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    Credentials::loopback_in(&state).unwrap();
    std::fs::write(state.join("ca.crt"), "nonsense").unwrap();
    let error = Credentials::loopback_in(&state).unwrap_err().to_string();
    assert!(error.contains(&format!("rm -r {}", state.display())), "{error}");
}

#[test]
fn a_place_that_cannot_be_made_is_an_error_that_names_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = Credentials::loopback_in(&dir.path().join("file/state")).unwrap_err().to_string();
    assert!(error.contains("MYRMIDON_STATE_DIR"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_private_cluster_that_others_can_reach_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    Credentials::loopback_in(&state).unwrap();
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = Credentials::loopback_in(&state).unwrap_err().to_string();
    assert!(error.contains("chmod 700"), "{error}");
}
