//! What a pattern matches now.

use std::collections::BTreeSet;
use std::io;

use super::AbsPath;
use super::fs::FsEffect;
use super::glob::Glob;
use super::lookup::{FileKind, PathLookup};

/// A walk over more entries than this is refused: start-up would take minutes, and the list of mounts would not fit.
const MAX_ENTRIES: usize = 2_000_000;

/// Real paths of everything that `glob` matches now, without what lies below another match.
///
/// Denials follow symbolic links to directories, because a name that leads through one is matched too; permissions do not. Denials of writing follow those only that stay
/// below the fixed part: what lies elsewhere is no more writable through a link than by its own name, and a link to `/` would lead through the whole disk. A directory
/// that cannot be listed is taken as matched by a denial of reading.
///
/// # Errors
/// More than two million entries below the fixed part of the pattern.
pub(super) fn expand(glob: &Glob, effect: FsEffect, lookup: &dyn PathLookup) -> io::Result<Vec<AbsPath>> {
    let base = glob.literal_base();
    let mut walk = Walk { glob, effect, lookup, seen: BTreeSet::new(), entries: 0, found: Vec::new() };
    let mut open = vec![(base.clone(), base)];
    while let Some((name, real)) = open.pop() {
        walk.directory(&name, &real, &mut open)?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    glob: &'a Glob,
    effect: FsEffect,
    lookup: &'a dyn PathLookup,
    /// Real directories already listed: links may form a cycle.
    seen: BTreeSet<AbsPath>,
    entries: usize,
    found: Vec<AbsPath>,
}

impl Walk<'_> {
    fn directory(&mut self, name: &AbsPath, real: &AbsPath, open: &mut Vec<(AbsPath, AbsPath)>) -> io::Result<()> {
        if is_kernel_file_system(real) || !self.seen.insert(real.clone()) {
            return Ok(());
        }
        let children = match self.lookup.children(real) {
            Ok(children) => children,
            Err(error) => {
                if self.effect == FsEffect::DenyRead && error.kind() == io::ErrorKind::PermissionDenied {
                    self.found.push(real.clone());
                }
                return Ok(());
            }
        };
        self.entries += children.len();
        if self.entries > MAX_ENTRIES {
            return Err(io::Error::other("more than two million entries would have to be looked at"));
        }
        for (child, kind) in children {
            self.entry(name.join(&child), real.join(&child), kind, open);
        }
        Ok(())
    }

    fn entry(&mut self, name: AbsPath, mut real: AbsPath, mut kind: FileKind, open: &mut Vec<(AbsPath, AbsPath)>) {
        let wanted = self.glob.matches(&name);
        if !wanted && !self.glob.could_match_below(&name) {
            return;
        }
        if kind == FileKind::Symlink {
            let follows = |target: &AbsPath| match self.effect {
                FsEffect::DenyRead => true,
                FsEffect::DenyWrite => wanted || target.is_within(&self.glob.literal_base()),
                FsEffect::AllowRead | FsEffect::AllowWrite => false,
            };
            match self.lookup.real_path(&real) {
                Ok(target) if follows(&target.path) => match target.kind {
                    Some(target_kind) => (real, kind) = (target.path, target_kind),
                    None => return,
                },
                _ => return,
            }
        }
        if wanted {
            self.found.push(real);
        } else if kind == FileKind::Directory {
            open.push((name, real));
        }
    }
}

/// `/proc` and `/dev` are made new for each run, and `/sys` holds no file of the user's.
fn is_kernel_file_system(path: &AbsPath) -> bool {
    ["/proc", "/sys", "/dev"].iter().any(|name| path.as_path() == std::path::Path::new(name))
}
