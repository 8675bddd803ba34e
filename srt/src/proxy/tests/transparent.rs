use std::io;
use std::net::IpAddr;

use rustix::net::AddressFamily;

use super::inside::{World, echoes, end, port, process, world, world_with};
use super::*;
use crate::policy::testing::net_policy;
use crate::proxy::sni::tests::client_hello;
use crate::proxy::{Admission, Protocol, publish};

const REFUSED: i32 = libc::ECONNREFUSED;

/// An HTTP parent proxy that answers each CONNECT after a while, and then sends everything back.
async fn slow_parent(wait: Duration, answer: &'static str) -> NetPolicy {
    let parent = server(move |mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(wait).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await;
    let mut settings = settings(&["*.example.com"]);
    let http = Some(format!("http://{parent}"));
    let parent = crate::settings::ParentProxySettings { https: http.clone(), http, no_proxy: None };
    settings.parent_proxy = Some(crate::policy::Located::new(parent, crate::policy::Origin::Flag("--test")));
    NetPolicy::build(&settings).unwrap()
}

#[test]
fn a_program_reaches_an_allowed_name_on_any_port_and_sees_the_address_it_asked_for() {
    run(async {
        let server = echo_server().await;
        let Some(world) = world(net_policy(&["localhost"], &[])) else { return };
        for address in world.addresses("localhost") {
            for nonblocking in [false, true] {
                let mut stream = world.connect(SocketAddr::new(address, server.port()), nonblocking).await.unwrap();
                assert_eq!(stream.peer_addr().unwrap().ip(), address);
                assert!(echoes(&mut stream).await);
                stream.shutdown().await.unwrap();
                assert_eq!(end(&mut stream).await, Ok(0), "the end of one half is passed on");
            }
        }
        assert!(world.events().is_empty());
        assert!(world.transparent.awaits_nothing());
    });
}

#[test]
fn what_is_denied_is_refused_at_once_and_one_event_names_the_process() {
    run(async {
        let Some(world) = world(net_policy(&["*.example.com:443"], &["bad.example.com"])) else { return };
        let addresses = |name| world.addresses(name);
        for (ip, port, target, rule, allow) in [
            (
                addresses("a.example.com")[0],
                22,
                "a.example.com:22",
                "net.default",
                Some("add \"a.example.com:22\" to network.allowedDomains"),
            ),
            (addresses("bad.example.com")[1], 443, "bad.example.com:443", "net.deny.0", None),
            ("192.0.2.1".parse().unwrap(), 443, "192.0.2.1:443", "net.default", Some("add \"192.0.2.1:443\" to network.allowedDomains")),
            (
                "::ffff:192.0.2.2".parse().unwrap(),
                80,
                "192.0.2.2:80",
                "net.default",
                Some("add \"192.0.2.2:80\" to network.allowedDomains"),
            ),
        ] {
            let before = world.events().len();
            let refused = world.transparent.admit(World::asked(SocketAddr::new(ip, port), 1000, false)).await;
            assert_eq!(refused, Admission::Refused(REFUSED));
            let events = world.events();
            assert_eq!(events.len(), before + 1);
            let event = events.last().unwrap();
            assert_eq!((event.target.as_str(), event.rule.id.as_str(), event.allow.as_deref()), (target, rule, allow));
            assert_eq!(
                (event.process.as_ref(), event.operation.as_str(), event.errno.clone()),
                (Some(&process()), "connect", Some("ECONNREFUSED".into()))
            );
        }
        assert!(world.transparent.awaits_nothing());
    });
}

#[test]
fn a_host_that_is_down_shows_its_own_error() {
    run(async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let Some(world) = world(net_policy(&["localhost", "*.invalid.example.invalid"], &[])) else { return };
        for nonblocking in [false, true] {
            let address = world.addresses("localhost")[0];
            assert_eq!(world.connect(SocketAddr::new(address, closed.port()), nonblocking).await.unwrap_err(), REFUSED);
        }
        let unresolved = world.addresses("x.invalid.example.invalid")[0];
        assert_eq!(world.connect(SocketAddr::new(unresolved, 80), false).await.unwrap_err(), libc::EHOSTUNREACH);
        assert!(world.events().is_empty());
    });
}

#[test]
fn a_name_that_leads_to_a_refused_address_is_an_event() {
    run(async {
        let Some(world) = world(net_policy(&["localhost"], &["127.0.0.1", "[::1]"])) else { return };
        let address = world.addresses("localhost")[0];
        assert_eq!(world.connect(SocketAddr::new(address, 80), false).await.unwrap_err(), REFUSED);
        let rules: Vec<_> = world.events().into_iter().map(|event| (event.rule.id, event.process.is_some())).collect();
        assert_eq!(rules.len(), 1, "{rules:?}");
        assert!(rules[0].1);
    });
}

