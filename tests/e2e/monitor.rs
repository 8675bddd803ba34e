//! `srt monitor`: who is told what, and what clients cannot do to it.
//!
//! The clients here speak the protocol by themselves. A sandbox is a shell in namespaces of its own; the oracle is what that shell did.

use std::io::{BufRead as _, BufReader, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use srt_tests::{Area, Identity, Program, Running, as_root, for_each_identity, patience, skip};

/// The end of what hangs.
fn limit() -> Duration {
    patience(30)
}

/// A service of the test's own.
struct Service<'a> {
    area: &'a Area,
    running: Option<Running>,
}

impl<'a> Service<'a> {
    /// `None` where the kernel refuses the program.
    fn start(area: &'a Area, options: &[&str]) -> Option<Service<'a>> {
        let service = Service { area, running: Some(Self::program(area, options).spawn()) };
        let start = Instant::now();
        while Client::try_connect(&service.socket()).is_none() {
            let gone = !Path::new(&format!("/proc/{}/fd/0", service.id())).exists();
            if gone || start.elapsed() > limit() {
                let outcome = service.stop();
                assert!(outcome.err().contains("eBPF") || outcome.err().contains("btf"), "{outcome}");
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(service)
    }

    fn program(area: &Area, options: &[&str]) -> Program {
        area.bare_srt().args(&["monitor", "--socket", &area.text("run/monitor.sock")]).args(options)
    }

    fn socket(&self) -> PathBuf {
        self.area.path("run/monitor.sock")
    }

    fn id(&self) -> u32 {
        self.running.as_ref().expect("it runs").id()
    }

    fn stop(mut self) -> srt_tests::Outcome {
        let running = self.running.take().expect("it runs");
        running.signal(Signal::TERM);
        running.wait()
    }

    fn watch(&self, who: Identity) -> Client {
        let client = Client::connect_as(&self.socket(), who);
        client.send(&json!({"v": 1, "type": "watch"}));
        client
    }

    /// Registers a sandbox as a run, as soon as the service has seen that an earlier run of it has ended.
    fn run(&self, who: Identity, sandbox: &Sandbox, command: &str) -> Client {
        let start = Instant::now();
        loop {
            let client = Client::connect_as(&self.socket(), who);
            client.greet(sandbox.namespace("pid").as_fd(), command);
            let answer = client.next_object();
            if answer["type"] == "watching" {
                return client;
            }
            let still_there = answer["message"] == "this sandbox is watched already" && start.elapsed() < limit();
            assert!(still_there, "{answer}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.signal(Signal::TERM);
        }
    }
}

/// One end of a conversation with the service.
struct Client(OwnedFd);

impl Client {
    fn try_connect(path: &Path) -> Option<Client> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).ok()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path).ok()?).ok()?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(limit())).ok()?;
        Some(Client(socket))
    }

    /// Connects as another user: the kernel notes who connects.
    fn connect_as(path: &Path, who: Identity) -> Client {
        std::thread::scope(|scope| {
            let connecting = scope.spawn(|| {
                // Of this thread alone: the system call, not the function of the C library, which changes all threads.
                // SAFETY: takes three numbers.
                let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, who.uid, -1) };
                assert_eq!(changed, 0, "root may become anybody");
                Client::try_connect(path).expect("the service listens")
            });
            connecting.join().expect("the thread connects")
        })
    }

    fn send(&self, object: &Value) {
        self.send_bytes(object.to_string().as_bytes(), &[]).expect("the service takes it");
    }

    fn send_bytes(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> rustix::io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(descriptors.is_empty() || control.push(SendAncillaryMessage::ScmRights(descriptors)));
        rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    fn greet(&self, namespace: BorrowedFd<'_>, command: &str) {
        let hello = json!({"v": 1, "type": "run", "watch": 0, "command": command}).to_string();
        self.send_bytes(hello.as_bytes(), &[namespace]).expect("the service takes it");
    }

    /// The next packet; empty at the end of the connection.
    fn next(&self) -> Vec<u8> {
        let mut buffer = vec![0; 70_000];
        let mut nothing = rustix::net::RecvAncillaryBuffer::default();
        let received = loop {
            match rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut buffer)], &mut nothing, RecvFlags::empty()) {
                Err(rustix::io::Errno::CONNRESET) => {}
                received => break received.expect("something comes before the time limit"),
            }
        };
        buffer.truncate(received.bytes);
        buffer
    }

    fn next_object(&self) -> Value {
        let packet = self.next();
        serde_json::from_slice(&packet).unwrap_or_else(|error| panic!("{error}: {packet:?}"))
    }

    /// The next object of this type.
    fn wait(&self, kind: &str) -> Value {
        loop {
            let packet = self.next();
            assert!(!packet.is_empty(), "the connection ended without {kind}");
            if let Ok(object) = serde_json::from_slice::<Value>(&packet)
                && object["type"] == kind
            {
                return object;
            }
        }
    }

    /// Records with this text, and how many are said to be lost, up to now.
    fn seen(&self, text: &str) -> (u64, u64) {
        self.send(&json!({"v": 1, "type": "sync"}));
        let (mut records, mut lost) = (0, 0);
        loop {
            let packet = self.next();
            match packet.first() {
                Some(b'R') => records += u64::from(packet.windows(text.len()).any(|window| window == text.as_bytes())),
                Some(b'L') => lost += u64::from_ne_bytes(packet[1..].try_into().expect("a number")),
                Some(b'{') if packet.starts_with(br#"{"v":1,"type":"synced","#) => return (records, lost),
                Some(b'{') => {}
                _ => panic!("the connection ended"),
            }
        }
    }
}

