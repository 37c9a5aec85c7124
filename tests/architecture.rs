//! Dependencies go one way: between crates (by `cargo metadata`) and between the modules of the core
//! (by the `crate::` paths in its sources).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each crate of the workspace may depend on, tests included.
const CRATES: &[(&str, &[&str])] = &[
    ("myrmidon", &[]),
    ("myrmidon-certs", &[]),
    ("myrmidon-transport-harness", &["myrmidon"]),
    ("myrmidon-tcp", &["myrmidon", "myrmidon-certs", "myrmidon-transport-harness"]),
    ("myrmidon-quic", &["myrmidon", "myrmidon-certs", "myrmidon-transport-harness"]),
    ("myrmidon-cli", &["myrmidon", "myrmidon-certs", "myrmidon-tcp", "myrmidon-quic"]),
    ("myrmidon-python", &["myrmidon", "myrmidon-certs", "myrmidon-tcp", "myrmidon-quic", "myrmidon-cli"]),
    (
        "myrmidon-interop-tests",
        &[
            "myrmidon",
            "myrmidon-certs",
            "myrmidon-tcp",
            "myrmidon-quic",
            "myrmidon-cli",
            "myrmidon-transport-harness",
        ],
    ),
    ("myrmidon-fuzz", &["myrmidon"]),
    ("myrmidon-benches", &["myrmidon", "myrmidon-certs", "myrmidon-tcp", "myrmidon-quic"]),
];

/// What the core must stay free of: it knows no transport kind, no TLS and no Python.
const NOT_IN_THE_CORE: &[&str] =
    &["quinn", "quinn-proto", "rustls", "tokio-rustls", "rcgen", "ring", "x509-parser", "pyo3"];

/// The modules of the core, lowest first. Those of one row are siblings: they may use each other's
/// row and every row above it.
const MODULES: &[&[&str]] = &[
    &["sync", "clock", "random"],
    &["pid", "error", "config"],
    &["wire"],
    &["transport"],
    &["mailbox"],
    &["wheel"],
    &["actor"],
    &["scheduler"],
    &["supervision", "registry", "timer", "buffer"],
    &["node"],
    &["runtime", "sim"],
];

#[test]
fn crates_depend_one_way() {
    let allowed: BTreeMap<_, _> = CRATES.iter().copied().collect();
    for (name, dependencies) in workspace() {
        let Some(allowed) = allowed.get(name.as_str()) else {
            panic!("{name} has no row in tests/architecture.rs: say what it may depend on");
        };
        for dependency in dependencies.iter().filter(|name| name.starts_with("myrmidon")) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn core_knows_no_transport_kind_no_tls_and_no_python() {
    let core = &workspace()["myrmidon"];
    for banned in NOT_IN_THE_CORE {
        assert!(!core.iter().any(|name| name == banned), "the core must not depend on {banned}");
    }
}

#[test]
fn modules_of_the_core_use_only_those_before_them() {
    let source = root().join("src");
    let exported = exports(&read(&source.join("lib.rs")));
    let mut broken = Vec::new();
    for path in rust_files(&source) {
        let relative = path.strip_prefix(&source).expect("below src").to_owned();
        let Some(module) = module_of(&relative) else { continue };
        let text = read(&path);
        for target in paths_into_crate(without_tests(&text)) {
            let target = exported.get(&target).cloned().unwrap_or(target);
            if rank(&target) > rank(&module) {
                broken.push(format!("src/{} uses {target}", relative.display()));
            }
        }
    }
    assert!(broken.is_empty(), "imports that point the wrong way:\n{}", broken.join("\n"));
}

/// Each crate of the workspace with the names of its direct dependencies.
fn workspace() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    array(&metadata["packages"]).iter().map(|package| (text(&package["name"]), names(package))).collect()
}

fn names(package: &Value) -> Vec<String> {
    array(&package["dependencies"]).iter().map(|dependency| text(&dependency["name"])).collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn rank(module: &str) -> usize {
    MODULES
        .iter()
        .position(|row| row.contains(&module))
        .unwrap_or_else(|| panic!("{module} has no place in the order of tests/architecture.rs"))
}

/// The top-level module a file belongs to; none for the crate's root file.
fn module_of(relative: &Path) -> Option<String> {
    let first = Path::new(relative.iter().next().expect("a file name"));
    let module = first.with_extension("").to_string_lossy().into_owned();
    (module != "lib").then_some(module)
}

/// What the root file re-exports: item to module, from lines such as `pub use pid::{A, B};`.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for statement in lib.split(';').filter_map(|part| part.split("pub use ").nth(1)) {
        let module = identifier(statement);
        for item in words(&statement[module.len()..]) {
            found.insert(item.to_owned(), module.to_owned());
        }
    }
    found
}

/// The first segment of every path that starts at the crate's root, also in `use crate::{a, b::c}`.
fn paths_into_crate(source: &str) -> Vec<String> {
    let code =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.push(identifier(rest).to_owned()),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// The heads of `a::b, c::{d, e}, F}`: `a`, `c` and `F`.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut at_head) = (0, Vec::new(), true);
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_head = true,
            _ if at_head && !character.is_whitespace() => {
                heads.push(identifier(&group[index..]).to_owned());
                at_head = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// A file up to its trailing test module.
fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod ").next().expect("split yields at least one part")
}

/// A test module in a file of its own: `tests.rs`, `loom_tests.rs`.
fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() && !path.ends_with("tests") {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            found.push(path);
        }
    }
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
