use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest time that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that goes with the test.
pub(crate) struct Area(PathBuf);

impl Area {
    pub(crate) fn new() -> Area {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("srt-macos-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Area(path.canonicalize().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A program of shell text.
    #[cfg(target_os = "linux")]
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A run of shell text in this directory, in a process group of its own.
    pub(crate) fn run(&self, shell: &str) -> Command {
        self.program(&["sh", "-c", shell], "{}")
    }

    /// A run of a program under settings.
    pub(crate) fn program(&self, words: &[&str], settings: &str) -> Command {
        let mut command = under_test(settings, &self.0);
        command.args(words).current_dir(&self.0).env("TMPDIR", &self.0).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Directories of runs that are left here.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("srt-")).collect()
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `target/<profile>/NAME`: the test executable lies in `deps` of that directory.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(|deps| deps.parent()).unwrap().join(name)
}

#[cfg(not(target_os = "macos"))]
fn under_test(settings: &str, _: &std::path::Path) -> Command {
    let mut command = Command::new(built("srt-as-macos"));
    // The test's own may have been started through a proxy or a log of its own.
    command.env("AS_MACOS_SETTINGS", settings);
    command
}

#[cfg(target_os = "macos")]
fn under_test(settings: &str, area: &std::path::Path) -> Command {
    let file = area.join("settings.json");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new(built("srt"));
    command.arg("--settings").arg(file).args(["run", "--"]);
    command
}

/// Waits until a file holds something, and reads it.
pub(crate) fn appears(path: &std::path::Path) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim_end().to_owned(),
            _ if Instant::now() > end => panic!("{} does not appear", path.display()),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Waits until this holds.
pub(crate) fn comes_true(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal; below 0: to a process group.
pub(crate) fn send(signal: i32, id: i32) {
    // SAFETY: kill(2) takes numbers.
    assert_eq!(unsafe { libc::kill(id, signal) }, 0, "{}", std::io::Error::last_os_error());
}

/// Does a process live? A zombie that nobody has waited for does not.
pub(crate) fn lives(id: i32) -> bool {
    let ps = Command::new("ps").args(["-o", "stat=", "-p", &id.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&ps.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

pub(crate) fn id(child: &Child) -> i32 {
    child.id() as i32
}

/// What it printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
