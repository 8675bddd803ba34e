//! Looking on at runs: their sockets, and `srt top`.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::{Value, json};
use srt_tests::terminal::Terminal;
use srt_tests::{Area, Identity, Program, Running, as_root, for_each_identity, patience};

/// A run that was denied a write and a host, and waits until `work/go` exists.
struct Watched {
    area: Area,
    running: Running,
}

impl Watched {
    fn start(who: Identity) -> Self {
        let area = Area::new(who);
        let probe = srt_tests::probe().display();
        let script = format!(
            "{probe} create {denied}; {probe} connect-get denied.test:443; echo ready; while [ ! -e go ]; do sleep 0.05; done; {probe} create {denied}; exit 7",
            denied = area.text("outside/denied")
        );
        let mut running = area.shell(&area.rules(), &script).spawn();
        running.wait_for("ready");
        Watched { area, running }
    }

    fn pid(&self) -> u32 {
        self.running.id()
    }

    fn end(self) {
        self.area.file("work/go", "");
        self.running.wait().assert_code(7);
    }

    fn connect(&self) -> OwnedFd {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
        let name = format!("srt/run/{}/{}", self.area.who.uid, self.pid());
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("the name fits");
        // The command may say something before anybody can look on.
        let start = Instant::now();
        while let Err(error) = rustix::net::connect(&socket, &address) {
            assert!(error == Errno::CONNREFUSED && start.elapsed() < patience(30), "the run listens: {error}");
            std::thread::sleep(Duration::from_millis(5));
        }
        socket
    }
}

/// The next packet; `None` at the end of the stream.
fn packet(socket: &OwnedFd) -> Option<Value> {
    let mut buffer = vec![0; 64 << 10];
    let ready = rustix::event::PollFd::new(socket, rustix::event::PollFlags::IN);
    let limit = rustix::event::Timespec { tv_sec: patience(30).as_secs() as i64, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut [ready], Some(&limit)), Ok(1), "no packet comes");
    match rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty()) {
        Ok((_, 0)) | Err(Errno::CONNRESET) => None,
        received => {
            let (_, count) = received.expect("a packet can be received");
            Some(serde_json::from_slice(&buffer[..count]).expect("each packet is a JSON object"))
        }
    }
}

/// Packets up to the first of this type.
fn until(socket: &OwnedFd, kind: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last: &Value| last["type"] != kind) {
        seen.push(packet(socket).unwrap_or_else(|| panic!("the stream ends before {kind}: {seen:?}")));
    }
    seen
}

fn top(area: &Area) -> Program {
    // No service of this host is asked.
    area.bare_srt().args(&["top"]).env("SRT_MONITOR_SOCKET", area.text("outside/no-service"))
}

#[test]
fn an_observer_hears_what_happened_and_what_happens_and_the_end() {
    for_each_identity(|who| {
        let watched = Watched::start(who);
        let socket = watched.connect();
        let history = until(&socket, "usage");
        assert_eq!(history[0]["type"], "run");
        assert_eq!(history[0]["cwd"], watched.area.text("work"));
        assert_eq!(history[0]["pid"], watched.pid());
        assert!(history[0]["command"].as_str().is_some_and(|command| command.contains("denied.test")), "{history:?}");
        let host = history.iter().find(|line| line["type"] == "host").expect("the host is told");
        assert_eq!((&host["host"], &host["port"], &host["allowed"]), (&"denied.test".into(), &443.into(), &false.into()));
        let denied = watched.area.text("outside/denied");
        assert!(history.iter().any(|line| line["event"]["target"] == *denied && line["event"]["count"] == 1), "{history:?}");
        let usage = history.last().expect("there are packets");
        assert!(usage["processes"].as_u64().is_some_and(|count| (1..=4).contains(&count)), "{usage}");
        assert!(usage["memory"].as_u64().is_some_and(|bytes| bytes > 10_000), "{usage}");
        watched.end();
        let last = until(&socket, "exit");
        assert!(last.iter().any(|line| line["event"]["target"] == *denied && line["event"]["count"] == 2), "the final count: {last:?}");
        assert_eq!(last.last().expect("there are packets")["code"], 7);
        assert_eq!(packet(&socket), None);
    });
}

