//! The state of a directory tree, to show that a run changed nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Everything below a directory: types, modes, owners, sizes, times of change, contents and targets of links.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, String>);

impl Snapshot {
    /// Reads the tree. Access times are left out, and the times of the directory named `tmp`, in which srt makes and removes its
    /// private directory.
    pub fn of(root: &Path) -> Self {
        let mut entries = BTreeMap::new();
        read(root, root, &mut entries);
        Snapshot(entries)
    }

    /// Fails unless the tree is still the same, and says what differs.
    ///
    /// # Panics
    /// When something differs.
    #[track_caller]
    pub fn assert_unchanged(&self, root: &Path) {
        let now = Snapshot::of(root);
        let mut differences = Vec::new();
        for path in self.0.keys().chain(now.0.keys()) {
            let (before, after) = (self.0.get(path), now.0.get(path));
            if before != after {
                differences.push(format!("{}: {before:?} -> {after:?}", path.display()));
            }
        }
        differences.dedup();
        assert!(differences.is_empty(), "the host's files changed:\n{}", differences.join("\n"));
    }
}

fn read(root: &Path, path: &Path, entries: &mut BTreeMap<PathBuf, String>) {
    let relative = path.strip_prefix(root).unwrap_or(path).to_owned();
    let Ok(meta) = path.symlink_metadata() else {
        entries.insert(relative, "vanished".into());
        return;
    };
    let content = if meta.is_file() {
        fs::read(path).map_or_else(|error| error.to_string(), |bytes| format!("{:x}", crate::area::fingerprint(&bytes)))
    } else if meta.is_symlink() {
        fs::read_link(path).map_or_else(|error| error.to_string(), |to| to.display().to_string())
    } else {
        String::new()
    };
    let times = if meta.is_dir() && relative == Path::new("tmp") { 0 } else { meta.mtime_nsec() + meta.mtime() };
    let size = if meta.is_dir() { 0 } else { meta.size() };
    let links = if meta.is_dir() { 0 } else { meta.nlink() };
    entries.insert(relative, format!("{:o} {}:{} {size} {links} {times} {content}", meta.mode(), meta.uid(), meta.gid()));
    for entry in fs::read_dir(path).into_iter().filter(|_| meta.is_dir()).flatten().flatten() {
        read(root, &entry.path(), entries);
    }
}
