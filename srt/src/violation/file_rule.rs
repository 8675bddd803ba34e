//! What a denial by a rule on files is told with, whoever saw it.

use super::Kind;
use crate::policy::{FsEffect, FsRule, Matcher};

/// Why, in words.
pub(crate) fn file_reason(rule: &FsRule) -> &'static str {
    match (rule.effect, &rule.matcher) {
        (FsEffect::DenyRead, _) => "reading is denied there",
        (_, Matcher::Protected(name)) => name.reason,
        _ if rule.id.0 == "fs.default-write" => "it lies outside allowWrite",
        _ => "writing is denied there",
    }
}

/// The line of settings that would allow it. A denial that the user wrote is not to be worked around.
pub(crate) fn file_advice(kind: Kind, target: &str, rule: Option<&FsRule>) -> Option<String> {
    match (kind, rule) {
        (_, Some(FsRule { matcher: Matcher::Protected(name), .. })) => Some(format!("add {:?} to unprotect", name.name)),
        (Kind::FsWrite, Some(rule)) if rule.id.0 == "fs.default-write" => Some(format!("add {target:?} to filesystem.allowWrite")),
        // Device by device only.
        (_, Some(rule)) if rule.path().is_some_and(|path| path.to_string() == target) && rule.id.0 == "fs.dev" => None,
        (Kind::FsRead | Kind::FsWrite | Kind::FsExec, Some(rule)) if rule.effect == FsEffect::DenyRead && !rule.absolute => {
            Some(format!("add {target:?} to filesystem.allowRead"))
        }
        _ => None,
    }
}
