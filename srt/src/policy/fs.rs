//! Which paths may be read and written.
//!
//! Pure. [`FsPolicy::decide`] is the one answer to "may this path be read, or written?"; the mount plan, `check` and the attribution of denials
//! ask it. Paths given to it are real paths: symbolic links were resolved by whoever asks.

use super::glob::Glob;
use super::protected::{self, ProtectedName};
use super::{AbsPath, Origin, RuleId};

/// What a program wants to do with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Open for reading, list, look at metadata, execute.
    Read,
    /// Create, change, remove, rename, change metadata.
    Write,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum FsEffect {
    /// `denyRead`: neither readable nor writable.
    DenyRead,
    /// `allowRead`: re-opens inside `denyRead`.
    AllowRead,
    /// `allowWrite`.
    AllowWrite,
    /// `denyWrite`, protected names.
    DenyWrite,
}

/// Which paths a rule is about. A directory stands for everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// One path and what lies below it.
    Path(AbsPath),
    /// Everything that a pattern matches, and what lies below.
    Glob(Glob),
    /// A protected name below any write root.
    Protected(&'static ProtectedName),
}

impl Matcher {
    /// Is this path, or a directory above it, named? Protected names are relative to write roots, so they name nothing by themselves.
    pub fn covers(&self, path: &AbsPath) -> bool {
        match self {
            Matcher::Path(named) => path.is_within(named),
            Matcher::Glob(glob) => path.ancestors().any(|ancestor| glob.matches(&ancestor)),
            Matcher::Protected(_) => false,
        }
    }
}

/// One rule on files.
#[derive(Clone, Debug)]
pub struct FsRule {
    /// Name of the rule in this policy.
    pub id: RuleId,
    /// What it does.
    pub effect: FsEffect,
    /// To what.
    pub matcher: Matcher,
    /// The entry as the user wrote it.
    pub spelled: String,
    /// The entry made absolute, before symbolic links were resolved; `None` for globs and protected names.
    pub lexical: Option<AbsPath>,
    /// No `allowRead` lifts it (credential files).
    pub absolute: bool,
    /// The directory may be made where it is missing (an `allowWrite` entry that ends in `/`).
    pub create: bool,
    /// Where it was written.
    pub origin: Origin,
}

/// The answer to a question about a path.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct FsVerdict<'a> {
    /// May it be done?
    pub allowed: bool,
    /// The rule that decided.
    pub rule: &'a FsRule,
}

/// All rules on files of one run.
#[derive(Clone, Debug)]
pub struct FsPolicy {
    rules: Vec<FsRule>,
    default_read: FsRule,
    default_write: FsRule,
    write_roots: Vec<AbsPath>,
}

impl FsPolicy {
    /// Collects rules. Their order does not matter: the most specific rule wins, a tie goes to the denial of writing and to the permission to read.
    pub fn new(rules: Vec<FsRule>) -> Self {
        let write_roots = rules.iter().filter(|rule| rule.effect == FsEffect::AllowWrite).filter_map(FsRule::path).cloned().collect();
        FsPolicy {
            rules,
            default_read: default_rule("fs.default-read", FsEffect::AllowRead, "default: reading is allowed"),
            default_write: default_rule("fs.default-write", FsEffect::DenyWrite, "default: writing is denied outside allowWrite"),
            write_roots,
        }
    }

    /// Every rule, in the order of the settings.
    pub fn rules(&self) -> &[FsRule] {
        &self.rules
    }

    /// The paths that `allowWrite` names, existing or not.
    pub fn write_roots(&self) -> impl Iterator<Item = &AbsPath> {
        self.write_roots.iter()
    }

    /// The rule of this name, the defaults included.
    pub fn rule_named(&self, id: &str) -> Option<&FsRule> {
        self.rules.iter().chain([&self.default_read, &self.default_write]).find(|rule| rule.id.0 == id)
    }

    /// Is this what holds where no rule says anything?
    pub fn is_default(&self, rule: &FsRule) -> bool {
        rule.id == self.default_read.id || rule.id == self.default_write.id
    }