#[test]
fn a_blocking_connect_waits_for_a_slow_host_and_another_goes_on() {
    run(async {
        let wait = Duration::from_millis(300);
        let Some(world) = world(slow_parent(wait, "HTTP/1.1 200 OK\r\n\r\n").await) else { return };
        let target = SocketAddr::new(world.addresses("a.example.com")[0], 7000);
        for nonblocking in [false, true] {
            let start = std::time::Instant::now();
            let mut stream = world.connect(target, nonblocking).await.unwrap();
            assert_eq!(start.elapsed() < wait, nonblocking);
            assert!(echoes(&mut stream).await);
        }
    });
}

#[test]
fn where_a_slow_host_fails_one_sees_the_error_and_the_other_a_reset() {
    run(async {
        let Some(world) = world(slow_parent(Duration::from_millis(200), "HTTP/1.1 502 No\r\n\r\n").await) else { return };
        let target = SocketAddr::new(world.addresses("a.example.com")[0], 7000);
        assert_eq!(world.connect(target, false).await.unwrap_err(), REFUSED);
        let mut stream = world.connect(target, true).await.unwrap();
        assert_eq!(end(&mut stream).await, Err(io::ErrorKind::ConnectionReset));
    });
}

#[test]
fn a_connection_that_nobody_admitted_is_reset() {
    run(async {
        let server = echo_server().await;
        let Some(world) = world(net_policy(&["localhost"], &[])) else { return };
        let allowed = world.addresses("localhost")[0];
        // Admitted for one address, used for another.
        let (socket, local_port) = world.socket(AddressFamily::INET);
        let admission = world.transparent.admit(World::asked(SocketAddr::new(allowed, server.port()), local_port, false)).await;
        let Admission::Redirected(port) = admission else { panic!("{admission:?}") };
        for (socket, address) in [(socket, "127.0.0.1"), (world.socket(AddressFamily::INET).0, "198.18.0.1")] {
            let address = SocketAddr::new(address.parse().unwrap(), port);
            let mut stream = tokio::net::TcpSocket::from_std_stream(socket.into()).connect(address).await.unwrap();
            assert_eq!(end(&mut stream).await, Err(io::ErrorKind::ConnectionReset), "{address}");
        }
    });
}

#[test]
fn an_admitted_connection_that_does_not_come_is_forgotten_with_all_that_it_holds() {
    run(async {
        let server = echo_server().await;
        let Some(world) = world(net_policy(&["localhost"], &[])) else { return };
        let target = SocketAddr::new(world.addresses("localhost")[0], server.port());
        tokio::task::yield_now().await;
        let places = world.transparent.free_places();
        assert!(matches!(world.transparent.admit(World::asked(target, 1000, false)).await, Admission::Redirected(_)));
        assert_eq!(world.transparent.free_places(), places - 1);
        tokio::task::yield_now().await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(11)).await;
        tokio::time::resume();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(world.transparent.awaits_nothing());
        assert_eq!(world.transparent.free_places(), places);
    });
}

