//! Profiles of every preset, and what each key changes: a change of the generator shows as a change of these files.
//!
//! `SRT_BLESS=1` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use srt::settings::{self, FlagSettings, Handling, Key, Shape, Sources, Table, keys, preset_names};

use crate::host;

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/macos").join(name);
    if std::env::var_os("SRT_BLESS").is_some() {
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let line = golden.lines().zip(text.lines()).position(|(golden, text)| golden != text);
    assert!(golden == text, "{name} differs from line {:?} on; SRT_BLESS=1 writes it anew", line.map(|line| line + 1));
}

fn profile(settings: &str) -> String {
    host::profile(&host::policy(settings))
}

#[test]
fn every_preset_has_its_profile() {
    for name in preset_names() {
        let sources = Sources { home: None, file: None, profiles: vec![name.to_owned()], flags: FlagSettings::default() };
        let settings = settings::merge(settings::load(&sources).unwrap_or_else(|faults| panic!("{faults}")));
        compare(&format!("{name}.sb"), &host::profile(&host::policy_of(&settings)));
    }
}

/// A file that says the example of this key, beside what the key needs to have an effect.
fn file(key: &Key) -> String {
    let others = key.table.keys().filter(|other| other.name != key.name && matches!(key.handling, Handling::Part));
    let pairs: Vec<String> = std::iter::once((key.name, key.example))
        .chain(others.map(|other| (other.name, other.example)))
        .map(|(name, value)| format!("\"{name}\": {value}"))
        .collect();
    let object = format!("{{{}}}", pairs.join(", "));
    match key.table {
        Table::Root => object,
        Table::PathEntry => format!(r#"{{"filesystem": {{"denyRead": [{object}]}}}}"#),
        table => table.path().rsplit('.').fold(object, |inner, name| match name.strip_suffix("[]") {
            Some(name) => format!(r#"{{"{name}": [{inner}]}}"#),
            None => format!(r#"{{"{name}": {inner}}}"#),
        }),
    }
}

/// What a file is compared with: the same without the key.
fn without(key: &Key) -> &'static str {
    match key.name {
        "allowRead" => r#"{"filesystem": {"denyRead": ["/Users"]}}"#,
        "denyWrite" | "allowGitConfig" | "unprotect" => r#"{"filesystem": {"allowWrite": ["."]}}"#,
        _ => "{}",
    }
}

fn with(key: &Key) -> String {
    let text = file(key);
    match key.name {
        "allowRead" => r#"{"filesystem": {"denyRead": ["/Users"], "allowRead": ["src", "**/*.md"]}}"#.to_owned(),
        "denyWrite" => r#"{"filesystem": {"allowWrite": ["."], "denyWrite": ["secrets", "**/*.pem"]}}"#.to_owned(),
        "allowGitConfig" => r#"{"filesystem": {"allowWrite": ["."], "allowGitConfig": true}}"#.to_owned(),
        "unprotect" => r#"{"filesystem": {"allowWrite": ["."]}, "unprotect": [".vscode"]}"#.to_owned(),
        "deniedDomainReasons" => r#"{"network": {"deniedDomains": ["a.example"], "deniedDomainReasons": {"a.example": "no"}}}"#.to_owned(),
        _ => text,
    }
}

/// Rules with their comment; the order of a profile is part of its meaning, so moved rules show too.
fn rules(profile: &str) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for line in profile.lines() {
        if line.starts_with(' ') {
            let last = rules.last_mut().expect("a rule begins at the margin");
            last.push('\n');
            last.push_str(line);
        } else {
            rules.push(line.to_owned());
        }
    }
    rules
}

/// Lines that only one of them has, found by the longest common order.
fn difference(old: &[String], new: &[String]) -> String {
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            common[i][j] = if one == other { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    let mark = |out: &mut String, sign: char, rule: &str| rule.lines().for_each(|line| out.push_str(&format!("{sign} {line}\n")));
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            mark(&mut out, '-', &old[i]);
            i += 1;
        } else {
            mark(&mut out, '+', &new[j]);
            j += 1;
        }
    }
    out
}

#[test]
fn every_key_changes_what_it_says_and_nothing_else() {
    let mut out = "; What each key changes in the profile, by the example of the reference.\n".to_owned();
    let mut without_effect = Vec::new();
    for key in keys() {
        let refused = match key.handling {
            Handling::Refused(_) => true,
            Handling::TrueRefused(_) => key.example == "true",
            _ => false,
        };
        // Presets have a file each; objects have their keys.
        let objects = matches!(key.shape, Shape::Object(_) | Shape::Objects(_));
        if refused || objects || key.name == "profiles" {
            continue;
        }
        let (old, new) = (rules(&profile(without(key))), rules(&profile(&with(key))));
        let changed = difference(&old, &new);
        if changed.is_empty() {
            without_effect.push(key.path());
        } else {
            let _ = writeln!(out, "\n; {}: {}", key.path(), with(key));
            out.push_str(&changed);
        }
    }
    out.push_str("\n; Without a change: ");
    out.push_str(&without_effect.join(", "));
    out.push('\n');
    compare("keys.txt", &out);
}
