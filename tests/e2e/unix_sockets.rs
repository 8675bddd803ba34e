//! UNIX sockets.

use std::os::unix::net::{UnixDatagram, UnixListener};

use serde_json::json;
use srt_tests::{Area, for_each_identity};

/// Any refusal will do but a connection.
const REFUSED: &[&str] = &["EPERM", "EACCES", "ECONNREFUSED"];

/// A listener on the host that the identity may connect to.
fn listener(area: &Area) -> UnixListener {
    let path = area.path("outside/socket");
    let listener = UnixListener::bind(&path).expect("a socket can be bound in a test area");
    open_to_all(&path);
    listener
}

fn open_to_all(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("the owner may change a mode");
}

#[test]
fn a_stream_socket_of_the_host_is_not_reached() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let _listener = listener(&area);
        let operation = ["connect-unix", "stream", &area.text("outside/socket")];
        area.probe_outside(&operation).run().assert_prints("ok");
        area.probe(&area.rules(), &operation).run().assert_prints_one_of(REFUSED);
    });
}

#[test]
fn a_datagram_socket_of_the_host_is_not_reached() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let path = area.path("outside/socket");
        let host = UnixDatagram::bind(&path).expect("a socket can be bound in a test area");
        open_to_all(&path);
        host.set_nonblocking(true).expect("a socket can be switched");
        let path = area.text("outside/socket");
        area.probe_outside(&["sendto-unix", &path]).run().assert_prints("ok");
        assert!(host.recv(&mut [0; 8]).is_ok(), "the control's datagram arrives");
        area.probe(&area.rules(), &["sendto-unix", &path]).run().assert_prints_one_of(REFUSED);
        area.probe(&area.rules(), &["connect-unix", "dgram", &path]).run().assert_prints_one_of(REFUSED);
        area.probe_outside(&["pair-sendto-unix", &path]).run().assert_prints("ok");
        assert!(host.recv(&mut [0; 8]).is_ok(), "the control's datagram arrives");
        area.probe(&area.rules(), &["pair-sendto-unix", &path]).run().assert_prints_one_of(REFUSED);
        assert!(host.recv(&mut [0; 8]).is_err(), "a datagram reached the host");
    });
}

#[test]
fn an_abstract_socket_of_the_host_is_not_reached() {
    use std::os::linux::net::SocketAddrExt;
    for_each_identity(|who| {
        let area = Area::new(who);
        let name = format!("srt-tests-{}-{}", std::process::id(), who.name);
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a short name");
        let _listener = UnixListener::bind_addr(&address).expect("an abstract name is free");
        let name = format!("@{name}");
        area.probe_outside(&["connect-unix", "stream", &name]).run().assert_prints("ok");
        area.probe(&area.rules(), &["connect-unix", "stream", &name]).run().assert_prints_one_of(REFUSED);
        let all = area.rules().set("network", "allowAllUnixSockets", json!(true));
        area.probe(&all, &["connect-unix", "stream", &name]).run().assert_prints_one_of(REFUSED);
    });
}

#[test]
fn all_sockets_with_a_path_are_reached_when_the_settings_say_so() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let _listener = listener(&area);
        let rules = area.rules().set("network", "allowAllUnixSockets", json!(true));
        area.probe(&rules, &["connect-unix", "stream", &area.text("outside/socket")]).run().assert_prints("ok");
        area.probe(&rules, &["bind-unix", &area.text("work/own")]).run().assert_prints("ok");
    });
}

#[test]
fn a_pair_of_sockets_without_names_always_works() {
    for_each_identity(|who| {
        let area = Area::new(who);
        // Stream and sequenced packets, also with SOCK_CLOEXEC and SOCK_NONBLOCK.
        for kind in ["1", "5", "0o2000001", "0o2004005"] {
            area.probe(&area.rules(), &["socketpair", "1", kind]).run().assert_prints("ok");
        }
    });
}
