//! Settings to rules to steps, on a file system that is a table.

use std::collections::BTreeMap;

use super::*;
use crate::plan::{self, FileAction, NodeKind, Plan, Support};
use crate::policy::Access;
use crate::policy::testing::{Table, support};
use crate::settings::PathEntry;

fn path(text: &str) -> AbsPath {
    AbsPath::new(text).unwrap()
}

fn facts() -> Facts {
    Facts {
        uid: 1000,
        gid: 1000,
        home: Some(path("/home/ada")),
        cwd: path("/w"),
        env: BTreeMap::new(),
        private_tmp: path("/tmp/srt-1000/0"),
        terminal: false,
        platform: crate::host::Platform::Linux,
        namespaces: true,
    }
}

fn entries(texts: &[&str]) -> Vec<Located<PathEntry>> {
    let one = |text: &&str| Located::new(PathEntry { text: (*text).to_owned(), literal: false }, Origin::Flag("--test"));
    texts.iter().map(one).collect()
}

/// Settings with these lists: denyRead, allowRead, allowWrite, denyWrite.
fn settings(lists: [&[&str]; 4]) -> Settings {
    let mut settings = Settings::default();
    let [deny_read, allow_read, allow_write, deny_write] = lists.map(entries);
    settings.filesystem = crate::settings::FilesystemSettings { deny_read, allow_read, allow_write, deny_write, ..Default::default() };
    settings
}

