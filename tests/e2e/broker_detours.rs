//! Ways around the broker that were found once: each made a denied name, or reached a denied object, through something that was judged as another.

use std::os::unix::net::UnixListener;

use serde_json::json;
use srt_tests::{Area, Rules, for_each_identity, skip};

/// Runs a Python program inside; what the host holds afterwards is the judge.
fn python(area: &Area, rules: &Rules, program: &str) -> Option<srt_tests::Outcome> {
    let installed = area.outside("/bin/sh").args(&["-c", "command -v python3"]).run().code() == Some(0);
    installed.then(|| area.srt(rules).args(&["python3", "-c", program]).run())
}

#[test]
fn a_link_of_a_link_does_not_stand_for_a_repository() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "mkdir -p evil/hooks && echo x >evil/hooks/pre-commit && ln -s evil l && ln -P l .git";
        area.outside("/bin/sh").args(&["-c", script]).cwd(area.dir("outside/control")).run().assert_code(0);
        assert!(area.shell(&area.rules(), script).run().code() != Some(0));
        assert!(!area.has("work/.git"));
    });
}

#[test]
fn a_git_file_is_not_made() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for script in ["echo 'gitdir: e' >.git", "echo 'gitdir: e' >x; mv x .git", "echo x >x; ln x .git", "mkfifo .git"] {
            area.shell(&area.rules(), script).run();
            assert!(!area.has("work/.git"), "{script}");
        }
        area.shell(&area.rules(), "mkdir .git && echo fine >.git/index").run().assert_code(0);
    });
}

#[test]
fn configuration_of_submodules_is_not_made() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "mkdir -p .git/modules/a .git/x; echo x >.git/modules/a/config; echo x >.git/x/config; mv .git/x .git/modules/b; true";
        area.shell(&area.rules(), script).run().assert_code(0);
        assert!(!area.has("work/.git/modules/a/config") && !area.has("work/.git/modules/b"));
    });
}

#[test]
fn protected_names_hold_in_directories_that_a_pattern_allows() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = Rules::new().allow_write(area.text("work/proj*"));
        area.shell(
            &rules,
            "mkdir proj2 && echo fine >proj2/file; echo x >proj2/.bashrc; mkdir proj2/.git; echo x >proj2/.git/config; true",
        )
        .run();
        assert_eq!(area.content("work/proj2/file"), "fine\n");
        assert!(!area.has("work/proj2/.bashrc") && !area.has("work/proj2/.git/config"));
    });
}

#[test]
fn a_link_on_the_way_to_a_denied_name_is_not_led_elsewhere() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.dir("work/v1");
        area.dir("work/v2");
        area.link("v1", "work/cur");
        let rules = area.rules().deny_write(area.text("work/cur/secret"));
        area.shell(&rules, "echo x >v2/secret; ln -sfn v2 cur; rm cur; mv -T v2 cur; true").run();
        assert!(!area.path("work/cur/secret").exists());
    });
}

#[test]
fn a_file_beside_a_pattern_gets_no_name_that_the_pattern_allows() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/out/secret", "kept");
        let rules = Rules::new().allow_write(area.text("work/out/*.log"));
        let program = "import os\nfd = os.open('out/secret', os.O_RDONLY)\nhere = os.open('.', os.O_RDONLY)\n\
            os.link(f'/proc/self/fd/{fd}', 'out/x.log', src_dir_fd=here, follow_symlinks=True)\nopen('out/x.log', 'w').write('changed')";
        let Some(outcome) = python(&area, &rules, program) else { skip!("{}: python3 is not installed", who.name) };
        assert_eq!(area.content("work/out/secret"), "kept", "{outcome}");
        assert!(!area.has("work/out/x.log"));
    });
}

/// The table of descriptors that a link in `/proc` shows is the process's; a thread may have another, in which the same number means something else.
#[test]
fn a_descriptor_of_another_table_opens_nothing_for_writing() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/out/secret", "kept");
        let rules = Rules::new().allow_write(area.text("work/out/*.log"));
        let program = "import os, threading, ctypes\nsecret = os.open('out/secret', os.O_RDONLY)\n\
            def own():\n    assert ctypes.CDLL(None).unshare(0x400) == 0\n    log = os.open('out/x.log', os.O_CREAT | os.O_RDWR)\n    os.dup2(log, secret)\n    \
            fd = os.open(f'/proc/self/fd/{secret}', os.O_WRONLY)\n    os.write(fd, b'changed')\n\
            thread = threading.Thread(target=own); thread.start(); thread.join()";
        let Some(outcome) = python(&area, &rules, program) else { skip!("{}: python3 is not installed", who.name) };
        assert_eq!(area.content("work/out/secret"), "kept", "{outcome}");
    });
}

#[test]
fn a_socket_of_the_host_is_not_taken_for_ones_own() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let _listener = UnixListener::bind(area.path("outside/sock")).expect("a socket can be bound in a test area");
        let outside = area.text("outside");
        let program = format!(
            "import os, socket\nos.symlink('/proc/self', 'l')\nwork = os.getcwd()\nos.chdir('{outside}')\ns = socket.socket(socket.AF_UNIX)\n\
             try: s.bind(work + '/l/cwd/sock')\nexcept OSError as e: print(e.errno)\n\
             c = socket.socket(socket.AF_UNIX)\ntry:\n    c.connect('{outside}/sock'); print('reached')\nexcept OSError as e: print(e.errno)"
        );
        let Some(outcome) = python(&area, &area.rules(), &program) else { skip!("{}: python3 is not installed", who.name) };
        assert!(!outcome.out().contains("reached") && outcome.out().lines().count() == 2, "{outcome}");
    });
}

#[test]
fn a_socket_of_the_host_does_not_get_a_listed_name() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let _listener = UnixListener::bind(area.path("work/host")).expect("a socket can be bound in a test area");
        let rules = area.rules().set("network", "allowUnixSockets", json!([area.text("work/listed"), area.text("work/run")]));
        let program = "import os, socket\nos.mkdir('d'); os.rename('host', 'd/host')\n\
            for a, b in [('d/host', 'listed'), ('d', 'run')]:\n    try: os.rename(a, b)\n    except OSError: pass\n\
            for name in ['listed', 'run/host', 'd/host']:\n    c = socket.socket(socket.AF_UNIX)\n    try: c.connect(name); print('reached', name)\n    except OSError: pass";
        let Some(outcome) = python(&area, &rules, program) else { skip!("{}: python3 is not installed", who.name) };
        outcome.assert_prints("");
    });
}
