//! Hosts, ports and sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use srt::policy::{Host, Policy};

use crate::evaluate::Request;
use crate::expression::Units;
use crate::host;
use crate::profile::Profile;
use crate::random::Random;

fn profile(policy: &Policy) -> Profile {
    Profile::new(&host::profile(policy), Units::Bytes)
}

fn reaches(profile: &Profile, address: IpAddr, port: u16) -> bool {
    let address = address.to_string();
    profile.answer(&Request { operation: "network-outbound", remote: Some((&address, port)), ..Request::default() }).allowed
}

fn listens(profile: &Profile, operation: &str, address: &str, port: u16) -> bool {
    profile.answer(&Request { operation, local: Some((address, port)), ..Request::default() }).allowed
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DOMAINS: &[&str] = &["example.com", "*.example.com", "a.test:443", "127.0.0.1", "[::1]:80", "192.0.2.7", "localhost:5000"];
const HOSTS: &[&str] = &["example.com", "x.example.com", "a.test", "127.0.0.1", "127.1", "::1", "192.0.2.7", "192.0.2.8", "localhost"];

/// A host is reached through the proxy or not at all, and the proxy asks the policy: both together are the policy.
#[test]
fn a_destination_is_reached_where_the_policy_allows_it_and_through_the_proxy_only() {
    let mut counts = [0u32; 2];
    for seed in 0..300 {
        let random = &mut Random::new(seed);
        let mut list = |share: usize| {
            DOMAINS.iter().filter(|_| random.once_in(share)).map(|domain| format!("{domain:?}")).collect::<Vec<_>>().join(",")
        };
        let settings = format!(r#"{{"network": {{"allowedDomains": [{}], "deniedDomains": [{}]}}}}"#, list(2), list(5));
        let policy = host::policy(&settings);
        let profile = profile(&policy);
        let by_proxy = reaches(&profile, LOOPBACK, host::PROXY);
        for _ in 0..40 {
            let destination = Host::parse(random.pick(HOSTS)).expect("a host");
            let port = random.pick(&[80, 443, 5000, 22]);
            let allowed = policy.network.decide(&destination, port).allowed;
            counts[usize::from(allowed)] += 1;
            let directly = destination.ip().is_some_and(|address| reaches(&profile, address, port));
            assert!(!directly, "seed {seed}: {destination}:{port} without the proxy, {settings}");
            assert_eq!(by_proxy && allowed, allowed, "seed {seed}: {destination}:{port}, {settings}");
        }
        for address in [LOOPBACK, Ipv6Addr::LOCALHOST.into(), Ipv4Addr::new(192, 0, 2, 9).into()] {
            let port = u16::try_from(1 + random.below(65535)).expect("a port");
            assert_eq!(reaches(&profile, address, port), address.is_loopback() && port == host::PROXY, "seed {seed}: {address}:{port}");
        }
    }
    assert!(counts.iter().all(|count| *count > 500), "{counts:?}");
}

/// The resolver is a service and a socket; neither is open.
#[test]
fn names_are_not_resolved_inside() {
    let profile = profile(&host::policy(r#"{"network": {"allowedDomains": ["example.com"]}}"#));
    for socket in ["/var/run/mDNSResponder", "/private/var/run/mDNSResponder"] {
        assert!(!profile.answer(&Request { operation: "network-outbound", path: Some(socket.as_bytes()), ..Request::default() }).allowed);
    }
    assert!(!reaches(&profile, Ipv4Addr::new(192, 0, 2, 53).into(), 53));
}

#[test]
fn ports_of_the_loopback_are_opened_one_by_one_and_in_one_direction() {
    let profile = profile(&host::policy(r#"{"network": {"allowHostPorts": [5432], "publishPorts": [8080]}}"#));
    assert!(
        reaches(&profile, LOOPBACK, 5432)
            && !reaches(&profile, LOOPBACK, 8080)
            && !reaches(&profile, Ipv4Addr::new(192, 0, 2, 1).into(), 5432)
    );
    for operation in ["network-bind", "network-inbound"] {
        assert!(listens(&profile, operation, "127.0.0.1", 8080) && listens(&profile, operation, "::1", 8080));
        assert!(!listens(&profile, operation, "0.0.0.0", 8080) && !listens(&profile, operation, "127.0.0.1", 5432));
    }
}

#[test]
fn local_binding_opens_every_local_port_and_the_loopback_and_no_host() {
    let open = profile(&host::policy(r#"{"network": {"allowLocalBinding": true}}"#));
    assert!(listens(&open, "network-bind", "::ffff:127.0.0.1", 3000) && listens(&open, "network-inbound", "0.0.0.0", 3000));
    assert!(reaches(&open, LOOPBACK, 3000) && !reaches(&open, Ipv4Addr::new(192, 0, 2, 1).into(), 3000));
    let closed = profile(&host::policy(r#"{"network": {"allowLocalBinding": false}}"#));
    assert!(!listens(&closed, "network-bind", "127.0.0.1", 3000) && !reaches(&closed, LOOPBACK, 3000));
}

#[test]
fn unix_sockets_are_the_listed_ones_and_the_own() {
    let policy = host::policy(r#"{"network": {"allowUnixSockets": ["/tmp/agent.sock", "/Users/ada/*.sock", "/Users/ada/s/"]}}"#);
    let may = |profile: &Profile, path: &str| {
        let ask = |operation| profile.answer(&Request { operation, path: Some(path.as_bytes()), ..Request::default() }).allowed;
        assert_eq!(ask("network-outbound"), ask("network-bind"), "{path}");
        ask("network-outbound")
    };
    let listed = profile(&policy);
    let own = format!("{}/tmux/default", host::TMP);
    for path in ["/tmp/agent.sock", "/private/tmp/agent.sock", "/Users/ada/x.sock", "/Users/ada/s/a/b", &own] {
        assert!(may(&listed, path), "{path}");
    }
    for path in ["/tmp/agent.sock2", "/Users/ada/x/y.sock", "/var/run/docker.sock", "/private/var/folders/zz/T/other"] {
        assert!(!may(&listed, path), "{path}");
    }
    let sockets =
        [r#"{}"#, r#"{"network": {"allowAllUnixSockets": true}}"#].map(|text| may(&profile(&host::policy(text)), "/var/run/docker.sock"));
    assert_eq!(sockets, [false, true]);
}

#[test]
fn services_are_granted_by_their_key_and_no_other() {
    let ask = |settings: &str, operation: &str, other: Option<(&str, &str)>| {
        profile(&host::policy(settings)).answer(&Request { operation, other, ..Request::default() }).allowed
    };
    let mach = |settings: &str, name: &str| ask(settings, "mach-lookup", Some(("global-name", name)));
    for (settings, name) in [
        (r#"{"network": {"allowMachLookup": ["com.x.one"]}}"#, "com.x.one"),
        (r#"{"network": {"allowMachLookup": ["com.x.*"]}}"#, "com.x.any"),
        (r#"{"enableWeakerNetworkIsolation": true}"#, "com.apple.trustd.agent"),
        (r#"{"allowAppleEvents": true}"#, "com.apple.coreservices.appleevents"),
    ] {
        assert!(mach(settings, name) && !mach("{}", name), "{name}");
        assert!(!mach(settings, "com.apple.windowserver.active"));
    }
    assert!(!mach(r#"{"network": {"allowMachLookup": ["com.x.one"]}}"#, "com.x.one.more"));
    assert!(mach("{}", "com.apple.logd"));
    for (key, operation) in [("allowAppleEvents", "appleevent-send"), ("allowAppleEvents", "lsopen"), ("allowPty", "pseudo-tty")] {
        let on = format!(r#"{{"{key}": true}}"#);
        assert!(
            ask(&on, operation, None) && !ask("{}", operation, None) && !ask(&on.replace("true", "false"), operation, None),
            "{operation}"
        );
    }
}

#[test]
fn only_terminals_of_the_sandbox_itself_are_written() {
    let profile = profile(&host::policy(r#"{"allowPty": true}"#));
    let write = |path: &'static str, extension| {
        profile.answer(&Request { operation: "file-write-data", path: Some(path.as_bytes()), extension, ..Request::default() }).allowed
    };
    assert!(write("/dev/ptmx", None) && write("/dev/ttys003", Some("com.apple.sandbox.pty")));
    assert!(!write("/dev/ttys003", None) && !write("/dev/disk0", Some("com.apple.sandbox.pty")));
    assert!(!crate::profile::Profile::new(&host::profile(&host::policy("{}")), Units::Bytes).may("file-write-data", b"/dev/ptmx"));
}

#[test]
fn of_the_devices_only_harmless_ones_are_written() {
    let profile = profile(&host::policy("{}"));
    for device in ["/dev/null", "/dev/tty", "/dev/stdout", "/dev/fd/1"] {
        assert!(profile.may("file-write-data", device.as_bytes()), "{device}");
    }
    for device in ["/dev/disk0", "/dev/rdisk0", "/dev/ttys001", "/dev/mem", "/dev"] {
        assert!(!profile.may("file-write-data", device.as_bytes()), "{device}");
    }
}
