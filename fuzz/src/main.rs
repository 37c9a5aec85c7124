//! `myrmidon-fuzz SECONDS [TARGET…]`: each target, or the named ones, for so long.
//!
//! An input that a target does not survive is kept with the others, where every test run tries it, and
//! is named.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use myrmidon_fuzz::driver::{Failure, file, timed};
use myrmidon_fuzz::{TARGETS, Target};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(seconds) = arguments.next().and_then(|text| text.parse().ok()) else {
        eprintln!("write for how many seconds: myrmidon-fuzz SECONDS [TARGET…]");
        return ExitCode::FAILURE;
    };
    let names: Vec<_> = arguments.collect();
    let unknown = names.iter().find(|name| TARGETS.iter().all(|target| target.name != **name));
    if let Some(name) = unknown {
        let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("there is no target {name:?}; there are {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    let chosen = |target: &&Target| names.is_empty() || names.iter().any(|name| name == target.name);
    let mut code = ExitCode::SUCCESS;
    for target in TARGETS.iter().filter(chosen) {
        if let Err(failure) = timed(target, Duration::from_secs(seconds), seed()) {
            report(target, &failure);
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn report(target: &Target, Failure { input, what }: &Failure) {
    let file = file(target, input);
    let kept =
        file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&file, input));
    eprintln!("{}: {what}\nthe input is {input:?}", target.name);
    match kept {
        Ok(()) => eprintln!("it is kept in {}: cargo test -p myrmidon-fuzz tries it again", file.display()),
        Err(error) => eprintln!("it could not be kept in {}: {error}", file.display()),
    }
}

/// Another one each time: what was found before is in the corpus.
fn seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}
