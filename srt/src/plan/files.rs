//! The file tree of a run as a list of mounts.
//!
//! Pure. For each object of the inventory the policy is asked once; where its answer differs from that of the tree around it, a step changes it. Steps
//! stand in path order, so a step never covers an earlier one that lies below it, and a denial inside a write root always follows the root.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;

use crate::policy::{AbsPath, Access, FileKind, FsPolicy, Inventory, Point, Policy};

/// The file tree of a run.
#[derive(Clone, Debug, Serialize)]
pub struct FilePlan {
    /// In path order; the first is `/`.
    pub steps: Vec<FileStep>,
    /// Directories that are made before the run, and removed after it where they are still empty.
    #[serde(serialize_with = "path_texts")]
    pub make: Vec<AbsPath>,
    /// `TMPDIR`, made for this run and removed after it.
    #[serde(serialize_with = "super::path_text")]
    pub private_tmp: AbsPath,
}

/// One object of the tree, and what is done with it.
#[derive(Clone, Debug, Serialize)]
pub struct FileStep {
    /// Where.
    #[serde(serialize_with = "super::path_text")]
    pub path: AbsPath,
    /// What.
    pub action: FileAction,
    /// Name of the rule.
    pub rule: String,
    /// Where the rule was written.
    pub origin: String,
}

/// What is done with an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileAction {
    /// The caller's object, with everything below it, not writable.
    ReadOnly,
    /// The caller's object, writable.
    Writable,
    /// Writable as what surrounds it, but it cannot be renamed or removed: something below it is denied.
    Pinned,
    /// An unreadable file (`EACCES`).
    HiddenFile,
    /// An unreadable directory (`EACCES`).
    HiddenDirectory,
    /// A directory that can be passed through but not listed; of its entries, only those that a later step mounts can be read.
    Passage(Vec<Node>),
}

/// An entry in a passage; parents come before what they hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Relative to the passage.
    pub path: PathBuf,
    /// What to make.
    pub kind: NodeKind,
}

/// What to make in a passage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// A directory of mode 0111.
    Passage,
    /// An unreadable file.
    HiddenFile,
    /// An unreadable directory.
    HiddenDirectory,
    /// A file for a later step to mount upon.
    FileMountPoint,
    /// A directory for a later step to mount upon.
    DirectoryMountPoint,
    /// A symbolic link that leads to something readable.
    Link(#[serde(serialize_with = "text")] OsString),
}

fn path_texts<S: serde::Serializer>(paths: &[AbsPath], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(ToString::to_string))
}

fn text<S: serde::Serializer>(text: &std::ffi::OsStr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text.to_string_lossy())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Hidden,
    ReadOnly,
    Writable,
}

fn state(policy: &FsPolicy, path: &AbsPath) -> State {
    if !policy.decide(path, Access::Read).allowed {
        State::Hidden
    } else if policy.decide(path, Access::Write).allowed {
        State::Writable
    } else {
        State::ReadOnly
    }
}

/// Does a denial at `path` hold? Mounts know objects; names are judged `by_name` where there is a broker, and only for writing.
///
/// The nearest object of the inventory at or above the path decides what the kernel does there.
pub fn holds(policy: &Policy, path: &AbsPath, access: Access, by_name: bool) -> bool {
    if by_name && access == Access::Write {
        return true;
    }
    let nearest = path.ancestors().find(|ancestor| policy.inventory.points.contains_key(ancestor)).unwrap_or_else(AbsPath::root);
    !policy.files.decide(&nearest, access).allowed
}

/// Turns points into steps.
///
/// With `by_name`, the broker judges names: directories need not be pinned, and those in which single names may be written are mounted writable.
pub(super) fn plan(policy: &Policy, by_name: bool) -> FilePlan {
    let Policy { files: rules, inventory, .. } = policy;
    let mut steps = Vec::new();
    let mut around: Vec<(&AbsPath, State)> = Vec::new();
    for (path, point) in &inventory.points {
        while around.last().is_some_and(|(ancestor, _)| !path.is_within(ancestor)) {
            around.pop();
        }
        let now = match state(rules, path) {
            State::ReadOnly if by_name && point.opened => State::Writable,
            state => state,
        };
        let before = around.last().map(|(_, state)| *state);
        let point = &Point { pinned: point.pinned && !by_name, ..point.clone() };
        if let Some(action) = action(rules, inventory, path, point, before, now) {
            steps.push(step(rules, path, action));
        }
        around.push((path, now));
    }
    FilePlan { steps, ..unmounted(policy) }
}

