//! What may be moved, made and linked on the way to a denied name.
//!
//! A rename is judged as the system does it: `file-write-unlink` of the old name, `file-write-create` of the new one, each for itself.

use srt::policy::{AbsPath, Access, FsEffect, FsPolicy, Matcher};

use crate::expression::Units;
use crate::files::{bytes, describe, random_profile};
use crate::host;
use crate::profile::Profile;
use crate::random::{self, Letters, Random};

const POLICIES: u64 = 1000;
const MOVES: usize = 40;

fn moves(profile: &Profile, from: &AbsPath, to: &AbsPath, vnode: &str) -> bool {
    profile.may_as("file-write-unlink", bytes(from), vnode) && profile.may_as("file-write-create", bytes(to), vnode)
}

fn below(path: &AbsPath, suffix: &AbsPath) -> AbsPath {
    suffix.components().fold(path.clone(), |path, name| path.join(name))
}

/// A few names, one of which a rule may end with.
fn suffix(random: &mut Random, policy: &FsPolicy) -> AbsPath {
    let target = random::target(random, policy, Letters::Ascii);
    let names: Vec<_> = target.components().collect();
    let first = random.below(names.len().max(1));
    names[first..].iter().fold(AbsPath::root(), |path, name| path.join(name))
}

/// May the path be written but for a pattern of `denyRead`? Such a pattern hides; that a directory is made under its name is not hindered.
fn is_kept(policy: &FsPolicy, path: &AbsPath) -> bool {
    let verdict = policy.decide(path, Access::Write);
    let hidden_by_pattern = verdict.rule.effect == FsEffect::DenyRead && matches!(verdict.rule.matcher, Matcher::Glob(_));
    !verdict.allowed && !hidden_by_pattern && verdict.rule.id.0 != "fs.default-write"
}

/// `mv a b` with something in `a`: what could not be read cannot be read afterwards; what could not be written cannot be written; and nothing is put under a name
/// that could not be written.
#[test]
fn moving_a_directory_frees_and_fills_no_denied_name() {
    let mut moved = 0u64;
    let mut hindered = 0u64;
    for seed in 0..POLICIES {
        let random = &mut Random::new(seed ^ 0x3333_0000);
        let (policy, text) = random_profile(random, Letters::Ascii);
        let profile = Profile::new(&text, Units::Bytes);
        let files = &policy.files;
        for _ in 0..MOVES {
            let (mut from, to) = (random::target(random, files, Letters::Ascii), random::target(random, files, Letters::Ascii));
            let mut suffix = suffix(random, files);
            // Half of the time, a directory on the way to what a rule is about.
            if from.depth() > 1 && random.once_in(2) {
                let names: Vec<_> = from.components().collect();
                let (above, rest) = names.split_at(1 + random.below(names.len() - 1));
                suffix = rest.iter().fold(AbsPath::root(), |path, name| path.join(name));
                from = above.iter().fold(AbsPath::root(), |path, name| path.join(name));
            }
            if from.is_within(&to) || to.is_within(&from) {
                continue;
            }
            let (old, new) = (below(&from, &suffix), below(&to, &suffix));
            let may = |path: &AbsPath, access| files.decide(path, access).allowed;
            let frees = (!may(&old, Access::Read) && may(&new, Access::Read)) || (is_kept(files, &old) && may(&new, Access::Write));
            let fills = may(&old, Access::Write) && is_kept(files, &new);
            let done = moves(&profile, &from, &to, "DIRECTORY");
            assert!(!done || !frees, "frees {suffix} of {from}: to {to}, {}", describe(seed, &old, files));
            assert!(!done || !fills, "fills {suffix}: {from} to {to}, {}", describe(seed, &new, files));
            moved += u64::from(done);
            hindered += u64::from(!done && (frees || fills) && may(&from, Access::Write) && may(&to, Access::Write));
        }
    }
    assert!(moved > POLICIES / 2 && hindered > 100, "{moved} moved, {hindered} hindered");
}

/// The broker of Linux hinders the same moves of directories, and no link on the way to a denied name.
#[test]
fn what_the_policy_says_of_links_holds() {
    let mut hindered = 0u64;
    for seed in 0..POLICIES / 3 {
        let random = &mut Random::new(seed ^ 0x4444_0000);
        let (policy, text) = random_profile(random, Letters::Ascii);
        let profile = Profile::new(&text, Units::Bytes);
        for _ in 0..MOVES {
            let path = random::target(random, &policy.files, Letters::Ascii);
            // A link in the place of a write root is found at the next start, which refuses it.
            let is_root = path.depth() == 0 || policy.files.write_roots().any(|root| *root == path);
            let Some(rule) = policy.files.denies_link(&path).filter(|_| !is_root) else { continue };
            if rule.effect == FsEffect::DenyRead && matches!(rule.matcher, Matcher::Glob(_)) {
                continue;
            }
            assert!(
                !profile.may_as("file-write-create", bytes(&path), "SYMLINK"),
                "a link by {}: {}",
                rule.id,
                describe(seed, &path, &policy.files)
            );
            hindered += u64::from(policy.files.decide(&path, Access::Write).allowed);
        }
    }
    assert!(hindered > 100, "{hindered}");
}

