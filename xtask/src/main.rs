//! Project tasks: `cargo xtask check | test | fuzz | dist | bench`.

mod bench;
mod check;
mod dist;
mod fuzz;
mod suite;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask check            formatting, lints, documentation, all tests
cargo xtask test [ARGS…]     all tests, skips counted; ARGS go to `cargo test`
cargo xtask fuzz [OPTIONS] [TARGET…]   made-up input for the targets of tests/fuzz, 60 s each; fails where one breaks
    --seconds N    so long for each
    --jobs N       so many at once
cargo xtask dist             the binary to install: static, so that it starts faster; prints its path
cargo xtask bench [OPTIONS]  cost as ratios, beside bubblewrap
    --quick        fewer runs
    --srt FILE     this binary instead of a fresh `dist` build
    --only NAMES   comma-separated: start,memory,many,read,build,proxy
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.split_first() {
        Some((&"check", [])) => check::run(),
        Some((&"test", rest)) => suite::run(rest).map(|counts| counts.close()),
        Some((&"fuzz", rest)) => fuzz::run(rest),
        Some((&"dist", [])) => dist::build().map(|path| {
            println!("{}", path.display());
            true
        }),
        Some((&"bench", rest)) => bench::run(rest),
        Some((&"bench-client", rest)) => bench::client(rest),
        Some((&"bench-calls", _)) => bench::calls_client(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(cause) => {
            eprintln!("xtask: {cause}");
            ExitCode::FAILURE
        }
    }
}