/// A shell in namespaces of its own, which does what it is told line by line.
struct Sandbox {
    unshare: Child,
    init: u32,
}

impl Sandbox {
    fn new(who: Identity) -> Sandbox {
        let mut command = Command::new("unshare");
        command.args(["-U", "-p", "-f", "--kill-child", "/bin/bash", "--norc"]).env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
        who.apply(&mut command);
        let unshare = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("unshare starts");
        let pid = unshare.id();
        let mut sandbox = Sandbox { init: 0, unshare };
        sandbox.tell("true");
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("unshare runs");
        sandbox.init = children.trim().parse().expect("it has one child");
        sandbox
    }

    /// Runs a line of shell and waits for its end.
    fn tell(&mut self, line: &str) {
        writeln!(self.unshare.stdin.as_mut().expect("a pipe"), "{line}\necho done").expect("the shell reads");
        let mut answer = [0; 5];
        self.unshare.stdout.as_mut().expect("a pipe").read_exact(&mut answer).expect("the shell answers");
        assert_eq!(&answer, b"done\n");
    }

    /// Opens a file that it may not open, so often.
    fn fail(&mut self, path: &str, times: u32) {
        self.tell(&format!("for ((i = 0; i < {times}; i++)); do : < {path}; done"));
    }

    fn namespace(&self, kind: &str) -> OwnedFd {
        std::fs::File::open(format!("/proc/{}/ns/{kind}", self.init)).expect("the namespace is there").into()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.unshare.stdin.take());
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// A file that only root may read, for a user; in an area of the test's own.
fn secret(area: &Area) -> String {
    let path = area.file("outside/secret", "x");
    rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0)).expect("root may");
    path.display().to_string()
}

const USER: Identity = Identity { name: "user", uid: 64_901, gid: 64_901 };
const OTHER: Identity = Identity { name: "other", uid: 64_902, gid: 64_902 };

