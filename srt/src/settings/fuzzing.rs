//! Fuzz target: a settings text, all the way to a plan.

use std::collections::BTreeMap;

use super::edit::with_entry;
use super::{Settings, Sources, load_with_text, merge, parse_text};
use crate::host::Facts;
use crate::plan;
use crate::policy::testing::{Table, support};
use crate::policy::{self, AbsPath, Access, FsEffect, FsPolicy, Matcher, Policy, resolve};
use crate::{Fault, Faults};

/// What an added entry is.
const ADDED: &str = "added.example:443";

/// One file of settings.
pub(crate) fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = parse_text("s.json", &text);
    assert!(parsed.as_ref().err().is_none_or(|faults| faults.iter().count() <= 101), "faults of a text are bounded");
    agrees_with_json(&text, &parsed);
    let Ok(alone) = parsed.map_err(|faults| faults_are_readable(faults.iter())) else { return };
    assert!(parse_text("s.json", &format!("{text}\n// the end")).is_ok());
    an_entry_is_added_and_nothing_else(&text, &alone);
    let sources = Sources { home: AbsPath::new("/home/ada"), ..Sources::default() };
    let Ok(layers) = load_with_text(&sources, "s.json", &text).map_err(|faults| faults_are_readable(faults.iter())) else { return };
    match resolve(&merge(layers), &facts(), &Table::new(FILES)) {
        Ok(policy) => policy_holds(&policy),
        Err(faults) => {
            assert!(!faults.is_empty());
            faults_are_readable(faults.iter());
        }
    }
}

/// What is JSON is a settings file as far as its syntax goes.
fn agrees_with_json(text: &str, parsed: &Result<Settings, Faults>) {
    let is_object = serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_object());
    let is_refused = |fault: &Fault| fault.action.starts_with("read settings file") && !fault.cause.contains("more faults");
    if let (true, Err(faults)) = (is_object, parsed) {
        assert!(!faults.iter().any(is_refused), "{faults}");
    }
}

fn faults_are_readable<'a>(faults: impl Iterator<Item = &'a Fault>) {
    for fault in faults {
        let shown = fault.to_string();
        let hidden = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
        assert!(!shown.contains(hidden), "{shown:?}");
        assert!(shown.lines().count() <= 3, "{shown:?}");
    }
}

fn an_entry_is_added_and_nothing_else(text: &str, before: &Settings) {
    // What cannot be edited is left alone.
    let Ok(Some(after)) = with_entry(text, ADDED) else { return };
    let after = parse_text("s.json", &after).unwrap_or_else(|faults| panic!("{faults}\n{after}"));
    let entries =
        |settings: &Settings| -> Vec<String> { settings.network.allowed_domains.iter().map(|entry| entry.value.clone()).collect() };
    let expected = [entries(before), vec![ADDED.to_owned()]].concat();
    assert_eq!(entries(&after), expected, "{text}");
    assert_eq!(without_places(&after), without_places(before), "{text}");
}

/// All but the list that was added to, without lines and columns.
fn without_places(settings: &Settings) -> String {
    let mut settings = settings.clone();
    settings.network.allowed_domains.clear();
    let shown = format!("{settings:?}");
    let mut parts = shown.split("Position {");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once('}').map_or(part, |(_place, rest)| rest))
}

/// The host of these settings.
const FILES: &[&str] = &[
    "/home/ada/.ssh/id",
    "/home/ada/.srt-settings.json",
    "/home/ada/p/.git/config",
    "/home/ada/link -> /w/a",
    "/w/a/b/.git = gitdir: /w/c",
    "/w/a/.env",
    "/w/c/hooks/",
    "/w/loop -> loop",
    "/w/up -> ../home",
    "/tmp/",
    "/etc/passwd",
    "/run/x",
];

fn facts() -> Facts {
    let path = |text: &str| AbsPath::new(text).expect("absolute");
    let env = [("ODD", "/w/[x]*"), ("REL", "a/b"), ("NONE", ""), ("HTTPS_PROXY", "http://u:p@proxy:3128")];
    Facts {
        platform: crate::host::Platform::Linux,
        namespaces: true,
        uid: 1000,
        gid: 1000,
        home: Some(path("/home/ada")),
        cwd: path("/w"),
        env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect::<BTreeMap<_, _>>(),
        private_tmp: path("/tmp/srt-1000/0"),
        terminal: false,
    }
}

fn policy_holds(policy: &Policy) {
    assert!(policy::without_effect(policy, policy).is_empty());
    assert!(policy::file_rules_that_differ(&policy.files, &policy.files).is_empty());
    let inside = FsPolicy::from_bytes(&policy.files.to_bytes()).expect("what was written is read");
    let named = policy.files.rules().iter().filter_map(|rule| rule.path().cloned());
    for path in named.chain(["/", "/etc/passwd", "/w/a/.env", "/home/ada/.ssh/id"].into_iter().filter_map(AbsPath::new)) {
        for access in [Access::Read, Access::Write] {
            assert_eq!(inside.decide(&path, access).allowed, policy.files.decide(&path, access).allowed, "{path}");
        }
        denied_writes_are_denied(&policy.files, &path);
        denied_writes_are_denied(&policy.files, &path.join("below"));
    }
    let complete = support();
    for layer in ["none", "user-namespaces", "user-notification", "landlock", "new-mount-api"] {
        if let Ok(plan) = plan::build(policy, &complete.clone().without(layer)) {
            serde_json::to_string(&plan).expect("a plan is data");
        }
    }
}

/// Whatever else the settings say, no permission lifts a denial of writing, and a credential is never read.
fn denied_writes_are_denied(files: &FsPolicy, path: &AbsPath) {
    let by = |rule: &&policy::FsRule| rule.matcher.covers(path);
    let denied = files.rules().iter().filter(by).find(|rule| rule.effect == FsEffect::DenyWrite);
    if let Some(rule) = denied {
        assert!(!files.decide(path, Access::Write).allowed, "{path}: {} {:?}", rule.id, rule.spelled);
    }
    let secret = files.rules().iter().filter(by).any(|rule| rule.effect == FsEffect::DenyRead && rule.absolute);
    assert!(!secret || !files.decide(path, Access::Read).allowed, "{path}");
    let is_root = |rule: &&policy::FsRule| rule.effect == FsEffect::AllowWrite && !matches!(rule.matcher, Matcher::Protected(_));
    let writable = files.decide(path, Access::Write).allowed;
    assert!(!writable || files.rules().iter().filter(by).any(|rule| is_root(&rule)), "{path} lies below a write root");
}
