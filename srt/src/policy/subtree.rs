//! What moving a directory, or a link in its place, does to the names below it.
//!
//! Pure. A rule on a name holds for the file of that name, whichever way it got there. A directory that is renamed takes all names below it along, and a symbolic link gives
//! them new ones, so both can free a denied name or fill it: `mv .git x; …; mv x .git`. Such moves and links are denied themselves, whatever lies in the
//! directory at the time.

use super::fs::{FsEffect, FsPolicy, FsRule, Matcher};
use super::protected::ProtectedName;
use super::{AbsPath, Glob};

impl FsPolicy {
    /// The rule against moving whatever is at `from` to `to`: something below one of them is denied that would not be below the other.
    ///
    /// For directories and symbolic links; whoever asks sees to it that what is there stays what it is.
    pub fn denies_move(&self, from: &AbsPath, to: &AbsPath) -> Option<&FsRule> {
        self.denials().find(|rule| match &rule.matcher {
            Matcher::Path(path) => path.is_strictly_within(from) || path.is_strictly_within(to),
            Matcher::Glob(glob) => !glob.is_same_below(from, to) && (glob.could_match_below(from) || glob.could_match_below(to)),
            Matcher::Protected(name) => self.begins(name, from) != self.begins(name, to) || name.is_around(from) != name.is_around(to),
        })
    }

    /// The rule against a link at `path`: through it, something would be reached by a denied name that was written under another.
    pub fn denies_link(&self, path: &AbsPath) -> Option<&FsRule> {
        self.denials().find(|rule| match &rule.matcher {
            Matcher::Path(denied) => denied.is_strictly_within(path),
            Matcher::Glob(glob) => glob.names_below(path),
            Matcher::Protected(name) => self.begins(name, path) || name.is_around(path),
        })
    }

    fn denials(&self) -> impl Iterator<Item = &FsRule> {
        self.rules().iter().filter(|rule| matches!(rule.effect, FsEffect::DenyWrite | FsEffect::DenyRead))
    }

    /// Is `path`, below a write root, what a protected name of several components starts with?
    fn begins(&self, name: &ProtectedName, path: &AbsPath) -> bool {
        let first = |path: &AbsPath| path.file_name().is_some_and(|last| name.begins_with(last));
        (name.components.len() > 1 || !name.below.is_empty()) && first(path) && self.roots_of(path).next().is_some()
    }

    /// The rule against anything at `path` that is not a directory: a `.git` *file* names the directory from which git takes hooks and configuration
    /// (gitrepository-layout(5)), so it could lead around every rule on those names.
    pub fn denies_file(&self, path: &AbsPath) -> Option<&FsRule> {
        self.denials().find(|rule| match &rule.matcher {
            Matcher::Protected(name) => name.begins_with(".git".as_ref()) && self.begins(name, path),
            Matcher::Path(_) | Matcher::Glob(_) => false,
        })
    }
}

impl Glob {
    /// Do the same relative paths match below both directories?
    pub(super) fn is_same_below(&self, one: &AbsPath, other: &AbsPath) -> bool {
        self.states_below(one) == self.states_below(other)
    }

