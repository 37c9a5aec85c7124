//! The `myrmidon` command; see the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(myrmidon_cli::main_from(std::env::args_os()))
}