/// Runs a test with a service, where there can be one.
fn with_service(options: &[&str], test: impl Fn(&Area, Service<'_>)) {
    as_root(|who| {
        if is_user_namespace_denied() {
            skip!("user namespaces are refused");
        }
        let area = Area::new(who);
        match Service::start(&area, options) {
            Some(service) => test(&area, service),
            None => skip!("eBPF: the kernel refuses the program"),
        }
    });
}

fn is_user_namespace_denied() -> bool {
    let mut command = Command::new("unshare");
    command.args(["-U", "-p", "-f", "true"]).stderr(Stdio::null());
    USER.apply(&mut command);
    !command.status().is_ok_and(|status| status.success())
}

#[test]
fn a_run_hears_of_each_denied_read_and_of_nobody_else_s() {
    with_service(&[], |area, service| {
        let secret = secret(area);
        let (mut one, mut other) = (Sandbox::new(USER), Sandbox::new(OTHER));
        let (run, other_run) = (service.run(USER, &one, "one"), service.run(OTHER, &other, "other"));
        one.fail(&secret, 5);
        other.fail(&secret, 3);
        assert_eq!((run.seen(&secret), other_run.seen(&secret)), ((5, 0), (3, 0)));
        other.fail(&secret, 1);
        assert_eq!(run.seen(&secret), (0, 0));
        service.stop().assert_code(0);
        assert!(run.next().is_empty() && !area.has("run/monitor.sock"));
    });
}

#[test]
fn a_watcher_sees_the_sandboxes_of_his_own_user_only_and_root_sees_all() {
    with_service(&[], |_, service| {
        let (one, other) = (Sandbox::new(USER), Sandbox::new(OTHER));
        let run = service.run(USER, &one, "early");
        run.send(&json!({"v": 1, "type": "host", "host": "kept.test", "port": 443, "allowed": true}));
        assert_eq!(run.seen("nothing"), (0, 0));
        let watcher = service.watch(USER);
        let shown = watcher.wait("run");
        assert_eq!((shown["command"].as_str(), shown["uid"].as_u64()), (Some("early"), Some(u64::from(USER.uid))), "{shown}");
        assert_eq!(watcher.wait("line")["line"]["host"], "kept.test", "what was said before is told too");
        assert_eq!(run.wait("observed")["by"], 1);
        let root = service.watch(Identity { name: "root", uid: 0, gid: 0 });
        assert_eq!(root.wait("run")["command"], "early");
        let other_run = service.run(OTHER, &other, "of another");
        other_run.send(&json!({"v": 1, "type": "usage", "processes": 1, "memory": 1}));
        let second = root.wait("run");
        assert_eq!(second["command"], "of another");
        assert_eq!(root.wait("line")["line"]["type"], "usage");
        drop(other_run);
        assert_eq!(root.wait("end")["run"], second["run"]);
        drop(run);
        // The next that this watcher hears is of his own run: nothing of the other came between.
        loop {
            let packet = watcher.next_object();
            assert_eq!(packet["run"], shown["run"], "{packet}");
            if packet["type"] == "end" {
                break;
            }
        }
    });
}

#[test]
fn lies_are_refused() {
    with_service(&[], |area, service| {
        let (own, foreign) = (Sandbox::new(USER), Sandbox::new(OTHER));
        let open = |path: &str| -> OwnedFd { std::fs::File::open(path).expect("it opens").into() };
        let named = area.file("outside/pid:[4026531999]", "");
        // Where the tests run in a pid namespace of their own, it is root's.
        let own_place = open("/proc/self/ns/pid");
        let is_host = std::fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name == Path::new("pid:[4026531836]"));
        let cases = [
            (USER, open("/dev/null"), "a device"),
            (USER, open(&named.display().to_string()), "a file with the name of a namespace"),
            (USER, own.namespace("user"), "a namespace of another type"),
            (USER, own.namespace("mnt"), "a namespace of another type"),
            (USER, foreign.namespace("pid"), "a namespace of another user"),
            (USER, own_place.try_clone().expect("it can be copied"), "the host's"),
            (Identity { name: "root", uid: 0, gid: 0 }, own_place, "the host's, for root"),
        ];
        for (who, descriptor, what) in cases {
            if who.is_root() && !is_host {
                continue;
            }
            let client = Client::connect_as(&service.socket(), who);
            client.greet(descriptor.as_fd(), "liar");
            let answer = client.next_object();
            assert_eq!(answer["type"], "error", "{what}: {answer}");
            assert!(client.next().is_empty(), "{what}: the connection ends");
        }
        let honest = service.run(USER, &own, "honest");
        let again = Client::connect_as(&service.socket(), USER);
        again.greet(own.namespace("pid").as_fd(), "twice");
        assert_eq!(again.next_object()["type"], "error", "a sandbox is watched once");
        assert_eq!(honest.seen("nothing"), (0, 0));
    });
}

