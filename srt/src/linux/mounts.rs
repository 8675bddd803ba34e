//! Builds the file tree of the sandbox.
//!
//! Runs in `init`, in its own mount namespace, with the capabilities of its own user namespace. The new tree is built on top of `/`: a
//! name that starts at the root still means the caller's tree until [`enter`], and every target is opened below the new root without following any link.
//!
//! Steps come in path order, so a denial inside a write root is mounted after the root and cannot be uncovered by it.
//!
//! See mount_namespaces(7), pivot_root(2), openat2(2).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::failure::{Failure, Step as _};
use super::mount_api::{MountApi, Restrictions};
use super::mount_table;
use super::script::{MountStep, Mounts};
use crate::plan::{Node, NodeKind};
use crate::policy::AbsPath;

/// Device nodes that the sandbox gets from the host.
pub(super) const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
/// Links that programs expect in `/dev` (standards: none; every distribution has them).
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// Knobs of the whole kernel. Root owns them, and needs no capability to turn them.
const KERNEL_KNOBS: &[&str] = &["sys", "sysrq-trigger", "irq", "bus", "fs", "dynamic_debug", "mtrr"];
/// What the kernel's memory looks like, and other people's keys.
const KERNEL_SECRETS: &[&str] = &[
    "kcore",
    "kmsg",
    "kallsyms",
    "keys",
    "key-users",
    "kpagecount",
    "kpageflags",
    "kpagecgroup",
    "slabinfo",
    "vmallocinfo",
    "pagetypeinfo",
    "timer_list",
    "sched_debug",
    "acpi",
    "scsi",
];
/// Where the C library asks services of the host for names, before or instead of the name server: nss-resolve(8), nscd(8). Their answers would be addresses that
/// stand for nothing inside.
const RESOLVER_SOCKETS: &[&str] = &["run/systemd/resolve/io.systemd.Resolve", "run/nscd/socket"];
/// Kernel file systems with switches and secrets for root.
const SYSTEM_SECRETS: &[&str] = &["kernel/debug", "kernel/tracing", "firmware"];

/// Builds the tree and makes it the root of this process.
pub(super) fn enter(mounts: &Mounts) -> Result<(), Failure> {
    let api = if mounts.new_api { MountApi::New } else { MountApi::Old };
    api.make_private().step("make mounts private")?;
    let mut builder = Builder::start(api, mounts)?;
    let mut made = vec![mounts.steps[0].clone()];
    for step in &mounts.steps[1..] {
        if builder.mount(step)? {
            made.push(step.clone());
        }
    }
    builder.hide_system_secrets()?;
    if mounts.own_resolver {
        builder.mount_resolver()?;
    }
    builder.mount_proc(mounts.host_proc_allowed)?;
    builder.mount_dev()?;
    pivot(builder.root.as_fd())?;
    if cfg!(debug_assertions) {
        mount_table::compare(&made)?;
    }
    Ok(())
}

struct Builder {
    api: MountApi,
    /// Root of the caller's tree.
    host: OwnedFd,
    /// Root of the new tree.
    root: OwnedFd,
    /// Device nodes of the host, opened while they can still be reached by name.
    devices: Vec<(&'static str, OwnedFd)>,
    /// A tmpfs of the sandbox's own, which unreadable objects, passages, `/dev` and `/dev/shm` are parts of; mounted where only the old tree sees it.
    own: Option<OwnedFd>,
    /// Passages made so far, for their names in `masks`.
    passages: usize,
}

impl Builder {
    fn start(api: MountApi, mounts: &Mounts) -> Result<Self, Failure> {
        let host = open_directory(CWD, "/").step("open /")?;
        let mut devices = Vec::new();
        for name in DEVICES {
            devices.push((*name, open_below(host.as_fd(), &Path::new("dev").join(name)).step_named("open device", name)?));
        }
        if mounts.terminal {
            devices.extend(terminals(host.as_fd()));
        }
        let root = open_directory(CWD, "/").step("open the place of the new tree")?;
        let mut builder = Builder { api, root, host, devices, own: None, passages: 0 };
        let place = builder.place().step("make a place for the new tree")?;
        builder.root = match &mounts.steps[0] {
            MountStep::Passage { nodes, .. } => builder.passage(nodes, place.as_fd()).step("hide /")?,
            MountStep::Bind { writable, .. } => {
                let restrictions = if *writable { Restrictions::WRITABLE } else { Restrictions::READ_ONLY };
                api.bind(builder.host.as_fd(), place.as_fd(), restrictions).step("copy the file tree")?
            }
            MountStep::Hide { .. } => return Err(Failure::new("hide /", Errno::INVAL)),
        };
        Ok(builder)
    }

