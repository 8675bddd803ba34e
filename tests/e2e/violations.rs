//! The corpus of denials: every kind of denied operation once, and exactly one right event for it; and ordinary failures, which are none.

use serde_json::json;
use srt_tests::{Area, Events, Expected, Identity, Rules, each, for_each_identity};

/// Words for the probe (`@` at the start of a word is the area's root), names that the call may have, target, errno, rule.
type Row = (&'static str, &'static [&'static str], &'static str, &'static [&'static str], &'static str);

const READ_ONLY: &[&str] = &["EROFS", "EACCES"];
const BY_NAME: &[&str] = &["EPERM"];
const OPEN: &[&str] = &["open", "openat", "creat"];
const RENAME: &[&str] = &["rename", "renameat", "renameat2"];
const LINK: &[&str] = &["link", "linkat"];
const CHMOD: &[&str] = &["chmod", "fchmodat", "fchmodat2"];

/// Writes that no rule allows: the mount refuses them, and the event says which rule that is.
const OUTSIDE: &[Row] = &[
    ("create @/outside/new", OPEN, "@/outside/new", READ_ONLY, "fs.default-write"),
    ("write @/outside/file", OPEN, "@/outside/file", READ_ONLY, "fs.default-write"),
    ("append @/outside/file", OPEN, "@/outside/file", READ_ONLY, "fs.default-write"),
    ("open @/outside/file 0o1000", OPEN, "@/outside/file", READ_ONLY, "fs.default-write"),
    ("open @/outside/to-file 0o2", OPEN, "@/outside/file", READ_ONLY, "fs.default-write"),
    ("open @/outside 0o20200002", OPEN, "@/outside", READ_ONLY, "fs.default-write"),
    ("truncate @/outside/file", &["truncate"], "@/outside/file", READ_ONLY, "fs.default-write"),
    ("mkdir @/outside/new", &["mkdir", "mkdirat"], "@/outside/new", READ_ONLY, "fs.default-write"),
    ("rmdir @/outside/empty", &["rmdir", "unlinkat"], "@/outside/empty", READ_ONLY, "fs.default-write"),
    ("unlink @/outside/file", &["unlink", "unlinkat"], "@/outside/file", READ_ONLY, "fs.default-write"),
    ("rename @/outside/file @/outside/moved", RENAME, "", READ_ONLY, "fs.default-write"),
    ("exchange @/outside/file @/outside/empty", RENAME, "", READ_ONLY, "fs.default-write"),
    ("rename @/work/file @/outside/moved", RENAME, "@/outside/moved", &["EXDEV", "EROFS", "EACCES", "EPERM"], "fs.default-write"),
    ("link @/outside/file @/work/linked", LINK, "@/outside/file", &["EXDEV", "EROFS", "EACCES", "EPERM"], "fs.default-write"),
    ("symlink anywhere @/outside/new", &["symlink", "symlinkat"], "@/outside/new", READ_ONLY, "fs.default-write"),
    ("mknod fifo @/outside/new", &["mknod", "mknodat"], "@/outside/new", READ_ONLY, "fs.default-write"),
    ("chmod 600 @/outside/file", CHMOD, "@/outside/file", READ_ONLY, "fs.default-write"),
    ("by-descriptor fchmod @/outside/file", &["fchmod"], "@/outside/file", READ_ONLY, "fs.default-write"),
    ("by-descriptor futimens @/outside/file", &["utimensat"], "@/outside/file", READ_ONLY, "fs.default-write"),
    ("utimens @/outside/file", &["utimensat"], "@/outside/file", READ_ONLY, "fs.default-write"),
    ("bind-unix @/outside/new", &["bind"], "@/outside/new", READ_ONLY, "fs.default-write"),
];

/// Writes that a rule about a name denies.
const NAMED: &[Row] = &[
    ("create @/work/held", OPEN, "@/work/held", BY_NAME, "fs.deny-write"),
    ("mkdir @/work/held", &["mkdir", "mkdirat"], "@/work/held", BY_NAME, "fs.deny-write"),
    ("rename @/work/file @/work/held", RENAME, "@/work/held", BY_NAME, "fs.deny-write"),
    ("link @/work/file @/work/held", LINK, "@/work/held", BY_NAME, "fs.deny-write"),
    ("symlink anywhere @/work/held", &["symlink", "symlinkat"], "@/work/held", BY_NAME, "fs.deny-write"),
    ("mknod fifo @/work/held", &["mknod", "mknodat"], "@/work/held", BY_NAME, "fs.deny-write"),
    ("tmpfile-link @/work @/work/held", LINK, "@/work/held", BY_NAME, "fs.deny-write"),
    ("bind-unix @/work/held", &["bind"], "@/work/held", BY_NAME, "fs.deny-write"),
    ("create @/work/.bashrc", OPEN, "@/work/.bashrc", BY_NAME, "fs.protected:.bashrc"),
    ("mkdir @/work/.vscode", &["mkdir", "mkdirat"], "@/work/.vscode", BY_NAME, "fs.protected:.vscode"),
    ("write @/work/there", OPEN, "@/work/there", &["EROFS", "EACCES", "EPERM"], "fs.deny-write"),
    ("unlink @/work/there", &["unlink", "unlinkat"], "@/work/there", &["EBUSY", "EROFS", "EACCES", "EPERM"], "fs.deny-write"),
];

/// Changes of what may not be read: something covers it, and what covers it refuses for a reason of its own.
const HIDDEN: &[Row] = &[
    ("write @/outside/secret", OPEN, "@/outside/secret", &["EACCES"], "fs.deny-read"),
    ("open @/outside/secret 0o2", OPEN, "@/outside/secret", &["EACCES"], "fs.deny-read"),
    ("open @/outside/vault/inner 0o2", OPEN, "@/outside/vault/inner", &["EACCES"], "fs.deny-read"),
    ("truncate @/outside/secret", &["truncate"], "@/outside/secret", &["EACCES"], "fs.deny-read"),
    ("chmod 600 @/outside/secret", CHMOD, "@/outside/secret", &["EACCES", "EPERM", "EROFS"], "fs.deny-read"),
    ("chmod 600 @/outside/vault/inner", CHMOD, "@/outside/vault/inner", &["EACCES"], "fs.deny-read"),
    ("unlink @/outside/secret", &["unlink", "unlinkat"], "@/outside/secret", &["EACCES", "EPERM", "EBUSY", "EROFS"], "fs.deny-read"),
    ("unlink @/outside/vault/inner", &["unlink", "unlinkat"], "@/outside/vault/inner", &["EACCES"], "fs.deny-read"),
    ("create @/outside/vault/new", OPEN, "@/outside/vault/new", &["EACCES"], "fs.deny-read"),
    ("append @/work/secret", OPEN, "@/work/secret", &["EACCES"], "fs.deny-read"),
    ("rename @/work/secret @/work/moved", RENAME, "@/work/secret", &["EACCES", "EPERM", "EBUSY", "EXDEV"], "fs.deny-read"),
    ("link @/work/secret @/work/linked", LINK, "@/work/secret", &["EACCES", "EPERM", "EXDEV"], "fs.deny-read"),
];

/// Calls of the probe's own table that the filter reports, in their kernel names.
const SYSCALLS: &[(&str, &str)] = &[
    ("mount", "mount"),
    ("umount", "umount2"),
    ("pivot_root", "pivot_root"),
    ("chroot", "chroot"),
    ("setns", "setns"),
    ("open_tree", "open_tree"),
    ("move_mount", "move_mount"),
    ("fsopen", "fsopen"),
    ("fsmount", "fsmount"),
    ("mount_setattr", "mount_setattr"),
    ("keyctl", "keyctl"),
    ("add_key", "add_key"),
    ("request_key", "request_key"),
    ("bpf", "bpf"),
    ("perf_event_open", "perf_event_open"),
    ("userfaultfd", "userfaultfd"),
    ("kexec_load", "kexec_load"),
    ("init_module", "init_module"),
    ("finit_module", "finit_module"),
    ("delete_module", "delete_module"),
    ("open_by_handle_at", "open_by_handle_at"),
    ("unshare 0x10000000", "unshare"),
    ("unshare 0x40000000", "unshare"),
    ("clone 0x10000000", "clone"),
    ("ioctl /dev/null 0x5412", "ioctl"),
    ("ioctl /dev/null 0x541c", "ioctl"),
    ("socket 40 1 0", "socket"),
    ("socket 38 5 0", "socket"),
    ("socket 17 3 0", "socket"),
    ("socket 16 3 15", "socket"),
];

fn furnish(area: &Area) {
    for file in ["outside/file", "work/file", "work/there", "work/dir/inner", "outside/secret", "outside/vault/inner", "work/secret"] {
        area.file(file, "kept");
    }
    area.dir("outside/empty");
    area.link("file", "outside/to-file");
    area.link("loop", "work/loop");
}

fn rules(area: &Area) -> Rules {
    let rules = area.rules().deny_write(area.text("work/held")).deny_write(area.text("work/there"));
    ["outside/secret", "outside/vault", "work/secret"].into_iter().fold(rules, |rules, path| rules.deny_read(area.text(path)))
}

fn words(area: &Area, line: &str) -> Vec<String> {
    line.split(' ').map(|word| word.strip_prefix("@/").map_or_else(|| word.to_owned(), |rest| area.text(rest))).collect()
}

fn one_event(who: Identity, (line, operations, target, errno, rule): &Row) {
    let control = Area::new(who);
    furnish(&control);
    let operation = words(&control, line);
    control.probe_outside(&operation.iter().map(String::as_str).collect::<Vec<_>>()).run().assert_prints("ok");

    let area = Area::new(who);
    furnish(&area);
    let operation = words(&area, line);
    let (outcome, events) = Events::of_probe(&area, &rules(&area), &operation.iter().map(String::as_str).collect::<Vec<_>>());
    outcome.assert_prints_one_of(errno);
    let target = target.strip_prefix("@/").map(|rest| area.text(rest)).unwrap_or_default();
    events.assert_only(Expected { kind: "fs.write", operations, target: &target, errno, rule }, &outcome);
}

#[test]
fn a_write_that_no_rule_allows_is_one_event() {
    for_each_identity(|who| each(OUTSIDE, |row| one_event(who, row)));
}

#[test]
fn a_write_to_a_denied_name_is_one_event() {
    for_each_identity(|who| each(NAMED, |row| one_event(who, row)));
}

#[test]
fn a_write_to_what_may_not_be_read_is_one_event() {
    for_each_identity(|who| each(HIDDEN, |row| one_event(who, row)));
}

#[test]
fn a_write_to_what_may_not_be_read_and_fails_outside_too_is_no_event() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        let (outcome, events) = Events::of_probe(&area, &rules(&area), &["open", &area.text("outside/vault/missing/x"), "0o2"]);
        outcome.assert_prints("EACCES");
        events.assert_none(&outcome);
        if !who.is_root() {
            let rules = Rules::new().deny_read("/etc/shadow");
            let (outcome, events) = Events::of_probe(&area, &rules, &["open", "/etc/shadow", "0o2"]);
            outcome.assert_prints("EACCES");
            events.assert_none(&outcome);
        }
    });
}

