//! Private directories for tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Identity, Program, Rules, Snapshot};

/// A directory of one identity, removed when dropped.
///
/// `work/` is meant to be written (the usual write root), `home/` is `HOME`, `outside/` is beside both, `tmp/` is the caller's
/// `TMPDIR`. All belong to the identity: without srt it may change each of them. Settings files lie in a directory of their own beside
/// the area, so that writing one is no change of the area.
pub struct Area {
    /// Whose it is.
    pub who: Identity,
    root: PathBuf,
    settings: PathBuf,
}

impl Area {
    /// Makes the directories.
    ///
    /// # Panics
    /// When the file system refuses: no test can run then.
    pub fn new(who: Identity) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = shared_root().join(format!("{}-{}", COUNT.fetch_add(1, Ordering::Relaxed), who.name));
        let settings = root.with_extension("settings");
        let area = Area { who, root, settings };
        for path in [&area.root, &area.settings] {
            fs::create_dir(path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
            area.own(path);
        }
        for name in ["work", "home", "outside", "tmp"] {
            area.dir(name);
        }
        area
    }

    /// The whole of it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below it.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The same as text, for command lines and settings.
    pub fn text(&self, relative: &str) -> String {
        self.path(relative).display().to_string()
    }

    /// Makes a directory with all its parents.
    pub fn dir(&self, relative: &str) -> PathBuf {
        let mut path = self.root.clone();
        for component in Path::new(relative) {
            path.push(component);
            if !path.exists() {
                fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
                self.own(&path);
            }
        }
        path
    }

    /// Writes a file of the identity's own, mode 644, with its parent directories.
    pub fn file(&self, relative: &str, content: &str) -> PathBuf {
        if let Some((parent, _)) = relative.rsplit_once('/') {
            self.dir(parent);
        }
        let path = self.path(relative);
        fs::write(&path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        self.own(&path);
        path
    }

    /// A symbolic link.
    pub fn link(&self, target: &str, relative: &str) -> PathBuf {
        let path = self.path(relative);
        symlink(target, &path).unwrap_or_else(|error| panic!("cannot link {}: {error}", path.display()));
        path
    }

    /// What a file holds; empty where it does not exist.
    pub fn content(&self, relative: &str) -> String {
        fs::read(self.path(relative)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Does it exist on the host?
    pub fn has(&self, relative: &str) -> bool {
        self.path(relative).symlink_metadata().is_ok()
    }

    /// Where srt keeps what outlives a run, for programs of this area: beside it, so that it is no change of the area.
    pub fn state(&self) -> PathBuf {
        self.settings.join("state")
    }

    /// The state of the whole area now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.root)
    }

    /// Rules that let `work/` be written and nothing else.
    pub fn rules(&self) -> Rules {
        Rules::new().allow_write(self.text("work"))
    }

    /// Any program as this identity, outside every sandbox: for controls.
    pub fn outside(&self, program: impl AsRef<Path>) -> Program {
        Program::new(self, program.as_ref())
    }

    /// The probe outside every sandbox.
    pub fn probe_outside(&self, arguments: &[&str]) -> Program {
        self.outside(crate::probe()).args(arguments)
    }

    /// `srt`, without any argument yet but those that this host makes needful.
    pub fn bare_srt(&self) -> Program {
        let options: Vec<&str> = crate::layers::options().iter().map(String::as_str).collect();
        Program::new(self, crate::srt()).args(&options)
    }

    /// `srt run --settings FILE --`, with the rules written to a settings file outside every write root.
    pub fn srt(&self, rules: &Rules) -> Program {
        let settings = self.settings(rules);
        self.bare_srt().args(&["run", "--settings", &settings, "--"])
    }

    /// Writes a settings file; equal rules share one.
    pub fn settings(&self, rules: &Rules) -> String {
        let text = rules.text();
        let path = self.settings.join(format!("{:x}.json", fingerprint(text.as_bytes())));
        // Written once: runs in parallel may be reading it.
        if !path.exists() {
            fs::write(&path, &text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
            self.own(&path);
        }
        path.display().to_string()
    }

    /// A new name outside every write root, for what srt or the test writes down: no change of the area.
    pub fn beside(&self, name: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        self.settings.join(format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed))).display().to_string()
    }

    /// The probe inside, under these rules.
    pub fn probe(&self, rules: &Rules, arguments: &[&str]) -> Program {
        self.srt(rules).args(&[&crate::probe().display().to_string()]).args(arguments)
    }

    /// Shell text inside, under these rules.
    pub fn shell(&self, rules: &Rules, text: &str) -> Program {
        self.srt(rules).args(&["sh", "-c", text])
    }

    fn own(&self, path: &Path) {
        if crate::identity::current_uid() == 0 {
            chown(path, Some(self.who.uid), Some(self.who.gid)).unwrap_or_else(|error| panic!("cannot chown {}: {error}", path.display()));
        }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        for path in [&self.root, &self.settings] {
            if std::env::var_os("SRT_TEST_KEEP").is_none() && fs::remove_dir_all(path).is_err() {
                eprintln!("{} could not be removed wholly", path.display());
            }
        }
    }
}

/// A stable number for a text (FNV-1a).
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// The directory of this test process, below the temporary directory. Those of ended processes are removed first.
pub(crate) fn shared_root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let base = std::env::temp_dir();
        sweep(&base);
        let root = base.join(format!("srt-tests-{}", std::process::id()));
        fs::create_dir(&root).unwrap_or_else(|error| panic!("cannot create {}: {error}", root.display()));
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("a directory just made can be changed");
        root
    })
}

/// Removes the directories of test processes that are gone.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix("srt-tests-")) else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            // Through rm: other users' directories without permissions do not stop it halfway.
            let _removed = Command::new("rm").args(["-rf", "--"]).arg(entry.path()).status();
        }
    }
}
