//! Hosts that refuse namespaces: `enableWeakerNestedSandbox` lets Landlock, the filter and the broker stand alone, among the host's own processes and on its network.

use std::net::{TcpListener, UdpSocket};

use rustix::process::Signal;
use serde_json::json;
use srt_tests::{Area, Outcome, Program, Rules, for_each_identity, procs, server::Server};

use crate::layers::{FACTS, furnish, without};

/// The rules with the setting.
fn weaker(rules: Rules) -> Rules {
    rules.set("", "enableWeakerNestedSandbox", json!(true))
}

/// `srt run` on a host without user namespaces.
fn srt(area: &Area, rules: Rules) -> Program {
    without(area, &["user-namespaces"], &weaker(rules))
}

fn probe(area: &Area, rules: Rules, operation: &[&str]) -> Outcome {
    srt(area, rules).args(&[&srt_tests::probe().display().to_string()]).args(operation).run()
}

fn shell(area: &Area, rules: Rules, text: &str) -> Program {
    srt(area, rules).args(&["sh", "-c", text])
}

/// Does this kernel have what such a run needs, Landlock's scopes included (Linux 6.12)?
fn is_possible(area: &Area) -> bool {
    shell(area, area.rules(), "true").run().code() == Some(0)
}

macro_rules! possible_or_skip {
    ($area:expr) => {
        if !is_possible($area) {
            srt_tests::skip!("this kernel has no Landlock scopes or no user notification");
        }
    };
}

#[test]
fn without_the_setting_nothing_is_run_and_the_setting_is_named() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = without(&area, &["user-namespaces"], &area.rules()).args(&["touch", "mark"]).run();
        outcome.assert_refused().assert_err_has("user-namespaces").assert_err_has("enableWeakerNestedSandbox");
        assert!(!area.has("work/mark"));
    });
}

#[test]
fn what_stands_alone_must_be_whole() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for layer in ["landlock", "user-notification", "seccomp"] {
            let rules = weaker(area.rules()).set("", "acceptGaps", json!(["name-rules", "landlock-scopes"]));
            let outcome = without(&area, &["user-namespaces", layer], &rules).args(&["touch", "mark"]).run();
            outcome.assert_refused();
            assert!(!area.has("work/mark"));
        }
        let scopes = |rules: Rules| without(&area, &["user-namespaces", "landlock-scopes"], &weaker(rules)).args(&["touch", "mark"]).run();
        scopes(area.rules()).assert_refused().assert_err_has("--accept-gap landlock-scopes");
        assert!(!area.has("work/mark"));
    });
}

#[test]
fn file_rules_hold_by_name() {
    for_each_identity(|who| {
        let area = Area::new(who);
        possible_or_skip!(&area);
        for (operation, path, _) in FACTS.iter().filter(|(operation, ..)| *operation != "rmdir") {
            // Control, in a twin that is thrown away.
            let twin = Area::new(who);
            furnish(&twin);
            let outcome = twin.probe_outside(&[operation, &twin.text(path)]).run();
            assert_eq!(outcome.code(), Some(0), "{outcome}");
        }
        let rules = || furnish(&area);
        for (operation, path, answers) in FACTS {
            let outcome = probe(&area, rules(), &[operation, &area.text(path)]);
            assert!(answers.contains(&outcome.out().as_str()), "{operation} {path} is none of {answers:?}\n{outcome}");
            let denied = !matches!(outcome.out().as_str(), "ok" | "public");
            // What the directory lacks cannot be removed anyway.
            if denied && *operation != "rmdir" {
                assert_eq!(outcome.events().len(), 1, "{operation} {path}\n{outcome}");
            }
        }
        let kept = ["outside/file", "work/hole/file", "work/hole/inner/file", "work/secret", "work/vault/file"];
        assert!(kept.iter().all(|file| area.content(file) == "kept") && !area.has("outside/new"));
        let before = area.snapshot();
        let script =
            "echo x >\"$TMPDIR/f\" && cat \"$TMPDIR/f\" && echo y >/dev/null && head -c 1 /dev/zero | wc -c && cat /proc/self/comm";
        shell(&area, area.rules(), script).run().assert_prints("x\n1\ncat").assert_code(0);
        before.assert_unchanged(area.root());
    });
}

