//! Protected names that come to be during the run: at any depth, in repositories of the command's own, through moves and links, and what
//! the settings lift.

use serde_json::json;
use srt_tests::{Area, Events, Expected, Rules, Watch, each, for_each_identity};

/// The row, and a file that it protects.
const ROWS: &[(&str, &str)] = &[
    (".bashrc", ".bashrc"),
    (".bash_profile", ".bash_profile"),
    (".bash_login", ".bash_login"),
    (".bash_logout", ".bash_logout"),
    (".bash_aliases", ".bash_aliases"),
    (".profile", ".profile"),
    (".zshrc", ".zshrc"),
    (".zshenv", ".zshenv"),
    (".zprofile", ".zprofile"),
    (".zlogin", ".zlogin"),
    (".zlogout", ".zlogout"),
    (".gitconfig", ".gitconfig"),
    (".gitmodules", ".gitmodules"),
    (".git/hooks", ".git/hooks/pre-commit"),
    (".git/config", ".git/config"),
    (".ripgreprc", ".ripgreprc"),
    (".mcp.json", ".mcp.json"),
    (".vscode", ".vscode/settings.json"),
    (".idea", ".idea/workspace.xml"),
    (".claude/commands", ".claude/commands/x.md"),
    (".claude/agents", ".claude/agents/x.md"),
    (".claude/settings.json", ".claude/settings.json"),
    (".claude/settings.local.json", ".claude/settings.local.json"),
    (".codex", ".codex/config.toml"),
    (".cursor", ".cursor/mcp.json"),
    (".srt-settings.json", ".srt-settings.json"),
];

/// Below every write root, and eight directories below it.
const DEPTHS: &[&str] = &["", "1/2/3/4/5/6/7/8/"];

/// Shell text that makes a file with its parents, in one of several ways.
fn make(file: &str, way: &str) -> String {
    let parent = file.rsplit_once('/').map_or("", |(parent, _)| parent);
    let parent = if parent.is_empty() { "." } else { parent };
    format!("mkdir -p {parent} 2>/dev/null; {}; true", way.replace("FILE", file))
}

const WAYS: &[&str] = &[
    "echo x >FILE",
    "mkdir FILE",
    "ln -s plain FILE",
    "ln plain FILE",
    "mv spare FILE",
    "mkfifo FILE",
    "cp plain FILE",
    "install -m 644 plain FILE",
];

#[test]
fn a_protected_name_comes_to_be_at_no_depth() {
    for_each_identity(|who| {
        each(ROWS, |(row, file)| {
            let area = Area::new(who);
            for name in ["plain", "spare"] {
                area.file(&format!("work/{name}"), name);
            }
            for depth in DEPTHS {
                let script = WAYS.iter().map(|way| make(&format!("{depth}{file}"), way)).collect::<Vec<_>>().join("\n");
                let control = Area::new(who);
                control.file("work/plain", "plain");
                control.outside("/bin/sh").args(&["-c", &make(&format!("{depth}{file}"), WAYS[0])]).run();
                assert!(control.has(&format!("work/{depth}{file}")), "outside, the file is made");
                let outcome = area.shell(&area.rules(), &format!("exec 2>/dev/null\n{script}")).run();
                assert!(!area.has(&format!("work/{depth}{file}")), "{row} at {depth}\n{outcome}");
                let beside = area.shell(&area.rules(), &format!("mkdir -p ./{depth} && echo x >./{depth}free && echo made")).run();
                beside.assert_prints("made");
            }
        });
    });
}

#[test]
fn one_event_names_the_row_that_protects() {
    for_each_identity(|who| {
        each(ROWS, |(row, file)| {
            if file.contains('/') && !file.starts_with(".git/c") {
                return;
            }
            let area = Area::new(who);
            area.dir("work/.git");
            let target = area.text(&format!("work/{file}"));
            let (outcome, events) = Events::of_probe(&area, &area.rules(), &["create", &target]);
            outcome.assert_prints("EPERM");
            let rule = format!("fs.protected:{row}");
            events.assert_only(Expected { kind: "fs.write", operations: &[], target: &target, errno: &["EPERM"], rule: &rule }, &outcome);
        });
    });
}

#[test]
fn letter_case_does_not_free_a_protected_name() {
    let names = [".BashRC", ".Git/Hooks/x", ".GIT/config", ".git/CONFIG", ".VSCode/x", ".Mcp.Json", ".CLAUDE/Settings.json", ".Codex/x"];
    for_each_identity(|who| {
        each(names, |name| {
            let area = Area::new(who);
            area.shell(&area.rules(), &format!("exec 2>/dev/null; {}", make(name, "echo x >FILE"))).run();
            assert!(!area.has(&format!("work/{name}")));
        });
    });
}

#[test]
fn one_row_is_lifted_and_no_other() {
    for_each_identity(|who| {
        each(ROWS, |(row, file)| {
            let area = Area::new(who);
            let rules = area.rules().set("", "unprotect", json!([row]));
            let other = if *row == ".bashrc" { ".zshrc" } else { ".bashrc" };
            let script = format!("{} ; echo x 2>/dev/null >{other}; true", make(file, "echo x >FILE"));
            let outcome = area.shell(&rules, &script).run();
            assert!(area.has(&format!("work/{file}")), "{row} is lifted\n{outcome}");
            assert!(!area.has(&format!("work/{other}")), "{other} is not lifted\n{outcome}");
        });
    });
}

