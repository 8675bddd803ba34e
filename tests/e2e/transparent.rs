//! Programs that know of no proxy: names, connections to any port, and what is refused.
//!
//! Allowed names lead to a parent proxy of the test's own, which leads every tunnel to one server of the host and remembers what was asked for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use rustix::net::{AddressFamily, SocketType};
use serde_json::json;
use srt_tests::server::{GREETING, Parent, Server};
use srt_tests::{Area, Identity, Outcome, Rules, for_each_identity, skip, skipped};

/// Is the program there for this identity? A missing one is a counted skip.
fn installed(area: &Area, name: &str) -> bool {
    let found = area.outside("/bin/sh").args(&["-c", &format!("command -v {name}")]).run().code() == Some(0);
    if !found {
        skipped(&format!("{}: {name} is not installed", area.who.name));
    }
    found
}

/// Rules that allow `*.host.test` and lead it through the parent.
fn rules(parent: &Parent) -> Rules {
    Rules::new().allow_domain("*.host.test").set("network", "parentProxy", json!({ "http": parent.url, "https": parent.url }))
}

/// Runs shell text inside without any variable of ours; `PATH` alone is set.
fn bare(area: &Area, rules: &Rules, text: &str) -> Outcome {
    area.srt(rules)
        .args(&["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", &format!("HOME={}", area.text("home")), "sh", "-c", text])
        .limit(120)
        .run()
}

/// As each identity, the text prints the greeting of a server behind `web.host.test:8099`, and that is all that was asked for.
#[track_caller]
fn reaches(tool: &str, text: &str) {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        if !installed(&area, tool) {
            return;
        }
        let parent = Parent::of(server.address);
        // Control: outside, nobody knows the name.
        let outside = area.outside("/bin/sh").args(&["-c", text]).limit(120).run();
        assert!(!outside.out().contains(GREETING), "{outside}");
        let outcome = bare(&area, &rules(&parent), text);
        outcome.assert_out_has(GREETING);
        assert!(outcome.events().is_empty(), "{outcome}");
        assert!(parent.asked().iter().all(|asked| asked == "web.host.test:8099"), "{:?}", parent.asked());
    });
}

#[test]
fn curl_without_proxy_variables_reaches_an_allowed_host() {
    reaches("curl", "curl -sS --max-time 20 http://web.host.test:8099/");
}

#[test]
fn a_socket_of_ipv6_alone_reaches_it() {
    reaches("curl", "curl -6 -sS --max-time 20 http://web.host.test:8099/");
}

#[test]
fn nodes_fetch_reaches_it() {
    reaches("node", "node -e 'fetch(\"http://web.host.test:8099/\").then(r => r.text()).then(console.log)'");
}

#[test]
fn java_reaches_it() {
    let program = r#"public class Get { public static void main(String[] a) throws Exception {
        System.out.write(new java.net.URL("http://web.host.test:8099/").openStream().readAllBytes()); System.out.flush(); } }"#;
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        if !installed(&area, "javac") {
            return;
        }
        area.file("outside/Get.java", program);
        area.outside("/bin/sh").args(&["-c", "javac -d ../outside ../outside/Get.java"]).limit(120).run().assert_code(0);
        let outcome = bare(&area, &rules(&Parent::of(server.address)), &format!("java -XX:-UsePerfData -cp {} Get", area.text("outside")));
        outcome.assert_out_has(GREETING);
        assert!(outcome.events().is_empty(), "{outcome}");
    });
}

/// A Go program without libc, built once; `None` where there is no Go.
fn go_program() -> Option<PathBuf> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program = r#"package main
import ("fmt"; "io"; "net"; "net/http"; "os")
func main() {
	if len(os.Args) > 2 { c, e := net.Dial("tcp6", os.Args[2]); if e != nil { fmt.Println(e); os.Exit(1) }; c.Close() }
	r, e := http.Get(os.Args[1]); if e != nil { fmt.Println(e); os.Exit(1) }
	io.Copy(os.Stdout, r.Body)
}"#;
    BUILT
        .get_or_init(|| {
            let directory = std::env::temp_dir().join(format!("srt-tests-go-{}", std::process::id()));
            std::fs::create_dir_all(&directory).ok()?;
            std::fs::write(directory.join("get.go"), program).ok()?;
            let built = Command::new("go").args(["build", "-o", "get", "get.go"]).env("CGO_ENABLED", "0").current_dir(&directory).status();
            let path = built.is_ok_and(|status| status.success()).then(|| std::fs::read(directory.join("get"))).and_then(Result::ok);
            let _removed = std::fs::remove_dir_all(&directory);
            let bytes = path?;
            let place = std::env::temp_dir().join(format!("srt-tests-go-get-{}", std::process::id()));
            std::fs::write(&place, bytes).ok()?;
            Some(place)
        })
        .clone()
}

