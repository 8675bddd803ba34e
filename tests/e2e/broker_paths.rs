//! Paths as the caller means them: procfs names of its own, its terminal, and paths that are wrong.

use srt_tests::{Area, Rules, as_user, each, for_each_identity};

/// Shell text that must print the same inside and outside, and leave the same in `work/`.
#[track_caller]
fn same_in_a_shell(script: &str) -> Vec<String> {
    let printed = std::cell::RefCell::new(Vec::new());
    for_each_identity(|who| {
        let (twin, area) = (Area::new(who), Area::new(who));
        let outside = twin.outside("/bin/bash").args(&["-c", script]).run();
        let inside = area.srt(&area.rules()).args(&["/bin/bash", "-c", script]).run();
        let plain = |text: String, area: &Area| text.replace(&area.text(""), "/");
        assert_eq!(plain(inside.out(), &area), plain(outside.out(), &twin), "{script}\n{inside}");
        assert_eq!(inside.code(), outside.code(), "{script}\n{inside}");
        let list = |area: &Area| area.outside("/bin/ls").args(&["-AR", "."]).run().out();
        assert_eq!(list(&area), list(&twin), "{script}\n{inside}");
        printed.borrow_mut().push(outside.out());
    });
    printed.into_inner()
}

#[test]
fn standard_streams_by_name_are_the_callers() {
    // Into a pipe of the caller's own: another user's could not be opened.
    let script = "{ echo a >/dev/stdout; echo b >>/dev/stdout; (echo c >/dev/fd/1); echo d | tee /dev/stderr 2>&1 >/dev/null | cat; echo e >/proc/self/fd/1
        exec 7>f; echo seven >/dev/fd/7; echo more >>/proc/self/fd/7; cat f; echo gone >/dev/fd/9; } | cat";
    for printed in same_in_a_shell(script) {
        assert!(printed.contains("a\nb\nc\nd\ne\nseven\nmore"), "{printed}");
    }
}

#[test]
fn a_file_that_was_removed_is_written_through_its_descriptor() {
    let script = "exec 7<>f; rm f; echo unnamed >/proc/self/fd/7; cat /proc/self/fd/7; truncate -s 3 /dev/fd/7; chmod 600 /proc/self/fd/7; cat /proc/self/fd/7";
    same_in_a_shell(script);
}

#[test]
fn own_names_in_procfs_lead_to_the_callers_files() {
    let script = "mkdir d; echo 1 >/proc/self/cwd/one; echo 2 >/proc/thread-self/cwd/d/two; echo 3 >/proc/self/root$PWD/three
        (cd d; echo 4 >/proc/self/cwd/four); echo 5 >/proc/$$/cwd/five; echo 6 >/proc/self/task/$$/cwd/six; echo 7 >/proc/self/../self/cwd/seven
        mkdir /proc/self/cwd/m; mv /proc/self/cwd/one /proc/self/cwd/m/; ln /proc/self/cwd/three /proc/self/cwd/m/linked; rm /proc/self/cwd/five
        exec 8<d; echo 8 >/proc/self/fd/8/eight; grep -r . . | sort";
    for printed in same_in_a_shell(script) {
        assert!(printed.contains("./d/eight:8") && printed.contains("./m/one:1"), "{printed}");
    }
}

#[test]
fn own_switches_in_procfs_are_the_callers() {
    let script =
        "echo 500 >/proc/self/oom_score_adj; echo $?; bash -c 'echo 600 >/proc/self/oom_score_adj; cat /proc/$$/oom_score_adj; true'
        bash -c 'printf renamed >/proc/self/comm; cat /proc/$$/comm; printf again >/proc/$$/task/$$/comm; cat /proc/$$/comm; true'";
    for printed in same_in_a_shell(script) {
        assert!(printed.ends_with("600\nrenamed\nagain"), "{printed}");
    }
}