#[test]
fn nonsense_ends_one_connection_and_no_other() {
    with_service(&[], |_, service| {
        let sandboxes = [Sandbox::new(USER), Sandbox::new(USER)];
        let honest = service.run(USER, &sandboxes[0], "honest");
        let namespace = sandboxes[1].namespace("pid");
        for packet in [&b"x"[..], b"{}", b"[]", &[0xff; 30_000], br#"{"v":1,"type":"sync"}"#, br#"{"v":9,"type":"watch"}"#] {
            for descriptors in [&[][..], &[namespace.as_fd()], &[namespace.as_fd(); 8]] {
                let client = Client::connect_as(&service.socket(), OTHER);
                client.send_bytes(packet, descriptors).expect("it goes out");
                assert_eq!(client.next_object()["type"], "error");
            }
        }
        for packet in [&b"\n"[..], b"{\"v\":1,\"type\":\"host\",\"x\":\"\xc3\xa4\"}", &[b'{'; 65_536]] {
            let client = service.run(USER, &sandboxes[1], "rude");
            client.send_bytes(packet, &[]).expect("it goes out");
            assert_eq!(client.wait("error")["type"], "error");
            assert!(client.next().is_empty());
        }
        let loaded = service.run(USER, &sandboxes[1], "loaded");
        loaded.send_bytes(br#"{"v":1,"type":"exit"}"#, &[namespace.as_fd()]).expect("it goes out");
        assert_eq!(loaded.wait("error")["type"], "error", "descriptors come with a greeting only");
        assert_eq!(honest.seen("nothing"), (0, 0));
    });
}

/// A TCP socket whose last close takes longer than a test waits.
fn lingering() -> (OwnedFd, std::net::TcpListener) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let mut stream = std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("it connects");
    stream.set_nonblocking(true).expect("it can be");
    while stream.write(&[0; 65_536]).is_ok() {}
    sockopt::set_socket_linger(&stream, Some(2 * limit())).expect("it can be");
    (stream.into(), listener)
}

#[test]
fn descriptors_that_take_long_to_close_hold_nobody_up() {
    with_service(&[], |_, service| {
        let sandbox = Sandbox::new(USER);
        let honest = service.run(USER, &sandbox, "honest");
        let mut listeners = Vec::new();
        let hello = json!({"v": 1, "type": "run", "watch": 0, "command": "x"}).to_string();
        for packets in [&[hello.as_str()][..], &["nonsense"], &["nonsense", "unread", "unread"]] {
            let client = Client::connect_as(&service.socket(), OTHER);
            for packet in packets {
                let (trap, listener) = lingering();
                if client.send_bytes(packet.as_bytes(), &[trap.as_fd()]).is_err() {
                    // The connection was ended after the packet before; and here nobody is to be trapped.
                    sockopt::set_socket_linger(&trap, None).expect("it can be");
                }
                listeners.push(listener);
            }
        }
        let start = Instant::now();
        assert_eq!(honest.seen("nothing"), (0, 0));
        assert!(start.elapsed() < limit(), "a trap would take twice as long");
    });
}

