//! Takes the inventory: which objects exist where the policy's answer changes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::fs::{Access, FsEffect, FsPolicy, FsRule, Matcher};
use super::inventory::{Entry, Point};
use super::lookup::{FileKind, PathLookup};
use super::protected::PROTECTED_NAMES;
use super::{AbsPath, Origin, RuleId};

/// A name below a write root that needs a closer look.
#[derive(Clone, Debug)]
pub(super) struct Found {
    path: AbsPath,
    kind: FileKind,
}

/// Looks once at the names below the write roots, `depth` directories deep: protected names, and `.git` files.
pub(super) fn survey(policy: &FsPolicy, lookup: &dyn PathLookup, depth: u8) -> Vec<Found> {
    let mut survey = Survey { policy, lookup, found: Vec::new() };
    if policy.rules().iter().any(|rule| matches!(rule.matcher, Matcher::Protected(_))) {
        let roots: Vec<&AbsPath> = policy.write_roots().filter(|root| policy.decide(root, Access::Write).allowed).collect();
        roots.into_iter().for_each(|root| survey.directory(root, depth));
    }
    survey.found
}

struct Survey<'a> {
    policy: &'a FsPolicy,
    lookup: &'a dyn PathLookup,
    found: Vec<Found>,
}

impl Survey<'_> {
    fn directory(&mut self, directory: &AbsPath, depth: u8) {
        if in_private_area(directory) {
            return;
        }
        let Ok(children) = self.lookup.children(directory) else { return };
        for (name, kind) in children {
            let path = directory.join(&name);
            // A file that names a directory elsewhere, or a link to one.
            let git_file = kind != FileKind::Directory && name.as_bytes().eq_ignore_ascii_case(b".git");
            if git_file || (may_be_protected(&name) && is_protected(self.policy, &path)) {
                self.found.push(Found { path, kind });
            } else if kind == FileKind::Directory {
                if depth > 1 && name != "node_modules" {
                    self.directory(&path, depth - 1);
                } else if is_first_of_two(&name) {
                    self.directory(&path, 1);
                }
            }
        }
    }
}

/// Every existing object that a rule names, protected names found below write roots, and the directories between them that must not move.
///
/// With `private` trees, `/dev` and `/proc` of the host are nothing that a rule could reach.
pub(super) fn points(policy: &FsPolicy, lookup: &dyn PathLookup, found: Vec<Found>, private: bool) -> BTreeMap<AbsPath, Point> {
    let mut points = BTreeMap::from([(AbsPath::root(), Point { kind: FileKind::Directory, pinned: false, opened: false })]);
    for rule in policy.rules() {
        let Some(path) = rule.path().filter(|path| !(private && in_private_area(path))) else { continue };
        let found = lookup.real_path(path).ok().and_then(|found| found.kind);
        // What is made just before the mounts counts as existing.
        if let Some(kind) = found.or(rule.create.then_some(FileKind::Directory)) {
            points.insert(path.clone(), Point { kind, pinned: false, opened: false });
        }
    }
    for Found { path, kind } in found {
        points.entry(path).or_insert(Point { kind, pinned: false, opened: false });
    }
    pin_ancestors(policy, &mut points);
    open_parents(policy, lookup, &mut points);
    points
}

/// Where a permission names what does not exist, or a pattern, the directory that would hold it must not be mounted read-only.
fn open_parents(policy: &FsPolicy, lookup: &dyn PathLookup, points: &mut BTreeMap<AbsPath, Point>) {
    let existing = |path: &AbsPath| lookup.real_path(path).ok().and_then(|found| found.kind) == Some(FileKind::Directory);
    let asked_for = |rule: &&FsRule| rule.effect == FsEffect::AllowWrite && !rule.create && !matches!(rule.origin, Origin::BuiltIn(_));
    for rule in policy.rules().iter().filter(asked_for) {
        let named = match &rule.matcher {
            Matcher::Path(path) if !lookup.real_path(path).is_ok_and(|found| found.kind.is_some()) => path.parent(),
            Matcher::Glob(glob) => Some(glob.literal_base()),
            Matcher::Path(_) | Matcher::Protected(_) => None,
        };
        let directory = named.and_then(|named| named.ancestors().find(existing)).filter(|directory| !in_private_area(directory));
        if let Some(directory) = directory {
            points.entry(directory).or_insert(Point { kind: FileKind::Directory, pinned: false, opened: true }).opened = true;
        }
    }
}

fn in_private_area(path: &AbsPath) -> bool {
    ["/proc", "/dev"].iter().any(|area| path.as_path().starts_with(area))
}

fn is_protected(policy: &FsPolicy, path: &AbsPath) -> bool {
    let verdict = policy.decide(path, Access::Write);
    !verdict.allowed && matches!(verdict.rule.matcher, Matcher::Protected(_))
}

/// A cheap look at the name alone: most names are not in the table, and a write root may hold very many.
fn may_be_protected(name: &OsStr) -> bool {
    let is_last = |row: &super::protected::ProtectedName| {
        row.components.last().is_some_and(|last| name.as_bytes().eq_ignore_ascii_case(last.as_bytes()))
    };
    PROTECTED_NAMES.iter().any(is_last)
}

