use super::*;
use crate::settings::merge;
use crate::settings::scratch::Scratch;

fn home(scratch: &Scratch) -> Sources {
    Sources { home: AbsPath::new(scratch.path()), ..Sources::default() }
}

fn named(path: impl Into<PathBuf>) -> Sources {
    Sources { file: Some(path.into()), ..Sources::default() }
}

fn settings(sources: &Sources) -> Settings {
    merge(load(sources).unwrap_or_else(|faults| panic!("{faults}")))
}

fn faults(sources: &Sources) -> String {
    load(sources).expect_err("a fault").to_string()
}

/// The faults of one text, in a file that is shown as `~/.srt-settings.json`.
fn faults_of(text: &str) -> String {
    let scratch = Scratch::new();
    scratch.file(HOME_FILE, text);
    faults(&home(&scratch))
}

fn values<T: Clone>(list: &[Located<T>]) -> Vec<T> {
    list.iter().map(|located| located.value.clone()).collect()
}

#[test]
fn without_any_source_nothing_is_said() {
    let scratch = Scratch::new();
    for sources in [Sources::default(), home(&scratch)] {
        assert_eq!(format!("{:?}", settings(&sources)), format!("{:?}", Settings::default()));
    }
}

#[test]
fn the_home_file_is_read_and_shown_with_a_tilde() {
    let scratch = Scratch::new();
    let path = scratch.file(HOME_FILE, "{\n  \"network\": {\"allowedDomains\": [\"ü.example\", \"example.com\"]}}");
    let settings = settings(&home(&scratch));
    let origins: Vec<_> = settings.network.allowed_domains.iter().map(|entry| entry.origin.to_string()).collect();
    assert_eq!(origins, ["~/.srt-settings.json:2:34", "~/.srt-settings.json:2:47"]);
    assert_eq!(settings.read_from, [path]);
}

#[test]
fn an_invalid_home_file_is_a_fault() {
    assert!(faults_of("").starts_with("cannot read settings file ~/.srt-settings.json: it is empty"));
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join(HOME_FILE)).unwrap();
    assert_eq!(faults(&home(&scratch)), "cannot read settings file ~/.srt-settings.json: it is a directory");
}

#[test]
fn a_home_file_that_leads_nowhere_is_a_fault() {
    let scratch = Scratch::new();
    std::os::unix::fs::symlink("gone", scratch.path().join(HOME_FILE)).unwrap();
    assert_eq!(faults(&home(&scratch)), "cannot read settings file ~/.srt-settings.json: there is no such file");
}

#[test]
fn a_named_file_replaces_the_home_file() {
    let scratch = Scratch::new();
    scratch.file(HOME_FILE, "not json");
    let file = scratch.file("other.json", r#"{"filesystem": {"allowWrite": ["/x"]}}"#);
    let sources = Sources { file: Some(file), ..home(&scratch) };
    assert_eq!(settings(&sources).filesystem.allow_write[0].origin.to_string(), "~/other.json:1:32");
}

#[test]
fn a_named_file_that_cannot_be_used_is_a_fault() {
    let scratch = Scratch::new();
    let none = scratch.path().join("none.json");
    assert!(faults(&named(&none)).ends_with("none.json: there is no such file"));
    assert!(faults(&named(scratch.path())).ends_with("it is a directory"));
    assert!(faults(&named(scratch.file("e", ""))).contains("it is empty"));
    assert!(faults(&named(scratch.file("l", "[]"))).contains("settings are an object, not a list"));
    assert!(faults(&named("")).contains("cannot read settings file : there is no such file"));
}

#[test]
fn a_file_that_others_may_not_read_is_a_fault() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let path = scratch.file("secret.json", "{}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read it all the same.
    if std::fs::File::open(&path).is_err() {
        assert!(faults(&named(&path)).ends_with("permission denied"));
    } else {
        assert!(load(&named(&path)).is_ok());
    }
}

#[test]
fn file_names_in_messages_cannot_steer_a_terminal() {
    assert_eq!(faults(&named("/no/\u{1b}[2J")), "cannot read settings file /no/\\u{1b}[2J: there is no such file");
}

#[test]
fn all_faults_come_at_once_with_their_places() {
    let shown = faults_of(
        r#"{
  // what is wrong here is wrong on purpose
  "network": {
    "allowedDomains": ["größe.example", "*", 7],
    "httpProxyPort": 70000,
    "tlsTerminate": {},
  },
  "filesystem": { "denyRead": "~/.ssh", "denyWrite": ["", "a/*/"], "denyRead": [] },
  "sandbox": true,
}"#,
    );
    let places: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix("  from ~/.srt-settings.json:")).collect();
    assert_eq!(places, ["4:41", "4:46", "5:22", "6:21", "8:68", "8:31", "8:55", "8:59", "9:3"], "{shown}");
    assert!(shown.contains("cannot use \"*\" in network.allowedDomains: "), "{shown}");
    assert!(shown.contains("cannot use network.allowedDomains[2]: must be a string, not a number"), "{shown}");
    assert!(shown.contains("cannot use filesystem.denyRead: the key stands here for the second time"), "{shown}");
    assert!(shown.contains("cannot use filesystem.denyRead: must be a list of paths, not a string"), "{shown}");
}