    /// Where the new tree is put together. mount(2) works by name, and names below a mount on top of `/` would be ambiguous: the old calls build on a directory
    /// that no step can name, below what covers the old `/dev`.
    fn place(&mut self) -> Result<OwnedFd, Errno> {
        if self.api == MountApi::New {
            return open_directory(CWD, "/");
        }
        let own = self.own()?;
        rustix::fs::mkdirat(own, "tree", Mode::RWXU)?;
        open_directory(own, "tree")
    }

    /// False where there is nothing any more to be hidden, because another program removed it, or nothing that could be reached inside to be protected.
    fn mount(&mut self, step: &MountStep) -> Result<bool, Failure> {
        let path = step.path();
        let target = match (self.target(path), step) {
            (Err(Errno::NOENT), MountStep::Hide { .. }) => return Ok(false),
            // In a directory of another user, which root outside may enter and nobody inside.
            (Err(Errno::ACCESS), MountStep::Bind { writable: false, .. }) => return Ok(false),
            (target, _) => target.step_at("open", path)?,
        };
        match step {
            MountStep::Bind { path, writable } => {
                let source = open_below(self.host.as_fd(), path.as_path()).step_at("open", path)?;
                let (restrictions, verb) =
                    if *writable { (Restrictions::WRITABLE, "make writable") } else { (Restrictions::READ_ONLY, "protect") };
                self.api.bind(source.as_fd(), target.as_fd(), restrictions).step_at(verb, path)?;
            }
            MountStep::Hide { path, directory } => self.hide(target.as_fd(), *directory).step_at("hide", path)?,
            MountStep::Passage { path, nodes } => {
                self.passage(nodes, target.as_fd()).step_at("hide", path)?;
            }
        }
        Ok(true)
    }

    fn target(&self, path: &AbsPath) -> Result<OwnedFd, Errno> {
        open_below(self.root.as_fd(), path.as_path())
    }

    /// Made when first needed: after the tree was copied, or the copy holds it (below its own `/dev`, with the old calls). One file system for all purposes, because each costs as much as four binds.
    fn own(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        let own = match self.own.take() {
            Some(own) => own,
            None => make_own(self.api, self.host.as_fd())?,
        };
        let kept: &OwnedFd = self.own.insert(own);
        Ok(kept.as_fd())
    }

    /// Mode 000 on a read-only mount, for a process without capabilities: `EACCES`, and no way to change the mode.
    fn hide(&mut self, target: BorrowedFd<'_>, directory: bool) -> Result<(), Errno> {
        let name = if directory { "directory" } else { "file" };
        let api = self.api;
        let object = open_below(self.own()?, Path::new(name))?;
        api.bind(object.as_fd(), target, Restrictions { no_exec: true, ..Restrictions::READ_ONLY })?;
        Ok(())
    }

    fn passage(&mut self, nodes: &[Node], target: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let name = format!("passage-{}", self.passages);
        self.passages += 1;
        let api = self.api;
        let own = self.own()?;
        rustix::fs::mkdirat(own, &name, Mode::RWXU)?;
        let directory = open_directory(own, &name)?;
        let mut passages = vec![Path::new("").to_owned()];
        for node in nodes {
            make_node(directory.as_fd(), node)?;
            if node.kind == NodeKind::Passage {
                passages.push(node.path.clone());
            }
        }
        // Passing is allowed, listing is not. Deepest first, because a closed directory cannot be walked by its maker either.
        for passage in passages.iter().rev() {
            let name = if passage.as_os_str().is_empty() { Path::new(".") } else { passage };
            rustix::fs::chmodat(&directory, name, Mode::XUSR | Mode::XGRP | Mode::XOTH, AtFlags::empty())?;
        }
        api.bind(directory.as_fd(), target, Restrictions::READ_ONLY)
    }

    /// Hides what the caller could open and a sandbox should not, below `/sys`.
    fn hide_system_secrets(&mut self) -> Result<(), Failure> {
        for name in SYSTEM_SECRETS {
            self.hide_if_open(&format!("sys/{name}"))?;
        }
        Ok(())
    }

    /// What this process, with all the capabilities of its namespace, cannot open, the command cannot open either.
    fn hide_if_open(&mut self, name: &str) -> Result<(), Failure> {
        let Ok(target) = open_below(self.root.as_fd(), Path::new(name)) else { return Ok(()) };
        if rustix::fs::accessat(&self.root, name, Access::READ_OK, AtFlags::empty()).is_err() {
            return Ok(());
        }
        let directory = is_directory(target.as_fd()).step_named("look at", name)?;
        self.hide(target.as_fd(), directory).step_named("hide", name)
    }

