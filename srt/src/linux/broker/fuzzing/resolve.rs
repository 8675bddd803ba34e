//! Paths of callers: what the broker finds must be what the kernel finds.
//!
//! The caller is this thread, and the kernel is asked with the same directory and the same text. The tree is a private temporary directory; nothing outside of
//! it is changed, and whatever is opened is opened as a path only.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::super::caller::Caller;
use super::super::resolve::{Base, Followed, Place, Resolver, real_path};
use super::super::stop::Stop;
use crate::linux::notify::{Listener, Notification};
use crate::policy::AbsPath;

/// Names of the links that the input gives their texts.
const LINKS: [&str; 4] = ["l", "m", "a/n", "a/b/o"];

thread_local! {
    static TREE: Tree = Tree::new();
}

/// Lines: the path, then the texts of the links, then the directory to start from. `T` stands for the tree, `P` for `/proc/self`, `N` for this process, `I` for the
/// first one, `D` for the number of a descriptor of `T/a`.
pub(crate) fn resolve(data: &[u8]) {
    TREE.with(|tree| {
        let mut lines = data.split(|byte| *byte == b'\n').map(|line| tree.expand(line));
        let mut line = || lines.next().unwrap_or_default();
        let text = line();
        let links = LINKS.map(|_| line());
        let base = line();
        // Other numbers name descriptors that come and go, and other processes.
        let has_number = data.iter().any(u8::is_ascii_digit);
        if has_number || text.is_empty() || text.len() > 1024 || data.contains(&0) {
            return;
        }
        tree.link(&links);
        // As for a caller: what is absolute starts from the root.
        let (base, absolute) = (if base.is_empty() { b"." } else { base.as_slice() }, text.starts_with(b"/"));
        let base = if absolute { b"/" } else { base };
        let Ok(base) = rustix::fs::openat(&tree.root, base, PATH | OFlags::DIRECTORY, Mode::empty()) else { return };
        compare(tree, base.as_fd(), &text);
    });
}

const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

struct Tree {
    path: PathBuf,
    root: OwnedFd,
    held: OwnedFd,
    listener: Listener,
}

