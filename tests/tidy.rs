//! House rules that a machine can check: sizes, headers, no secrets, no paths of one machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a source file, and of a test file. A file that outgrows them has become two nouns.
const LONGEST_SOURCE: usize = 400;
const LONGEST_TEST: usize = 800;

/// The only files that may hold `unsafe`: lock-free structures of the core, the foreign interface, and an
/// allocator that counts in a test.
const UNSAFE: &[&str] = &[
    "src/mailbox/chain.rs",
    "src/mailbox/inbox.rs",
    "src/mailbox/node.rs",
    "src/mailbox/node_pool.rs",
    "src/mailbox/payload.rs",
    "src/actor/one_shot.rs",
    "src/actor/slot.rs",
    "src/actor/slot/bound.rs",
    "src/actor/slot/lifo_slot.rs",
    "src/actor/table.rs",
    "src/actor/waker.rs",
    "src/scheduler/run_queue.rs",
    "src/sync/prompt.rs",
    "tests/common/counting.rs",
    "fuzz/src/coverage.rs",
    "python/src/asking/calling.rs",
    "python/src/asking/sending.rs",
    "python/src/buffer.rs",
    "python/src/call.rs",
    "python/src/fork.rs",
    "python/src/memory.rs",
    "python/src/promise/slots.rs",
    "python/src/number.rs",
];

const SECRETS: &[&str] = &["pem", "key", "crt", "csr", "p12", "der"];

#[test]
fn source_files_stay_short() {
    let long = sources().into_iter().filter_map(|file| {
        let text = read(&file);
        let (lines, most) = match is_test(&file) {
            true => (text.lines().count(), LONGEST_TEST),
            false => (without_tests(&text).lines().count(), LONGEST_SOURCE),
        };
        (lines > most).then(|| format!("{}: {lines} lines, at most {most}", file.display()))
    });
    none(long, "files that are too long");
}

#[test]
fn every_module_says_what_it_is() {
    let silent = sources().into_iter().filter_map(|file| {
        let text = read(&file);
        let header = if is_rust(&file) { text.starts_with("//!") } else { text.starts_with("\"\"\"") };
        (!header && !text.trim().is_empty()).then(|| file.display().to_string())
    });
    none(silent, "files without a header that says what they hold");
}

#[test]
fn nothing_unwraps_outside_tests() {
    let unwraps = sources().into_iter().filter(|file| is_rust(file) && !is_test(file)).flat_map(|file| {
        let text = read(&file);
        code_lines(without_tests(&text))
            .filter(|(_, line)| line.contains(".unwrap()"))
            .map(|(number, line)| format!("{}:{number}: {}", file.display(), line.trim()))
            .collect::<Vec<_>>()
    });
    none(unwraps, "unwraps outside tests");
}

/// What an administrator or a time server sets must not decide who is alive.
#[test]
fn f16_the_mesh_knows_no_clock_that_can_be_set() {
    let parts = ["src", "transports/tcp/src", "transports/quic/src"];
    let wall = ["SystemTime", "UNIX_EPOCH"];
    let found = sources()
        .into_iter()
        .filter(|file| parts.iter().any(|part| file.starts_with(part)))
        .flat_map(|file| {
            let text = read(&file);
            code_lines(without_tests(&text))
                .filter(|(_, line)| wall.iter().any(|clock| line.contains(clock)))
                .map(|(number, line)| format!("{}:{number}: {}", file.display(), line.trim()))
                .collect::<Vec<_>>()
        });
    none(found, "times that can be set, in the mesh");
}

/// A simulation of nodes is the same run for the same seed: tokio's `watch`, and `select!` without an order, wake
/// by chance.
#[test]
fn no_task_of_a_node_is_woken_by_chance() {
    let of_nodes = |file: &PathBuf| file.starts_with("src/node") && is_rust(file);
    let found = sources().into_iter().filter(of_nodes).flat_map(|file| {
        let text = read(&file);
        let lines: Vec<_> = code_lines(without_tests(&text)).collect();
        let by_chance = |pair: &&[(usize, &str)]| {
            let unordered = pair[0].1.contains("select! {") && pair[1].1.trim() != "biased;";
            unordered || pair[0].1.contains("sync::watch") || pair[0].1.contains("watch::channel")
        };
        let found: Vec<_> = lines.windows(2).filter(by_chance).map(|pair| pair[0]).collect();
        found
            .into_iter()
            .map(|(number, line)| format!("{}:{number}: {}", file.display(), line.trim()))
            .collect::<Vec<_>>()
    });
    none(found, "wake-ups by chance in a node");
}