    /// May `path` be read, or written?
    ///
    /// Reading: the most specific `denyRead` or `allowRead` decides, a tie goes to `allowRead`. Writing: what may not be read may not be written; then any
    /// `denyWrite` or protected name at or above the path denies; then an `allowWrite` at or above it allows.
    pub fn decide(&self, path: &AbsPath, access: Access) -> FsVerdict<'_> {
        let read = self.decide_read(path);
        match access {
            Access::Read => read,
            Access::Write if !read.allowed => read,
            Access::Write => self.decide_write(path),
        }
    }

    fn decide_read(&self, path: &AbsPath) -> FsVerdict<'_> {
        let denied = self.most_specific(FsEffect::DenyRead, path);
        let allowed = self.most_specific(FsEffect::AllowRead, path);
        match (denied, allowed) {
            (None, _) => FsVerdict { allowed: true, rule: &self.default_read },
            (Some((_, rule)), _) if rule.absolute => FsVerdict { allowed: false, rule },
            (Some((deny_depth, _)), Some((allow_depth, rule))) if allow_depth >= deny_depth => FsVerdict { allowed: true, rule },
            (Some((_, rule)), _) => FsVerdict { allowed: false, rule },
        }
    }

    fn decide_write(&self, path: &AbsPath) -> FsVerdict<'_> {
        if let Some((_, rule)) = self.most_specific(FsEffect::DenyWrite, path) {
            return FsVerdict { allowed: false, rule };
        }
        match self.most_specific(FsEffect::AllowWrite, path) {
            Some((_, rule)) => FsVerdict { allowed: true, rule },
            None => FsVerdict { allowed: false, rule: &self.default_write },
        }
    }

    /// The rule of this effect that matches deepest; rules that nothing lifts come before all others.
    fn most_specific(&self, effect: FsEffect, path: &AbsPath) -> Option<(usize, &FsRule)> {
        // Most paths hold no protected name at all, and this is asked at every call that changes something.
        let plain = !protected::may_protect(path);
        self.rules
            .iter()
            .filter(|rule| rule.effect == effect && !(plain && matches!(rule.matcher, Matcher::Protected(_))))
            .filter_map(|rule| Some((self.match_depth(rule, path)?, rule)))
            .max_by_key(|(depth, rule)| (rule.absolute, *depth))
    }

    /// Number of components of the path itself or its ancestor that the rule names.
    fn match_depth(&self, rule: &FsRule, path: &AbsPath) -> Option<usize> {
        match &rule.matcher {
            Matcher::Path(root) => path.is_within(root).then(|| root.depth()),
            Matcher::Glob(glob) if !glob.could_cover(path) => None,
            Matcher::Glob(glob) => path.ancestors().find(|ancestor| glob.matches(ancestor)).map(|ancestor| ancestor.depth()),
            Matcher::Protected(name) => self.roots_of(path).filter_map(|root| name.protects(path, &root)).max(),
        }
    }

    /// The write roots that `path` lies in or is: named ones, and the fixed part of each pattern of `allowWrite` that covers it. What a wildcard matches was not
    /// named: `~/*` asks for everything in the home directory, and not for `.bashrc`.
    pub(super) fn roots_of(&self, path: &AbsPath) -> impl Iterator<Item = AbsPath> {
        let named = self.write_roots.iter().filter(|root| path.is_within(root)).cloned();
        let patterns = self.rules.iter().filter(|rule| rule.effect == FsEffect::AllowWrite);
        let matched = patterns.filter_map(|rule| match &rule.matcher {
            Matcher::Glob(glob) if glob.could_cover(path) && rule.matcher.covers(path) => Some(glob.literal_base()),
            _ => None,
        });
        named.chain(matched)
    }
}

impl FsRule {
    /// The path of a rule that names one.
    pub fn path(&self) -> Option<&AbsPath> {
        match &self.matcher {
            Matcher::Path(path) => Some(path),
            Matcher::Glob(_) | Matcher::Protected(_) => None,
        }
    }
}

