//! What is written where, with which permissions, and what is refused when it is read back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use myrmidon_certs::{Authority, CertificateInfo, CertificateKind, Credentials, DEFAULT_TTL, Identity};

/// An authority in `ca` and the node `a` in `a`, both below a new directory.
fn cluster() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(&dir.path().join("ca"), "prod").unwrap();
    authority.issue("a", DEFAULT_TTL).unwrap().write(&dir.path().join("a")).unwrap();
    dir
}

#[test]
fn an_authority_and_a_node_come_back_from_disk() {
    let dir = cluster();
    let authority = Authority::load(&dir.path().join("ca")).unwrap();
    assert_eq!(authority.cluster(), "prod");
    let credentials = Credentials::load(&dir.path().join("a")).unwrap();
    assert_eq!(credentials.identity(), &Identity::new("prod", "a").unwrap());
    assert!(!credentials.is_loopback_only());
    authority.issue("b", DEFAULT_TTL).unwrap().write(&dir.path().join("b")).unwrap();
    Credentials::load(&dir.path().join("b")).unwrap();
}

#[test]
fn derived_keys_survive_a_restart_and_differ_between_nodes() {
    let dir = cluster();
    let load = |node: &str| Credentials::load(&dir.path().join(node)).unwrap();
    Authority::load(&dir.path().join("ca"))
        .unwrap()
        .issue("b", DEFAULT_TTL)
        .unwrap()
        .write(&dir.path().join("b"))
        .unwrap();
    let key = load("a").derive_key("quic reset", b"");
    assert_eq!(key, load("a").derive_key("quic reset", b""));
    assert_ne!(key, load("b").derive_key("quic reset", b""));
}

#[cfg(unix)]
#[test]
fn files_are_0600_and_directories_0700() {
    use std::os::unix::fs::PermissionsExt;
    let dir = cluster();
    let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    for path in ["ca", "a"] {
        assert_eq!(mode(path), 0o700, "{path}");
    }
    for path in ["ca/ca.crt", "ca/ca.key", "a/node.crt", "a/node.key", "a/ca.crt"] {
        assert_eq!(mode(path), 0o600, "{path}");
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_cures_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = cluster();
    for (key, node) in [("a/node.key", true), ("ca/ca.key", false)] {
        let path = dir.path().join(key);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = match node {
            true => Credentials::load(&dir.path().join("a")).unwrap_err().to_string(),
            false => Authority::load(&dir.path().join("ca")).err().unwrap().to_string(),
        };
        assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
    }
}

#[test]
fn nothing_is_ever_overwritten() {
    let dir = cluster();
    let before = read_all(&dir.path().join("a"));
    let authority = Authority::load(&dir.path().join("ca")).unwrap();
    let error = authority.issue("a", DEFAULT_TTL).unwrap().write(&dir.path().join("a")).unwrap_err();
    assert!(error.to_string().contains("never overwritten"), "{error}");
    assert_eq!(read_all(&dir.path().join("a")), before);
    assert!(Authority::create(&dir.path().join("ca"), "prod").is_err());
}

#[test]
fn a_directory_with_one_file_in_the_way_gets_none() {
    let dir = cluster();
    let out = dir.path().join("half");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("node.crt"), "mine").unwrap();
    let authority = Authority::load(&dir.path().join("ca")).unwrap();
    assert!(authority.issue("b", DEFAULT_TTL).unwrap().write(&out).is_err());
    assert_eq!(read_all(&out), [("node.crt".to_owned(), "mine".to_owned())]);
}

#[test]
fn what_does_not_serve_names_the_file_and_the_next_command() {
    let dir = cluster();
    let issue = "myrmidon certs issue NODE";
    let node = dir.path().join("a");
    let broken = |file: &str, text: &str| {
        let path = node.join(file);
        let good = fs::read_to_string(&path).unwrap();
        fs::write(&path, text).unwrap();
        let error = Credentials::load(&node).unwrap_err().to_string();
        fs::write(&path, good).unwrap();
        assert!(error.contains(file) && error.contains(issue), "{error}");
    };
    broken("node.crt", "");
    broken("node.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    broken("node.key", "no key");
    broken("node.crt", &"x".repeat(1 << 20));
    broken("node.crt", &fs::read_to_string(node.join("ca.crt")).unwrap());
    let other = Authority::generate("prod").unwrap().issue("a", DEFAULT_TTL).unwrap();
    other.write(&dir.path().join("other")).unwrap();
    broken("node.crt", &fs::read_to_string(dir.path().join("other/node.crt")).unwrap());
    broken("node.key", &fs::read_to_string(dir.path().join("other/node.key")).unwrap()[..]);
    let error = Credentials::load(&dir.path().join("nowhere")).unwrap_err().to_string();
    assert!(error.contains("node.key") && error.contains(issue), "{error}");
    let error = Authority::load(&dir.path().join("nowhere")).err().unwrap().to_string();
    assert!(error.contains("ca.key") && error.contains("myrmidon certs init --cluster NAME"), "{error}");
}

#[test]
fn l24_a_chain_has_at_most_three_certificates() {
    let dir = cluster();
    let node = dir.path().join("a");
    let path = node.join("node.crt");
    let leaf = fs::read_to_string(&path).unwrap();
    let ca = fs::read_to_string(node.join("ca.crt")).unwrap();
    fs::write(&path, leaf.clone() + &ca.repeat(2)).unwrap();
    Credentials::load(&node).unwrap();
    fs::write(&path, leaf + &ca.repeat(3)).unwrap();
    let error = Credentials::load(&node).unwrap_err().to_string();
    assert!(error.contains("4 certificates, 3 is the limit"), "{error}");
}

#[test]
fn names_and_lifetimes_that_cannot_be_are_refused() {
    assert!(Authority::generate("Prod").is_err());
    assert!(Authority::generate("a.b").is_err());
    let authority = Authority::generate("prod").unwrap();
    assert!(authority.issue("*", DEFAULT_TTL).is_err());
    assert!(authority.issue("a", Duration::ZERO).is_err());
    assert!(authority.issue("a", Duration::MAX).is_err());
    let six_years = Duration::from_secs(6 * 365 * 86_400);
    let error = authority.issue("a", six_years).err().unwrap().to_string();
    assert!(error.contains("the authority itself ends"), "{error}");
}

#[test]
fn a_certificate_can_be_shown() {
    let dir = cluster();
    let shown = |path: &str| CertificateInfo::read(&dir.path().join(path)).unwrap();
    let node = shown("a");
    assert_eq!(node.kind, CertificateKind::Node(Identity::new("prod", "a").unwrap()));
    assert!(node.is_valid_now());
    assert_eq!(node.fingerprint, shown("a/node.crt").fingerprint);
    assert_eq!(shown("ca").kind, CertificateKind::Authority("prod".to_owned()));
    assert_eq!(shown("ca").fingerprint, shown("a/ca.crt").fingerprint);
    assert_ne!(node.serial, shown("ca").serial);
    assert!(CertificateInfo::read(dir.path()).is_err());
}

fn read_all(dir: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), fs::read_to_string(e.path()).unwrap()))
        .collect();
    files.sort();
    files
}