#[test]
fn a_refused_system_call_is_one_event() {
    for_each_identity(|who| {
        each(SYSCALLS, |(line, name)| {
            let area = Area::new(who);
            let (outcome, events) = Events::of_probe(&area, &area.rules(), &line.split(' ').collect::<Vec<_>>());
            outcome.assert_prints("EPERM");
            events.assert_only(Expected { kind: "syscall", operations: &[name], target: "", errno: &["EPERM"], rule: "" }, &outcome);
        });
    });
}

/// 192.0.2.0/24 and 2001:db8::/32 belong to nobody (RFC 5737, RFC 3849).
#[test]
fn a_connection_that_no_rule_allows_is_one_event() {
    let rows = [
        ("connect-tcp", "192.0.2.1:80", "connect", "net.default"),
        ("connect-tcp", "[2001:db8::1]:443", "connect", "net.default"),
        ("send-udp", "192.0.2.1:99", "sendto", "net.udp"),
    ];
    for_each_identity(|who| {
        each(rows, |(operation, target, call, rule)| {
            let area = Area::new(who);
            let (outcome, events) = Events::of_probe(&area, &area.rules(), &[operation, target]);
            outcome.assert_prints("ECONNREFUSED");
            let errno = &["ECONNREFUSED"];
            events.assert_only(Expected { kind: "net.connect", operations: &[call], target, errno, rule }, &outcome);
        });
    });
}