#[test]
fn a_name_keeps_its_address_while_a_connection_through_it_lives() {
    run(async {
        let server = echo_server().await;
        let Some(world) = world(net_policy(&["localhost", "*.example.com"], &[])) else { return };
        *world.transparent.names().borrow_mut() = crate::proxy::names::Names::new(1);
        let address = world.addresses("localhost")[0];
        let mut stream = world.connect(SocketAddr::new(address, server.port()), false).await.unwrap();
        let other = crate::policy::Host::parse("a.example.com").unwrap().name().unwrap().clone();
        assert_eq!(world.transparent.names().borrow_mut().number(&other), None);
        assert!(echoes(&mut stream).await);
        drop(stream);
        while world.transparent.names().borrow_mut().number(&other).is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn another_server_name_than_the_one_asked_for_is_reset_before_a_byte_is_passed_on() {
    run(async {
        let server = echo_server().await;
        let Some(world) = world(net_policy(&["localhost"], &[])) else { return };
        let target = SocketAddr::new(world.addresses("localhost")[0], server.port());
        let mut honest = world.connect(target, false).await.unwrap();
        honest.write_all(&client_hello(Some("localhost"), 16_384)).await.unwrap();
        assert!(matches!(end(&mut honest).await, Ok(1..)));
        let mut fronted = world.connect(target, false).await.unwrap();
        fronted.write_all(&client_hello(Some("front.example"), 16_384)).await.unwrap();
        assert_eq!(end(&mut fronted).await, Err(io::ErrorKind::ConnectionReset));
        let rules: Vec<_> = world.events().into_iter().map(|event| event.rule.id).collect();
        assert_eq!(rules, ["net.tls"]);
    });
}

#[test]
fn the_sandboxs_own_loopback_and_name_server_are_connected_as_asked() {
    run(async {
        let Some(world) = world(net_policy(&["localhost"], &[])) else { return };
        for target in [
            "127.0.0.1:80",
            "127.9.9.9:80",
            "[::1]:80",
            "0.0.0.0:80",
            "[::]:80",
            "[::ffff:127.0.0.1]:80",
            "8.8.8.8:53",
            "198.19.255.254:80",
        ] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                assert_eq!(world.admit(protocol, target, "connect").await, Admission::AsAsked, "{target}");
            }
        }
        assert_eq!(world.admit(Protocol::Tcp, "192.0.2.1:0", "connect").await, Admission::Refused(REFUSED));
        assert!(world.events().is_empty());
    });
}

#[test]
fn datagrams_are_refused_with_an_event_and_sorting_addresses_is_not() {
    run(async {
        let Some(world) = world(net_policy(&["*.example.com"], &[])) else { return };
        let synthetic = SocketAddr::new(world.addresses("a.example.com")[0], 443).to_string();
        assert_eq!(world.admit(Protocol::Udp, &synthetic, "connect").await, Admission::AsAsked);
        assert!(world.events().is_empty());
        for target in [synthetic.as_str(), "192.0.2.1:123"] {
            assert_eq!(world.admit(Protocol::Udp, target, "sendto").await, Admission::Refused(REFUSED));
        }
        let told: Vec<_> = world.events().into_iter().map(|event| (event.target, event.rule.id)).collect();
        let udp = "net.udp".to_owned();
        assert_eq!(told, [("a.example.com:443".to_owned(), udp.clone()), ("192.0.2.1:123".to_owned(), udp)]);
    });
}

#[test]
fn a_listed_port_of_the_loopback_is_the_hosts() {
    run(async {
        let server = echo_server().await;
        let v6_only = TcpListener::bind("[::1]:0").await.ok();
        let mut settings = settings(&[]);
        settings.allow_host_ports = [Some(&server.port()), v6_only.as_ref().map(|own| own.local_addr().unwrap().port()).as_ref()]
            .into_iter()
            .flatten()
            .map(|number| port(*number))
            .collect();
        let Some(world) = world(NetPolicy::build(&settings).unwrap()) else { return };
        for ip in ["127.0.0.1", "::1", "0.0.0.0"] {
            let target = SocketAddr::new(ip.parse().unwrap(), server.port());
            assert!(echoes(&mut world.connect(target, true).await.unwrap()).await, "{ip}");
        }
        if let Some(v6_only) = v6_only {
            let target = SocketAddr::new("127.0.0.1".parse().unwrap(), v6_only.local_addr().unwrap().port());
            world.connect(target, false).await.unwrap();
        }
        let elsewhere = SocketAddr::new("127.0.0.2".parse().unwrap(), server.port());
        assert_eq!(world.connect(elsewhere, false).await.unwrap_err(), REFUSED, "only the loopback's first address is the host's");
        assert!(world.events().is_empty());
    });
}

#[test]
fn three_hundred_connections_at_once_reach_their_host() {
    run(async {
        let server = echo_server().await;
        let Some(world) = world(net_policy(&["localhost"], &[])) else { return };
        let world = Rc::new(world);
        let target = SocketAddr::new(world.addresses("localhost")[0], server.port());
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..300 {
            let world = world.clone();
            clients.spawn_local(async move { echoes(&mut world.connect(target, true).await.unwrap()).await });
        }
        assert!(clients.join_all().await.into_iter().all(|echoed| echoed));
    });
}

/// A port of the host that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server inside the sandbox's network that sends back one message per connection.
fn echo_inside(world: &World, address: SocketAddr) {
    let listener = world.inside.run(move || std::net::TcpListener::bind(address).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::copy(&mut stream.try_clone().unwrap(), &mut stream);
        }
    });
}

#[test]
fn a_published_port_leads_to_the_sandboxs_own_loopback_again_and_again() {
    run(async {
        for ip in ["127.0.0.1", "::1", "0.0.0.0"] {
            let number = free_port();
            let Some(world) = world_with(net_policy(&[], &[]), publish::listen(&[port(number)]).unwrap()) else { return };
            let host = SocketAddr::from(([127, 0, 0, 1], number));
            let mut nobody = TcpStream::connect(host).await.unwrap();
            assert!(!matches!(end(&mut nobody).await, Ok(1..)), "nobody listens inside yet");
            echo_inside(&world, SocketAddr::new(ip.parse::<IpAddr>().unwrap(), number));
            // More than there are sockets inside: each must serve again.
            for round in 0..40 {
                let mut stream = TcpStream::connect(host).await.unwrap();
                assert!(echoes(&mut stream).await, "{ip}, round {round}");
                match round % 3 {
                    0 => {
                        stream.shutdown().await.unwrap();
                        assert_eq!(end(&mut stream).await, Ok(0));
                    }
                    1 => stream.set_zero_linger().unwrap(),
                    _ => {}
                }
            }
        }
    });
}

#[test]
fn more_clients_of_a_published_port_than_sockets_wait_for_their_turn() {
    run(async {
        let number = free_port();
        let Some(world) = world_with(net_policy(&[], &[]), publish::listen(&[port(number)]).unwrap()) else { return };
        let listener = world.inside.run(move || std::net::TcpListener::bind(("127.0.0.1", number)).unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..50 {
            clients.spawn_local(async move { echoes(&mut TcpStream::connect(("127.0.0.1", number)).await.unwrap()).await });
        }
        assert!(clients.join_all().await.into_iter().all(|echoed| echoed));
    });
}
