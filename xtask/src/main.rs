//! Project tasks: `cargo xtask check | test | cross | ebpf | fuzz | dist | bench | vm-test | vm-run | layers | ci`.

#[cfg(target_os = "linux")]
mod bench;
mod check;
mod cross;
mod dist;
mod ebpf;
mod fuzz;
mod layers;
mod suite;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask check            formatting, lints, documentation, all tests
cargo xtask test [ARGS…]     all tests, skips counted; ARGS go to `cargo test`
cargo xtask cross            types and lints of the whole workspace for macOS (both architectures) and for Linux on aarch64
cargo xtask fuzz [OPTIONS] [TARGET…]   made-up input for the targets of tests/fuzz, 60 s each; fails where one breaks
    --seconds N    so long for each
    --jobs N       so many at once
cargo xtask ebpf             the kernel program, built from its source into srt-ebpf/denials.o
    --check        build it, and compare with the committed one, byte for byte
cargo xtask dist             the binary to install: static, so that it starts faster; prints its path
cargo xtask bench [OPTIONS]  cost as ratios, beside bubblewrap
    --quick        fewer runs
    --srt FILE     this binary instead of a fresh `dist` build
    --only NAMES   comma-separated: start,memory,many,read,build,proxy
cargo xtask vm-test [--kernel V]… [--subset] [-- FILTERS…]
                             the end-to-end suite on kernels 5.10, 6.1, 6.12 and 7 in virtual machines; --subset leaves out what takes longest
cargo xtask layers [ARGS…]   the end-to-end suite on this kernel, with layers taken away in turn; ARGS go to the test program
cargo xtask ci               check, cross, and, on Linux, the subset of vm-test on 6.1 and 7: one closing line
cargo xtask vm-run --kernel V [--with FILE]… -- FILE ARGS…
                             FILE and srt in a virtual machine with kernel V (5.10, 6.1, 6.12, 7); exit status passed on
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.split_first() {
        Some((&"check", [])) => check::run().map(|counts| counts.close()),
        Some((&"test", rest)) => suite::run(rest).map(|counts| counts.close()),
        Some((&"fuzz", rest)) => fuzz::run(rest),
        Some((&"ebpf", [])) => ebpf::build(),
        Some((&"ebpf", ["--check"])) => ebpf::check().map(|counts| counts.close()),
        Some((&"dist", [])) => dist::build().map(|path| {
            println!("{}", path.display());
            true
        }),
        Some((&"vm-run", rest)) => {
            return vm::run_program(rest).map_or_else(fail, ExitCode::from);
        }
        Some((&"layers", rest)) => layers::run(rest).map(|counts| counts.close()),
        Some((&"vm-test", rest)) => vm::Request::parse(rest).and_then(|request| vm::test(&request)).map(|counts| counts.close()),
        Some((&"ci", [])) => Ok(ci()),
        Some((&"cross", [])) => cross::run().map(|counts| counts.close()),
        #[cfg(target_os = "linux")]
        Some((&"bench", rest)) => bench::run(rest),
        #[cfg(target_os = "linux")]
        Some((&"bench-client", rest)) => bench::client(rest),
        #[cfg(target_os = "linux")]
        Some((&"bench-calls", _)) => bench::calls_client(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(cause) => fail(cause),
    }
}

/// The last line has the sum, also where one of them cannot be done at all.
fn ci() -> bool {
    let mut sum = suite::Counts::default();
    for stage in [check::run, cross::run, virtual_machines] {
        match stage() {
            Ok(counts) => sum.add(counts),
            Err(cause) => sum.fail(&cause),
        }
    }
    sum.close()
}

/// They run what was built here, so they need a Linux around them.
fn virtual_machines() -> Result<suite::Counts, String> {
    if cfg!(target_os = "linux") {
        return vm::test(&vm::Request::of_ci());
    }
    let mut counts = suite::Counts::default();
    counts.skip("virtual machines: they are for programs of Linux");
    Ok(counts)
}

fn fail(cause: String) -> ExitCode {
    eprintln!("xtask: {cause}");
    ExitCode::FAILURE
}
