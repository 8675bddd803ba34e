//! Links that an earlier run may have left for this one.

use super::AbsPath;
use super::fs::{FsEffect, FsPolicy, FsRule};
use super::lookup::PathLookup;
use crate::Fault;

/// Permissions whose way leads through a link that the command of an earlier run could have made: it would choose what this run opens.
///
/// Two signs: the link lies in a directory that another rule makes writable, and leads out of it; or it leads to a directory that it lies in itself, which nobody
/// needs and which would open everything around it.
pub(super) fn links(policy: &FsPolicy, lookup: &dyn PathLookup) -> Vec<Fault> {
    let opens = |rule: &&FsRule| matches!(rule.effect, FsEffect::AllowWrite | FsEffect::AllowRead);
    let mut faults = Vec::new();
    for rule in policy.rules().iter().filter(opens) {
        let Some(found) = rule.lexical.as_ref().and_then(|lexical| lookup.real_path(lexical).ok()) else { continue };
        // The root that the link itself opened proves nothing.
        let others =
            || policy.rules().iter().filter(|other| other.effect == FsEffect::AllowWrite && other.id != rule.id).filter_map(FsRule::path);
        let leaves = |link: &AbsPath| others().any(|root| link.is_strictly_within(root) && !found.path.is_within(root));
        if let Some(link) = found.links.iter().find(|link| link.is_within(&found.path) || leaves(link)) {
            let cause = format!("it leads through the link {link}, which an earlier command could have made, to {}", found.path);
            let fault = Fault::new(format!("use {:?}", rule.spelled), cause).from_origin(&rule.origin);
            faults.push(fault.hint(format!("if that is meant, name {} itself", found.path)));
        }
    }
    faults
}
