//! The cost of a sandbox, as ratios.
//!
//! Every comparison is paired: the sides take turns within one loop, so that what else the machine does hits all alike, and medians
//! are compared. Numbers of different runs of this program are not comparable; the ratios are.

mod build;
mod calls;
mod client;
mod many;
mod memory;
mod proxy;
mod read;
mod side;
mod start;
mod table;

use std::path::PathBuf;

pub(crate) use calls::client as calls_client;
pub(crate) use client::client;
use side::Bench;

type Part = (&'static str, fn(&Bench) -> Result<(), String>);

const PARTS: &[Part] = &[
    ("start", start::run),
    ("memory", memory::run),
    ("many", many::run),
    ("read", read::run),
    ("calls", calls::run),
    ("build", build::run),
    ("proxy", proxy::run),
];

/// What was asked for on the command line.
#[derive(Default)]
struct Options {
    quick: bool,
    srt: Option<PathBuf>,
    only: Option<Vec<String>>,
}

fn parse(words: &[&str]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match *word {
            "--quick" => options.quick = true,
            "--srt" => options.srt = Some(PathBuf::from(value()?)),
            "--only" => options.only = Some(value()?.split(',').map(str::to_owned).collect()),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    for name in options.only.iter().flatten() {
        if !PARTS.iter().any(|(known, _)| known == name) {
            return Err(format!("no part {name}"));
        }
    }
    Ok(options)
}

/// Measures and prints.
pub(crate) fn run(words: &[&str]) -> Result<bool, String> {
    let options = parse(words)?;
    let srt = match &options.srt {
        Some(path) => path.canonicalize().map_err(|error| format!("cannot find {}: {error}", path.display()))?,
        None => super::dist::build()?,
    };
    let bench = Bench::new(srt, options.quick)?;
    bench.introduce();
    let mut complete = true;
    for (name, part) in PARTS {
        if options.only.as_ref().is_some_and(|only| !only.iter().any(|wanted| wanted == name)) {
            continue;
        }
        if let Err(cause) = part(&bench) {
            complete = false;
            println!("\n{name}: cannot be measured: {cause}");
        }
    }
    Ok(complete)
}
