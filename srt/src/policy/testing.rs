//! What tests and fuzz targets share: repeatable random numbers, a file system that is a table, short ways to a policy.

mod table;

pub(crate) use table::Table;

use crate::plan::{Answer, Support};

use super::{FsEffect, FsRule, Matcher, Origin, RuleId};

/// A xorshift generator (Marsaglia 2003): small, repeatable, good enough to vary input.
#[cfg(test)]
pub(crate) struct Random(u64);

#[cfg(test)]
impl Random {
    /// The same seed gives the same numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`, which is not zero.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Network settings with these entries.
pub(crate) fn network_settings(allow: &[&str], deny: &[&str]) -> crate::settings::NetworkSettings {
    let located = |entries: &[&str]| {
        let locate = |entry: &&str| super::Located::new((*entry).to_owned(), super::Origin::BuiltIn("test"));
        entries.iter().map(locate).collect()
    };
    crate::settings::NetworkSettings { allowed_domains: located(allow), denied_domains: located(deny), ..Default::default() }
}

/// A network policy with these entries, which must be valid.
#[cfg(test)]
pub(crate) fn net_policy(allow: &[&str], deny: &[&str]) -> super::NetPolicy {
    super::NetPolicy::build(&network_settings(allow, deny)).expect("valid entries")
}

/// A host that has everything but eBPF.
pub(crate) fn support() -> Support {
    Support {
        ebpf: Answer::Unknown("not asked".to_owned()),
        monitor: None,
        seatbelt: None,
        user_namespaces: Answer::Yes,
        landlock_abi: 7,
        landlock_errata: 0,
        seccomp: Answer::Yes,
        user_notification: Answer::Yes,
        new_mount_api: true,
    }
}

/// A rule from nowhere.
pub(crate) fn rule(id: &str, effect: FsEffect, matcher: Matcher) -> FsRule {
    FsRule {
        id: RuleId(id.to_owned()),
        effect,
        matcher,
        spelled: String::new(),
        lexical: None,
        absolute: false,
        create: false,
        origin: Origin::Flag("--test"),
    }
}
