//! Single calls: those that the broker performs, beside the same without a sandbox.
//!
//! This program runs itself on each side as `bench-calls`, which makes each call many times and prints seconds a call, so that starting is not measured.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use super::side::{Bench, Side};
use super::table::{heading, line, median, seconds};

/// A call, how often it is made, and what the design aims at as a ratio.
struct Call {
    name: &'static str,
    aim: &'static str,
    make: fn(usize) -> std::io::Result<()>,
}

const COUNT: usize = 400;

/// In the order in which they are made: each needs what the one before left.
const CALLS: &[Call] = &[
    Call {
        name: "create a file", aim: "≤ 6", make: |number| OpenOptions::new().write(true).create_new(true).open(name(number)).map(drop)
    },
    Call { name: "open for writing", aim: "", make: |number| OpenOptions::new().write(true).open(name(number)).map(drop) },
    Call { name: "open for reading", aim: "", make: |number| File::open(name(number)).map(drop) },
    Call { name: "rename", aim: "", make: |number| fs::rename(name(number), format!("renamed.{number}")) },
    Call { name: "remove", aim: "", make: |number| fs::remove_file(format!("renamed.{number}")) },
];

fn name(number: usize) -> String {
    format!("file.{number}")
}

/// `bench-calls`: one line a call, `name<TAB>seconds`.
pub(crate) fn client() -> Result<bool, String> {
    let directory = in_memory()?;
    let result = make_calls();
    drop(fs::remove_dir_all(directory));
    result
}

/// A directory of its own in memory, so that it is the calls that are measured and no disk. Every side may write there.
fn in_memory() -> Result<PathBuf, String> {
    let shared = Path::new("/dev/shm");
    let base = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let directory = base.join(format!("srt-calls-{}", std::process::id()));
    let made = fs::create_dir(&directory).and_then(|()| std::env::set_current_dir(&directory));
    made.map_err(|error| format!("cannot use {}: {error}", directory.display())).map(|()| directory)
}

fn make_calls() -> Result<bool, String> {
    for call in CALLS {
        let start = Instant::now();
        for number in 0..COUNT {
            (call.make)(number).map_err(|error| format!("{}: {error}", call.name))?;
        }
        println!("{}\t{:e}", call.name, start.elapsed().as_secs_f64() / COUNT as f64);
    }
    println!("{CONNECT}\t{:e}", connect().map_err(|error| format!("{CONNECT}: {error}"))?);
    Ok(true)
}

const CONNECT: &str = "connect to its own loopback";

/// Seconds to connect to a listener of this process. Each connection is taken before the next one is made.
fn connect() -> std::io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut total = 0.0;
    for _ in 0..COUNT {
        let start = Instant::now();
        let stream = TcpStream::connect(address)?;
        total += start.elapsed().as_secs_f64();
        drop((listener.accept()?, stream));
    }
    Ok(total / COUNT as f64)
}

pub(super) fn run(bench: &Bench) -> Result<(), String> {
    let rounds = if bench.quick { 5 } else { 21 };
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut results: Vec<(Side, Vec<Vec<f64>>)> = [Side::None, Side::Srt].map(|side| (side, Vec::new())).into();
    for round in 0..rounds {
        for turn in 0..results.len() {
            let (side, times) = &mut results[(round + turn) % 2];
            times.push(measure(bench, *side, &program)?);
        }
    }
    heading(&format!("single calls, median of {rounds} × {COUNT}"), "create ≤ 6 ×, connect ≤ 2 ×");
    for (index, name) in CALLS.iter().map(|call| call.name).chain([CONNECT]).enumerate() {
        let of = |results: &Vec<Vec<f64>>| median(results.iter().map(|times| times[index]).collect());
        let (plain, inside) = (of(&results[0].1), of(&results[1].1));
        let aim = CALLS.get(index).map_or("≤ 2", |call| call.aim);
        let aim = if aim.is_empty() { String::new() } else { format!(" (aim {aim})") };
        line(name, &seconds(inside), &format!("{:.2} × {}{aim}", inside / plain, seconds(plain)));
    }
    Ok(())
}

/// One run of the client: seconds of each call.
fn measure(bench: &Bench, side: Side, program: &Path) -> Result<Vec<f64>, String> {
    let program = program.display().to_string();
    let mut command = bench.command(side, &[&program, "bench-calls"]);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("cannot run the client: {error}"))?;
    if !output.status.success() {
        let _shown = std::io::stderr().write_all(&output.stderr);
        return Err(format!("{}: the client ended with {}", side.name(), output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let times: Vec<f64> = text.lines().filter_map(|line| line.split_once('\t')?.1.parse().ok()).collect();
    if times.len() == CALLS.len() + 1 { Ok(times) } else { Err(format!("{}: the client printed {text:?}", side.name())) }
}
