//! Facts about the caller, read once.
//!
//! Nothing later on the way asks the environment, the clock or the password database again: what a run does follows from settings and facts.

mod lookup;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

pub use lookup::HostLookup;

use crate::Fault;
use crate::policy::AbsPath;

/// The system whose rules hold: where a run, or what `explain` shows of one, takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Namespaces, Landlock, seccomp.
    Linux,
    /// Seatbelt.
    MacOs,
}

/// The caller and its surroundings.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Home directory: `$HOME` where it is absolute, else the password database.
    pub home: Option<AbsPath>,
    /// Working directory of the command.
    pub cwd: AbsPath,
    /// The caller's environment.
    pub env: BTreeMap<OsString, OsString>,
    /// The private directory of this run: `TMPDIR` inside. Not yet made.
    pub private_tmp: AbsPath,
    /// Is standard input, output or error a terminal?
    pub terminal: bool,
    /// This system; `explain` may put another in its place.
    pub platform: Platform,
    /// A run gets namespaces of its own, and with them a `/dev` and a `/proc` of its own. Not known here: the settings say whether it matters.
    pub namespaces: bool,
}

/// Reads the facts. `directory` is the `--cwd` option.
///
/// # Errors
/// The working directory is gone or cannot be entered; no random numbers can be had.
pub fn gather(directory: Option<&std::path::Path>) -> Result<Facts, Fault> {
    let env: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let cwd = working_directory(directory)?;
    let uid = rustix::process::getuid().as_raw();
    Ok(Facts {
        uid,
        gid: rustix::process::getgid().as_raw(),
        home: home(&env),
        private_tmp: private_tmp(&env, uid)?,
        cwd,
        env,
        terminal: std::io::stdin().is_terminal() || std::io::stdout().is_terminal() || std::io::stderr().is_terminal(),
        platform: crate::backend::PLATFORM,
        namespaces: true,
    })
}

impl Facts {
    /// Where srt keeps what outlives a run: `$XDG_STATE_HOME/srt`, or `~/.local/state/srt`. It need not exist.
    pub fn state_directory(&self) -> Option<AbsPath> {
        let named = self.var("XDG_STATE_HOME").and_then(AbsPath::new);
        let base = named.or_else(|| Some(self.home.as_ref()?.join(".local").join("state")))?;
        Some(base.join("srt"))
    }

    /// A variable of the caller's environment; an empty one counts as absent.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.env.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }
}

fn working_directory(directory: Option<&std::path::Path>) -> Result<AbsPath, Fault> {
    let wanted = directory.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let real = wanted.canonicalize().map_err(|error| Fault::os(format!("enter {}", wanted.display()), error))?;
    if !real.is_dir() {
        return Err(Fault::new(format!("enter {}", wanted.display()), "it is not a directory"));
    }
    AbsPath::new(&real).ok_or_else(|| Fault::new(format!("enter {}", real.display()), "it has no absolute path"))
}

fn home(env: &BTreeMap<OsString, OsString>) -> Option<AbsPath> {
    let from_env = env.get(OsStr::new("HOME")).and_then(AbsPath::new);
    from_env.or_else(|| {
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten()?;
        AbsPath::new(user.dir)
    })
}

/// `<tmp>/srt-<uid>/<16 hex digits>`: the name cannot be guessed, so nobody can be waiting for it.
fn private_tmp(env: &BTreeMap<OsString, OsString>, uid: u32) -> Result<AbsPath, Fault> {
    let random: [u8; 8] = crate::unix::random().map_err(|error| Fault::os("name the private directory", error))?;
    let base = env.get(OsStr::new("TMPDIR")).and_then(AbsPath::new).filter(|path| path.as_path().is_dir());
    let base = base.unwrap_or_else(|| AbsPath::root().join("tmp"));
    let real = base.as_path().canonicalize().map_err(|error| Fault::os(format!("use {base} for temporary files"), error))?;
    let real = AbsPath::new(&real).ok_or_else(|| Fault::new(format!("use {base} for temporary files"), "it has no absolute path"))?;
    let random = format!("{:016x}", u64::from_ne_bytes(random));
    let shared = real.join(format!("srt-{uid}"));
    // Anybody may have taken the name first; then this run has a directory of its own above, which no later run sweeps.
    let runs = if is_usable(&shared, uid) { shared } else { real.join(format!("srt-{uid}-{random}")) };
    Ok(runs.join(random))
}

/// Is it ours alone, or free?
fn is_usable(directory: &AbsPath, uid: u32) -> bool {
    match std::fs::symlink_metadata(directory) {
        Ok(found) => found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