#[test]
fn a_static_go_program_reaches_it() {
    let Some(program) = go_program() else { skip!("go is not installed") };
    let bytes = std::fs::read(&program).expect("a file just written can be read");
    let _removed = std::fs::remove_file(&program);
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        std::fs::write(area.path("outside/get"), &bytes).expect("the area can be written");
        area.outside("/bin/sh").args(&["-c", "chmod 755 ../outside/get || true"]).run();
        make_executable(&area);
        let text = format!("{} http://web.host.test:8099/ web.host.test:8099", area.text("outside/get"));
        bare(&area, &rules(&Parent::of(server.address)), &text).assert_out_has(GREETING);
    });
}

fn make_executable(area: &Area) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(area.path("outside/get"), std::fs::Permissions::from_mode(0o755)).expect("a mode can be changed");
}

#[test]
fn a_server_that_speaks_first_is_heard_on_an_odd_port() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::saying(b"hello-from-the-host\n", false));
        if !installed(&area, "nc") {
            return;
        }
        // Control: outside, at its own address.
        let outside = format!("nc -w 10 127.0.0.1 {} </dev/null", server.address.port());
        area.outside("/bin/sh").args(&["-c", &outside]).run().assert_out_has(GREETING);
        bare(&area, &rules(&Parent::of(server.address)), "nc -w 10 tcp.host.test 7 </dev/null").assert_out_has(GREETING);
    });
}

#[test]
fn psql_reaches_its_server() {
    // ErrorResponse: severity, code, message.
    let answer = b"E\0\0\0\x2eSFATAL\0VFATAL\0C28000\0Mhello-from-the-host\0\0";
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::saying(answer, true));
        if !installed(&area, "psql") {
            return;
        }
        let psql = |host: &str, port: u16| {
            format!("psql 'host={host} port={port} user=x dbname=x sslmode=disable gssencmode=disable connect_timeout=10' 2>&1")
        };
        // Control: outside, at its own address.
        area.outside("/bin/sh").args(&["-c", &psql("127.0.0.1", server.address.port())]).run().assert_out_has(GREETING);
        let text = &psql("db.host.test", 5433);
        bare(&area, &rules(&Parent::of(server.address)), text).assert_out_has(GREETING);
    });
}

#[test]
fn git_clones_over_ssh() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if !["git", "ssh", "ssh-keygen", "/usr/sbin/sshd"].iter().all(|tool| installed(&area, tool)) {
            return;
        }
        let Some(sshd) = Sshd::start(&area) else { skip!("{}: sshd does not start", who.name) };
        let made = "git init -q repo && cd repo && git config user.name a && git config user.email a@x.test && echo 1 >f && git add f && git commit -qm one";
        area.outside("/bin/sh").args(&["-c", made]).cwd(area.path("outside")).run().assert_code(0);
        let parent = Parent::of(sshd.address);
        let ssh = format!(
            "ssh -i {} -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes",
            area.text("outside/key")
        );
        let clone = |host: &str, port: u16, to: &str| {
            let repository = area.text("outside/repo");
            format!("GIT_SSH_COMMAND='{ssh}' git clone -q --template= ssh://{}@{host}:{port}{repository} {to} && cat {to}/f", sshd.user)
        };
        // Control: outside, at its own address.
        let outside = clone("127.0.0.1", sshd.address.port(), "control");
        area.outside("/bin/sh").args(&["-c", &outside]).run().assert_code(0).assert_prints("1");
        let rules = rules(&parent).allow_write(area.text("work")).set("filesystem", "allowGitConfig", json!(true));
        bare(&area, &rules, &clone("git.host.test", 2222, "copy")).assert_code(0).assert_prints("1");
        assert_eq!(parent.asked(), ["git.host.test:2222"]);
    });
}

/// An ssh server of the identity's own, for its own user, ended when dropped.
struct Sshd {
    address: SocketAddr,
    user: String,
    child: std::process::Child,
}