#[test]
fn faults_of_all_sources_come_together() {
    let scratch = Scratch::new();
    let sources = Sources {
        file: Some(scratch.file("a", r#"{"profiles": ["nope"], "x": 1}"#)),
        profiles: vec!["nada".into()],
        flags: FlagSettings { allow_domain: vec!["*".into()], ..FlagSettings::default() },
        ..Sources::default()
    };
    let faults = load(&sources).unwrap_err();
    assert_eq!(faults.iter().count(), 4, "{faults}");
}

#[test]
fn an_unknown_profile_is_a_fault_that_lists_the_known() {
    let sources = Sources { profiles: vec!["rusty".into()], ..Sources::default() };
    let hint = "hint: the profiles are default, go, node, python, rust";
    assert_eq!(faults(&sources), format!("cannot use profile \"rusty\": there is none of this name\n  from --profile\n{hint}"));
    assert!(faults_of(r#"{"profiles": ["rusty"]}"#).contains("  from ~/.srt-settings.json:1:15\n"));
}

#[test]
fn layers_are_profiles_then_the_file_then_options() {
    let scratch = Scratch::new();
    let sources = Sources {
        file: Some(scratch.file("a", r#"{"profiles": ["go"], "filesystem": {"allowWrite": ["from-file"]}}"#)),
        profiles: vec!["rust".into()],
        flags: FlagSettings { allow_write: vec!["from-option".into()], ..FlagSettings::default() },
        ..Sources::default()
    };
    let settings = settings(&sources);
    let layers = settings.filesystem.allow_write.iter().map(|entry| match &entry.origin {
        Origin::Profile { name, .. } => name.to_string(),
        Origin::File { .. } => "file".into(),
        other => other.to_string(),
    });
    let mut layers: Vec<_> = layers.collect();
    layers.dedup();
    assert_eq!(layers, ["default", "rust", "go", "file", "--allow-write"], "and `default` only once");
}

#[test]
fn the_later_layer_wins_where_one_value_stands_alone() {
    let layer = |text: &str| {
        let (settings, faults) = parse(Name::File(Path::new("s").into()), text);
        assert_eq!(faults, []);
        settings
    };
    let below = layer(
        r#"{"network": {"allowAllUnixSockets": true, "httpProxyPort": 1, "allowedDomains": ["a.example"],
            "parentProxy": {"http": "http://a:1", "noProxy": "x"}, "deniedDomainReasons": {"a.b": "old", "c.d": "kept"}},
            "mandatoryDenySearchDepth": 2}"#,
    );
    let above = layer(
        r#"{"network": {"allowAllUnixSockets": false, "allowedDomains": ["b.example"],
            "parentProxy": {"http": "http://b:2"}, "deniedDomainReasons": {"a.b": "new"}}}"#,
    );
    let merged = merge(Layers(vec![below, above]));
    let network = &merged.network;
    assert_eq!(network.allow_all_unix_sockets.as_ref().map(|set| set.value), Some(false));
    assert_eq!(network.http_proxy_port.as_ref().map(|port| port.value), Some(1));
    assert_eq!(values(&network.allowed_domains), ["a.example", "b.example"]);
    assert_eq!(network.parent_proxy.as_ref().map(|parent| parent.value.no_proxy.clone()), Some(None));
    assert_eq!(network.denied_domain_reasons["a.b"].value, "new");
    assert_eq!(network.denied_domain_reasons["c.d"].value, "kept");
    assert_eq!(merged.mandatory_deny_search_depth.map(|depth| depth.value), Some(2));
}

#[test]
fn a_reason_without_its_entry_is_a_fault() {
    let shown = faults_of(r#"{"network": {"deniedDomains": ["a.example"], "deniedDomainReasons": {"A.example": "no"}}}"#);
    let cause = "no entry of network.deniedDomains is spelled so\n  from ~/.srt-settings.json:1:70";
    assert_eq!(shown, format!("cannot use \"A.example\" in network.deniedDomainReasons: {cause}"));
}

#[test]
fn a_reason_may_be_for_an_entry_of_another_layer() {
    let scratch = Scratch::new();
    let sources = Sources {
        file: Some(scratch.file("a", r#"{"network": {"deniedDomainReasons": {"a.example": "no"}}}"#)),
        flags: FlagSettings { deny_domain: vec!["a.example".into()], ..FlagSettings::default() },
        ..Sources::default()
    };
    assert_eq!(settings(&sources).network.denied_domain_reasons["a.example"].value, "no");
}

#[test]
fn null_is_an_empty_list() {
    let scratch = Scratch::new();
    let path = scratch.file("a", r#"{"network": {"allowedDomains": null}, "filesystem": {"denyRead": null}, "acceptGaps": null}"#);
    assert_eq!(settings(&named(path)).network.allowed_domains, []);
}

#[test]
fn masked_credentials_are_refused_and_denied_ones_kept() {
    let text = |mode: &str| {
        format!(r#"{{"credentials": {{"files": [{{"path": "~/.x", "mode": "{mode}"}}], "envVars": [{{"name": "T", "mode": "{mode}"}}]}}}}"#)
    };
    let scratch = Scratch::new();
    let settings = settings(&named(scratch.file("a", text("deny"))));
    assert_eq!(values(&settings.credentials.deny_files), ["~/.x"]);
    assert_eq!(values(&settings.credentials.deny_env), ["T"]);
    let shown = faults_of(&text("mask"));
    assert_eq!(shown.matches("\"mask\" cannot be served yet").count(), 2, "{shown}");
}

#[test]
fn variables_need_a_posix_name() {
    let shown = faults_of(r#"{"credentials": {"envVars": [{"name": "A-B", "mode": "deny"}, {"name": "C"}, {"mode": "deny"}]}}"#);
    assert_eq!(shown.matches("cannot use").count(), 3, "{shown}");
}

#[test]
fn a_proxy_password_does_not_show_in_a_message() {
    let shown = faults_of(r#"{"network": {"parentProxy": {"http": "https://ada:hunter2@proxy:1"}}}"#);
    assert!(shown.contains("…@proxy:1") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_proxy_for_some_domains_needs_domains() {
    for mitm in [r#"{"socketPath": "/s"}"#, r#"{"domains": ["a.example"]}"#, r#"{"socketPath": "/s", "domains": []}"#] {
        assert!(faults_of(&format!(r#"{{"network": {{"mitmProxy": {mitm}}}}}"#)).contains("network.mitmProxy"), "{mitm}");
    }
}

#[test]
fn a_literal_path_keeps_its_characters() {
    let scratch = Scratch::new();
    let path =
        scratch.file("a", r#"{"filesystem": {"denyRead": [{"path": "${x/*/", "literal": true}, {"path": "b*", "literal": false}]}}"#);
    let entries = values(&settings(&named(path)).filesystem.deny_read);
    let literal: Vec<_> = entries.iter().map(|entry| (entry.text.as_str(), entry.literal)).collect();
    assert_eq!(literal, [("${x/*/", true), ("b*", false)]);
}

#[test]
fn a_file_of_faults_lists_the_first_hundred() {
    let keys: Vec<_> = (0..50_000).map(|number| format!("\"k{number}\":0")).collect();
    let shown = faults_of(&format!("{{{}}}", keys.join(",")));
    assert_eq!(shown.matches("unknown key").count(), 100);
    assert!(shown.ends_with("cannot read settings file ~/.srt-settings.json: 49900 more faults are not listed"), "{shown}");
}

#[test]
fn a_long_line_of_entries_is_read() {
    let scratch = Scratch::new();
    let entries: Vec<_> = (0..60_000).map(|number| format!("\"a{number}.example\"")).collect();
    let path = scratch.file("a", format!(r#"{{"network": {{"allowedDomains": [{}]}}}}"#, entries.join(",")));
    assert_eq!(settings(&named(path)).network.allowed_domains.len(), 60_000);
}

#[test]
fn every_preset_is_valid_and_builds_on_default() {
    for name in preset_names() {
        let settings = settings(&Sources { profiles: vec![name.into()], ..Sources::default() });
        assert!(settings.remarks.is_empty(), "{name}");
        assert!(settings.filesystem.allow_write.iter().any(|entry| entry.value.text == "."), "{name}");
        assert!(settings.filesystem.deny_read.iter().any(|entry| entry.value.text == "~/.ssh"), "{name}");
        assert_eq!(name == "default", settings.network.allowed_domains.is_empty(), "{name}");
    }
}

#[test]
fn presets_name_sites_by_the_wildcard_of_their_domain() {
    for name in preset_names() {
        let settings = settings(&Sources { profiles: vec![name.into()], ..Sources::default() });
        for entry in settings.network.allowed_domains {
            assert!(entry.value.strip_prefix("*.").is_some_and(|base| base.split('.').count() == 2), "{name}: {}", entry.value);
        }
    }
}

#[test]
fn every_rule_of_a_preset_has_a_reason() {
    for name in preset_names() {
        let text = preset_text(name).unwrap_or_default();
        let mut reason = false;
        for line in text.lines().map(str::trim) {
            reason = if line.ends_with('[') { false } else { reason || line.starts_with("//") };
            let is_rule = line.starts_with('"') && line.ends_with("\",");
            assert!(reason || !is_rule, "{name}: {line}");
        }
    }
}

#[test]
fn no_text_makes_the_reader_panic() {
    let sample = r#"{"network": {"allowedDomains": ["*.a.example", "ü"], "parentProxy": {"http": "http://u:p@h:1"}, "httpProxyPort": -1e9},
        // comment
        "filesystem": {"denyRead": [{"path": "${A:-b}/*", "literal": false}, null]}, /* */ "credentials": {"files": [{"mode": "mask"}]}}"#;
    let mut state = 5_u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut valid = 0;
    for _ in 0..5_000 {
        let mut characters: Vec<char> = sample.chars().collect();
        for _ in 0..=below(4) {
            let (at, length) = (below(characters.len()), below(3));
            let end = characters.len().min(at + length);
            let noise = ['"', '{', '}', '[', ']', ',', ':', '\\', '/', '*', '$', '0', '\u{0}', '\u{2028}', '𝄞'];
            characters.splice(at..end, std::iter::once(noise[below(noise.len())]));
        }
        let text: String = characters.into_iter().collect();
        let (_, faults) = parse(Name::File(Path::new("s").into()), &text);
        valid += usize::from(faults.len() > 1);
    }
    assert!(valid > 100, "many of the texts get past the syntax: {valid}");
}