#[test]
fn descriptors_that_find_no_room_hold_nobody_up_either() {
    with_service(&[], |_, service| {
        let sandbox = Sandbox::new(USER);
        let honest = service.run(USER, &sandbox, "honest");
        let count = || std::fs::read_dir(format!("/proc/{}/fd", service.id())).expect("it runs").count() as u64;
        let before = count();
        let rude = Client::connect_as(&service.socket(), OTHER);
        while count() == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        // From now on the service can have no more descriptors: the kernel closes what it cannot hand over.
        let id = rustix::process::Pid::from_raw(service.id() as i32).expect("a process id");
        let open = count();
        let descriptors = rustix::process::Rlimit { current: Some(open - 2), maximum: Some(open - 2) };
        rustix::process::prlimit(Some(id), rustix::process::Resource::Nofile, descriptors).expect("root may");
        let (trap, _listener) = lingering();
        rude.send_bytes(b"nonsense", &[trap.as_fd()]).expect("it goes out");
        drop(trap);
        let start = Instant::now();
        assert_eq!(rude.next_object()["type"], "error");
        assert_eq!(honest.seen("nothing"), (0, 0));
        assert!(start.elapsed() < limit(), "the trap would take a minute");
        service.stop().assert_code(0);
    });
}

#[test]
fn all_runs_of_a_user_together_say_no_more_than_one_may_and_others_are_heard_meanwhile() {
    with_service(&[], |_, service| {
        let sandboxes: Vec<Sandbox> = (0..4).map(|_| Sandbox::new(USER)).collect();
        let loud: Vec<Client> = sandboxes.iter().map(|sandbox| service.run(USER, sandbox, "loud")).collect();
        let quiet = Sandbox::new(OTHER);
        let line = json!({"v": 1, "type": "usage", "x": "x".repeat(30_000)}).to_string();
        let (start, mut taken) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(3) {
            taken += loud.iter().filter(|run| run.send_bytes(line.as_bytes(), &[]).is_ok()).count() * line.len();
            let once = Instant::now();
            let run = service.run(OTHER, &quiet, "quiet");
            assert_eq!(run.seen("nothing"), (0, 0));
            assert!(once.elapsed() < limit(), "another user waits {:?}", once.elapsed());
        }
        // What may be said at once, what may be said each second, and what waits in the sockets.
        let most = (2 << 20) + (512 << 10) * (start.elapsed().as_secs() as usize + 1) + loud.len() * (256 << 10);
        assert!(taken < most, "{taken} bytes were taken");
    });
}

