//! The sides of a comparison: no sandbox, bubblewrap, srt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One way to run a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// No sandbox.
    None,
    /// Debian's bubblewrap with a comparable profile: read-only tree, one write root, own /dev and /proc, every namespace. It has
    /// no filter, no Landlock and no proxy.
    Bwrap,
    /// srt with all layers and the proxy on.
    Srt,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Side::None => "no sandbox",
            Side::Bwrap => "bwrap",
            Side::Srt => "srt",
        }
    }
}

/// Where and with what to measure.
pub(super) struct Bench {
    /// A directory that every side may write.
    pub(super) work: PathBuf,
    /// Fewer runs.
    pub(super) quick: bool,
    srt: PathBuf,
    settings: PathBuf,
    bwrap: Option<String>,
}

impl Bench {
    pub(super) fn new(srt: PathBuf, quick: bool) -> Result<Self, String> {
        let root = std::env::temp_dir().join(format!("srt-bench-{}", std::process::id()));
        let work = root.join("work");
        fs::create_dir_all(&work).map_err(|error| format!("cannot create {}: {error}", work.display()))?;
        let bench = Bench { work, quick, srt, settings: root.join("settings.json"), bwrap: bwrap_version() };
        bench.write_settings("")?;
        bench.verify()?;
        Ok(bench)
    }

    /// Says what is compared.
    pub(super) fn introduce(&self) {
        println!("srt:   {} ({})", self.srt.display(), version(&self.srt).unwrap_or_else(|| "no version".into()));
        match &self.bwrap {
            Some(version) => {
                println!("bwrap: {version}, --ro-bind / / --dev /dev --proc /proc --bind WORK WORK --unshare-all --die-with-parent")
            }
            None => println!("bwrap: not installed; only what needs no comparison with it is printed"),
        }
    }

    /// The sides that can be had.
    pub(super) fn sides(&self) -> Vec<Side> {
        let bwrap = self.bwrap.as_ref().map(|_| Side::Bwrap);
        [Some(Side::None), bwrap, Some(Side::Srt)].into_iter().flatten().collect()
    }

    /// Settings that switch every layer on; `target` is a host entry that is allowed as well.
    pub(super) fn write_settings(&self, target: &str) -> Result<(), String> {
        let extra = if target.is_empty() { String::new() } else { format!(", \"{target}\"") };
        let text = format!(
            "{{ \"network\": {{ \"allowedDomains\": [\"*.example.com\"{extra}], \"deniedDomains\": [] }},\n  \"filesystem\": {{ \"denyRead\": [\"/etc/shadow\"], \"allowWrite\": [\"{}\"], \"denyWrite\": [], \"allowGitConfig\": true }} }}\n",
            self.work.display()
        );
        fs::write(&self.settings, text).map_err(|error| format!("cannot write {}: {error}", self.settings.display()))
    }

    /// A command on one side, in the work directory, with no input and its output thrown away.
    pub(super) fn command(&self, side: Side, words: &[&str]) -> Command {
        let mut command = match side {
            Side::None => Command::new(words[0]),
            Side::Bwrap => {
                let mut bwrap = Command::new("bwrap");
                bwrap.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind"]).args([&self.work, &self.work]);
                bwrap.args(["--unshare-all", "--die-with-parent", words[0]]);
                bwrap
            }
            Side::Srt => {
                let mut srt = Command::new(&self.srt);
                srt.args(["run", "--settings"]).arg(&self.settings).args(["--", words[0]]);
                srt
            }
        };
        command.args(&words[1..]).current_dir(&self.work).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs a command to its end; an error unless it succeeds.
    pub(super) fn time(&self, side: Side, words: &[&str]) -> Result<Duration, String> {
        let mut command = self.command(side, words);
        let start = Instant::now();
        let status = command.status().map_err(|error| format!("cannot start {}: {error}", side.name()))?;
        let taken = start.elapsed();
        if status.success() { Ok(taken) } else { Err(format!("{}: `{}` ended with {status}", side.name(), words.join(" "))) }
    }

    /// Every side runs `/bin/true` once: a sandbox that cannot start would otherwise look fast.
    fn verify(&self) -> Result<(), String> {
        for side in self.sides() {
            let output = self.command(side, &["/bin/true"]).stderr(Stdio::piped()).output();
            let output = output.map_err(|error| format!("cannot start {}: {error}", side.name()))?;
            if !output.status.success() {
                return Err(format!("{} cannot run /bin/true: {}", side.name(), String::from_utf8_lossy(&output.stderr).trim()));
            }
        }
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(root) = self.work.parent() {
            drop(fs::remove_dir_all(root));
        }
    }
}

fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn bwrap_version() -> Option<String> {
    version(Path::new("bwrap"))
}