#[test]
fn an_event_names_the_process_and_the_entry_that_would_allow() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let (outcome, events) = Events::of_probe(&area, &area.rules(), &["create", &area.text("outside/new")]);
        let shown = events.to_string();
        for part in [
            "\"comm\":\"srt-probe\"",
            "\"argv\":[",
            "\"pid\":",
            &srt_tests::probe().display().to_string(),
            "allowWrite",
            "\"source\":\"broker\"",
        ] {
            assert!(shown.contains(part), "no {part} in {events}\n{outcome}");
        }
        outcome.assert_one_event(&area.text("outside/new"), "fs.default-write");
    });
}

#[test]
fn the_same_denial_again_is_counted_and_another_is_another() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display().to_string();
        let script = format!(
            "for i in 1 2 3 4 5; do {probe} create ../outside/a; done; {probe} create ../outside/b; {probe} mkdir ../outside/a; true"
        );
        let (outcome, events) = Events::of(&area, &area.rules(), &["sh", "-c", &script]);
        assert_eq!(events.len(), 3, "{events}\n{outcome}");
        assert_eq!(events.to_string().matches("\"count\":5").count(), 1, "{events}\n{outcome}");
        assert_eq!(events.to_string().matches("\"count\":1").count(), 2, "{events}\n{outcome}");
    });
}

