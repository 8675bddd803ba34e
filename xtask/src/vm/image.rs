//! Disk images for the guest: its system, and what is tested.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::apt::succeed;
use super::packages;

/// PID 1 of the guest.
const INIT: &str = include_str!("init.sh");

/// The suite's ordinary user has this name; it makes the user where it is missing, which takes a second in a guest.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n\
srt-test:x:1001:1001::/home/srt-test:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nshadow:x:42:\nsrt-test:x:1001:\nnogroup:x:65534:\n";
const SHADOW: &str = "root:*:19000:0:99999:7:::\nsrt-test:*:19000:0:99999:7:::\n";
/// Small files of the system, which belong to no package.
const FILES: &[(&str, u32, &str)] = &[
    ("etc/passwd", 0o644, PASSWD),
    ("etc/group", 0o644, GROUP),
    ("etc/shadow", 0o640, SHADOW),
    ("etc/hosts", 0o644, "127.0.0.1 localhost guest\n::1 localhost ip6-localhost\n"),
    ("etc/hostname", 0o644, "guest\n"),
    ("etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"),
    ("etc/resolv.conf", 0o644, "nameserver 192.0.2.53\n"),
    ("vm-init", 0o755, INIT),
];
/// Directories beside those of packages. Temporary ones belong to everybody.
const DIRECTORIES: &[(&str, u32)] = &[
    ("proc", 0o755),
    ("sys", 0o755),
    ("dev", 0o755),
    ("run", 0o755),
    ("srt", 0o755),
    ("root", 0o700),
    ("home/srt-test", 0o755),
    ("tmp", 0o1777),
    ("var/tmp", 0o1777),
];
/// As Debian has them; `ldconfig` and the compiler's links are in no package.
const COPIED: &[&str] = &["/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone"];

/// The guest's system, made anew where the packages of this machine have changed.
pub(super) fn system(cache: &Path) -> Result<PathBuf, String> {
    let packages = packages::closure()?;
    let key = format!("{packages:?}{FILES:?}{DIRECTORIES:?}{COPIED:?}");
    let (image, known) = (cache.join("system.ext4"), cache.join("system.key"));
    if image.exists() && std::fs::read_to_string(&known).is_ok_and(|known| known == key) {
        return Ok(image);
    }
    eprintln!("vm: making the guest's system from {} packages of this machine", packages.len());
    let mut files = packages::files(packages.keys())?;
    files.extend(COPIED.iter().map(PathBuf::from).filter(|path| path.symlink_metadata().is_ok()));
    let stage = Stage::new(cache, "system")?;
    stage.copy(&files)?;
    for (name, mode) in DIRECTORIES {
        stage.directory(name, *mode)?;
    }
    for (name, mode, text) in FILES {
        stage.file(name, *mode, text)?;
    }
    // What tests write comes on top: copy-on-write, so that the image stays as it is.
    stage.into_image(&image, 1024)?;
    std::fs::write(&known, key).map_err(|error| format!("cannot write {}: {error}", known.display()))?;
    Ok(image)
}

/// What a job needs, mounted read-only at `/srt` in the guest: files by their own names, and shell texts, of which init runs `job`.
pub(super) fn payload(cache: &Path, name: &str, files: &[PathBuf], texts: &[(&str, &str)]) -> Result<PathBuf, String> {
    let stage = Stage::new(cache, name)?;
    for file in files {
        let Some(base) = file.file_name() else { return Err(format!("{} is no file", file.display())) };
        let copied = std::fs::copy(file, stage.path.join(base)).and_then(|_| std::fs::metadata(file));
        let mode = copied.map_err(|error| format!("cannot copy {}: {error}", file.display()))?.permissions().mode();
        stage.mode(Path::new(base), mode | 0o555)?;
    }
    for (name, text) in texts {
        stage.file(name, 0o644, text)?;
    }
    let image = cache.join(format!("{name}.ext4"));
    stage.into_image(&image, 16)?;
    Ok(image)
}