impl Sshd {
    fn start(area: &Area) -> Option<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).ok()?;
        let address = listener.local_addr().ok()?;
        drop(listener);
        let keys = "ssh-keygen -q -t ed25519 -N '' -f key && ssh-keygen -q -t ed25519 -N '' -f host && cp key.pub authorized && id -un";
        let made = area.outside("/bin/sh").args(&["-c", keys]).cwd(area.path("outside")).run();
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\n",
            address.port(),
            area.text("outside/host"),
            area.text("outside/authorized")
        );
        area.file("outside/sshd_config", &config);
        if area.who.is_root() {
            std::fs::create_dir_all("/run/sshd").ok()?;
        }
        let mut command = area.outside("/usr/sbin/sshd").args(&["-D", "-e", "-f", &area.text("outside/sshd_config")]).command();
        let child = command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().ok()?;
        let sshd = Sshd { address, user: made.out(), child };
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if start.elapsed() > srt_tests::patience(10) {
                return None;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some(sshd)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn a_host_that_is_down_is_refused_to_blocking_and_to_non_blocking_programs() {
    for_each_identity(|who| {
        let area = Area::new(who);
        // Bound to the end, so that nobody else gets the port, and never listening.
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("the host's loopback has a free port");
        let closed = rustix::net::getsockname(&socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
        let rules = rules(&Parent::of(closed.expect("a bound socket has an address")));
        if installed(&area, "nc") {
            // One that must not block is not kept waiting for long: on a busy machine it may be let in first, and then reset. So more than one try.
            let refused = || bare(&area, &rules, "nc -z -w 5 tcp.host.test 5432; echo $?").out() == "1";
            assert!((0..20).any(|_| refused()), "as {}", who.name);
        }
        bare(&area, &rules, "bash -c 'exec 3<>/dev/tcp/tcp.host.test/5432' 2>&1").assert_out_has("Connection refused");
    });
}

#[test]
fn what_is_denied_is_refused_fast_with_one_event_that_names_the_process() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let parent = Parent::of(server.address);
        let rules = rules(&parent).deny_domain("*.host.test:22");
        for (host, port, event) in [("192.0.2.1", 443, "192.0.2.1:443"), ("web.host.test", 22, "web.host.test:22")] {
            let start = Instant::now();
            let outcome = bare(&area, &rules, &format!("bash -c 'exec 3<>/dev/tcp/{host}/{port}' 2>&1"));
            outcome.assert_out_has("Connection refused").assert_one_event(event, "net.").assert_err_has(" by bash[");
            assert!(start.elapsed() < srt_tests::patience(20), "a refusal is no time-out");
        }
        assert_eq!((server.accepted(), parent.asked().len()), (0, 0));
    });
}

#[test]
fn a_name_that_is_not_allowed_does_not_exist_and_one_event_says_so() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = bare(&area, &Rules::new().allow_domain("*.host.test"), "getent ahosts evil.test; echo $?");
        outcome.assert_prints("2").assert_one_event("evil.test", "net.default");
        let fine = bare(&area, &Rules::new().allow_domain("*.host.test"), "getent ahostsv4 a.host.test; getent hosts localhost");
        fine.assert_out_has("198.18.0.1");
        assert!(fine.events().is_empty(), "{fine}");
    });
}

#[test]
fn the_resolver_is_the_sandboxs_own_and_cannot_be_changed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let before = std::fs::read("/etc/resolv.conf").ok();
        if before.is_none() {
            skip!("this host has no /etc/resolv.conf");
        }
        let outcome = bare(&area, &Rules::new(), "grep ^nameserver /etc/resolv.conf; echo x 2>/dev/null >/etc/resolv.conf || echo kept");
        outcome.assert_prints("nameserver 127.0.0.1\nkept");
        assert_eq!(std::fs::read("/etc/resolv.conf").ok(), before);
    });
}

#[test]
fn datagrams_other_than_name_lookups_are_refused_with_an_event() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.probe(&Rules::new().allow_domain("192.0.2.1"), &["send-udp", "192.0.2.1:123"]).run();
        outcome.assert_prints("ECONNREFUSED").assert_one_event("192.0.2.1:123", "net.udp");
    });
}

#[test]
fn a_listed_port_of_the_loopback_is_the_hosts_and_no_other() {
    for_each_identity(|who| {
        let (area, server, other) = (Area::new(who), Server::http(), Server::http());
        let rules = Rules::new().set("network", "allowHostPorts", json!([server.address.port()]));
        for host in ["127.0.0.1", "localhost"] {
            bare(&area, &rules, &format!("curl -sS http://{host}:{}/", server.address.port())).assert_out_has(GREETING);
        }
        area.probe(&rules, &["connect-tcp", &other.literal()]).run().assert_prints("ECONNREFUSED");
        assert_eq!(other.accepted(), 0);
    });
}

#[test]
fn connecting_to_the_listener_by_itself_leads_nowhere() {
    for_each_identity(|who: Identity| {
        let (area, server) = (Area::new(who), Server::http());
        let text = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/3129; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'";
        let outcome = bare(&area, &Rules::new().allow_domain(server.name()), text);
        assert!(!outcome.out().contains(GREETING), "{outcome}");
        assert_eq!(server.accepted(), 0);
    });
}
