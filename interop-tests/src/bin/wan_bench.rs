//! Head-of-line blocking, measured: small messages to many actors over a path that loses packets.
//!
//! Two nodes in processes of their own, and the userspace WAN between them. Prints one line of JSON for
//! each transport, round trip and share of loss. Every message is accounted for at the sink; a row whose
//! counts or checksums are wrong says so, and the program fails.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // The nodes are this program too, so that one build is enough.
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "node").is_some() {
        return match myrmidon_interop_tests::program::run(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        };
    }
    bench()
}

#[cfg(target_os = "linux")]
fn bench() -> ExitCode {
    myrmidon_interop_tests::wan::bench::main()
}

#[cfg(not(target_os = "linux"))]
fn bench() -> ExitCode {
    eprintln!("error: the userspace WAN needs Linux");
    ExitCode::FAILURE
}
