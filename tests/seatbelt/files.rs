//! Thousands of random policies and paths: the profile and the policy agree.

use std::os::unix::ffi::OsStrExt;

use srt::policy::{AbsPath, Access, FsPolicy, Matcher, Policy};

use crate::evaluate::Request;
use crate::expression::Units;
use crate::host;
use crate::profile::Profile;
use crate::random::{self, Letters, Random};

const POLICIES: u64 = 2000;
const PATHS: usize = 20;

const READS: &[&str] = &["file-read-data", "file-read-xattr", "process-exec"];
const WRITES: &[&str] = &["file-write-data", "file-write-mode", "file-write-flags"];

/// The policy of a run with these rules on files and no other.
pub(crate) fn with_files(files: FsPolicy) -> Policy {
    Policy { files: files.with_moved_patterns(), ..host::policy("{}") }
}

/// A random policy and its profile. One in some hundred has patterns that would take too many rules, and is refused as a whole: another is drawn.
pub(crate) fn random_profile(random: &mut Random, letters: Letters) -> (Policy, String) {
    for _ in 0..5 {
        let policy = with_files(random::policy(random, letters));
        match host::try_profile(&policy) {
            Ok(text) => return (policy, text),
            Err(faults) => assert!(faults.iter().all(|fault| fault.cause.contains("too many rules")), "{faults}"),
        }
    }
    panic!("five policies in a row were refused");
}

pub(crate) fn bytes(path: &AbsPath) -> &[u8] {
    path.as_path().as_os_str().as_bytes()
}

/// Of the root directory, more can be seen than the policy says: macOS starts no program otherwise.
fn is_exempt(path: &AbsPath) -> bool {
    *path == AbsPath::root()
}

pub(crate) fn describe(seed: u64, path: &AbsPath, policy: &FsPolicy) -> String {
    let rules: Vec<String> = policy
        .rules()
        .iter()
        .filter(|rule| !matches!(rule.matcher, Matcher::Protected(_)))
        .map(|rule| format!("{:?} {}{}", rule.effect, rule.spelled, if rule.absolute { " (absolute)" } else { "" }))
        .collect();
    let verdicts = [Access::Read, Access::Write]
        .map(|access| policy.decide(path, access))
        .map(|verdict| (verdict.allowed, verdict.rule.id.to_string()));
    format!("seed {seed}, path {path}, read and write {verdicts:?}, rules {rules:#?}")
}

#[test]
fn the_profile_says_of_every_path_what_the_policy_says() {
    let mut counts = [[0u64; 2]; 2];
    for seed in 0..POLICIES {
        let random = &mut Random::new(seed);
        let (policy, text) = random_profile(random, Letters::Ascii);
        let units = Units::BOTH[usize::from(seed % 2 == 0)];
        let profile = Profile::new(&text, units);
        for _ in 0..PATHS {
            let path = random::target(random, &policy.files, Letters::Ascii);
            if is_exempt(&path) {
                continue;
            }
            for (at, (access, operations)) in [(Access::Read, READS), (Access::Write, WRITES)].into_iter().enumerate() {
                let allowed = policy.files.decide(&path, access).allowed;
                counts[at][usize::from(allowed)] += 1;
                let operation = random.pick(operations);
                assert_eq!(profile.may(operation, bytes(&path)), allowed, "{operation}, {}", describe(seed, &path, &policy.files));
            }
        }
    }
    // Chance has tried every kind of answer often.
    assert!(counts.iter().flatten().all(|count| *count > POLICIES), "{counts:?}");
}

/// Whichever way the system reads an expression, nothing is allowed that the policy denies.
#[test]
fn letters_of_every_script_are_allowed_no_more_than_the_policy_says() {
    let mut agreed = 0u64;
    for seed in 0..POLICIES / 2 {
        let random = &mut Random::new(seed ^ 0xabcd_0000);
        let (policy, text) = random_profile(random, Letters::Any);
        let profiles = Units::BOTH.map(|units| Profile::new(&text, units));
        for _ in 0..PATHS {
            let path = random::target(random, &policy.files, Letters::Any);
            for (access, operation) in [(Access::Read, "file-read-data"), (Access::Write, "file-write-data")] {
                let allowed = policy.files.decide(&path, access).allowed;
                for profile in &profiles {
                    let may = profile.may(operation, bytes(&path));
                    assert!(allowed || !may || is_exempt(&path), "{operation}, {}", describe(seed, &path, &policy.files));
                    agreed += u64::from(allowed && may);
                }
            }
        }
    }
    assert!(agreed > POLICIES, "{agreed}");
}

