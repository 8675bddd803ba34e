//! Patterns of any depth, where nobody sees both names of a move.
//!
//! Pure. `/w/**/.env` speaks of everything below `/w`, however deep. Inside, a directory can be moved as its owner likes. Moved out of `/w`, to another directory that may be
//! written, it takes what is denied along, to a name that no rule is about. Who judges a move by both names denies it ([`FsPolicy::denies_move`]); Seatbelt judges
//! each name alone. There, the rest of the pattern holds in those other directories as well.

use super::fs::{FsEffect, FsPolicy, FsRule, Matcher};
use super::{AbsPath, Glob};

impl FsPolicy {
    /// The same rules, and for every denial by a pattern that begins with `**/` the same denial in the write roots outside its directory.
    ///
    /// Write roots that the directory lies in itself are left out: there the denial would be about much that nobody spoke of. Whoever uses this keeps the directories
    /// below the pattern's own in place instead.
    #[must_use]
    pub fn with_moved_patterns(self) -> FsPolicy {
        let roots: Vec<AbsPath> = self.rules().iter().filter_map(root).collect();
        let mut rules = self.rules().to_vec();
        for rule in self.rules().iter().filter(|rule| matches!(rule.effect, FsEffect::DenyRead | FsEffect::DenyWrite)) {
            let Matcher::Glob(glob) = &rule.matcher else { continue };
            let Some(rest) = glob.any_depth() else { continue };
            let base = glob.literal_base();
            let outside = roots.iter().filter(|root| !root.is_within(&base) && !base.is_within(root));
            rules.extend(outside.map(|root| FsRule { matcher: Matcher::Glob(Glob::below(root, rest)), ..rule.clone() }));
        }
        FsPolicy::new(rules)
    }
}

/// The directory that a permission to write opens; none for devices.
fn root(rule: &FsRule) -> Option<AbsPath> {
    let devices = AbsPath::root().join("dev");
    let path = match &rule.matcher {
        _ if rule.effect != FsEffect::AllowWrite => None,
        Matcher::Path(path) => Some(path.clone()),
        Matcher::Glob(glob) => Some(glob.literal_base()),
        Matcher::Protected(_) => None,
    };
    path.filter(|path| !path.is_within(&devices))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Access, Origin, RuleId};

    fn policy(rules: &[(FsEffect, &str)]) -> FsPolicy {
        let rule = |(effect, text): &(FsEffect, &str)| FsRule {
            id: RuleId((*text).to_owned()),
            effect: *effect,
            matcher: if text.contains('*') { Matcher::Glob(Glob::compile(text)) } else { Matcher::Path(AbsPath::new(text).unwrap()) },
            spelled: (*text).to_owned(),
            lexical: None,
            absolute: false,
            create: false,
            origin: Origin::Flag("--test"),
        };
        FsPolicy::new(rules.iter().map(rule).collect()).with_moved_patterns()
    }

    #[test]
    fn what_a_pattern_of_any_depth_denies_stays_denied_in_other_write_roots() {
        use FsEffect::{AllowWrite, DenyRead, DenyWrite};
        let policy = policy(&[
            (AllowWrite, "/w"),
            (AllowWrite, "/tmp/x"),
            (DenyRead, "/w/**/.env"),
            (DenyWrite, "/w/**/conf/*.pem"),
            (DenyRead, "/w/*/key"),
            (DenyRead, "/w/sub/**/.token"),
        ]);
        let may = |access, text: &str| policy.decide(&AbsPath::new(text).unwrap(), access).allowed;
        assert!(!may(Access::Read, "/tmp/x/a/.env") && !may(Access::Write, "/tmp/x/conf/a.pem"));
        assert!(may(Access::Read, "/tmp/.env") && may(Access::Read, "/tmp/x/a/key"));
        assert!(may(Access::Read, "/w/.token") && !may(Access::Read, "/tmp/x/.token"));
    }
}