/// Ways to give a hook or a config to a repository under another name first.
const DETOURS: &[&str] = &[
    "mkdir -p x/hooks; echo e >x/hooks/pre-commit; mv x .git",
    "mkdir -p x/hooks; echo e >x/hooks/pre-commit; ln -s x .git",
    "mkdir .git x; echo e >x/pre-commit; mv x .git/hooks",
    "mkdir .git x; echo e >x/pre-commit; ln -s ../x .git/hooks",
    "mkdir .git; mv .git x; mkdir x/hooks; echo e >x/hooks/pre-commit; mv x .git",
    "mkdir .git; exec 9<.git; mkdir /proc/self/fd/9/hooks; echo e >/proc/self/fd/9/hooks/pre-commit",
    "mkdir .git; cd .git; mkdir hooks; cd hooks; echo e >pre-commit",
    "mkdir -p .git x/hooks; echo e >x/hooks/pre-commit; PROBE exchange .git x",
    "mkdir -p x/.git; mkdir x/.git/hooks; echo e >x/.git/hooks/pre-commit; mv x/.git .",
    "mkdir -p x/hooks; echo e >x/hooks/pre-commit; mkdir y; mv x y/.git; mv y/.git .git",
    "mkdir -p deep/x/hooks; echo e >deep/x/hooks/pre-commit; mv deep/x deep/.git; mv deep z; mv z/.git .git",
];

#[test]
fn no_detour_gives_a_repository_a_hook() {
    for_each_identity(|who| {
        each(DETOURS, |script| {
            let script = format!("({}) 2>/dev/null; true", script.replace("PROBE", &srt_tests::probe().display().to_string()));
            let control = Area::new(who);
            control.outside("/bin/sh").args(&["-c", &script]).run();
            assert!(control.path("work/.git/hooks/pre-commit").exists(), "outside, the detour makes the hook");
            let area = Area::new(who);
            let outcome = area.shell(&area.rules(), &script).run();
            assert!(!area.path("work/.git/hooks/pre-commit").exists(), "{outcome}");
        });
    });
}

/// A hook that exists in a person's repository, with the repository's other files free.
#[test]
fn a_persons_repository_that_is_moved_away_and_back_keeps_its_hooks_and_config() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/one/.git/hooks/pre-commit", "kept");
        area.file("work/one/.git/config", "kept");
        area.file("work/one/.git/HEAD", "ref: refs/heads/main");
        let script = "mv one/.git one/x; mv one two; echo e >two/x/hooks/pre-commit; echo e >two/x/config; mv two/x two/.git; mv two one
            mkdir -p one/.git/hooks; echo e >one/.git/hooks/pre-commit; echo e >one/.git/config; rm -rf one; true";
        area.shell(&area.rules(), &format!("exec 2>/dev/null\n{script}")).run().assert_code(0);
        assert_eq!(area.content("work/one/.git/hooks/pre-commit"), "kept");
        assert_eq!(area.content("work/one/.git/config"), "kept");
    });
}

#[test]
fn a_git_file_that_leads_elsewhere_comes_not_to_be() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "mkdir -p elsewhere/hooks; echo e >elsewhere/hooks/pre-commit; echo 'gitdir: elsewhere' >.git; echo end";
        area.shell(&area.rules(), &format!("exec 2>/dev/null\n{script}")).run().assert_prints("end");
        assert!(!area.has("work/.git"));
    });
}

const WHO: &str = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com";

/// What the documents tell to lift for a command that makes repositories.
fn repository_rules(area: &Area) -> Rules {
    area.rules().set("filesystem", "allowGitConfig", json!(true)).set("", "unprotect", json!([".git/hooks"]))
}

#[test]
fn a_new_repository_gets_neither_config_nor_hooks_by_default() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if area.outside("/bin/sh").args(&["-c", "git init -q ../outside/control"]).run().code() != Some(0) {
            srt_tests::skip!("{}: git is not installed", who.name);
        }
        assert!(area.has("outside/control/.git/config"));
        let watch = Watch::start(&area.path("work"));
        area.shell(
            &area.rules(),
            "git init -q new; mkdir -p new/.git/hooks; echo x >new/.git/hooks/pre-push; echo x >new/.git/config; true",
        )
        .run();
        assert!(!area.has("work/new/.git/config") && !area.has("work/new/.git/hooks/pre-push"));
        assert!(!watch.names().contains("config"), "not even for a moment");
    });
}

#[test]
fn a_new_repository_works_where_config_is_allowed_and_its_hooks_stay_protected() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if area.outside("/bin/sh").args(&["-c", "command -v git"]).run().code() != Some(0) {
            srt_tests::skip!("{}: git is not installed", who.name);
        }
        let rules = area.rules().set("filesystem", "allowGitConfig", json!(true));
        let script = format!(
            "{WHO}; git init -q --template= new && cd new && echo 1 >f && git add f && git commit -qm one && git config user.name b && git log --format=%s
            mkdir -p .git/hooks 2>/dev/null; (echo x >.git/hooks/pre-commit) 2>/dev/null; true"
        );
        area.shell(&rules, &script).run().assert_prints("one").assert_code(0);
        assert!(area.has("work/new/.git/config") && !area.has("work/new/.git/hooks/pre-commit"));
    });
}

#[test]
fn repositories_are_made_and_cloned_where_both_are_lifted() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if area.outside("/bin/sh").args(&["-c", "command -v git"]).run().code() != Some(0) {
            srt_tests::skip!("{}: git is not installed", who.name);
        }
        let script = format!(
            "{WHO}; set -e; git init -q new; cd new; echo 1 >f; git add f; git commit -qm one; cd ..; git clone -q new copy; cd copy
            echo 2 >>f; git commit -qam two; git push -q origin HEAD:other; git gc -q; cd ../new; git log --format=%s other | tr '\\n' ' '"
        );
        area.shell(&repository_rules(&area), &script).limit(120).run().assert_prints("two one").assert_code(0);
        assert!(area.has("work/copy/.git/config"));
    });
}
