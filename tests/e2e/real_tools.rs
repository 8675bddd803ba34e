//! git, make, tar, python, node, npm, pip, vim, tmux, shells.

use serde_json::json;
use srt_tests::terminal::Terminal;
use srt_tests::{Area, Identity, Program, Rules, for_each_identity, skip, skipped};

/// Is the program there for this identity? A missing one is a counted skip.
fn installed(area: &Area, name: &str) -> bool {
    let found = area.outside("/bin/sh").args(&["-c", &format!("command -v {name}")]).run().code() == Some(0);
    if !found {
        skipped(&format!("{}: {name} is not installed", area.who.name));
    }
    found
}

/// Runs shell text inside, as each identity, where all the tools are installed; it must succeed and print `expected` last.
#[track_caller]
fn works(tools: &[&str], script: &str, expected: &str) {
    for_each_identity(|who| {
        let area = Area::new(who);
        if tools.iter().all(|tool| installed(&area, tool)) {
            succeeds(who, &area, area.shell(&area.rules(), &format!("set -e\n{script}")), expected);
        }
    });
}

#[track_caller]
fn succeeds(who: Identity, area: &Area, program: Program, expected: &str) {
    let outcome = program.limit(180).run();
    assert_eq!(outcome.code(), Some(0), "as {}\n{outcome}", who.name);
    assert_eq!(outcome.out().lines().last().unwrap_or_default(), expected, "as {} in {}\n{outcome}", who.name, area.root().display());
}

const IDENTITY: &str = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com";

#[test]
fn git_commits_in_a_repository_and_clones_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if !installed(&area, "git") {
            return;
        }
        // The repository is the person's: made outside, because its hooks and config are protected inside.
        let made = area.outside("/bin/sh").args(&["-ec", "git init -q repo; cd repo; echo 1 >f; git config core.fileMode true"]).run();
        made.assert_code(0);
        let script = format!(
            "{IDENTITY}; cd repo; git add f; git commit -qm one; echo 2 >>f; git commit -qam two; git checkout -qb other; git merge -q HEAD~0; git gc -q; git log --oneline | wc -l"
        );
        succeeds(who, &area, area.shell(&area.rules(), &format!("set -e; {script}")), "2");
        let clone = "git clone -q --template= repo copy && cat copy/f | tr '\\n' ' '";
        succeeds(who, &area, area.shell(&repository_rules(&area), clone), "1 2");
    });
}

/// What a command needs that makes repositories: git writes a config, and copies its sample hooks.
fn repository_rules(area: &Area) -> Rules {
    area.rules().set("filesystem", "allowGitConfig", json!(true)).set("", "unprotect", json!([".git/hooks"]))
}

#[test]
fn git_makes_a_repository_of_its_own() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if installed(&area, "git") {
            let script =
                format!("{IDENTITY}; set -e; git init -q new; cd new; echo 1 >f; git add f; git commit -qm one; git log --format=%s");
            succeeds(who, &area, area.shell(&repository_rules(&area), &script), "one");
        }
    });
}

#[test]
fn git_cannot_set_a_hook_or_a_config_of_an_existing_repository() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if !installed(&area, "git") {
            return;
        }
        area.outside("/bin/sh").args(&["-ec", "git init -q repo; mkdir -p repo/.git/hooks"]).run().assert_code(0);
        let before = (srt_tests::Snapshot::of(&area.path("work/repo/.git/hooks")), area.content("work/repo/.git/config"));
        let script =
            "cd repo; git config core.fsmonitor 'touch /tmp/x'; echo x >.git/hooks/post-checkout; git config --unset core.bare; true";
        area.shell(&area.rules(), script).run().assert_code(0);
        before.0.assert_unchanged(&area.path("work/repo/.git/hooks"));
        assert_eq!(before.1, area.content("work/repo/.git/config"));
    });
}

#[test]
fn make_and_gcc_build_and_run_a_program() {
    let script = "
        printf '#include <stdio.h>\\n#include \"a.h\"\\nint main(void){printf(\"%%d\\\\n\", VALUE);return 0;}\\n' >a.c
        echo '#define VALUE 42' >a.h
        printf 'a: a.o\\n\\tcc -o a a.o\\na.o: a.c a.h\\n\\tcc -O1 -c a.c\\n' >Makefile
        make -s -j4; ./a";
    works(&["make", "cc"], script, "42");
}

#[test]
fn tar_packs_and_unpacks() {
    works(
        &["tar", "gzip"],
        "mkdir d; seq 1000 >d/f; ln -s f d/l; tar czf d.tgz d; mkdir out; tar xzf d.tgz -C out; wc -l <out/d/l",
        "1000",
    );
}