#[test]
fn only_the_user_of_a_run_and_root_are_told_anything() {
    as_root(|root| {
        let watched = Watched::start(root);
        for_each_identity(|who| {
            let area = Area::new(who);
            let told = area.probe_outside(&["receive-unix", &format!("@srt/run/0/{}", watched.pid())]).run();
            assert_eq!(told.out().contains("\"type\":\"run\""), who.is_root(), "{told}");
        });
        watched.end();
    });
}

#[test]
fn a_sandbox_cannot_reach_the_sockets_of_runs() {
    for_each_identity(|who| {
        let watched = Watched::start(who);
        let name = format!("@srt/run/{}/{}", who.uid, watched.pid());
        let control = watched.area.probe_outside(&["receive-unix", &name]).run();
        assert!(control.out().contains("\"type\":\"run\""), "outside it can be read: {control}");
        let inside = watched.area.probe(&watched.area.rules(), &["receive-unix", &name]).run();
        assert!(inside.out().contains("ECONNREFUSED") || inside.out().contains("EPERM"), "{inside}");
        assert!(!inside.out().contains("\"type\""), "{inside}");
        watched.end();
    });
}

#[test]
fn observers_that_never_read_keep_no_run_from_its_end() {
    for_each_identity(|who| {
        let area = Area::new(who);
        // Names long enough that what is told does not fit into the socket.
        let long = "n".repeat(200);
        let script = format!(
            "echo ready; while [ ! -e go ]; do sleep 0.05; done; for i in $(seq 900); do echo >{}/{long}$i; done 2>/dev/null; true",
            area.text("outside")
        );
        let mut running = area.shell(&area.rules(), &script).spawn();
        running.wait_for("ready");
        let watched = Watched { area, running };
        let silent: Vec<_> = (0..8).map(|_| watched.connect()).collect();
        // One more is turned away.
        let late = watched.connect();
        assert_eq!(packet(&late), None, "the ninth is not served");
        watched.area.file("work/go", "");
        let outcome = watched.running.wait();
        outcome.assert_code(0);
        // What fitted is in order, and begins with the run.
        assert_eq!(packet(&silent[0]).expect("what fitted is there")["type"], "run");
    });
}

#[test]
fn the_table_shows_a_run_to_its_user_and_to_root_and_to_nobody_else() {
    for_each_identity(|who| {
        let watched = Watched::start(who);
        let denied = watched.area.text("outside/denied");
        for_each_identity(|viewer| {
            let area = Area::new(viewer);
            let table = top(&area).args(&["--once"]).run();
            table.assert_code(0);
            let may_see = viewer.is_root() || viewer.uid == who.uid;
            let row = table.out().lines().any(|line| line.trim_start().starts_with(&format!("{} ", watched.pid())));
            assert_eq!(row, may_see, "{} looks at {}: {table}", viewer.name, who.name);
            assert_eq!(table.out().contains(&format!("allow: add \"{denied}\" to filesystem.allowWrite")), may_see, "{table}");
        });
        watched.end();
    });
}

/// A service that knows two runs: one of another network, and one that also speaks for itself.
fn service(path: &std::path::Path, known: u32, uid: u32) -> std::thread::JoinHandle<Value> {
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
    rustix::net::bind(&listener, &SocketAddrUnix::new(path).expect("the path fits")).expect("the address is free");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("a file just made can be changed");
    rustix::net::listen(&listener, 1).expect("the socket can listen");
    std::thread::spawn(move || {
        let watcher = rustix::net::accept(&listener).expect("a watcher comes");
        let asked = packet(&watcher).expect("the watcher asks");
        let run = |run: u32, pid: u32, command: &str| json!({"v": 1, "type": "run", "run": run, "uid": uid, "pid": pid, "command": command, "started": "2026-01-31T23:59:59.123Z"});
        let usage = json!({"v": 1, "type": "line", "run": 1, "line": {"v": 1, "type": "usage", "processes": 3, "memory": 5 << 20, "violations": 42}});
        for told in [run(1, 4_000_000, "far away"), usage, run(2, known, "told twice"), json!({"type": "dropped", "count": 1})] {
            rustix::net::send(&watcher, told.to_string().as_bytes(), SendFlags::NOSIGNAL).expect("the watcher listens");
        }
        // Until the watcher goes.
        while packet(&watcher).is_some() {}
        asked
    })
}