/// A directory that becomes an image.
struct Stage {
    path: PathBuf,
}

impl Stage {
    fn new(cache: &Path, name: &str) -> Result<Self, String> {
        let path = cache.join(format!("{name}.stage"));
        remove(&path);
        std::fs::create_dir_all(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .map_err(|error| format!("cannot change {}: {error}", path.display()))?;
        Ok(Stage { path })
    }

    fn directory(&self, name: &str, mode: u32) -> Result<(), String> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        self.mode(Path::new(name), mode)
    }

    fn file(&self, name: &str, mode: u32, text: &str) -> Result<(), String> {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| format!("cannot make {}: {error}", parent.display()))?;
        }
        drop(std::fs::remove_file(&path));
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        self.mode(Path::new(name), mode)
    }

    fn mode(&self, name: &Path, mode: u32) -> Result<(), String> {
        let path = self.path.join(name);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
            .map_err(|error| format!("cannot change {}: {error}", path.display()))
    }

    /// Copies files of this machine to the same names, with owners, modes and links, through tar.
    fn copy(&self, files: &BTreeSet<PathBuf>) -> Result<(), String> {
        // Links to directories first: what lies behind them comes under its resolved name.
        let mut list: Vec<u8> = Vec::new();
        for file in files.iter().filter(|file| file.as_path() != Path::new("/")) {
            list.extend(file.as_os_str().as_bytes().strip_prefix(b"/").unwrap_or_default());
            list.push(0);
        }
        let cannot = |error: std::io::Error| format!("cannot copy the files of packages: {error}");
        let mut reader = Command::new("tar");
        reader.args(["-C", "/", "--create", "--no-recursion", "--null", "--files-from=-", "--ignore-failed-read"]);
        let mut reader = reader.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(cannot)?;
        let archive = reader.stdout.take().ok_or("tar has no output")?;
        let mut writer = Command::new("tar");
        writer.args(["--extract", "--preserve-permissions", "--delay-directory-restore", "-C"]).arg(&self.path).stdin(archive);
        let mut writer = writer.spawn().map_err(cannot)?;
        reader.stdin.take().ok_or("tar has no input")?.write_all(&list).map_err(cannot)?;
        let (read, written) = (reader.wait().map_err(cannot)?, writer.wait().map_err(cannot)?);
        if read.success() && written.success() { Ok(()) } else { Err("cannot copy the files of packages: tar failed".into()) }
    }

    /// An ext4 file system with `spare` MiB to write in; the directory is removed.
    fn into_image(self, image: &Path, spare: u64) -> Result<(), String> {
        let used = succeed(Command::new("du").args(["-s", "-m", "--apparent-size"]).arg(&self.path), "measure an image")?;
        let used: u64 = String::from_utf8_lossy(&used.stdout).split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let new = image.with_extension("new");
        drop(std::fs::remove_file(&new));
        let mut make = as_owner_zero();
        // Small files take a block each, and their inodes: a third more.
        let size = used + used / 3 + spare;
        make.args(["mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-O", "^has_journal", "-d"])
            .arg(&self.path)
            .arg(&new)
            .arg(format!("{size}M"));
        succeed(&mut make, "make a disk image")?;
        std::fs::rename(&new, image).map_err(|error| format!("cannot keep {}: {error}", image.display()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Through rm: directories without permissions do not stop it halfway.
fn remove(path: &Path) {
    let _removed = Command::new("rm").args(["-rf", "--"]).arg(path).status();
}

/// Starts what follows where the caller's files seem to be root's, so that they are root's in the image.
fn as_owner_zero() -> Command {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let mut command = Command::new(if root { "env" } else { "unshare" });
    if !root {
        command.args(["--user", "--map-root-user"]);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // mkfs lies where ordinary users have no PATH to.
    let path = [path, OsString::from("/usr/sbin:/sbin")].join(&OsString::from(":"));
    command.env("PATH", path);
    command
}
