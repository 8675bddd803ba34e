//! One test per property, each over the whole table.

use std::path::Path;

use super::*;
use crate::settings::MacOsSettings;
use crate::settings::document::Name;
use crate::settings::load::parse;

/// The settings that a file says, and its faults.
fn read(text: &str) -> (Settings, Vec<String>) {
    let (settings, faults) = parse(Name::File(Path::new("s.json").into()), text);
    (settings, faults.iter().map(ToString::to_string).collect())
}

/// A file that says `value` for this key. Objects that are read as a whole get their other keys too.
fn file(key: &Key, value: &str) -> String {
    let others = key.table.keys().filter(|other| other.name != key.name && matches!(key.handling, Handling::Part));
    let all = std::iter::once((key.name, value)).chain(others.map(|other| (other.name, other.example)));
    let pairs = all.map(|(name, value)| format!("\"{name}\": {value}")).collect::<Vec<_>>().join(", ");
    let object = format!("{{{pairs}}}");
    match key.table {
        Table::Root => object,
        Table::PathEntry => format!(r#"{{"filesystem": {{"denyRead": [{object}]}}}}"#),
        table => table.path().rsplit('.').fold(object, |inner, name| match name.strip_suffix("[]") {
            Some(name) => format!(r#"{{"{name}": [{inner}]}}"#),
            None => format!(r#"{{"{name}": {inner}}}"#),
        }),
    }
}

/// Values of a wrong type, or out of range.
fn wrong(shape: Shape) -> Vec<String> {
    let scalars = ["null", "true", "1", "\"x\"", "[]", "{}"];
    let (fitting, more): (&[&str], &[&str]) = match shape {
        Shape::Any => (&scalars, &[]),
        Shape::Bool => (&["true"], &["\"true\"", "0"]),
        Shape::Text => (&["\"x\""], &["\"a\\u0000\""]),
        Shape::AbsolutePath => (&[], &["\"\"", "\"rel\"", "\"/a\\u001b\""]),
        Shape::Integer(..) => (&["1"], &["0", "-1", "1.5", "1e400", "65536", "\"5\"", "99999999999999999999"]),
        Shape::OneOf(_) => (&[], &["\"\"", "\"Deny\""]),
        Shape::Texts => (&["null", "[]"], &["[1]", "[null]", "[\"\"]", "[\"a\\u0000\"]", "[[\"a\"]]"]),
        Shape::Paths => (
            &["null", "[]"],
            &[
                "[1]",
                "[\"\"]",
                "[\"a\\u0000\"]",
                "[\"${\"]",
                "[\"a/*/\"]",
                "[{}]",
                "[{\"path\": \"a\"}]",
                "[{\"literal\": true}]",
                "[{\"path\": \"\", \"literal\": true}]",
                "[{\"path\": \"a\", \"literal\": 1}]",
                "[{\"path\": \"a\", \"literal\": true, \"mode\": 1}]",
            ],
        ),
        Shape::Domains(_) => (&["null", "[]"], &["[1]", "[\"\"]", "[\"*.com\"]", "[\"https://x.com\"]", "[\"a\\u0000.com\"]"]),
        Shape::Addresses => (&["null", "[]"], &["[1]", "[\"\"]", "[\"example.com\"]", "[\"10.0.0.0/40\"]"]),
        Shape::HeaderNames => (&["null", "[]"], &["[1]", "[\"\"]", "[\"a b\"]"]),
        Shape::Ports => (&["null", "[]"], &["[0]", "[65536]", "[\"80\"]", "[80.5]", "[[80]]"]),
        Shape::MachNames => (&["null", "[]"], &["[1]", "[\"\"]", "[\"*\"]", "[\"a*b\"]"]),
        Shape::TextMap => (&["{}"], &["{\"a\": 1}", "{\"a\": \"\"}", "{\"\": \"x\"}", "{\"a\": \"b\\n\"}", "{\"a\": \"x\", \"a\": \"x\"}"]),
        Shape::TextsMap => (&["{}"], &["{\"a\": \"x\"}", "{\"a\": [1]}", "{\"a\": [\"\"]}", "{\"\": [\"x\"]}"]),
        Shape::Object(_) => (&["{}"], &["{\"nope\": 1}"]),
        Shape::Objects(_) => (&["null", "[]"], &["[1]", "[{}]", "[{\"nope\": 1}]"]),
    };
    let unfitting = scalars.iter().filter(|value| !fitting.contains(value));
    unfitting.chain(more).map(ToString::to_string).collect()
}

#[test]
fn every_example_is_accepted_unless_the_key_is_refused() {
    for key in keys() {
        let (_, faults) = read(&file(key, key.example));
        match key.handling {
            Handling::Refused(why) => {
                assert_eq!(faults.len(), 1, "{}: {faults:?}", key.path());
                assert!(faults[0].starts_with(&format!("cannot use {}: cannot be served yet: {why}", key.path())), "{faults:?}");
            }
            _ => assert_eq!(faults, [""; 0], "{}", file(key, key.example)),
        }
    }
}

#[test]
fn every_wrong_type_is_refused_and_the_key_named() {
    for key in keys().filter(|key| !matches!(key.handling, Handling::Ignored)) {
        for value in wrong(key.shape) {
            let (_, faults) = read(&file(key, &value));
            let name = if key.table == Table::PathEntry { "denyRead" } else { key.name };
            assert!(faults.iter().any(|fault| fault.contains(name)), "{}: {value}: {faults:?}", key.path());
        }
    }
}

#[test]
fn every_served_key_reaches_the_settings() {
    let nothing = format!("{:?}", Settings::default());
    for key in keys().filter(|key| matches!(key.handling, Handling::Served(_)) && key.example != "{}") {
        let (settings, _) = read(&file(key, key.example));
        assert_ne!(format!("{settings:?}"), nothing, "{}", key.path());
        assert!(settings.remarks.is_empty(), "{}", key.path());
    }
}

#[test]
fn every_inert_key_leaves_a_remark_and_nothing_else() {
    let nothing = format!("{:?}", Settings::default());
    for key in keys() {
        let Handling::Said(why) = key.handling else { continue };
        let (mut settings, _) = read(&file(key, key.example));
        let remarks: Vec<_> = std::mem::take(&mut settings.remarks).into_iter().map(|remark| remark.value).collect();
        assert_eq!(remarks, [format!("{} has no effect: {why}", key.path())]);
        assert_eq!(format!("{settings:?}"), nothing, "{}", key.path());
    }
}

#[test]
fn keys_of_macos_reach_the_settings_and_leave_a_remark_for_other_systems() {
    let mut found = 0;
    for key in keys() {
        let Handling::OnMacOs(_, why) = key.handling else { continue };
        let (settings, faults) = read(&file(key, key.example));
        assert_eq!(faults, [""; 0], "{}", key.path());
        assert_ne!(format!("{:?}", settings.macos), format!("{:?}", MacOsSettings::default()), "{}", key.path());
        let remarks: Vec<_> = settings.macos_remarks.into_iter().map(|remark| remark.value).collect();
        assert_eq!(remarks, [format!("{} has no effect here: {why}", key.path())]);
        assert!(settings.remarks.is_empty(), "{}", key.path());
        found += 1;
    }
    assert_eq!(found, 5);
}

#[test]
fn what_cannot_be_served_may_be_false() {
    for key in keys() {
        let Handling::TrueRefused(why) = key.handling else { continue };
        let (settings, faults) = read(&file(key, "false"));
        assert_eq!((faults, settings.remarks.len()), (Vec::new(), 0), "{}", key.path());
        let (_, faults) = read(&file(key, "true"));
        assert!(faults[0].starts_with(&format!("cannot use {}: cannot be served yet: {why}\n  from s.json:1:", key.path())), "{faults:?}");
    }
}

#[test]
fn names_are_unique_within_their_table() {
    for key in keys() {
        assert_eq!(key.table.keys().filter(|other| other.name == key.name).count(), 1, "{}", key.path());
    }
}

#[test]
fn the_reference_lists_every_key() {
    let reference = include_str!("../../../docs/settings.md");
    for key in keys() {
        let name = if key.table == Table::PathEntry { key.name.to_owned() } else { key.path() };
        assert!(reference.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn a_mistyped_key_is_a_fault_that_names_the_nearest() {
    let (_, faults) = read("{\n \"network\": {\"allowedDomain\": []}}");
    let cause = "unknown key \"allowedDomain\" in network; did you mean \"allowedDomains\"?";
    assert_eq!(faults, [format!("cannot use network.allowedDomain: {cause}\n  from s.json:2:14")]);
    assert_eq!(Table::Root.nearest("filesytem"), Some("filesystem"));
    assert_eq!(Table::Root.nearest("Network"), Some("network"));
    assert_eq!(Table::Filesystem.nearest("allow_write"), Some("allowWrite"));
    assert_eq!(Table::Root.nearest("telemetry"), None);
    assert_eq!(Table::Root.nearest(&"n".repeat(1 << 20)), None);
    assert_eq!(Table::Root.nearest(""), None);
}

#[test]
fn a_key_that_is_not_known_yet_is_a_fault() {
    assert!(read(r#"{"telemetry": "live"}"#).1[0].contains("unknown key \"telemetry\""));
}
