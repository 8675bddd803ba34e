//! The order of denials and permissions to read.
//!
//! The policy says: the deepest match decides, and where two are as deep, the permission. Seatbelt says: the last match decides. So rules are written from the root
//! downwards, layer by layer, denials before permissions. A pattern with `**` has matches of any depth: it is written again, for the matches that lie deeper, behind
//! whatever could have overruled it.

use std::collections::BTreeSet;

use super::pattern;
use crate::policy::{AbsPath, FsRule, Matcher};

/// Where patterns of any depth stand on both sides, so many layers are told apart. Deeper, a denial stays one.
pub(super) const MAX_DEPTH: usize = 32;

/// One rule in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer<'a> {
    /// Which.
    pub(super) rule: &'a FsRule,
    /// Only matches of at least so many components.
    pub(super) from: Option<usize>,
}

/// A rule with where its matches lie.
struct Member<'a> {
    rule: &'a FsRule,
    denies: bool,
    least: usize,
    variable: bool,
    base: AbsPath,
    /// An opposite rule that could overrule it was written after it.
    stale: bool,
}

impl<'a> Member<'a> {
    fn new(rule: &'a FsRule, denies: bool) -> Self {
        let (least, variable, base) = match &rule.matcher {
            Matcher::Path(path) => (path.depth(), false, path.clone()),
            Matcher::Glob(glob) => {
                let (least, variable) = pattern::depth(glob);
                (least, variable, glob.literal_base())
            }
            Matcher::Protected(_) => (0, false, AbsPath::root()),
        };
        Member { rule, denies, least, variable, base, stale: false }
    }

    /// Could some path be under both?
    fn meets(&self, other: &Member<'_>) -> bool {
        self.base.is_within(&other.base) || other.base.is_within(&self.base)
    }
}

/// Rules in the order in which the last match is the one that decides.
pub(super) fn ordered<'a>(denials: &[&'a FsRule], permissions: &[&'a FsRule]) -> Vec<Layer<'a>> {
    let mut members: Vec<Member<'a>> = denials.iter().map(|rule| Member::new(rule, true)).collect();
    members.extend(permissions.iter().map(|rule| Member::new(rule, false)));
    let mut layers = Vec::new();
    for depth in depths(&members) {
        for at in 0..members.len() {
            let member = &members[at];
            let (due, again) = (member.least == depth, member.stale && member.variable && member.least < depth);
            // The last layer is for denials alone.
            if !(due || again) || (depth > MAX_DEPTH && !member.denies && !due) {
                continue;
            }
            layers.push(Layer { rule: member.rule, from: again.then_some(depth) });
            members[at].stale = false;
            for other in 0..members.len() {
                members[other].stale |= members[other].denies != members[at].denies && members[other].meets(&members[at]);
            }
        }
    }
    layers
}

/// Every depth at which something must be written.
fn depths(members: &[Member<'_>]) -> BTreeSet<usize> {
    let mut depths: BTreeSet<usize> = members.iter().map(|member| member.least).collect();
    let variable = |denies: bool| members.iter().filter(move |member| member.variable && member.denies == denies);
    // What lies deeper than a permission is the next layer's.
    if variable(true).next().is_some() {
        depths.extend(members.iter().filter(|member| !member.denies).map(|member| member.least + 1));
    }
    let pairs = variable(true).flat_map(|denial| variable(false).map(move |permission| (denial, permission)));
    for (denial, permission) in pairs.filter(|(denial, permission)| denial.meets(permission)) {
        depths.extend(denial.least.max(permission.least)..=MAX_DEPTH + 1);
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{FsEffect, Glob, Origin, RuleId};

    fn rule(text: &str) -> FsRule {
        let matcher = if text.contains('*') { Matcher::Glob(Glob::compile(text)) } else { Matcher::Path(AbsPath::new(text).unwrap()) };
        FsRule {
            id: RuleId(text.to_owned()),
            effect: FsEffect::DenyRead,
            matcher,
            spelled: text.to_owned(),
            lexical: None,
            absolute: false,
            create: false,
            origin: Origin::Flag("--test"),
        }
    }

    fn order(denials: &[&str], permissions: &[&str]) -> Vec<String> {
        let [denials, permissions] = [denials, permissions].map(|texts| texts.iter().map(|text| rule(text)).collect::<Vec<_>>());
        let layers = ordered(&denials.iter().collect::<Vec<_>>(), &permissions.iter().collect::<Vec<_>>());
        layers.iter().map(|layer| format!("{}{}", layer.rule.id, layer.from.map(|from| format!(" {from}")).unwrap_or_default())).collect()
    }

    #[test]
    fn deeper_rules_come_later_and_permissions_after_denials_of_the_same_depth() {
        assert_eq!(order(&["/a/b/c", "/a"], &["/a/b", "/a/b/c"]), ["/a", "/a/b", "/a/b/c", "/a/b/c"]);
    }

    #[test]
    fn a_pattern_of_any_depth_is_written_again_behind_what_could_overrule_it() {
        assert_eq!(order(&["/a/**/k"], &["/a/b"]), ["/a/**/k", "/a/b", "/a/**/k 3"]);
        assert_eq!(order(&["/a/**/k"], &["/z/b"]), ["/a/**/k", "/z/b"]);
        assert_eq!(order(&["/a", "/a/b/c"], &["/a/**/p"]), ["/a", "/a/**/p", "/a/b/c", "/a/**/p 3"]);
    }

    #[test]
    fn patterns_of_any_depth_on_both_sides_end_with_a_denial() {
        let order = order(&["/a/**/d"], &["/a/**/p"]);
        assert_eq!(&order[..4], ["/a/**/d", "/a/**/p", "/a/**/d 3", "/a/**/p 3"]);
        assert_eq!(order.last().unwrap(), "/a/**/d 33");
    }
}
