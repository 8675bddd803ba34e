//! Rules on files as bytes, for the process that holds them inside.
//!
//! Origins stay behind: who shows them has the settings. See [`FsPolicy::to_bytes`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde::{Deserialize, Serialize};

use super::fs::{FsEffect, FsPolicy, FsRule, Matcher};
use super::protected::PROTECTED_NAMES;
use super::{AbsPath, Glob, Origin, RuleId};

#[derive(Serialize, Deserialize)]
struct WireRule {
    id: String,
    effect: FsEffect,
    matcher: WireMatcher,
    absolute: bool,
}

#[derive(Serialize, Deserialize)]
enum WireMatcher {
    Path(Vec<u8>),
    Glob(Glob),
    Protected(String),
}

impl FsPolicy {
    /// All rules, as [`FsPolicy::from_bytes`] reads them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let rules: Vec<WireRule> = self.rules().iter().map(WireRule::from).collect();
        // Nothing in it can fail to be written.
        serde_json::to_vec(&rules).unwrap_or_default()
    }

    /// The rules of another process of ours. `None` where they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<FsPolicy> {
        let rules: Vec<WireRule> = serde_json::from_slice(bytes).ok()?;
        Some(FsPolicy::new(rules.into_iter().map(FsRule::try_from).collect::<Result<_, _>>().ok()?))
    }
}

impl From<&FsRule> for WireRule {
    fn from(rule: &FsRule) -> Self {
        let matcher = match &rule.matcher {
            Matcher::Path(path) => WireMatcher::Path(path.as_bytes().to_vec()),
            Matcher::Glob(glob) => WireMatcher::Glob(glob.clone()),
            Matcher::Protected(name) => WireMatcher::Protected(name.name.to_owned()),
        };
        WireRule { id: rule.id.0.clone(), effect: rule.effect, matcher, absolute: rule.absolute }
    }
}

/// A path that is not absolute, or a protected name that is none.
struct Unknown;

impl TryFrom<WireRule> for FsRule {
    type Error = Unknown;

    fn try_from(wire: WireRule) -> Result<Self, Unknown> {
        let matcher = match wire.matcher {
            WireMatcher::Path(path) => Matcher::Path(AbsPath::new(OsStr::from_bytes(&path)).ok_or(Unknown)?),
            WireMatcher::Glob(glob) => Matcher::Glob(glob),
            WireMatcher::Protected(name) => Matcher::Protected(PROTECTED_NAMES.iter().find(|row| row.name == name).ok_or(Unknown)?),
        };
        Ok(FsRule {
            id: RuleId(wire.id),
            effect: wire.effect,
            matcher,
            spelled: String::new(),
            lexical: None,
            absolute: wire.absolute,
            create: false,
            origin: Origin::BuiltIn("rule: of the supervisor"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fs::Access;
    use super::super::testing;
    use super::*;

    fn rule(effect: FsEffect, matcher: Matcher) -> FsRule {
        testing::rule("fs.x", effect, matcher)
    }

    #[test]
    fn rules_decide_the_same_after_the_way() {
        let base = AbsPath::new(OsStr::from_bytes(b"/w/[x]")).unwrap();
        let odd = AbsPath::new(OsStr::from_bytes(b"/w/\xff")).unwrap();
        let mut rules = vec![
            rule(FsEffect::AllowWrite, Matcher::Path(AbsPath::new("/w").unwrap())),
            rule(FsEffect::DenyWrite, Matcher::Path(odd.clone())),
            rule(FsEffect::DenyWrite, Matcher::Glob(Glob::below(&base, "*.pem"))),
        ];
        rules.extend(PROTECTED_NAMES.iter().map(|name| rule(FsEffect::DenyWrite, Matcher::Protected(name))));
        let policy = FsPolicy::new(rules);
        let back = FsPolicy::from_bytes(&policy.to_bytes()).unwrap();
        for path in [odd, AbsPath::new("/w/[x]/a.pem").unwrap(), AbsPath::new("/w/x/a.pem").unwrap(), AbsPath::new("/w/.bashrc").unwrap()] {
            assert_eq!(back.decide(&path, Access::Write).allowed, policy.decide(&path, Access::Write).allowed, "{path}");
        }
        assert!(FsPolicy::from_bytes(b"[{").is_none());
    }

    #[test]
    fn half_a_token_is_no_pattern() {
        let of = |automaton: &str| {
            let glob = format!(r#"{{"pattern":"/**/","prefix":[],"automaton":{automaton}}}"#);
            let rule = format!(r#"[{{"id":"x","effect":"DenyWrite","matcher":{{"Glob":{glob}}},"absolute":false}}]"#);
            FsPolicy::from_bytes(rule.as_bytes()).map(|policy| policy.decide(&AbsPath::root(), Access::Write).allowed)
        };
        assert_eq!(of(r#"["Directories", "Inside"]"#), Some(false));
        assert_eq!(of(r#"["Directories"]"#), None);
        assert_eq!(of(r#"["Directories", "Run"]"#), None);
    }
}
