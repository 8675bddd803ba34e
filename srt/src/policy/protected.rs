//! Names that are never writable below a write root, existing or not, at any depth.
//!
//! Each of them is read and obeyed by a program that the user runs later, outside the sandbox: a shell, git, an editor, an agent. Whoever may
//! write one of them owns the next session. Every row can be lifted by its name (`unprotect` in the settings).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::AbsPath;

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct ProtectedName {
    /// The name of the row in `unprotect`, and in messages.
    pub name: &'static str,
    /// Trailing components that must match; what lies below them is protected with them.
    pub components: &'static [&'static str],
    /// Where not empty, these components must come before them, with one or more of any name in between.
    pub below: &'static [&'static str],
    /// Why it is protected.
    pub reason: &'static str,
}

const fn row(name: &'static str, components: &'static [&'static str], reason: &'static str) -> ProtectedName {
    ProtectedName { name, components, below: &[], reason }
}

/// A name at any depth below a directory of git's.
const fn git_row(name: &'static str, below: &'static [&'static str], components: &'static [&'static str]) -> ProtectedName {
    ProtectedName { name, components, below, reason: "git takes hooks and configuration of submodules and worktrees from it" }
}

const MODULES: &[&str] = &[".git", "modules"];
const WORKTREES: &[&str] = &[".git", "worktrees"];

const SHELL: &str = "shells run it at the next login or start";
const GIT: &str = "git runs programs that it names";
const EDITOR: &str = "editors run tasks and settings from it";
const AGENT: &str = "agents take instructions or programs from it";

/// The whole table.
pub const PROTECTED_NAMES: &[ProtectedName] = &[
    row(".bashrc", &[".bashrc"], SHELL),
    row(".bash_profile", &[".bash_profile"], SHELL),
    row(".bash_login", &[".bash_login"], SHELL),
    row(".bash_logout", &[".bash_logout"], SHELL),
    row(".bash_aliases", &[".bash_aliases"], SHELL),
    row(".profile", &[".profile"], SHELL),
    row(".zshrc", &[".zshrc"], SHELL),
    row(".zshenv", &[".zshenv"], SHELL),
    row(".zprofile", &[".zprofile"], SHELL),
    row(".zlogin", &[".zlogin"], SHELL),
    row(".zlogout", &[".zlogout"], SHELL),
    row("config.fish", &["fish", "config.fish"], SHELL),
    row(".gitconfig", &[".gitconfig"], GIT),
    row(".gitmodules", &[".gitmodules"], "git fetches from where it says"),
    row(".git/hooks", &[".git", "hooks"], GIT),
    row(".git/config", &[".git", "config"], GIT),
    row(".git/config.worktree", &[".git", "config.worktree"], GIT),
    row(".git/commondir", &[".git", "commondir"], "git takes hooks and config from the directory that it names"),
    git_row(".git/modules/*/hooks", MODULES, &["hooks"]),
    git_row(".git/modules/*/config", MODULES, &["config"]),
    git_row(".git/modules/*/config.worktree", MODULES, &["config.worktree"]),
    git_row(".git/modules/*/commondir", MODULES, &["commondir"]),
    git_row(".git/worktrees/*/config.worktree", WORKTREES, &["config.worktree"]),
    git_row(".git/worktrees/*/commondir", WORKTREES, &["commondir"]),
    row(".ripgreprc", &[".ripgreprc"], "ripgrep runs the preprocessor that it names"),
    row(".mcp.json", &[".mcp.json"], "agents start the servers that it names"),
    row(".vscode", &[".vscode"], EDITOR),
    row(".idea", &[".idea"], EDITOR),
    row(".claude/commands", &[".claude", "commands"], AGENT),
    row(".claude/agents", &[".claude", "agents"], AGENT),
    row(".claude/settings.json", &[".claude", "settings.json"], AGENT),
    row(".claude/settings.local.json", &[".claude", "settings.local.json"], AGENT),
    row(".codex", &[".codex"], AGENT),
    row(".cursor", &[".cursor"], AGENT),
    row(".srt-settings.json", &[".srt-settings.json"], "srt reads its policy from it"),
];

/// Lengths of the last components of all rows, as bits.
const LENGTHS: u64 = {
    let mut lengths = 0;
    let mut row = 0;
    while row < PROTECTED_NAMES.len() {
        let components = PROTECTED_NAMES[row].components;
        lengths |= 1 << components[components.len() - 1].len();
        row += 1;
    }
    lengths
};

/// May any row protect this path? A quick look at its names, which never misses one.
pub(super) fn may_protect(path: &AbsPath) -> bool {
    let is_last = |name: &[u8]| {
        let last = |row: &ProtectedName| row.components.last().is_some_and(|last| name.eq_ignore_ascii_case(last.as_bytes()));
        name.len() < 64 && LENGTHS & (1 << name.len()) != 0 && PROTECTED_NAMES.iter().any(last)
    };
    path.components().any(|name| is_last(name.as_bytes()))
}

impl ProtectedName {
    /// Does it hold names at any depth of what is at `path`, because that is, or lies in, the directory in which they are protected?
    pub(super) fn is_around(&self, path: &AbsPath) -> bool {
        let names: Vec<&OsStr> = path.components().collect();
        let same = |name: &OsStr, wanted: &str| name.as_bytes().eq_ignore_ascii_case(wanted.as_bytes());
        let is_here = |part: &[&OsStr]| part.iter().zip(self.below).all(|(name, wanted)| same(name, wanted));
        !self.below.is_empty() && names.windows(self.below.len()).any(is_here)
    }

    /// Is this the first component? Letter case does not matter.
    pub(super) fn begins_with(&self, name: &OsStr) -> bool {
        self.below.iter().chain(self.components).next().is_some_and(|first| name.as_bytes().eq_ignore_ascii_case(first.as_bytes()))
    }

    /// Depth of the protected object (number of components from the root) where `path` is one, or lies inside one, whose last component is strictly
    /// below `root`. Letter case does not matter, because on some file systems it does not.
    ///
    /// A write root that is *itself* called `.vscode` was named by the user and is not protected by this row.
    pub fn protects(&self, path: &AbsPath, root: &AbsPath) -> Option<usize> {
        let same = |name: &OsStr, wanted: &str| name.as_bytes().eq_ignore_ascii_case(wanted.as_bytes());
        let names: Vec<&OsStr> = path.components().collect();
        let first_end = root.depth().max(self.components.len() - 1) + 1;
        (first_end..=names.len()).find(|&end| {
            let start = end - self.components.len();
            let all = |names: &[&OsStr], wanted: &[&str]| names.iter().zip(wanted).all(|(name, wanted)| same(name, wanted));
            // One name at least lies between.
            let above = &names[..start.saturating_sub(1)];
            all(&names[start..end], self.components)
                && (self.below.is_empty() || above.windows(self.below.len()).any(|part| all(part, self.below)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AbsPath {
        AbsPath::new(text).unwrap()
    }

    fn protecting(target: &str, root: &str) -> Option<&'static str> {
        PROTECTED_NAMES.iter().find(|row| row.protects(&path(target), &path(root)).is_some()).map(|row| row.name)
    }

    #[test]
    fn names_are_protected_at_any_depth_below_the_root() {
        assert_eq!(protecting("/w/.bashrc", "/w"), Some(".bashrc"));
        assert_eq!(protecting("/w/a/b/c/.git/hooks/pre-commit", "/w"), Some(".git/hooks"));
        assert_eq!(protecting("/w/.GIT/Hooks", "/w"), Some(".git/hooks"));
        assert_eq!(protecting("/w/.git/objects/x", "/w"), None);
        assert_eq!(protecting("/w/hooks", "/w"), None);
    }

    #[test]
    fn configuration_of_submodules_and_worktrees_is_protected_at_any_depth() {
        assert_eq!(protecting("/w/.git/modules/a/config", "/w"), Some(".git/modules/*/config"));
        assert_eq!(protecting("/w/r/.git/modules/a/modules/b/hooks/pre-commit", "/w"), Some(".git/modules/*/hooks"));
        assert_eq!(protecting("/w/.git/worktrees/t/commondir", "/w"), Some(".git/worktrees/*/commondir"));
        assert_eq!(protecting("/w/.git/modules/config", "/w"), None);
        assert_eq!(protecting("/w/modules/a/config", "/w"), None);
        assert_eq!(protecting("/w/.git/modules/a/index", "/w"), None);
    }

    #[test]
    fn a_root_inside_a_repository_still_protects_what_is_below_it() {
        assert_eq!(protecting("/w/.git/hooks", "/w/.git"), Some(".git/hooks"));
    }

    #[test]
    fn a_write_root_that_bears_the_name_itself_was_meant() {
        assert_eq!(protecting("/w/.vscode/settings.json", "/w/.vscode"), None);
        assert_eq!(protecting("/w/.vscode", "/w"), Some(".vscode"));
    }

    #[test]
    fn row_names_are_unique() {
        let mut names: Vec<_> = PROTECTED_NAMES.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PROTECTED_NAMES.len());
    }
}