    /// Puts our name server into `/etc/resolv.conf`, wherever that link leads. Links are followed here and nowhere else: whoever planted one can only choose which
    /// file of the sandbox is covered by a harmless one. Where there is no such file, the C library asks 127.0.0.1 anyway (resolv.conf(5)).
    fn mount_resolver(&mut self) -> Result<(), Failure> {
        for name in RESOLVER_SOCKETS {
            self.hide_if_open(name)?;
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let target = match rustix::fs::openat2(&self.root, "etc/resolv.conf", flags, Mode::empty(), resolve) {
            Ok(target) => target,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(Failure::new("open /etc/resolv.conf", error)),
        };
        let api = self.api;
        let own = self.own().step("mount a tmpfs")?;
        let source = make_resolver(own).step("make /etc/resolv.conf")?;
        let restrictions = Restrictions { no_exec: true, ..Restrictions::READ_ONLY };
        api.bind(source.as_fd(), target.as_fd(), restrictions).step("mount /etc/resolv.conf")?;
        Ok(())
    }

    fn mount_proc(&mut self, host_proc_allowed: bool) -> Result<(), Failure> {
        let target = open_below(self.root.as_fd(), Path::new("proc")).step("open /proc")?;
        match self.api.create(c"proc", &[], target.as_fd(), Restrictions::DATA) {
            Ok(_) => {}
            Err(_) if host_proc_allowed => {
                let source = open_below(self.host.as_fd(), Path::new("proc")).step("open /proc")?;
                // It shows processes outside: read-only, with all that is mounted in it.
                let restrictions = Restrictions { read_only: true, ..Restrictions::DATA };
                self.api.bind(source.as_fd(), target.as_fd(), restrictions).step("bind /proc")?;
            }
            Err(error) => return Err(Failure::new("mount a new /proc", error).gap("new-proc")),
        }
        for name in KERNEL_KNOBS {
            let name = format!("proc/{name}");
            if let Ok(target) = open_below(self.root.as_fd(), Path::new(&name)) {
                let restrictions = Restrictions { read_only: true, ..Restrictions::DATA };
                self.api.bind(target.as_fd(), target.as_fd(), restrictions).step_named("protect", &name)?;
            }
        }
        for name in KERNEL_SECRETS {
            self.hide_if_open(&format!("proc/{name}"))?;
        }
        Ok(())
    }

    /// A private `/dev`: nothing of the host's but harmless character devices and the caller's terminal.
    fn mount_dev(&mut self) -> Result<(), Failure> {
        let api = self.api;
        let devices = std::mem::take(&mut self.devices);
        let own = self.own().step("mount a tmpfs")?;
        make_dev(own, &devices).step("make /dev")?;
        let (dev, shm) = (open_below(own, Path::new("dev")).step("make /dev")?, open_below(own, Path::new("shm")).step("make /dev/shm")?);
        let target = open_below(self.root.as_fd(), Path::new("dev")).step("open /dev")?;
        let dev = api.bind(dev.as_fd(), target.as_fd(), Restrictions { read_only: true, ..Restrictions::DEVICE }).step("mount /dev")?;
        for (name, source) in &devices {
            let target = open_below(dev.as_fd(), Path::new(name)).step_named("open device", name)?;
            // Read-only: that stops chmod and its like on the host's node, and not the device.
            let restrictions = Restrictions { read_only: true, ..Restrictions::DEVICE };
            api.bind(source.as_fd(), target.as_fd(), restrictions).step_named("bind device", name)?;
        }
        let target = open_below(dev.as_fd(), Path::new("shm")).step("open /dev/shm")?;
        api.bind(shm.as_fd(), target.as_fd(), Restrictions::WRITABLE).step("mount /dev/shm")?;
        let target = open_below(dev.as_fd(), Path::new("pts")).step("open /dev/pts")?;
        let options = [(c"newinstance", c""), (c"ptmxmode", c"0666"), (c"mode", c"0620")];
        api.create(c"devpts", &options, target.as_fd(), Restrictions::DEVICE).step("mount /dev/pts")?;
        Ok(())
    }
}

/// Without a search list. (`search .` would say so to glibc; musl and Go make a malformed name of it.)
const RESOLVER: &[u8] = b"# made by srt: names are answered inside the sandbox\nnameserver 127.0.0.1\n";

fn make_resolver(own: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(own, "resolv.conf", flags, Mode::RUSR)?;
    rustix::io::write(&file, RESOLVER)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o444))?;
    open_below(own, Path::new("resolv.conf"))
}