/// Is it the first component of a protected name of two, so that one level more must be looked at?
fn is_first_of_two(name: &OsStr) -> bool {
    PROTECTED_NAMES.iter().any(|row| row.components.len() > 1 && name.as_bytes().eq_ignore_ascii_case(row.components[0].as_bytes()))
}

/// `mv .git x; mkdir -p .git/hooks` would free a protected name: the directories between a write root and what is denied below it are made mount
/// points of their own, which cannot be renamed.
fn pin_ancestors(policy: &FsPolicy, points: &mut BTreeMap<AbsPath, Point>) {
    let writable = |path: &AbsPath| policy.decide(path, Access::Write).allowed;
    let denied: Vec<AbsPath> = points.keys().filter(|path| !writable(path)).cloned().collect();
    for path in denied {
        let between = path.ancestors().skip(1).take_while(|dir| writable(dir) && dir.parent().is_some_and(|parent| writable(&parent)));
        for directory in between {
            points.entry(directory).or_insert(Point { kind: FileKind::Directory, pinned: true, opened: false }).pinned = true;
        }
    }
}

/// Lists the hidden directories that hold something visible: their other entries are hidden one by one.
pub(super) fn listings(policy: &FsPolicy, points: &BTreeMap<AbsPath, Point>, lookup: &dyn PathLookup) -> BTreeMap<AbsPath, Vec<Entry>> {
    let readable = |path: &AbsPath| policy.decide(path, Access::Read).allowed;
    let mut listings = BTreeMap::new();
    for visible in points.keys().filter(|path| readable(path)) {
        for directory in visible.ancestors().skip(1).take_while(|dir| !readable(dir)) {
            listings.entry(directory.clone()).or_insert_with(|| entries(policy, lookup, &directory));
        }
    }
    listings
}

/// A directory that cannot be listed, or is not there yet, shows nothing: closed.
fn entries(policy: &FsPolicy, lookup: &dyn PathLookup, directory: &AbsPath) -> Vec<Entry> {
    let children = lookup.children(directory).unwrap_or_default();
    let mut entries: Vec<Entry> = children
        .into_iter()
        .map(|(name, kind)| {
            let path = directory.join(&name);
            let link = (kind == FileKind::Symlink && named_by_allow_read(policy, &path)).then(|| lookup.link_text(&path).ok()).flatten();
            Entry { name, kind, link }
        })
        .collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

/// Was an `allowRead` entry spelled through this link? Then the link itself is needed to reach what was allowed.
fn named_by_allow_read(policy: &FsPolicy, link: &AbsPath) -> bool {
    policy
        .rules()
        .iter()
        .any(|rule| rule.effect == FsEffect::AllowRead && rule.lexical.as_ref().is_some_and(|lexical| lexical.is_within(link)))
}

/// A `.git` *file* (worktree, submodule) names a directory elsewhere, whose hooks and configuration need the same protection, as does the file.
pub(super) fn git_directories(found: &[Found], lookup: &dyn PathLookup) -> Vec<FsRule> {
    let mut rules = Vec::new();
    for Found { path: file, kind } in found {
        let linked = || lookup.real_path(file).ok().filter(|found| found.kind == Some(FileKind::Directory)).map(|found| found.path);
        let directory = if *kind == FileKind::Symlink { linked() } else { git_directory(file, lookup) };
        let Some(directory) = directory else { continue };
        let common = common_directory(&directory, lookup);
        rules.push(git_rule(file.clone()));
        for directory in [Some(directory), common].into_iter().flatten() {
            rules.extend(["hooks", "config", "config.worktree", "commondir"].map(|name| git_rule(directory.join(name))));
        }
    }
    rules
}

fn git_rule(path: AbsPath) -> FsRule {
    FsRule {
        id: RuleId("fs.protected:gitdir".to_owned()),
        effect: FsEffect::DenyWrite,
        spelled: path.to_string(),
        lexical: None,
        matcher: Matcher::Path(path),
        absolute: false,
        create: false,
        origin: Origin::BuiltIn("rule: the git directory that a .git file names"),
    }
}

/// The content of a `.git` file is `gitdir: PATH` (gitrepository-layout(5)).
fn git_directory(file: &AbsPath, lookup: &dyn PathLookup) -> Option<AbsPath> {
    let text = lookup.first_bytes(file).ok()?;
    named_directory(text.strip_prefix(b"gitdir:")?, &file.parent()?, lookup)
}

/// `commondir` in the git directory of a worktree leads to the repository's own.
fn common_directory(directory: &AbsPath, lookup: &dyn PathLookup) -> Option<AbsPath> {
    named_directory(&lookup.first_bytes(&directory.join("commondir")).ok()?, directory, lookup)
}

fn named_directory(text: &[u8], base: &AbsPath, lookup: &dyn PathLookup) -> Option<AbsPath> {
    let line = text.split(|byte| *byte == b'\n').next()?.trim_ascii();
    if line.is_empty() || line.contains(&0) {
        return None;
    }
    let path = AbsPath::resolve(base, Path::new(OsStr::from_bytes(line)));
    lookup.real_path(&path).ok().map(|found| found.path)
}
