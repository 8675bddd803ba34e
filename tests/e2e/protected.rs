//! Names that are never written: shell start files, hooks, editor settings.

use serde_json::json;
use srt_tests::{Area, for_each_identity};

/// One file of every protected row; each exists before the run, at two depths.
const NAMES: &[&str] = &[
    ".bashrc",
    ".bash_profile",
    ".zshrc",
    ".zprofile",
    ".profile",
    ".gitconfig",
    ".gitmodules",
    ".ripgreprc",
    ".mcp.json",
    ".git/hooks/pre-commit",
    ".git/config",
    ".vscode/settings.json",
    ".idea/workspace.xml",
    ".claude/commands/x.md",
    ".claude/agents/x.md",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".codex/config.toml",
    ".cursor/mcp.json",
];

const DEPTHS: &[&str] = &["work", "work/one/two"];

fn furnish(area: &Area) {
    for depth in DEPTHS {
        for name in NAMES {
            area.file(&format!("{depth}/{name}"), "kept");
        }
        area.file(&format!("{depth}/plain"), "changed");
    }
}

/// Every name × every way to change it, in one run; what the host holds afterwards is the judge.
#[test]
fn existing_protected_names_are_neither_written_nor_removed_nor_replaced() {
    let changes = [
        "echo changed >\"$f\"",
        "echo changed >>\"$f\"",
        "true >\"$f\"",
        "rm -f \"$f\"",
        "mv \"$f\" \"$f.away\"",
        "cp plain new && mv -f new \"$f\"",
        "ln -sf plain \"$f\"",
        "chmod 777 \"$f\"",
        "touch \"$f\"",
    ];
    for_each_identity(|who| {
        for depth in DEPTHS {
            let area = Area::new(who);
            furnish(&area);
            let protected: Vec<_> = NAMES.iter().map(|name| srt_tests::Snapshot::of(&area.path(&format!("{depth}/{name}")))).collect();
            for change in changes {
                let script = format!("for f in {}; do {{ {change}; }} 2>/dev/null && echo \"$f\"; done; true", NAMES.join(" "));
                let outcome = area.shell(&area.rules(), &script).cwd(area.path(depth)).run();
                outcome.assert_code(0).assert_prints("");
                for (name, before) in NAMES.iter().zip(&protected) {
                    before.assert_unchanged(&area.path(&format!("{depth}/{name}")));
                }
            }
            area.shell(&area.rules(), "echo fine >beside").cwd(area.path(depth)).run().assert_code(0);
        }
    });
}

#[test]
fn nothing_is_added_below_a_protected_directory() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        for directory in [".git/hooks", ".vscode", ".idea", ".claude/commands", ".claude/agents", ".codex", ".cursor"] {
            let new = area.text(&format!("work/one/two/{directory}/new"));
            area.probe_outside(&["create", &new]).run().assert_prints("ok");
            area.probe_outside(&["unlink", &new]).run().assert_prints("ok");
            area.probe(&area.rules(), &["create", &new]).run().assert_prints_one_of(&["EROFS", "EACCES", "EPERM"]);
        }
    });
}

#[test]
fn moving_a_repository_away_does_not_free_its_hooks() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        for place in ["work", "work/one/two"] {
            let script = "mv .git away; echo changed >away/hooks/pre-commit; echo changed >away/config
                mkdir -p .git/hooks; echo changed >.git/hooks/pre-commit; echo changed >.git/config; true";
            area.shell(&area.rules(), script).cwd(area.path(place)).run();
            for name in ["hooks/pre-commit", "config"] {
                assert_eq!(area.content(&format!("{place}/.git/{name}")), "kept", "{place}/.git/{name}");
            }
        }
    });
}

#[test]
fn git_config_is_writable_when_the_settings_say_so_and_hooks_are_not() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        let rules = area.rules().set("filesystem", "allowGitConfig", json!(true));
        area.probe(&rules, &["append", &area.text("work/.git/config")]).run().assert_prints("ok");
        area.probe(&rules, &["append", &area.text("work/.git/hooks/pre-commit")]).run().assert_prints_one_of(&["EROFS", "EACCES", "EPERM"]);
    });
}

#[test]
fn the_settings_file_of_a_run_cannot_be_written_by_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let file = area.file("work/.srt.json", &area.rules().text()).display().to_string();
        let before = area.content("work/.srt.json");
        let outcome = area
            .bare_srt()
            .args(&["run", "--settings", &file, "--", "sh", "-c", "echo '{}' >.srt.json; rm -f .srt.json; mv .srt.json x; true"])
            .run();
        outcome.assert_code(0);
        assert_eq!(area.content("work/.srt.json"), before);
    });
}

#[test]
fn the_git_directory_that_a_git_file_points_to_is_protected() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/elsewhere/hooks/pre-commit", "kept");
        area.file("work/elsewhere/config", "kept");
        area.file("work/tree/.git", &format!("gitdir: {}\n", area.text("work/elsewhere")));
        area.shell(&area.rules(), "echo changed >elsewhere/hooks/pre-commit; echo changed >elsewhere/config; true").run();
        assert_eq!(area.content("work/elsewhere/hooks/pre-commit"), "kept");
        assert_eq!(area.content("work/elsewhere/config"), "kept");
    });
}