/// Random policies meet these by chance only; each of them was a way around a pattern.
#[test]
fn directories_do_not_take_along_what_a_pattern_denies() {
    let project = "/Users/ada/project";
    let profile = |entry: &str| {
        let settings = format!(r#"{{"filesystem": {{"allowWrite": ["."], {entry}}}}}"#);
        Profile::new(&host::profile(&host::policy(&settings)), Units::Bytes)
    };
    let stays = |profile: &Profile, path: &str| !profile.may_as("file-write-unlink", format!("{project}/{path}").as_bytes(), "DIRECTORY");
    let everywhere = profile(r#""denyRead": ["**/.env"], "denyWrite": ["**/conf/*.pem"]"#);
    let tmp = |path: &str| format!("{}/{path}", host::TMP);
    assert!(
        !everywhere.may("file-read-data", tmp("moved/.env").as_bytes()) && everywhere.may("file-read-data", tmp("moved/env").as_bytes())
    );
    assert!(!everywhere.may("file-write-data", tmp("conf/a.pem").as_bytes()));
    assert!(!stays(&everywhere, "a") && stays(&everywhere, "a/conf"), "within the pattern's directory, only its own names are kept");
    let narrow = profile(r#""denyRead": ["sub/**/key"]"#);
    assert!(stays(&narrow, "sub") && stays(&narrow, "sub/a/b") && !stays(&narrow, "other"));
    let nested = profile(r#""denyRead": ["*/x/**/key"]"#);
    assert!(stays(&nested, "a") && stays(&nested, "a/x") && stays(&nested, "a/x/b"));
    let vague = profile(r#""denyRead": ["a**/key"]"#);
    assert!(stays(&vague, "ab") && stays(&vague, "a/b"));
}

/// A denial on an operation of its own must not take more than it says: files that lead to no denied name come and go as they are written.
#[test]
fn plain_files_are_made_and_removed_where_they_may_be_written() {
    let text = host::profile(&host::policy(
        r#"{"filesystem": {"allowWrite": ["."], "denyWrite": ["conf/a/b", "**/*.pem"], "denyRead": ["x/*/key"]}}"#,
    ));
    let profile = Profile::new(&text, Units::Bytes);
    let project = "/Users/ada/project";
    let may = |operation: &str, path: &str, vnode: &str| profile.may_as(operation, format!("{project}{path}").as_bytes(), vnode);
    for (path, vnode, both) in [
        ("/a.txt", "REGULAR-FILE", true),
        ("/dir", "DIRECTORY", true),
        ("/dir/sub", "DIRECTORY", true),
        ("/.git/index", "REGULAR-FILE", true),
        ("/.git/modules/m/index", "REGULAR-FILE", true),
        ("/.git/modules/m", "DIRECTORY", false),
        ("/.git", "DIRECTORY", false),
        ("/deep/.claude", "SYMLINK", false),
        ("/conf", "DIRECTORY", false),
        ("/conf/a", "DIRECTORY", false),
        ("/conf/a/c", "DIRECTORY", true),
        ("/a.pem", "REGULAR-FILE", false),
    ] {
        for operation in ["file-write-unlink", "file-write-create"] {
            assert_eq!(may(operation, path, vnode), both, "{operation} {path}");
        }
    }
    // What only hides may be made, but not moved away.
    assert!(may("file-write-create", "/x/new", "DIRECTORY") && !may("file-write-unlink", "/x/new", "DIRECTORY"));
    assert!(may("file-write-unlink", "/x/new", "REGULAR-FILE"));
    assert!(!may("file-write-unlink", "", "DIRECTORY"), "the project itself stays where it is");
    let single = Profile::new(&host::profile(&host::policy(r#"{"filesystem": {"allowWrite": ["notes"]}}"#)), Units::Bytes);
    let unlink = |vnode| single.may_as("file-write-unlink", format!("{project}/notes").as_bytes(), vnode);
    assert!(unlink("REGULAR-FILE") && !unlink("DIRECTORY"), "a root that is a file can be replaced");
}