/// What is made for the run; nothing is mounted.
pub(super) fn unmounted(policy: &Policy) -> FilePlan {
    FilePlan { steps: Vec::new(), make: policy.inventory.to_make.clone(), private_tmp: policy.private_tmp.clone() }
}

/// What must be done at `path` where the tree around it is in state `before` (`None` for `/`) and the policy wants `now`.
fn action(
    policy: &FsPolicy,
    inventory: &Inventory,
    path: &AbsPath,
    point: &Point,
    before: Option<State>,
    now: State,
) -> Option<FileAction> {
    // Nothing can be mounted upon a link; a link is a name, not an object.
    if point.kind == FileKind::Symlink {
        return None;
    }
    match (before, now) {
        (Some(State::Hidden), State::Hidden) => None,
        (_, State::Hidden) => Some(hide(policy, inventory, path, point)),
        (Some(State::Writable), State::Writable) => point.pinned.then_some(FileAction::Pinned),
        (_, State::Writable) => Some(FileAction::Writable),
        (Some(State::ReadOnly), State::ReadOnly) => None,
        (_, State::ReadOnly) => Some(FileAction::ReadOnly),
    }
}

fn hide(policy: &FsPolicy, inventory: &Inventory, path: &AbsPath, point: &Point) -> FileAction {
    let visible = |other: &&AbsPath| other.is_strictly_within(path) && state(policy, other) != State::Hidden;
    match point.kind {
        FileKind::Directory if *path == AbsPath::root() || inventory.points.keys().any(|other| visible(&other)) => {
            FileAction::Passage(nodes(policy, inventory, path))
        }
        FileKind::Directory => FileAction::HiddenDirectory,
        FileKind::Symlink | FileKind::Other => FileAction::HiddenFile,
    }
}

/// Everything below `path` that is made before later steps mount upon it.
fn nodes(policy: &FsPolicy, inventory: &Inventory, path: &AbsPath) -> Vec<Node> {
    let mut nodes: BTreeMap<AbsPath, NodeKind> = BTreeMap::new();
    // What was there at the start is named, so that it gives EACCES and not ENOENT.
    for (directory, entries) in inventory.listings.iter().filter(|(directory, _)| directory.is_within(path)) {
        for entry in entries {
            let kind = match (&entry.link, entry.kind) {
                (Some(text), _) => NodeKind::Link(text.clone()),
                (None, FileKind::Directory) => NodeKind::HiddenDirectory,
                (None, FileKind::Symlink | FileKind::Other) => NodeKind::HiddenFile,
            };
            nodes.insert(directory.join(&entry.name), kind);
        }
    }
    let hidden = |other: &AbsPath| state(policy, other) == State::Hidden;
    for (visible, point) in inventory.points.iter().filter(|(other, _)| other.is_strictly_within(path) && !hidden(other)) {
        // Only the outermost visible points lie in the passage itself.
        if !visible.parent().is_some_and(|parent| hidden(&parent)) {
            continue;
        }
        let kind = if point.kind == FileKind::Directory { NodeKind::DirectoryMountPoint } else { NodeKind::FileMountPoint };
        nodes.insert(visible.clone(), kind);
        for directory in visible.ancestors().skip(1).take_while(|directory| directory.is_strictly_within(path)) {
            nodes.insert(directory, NodeKind::Passage);
        }
    }
    if *path == AbsPath::root() {
        for name in ["dev", "proc"] {
            nodes.insert(path.join(name), NodeKind::DirectoryMountPoint);
        }
    }
    let relative = |(full, kind): (AbsPath, NodeKind)| full.below(path).map(|below| Node { path: below.to_owned(), kind });
    nodes.into_iter().filter_map(relative).collect()
}

fn step(policy: &FsPolicy, path: &AbsPath, action: FileAction) -> FileStep {
    let access = match action {
        FileAction::HiddenFile | FileAction::HiddenDirectory | FileAction::Passage(_) => Access::Read,
        FileAction::ReadOnly | FileAction::Writable | FileAction::Pinned => Access::Write,
    };
    let rule = policy.decide(path, access).rule;
    FileStep { path: path.clone(), action, rule: rule.id.to_string(), origin: rule.origin.to_string() }
}