#[test]
fn runs_that_only_the_service_knows_are_shown_and_no_run_twice() {
    for_each_identity(|who| {
        let watched = Watched::start(who);
        let path = watched.area.path("outside/service");
        let service = service(&path, watched.pid(), who.uid);
        let table = top(&watched.area).args(&["--once"]).env("SRT_MONITOR_SOCKET", path.display().to_string()).run();
        table.assert_code(0);
        let far = table.out().lines().find(|line| line.ends_with("far away")).map(str::to_owned).unwrap_or_else(|| panic!("{table}"));
        assert!(far.contains("4000000") && far.contains("5.0 M") && far.contains(" 42 "), "{far}");
        assert!(!table.out().contains("told twice") && table.out().contains("denied.test"), "{table}");
        assert_eq!(service.join().expect("the service was asked"), json!({"v": 1, "type": "watch"}));
        watched.end();
    });
}

/// Sockets with the names of runs of this user, at which nobody answers.
fn bind_names(uid: u32, count: u32) -> Vec<OwnedFd> {
    let bind = move |number: u32| {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
        let name = format!("srt/run/{uid}/{}", 1_000_000_000 + number);
        rustix::net::bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("the name fits")).expect("the name is free");
        rustix::net::listen(&socket, 1).expect("it can listen");
        socket
    };
    std::thread::spawn(move || {
        // SAFETY: takes three numbers; of this thread alone. The kernel notes who listens.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, uid, -1) }, 0);
        (0..count).map(bind).collect()
    })
    .join()
    .expect("the thread binds")
}

#[test]
fn a_user_with_thousands_of_sockets_hides_no_run_of_another_from_root() {
    as_root(|root| {
        for_each_identity(|who| {
            let crowd = bind_names(64_903, 700);
            let watched = Watched::start(who);
            let area = Area::new(root);
            let table = top(&area).args(&["--once"]).run();
            table.assert_code(0);
            assert!(table.out().lines().any(|line| line.trim_start().starts_with(&format!("{} ", watched.pid()))), "{table}");
            assert!(table.out().contains(" that are not shown: there are too many"), "{table}");
            drop(crowd);
            watched.end();
        });
    });
}

#[test]
fn a_service_that_is_another_user_s_is_not_believed() {
    as_root(|root| {
        let area = Area::new(root);
        let path = area.path("outside/service");
        let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).expect("the path fits")).expect("the address is free");
        let (is_listening, listening) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // SAFETY: takes three numbers; of this thread alone. The kernel notes who listens.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, 64_903, -1) }, 0);
            rustix::net::listen(&listener, 8).expect("it can listen");
            is_listening.send(()).expect("the test waits");
            let forged = br#"{"v":1,"type":"run","run":1,"uid":0,"pid":1,"command":"forged","started":"2026-01-31T23:59:59.123Z"}"#;
            while let Ok(client) = rustix::net::accept(&listener) {
                let _ = rustix::net::send(&client, forged, SendFlags::NOSIGNAL);
                let _ = rustix::net::recv(&client, &mut [0; 100][..], RecvFlags::empty());
            }
        });
        listening.recv().expect("it listens");
        let table = top(&area).args(&["--once"]).env("SRT_MONITOR_SOCKET", path.display().to_string()).run();
        table.assert_code(0);
        assert!(!table.out().contains("forged"), "{table}");
    });
}

