//! Who runs srt: root, and an ordinary user.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

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
    /// Makes `command` run as this identity, without supplementary groups.
    pub fn apply(self, command: &mut Command) {
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
    let uid = current_uid();
    if uid != 0 {
        crate::skipped("as root: the tests run as an ordinary user");
        test(Identity { name: "user", uid, gid: rustix::process::getgid().as_raw() });
        return;
    }
    test(Identity { name: "root", uid: 0, gid: 0 });
    match ordinary_user() {
        Ok(user) => test(user),
        Err(cause) => crate::skipped(&format!("as user: {cause}")),
    }
}

/// The real uid of the test process.
pub(crate) fn current_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

fn ordinary_user() -> Result<Identity, String> {
    static FOUND: OnceLock<Result<Identity, String>> = OnceLock::new();
    FOUND.get_or_init(|| look_up().or_else(|_| create().and_then(|()| look_up()))).clone()
}

fn look_up() -> Result<Identity, String> {
    let passwd = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("cannot read /etc/passwd: {error}"))?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(USER)).ok_or_else(|| format!("no user {USER}"))?;
    let id = |field| line.split(':').nth(field).and_then(|text| text.parse().ok()).ok_or_else(|| format!("cannot understand {line}"));
    Ok(Identity { name: "user", uid: id(2)?, gid: id(3)? })
}

fn create() -> Result<(), String> {
    let made = Command::new("useradd").args(["--no-create-home", "--user-group", "--shell", "/bin/sh", USER]).output();
    match made {
        // Another test process may have made it meanwhile: `look_up` decides.
        Ok(output) if output.status.success() || look_up().is_ok() => Ok(()),
        Ok(output) => Err(format!("cannot create user {USER}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("cannot run useradd: {error}")),
    }
}
