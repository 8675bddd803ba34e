//! `cargo xtask vm-run`: any program in a guest, with `srt` beside it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::machine::{self, Setup};
use super::{Cache, image, kernels};
use crate::suite;

const USAGE: &str = "cargo xtask vm-run --kernel V [--with FILE]… -- FILE ARGS…";
/// An end to what hangs.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs FILE in a guest as root, from `/root`. It lies in `/srt` there, on the PATH, with `srt` and the files given by `--with`. Its output is ours, and so
/// is its exit status.
pub(crate) fn run(words: &[&str]) -> Result<u8, String> {
    let ["--kernel", series, options @ ..] = words else { return Err(USAGE.into()) };
    let split = options.iter().position(|word| *word == "--").ok_or(USAGE)?;
    let (options, [_, file, arguments @ ..]) = options.split_at(split) else { return Err(USAGE.into()) };
    machine::emulator()?;
    let mut files = vec![build_srt()?, found(file)?];
    for option in options.chunks(2) {
        let ["--with", file] = option else { return Err(USAGE.into()) };
        files.push(found(file)?);
    }
    let cache = Cache::open()?;
    let kernel = kernels::find(&cache.path, &[(*series).to_owned()]).remove(0)?;
    let system = image::system(&cache.path)?;
    let work = cache.work(&format!("run-{}", std::process::id()))?;
    let name = files[1].file_name().unwrap_or_default().display().to_string();
    let payload = image::payload(&work.path, "payload", &files, &[("job", &job(&name, arguments))])?;
    let setup = Setup {
        kernel: &kernel,
        system: &system,
        payload: &payload,
        lines: work.path.clone(),
        cache: &cache.path,
        limit: LIMIT,
        silence: LIMIT,
    };
    let ended = machine::run(&setup, &mut std::io::stdout(), &mut std::io::stderr())?;
    if let Some(cause) = ended.broken {
        return Err(cause);
    }
    let status = ended.record.item("end").and_then(|text| text.parse().ok());
    status.ok_or_else(|| "the guest gave no exit status".into())
}

fn found(file: &str) -> Result<PathBuf, String> {
    PathBuf::from(file).canonicalize().map_err(|error| format!("cannot find {file}: {error}"))
}

fn job(name: &str, arguments: &[&str]) -> String {
    let words: Vec<String> = std::iter::once(format!("/srt/{name}")).chain(arguments.iter().map(|word| (*word).to_owned())).collect();
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("cd /root\nPATH=/srt:$PATH setsid -w {} </dev/null >/dev/ttyS1 2>/dev/ttyS2\nsay end \"$?\"\n", words.join(" "))
}

/// For a shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn build_srt() -> Result<PathBuf, String> {
    let built = Command::new(suite::cargo()).args(["build", "--quiet", "--package", "srt"]).current_dir(suite::workspace()).status();
    if built.is_ok_and(|status| status.success()) { Ok(suite::target().join("debug/srt")) } else { Err("cannot build srt".into()) }
}

#[cfg(test)]
mod tests {
    use super::job;

    #[test]
    fn arguments_reach_the_guest_as_they_are() {
        assert!(job("p", &["a b", "it's", "$HOME"]).contains(r"'/srt/p' 'a b' 'it'\''s' '$HOME' <"));
    }
}