#[test]
fn python_runs_with_threads_processes_and_temporary_files() {
    let script = r#"python3 -c '
import tempfile, subprocess, threading, multiprocessing, os, socket
with tempfile.NamedTemporaryFile() as f: f.write(b"x")
t = threading.Thread(target=lambda: None); t.start(); t.join()
print(subprocess.check_output(["echo", "child"]).decode().strip())
q = multiprocessing.get_context("fork").Queue(); q.put(7); print(q.get())
a, b = socket.socketpair(); a.send(b"x"); print(b.recv(1))
print("end")'"#;
    works(&["python3"], script, "end");
}

#[test]
fn node_runs_with_child_processes_workers_and_files() {
    let script = r#"node -e '
const { execSync } = require("child_process"); const fs = require("fs"); const { Worker } = require("worker_threads");
fs.writeFileSync("f", "x"); console.log(execSync("echo child").toString().trim());
new Worker("require(\"worker_threads\").parentPort.postMessage(42)", { eval: true }).on("message", (m) => console.log("worker", m));
'"#;
    works(&["node"], script, "worker 42");
}

/// A script that downloads, under a preset. It is run outside first: where that fails there is no registry to be had, and the test is a
/// counted skip. Where the preset lacks a host, the summary says which entry to add; with those entries it must succeed.
#[track_caller]
fn downloads(profile: &str, tools: &[&str], script: &str, expected: &str) {
    for_each_identity(|who| {
        let control = Area::new(who);
        if !tools.iter().all(|tool| installed(&control, tool)) {
            return;
        }
        let outside = control.outside("/bin/sh").args(&["-ec", script]).limit(180).run();
        if outside.code() != Some(0) {
            skip!("{}: it does not work outside either: {}", who.name, outside.err().lines().last().unwrap_or_default());
        }
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let run = |hosts: &[String]| {
            let mut program = area.bare_srt().args(&["run", "--profile", profile, "--settings", &settings]);
            for host in hosts {
                program = program.args(&["--allow-domain", host]);
            }
            program.args(&["--", "sh", "-ec", script]).limit(180)
        };
        let first = run(&[]).run();
        let hosts: Vec<String> = first.events().iter().filter_map(|(denied, _)| Some(denied.split(' ').nth(1)?.to_owned())).collect();
        if hosts.is_empty() {
            assert_eq!(first.code(), Some(0), "as {}\n{first}", who.name);
        }
        succeeds(who, &area, run(&hosts), expected);
    });
}

#[test]
fn npm_installs_a_package() {
    let script = "export npm_config_cache=$PWD/cache npm_config_update_notifier=false; rm -rf node_modules package*; npm init -y >/dev/null
        npm install --no-audit --no-fund is-number@7.0.0 >/dev/null; node -p 'require(\"is-number\")(5)'";
    downloads("node", &["npm", "node"], script, "true");
}

#[test]
fn pip_installs_a_package() {
    let script = "export PIP_CACHE_DIR=$PWD/cache PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_RETRIES=0; rm -rf v; python3 -m venv v
        v/bin/pip install -q six==1.16.0; v/bin/python -c 'import six; print(six.__version__)'";
    downloads("python", &["python3", "pip3"], script, "1.16.0");
}

#[test]
fn vim_edits_a_file() {
    works(&["vim"], "echo before >f; vim -u NONE -i NONE -es -c '%s/before/after/' -c wq f </dev/null; cat f", "after");
}

#[test]
fn tmux_runs_a_session() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if !installed(&area, "tmux") {
            return;
        }
        let rules = area.rules().set("network", "allowAllUnixSockets", json!(true));
        let script = "tmux -S ./s -f /dev/null new-session -d 'echo in tmux >f; tty >>f; sleep 60'; i=0; while [ $i -lt 100 ] && ! grep -q /dev/ f 2>/dev/null; do sleep 0.1; i=$((i+1)); done; tmux -S ./s kill-server; head -1 f";
        succeeds(who, &area, area.shell(&rules, script), "in tmux");
    });
}

#[test]
fn a_full_screen_editor_runs_on_the_callers_terminal() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if !installed(&area, "vim") {
            return;
        }
        let program = area.srt(&area.rules()).args(&["vim", "-u", "NONE", "-i", "NONE", "-n", "typed.txt"]);
        let mut terminal = Terminal::start(&area, &program);
        terminal.wait_for("typed.txt");
        terminal.enter("ihello from a person\x1b");
        terminal.enter(":wq\r");
        assert!(terminal.wait().success());
        assert_eq!(area.content("work/typed.txt"), "hello from a person\n");
    });
}

#[test]
fn shell_pipelines_substitutions_and_here_documents_work() {
    let script = "bash -ec 'seq 100000 | sort -rn | head -1 >f; diff <(cat f) <(echo 100000); cat <<X | tr a-z A-Z\nend\nX\n'";
    works(&["bash"], script, "END");
}

#[test]
fn a_large_shell_tree_walk_works() {
    works(
        &["find"],
        "find /usr/share -xdev -type f 2>/dev/null | head -2000 | xargs -d '\\n' stat -c %s >/dev/null && echo walked",
        "walked",
    );
}