#[test]
fn floods_and_readers_who_do_not_read_lose_records_of_their_own_and_each_is_counted() {
    with_service(&[], |area, service| {
        let secret = secret(area);
        let (mut loud, mut quiet) = (Sandbox::new(USER), Sandbox::new(OTHER));
        let (deaf, honest) = (service.run(USER, &loud, "loud"), service.run(OTHER, &quiet, "quiet"));
        let blind = service.watch(USER);
        loud.fail(&secret, 20_000);
        quiet.fail(&secret, 7);
        assert_eq!(honest.seen(&secret), (7, 0));
        let (records, lost) = deaf.seen(&secret);
        assert!(lost > 0, "it did not read: {records}");
        assert_eq!(records + lost, 20_000);
        // More than the watcher is kept, who does not read at all.
        let line = json!({"v": 1, "type": "host", "host": "x".repeat(900)}).to_string();
        let start = Instant::now();
        for _ in 0..3000 {
            while deaf.send_bytes(line.as_bytes(), &[]).is_err() {
                assert!(start.elapsed() < limit(), "the service does not read");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let sent = (0..50_000).take_while(|_| deaf.send_bytes(line.as_bytes(), &[]).is_ok()).count();
        assert!(sent < 50_000, "the flood is slowed down");
        quiet.fail(&secret, 2);
        assert_eq!(honest.seen(&secret), (2, 0));
        assert!(blind.wait("dropped")["count"].as_u64() > Some(0), "the watcher learns what he missed");
    });
}

#[test]
fn callers_that_die_leave_nothing_behind() {
    with_service(&[], |_, service| {
        let count = || std::fs::read_dir(format!("/proc/{}/fd", service.id())).expect("it runs").count();
        let sandbox = Sandbox::new(USER);
        let before = count();
        for round in 0..50 {
            let run = service.run(USER, &sandbox, "short");
            let watcher = service.watch(USER);
            if round % 2 == 0 {
                assert_eq!(watcher.wait("run")["command"], "short");
            }
            drop((run, watcher));
            // The same namespace again: the place is free as soon as the end is seen.
            let start = Instant::now();
            while count() > before && start.elapsed() < limit() {
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(count() <= before, "round {round}: {} descriptors in place of {before}", count());
        }
    });
}

#[test]
fn one_user_cannot_take_the_places_of_another() {
    with_service(&[], |_, service| {
        let many: Vec<Client> = (0..600).map(|_| Client::connect_as(&service.socket(), USER)).collect();
        let sandbox = Sandbox::new(OTHER);
        let run = service.run(OTHER, &sandbox, "honest");
        assert_eq!(run.seen("nothing"), (0, 0));
        assert_eq!(many[599].next_object()["type"], "error", "beyond what one user may have");
    });
}

#[test]
fn a_service_that_was_killed_is_followed_by_another_at_the_same_place() {
    with_service(&[], |area, mut first| {
        let second = Service::program(area, &[]).run();
        second.assert_code(125).assert_err_has("another service");
        let mut sandbox = Sandbox::new(USER);
        let run = first.run(USER, &sandbox, "lasting");
        let killed = first.running.take().expect("it runs");
        killed.signal(Signal::KILL);
        drop(killed.wait());
        assert!(run.next().is_empty() && area.has("run/monitor.sock"), "it had no time to clean up");
        sandbox.tell("true");
        let Some(next) = Service::start(area, &[]) else { panic!("the first one started") };
        let secret = secret(area);
        let run = next.run(USER, &sandbox, "lasting");
        sandbox.fail(&secret, 2);
        assert_eq!(run.seen(&secret), (2, 0), "a run that comes back is watched again");
        next.stop().assert_code(0);
    });
}

/// A denied read as a run tells of it.
fn violation(target: &str) -> Value {
    json!({"v": 1, "type": "violation", "event": {
        "v": 1, "time": "2026-01-31T23:59:59.123Z", "kind": "fs.read", "operation": "openat", "target": target, "errno": "EACCES",
        "process": {"pid": 4711, "ppid": 1, "exe": "/bin/cat", "comm": "cat", "argv": ["cat", target]},
        "rule": {"id": "fs.deny-read.1", "origin": "built-in default"}, "reason": "hidden", "allow": null, "source": "ebpf", "count": 1}})
}

#[test]
fn the_stream_of_the_host_is_json_lines_of_the_service_and_of_who_attaches_to_it() {
    with_service(&["--json"], |area, service| {
        let mut attached = Service::program(area, &["--json"]).spawn();
        let sandbox = Sandbox::new(USER);
        let run = service.run(USER, &sandbox, "shown \u{1b}[2J");
        attached.wait_for("\"type\":\"run\"");
        run.send(&violation("/secret"));
        attached.wait_for("/secret");
        drop(run);
        attached.wait_for("\"type\":\"end\"");
        let own = service.stop();
        own.assert_code(0);
        let attached = attached.wait();
        attached.assert_code(0);
        for outcome in [own, attached] {
            let lines: Vec<Value> = outcome.out().lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect();
            assert_eq!(
                lines.iter().map(|line| line["type"].as_str().unwrap_or_default()).collect::<Vec<_>>(),
                ["run", "line", "end"],
                "{outcome}"
            );
            assert_eq!((&lines[0]["command"], &lines[1]["line"]), (&json!("shown \u{1b}[2J"), &violation("/secret")));
            assert!(!outcome.out().contains('\u{1b}'), "nothing in it moves a terminal");
        }
    });
}

/// Somebody who listens in the place of a service, and sends this to who comes first.
fn pretend(path: &Path, who: Identity, packet: &'static [u8]) -> std::thread::JoinHandle<()> {
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
    rustix::net::bind(&listener, &SocketAddrUnix::new(path).expect("the path fits")).expect("the address is free");
    rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(0o666)).expect("root may");
    let (is_listening, listening) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        // SAFETY: takes three numbers; of this thread alone. The kernel notes who listens.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, who.uid, -1) }, 0);
        rustix::net::listen(&listener, 1).expect("it can listen");
        is_listening.send(()).expect("the test waits");
        let client = rustix::net::accept(&listener).expect("somebody comes");
        // Who does not believe us has gone already.
        let _ = rustix::net::recv(&client, &mut [0; 100][..], RecvFlags::empty());
        let _ = rustix::net::send(&client, packet, SendFlags::NOSIGNAL);
    });
    listening.recv().expect("it listens");
    thread
}