    /// Does the pattern speak of this very directory? Not where all that may match below it would match below any other as well, because of `**`.
    pub(super) fn names_below(&self, directory: &AbsPath) -> bool {
        self.could_match_below(directory) && !self.is_place_independent(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::super::protected::PROTECTED_NAMES;
    use super::super::testing;
    use super::*;

    fn path(text: &str) -> AbsPath {
        AbsPath::new(text).unwrap()
    }

    fn rule(effect: FsEffect, matcher: Matcher) -> FsRule {
        testing::rule("rule", effect, matcher)
    }

    fn policy(denied: &[&str]) -> FsPolicy {
        let matcher = |text: &&str| if text.contains('*') { Matcher::Glob(Glob::compile(text)) } else { Matcher::Path(path(text)) };
        let mut rules: Vec<_> = denied.iter().map(|text| rule(FsEffect::DenyWrite, matcher(text))).collect();
        rules.push(rule(FsEffect::AllowWrite, Matcher::Path(path("/w"))));
        rules.extend(PROTECTED_NAMES.iter().map(|name| rule(FsEffect::DenyWrite, Matcher::Protected(name))));
        FsPolicy::new(rules)
    }

    fn moves(denied: &[&str], from: &str, to: &str) -> bool {
        policy(denied).denies_move(&path(from), &path(to)).is_none()
    }

    fn links(denied: &[&str], at: &str) -> bool {
        policy(denied).denies_link(&path(at)).is_none()
    }

    #[test]
    fn what_a_protected_name_starts_with_is_neither_left_nor_taken() {
        assert!(!moves(&[], "/w/.git", "/w/x"));
        assert!(!moves(&[], "/w/x", "/w/deep/.Git"));
        assert!(moves(&[], "/w/a/.git", "/w/b/.git"));
        assert!(moves(&[], "/w/a", "/w/b"));
        assert!(!links(&[], "/w/.git"));
        assert!(links(&[], "/w/link"));
    }

    #[test]
    fn directories_of_submodules_are_neither_left_nor_taken_nor_linked() {
        assert!(!moves(&[], "/w/.git/x", "/w/.git/modules/y"));
        assert!(!moves(&[], "/w/.git/modules/y", "/w/x"));
        assert!(moves(&[], "/w/.git/modules/a/index.lock", "/w/.git/modules/a/index"));
        assert!(!links(&[], "/w/.git/modules") && !links(&[], "/w/.git/modules/a"));
    }

    #[test]
    fn a_git_directory_is_no_file() {
        let file = |at: &str| policy(&[]).denies_file(&path(at)).is_none();
        assert!(!file("/w/.git") && !file("/w/a/.GIT"));
        assert!(file("/w/.claude") && file("/w/x") && file("/w/.gitignore") && file("/w/.git/index"));
    }

    #[test]
    fn protected_names_hold_below_what_a_pattern_allows() {
        let mut rules = policy(&[]).rules().to_vec();
        rules.push(rule(FsEffect::AllowWrite, Matcher::Glob(Glob::compile("/x/proj*"))));
        let policy = FsPolicy::new(rules);
        let may = |target: &str| policy.decide(&path(target), crate::policy::Access::Write).allowed;
        assert_eq!(["/x/proj2/a", "/x/proj2/.bashrc", "/x/proj2/.git/config", "/x/other"].map(may), [true, false, false, false]);
        assert!(policy.denies_move(&path("/x/proj2/a"), &path("/x/proj2/.git")).is_some());
    }

    #[test]
    fn an_ancestor_of_a_denied_path_stays_where_it_is_and_is_no_link() {
        assert!(!moves(&["/w/a/b/c"], "/w/a", "/w/x"));
        assert!(!moves(&["/w/a/b/c"], "/w/x", "/w/a/b"));
        assert!(moves(&["/w/a/b/c"], "/w/x", "/w/y"));
        assert!(!links(&["/w/a/b/c"], "/w/a"));
        assert!(links(&["/w/a/b/c"], "/w/b"));
    }

    #[test]
    fn patterns_that_hold_everywhere_hinder_no_move() {
        for pattern in ["/w/**/.env", "/w/**/*.pem", "/**/x*"] {
            assert!(moves(&[pattern], "/w/a", "/w/b/c"), "{pattern}");
            assert!(links(&[pattern], "/w/a"), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_name_a_place_hold_it() {
        assert!(!moves(&["/w/conf/*.json"], "/w/conf", "/w/x"));
        assert!(!moves(&["/w/conf/*.json"], "/w/x", "/w/conf"));
        assert!(moves(&["/w/*/secret"], "/w/a", "/w/b"));
        assert!(!moves(&["/w/*/secret"], "/w/a/b", "/w/c"));
        assert!(!links(&["/w/conf/*.json"], "/w/conf"));
        assert!(!links(&["/w/*/secret"], "/w/a"));
        assert!(links(&["/w/*/secret"], "/w/a/b/c"));
        assert!(!links(&["/w/a/**/secret"], "/w/a"));
        // Below `a` more matches than beside it, although a `**` comes before.
        assert!(!links(&["/w/**/a/**/secret"], "/w/a") && !links(&["/w/**/a/**/secret"], "/w/x/a"));
        assert!(links(&["/w/**/a/**/secret"], "/w/x"));
    }
}