impl Tree {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // The broker's threads move about; other threads of this process are not to be taken along.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).expect("a working directory of this thread's own");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = std::env::temp_dir().canonicalize().expect("a temporary directory");
        let path = temporary.join(format!("srt-fuzz-tree-{}-{number}", std::process::id()));
        std::fs::create_dir_all(path.join("a/b/c/d")).expect("a tree");
        for file in ["f", "a/f", "a/b/f"] {
            File::create(path.join(file)).expect("a file");
        }
        let open = |path: &Path| rustix::fs::openat(CWD, path, PATH | OFlags::DIRECTORY, Mode::empty()).expect("a directory");
        let null = File::open("/dev/null").expect("a null device");
        Tree { root: open(&path), held: open(&path.join("a")), path, listener: Listener::stand_in(null.into()) }
    }

    fn expand(&self, line: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in line {
            match byte {
                b'T' => out.extend(self.path.as_os_str().as_bytes()),
                b'P' => out.extend(b"/proc/self"),
                b'N' => out.extend(std::process::id().to_string().bytes()),
                b'I' => out.push(b'1'),
                b'D' => out.extend(self.held.as_raw_fd().to_string().bytes()),
                other => out.push(*other),
            }
        }
        out
    }

    fn link(&self, texts: &[Vec<u8>]) {
        for (name, text) in LINKS.iter().zip(texts) {
            let _ = std::fs::remove_file(self.path.join(name));
            let _not_made = std::os::unix::fs::symlink(OsStr::from_bytes(text), self.path.join(name));
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn compare(tree: &Tree, base: BorrowedFd<'_>, text: &[u8]) {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let notification = Notification { id: 1, thread, number: libc::SYS_openat, arguments: [0; 6] };
    let caller = Caller::new(&tree.listener, notification, false);
    let root = rustix::fs::openat(CWD, "/", PATH | OFlags::DIRECTORY, Mode::empty()).expect("the root");
    let mut resolver = Resolver::new(&caller, root.as_fd());
    let place = resolver.place_below(Base::Held(base), text);
    if let Ok(place) = &place {
        is_where_it_says(place);
        same_without_following(base, text, place);
    }
    let found = place.and_then(|place| follow(&mut resolver, place));
    same_after_following(base, text, found);
}

/// The directory is the one that the path names, by a path without links; and no other process's.
fn is_where_it_says(place: &Place) {
    let directory = if place.name.to_bytes() == b"." { place.path.clone() } else { place.path.parent().unwrap_or_else(AbsPath::root) };
    assert_eq!(real_path(place.parent.as_fd()).as_ref(), Ok(&directory));
    let canonical = directory.as_path().canonicalize().expect("it is there");
    assert_eq!(canonical, directory.as_path());
    not_of_others(&place.path);
}

fn not_of_others(path: &AbsPath) {
    let mut names = path.components();
    let process = if names.next() == Some(OsStr::new("proc")) { names.next() } else { None };
    // No process has a number that is larger.
    let number = process.and_then(|name| name.to_str()?.parse::<i32>().ok());
    let own = [rustix::process::getpid(), rustix::thread::gettid()].map(|own| own.as_raw_nonzero().get());
    assert!(number.is_none_or(|number| own.contains(&number)), "{path}");
}

/// Outside procfs, where `self` is a link for the kernel and none here.
fn same_without_following(base: BorrowedFd<'_>, text: &[u8], place: &Place) {
    let end = text.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    if place.path.as_bytes().starts_with(b"/proc") {
        return;
    }
    let theirs = rustix::fs::openat(base, &text[..end], PATH | OFlags::NOFOLLOW, Mode::empty());
    same(text, place.object(), theirs);
}

/// Where everything leads in the end; the real path, where it is a place.
fn follow(resolver: &mut Resolver<'_>, mut place: Place) -> Result<Result<OwnedFd, Errno>, Stop> {
    loop {
        not_of_others(&place.path);
        match resolver.follow(&place)? {
            Some(Followed::Place(next)) => place = next,
            Some(Followed::Object(object)) => return Ok(directory_if(&place, Ok(object))),
            None => {
                let object = place.object();
                return Ok(directory_if(&place, object));
            }
        }
    }
}

/// A slash at the end wants a directory; the calls themselves see to that.
fn directory_if(place: &Place, object: Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    let object = object?;
    let is_directory = FileType::from_raw_mode(rustix::fs::fstat(&object)?.st_mode) == FileType::Directory;
    if place.directory && !is_directory { Err(Errno::NOTDIR) } else { Ok(object) }
}

fn same_after_following(base: BorrowedFd<'_>, text: &[u8], found: Result<Result<OwnedFd, Errno>, Stop>) {
    let theirs = rustix::fs::openat(base, text, PATH, Mode::empty());
    match found {
        Ok(ours) => same(text, ours, theirs),
        Err(Stop::Errno(errno)) => same(text, Err(errno), theirs),
        // Only entries of other processes are refused.
        Err(Stop::Denied(denial)) => assert_eq!((denial.rule.as_str(), denial.errno), ("fs.proc", Errno::ACCESS), "{text:?}"),
    }
}

fn same(text: &[u8], ours: Result<OwnedFd, Errno>, theirs: Result<OwnedFd, Errno>) {
    let text = String::from_utf8_lossy(text);
    let identity = |stat: Stat| (stat.st_dev, stat.st_ino);
    let stat = |object: OwnedFd| rustix::fs::fstat(object).map(identity);
    match (ours.and_then(stat), theirs.and_then(stat)) {
        // Links are counted differently: the kernel counts those of one walk, and several walks make one path here.
        (_, Err(Errno::LOOP)) | (Err(Errno::LOOP), _) => {}
        (ours, theirs) => assert_eq!(ours, theirs, "{text}"),
    }
}