/// Operation and answer; the same outside, so policy has no part in it.
const ORDINARY: &[(&str, &str)] = &[
    ("read @/work/missing", "ENOENT"),
    ("write @/work/missing", "ENOENT"),
    ("create @/work/missing/x", "ENOENT"),
    ("create @/work/file/x", "ENOTDIR"),
    ("create @/work/file", "EEXIST"),
    ("mkdir @/work/dir", "EEXIST"),
    ("rmdir @/work/dir", "ENOTEMPTY"),
    ("rmdir @/work/file", "ENOTDIR"),
    ("unlink @/work/dir", "EISDIR"),
    ("unlink @/work/missing", "ENOENT"),
    ("write @/work/dir", "EISDIR"),
    ("write @/work/loop", "ELOOP"),
    ("rename @/work/missing @/work/x", "ENOENT"),
    ("rename @/work/file @/work/dir", "EISDIR"),
    ("rename @/work/dir @/work/file", "ENOTDIR"),
    ("rename @/work/dir @/work/dir/inner2", "EINVAL"),
    ("link @/work/dir @/work/x", "EPERM"),
    ("link @/work/file @/work/dir", "EEXIST"),
    ("symlink anywhere @/work/file", "EEXIST"),
    ("chmod 600 @/work/missing", "ENOENT"),
    ("truncate @/work/dir", "EISDIR"),
    ("bad-pointer open", "EFAULT"),
    ("open-until-full 16 @/work/file", "EMFILE"),
    ("open @/work/file 0o300", "EEXIST"),
    ("connect-tcp 127.0.0.1:1", "ECONNREFUSED"),
    ("connect-unix stream @/work/missing", "ENOENT"),
    ("connect-unix stream @/work/file", "ECONNREFUSED"),
    // Outside every write root, but the same answer as without srt.
    ("mkdir @/outside", "EEXIST"),
    ("mkdir @/outside/empty", "EEXIST"),
    ("unlink @/outside/missing", "ENOENT"),
    ("write @/outside/missing", "ENOENT"),
    ("create @/outside/missing/x", "ENOENT"),
    ("create @/outside/file", "EEXIST"),
    ("open @/outside/file 0o300", "EEXIST"),
    ("open @/outside/file 0o100", "ok"),
    ("chmod 600 @/outside/missing", "ENOENT"),
    ("rename @/outside/missing @/work/x", "ENOENT"),
    ("open /dev/null 0o1102", "ok"),
    ("read @/outside/file", "ok"),
    ("write @/work/file", "ok"),
];

