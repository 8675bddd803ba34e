//! Who runs srt: root, and an ordinary user.

use std::cell::Cell;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use crate::{each, needs, skip};

/// Name of the ordinary user that a root caller's tests run as; made when missing.
const USER: &str = "srt-test";

/// A caller of srt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `root` or `user`.
    pub name: &'static str,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Identity {
    /// Makes `command` run as this identity, without supplementary groups, and so that Ctrl-C ends it: a suite that a script started in its background
    /// has that ignored, and so would everything that it starts.
    pub fn apply(self, command: &mut Command) {
        // SAFETY: signal(2) is async-signal-safe, and nothing else is called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGINT, libc::SIGQUIT] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        if self.uid != current_uid() {
            // For a root caller, std clears the supplementary groups before it sets the uid.
            command.gid(self.gid).uid(self.uid);
        }
    }

    /// May the identity do what only root may?
    pub fn is_root(self) -> bool {
        self.uid == 0
    }
}

/// Runs `test` as root and as an ordinary user. A caller who is not root runs it as himself, and the other half is a counted skip.
pub fn for_each_identity(test: impl Fn(Identity)) {
    run_as(&[root(), ordinary_user()], &test);
}

/// Runs `test` as root only: for what only root could do outside. A counted skip where the caller is not root.
pub fn as_root(test: impl Fn(Identity)) {
    run_as(&[root()], &test);
}

/// Runs `test` as an ordinary user only.
pub fn as_user(test: impl Fn(Identity)) {
    run_as(&[ordinary_user()], &test);
}

/// One run per identity; what cannot be had, or is skipped by the test itself, is counted. A failure as one is no reason not to try the other.
fn run_as(identities: &[Result<Identity, String>], test: &impl Fn(Identity)) {
    let missing = needs::missing(&skip::test_name());
    let skipped_runs = Cell::new(0);
    each(identities, |identity| {
        let before = skip::count();
        match (identity, missing) {
            (Ok(who), Some(layer)) => skip::skipped(&format!("{}: it is about a layer that is missing: {layer:?}", who.name)),
            (Ok(who), None) => test(*who),
            (Err(cause), _) => skip::skipped(cause),
        }
        skipped_runs.set(skipped_runs.get() + usize::from(skip::count() > before));
    });
    if skipped_runs.get() == identities.len() {
        skip::whole();
    }
}

fn root() -> Result<Identity, String> {
    if current_uid() == 0 { Ok(ROOT) } else { Err("root: the tests run as an ordinary user".into()) }
}

const ROOT: Identity = Identity { name: "root", uid: 0, gid: 0 };

/// The real uid of the test process.
pub(crate) fn current_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The caller, unless that is root: then [`USER`].
fn ordinary_user() -> Result<Identity, String> {
    if current_uid() != 0 {
        return Ok(Identity { name: "user", uid: current_uid(), gid: rustix::process::getgid().as_raw() });
    }
    static FOUND: OnceLock<Result<Identity, String>> = OnceLock::new();
    FOUND.get_or_init(|| look_up().or_else(|_| create().and_then(|()| look_up()))).clone()
}

fn look_up() -> Result<Identity, String> {
    let passwd = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("cannot read /etc/passwd: {error}"))?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(USER)).ok_or_else(|| format!("user: no user {USER}"))?;
    let id = |field| line.split(':').nth(field).and_then(|text| text.parse().ok()).ok_or_else(|| format!("cannot understand {line}"));
    Ok(Identity { name: "user", uid: id(2)?, gid: id(3)? })
}

fn create() -> Result<(), String> {
    let made = Command::new("useradd").args(["--no-create-home", "--user-group", "--shell", "/bin/sh", USER]).output();
    match made {
        // Another test process may have made it meanwhile: `look_up` decides.
        Ok(output) if output.status.success() || look_up().is_ok() => Ok(()),
        Ok(output) => Err(format!("user: cannot create user {USER}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("user: cannot run useradd: {error}")),
    }
}