#[test]
fn nothing_is_printed_but_what_a_service_of_root_s_or_of_one_s_own_says() {
    const FORGED: &[u8] = br#"{"v":1,"type":"run","run":1,"uid":0,"pid":1,"command":"forged","started":"2026-01-31T23:59:59.123Z"}"#;
    const RAW: &[u8] = b"{\"v\":1,\"type\":\"end\",\"run\":\"\x1b]0;title\x07\"}";
    for_each_identity(|who| {
        if !rustix::process::geteuid().is_root() {
            skip!("only root can be another user");
        }
        for (listener, packet, complaint) in [
            (OTHER, FORGED, "neither root's nor this user's"),
            (Identity { name: "root", uid: 0, gid: 0 }, RAW, "does not speak the protocol"),
        ] {
            let area = Area::new(who);
            let path = area.path("outside/pretended");
            let thread = pretend(&path, listener, packet);
            let outcome = area.bare_srt().args(&["monitor", "--json", "--socket", &path.display().to_string()]).run();
            outcome.assert_code(125).assert_err_has(complaint);
            assert_eq!(outcome.out(), "", "{outcome}");
            thread.join().expect("it was called");
        }
    });
}

/// One request of HTTP: its head and its body.
fn request(listener: &std::net::TcpListener) -> (String, Vec<u8>) {
    let (stream, _) = listener.accept().expect("it connects");
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).expect("a line") > 0, "{head}");
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).expect("the body");
    stream
        .get_mut()
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        .expect("it is answered");
    (head, body)
}

#[test]
fn denials_are_exported_as_opentelemetry_logs() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    with_service(&["--otlp", &endpoint], |_, service| {
        let sandbox = Sandbox::new(USER);
        let run = service.run(USER, &sandbox, "exported");
        run.send(&json!({"v": 1, "type": "violation", "event": "no event"}));
        run.send(&violation("/etc/exported-secret"));
        let (head, body) = request(&listener);
        assert!(head.starts_with("POST /v1/logs HTTP/1.1\r\n") && head.contains("application/x-protobuf"), "{head}");
        let has = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
        for text in
            ["srt.violation", "fs.read", "file.path", "/etc/exported-secret", "user.id", "64901", "process.executable.path", "service.name"]
        {
            assert!(has(text), "{text}: {}", String::from_utf8_lossy(&body));
        }
        service.stop().assert_code(0);
    });
}

#[test]
fn an_endpoint_that_is_dead_costs_the_runs_nothing() {
    // Takes connections and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    with_service(&["--otlp", &endpoint], |_, service| {
        let sandbox = Sandbox::new(USER);
        let run = service.run(USER, &sandbox, "exported");
        for number in 0..3000 {
            run.send(&violation(&format!("/secret/{number}")));
            if number % 100 == 0 {
                assert_eq!(run.seen("nothing"), (0, 0));
            }
        }
        service.stop().assert_code(0);
    });
}
