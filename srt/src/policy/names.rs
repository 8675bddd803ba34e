//! Rules on what does not exist.
//!
//! Mounts hold objects. What a rule names and is not there is either made, where the entry asks for that, or listed as a rule that only names can hold.

use super::fs::{Access, FsEffect, FsPolicy, FsRule, Matcher};
use super::inventory::NameRule;
use super::lookup::PathLookup;
use super::{AbsPath, Origin};

/// Directories that are missing, may be made, and would be writable.
pub(super) fn to_make(policy: &FsPolicy, lookup: &dyn PathLookup) -> Vec<AbsPath> {
    let wanted = policy
        .rules()
        .iter()
        .filter(|rule| rule.create && rule.effect == FsEffect::AllowWrite && !matches!(rule.origin, Origin::BuiltIn(_)));
    let missing = |path: &&AbsPath| lookup.real_path(path).is_ok_and(|found| found.kind.is_none());
    wanted.filter_map(FsRule::path).filter(missing).filter(|path| policy.decide(path, Access::Write).allowed).cloned().collect()
}

/// Rules that mounts cannot hold: the name is free, or a link, or a pattern that may match later.
pub(super) fn by_name_only(policy: &FsPolicy, lookup: &dyn PathLookup) -> Vec<NameRule> {
    let inside_a_root = |path: &AbsPath| policy.write_roots().any(|root| path.is_within(root));
    let touches_a_root = |path: &AbsPath| inside_a_root(path) || policy.write_roots().any(|root| root.is_within(path));
    let missing = |path: &AbsPath| !lookup.real_path(path).is_ok_and(|found| found.kind.is_some());
    let is_link = |path: &AbsPath| lookup.link_text(path).is_ok();
    let private = |rule: &FsRule| matches!(rule.origin, Origin::BuiltIn(_));
    policy
        .rules()
        .iter()
        .filter(|rule| !private(rule))
        .filter_map(|rule| {
            let key = match (rule.effect, &rule.matcher) {
                (FsEffect::AllowWrite, Matcher::Path(path)) if !rule.create && missing(path) && !inside_another(policy, path) => {
                    "allowWrite"
                }
                (FsEffect::AllowWrite, Matcher::Glob(_)) => "allowWrite",
                (FsEffect::DenyWrite, Matcher::Path(path)) if inside_a_root(path) && missing(path) => "denyWrite",
                (FsEffect::DenyWrite, Matcher::Path(_))
                    if rule.lexical.as_ref().is_some_and(|link| inside_a_root(link) && is_link(link)) =>
                {
                    "denyWrite"
                }
                (FsEffect::DenyWrite, Matcher::Glob(glob)) if touches_a_root(&glob.literal_base()) => "denyWrite",
                (FsEffect::DenyRead, Matcher::Path(path)) if missing(path) => "denyRead",
                _ => return None,
            };
            Some(NameRule { spelled: rule.spelled.clone(), key, origin: rule.origin.clone() })
        })
        .collect()
}

/// Is the missing path writable anyway, by a rule on a directory above it?
fn inside_another(policy: &FsPolicy, path: &AbsPath) -> bool {
    path.parent().is_some_and(|parent| policy.decide(&parent, Access::Write).allowed)
}