#[test]
fn a_program_in_a_session_of_its_own_has_the_terminal_of_that_session() {
    let script = r#"python3 -c '
import os, pty
pid, fd = pty.fork()
if pid == 0:
    tty = os.open("/dev/tty", os.O_RDWR)
    os.write(tty, b"leader %d\n" % os.getsid(0))
    os._exit(0)
text = b""
try:
    while block := os.read(fd, 1000): text += block
except OSError: pass
os.waitpid(pid, 0)
print(text.decode().strip() == "leader %d" % pid)
'"#;
    for_each_identity(|who| {
        let area = Area::new(who);
        area.outside("/bin/sh").args(&["-c", script]).run().assert_prints("True");
        area.shell(&area.rules(), script).run().assert_prints("True");
    });
}

#[test]
fn a_program_without_a_terminal_gets_none() {
    let script = r#"python3 -c '
import os
if os.fork() == 0:
    os.setsid()
    try: os.open("/dev/tty", os.O_RDWR); print("opened", flush=True)
    except OSError as e: print(e.errno, flush=True)
    os._exit(0)
os.wait()'"#;
    for_each_identity(|who| {
        let area = Area::new(who);
        // ENXIO
        area.outside("/bin/sh").args(&["-c", script]).run().assert_prints("6");
        area.shell(&area.rules(), script).run().assert_prints("6");
    });
}

fn calls(area: &Area) -> Vec<String> {
    area.probe_outside(&["path-calls"]).run().out().split(' ').map(str::to_owned).collect()
}

/// The same probe operation inside and outside.
#[track_caller]
fn same(area: &Area, operation: &[&str], expected: &str) {
    area.probe_outside(operation).run().assert_prints(expected);
    area.probe(&area.rules(), operation).run().assert_prints(expected);
}

#[test]
fn an_unreadable_argument_is_efault_as_the_kernel_says() {
    for_each_identity(|who| {
        let area = Area::new(who);
        each(calls(&area), |call| same(&area, &["bad-pointer", call], "EFAULT"));
    });
}

#[test]
fn a_path_is_as_long_as_the_kernel_takes() {
    for_each_identity(|who| {
        let area = Area::new(who);
        // 4095 bytes and the end of string are PATH_MAX; the directory in them does not exist. A link that is read has no length of its own.
        each(calls(&area), |call| {
            let other = if matches!(call.as_str(), "rename-to" | "link-to") { "ENOENT" } else { "ENAMETOOLONG" };
            same(&area, &["long-path", call, "4094"], "ENOENT");
            same(&area, &["long-path", call, "5000"], if call == "rename-to" { "ENAMETOOLONG" } else { other });
        });
        let name = "n".repeat(256);
        each(calls(&area), |call| {
            let inside = area.probe(&area.rules(), &["at", call, &name, "work"]).run();
            inside.assert_prints(&area.probe_outside(&["at", call, &name, "work"]).run().out());
        });
    });
}

/// Every call on every wrong path: the same answer, and the same state afterwards, as outside.
#[test]
fn wrong_paths_get_the_answer_of_the_kernel() {
    as_user(|who| {
        let (twin, area) = (Area::new(who), Area::new(who));
        let outside = twin.probe_outside(&["wrong-paths", "."]).run();
        let inside = area.probe(&area.rules(), &["wrong-paths", "."]).limit(180).run();
        outside.assert_code(0);
        inside.assert_code(0);
        let (outside, inside) = (outside.out(), inside.out());
        assert!(outside.lines().count() > 300 && outside.contains("chmod \"forty\": ok") && outside.contains("chmod \"deep\": ELOOP"));
        each(outside.lines().zip(inside.lines()), |(outside, inside)| assert_eq!(inside, outside));
        assert_eq!(inside.lines().count(), outside.lines().count());
    });
}

#[test]
fn what_the_kernel_would_refuse_the_caller_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "mkdir -m 555 closed; mkdir -m 700 open; touch -d @1 sealed; chmod 400 sealed
            (echo x >closed/new) 2>/dev/null && echo made; (echo x >sealed) 2>/dev/null && echo written; mkdir closed/d 2>/dev/null && echo made
            mv sealed closed/ 2>/dev/null && echo moved; echo x >open/new && echo fine";
        let rules: Rules = area.rules();
        // Also as root: whoever is inside has no capability that opens a closed directory, and nobody lends one.
        area.shell(&rules, script).run().assert_prints("fine");
        assert!(!area.has("work/closed/new") && area.content("work/sealed").is_empty());
    });
}
