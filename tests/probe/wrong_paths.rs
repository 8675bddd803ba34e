//! Every call of the table on paths that are wrong in every way; each starts from a fresh directory.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::answer::{Answer, Operation, errno_name};
use crate::path_calls::{CALLS, CWD, PathCall, address, c_path};

pub(crate) const OPERATIONS: &[Operation] = &[Operation { name: "wrong-paths", arguments: &["DIR"], run: wrong_paths }];

/// `file` is a file, `dir` a directory with something in it, `empty` one without, `loop` leads to itself, `deep` through 41 links, `forty` through 40, the
/// most that the kernel follows (path_resolution(7)). None leads out of DIR: a caller who may, changes what it names.
const PATHS: &[&str] = &[
    "",
    "missing/x",
    "file",
    "file/",
    "file/x",
    "file/.",
    "dir",
    "dir/",
    "dir/.",
    "dir/..",
    "empty",
    "empty/",
    ".",
    "..",
    "loop",
    "loop/x",
    "deep",
    "forty",
    "dangling",
    "dangling/",
    "dangling/x",
    "to-dir",
    "to-dir/",
    "to-dir/inner",
    "to-file",
    "to-file/",
    "new",
    "new/",
    "new/.",
    "dir//inner",
    "./dir/../file",
    "dir/inner/..",
    "other",
    "missing/../file",
    "file/../file",
];

/// One line for each pair: the answer, and what is there afterwards.
fn wrong_paths(arguments: &[String]) -> Answer {
    let base = fs::canonicalize(&arguments[0])?;
    chain(&base)?;
    let mut lines = Vec::new();
    for call in CALLS {
        for path in PATHS {
            let outer = base.join("outer");
            furnish(&outer.join("in"))?;
            std::env::set_current_dir(outer.join("in"))?;
            let answer = attempt(call, path);
            std::env::set_current_dir(&base)?;
            lines.push(format!("{} {path:?}: {answer}; {}", call.name, state(&outer)?));
            fs::remove_dir_all(&outer)?;
        }
    }
    Ok(lines.join("\n"))
}

fn attempt(call: &PathCall, path: &str) -> String {
    let (Ok(path), Ok(other)) = (c_path(path), c_path("other")) else { return "no path".into() };
    match call.make_and_close(CWD, address(&path), address(&other)) {
        Ok(()) => "ok".into(),
        Err(error) => error.raw_os_error().map_or_else(|| error.to_string(), errno_name),
    }
}

fn furnish(place: &Path) -> io::Result<()> {
    fs::create_dir_all(place.join("dir"))?;
    fs::create_dir(place.join("empty"))?;
    for file in ["file", "other", "dir/inner"] {
        fs::write(place.join(file), "kept")?;
    }
    for (target, name) in [("loop", "loop"), ("target", "dangling"), ("dir", "to-dir"), ("file", "to-file"), ("forty", "deep")] {
        symlink(target, place.join(name))?;
    }
    symlink("../../link-39", place.join("forty"))
}

/// 39 links, made once, that lead to `file`.
fn chain(base: &Path) -> io::Result<()> {
    symlink("outer/in/file", base.join("link-1"))?;
    (2..=39).try_for_each(|number| symlink(format!("link-{}", number - 1), base.join(format!("link-{number}"))))
}

/// Modes and names, opening what was closed on the way, so that it can be read and removed.
fn state(place: &Path) -> io::Result<String> {
    let mut text = entry(place)?;
    if place.symlink_metadata()?.is_dir() {
        fs::set_permissions(place, fs::Permissions::from_mode(0o755))?;
        let mut inner: Vec<_> = fs::read_dir(place)?.collect::<io::Result<Vec<_>>>()?.into_iter().map(|entry| entry.path()).collect();
        inner.sort();
        for path in inner {
            text = text + " " + &state(&path)?;
        }
    }
    Ok(text)
}

/// The content of regular files is their length; directories have different ones on different file systems.
fn entry(path: &Path) -> io::Result<String> {
    let meta = path.symlink_metadata()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let length = if meta.is_dir() { 0 } else { meta.len() };
    let touched = if meta.modified()? < std::time::UNIX_EPOCH + std::time::Duration::from_secs(100) { " touched" } else { "" };
    Ok(format!("{name}:{:o}:{length}{touched}", meta.permissions().mode()))
}