#[test]
fn metadata_is_seen_where_reading_is_allowed_and_on_the_way_there() {
    let mut passed = 0;
    for seed in 0..POLICIES / 2 {
        let random = &mut Random::new(seed ^ 0x1111_0000);
        let (policy, text) = random_profile(random, Letters::Ascii);
        let profile = Profile::new(&text, Units::Bytes);
        for _ in 0..PATHS {
            let path = random::target(random, &policy.files, Letters::Ascii);
            let allowed = policy.files.decide(&path, Access::Read).allowed;
            let may = profile.may("file-read-metadata", bytes(&path));
            let leads = |rule: &&srt::policy::FsRule| match &rule.matcher {
                Matcher::Path(named) => named.is_within(&path),
                Matcher::Glob(glob) => glob.literal_base().is_within(&path),
                Matcher::Protected(_) => false,
            };
            let on_the_way =
                policy.files.rules().iter().filter(|rule| rule.effect == srt::policy::FsEffect::AllowRead).any(|rule| leads(&rule));
            assert!(may || !allowed, "{}", describe(seed, &path, &policy.files));
            assert!(!may || allowed || on_the_way || is_exempt(&path), "{}", describe(seed, &path, &policy.files));
            passed += usize::from(may && !allowed);
        }
    }
    assert!(passed > 50, "{passed}");
}

/// Each denial names a rule that denies, and where the policy itself denies, mostly the very one.
#[test]
fn the_message_of_a_denial_leads_back_to_a_rule() {
    for seed in 0..POLICIES / 5 {
        let random = &mut Random::new(seed ^ 0x2222_0000);
        let (policy, text) = random_profile(random, Letters::Ascii);
        let profile = Profile::new(&text, Units::Bytes);
        for _ in 0..PATHS {
            let path = random::target(random, &policy.files, Letters::Ascii);
            for operation in ["file-read-data", "file-write-data", "file-write-unlink"] {
                let answer = profile.answer(&Request { operation, path: Some(bytes(&path)), vnode: "REGULAR-FILE", ..Request::default() });
                if answer.allowed {
                    continue;
                }
                let id = answer.message.strip_prefix("srt:0123456789abcdef:").unwrap_or_else(|| panic!("{answer:?}"));
                assert!(id == "default" || policy.files.rule_named(id).is_some(), "{id}");
                let writes = operation != "file-read-data" && policy.files.decide(&path, Access::Write).rule.id.0 == "fs.default-write";
                assert!(
                    !writes || id == "default" || operation == "file-write-unlink" || id.contains("deny") || id.contains("protected"),
                    "{id}"
                );
            }
        }
    }
}

/// What the system calls `/private/tmp/x` is `/tmp/x` to everybody else.
#[test]
fn both_spellings_of_a_path_mean_the_same() {
    let settings = r#"{"filesystem": {"denyRead": ["/etc/secret", "/tmp/*.key", "/private/var/db"], "allowWrite": ["/tmp/out", "/private/etc/conf"], "denyWrite": ["/tmp/out/**/x"]}}"#;
    let policy = host::policy(settings);
    let profile = Profile::new(&host::profile(&policy), Units::Bytes);
    for (operation, path, allowed) in [
        ("file-read-data", "/etc/secret", false),
        ("file-read-data", "/etc/hosts", true),
        ("file-read-data", "/tmp/a.key", false),
        ("file-read-data", "/var/db/x", false),
        ("file-write-data", "/tmp/out/y", true),
        ("file-write-data", "/tmp/out/a/x", false),
        ("file-write-data", "/tmp/out/.bashrc", false),
        ("file-write-data", "/etc/conf/y", true),
        ("file-write-data", "/tmp/y", false),
    ] {
        for path in [path.to_owned(), format!("/private{path}")] {
            assert_eq!(profile.may(operation, path.as_bytes()), allowed, "{operation} {path}");
        }
    }
}

#[test]
fn a_pattern_without_a_directory_in_front_matches_at_any_depth_below_the_working_directory() {
    let policy = host::policy(r#"{"filesystem": {"denyRead": ["**/.env"]}}"#);
    let profile = Profile::new(&host::profile(&policy), Units::Bytes);
    let may = |path: &str| profile.may("file-read-data", path.as_bytes());
    let project = "/Users/ada/project";
    assert_eq!(
        [may(&format!("{project}/.env")), may(&format!("{project}/a/b/.env")), may(&format!("{project}/.envx"))],
        [false, false, true]
    );
}

#[test]
fn a_path_that_cannot_be_said_is_a_fault_with_its_origin() {
    let long = format!("/Users/ada/{}", "n".repeat(1100));
    let policy = host::policy(&format!(r#"{{"filesystem": {{"denyRead": [{{"path": "{long}", "literal": true}}]}}}}"#));
    let text = host::try_profile(&policy).expect_err("too long").to_string();
    assert!(text.contains("1111 bytes") && text.contains("from settings.json:1:39"), "{text}");
}

#[test]
fn no_name_leaves_its_string() {
    let hostile = r#"x\")) (allow default) ((\n; \u001b"#;
    let policy = host::policy(&format!(
        r#"{{"filesystem": {{"denyRead": [{{"path": "/h/{}", "literal": true}}], "allowWrite": ["/h"]}}}}"#,
        hostile.replace("\\u001b", "").replace("\\n", " ")
    ));
    let profile = Profile::new(&host::profile(&policy), Units::Bytes);
    assert!(!profile.allows_by_default);
    assert!(!profile.may("file-read-data", b"/h/x\")) (allow default) (( ; "), "the name itself is denied");
    assert!(profile.may("file-read-data", b"/h/x"));
}