/// With a hasher that is known, a peer chooses keys that all fall into one place (L30).
#[test]
fn l30_no_map_has_a_hasher_that_peers_can_foresee() {
    let foreseen = ["FxHash", "BuildHasherDefault", "ahash", "fnv::"];
    let found = sources().into_iter().filter(|file| is_rust(file) && !is_test(file)).flat_map(|file| {
        let text = read(&file);
        code_lines(without_tests(&text))
            .filter(|(_, line)| foreseen.iter().any(|hasher| line.contains(hasher)))
            .map(|(number, line)| format!("{}:{number}: {}", file.display(), line.trim()))
            .collect::<Vec<_>>()
    });
    none(found, "hashers without a secret");
}

#[test]
fn unsafe_stays_in_its_files() {
    let outside =
        sources().into_iter().filter(|file| is_rust(file) && !allows_unsafe(file)).flat_map(|file| {
            let text = read(&file);
            code_lines(&text)
                .filter(|(_, line)| {
                    ["unsafe {", "unsafe impl", "unsafe fn"].iter().any(|form| line.contains(form))
                })
                .filter(|(_, line)| !line.contains('"'))
                .map(|(number, line)| format!("{}:{number}: {}", file.display(), line.trim()))
                .collect::<Vec<_>>()
        });
    none(outside, "unsafe code outside the files that may hold it");
}

#[test]
fn no_key_or_certificate_is_tracked() {
    let by_name = tracked().into_iter().filter(|file| {
        file.extension().is_some_and(|extension| SECRETS.contains(&extension.to_string_lossy().as_ref()))
    });
    none(by_name.map(|file| file.display().to_string()), "keys or certificates in git");
    let by_content = tracked().into_iter().filter(|file| {
        // A PEM block: the armour alone on its line.
        try_read(file).lines().any(|line| line.starts_with("-----BEGIN ") && line.ends_with("-----"))
    });
    none(by_content.map(|file| file.display().to_string()), "files with a PEM block in git");
}

#[test]
fn no_path_of_one_machine() {
    // Put together here, so that this file does not hold them.
    let homes = ["home", "root", "work", "Users"].map(|folder| format!("/{folder}/"));
    let found = tracked().into_iter().flat_map(|file| {
        let text = try_read(&file);
        let hits =
            text.lines().enumerate().filter(|(_, line)| homes.iter().any(|home| is_absolute(line, home)));
        hits.map(|(index, line)| format!("{}:{}: {}", file.display(), index + 1, line.trim()))
            .collect::<Vec<_>>()
    });
    none(found, "absolute paths of one machine");
}

#[test]
fn feature_table_names_what_exists() {
    let readme = read(Path::new("README.md"));
    let section =
        readme.split("\n## ").find(|part| part.starts_with("What works")).expect("a section on what works");
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() > 5, "the table of features has only {} rows", rows.len());
    let missing = rows.into_iter().flat_map(|row| {
        let paths: Vec<_> = row.split('`').skip(1).step_by(2).filter(|name| name.contains('/')).collect();
        assert!(!paths.is_empty(), "a feature without a folder or file: {row}");
        paths.into_iter().filter(|path| !root().join(path).exists()).map(str::to_owned).collect::<Vec<_>>()
    });
    none(missing, "paths in the table of features that do not exist");
}

fn none(found: impl IntoIterator<Item = String>, what: &str) {
    let found: Vec<_> = found.into_iter().collect();
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// Rust and Python sources, relative to the root.
fn sources() -> Vec<PathBuf> {
    tracked().into_iter().filter(|file| is_rust(file) || has_extension(file, "py")).collect()
}

/// Every file that git tracks or would take, relative to the root.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("names in UTF-8");
    names.split_terminator('\0').map(PathBuf::from).filter(|file| root().join(file).is_file()).collect()
}

fn is_rust(file: &Path) -> bool {
    has_extension(file, "rs")
}

fn has_extension(file: &Path, wanted: &str) -> bool {
    file.extension().is_some_and(|extension| extension == wanted)
}

fn is_test(file: &Path) -> bool {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.iter().any(|part| part == "tests") || stem.ends_with("tests") || stem.starts_with("test_")
}

fn allows_unsafe(file: &Path) -> bool {
    UNSAFE.iter().any(|allowed| file == Path::new(allowed))
}

/// A file up to its trailing test module.
fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod ").next().expect("split yields at least one part")
}

/// The lines that are not comments, with their numbers.
fn code_lines(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = source.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether `path` stands in `line` as the start of a path, not in the middle of one.
fn is_absolute(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(index, _)| {
        let before = line[..index].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || "_-.~/}".contains(character))
    })
}

fn read(file: &Path) -> String {
    let path = root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a file; nothing for one that is not text.
fn try_read(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_default()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
