//! Fuzzing: bytes that libFuzzer makes up, for the targets of `tests/fuzz`.
//!
//! It starts from the committed seeds and from what earlier runs found worth keeping; that, logs and inputs that broke something stay below `target/fuzz`.
//! An input that broke something belongs among the seeds, where the ordinary tests try it from then on.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::suite;

const MISSING: &str = "cargo-fuzz is missing: `cargo install --locked cargo-fuzz` (it also needs a C++ compiler, Debian: g++)";
/// Every input is small: long ones only repeat what short ones do.
const LONGEST: usize = 2048;
/// No single input takes so many seconds.
const TIMEOUT: u64 = 20;

/// What to run.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    seconds: u64,
    jobs: usize,
    targets: Vec<&'a str>,
}

impl<'a> Options<'a> {
    fn read(words: &[&'a str]) -> Result<Self, String> {
        let mut options = Options { seconds: 60, jobs: 1, targets: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).filter(|number| *number > 0);
            match *word {
                "--seconds" => options.seconds = number().ok_or("--seconds takes a number from 1")?,
                "--jobs" => options.jobs = number().ok_or("--jobs takes a number from 1")? as usize,
                option if option.starts_with('-') => return Err(format!("there is no option {option}")),
                target => options.targets.push(target),
            }
        }
        Ok(options)
    }
}

/// How one target fared.
struct Fared {
    name: String,
    executions: u64,
    taken: Duration,
    /// What broke, from its log.
    broken: Option<String>,
}

/// `Ok(false)` where any target broke.
pub(crate) fn run(words: &[&str]) -> Result<bool, String> {
    let options = Options::read(words)?;
    let all = all_targets()?;
    let chosen: Vec<String> =
        if options.targets.is_empty() { all.clone() } else { options.targets.iter().map(|&name| name.to_owned()).collect() };
    if let Some(unknown) = chosen.iter().find(|name| !all.contains(name)) {
        return Err(format!("there is no target {unknown}; the targets are {}", all.join(", ")));
    }
    build(&chosen)?;
    let programs = area().join(host()?).join("release");
    let queue: Mutex<VecDeque<String>> = Mutex::new(chosen.into());
    let results = Mutex::new(Vec::new());
    println!("{:<14} {:>12} {:>8}  crashes", "target", "executions", "seconds");
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(name) = next(&queue) {
                    let result = fuzz(&programs, &name, options.seconds);
                    if let Ok(result) = &result {
                        report(result);
                    }
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(results.iter().all(|result| result.broken.is_none()))
}

fn next(queue: &Mutex<VecDeque<String>>) -> Option<String> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn report(result: &Fared) {
    let crashes = usize::from(result.broken.is_some());
    println!("{:<14} {:>12} {:>8}  {crashes}", result.name, result.executions, result.taken.as_secs());
    result.broken.iter().for_each(|broken| println!("{broken}"));
}

fn package() -> PathBuf {
    suite::workspace().join("tests/fuzz")
}

/// Where everything that is made lies.
fn area() -> PathBuf {
    suite::workspace().join("target/fuzz")
}

fn all_targets() -> Result<Vec<String>, String> {
    let entries = fs::read_dir(package().join("targets")).map_err(|error| format!("cannot list the targets: {error}"))?;
    let name = |entry: std::io::Result<fs::DirEntry>| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort_unstable();
    Ok(names)
}

/// Sanitizers and coverage are options that a stable compiler only takes when it is told to act as another.
fn build(targets: &[String]) -> Result<(), String> {
    let cargo = || {
        let mut cargo = Command::new(suite::cargo());
        cargo.arg("fuzz").env("RUSTC_BOOTSTRAP", "1").current_dir(suite::workspace());
        cargo
    };
    let there = cargo().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return Err(MISSING.to_owned());
    }
    let mut build = cargo();
    build.arg("build").arg("--fuzz-dir").arg(package()).arg("--target-dir").arg(area());
    // It takes one target or all.
    if let [only] = targets {
        build.arg(only);
    }
    match build.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the build of the targets failed: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

/// The directory of this machine's programs is called as the compiler calls the machine.
fn host() -> Result<String, String> {
    let told = Command::new("rustc").arg("-vV").output().map_err(|error| format!("cannot run rustc: {error}"))?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    told.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or_else(|| "rustc does not name its host".to_owned())
}

fn fuzz(programs: &Path, name: &str, seconds: u64) -> Result<Fared, String> {
    let made = |part: &str| {
        let path = area().join(part).join(name);
        fs::create_dir_all(&path).map(|()| path).map_err(|error| format!("cannot make a directory for {name}: {error}"))
    };
    let (corpus, broken, temporary) = (made("corpus")?, made("artifacts")?, made("tmp")?);
    let path = made("logs")?.join("last");
    let log = fs::File::create(&path).map_err(|error| format!("cannot write the log of {name}: {error}"))?;
    let begun = Instant::now();
    let status = Command::new(programs.join(name))
        .args([&corpus, &package().join("seeds").join(name)])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST}"))
        .arg(format!("-timeout={TIMEOUT}"))
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .arg("-print_final_stats=1")
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .status()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    let taken = begun.elapsed();
    let _ = fs::remove_dir_all(&temporary);
    let text = fs::read(&path).map_err(|error| format!("cannot read the log of {name}: {error}"))?;
    let text = String::from_utf8_lossy(&text);
    let executions = executions(&text).ok_or_else(|| format!("{name} did not run: see {}", path.display()))?;
    let broken = (!status.success()).then(|| format!("{}  the log is {}", cause(&text), path.display()));
    Ok(Fared { name: name.to_owned(), executions, taken, broken })
}

/// What libFuzzer counted.
fn executions(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?.trim().parse().ok()
}

/// The panic, or what the sanitizer says, and the file with the input.
fn cause(log: &str) -> String {
    let tells = |line: &&str| line.contains("panicked at") || line.starts_with("SUMMARY") || line.contains("Test unit written to");
    let mut lines = log.lines().filter(|line| !line.starts_with('#')).peekable();
    let mut out = String::new();
    while let Some(line) = lines.next() {
        if tells(&line) {
            out.push_str(&format!("  {line}\n"));
            // The words of a panic stand below its place.
            if line.contains("panicked at") {
                out.extend(lines.peek().map(|words| format!("  {words}\n")));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_others_refused() {
        let options = Options::read(&["--seconds", "600", "dns", "--jobs", "2", "http"]);
        assert_eq!(options, Ok(Options { seconds: 600, jobs: 2, targets: vec!["dns", "http"] }));
        for words in [&["--seconds"][..], &["--seconds", "0"], &["--jobs", "x"], &["--fast"]] {
            assert!(Options::read(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_log_tells_how_often_and_what_broke() {
        let log = "#12 NEW\nthread '<unnamed>' panicked at srt/src/x.rs:1:2:\nassertion failed\nartifact_prefix='a/'; Test unit written to a/crash-1\nstat::number_of_executed_units: 4711\n";
        assert_eq!(executions(log), Some(4711));
        let cause = cause(log);
        assert!(["x.rs:1:2", "assertion failed", "a/crash-1"].iter().all(|part| cause.contains(part)), "{cause}");
        assert_eq!(executions("error: no such file"), None);
    }

    #[test]
    fn every_target_file_is_a_program_of_the_package() {
        let manifest = fs::read_to_string(package().join("Cargo.toml")).unwrap();
        let all = all_targets().unwrap();
        assert!(!all.is_empty() && all.iter().all(|name| manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\""))));
    }
}