fn default_rule(id: &str, effect: FsEffect, text: &'static str) -> FsRule {
    FsRule {
        id: RuleId(id.to_owned()),
        effect,
        matcher: Matcher::Path(AbsPath::root()),
        spelled: "/".to_owned(),
        lexical: None,
        absolute: false,
        create: false,
        origin: Origin::BuiltIn(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::protected::PROTECTED_NAMES;
    use crate::policy::testing;

    fn path(text: &str) -> AbsPath {
        AbsPath::new(text).unwrap()
    }

    fn rule(effect: FsEffect, text: &str) -> FsRule {
        let matcher = if text.contains('*') { Matcher::Glob(Glob::compile(text)) } else { Matcher::Path(path(text)) };
        testing::rule(&format!("{effect:?} {text}"), effect, matcher)
    }

    fn policy(rules: &[(FsEffect, &str)]) -> FsPolicy {
        let mut rules: Vec<_> = rules.iter().map(|(effect, text)| rule(*effect, text)).collect();
        rules.extend(PROTECTED_NAMES.iter().map(|name| FsRule { matcher: Matcher::Protected(name), ..rule(FsEffect::DenyWrite, "/") }));
        FsPolicy::new(rules)
    }

    fn may(policy: &FsPolicy, access: Access, target: &str) -> bool {
        policy.decide(&path(target), access).allowed
    }

    use FsEffect::{AllowRead, AllowWrite, DenyRead, DenyWrite};

    #[test]
    fn everything_is_readable_and_nothing_writable_by_default() {
        let policy = policy(&[]);
        assert!(may(&policy, Access::Read, "/etc/passwd"));
        assert!(!may(&policy, Access::Write, "/etc/passwd"));
    }

    #[test]
    fn a_denied_write_inside_a_write_root_stays_denied_whatever_the_order() {
        for rules in [[(AllowWrite, "/w"), (DenyWrite, "/w/a")], [(DenyWrite, "/w/a"), (AllowWrite, "/w")]] {
            let policy = policy(&rules);
            assert!(may(&policy, Access::Write, "/w/b"));
            assert!(!may(&policy, Access::Write, "/w/a"));
            assert!(!may(&policy, Access::Write, "/w/a/x"));
        }
    }

    #[test]
    fn a_deny_at_or_above_a_write_root_wins() {
        let policy = policy(&[(AllowWrite, "/w/a"), (DenyWrite, "/w")]);
        assert!(!may(&policy, Access::Write, "/w/a/x"));
    }

    #[test]
    fn the_more_specific_read_rule_wins() {
        let policy = policy(&[(DenyRead, "/h"), (AllowRead, "/h/p"), (DenyRead, "/h/p/secret")]);
        assert!(!may(&policy, Access::Read, "/h/x"));
        assert!(may(&policy, Access::Read, "/h/p/x"));
        assert!(!may(&policy, Access::Read, "/h/p/secret/x"));
    }

    #[test]
    fn a_denied_file_is_lifted_only_by_naming_it() {
        let above = policy(&[(DenyRead, "/h/f"), (AllowRead, "/h")]);
        assert!(!may(&above, Access::Read, "/h/f"));
        let same = policy(&[(DenyRead, "/h/f"), (AllowRead, "/h/f")]);
        assert!(may(&same, Access::Read, "/h/f"));
    }

    #[test]
    fn a_write_root_inside_a_denied_directory_is_not_opened() {
        let policy = policy(&[(DenyRead, "/h"), (AllowWrite, "/h/p")]);
        assert!(!may(&policy, Access::Write, "/h/p/x"));
        assert!(!may(&policy, Access::Read, "/h/p/x"));
    }

    #[test]
    fn globs_cover_what_lies_below_a_match() {
        let policy = policy(&[(DenyRead, "/h/*.d"), (AllowWrite, "/h")]);
        assert!(!may(&policy, Access::Read, "/h/x.d/y/z"));
        assert!(may(&policy, Access::Write, "/h/x.e/y"));
    }

    #[test]
    fn a_wildcard_of_allow_write_does_not_name_what_is_protected() {
        for pattern in ["/h/*", "/h/**/*", "/h/.b*", "/h/**/.git"] {
            let policy = policy(&[(AllowWrite, pattern)]);
            assert!(!may(&policy, Access::Write, "/h/.bashrc"), "{pattern}");
            assert!(!may(&policy, Access::Write, "/h/.git/hooks/pre-commit"), "{pattern}");
        }
        let named = policy(&[(AllowWrite, "/h/.vscode/*.json")]);
        assert!(may(&named, Access::Write, "/h/.vscode/tasks.json"));
    }

    #[test]
    fn protected_names_are_denied_below_write_roots_only() {
        let policy = policy(&[(AllowWrite, "/w")]);
        let verdict = policy.decide(&path("/w/sub/.git/hooks/pre-commit"), Access::Write);
        assert!(!verdict.allowed);
        assert!(matches!(verdict.rule.matcher, Matcher::Protected(_)));
        assert!(may(&policy, Access::Write, "/w/sub/.git/index"));
    }
}