/// Fills what becomes `/dev` and `/dev/shm`. Modes are set afterwards: the caller's umask is the command's, and stays as it is.
fn make_dev(own: BorrowedFd<'_>, devices: &[(&'static str, OwnedFd)]) -> Result<(), Errno> {
    rustix::fs::mkdirat(own, "shm", Mode::RWXU)?;
    rustix::fs::chmodat(own, "shm", Mode::from_raw_mode(0o1777), AtFlags::empty())?;
    rustix::fs::mkdirat(own, "dev", Mode::RWXU)?;
    let dev = open_directory(own, "dev")?;
    for (name, _) in devices {
        make_file(dev.as_fd(), Path::new(name), Mode::RUSR)?;
    }
    for name in ["pts", "shm"] {
        rustix::fs::mkdirat(&dev, name, Mode::RWXU)?;
    }
    for (name, text) in DEVICE_LINKS {
        rustix::fs::symlinkat(*text, &dev, *name)?;
    }
    rustix::fs::chmodat(own, "dev", Mode::from_raw_mode(0o755), AtFlags::empty())
}

/// Names of the caller's terminals inside: standard input, output and error may be three.
pub(super) const TERMINALS: [&str; 3] = ["console", "console1", "console2"];

/// The caller's terminals belong to the host's `devpts`, which will be out of sight; `ttyname` finds them again under these names.
fn terminals(host: BorrowedFd<'_>) -> Vec<(&'static str, OwnedFd)> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for descriptor in 0..=2 {
        if let Some((identity, device)) = terminal(host, descriptor).filter(|(identity, _)| !seen.contains(identity)) {
            found.push((TERMINALS[seen.len()], device));
            seen.push(identity);
        }
    }
    found
}

/// What the descriptor's name leads to, where it is the same device: in another mount namespace the name may be somebody else's terminal.
fn terminal(host: BorrowedFd<'_>, descriptor: RawFd) -> Option<((u64, u64), OwnedFd)> {
    // SAFETY: the number is only used for calls that fail cleanly where it is not open.
    let own = rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(descriptor) }).ok()?;
    let name = rustix::fs::readlink(format!("/proc/self/fd/{descriptor}"), Vec::new()).ok()?;
    let name = name.into_string().ok().filter(|name| name.starts_with("/dev/pts/") || name.starts_with("/dev/tty"))?;
    let device = open_below(host, Path::new(&name)).ok()?;
    let found = rustix::fs::fstat(&device).ok()?;
    let same = (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino);
    let terminal = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice;
    (same && terminal).then_some(((own.st_dev, own.st_ino), device))
}

/// A tmpfs with one unreadable file and one unreadable directory, mounted over the old `/dev`: nothing is needed from there by name any more, and it
/// goes with the old tree.
fn make_own(api: MountApi, host: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let place = open_below(host, Path::new("dev"))?;
    let own = api.create(c"tmpfs", &[(c"mode", c"0755")], place.as_fd(), Restrictions { no_exec: false, ..Restrictions::DATA })?;
    make_file(own.as_fd(), Path::new("file"), Mode::empty())?;
    rustix::fs::mkdirat(&own, "directory", Mode::empty())?;
    Ok(own)
}

fn make_node(directory: BorrowedFd<'_>, node: &Node) -> Result<(), Errno> {
    let path = node.path.as_path();
    match &node.kind {
        NodeKind::Passage => rustix::fs::mkdirat(directory, path, Mode::RWXU),
        NodeKind::HiddenDirectory => rustix::fs::mkdirat(directory, path, Mode::empty()),
        NodeKind::DirectoryMountPoint => rustix::fs::mkdirat(directory, path, Mode::XUSR),
        NodeKind::HiddenFile | NodeKind::FileMountPoint => make_file(directory, path, Mode::empty()),
        NodeKind::Link(text) => rustix::fs::symlinkat(text, directory, path),
    }
}

fn make_file(directory: BorrowedFd<'_>, name: &Path, mode: Mode) -> Result<(), Errno> {
    rustix::fs::mknodat(directory, name, FileType::RegularFile, mode, 0)
}

fn open_directory(at: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens an object below `root` without following any link: paths of the plan are real paths, so a link on the way was planted since.
fn open_below(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let below = path.strip_prefix("/").unwrap_or(path);
    let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(root, below, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)
}

fn is_directory(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Directory)
}

/// Makes the new tree the root and lets the old one go (pivot_root(2), "pivot_root(".", ".")").
fn pivot(root: BorrowedFd<'_>) -> Result<(), Failure> {
    rustix::process::fchdir(root).step("enter the new file tree")?;
    rustix::process::pivot_root(".", ".").step("change the root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).step("let the old file tree go")?;
    rustix::process::chdir("/").step("enter the new root")
}