/// A mount hides an object under every name; here each way to a name is judged.
#[test]
fn what_may_not_be_read_is_reached_by_no_other_name() {
    for_each_identity(|who| {
        let area = Area::new(who);
        possible_or_skip!(&area);
        area.file("work/vault/key", "top");
        area.file("work/.env", "top");
        area.link("vault/key", "work/link");
        area.link(&area.text("work/vault"), "work/dir");
        let rules = || area.rules().deny_read(area.text("work/vault")).deny_read(area.text("work/.env"));
        let ways = "cat link; cat dir/key; cd vault; cat key; cat ../.env; cat /proc/self/cwd/key; cat /proc/self/root$PWD/key
            cat <../vault/key; cd ..; mv vault v2; cat v2/key; mv .env e2; cat e2; ln .env e3; cat e3; ln -s vault v3; cat v3/key; cp .env e4; cat e4
            exec 7<.; cat /proc/self/fd/7/.env; cat /dev/fd/7/vault/key; ls vault; cat vault/../.env; head -c 3 vault/key; tar c . | tr -d '\\0' | grep -a top";
        let outcome = shell(&area, rules(), ways).run();
        assert!(!outcome.out().contains("top"), "{outcome}");
        assert_eq!((area.content("work/vault/key"), area.content("work/.env")), ("top".to_owned(), "top".to_owned()));
        shell(&area, area.rules(), "cat link dir/key .env").run().assert_prints("toptoptop");
    });
}

#[test]
fn devices_and_entries_of_other_processes_are_not_served() {
    for_each_identity(|who| {
        let area = Area::new(who);
        possible_or_skip!(&area);
        let marker = procs::marker("environ");
        let bystander = area.probe_outside(&["sleep", "60", &marker]).spawn();
        procs::assert_appears(&marker);
        let entry = format!("/proc/{}/environ", bystander.id());
        area.outside("/bin/cat").args(&[&entry]).run().assert_code(0);
        for path in [entry.as_str(), "/proc/1/status", "/dev", "/dev/pts/0", "/dev/mem"] {
            let outcome = shell(&area, area.rules(), &format!("cat {path}; ls {path}/; :")).run();
            assert!(outcome.out().is_empty(), "{path}\n{outcome}");
        }
        shell(&area, area.rules(), "grep -c ^Name: /proc/self/status; : >/dev/null; head -c 4 /dev/urandom | wc -c")
            .run()
            .assert_prints("1\n4");
        bystander.signal(Signal::KILL);
        bystander.wait();
    });
}

#[test]
fn processes_outside_are_neither_signalled_nor_slowed_nor_limited() {
    for_each_identity(|who| {
        let area = Area::new(who);
        possible_or_skip!(&area);
        let marker = procs::marker("outside");
        let bystander = area.probe_outside(&["sleep", "60", &marker]).spawn();
        procs::assert_appears(&marker);
        let pid = bystander.id();
        let nice = procs::stat_field(pid, 19);
        // Control.
        area.outside("/bin/sh")
            .args(&["-c", &format!("kill -0 {pid} && taskset -p 1 {pid} >/dev/null && prlimit --pid {pid} --nofile=64:64")])
            .run()
            .assert_code(0);
        let script = format!(
            "kill -9 {pid} 2>&- && echo killed; kill -9 $PPID 2>&- && echo init; renice -n 9 -p {pid} >&- 2>&- && echo niced
             taskset -p 2 {pid} >&- 2>&- && echo moved; prlimit --pid {pid} --nofile=32:32 2>&- && echo limited; prlimit --pid $PPID --nofile=0:0 2>&- && echo init
             taskset -p 1 $$ >&- 2>&- || echo own; renice -n 19 -p $$ >&- 2>&- || echo own; echo end"
        );
        let outcome = shell(&area, area.rules(), &script).run();
        outcome.assert_prints("end");
        // To whoever may be signalled: that is the sandbox.
        shell(&area, area.rules(), "kill -9 -1; echo left").run();
        assert_eq!(procs::marked(&marker), [pid]);
        assert_eq!(procs::stat_field(pid, 19), nice);
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        assert!(limits.lines().any(|line| line.starts_with("Max open files") && line.contains("64")), "{limits}");
        bystander.signal(Signal::KILL);
        bystander.wait();
    });
}

#[test]
fn objects_that_everybody_shares_are_not_there() {
    for_each_identity(|who| {
        let area = Area::new(who);
        possible_or_skip!(&area);
        // Control; what it makes is removed at once.
        area.outside("/bin/sh").args(&["-c", "ipcrm -q $(ipcmk -Q | tr -dc 0-9)"]).run().assert_code(0);
        let outcome = shell(&area, area.rules(), "ipcmk -M 64 2>&1; ipcmk -Q 2>&1; ipcmk -S 1 2>&1; touch /dev/shm/srt-on-host").run();
        assert_eq!(outcome.out().matches("not implemented").count(), 3, "{outcome}");
        assert!(!std::path::Path::new("/dev/shm/srt-on-host").exists());
    });
}