#[test]
fn an_ordinary_failure_is_no_event() {
    for_each_identity(|who| {
        each(ORDINARY, |(line, expected)| {
            let area = Area::new(who);
            furnish(&area);
            let operation = words(&area, line);
            let operation: Vec<&str> = operation.iter().map(String::as_str).collect();
            area.probe_outside(&operation).run().assert_prints(expected);
            let area = Area::new(who);
            furnish(&area);
            let operation = words(&area, line);
            let operation: Vec<&str> = operation.iter().map(String::as_str).collect();
            let (outcome, events) = Events::of_probe(&area, &rules(&area), &operation);
            outcome.assert_prints(expected);
            events.assert_none(&outcome);
        });
    });
}

#[test]
fn plain_file_permissions_are_no_event() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "mkdir -m 555 closed; touch sealed; chmod 400 sealed; (echo x >closed/x) 2>/dev/null; (echo x >sealed) 2>/dev/null
            mkdir closed/d 2>/dev/null; mv sealed closed/ 2>/dev/null; echo end";
        let (outcome, events) = Events::of(&area, &area.rules(), &["sh", "-c", script]);
        outcome.assert_prints("end");
        events.assert_none(&outcome);
    });
}

#[test]
fn a_denied_read_is_an_event_where_the_settings_ask_for_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let secret = area.file("outside/secret", "hidden").display().to_string();
        let rules = area.rules().deny_read(&secret);
        area.probe_outside(&["read", &secret]).run().assert_prints("ok");
        let (outcome, events) = Events::of_probe(&area, &rules, &["read", &secret]);
        outcome.assert_prints("EACCES");
        events.assert_none(&outcome);
        let rules = rules.set("", "violations", json!({ "reads": true }));
        let (outcome, events) = Events::of_probe(&area, &rules, &["read", &secret]);
        outcome.assert_prints("EACCES");
        let expected = Expected { kind: "fs.read", operations: OPEN, target: &secret, errno: &["EACCES"], rule: "fs.deny-read" };
        events.assert_only(expected, &outcome);
    });
}

/// What the sandbox chose for a name is shown to a person.
#[test]
fn names_that_would_act_on_a_terminal_are_shown_harmless() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let name = "x\u{1b}]0;title\u{7}\u{202e}\u{200b}<tag>\r\n";
        let (outcome, events) = Events::of_probe(&area, &area.rules(), &["create", &area.text(&format!("outside/{name}"))]);
        outcome.assert_prints_one_of(READ_ONLY);
        assert_eq!(events.len(), 1, "{events}\n{outcome}");
        for bad in ["\u{1b}", "\u{7}", "\u{202e}", "\u{200b}", "<tag>", "\r"] {
            assert!(!outcome.err().contains(bad), "{bad:?} is shown\n{outcome}");
        }
    });
}
