//! What of a new policy can hold in a run that has begun.
//!
//! Pure. Hosts and ports are asked about at every connection, so all of that can change. Of the rules on files those that the broker judges by name can; what a
//! mount holds stays until the end, and what the command was given at its start cannot be taken back.

use super::fs::{Access, FsEffect, FsPolicy, FsRule, Matcher};
use super::{AbsPath, Grant, Policy};

/// The keys in which `new` differs from `old` without effect on a run that began with `old`, in the order of the reference. Where an entry only has no effect in
/// part, its key is among them.
pub fn without_effect(old: &Policy, new: &Policy) -> Vec<&'static str> {
    let differs: [(&'static str, bool); 21] = [
        ("network.allowUnixSockets", values(&old.network.allow_unix_sockets) != values(&new.network.allow_unix_sockets)),
        ("network.allowHostPorts", values(&old.network.allow_host_ports) != values(&new.network.allow_host_ports)),
        ("network.publishPorts", values(&old.network.publish_ports) != values(&new.network.publish_ports)),
        ("network.allowAllUnixSockets", old.network.allow_all_unix_sockets != new.network.allow_all_unix_sockets),
        ("filesystem.disabled", is_disabled(&old.files) != is_disabled(&new.files)),
        ("filesystem.denyRead", entries(&old.files, FsEffect::DenyRead, false) != entries(&new.files, FsEffect::DenyRead, false)),
        ("filesystem.allowRead", entries(&old.files, FsEffect::AllowRead, false) != entries(&new.files, FsEffect::AllowRead, false)),
        ("filesystem.allowWrite", opens_what_is_mounted_shut(old, new)),
        ("filesystem.denyWrite", lifts_what_is_mounted(old, new)),
        ("credentials.files", entries(&old.files, FsEffect::DenyRead, true) != entries(&new.files, FsEffect::DenyRead, true)),
        ("credentials.envVars", values(&old.deny_env) != values(&new.deny_env)),
        ("git.safeDirectories", values(&old.git_safe_directories) != values(&new.git_safe_directories)),
        ("acceptGaps", values(&old.accept_gaps) != values(&new.accept_gaps)),
        ("enableWeakerNestedSandbox", old.weaker_nested != new.weaker_nested),
        ("violations.reads", old.report_reads != new.report_reads),
        ("ignoreViolations", values(&old.ignore_violations) != values(&new.ignore_violations)),
        ("network.allowMachLookup", granted(old, new, |grant| matches!(grant, Grant::MachLookup(_)))),
        ("network.allowLocalBinding", granted(old, new, |grant| *grant == Grant::LocalBinding)),
        ("enableWeakerNetworkIsolation", granted(old, new, |grant| *grant == Grant::TrustDaemon)),
        ("allowAppleEvents", granted(old, new, |grant| *grant == Grant::AppleEvents)),
        ("allowPty", granted(old, new, |grant| *grant == Grant::PseudoTerminals)),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// Do grants of one kind differ? On Linux they have no effect at all; on macOS they are part of the profile, which stays.
fn granted(old: &Policy, new: &Policy, kind: fn(&Grant) -> bool) -> bool {
    let of = |policy: &Policy| policy.grants.iter().map(|grant| grant.value.clone()).filter(kind).collect::<Vec<_>>();
    of(old) != of(new)
}

/// Keys of rules on files that differ at all: all of them are without effect where nothing judges names.
pub fn file_rules_that_differ(old: &FsPolicy, new: &FsPolicy) -> Vec<&'static str> {
    let lists = [("filesystem.allowWrite", FsEffect::AllowWrite), ("filesystem.denyWrite", FsEffect::DenyWrite)];
    let differ = |effect| entries(old, effect, false) != entries(new, effect, false);
    lists.into_iter().filter(|(_, effect)| differ(*effect)).map(|(key, _)| key).collect()
}

fn values<T>(list: &[super::Located<T>]) -> Vec<&T> {
    list.iter().map(|entry| &entry.value).collect()
}

/// What the rules of one list are about, whatever their order.
fn entries(files: &FsPolicy, effect: FsEffect, absolute: bool) -> Vec<String> {
    let rules = files.rules().iter().filter(|rule| rule.effect == effect && rule.absolute == absolute);
    let mut entries: Vec<String> = rules.map(|rule| format!("{} {:?}", rule.spelled, rule.path())).collect();
    entries.sort_unstable();
    entries.dedup();
    entries
}

fn is_disabled(files: &FsPolicy) -> bool {
    files.rules().iter().any(|rule| rule.id.0.starts_with("fs.disabled"))
}

/// A write root that is new and outside the old ones: there everything is mounted read-only.
fn opens_what_is_mounted_shut(old: &Policy, new: &Policy) -> bool {
    let mounted = |path: &AbsPath| {
        let holds = |root: &AbsPath| path == root || (path.is_within(root) && old.inventory.points.contains_key(root));
        old.files.write_roots().any(holds)
    };
    let is_new = |rule: &&FsRule| !old.files.rules().iter().any(|before| before.effect == rule.effect && before.matcher == rule.matcher);
    new.files.rules().iter().filter(|rule| rule.effect == FsEffect::AllowWrite).filter(is_new).any(|rule| match &rule.matcher {
        Matcher::Path(path) => !mounted(path),
        Matcher::Glob(glob) => !mounted(&glob.literal_base()),
        Matcher::Protected(_) => false,
    })
}

/// Something that existed at the start and was not to be written, and now may be: it lies under a read-only mount of its own.
fn lifts_what_is_mounted(old: &Policy, new: &Policy) -> bool {
    let denied_by_entry = |path: &AbsPath| {
        let verdict = old.files.decide(path, Access::Write);
        !verdict.allowed && verdict.rule.effect == FsEffect::DenyWrite && !is_default(verdict.rule)
    };
    old.inventory.points.keys().any(|path| denied_by_entry(path) && new.files.decide(path, Access::Write).allowed)
}

fn is_default(rule: &FsRule) -> bool {
    rule.id.0.starts_with("fs.default")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Facts, HostLookup};
    use crate::settings::scratch::Scratch;

    /// Settings with `work` in place of `@`, a directory that exists, and in it `kept`.
    fn policy(directory: &Scratch, text: &str) -> Policy {
        let path = |name: &str| AbsPath::new(directory.path().canonicalize().unwrap()).unwrap().join(name);
        let facts = Facts {
            uid: 1,
            gid: 1,
            home: Some(path("home")),
            cwd: path("work"),
            env: std::collections::BTreeMap::new(),
            private_tmp: path("runs").join("0"),
            terminal: false,
            platform: crate::host::Platform::Linux,
            namespaces: true,
        };
        let settings = crate::settings::parse_text("s.json", &text.replace('@', &path("work").to_string())).unwrap();
        crate::policy::resolve(&settings, &facts, &HostLookup).unwrap()
    }

    fn ignored(old: &str, new: &str) -> Vec<&'static str> {
        let directory = Scratch::new();
        for name in ["home", "work", "work/sub", "elsewhere"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        directory.file("work/kept", "");
        without_effect(&policy(&directory, old), &policy(&directory, new))
    }

    const START: &str = r#"{"filesystem": {"allowWrite": ["@"], "denyWrite": ["@/kept"], "denyRead": ["@/sub"]}}"#;

    #[test]
    fn what_names_alone_hold_can_change() {
        for new in [
            START.replace("[\"@\"]", "[\"@\", \"@/sub\", \"@/*.tmp\"]"),
            START.replace("\"@/kept\"", "\"@/kept\", \"@/new\", \"@/*.lock\""),
            START.replace(
                "{\"filesystem\"",
                "{\"network\": {\"allowedDomains\": [\"a.example\"], \"deniedDomains\": [\"*\"]}, \"filesystem\"",
            ),
        ] {
            assert!(ignored(START, &new).is_empty(), "{new}");
        }
        let patterns = START.replace("[\"@\"]", "[\"@\", \"@/../else*\"]");
        for unchanged in [START, &patterns] {
            assert!(ignored(unchanged, unchanged).is_empty(), "{unchanged}");
        }
    }

    #[test]
    fn what_only_a_profile_grants_cannot_change_and_nothing_else_is_named() {
        for (setting, key) in [
            (r#""network": {"allowMachLookup": ["com.example.*"]}"#, "network.allowMachLookup"),
            (r#""network": {"allowLocalBinding": true}"#, "network.allowLocalBinding"),
            (r#""enableWeakerNetworkIsolation": true"#, "enableWeakerNetworkIsolation"),
            (r#""allowAppleEvents": true"#, "allowAppleEvents"),
            (r#""allowPty": true"#, "allowPty"),
        ] {
            let with = format!("{{{setting}, {}", &START[1..]);
            assert_eq!(ignored(START, &with), [key]);
            assert_eq!(ignored(&with, START), [key]);
            assert!(ignored(&with, &with).is_empty());
        }
    }

    #[test]
    fn what_mounts_hold_and_what_the_command_was_given_cannot() {
        for (new, key) in [
            (START.replace("[\"@\"]", "[\"@\", \"@/../elsewhere\"]"), "filesystem.allowWrite"),
            (START.replace("\"@/kept\"", ""), "filesystem.denyWrite"),
            (START.replace("\"@/sub\"", ""), "filesystem.denyRead"),
            (START.replace("\"denyRead\"", "\"allowRead\": [\"@/sub\"], \"denyRead\""), "filesystem.allowRead"),
            (START.replace("{\"filesystem\"", "{\"violations\": {\"reads\": true}, \"filesystem\""), "violations.reads"),
            (
                START.replace(
                    "{\"filesystem\"",
                    "{\"credentials\": {\"files\": [{\"path\": \"@/kept\", \"mode\": \"deny\"}]}, \"filesystem\"",
                ),
                "credentials.files",
            ),
        ] {
            assert!(ignored(START, &new).contains(&key), "{key}: {new}");
        }
    }
}