#[test]
fn nothing_is_left_whoever_is_killed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        possible_or_skip!(&area);
        let probe = srt_tests::probe().display();
        // The command ends by itself.
        let marker = procs::marker("ends");
        shell(&area, area.rules(), &format!("setsid {probe} sleep 300 {marker} >&- 2>&- & {probe} spawn-orphan {marker}; exit 3"))
            .run()
            .assert_code(3);
        procs::assert_gone(&marker);
        // srt is killed; its first process is.
        for victim in ["srt", "init"] {
            let marker = procs::marker(victim);
            let script =
                format!("trap '' TERM HUP INT; {probe} spawn-orphan {marker}; setsid {probe} sleep 300 {marker} & echo up $PPID; wait");
            let mut run = shell(&area, area.rules(), &script).spawn();
            run.wait_for("up");
            procs::assert_appears(&marker);
            let init: i32 =
                run.stdout_so_far().trim().rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("the shell says its parent");
            match victim {
                "srt" => run.signal(Signal::KILL),
                _ => rustix::process::kill_process(rustix::process::Pid::from_raw(init).expect("a pid"), Signal::KILL).expect("init lives"),
            }
            run.wait();
            procs::assert_gone(&marker);
        }
    });
}

#[test]
fn nothing_of_the_network_is_reached_but_what_is_allowed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        possible_or_skip!(&area);
        let server = Server::http();
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("the loopback has a free port");
        let port = datagrams.local_addr().expect("it is bound").port();
        // Control.
        area.probe_outside(&["connect-tcp", &server.literal()]).run().assert_prints("ok");
        let accepted = server.accepted();
        let denied = probe(&area, area.rules(), &["connect-tcp", &server.literal()]);
        denied.assert_prints("ECONNREFUSED").assert_one_event(&server.literal(), "net.loopback");
        let script = format!(
            "import socket\nfor t in [('127.0.0.1',{port}),('0.0.0.0',{port}),('127.0.0.53',53),('192.0.2.1',53)]:\n  for way in ('sendto','connect'):\n    s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n    try:\n      s.sendto(b'x',t) if way=='sendto' else s.connect(t)\n      print('sent',t)\n    except OSError: pass"
        );
        srt(&area, area.rules()).args(&["python3", "-c", &script]).run().assert_prints("").assert_code(0);
        datagrams.set_nonblocking(true).expect("a flag");
        assert!(datagrams.recv(&mut [0; 8]).is_err());
        let fetch = format!("curl -sS -m 20 -o /dev/null -w '%{{http_code}}' --noproxy '' http://{}/", server.name());
        shell(&area, area.rules(), &fetch).run().assert_prints("403");
        assert_eq!(server.accepted(), accepted, "nothing of this has reached the server");
        // By a port that is opened, as it is; and by the proxy, as anywhere else.
        let open = server.literal().rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
        let rules = || area.rules().set("network", "allowHostPorts", json!([open]));
        probe(&area, rules(), &["connect-tcp", &server.literal()]).assert_prints("ok");
        assert_eq!(server.accepted(), accepted + 1);
    });
}

#[test]
fn servers_of_the_sandbox_are_its_own_and_listen_on_the_loopback() {
    for_each_identity(|who| {
        let area = Area::new(who);
        possible_or_skip!(&area);
        let host = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let taken = host.local_addr().expect("it is bound").port();
        let script = format!(
            "import socket\ndef own(f,a):\n  s=socket.socket(f); s.bind(a) if a else None; s.listen(); return s\nfor f,a in ((2,('',0)),(2,('127.0.0.1',0)),(10,('::',0)),(10,('::1',0)),(2,None)):\n  s=own(f,a); n=s.getsockname()\n  c=socket.create_connection(('::1' if n[0]=='::1' else '127.0.0.1',n[1])); print(n[0].split(':')[-1] or n[0])\nfor a in (('192.0.2.7',0),):\n  try: own(2,a); print('bound')\n  except OSError as e: print(e.errno)\ntry: socket.create_connection(('127.0.0.1',{taken}))\nexcept OSError as e: print(e.errno)"
        );
        let outcome = srt(&area, area.rules()).args(&["python3", "-c", &script]).run();
        outcome.assert_prints("127.0.0.1\n127.0.0.1\n127.0.0.1\n1\n127.0.0.1\n13\n111");
    });
}

/// Programs of every day, which do much that no rule is about.
#[test]
fn real_tools_work() {
    for_each_identity(|who| {
        let area = Area::new(who);
        possible_or_skip!(&area);
        let script = "git init -q --template= repo; cd repo && echo x >a && git add a && git -c user.name=n -c user.email=e@x commit -qm m && git log --oneline | wc -l
            printf 'all:\\n\\t@echo built\\n' >Makefile && make -s; python3 -c 'import os,subprocess,tempfile; tempfile.TemporaryFile().write(b\"x\"); print(subprocess.run([\"true\"]).returncode, os.openpty() and 1)'
            tar cf ../t.tar . && tar tf ../t.tar | grep -c Makefile";
        shell(&area, area.rules().set("", "unprotect", json!([".git/hooks", ".git/config"])), script)
            .limit(120)
            .run()
            .assert_prints("1\nbuilt\n0 1\n1")
            .assert_code(0);
    });
}