fn policy(table: &[&'static str], settings: &Settings) -> Result<Policy, Vec<Fault>> {
    resolve(settings, &facts(), &Table::new(table))
}

fn plan_of(table: &[&'static str], lists: [&[&str]; 4]) -> Plan {
    plan::build(&policy(table, &settings(lists)).unwrap(), &support()).unwrap()
}

/// The same without a broker, which is accepted.
fn plan_without_names(table: &[&'static str], lists: [&[&str]; 4]) -> Plan {
    let mut settings = settings(lists);
    settings.accept_gaps = vec![Located::new("name-rules".to_owned(), Origin::Flag("--test"))];
    plan::build(&policy(table, &settings).unwrap(), &support().without("user-notification")).unwrap()
}

/// `path action` of every step that the settings asked for.
fn steps(table: &[&'static str], lists: [&[&str]; 4]) -> Vec<String> {
    steps_of(&plan_of(table, lists))
}

fn steps_of(plan: &Plan) -> Vec<String> {
    let word = |action: &FileAction| match action {
        FileAction::ReadOnly => "ro",
        FileAction::Writable => "rw",
        FileAction::Pinned => "pin",
        FileAction::HiddenFile | FileAction::HiddenDirectory => "hide",
        FileAction::Passage(_) => "pass",
    };
    let all = plan.files.steps.iter().map(|step| format!("{} {}", step.path, word(&step.action)));
    all.filter(|step| !step.starts_with("/tmp/srt-1000")).collect()
}

#[test]
fn a_write_root_is_bound_and_what_is_denied_in_it_follows() {
    let table = ["/w/src/x", "/w/keep/"];
    assert_eq!(steps(&table, [&[], &[], &["."], &["keep"]]), ["/ ro", "/w rw", "/w/keep ro"]);
    assert_eq!(steps(&table, [&["src/x"], &[], &["."], &[]]), ["/ ro", "/w rw", "/w/src/x hide"]);
    let pinned = plan_without_names(&table, [&["src/x"], &[], &["."], &[]]);
    assert_eq!(steps_of(&pinned), ["/ ro", "/w rw", "/w/src pin", "/w/src/x hide"]);
}

#[test]
fn protected_names_and_the_way_to_them_are_held() {
    let table = ["/w/.git/hooks/", "/w/.git/config", "/w/a/.bashrc", "/w/node_modules/p/.bashrc"];
    let expected = ["/ ro", "/w rw", "/w/.git/config ro", "/w/.git/hooks ro", "/w/a/.bashrc ro"];
    assert_eq!(steps(&table, [&[], &[], &["."], &[]]), expected);
    let expected = ["/ ro", "/w rw", "/w/.git pin", "/w/.git/config ro", "/w/.git/hooks ro", "/w/a pin", "/w/a/.bashrc ro"];
    assert_eq!(steps_of(&plan_without_names(&table, [&[], &[], &["."], &[]])), expected);
}

#[test]
fn a_row_is_lifted_by_its_name() {
    let mut settings = settings([&[], &[], &["."], &[]]);
    settings.unprotect = vec![Located::new(".bashrc".to_owned(), Origin::Flag("--test"))];
    settings.filesystem.allow_git_config = Some(Located::new(true, Origin::Flag("--test")));
    let policy = policy(&["/w/.bashrc", "/w/.git/config", "/w/.git/hooks/"], &settings).unwrap();
    let may = |target: &str| policy.files.decide(&path(target), Access::Write).allowed;
    assert_eq!([may("/w/.bashrc"), may("/w/.git/config"), may("/w/.git/hooks/x")], [true, true, false]);
}

#[test]
fn a_git_file_protects_the_directory_that_it_names() {
    let table = [
        "/w/tree/.git = gitdir: ../repo/worktrees/tree\n",
        "/w/repo/worktrees/tree/commondir = ../..\n",
        "/w/repo/hooks/",
        "/w/repo/config",
    ];
    let policy = policy(&table, &settings([&[], &[], &["."], &[]])).unwrap();
    for target in ["/w/tree/.git", "/w/repo/hooks/pre-commit", "/w/repo/config", "/w/repo/worktrees/tree/config"] {
        assert!(!policy.files.decide(&path(target), Access::Write).allowed, "{target}");
    }
    assert!(policy.files.decide(&path("/w/repo/index"), Access::Write).allowed);
}

#[test]
fn a_hidden_directory_with_something_visible_is_a_passage() {
    let table = ["/home/ada/proj/x", "/home/ada/secret", "/home/ada/dir/", "/home/ada/link -> proj"];
    let plan = plan_of(&table, [&["~"], &["~/proj"], &[], &[]]);
    let passage = plan.files.steps.iter().find(|step| step.path == path("/home/ada")).unwrap();
    let FileAction::Passage(nodes) = &passage.action else { panic!("{:?}", passage.action) };
    let kinds: Vec<_> = nodes.iter().map(|node| (node.path.to_str().unwrap(), node.kind.clone())).collect();
    let expected = [
        ("dir", NodeKind::HiddenDirectory),
        ("link", NodeKind::HiddenFile),
        ("proj", NodeKind::DirectoryMountPoint),
        ("secret", NodeKind::HiddenFile),
    ];
    assert_eq!(kinds, expected);
    assert!(plan.files.steps.iter().any(|step| step.path == path("/home/ada/proj") && step.action == FileAction::ReadOnly));
}

#[test]
fn a_link_that_an_allowed_path_was_spelled_through_is_kept_in_a_passage() {
    let plan = plan_of(&["/usr/lib/x", "/lib -> usr/lib", "/etc/y"], [&["/"], &["/lib"], &[], &[]]);
    let FileAction::Passage(nodes) = &plan.files.steps[0].action else { panic!("{:?}", plan.files.steps[0]) };
    assert!(nodes.iter().any(|node| node.path.to_str() == Some("lib") && node.kind == NodeKind::Link("usr/lib".into())));
}

#[test]
fn what_a_pattern_matches_through_a_link_is_hidden_where_it_lies() {
    let table = ["/w/a/k.pem", "/w/l -> /data", "/data/d.pem", "/data/loop -> /w"];
    assert_eq!(steps(&table, [&["**/*.pem"], &[], &[], &[]]), ["/ ro", "/data/d.pem hide", "/w/a/k.pem hide"]);
}

#[test]
fn directories_that_may_be_made_are_and_others_are_rules_on_names() {
    let plan = plan_of(&["/w/"], [&[], &[], &["cache/"], &[]]);
    assert_eq!(plan.files.make, [path("/w/cache")]);
    let policy = policy(&["/w/"], &settings([&["gone"], &[], &["cache"], &["/elsewhere"]])).unwrap();
    let names: Vec<_> = policy.inventory.by_name_only.iter().map(|rule| (rule.key, rule.spelled.as_str())).collect();
    assert_eq!(names, [("denyRead", "gone"), ("allowWrite", "cache")]);
}

#[test]
fn a_link_that_a_command_could_have_made_opens_nothing() {
    let refused = |table: &[&'static str], list: &[&str]| policy(table, &settings([&[], &[], list, &[]])).err().map(|faults| faults.len());
    assert_eq!(refused(&["/w/build -> /"], &[".", "build"]), Some(1));
    assert_eq!(refused(&["/w/build -> /out", "/out/"], &[".", "build"]), Some(1));
    assert_eq!(refused(&["/w/", "/home/ada/.cache/pip -> .."], &["~/.cache/pip"]), Some(1));
    assert_eq!(refused(&["/w/build -> sub", "/w/sub/"], &[".", "build"]), None);
    assert_eq!(refused(&["/w/", "/home/ada/.cache -> /data", "/data/pip/"], &["~/.cache/pip"]), None);
}

#[test]
fn faults_come_all_at_once_with_their_origin() {
    let table = ["/w/a -> b", "/w/b -> a"];
    let faults = policy(&table, &settings([&["a", "/proc/kcore"], &[], &["$X", "/dev/sda"], &[]])).unwrap_err();
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.origin == Some(Origin::Flag("--test"))));
}

#[test]
fn disabled_files_leave_credentials_and_the_kernel_closed() {
    let mut settings = settings([&["/etc"], &[], &[], &["/w"]]);
    settings.filesystem.disabled = Some(Located::new(true, Origin::Flag("--test")));
    settings.credentials.deny_files = vec![Located::new("/home/ada/key".to_owned(), Origin::Flag("--test"))];
    let policy = policy(&["/home/ada/key", "/w/", "/etc/x", "/sys/power/"], &settings).unwrap();
    let may = |target: &str, access| policy.files.decide(&path(target), access).allowed;
    assert!(may("/w/x", Access::Write) && may("/etc/x", Access::Read));
    assert!(!may("/home/ada/key", Access::Read) && !may("/sys/power/state", Access::Write));
}

#[test]
fn directories_of_names_that_may_be_written_are_writable() {
    let table = ["/w/out/old.log", "/w/keep/", "/x/"];
    assert_eq!(steps(&table, [&[], &[], &["out/*.log"], &[]]), ["/ ro", "/w/out rw"]);
    assert_eq!(steps(&table, [&[], &[], &["/x/new/deep"], &[]]), ["/ ro", "/x rw"]);
    let policy = policy(&table, &settings([&[], &[], &["out/*.log", "/x/new/deep"], &[]])).unwrap();
    let may = |target: &str| policy.files.decide(&path(target), Access::Write).allowed;
    assert_eq!(["/w/out/new.log", "/w/out/x", "/x/new/deep", "/x/new", "/x/y"].map(may), [true, false, true, false, false]);
}

#[test]
fn a_denied_link_is_denied_by_its_own_name_too() {
    let table = ["/w/link -> target", "/w/target"];
    let policy = policy(&table, &settings([&[], &[], &["."], &["link"]])).unwrap();
    let may = |target: &str| policy.files.decide(&path(target), Access::Write).allowed;
    assert_eq!(["/w/link", "/w/target", "/w/other"].map(may), [false, false, true]);
}

#[test]
fn without_a_broker_rules_on_names_are_gaps() {
    let support = support().without("user-notification");
    let mut settings = settings([&["gone"], &[], &["."], &["later"]]);
    let gaps = |settings: &Settings| plan::build(&policy(&["/w/"], settings).unwrap(), &support).err().map(|gaps| gaps.0.len());
    assert_eq!(gaps(&settings), Some(2));
    settings.accept_gaps = vec![Located::new("name-rules".to_owned(), Origin::Flag("--test"))];
    assert_eq!(gaps(&settings), None);
    settings.accept_gaps.push(Located::new("no-such-gap".to_owned(), Origin::Flag("--test")));
    assert_eq!(gaps(&settings), Some(1));
}

#[test]
fn a_missing_layer_is_a_gap_that_nothing_accepts() {
    let policy = policy(&["/w/"], &settings([&[], &[], &[], &[]])).unwrap();
    for layer in ["user-namespaces", "seccomp"] {
        assert_eq!(plan::build(&policy, &support().without(layer)).unwrap_err().0.len(), 1, "{layer}");
    }
    let plan = plan::build(&policy, &support().without("landlock")).unwrap();
    assert_eq!((plan.layers.landlock_abi, plan.gaps.len()), (0, 1));
}

#[test]
fn without_namespaces_the_rest_must_be_whole_and_the_setting_must_say_so() {
    let mut settings = settings([&[], &[], &[], &[]]);
    settings.enable_weaker_nested_sandbox = Some(Located::new(true, Origin::Flag("--test")));
    let refused = |settings: &Settings, layers: &[&str]| {
        let support = layers.iter().fold(support(), |support, layer| support.without(layer));
        let gaps = plan::build(&policy(&["/w/"], settings).unwrap(), &support).err().map(|gaps| gaps.0).unwrap_or_default();
        gaps.iter().map(|gap| gap.name).collect::<Vec<_>>()
    };
    assert!(refused(&settings, &["user-namespaces"]).is_empty());
    assert_eq!(refused(&settings, &["user-namespaces", "landlock-scopes"]), ["landlock-scopes"]);
    for layer in ["landlock", "user-notification"] {
        assert!(refused(&settings, &["user-namespaces", layer]).contains(&"user-namespaces"), "{layer}");
    }
    settings.accept_gaps = vec![Located::new("landlock-scopes".to_owned(), Origin::Flag("--test"))];
    assert!(refused(&settings, &["user-namespaces", "landlock-scopes"]).is_empty());
}

#[test]
fn without_namespaces_devices_and_proc_are_the_hosts() {
    let table = ["/w/", "/dev/null", "/dev/disk0", "/proc/sys/"];
    let shared = Facts { namespaces: false, ..facts() };
    let resolved = |facts: &Facts, settings: &Settings| resolve(settings, facts, &Table::new(&table));
    let policy = resolved(&shared, &settings([&[], &["/dev/disk0"], &["/", "/dev/null"], &[]])).unwrap();
    let may = |access: Access, text: &str| policy.files.decide(&path(text), access).allowed;
    assert_eq!(
        ["/dev/null", "/dev/disk0", "/dev/sda", "/dev", "/dev/fd"].map(|text| may(Access::Read, text)),
        [true, true, false, false, true]
    );
    assert_eq!(["/dev/null", "/dev/sda", "/proc/sys/x", "/w/x"].map(|text| may(Access::Write, text)), [true, false, false, true]);
    // Landlock's roots are what the plan names.
    assert!(policy.inventory.points.contains_key(&path("/dev/null")));
    for whole in ["/dev", "/proc"] {
        assert!(resolved(&shared, &settings([&[], &[whole], &[], &[]])).is_err(), "{whole}");
    }
}

#[test]
fn what_srt_keeps_of_runs_is_closed_whatever_the_settings_say() {
    let mut open =
        settings([&[], &["/home/ada/.local/state/srt/violations"], &["/home/ada", "/home/ada/.local/state/srt/violations"], &[]]);
    for disabled in [None, Some(Located::new(true, Origin::Flag("--test")))] {
        open.filesystem.disabled = disabled;
        let policy = policy(&["/home/ada/.local/state/srt/violations/"], &open).unwrap();
        assert_eq!(policy.state, Some(path("/home/ada/.local/state/srt")));
        for access in [Access::Read, Access::Write] {
            let verdict = policy.files.decide(&path("/home/ada/.local/state/srt/violations/x"), access);
            assert_eq!((verdict.allowed, verdict.rule.id.0.as_str()), (false, "fs.state"));
        }
        assert_eq!(policy.files.rules().iter().filter(|rule| rule.id.0 == "fs.state").count(), 1);
    }
    let linked = policy(&["/disk/state/", "/home/ada/.local/state -> /disk/state"], &open).unwrap();
    assert!(!linked.files.decide(&path("/disk/state/srt/violations"), Access::Read).allowed);
}

#[test]
fn on_macos_devices_are_shared_and_names_need_no_broker() {
    let facts = Facts { platform: crate::host::Platform::MacOs, ..facts() };
    let settings = settings([&["**/.env", "/dev/disk9"], &[], &["."], &["missing"]]);
    let policy = resolve(&settings, &facts, &Table::new(&["/w/", "/tmp/"])).unwrap();
    let may = |target: &str| policy.files.decide(&path(target), Access::Write).allowed;
    assert_eq!(["/dev/null", "/dev/fd/1", "/dev/disk0", "/dev", "/proc/x", "/w/x"].map(may), [true, true, false, false, false, true]);
    assert!(!policy.files.decide(&path("/tmp/srt-1000/0/a/.env"), Access::Read).allowed, "moved there");
    let plan = plan::build(&policy, &Support::elsewhere()).unwrap();
    assert!(plan.seatbelt.is_some() && plan.files.steps.is_empty() && plan.gaps.is_empty());
    assert!(plan_of(&["/w/"], [&[], &[], &["."], &[]]).seatbelt.is_none());
}
