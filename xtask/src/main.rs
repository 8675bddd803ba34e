//! Project tasks: `cargo xtask check | test | ebpf | dist | bench`.

mod bench;
mod check;
mod dist;
mod ebpf;
mod suite;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask check            formatting, lints, documentation, all tests
cargo xtask test [ARGS…]     all tests, skips counted; ARGS go to `cargo test`
cargo xtask ebpf             the kernel program, built from its source into srt-ebpf/denials.o
    --check        build it, and compare with the committed one, byte for byte
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
        Some((&"ebpf", [])) => ebpf::build(),
        Some((&"ebpf", ["--check"])) => ebpf::check().map(|counts| counts.close()),
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