/// A screen of `srt top` on a terminal of its own.
fn live(area: &Area) -> Terminal {
    let terminal = Terminal::start(area, &area.outside("/bin/sh").args(&["-c", &shell(area)]).env("SRT_MONITOR_SOCKET", "/nowhere"));
    terminal.resize(40, 160);
    terminal
}

/// The settings of the terminal before and after, so that a test can compare them.
fn shell(area: &Area) -> String {
    let words = top(area).words().join(" ");
    format!("read go; stty -g >before; {words}; echo ended-$?; stty -g >after; cmp before after && echo restored; read end")
}

#[test]
fn denials_appear_as_they_come_and_quitting_restores_the_terminal() {
    for_each_identity(|who| {
        let watched = Watched::start(who);
        let area = Area::new(who);
        let mut terminal = live(&area);
        terminal.enter("go\n");
        terminal.wait_for("\x1b[?1049h");
        terminal.wait_for("denied.test:443");
        terminal.wait_for("filesystem.allowWrite");
        watched.end();
        terminal.wait_for("ended 7");
        terminal.enter("q");
        terminal.wait_for("ended-0");
        terminal.wait_for("restored");
        assert!(terminal.shown().contains("\x1b[?1049l"));
        terminal.enter("\n");
        terminal.wait();
    });
}

#[test]
fn a_signal_ends_it_and_restores_the_terminal() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let mut terminal = live(&area);
        terminal.enter("go\n");
        terminal.wait_for("\x1b[?1049h");
        let found = child(terminal.id());
        let pid = rustix::process::Pid::from_raw(found).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the viewer can be signalled");
        terminal.wait_for("ended-143");
        terminal.wait_for("restored");
        assert!(terminal.shown().contains("\x1b[?1049l"));
        terminal.enter("\n");
        terminal.wait();
    });
}

/// The other side of a pseudo-terminal is closed, as when a window is: reading finds the end of the input, again and again.
#[test]
fn it_ends_when_its_terminal_is_closed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let socket = area.text("tmp/tmux");
        let tmux = |words: &[&str]| area.outside("/usr/bin/tmux").args(&["-S", &socket, "-f", "/dev/null"]).args(words).run();
        if !std::path::Path::new("/usr/bin/tmux").exists() {
            srt_tests::skip!("tmux is not installed");
        }
        let words = format!("exec env SRT_MONITOR_SOCKET=/nowhere {}", top(&area).words().join(" "));
        tmux(&["new-session", "-d", "-x", "100", "-y", "30", &words]).assert_code(0);
        let start = Instant::now();
        while !tmux(&["capture-pane", "-p"]).out().contains("COMMAND") {
            assert!(start.elapsed() < patience(30), "nothing is shown");
            std::thread::sleep(Duration::from_millis(20));
        }
        let viewer: u32 = tmux(&["list-panes", "-F", "#{pane_pid}"]).out().trim().parse().expect("the pane has a process");
        tmux(&["kill-server"]).assert_code(0);
        while srt_tests::procs::stat_field(viewer, 3).is_some_and(|state| state != "Z") {
            if start.elapsed() > patience(30) {
                let pid = rustix::process::Pid::from_raw(viewer as i32).expect("a process id");
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                panic!("the viewer {viewer} lived on");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

/// The child of a shell that waits for it.
fn child(shell: u32) -> i32 {
    let start = Instant::now();
    loop {
        let mut text = String::new();
        let file = std::fs::File::open(format!("/proc/{shell}/task/{shell}/children"));
        file.and_then(|mut file| file.read_to_string(&mut text)).expect("the kernel lists children");
        if let Some(pid) = text.split_whitespace().next().and_then(|pid| pid.parse().ok()) {
            return pid;
        }
        assert!(start.elapsed() < patience(30), "the shell has no child");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = top(&area).run();
        outcome.assert_code(125);
        assert!(outcome.err().contains("is not a terminal") && outcome.err().contains("--once"), "{outcome}");
    });
}
