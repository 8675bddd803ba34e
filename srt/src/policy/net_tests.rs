use std::net::IpAddr;

use super::*;
use crate::policy::testing::{net_policy, network_settings};
use crate::policy::{Located, Origin, Target};

fn verdict(policy: &NetPolicy, target: &str) -> (bool, String, String) {
    let target = Target::parse(target).unwrap();
    let verdict = policy.decide(&target.host, target.port);
    (verdict.allowed, verdict.rule.to_string(), verdict.reason.to_owned())
}

fn address(policy: &NetPolicy, host: &str, address: &str) -> Result<(), AddressClass> {
    let own: Vec<IpAddr> = ["10.9.9.9", "2001:db8::9"].map(|ip| ip.parse().unwrap()).to_vec();
    policy.decide_address(&Host::parse(host).unwrap(), 443, address.parse().unwrap(), &own)
}

#[test]
fn an_empty_policy_allows_nothing() {
    let policy = NetPolicy::build(&NetworkSettings::default()).unwrap();
    assert!(policy.allows_nothing());
    for target in ["example.com:443", "localhost:80", "127.0.0.1:80", "[::1]:80"] {
        assert_eq!(verdict(&policy, target), (false, "net.default".into(), "host is not on the allow list".into()));
    }
}

#[test]
fn deny_rules_come_before_allow_rules() {
    let policy = net_policy(&["*.example.com", "example.com"], &["bad.example.com", "*:22"]);
    assert_eq!(verdict(&policy, "bad.example.com:443"), (false, "net.deny.0".into(), "host is on the deny list".into()));
    assert_eq!(verdict(&policy, "example.com:22").1, "net.deny.1");
    assert_eq!(verdict(&policy, "example.com:443"), (true, "net.allow.1".into(), "host is on the allow list".into()));
    assert_eq!(verdict(&policy, "www.bad.example.com:443").1, "net.allow.0");
    assert_eq!(verdict(&policy, "other.org:443").1, "net.default");
}

#[test]
fn address_literals_are_matched_only_by_entries_that_are_addresses() {
    let policy = net_policy(&["*.example.com", "127.0.0.1:8080", "[2001:db8::1]"], &[]);
    assert!(verdict(&policy, "127.1:8080").0);
    assert!(!verdict(&policy, "127.0.0.1:8081").0);
    assert!(verdict(&policy, "[2001:DB8::0:1]:9").0);
    assert!(!verdict(&policy, "93.184.216.34:443").0);
    assert_eq!(verdict(&net_policy(&["127.0.0.1"], &["*"]), "127.0.0.1:1").1, "net.deny.0");
}

#[test]
fn custom_reasons_are_found_by_the_exact_spelling() {
    let mut settings = network_settings(&[], &["Bad.Example.com"]);
    let reason = Located::new("ask the platform team".to_owned(), Origin::BuiltIn("test"));
    settings.denied_domain_reasons.insert("Bad.Example.com".into(), reason);
    assert_eq!(verdict(&NetPolicy::build(&settings).unwrap(), "bad.example.com:1").2, "ask the platform team");
}

#[test]
fn all_faults_are_listed_with_their_lines() {
    let mut settings = network_settings(&["*.com", "example.com", "127.1"], &["https://x"]);
    let at = |text: &str| Located::new(text.to_owned(), Origin::Flag("--test"));
    settings.denied_domain_reasons.insert("nobody".into(), at("x"));
    settings.denied_resolved_addresses.push(at("10.0.0.1/8"));
    settings.strip_response_headers.push(at("X Y"));
    settings.http_proxy_port = Some(Located::new(0, Origin::Flag("--test")));
    let faults = NetPolicy::build(&settings).unwrap_err();
    let actions: Vec<_> = faults.iter().map(|fault| fault.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            r#"use "https://x" in network.deniedDomains"#,
            r#"use "nobody" in network.deniedDomainReasons"#,
            r#"use "*.com" in network.allowedDomains"#,
            r#"use "127.1" in network.allowedDomains"#,
            r#"use "10.0.0.1/8" in network.deniedResolvedAddresses"#,
            "use 0 in network.httpProxyPort",
            r#"use "X Y" in network.stripResponseHeaders"#,
        ]
    );
    assert!(faults.iter().all(|fault| fault.origin.is_some()));
}

#[test]
fn names_must_not_lead_to_local_addresses() {
    let policy = net_policy(&["*.example.com"], &[]);
    for (text, class) in [
        ("127.0.0.1", AddressClass::Loopback),
        ("::ffff:127.0.0.1", AddressClass::Loopback),
        ("::127.0.0.1", AddressClass::Loopback),
        ("64:ff9b::7f00:1", AddressClass::Loopback),
        ("2002:a9fe:a9fe::", AddressClass::LinkLocal),
        ("0.0.0.0", AddressClass::Unspecified),
        ("169.254.169.254", AddressClass::LinkLocal),
        ("10.9.9.9", AddressClass::OwnInterface),
        ("64:ff9b::a09:909", AddressClass::OwnInterface),
        ("2001:db8::9", AddressClass::OwnInterface),
    ] {
        assert_eq!(address(&policy, "a.example.com", text), Err(class), "{text}");
    }
    for text in ["93.184.216.34", "10.0.0.1", "192.168.0.1", "100.64.0.1", "fd12::1", "64:ff9b::5db8:d822"] {
        assert_eq!(address(&policy, "a.example.com", text), Ok(()), "{text}");
    }
}

#[test]
fn an_allowed_address_exempts_itself_and_a_denied_one_never_passes() {
    let policy = net_policy(&["a.example.com", "127.0.0.1:443", "10.0.0.7"], &["10.0.0.7:443", "10.0.0.8"]);
    assert_eq!(address(&policy, "a.example.com", "127.0.0.1"), Ok(()));
    assert_eq!(address(&policy, "a.example.com", "127.0.0.2"), Err(AddressClass::Loopback));
    assert_eq!(address(&policy, "a.example.com", "10.0.0.7"), Err(AddressClass::DeniedLiteral(0)));
    assert_eq!(address(&policy, "a.example.com", "::ffff:10.0.0.8"), Err(AddressClass::DeniedLiteral(1)));
    assert_eq!(policy.address_rule(AddressClass::DeniedLiteral(1)).0.to_string(), "net.deny.1");
    assert_eq!(policy.address_rule(AddressClass::Loopback).0.to_string(), "net.address.loopback");
    let other_port = net_policy(&["a.example.com", "127.0.0.1:8080"], &[]);
    assert_eq!(address(&other_port, "a.example.com", "127.0.0.1"), Err(AddressClass::Loopback));
}

#[test]
fn denied_blocks_cover_addresses_inside_ipv6_too() {
    let mut settings = network_settings(&["a.example.com", "10.0.0.1"], &[]);
    settings.denied_resolved_addresses.push(Located::new("10.0.0.0/8".into(), Origin::Flag("--test")));
    let policy = NetPolicy::build(&settings).unwrap();
    assert_eq!(address(&policy, "a.example.com", "10.1.1.1"), Err(AddressClass::DeniedBlock(0)));
    assert_eq!(address(&policy, "a.example.com", "64:ff9b::a01:101"), Err(AddressClass::DeniedBlock(0)));
    assert_eq!(address(&policy, "a.example.com", "10.0.0.1"), Ok(()), "named by the user");
    assert_eq!(policy.address_rule(AddressClass::DeniedBlock(0)), (RuleId("net.address.0".into()), Origin::Flag("--test")));
}

#[test]
fn localhost_leads_to_loopback_and_nowhere_else() {
    let policy = net_policy(&["localhost", "x.localhost"], &[]);
    for host in ["localhost", "x.localhost"] {
        assert_eq!(address(&policy, host, "127.0.0.1"), Ok(()));
        assert_eq!(address(&policy, host, "::1"), Ok(()));
        assert_eq!(address(&policy, host, "93.184.216.34"), Err(AddressClass::NotLoopback));
    }
    assert_eq!(address(&net_policy(&["localhost"], &["127.0.0.1"]), "localhost", "127.0.0.1"), Err(AddressClass::DeniedLiteral(0)));
}

#[test]
fn an_allowed_literal_is_dialled_as_it_stands() {
    let policy = net_policy(&["127.0.0.1"], &[]);
    assert_eq!(address(&policy, "127.0.0.1", "127.0.0.1"), Ok(()));
    assert_eq!(address(&policy, "127.0.0.1", "127.0.0.2"), Err(AddressClass::OtherAddress));
}

#[test]
fn a_name_may_be_asked_for_if_some_port_of_it_may_be_reached() {
    let policy = net_policy(
        &["*.example.com", "db.test:5432", "db.test:80", "one.test:80", "10.0.0.1"],
        &["bad.example.com", "port.example.com:443", "db.test:5432", "one.test:80"],
    );
    for (name, allowed, rule) in [
        ("www.example.com", true, "net.allow.0"),
        ("example.com", false, "net.default"),
        ("bad.example.com", false, "net.deny.0"),
        ("port.example.com", true, "net.allow.0"),
        ("db.test", true, "net.allow.2"),
        ("one.test", false, "net.deny.3"),
        ("other.test", false, "net.default"),
    ] {
        let verdict = policy.may_resolve(Host::parse(name).unwrap().name().unwrap());
        assert_eq!((verdict.allowed, verdict.rule.0.as_str()), (allowed, rule), "{name}");
    }
    let nothing = net_policy(&["*.example.com"], &["*"]);
    assert!(!nothing.may_resolve(Host::parse("a.example.com").unwrap().name().unwrap()).allowed);
}

#[test]
fn ports_are_opened_once_and_one_way_and_none_of_srts_own() {
    let ports = |numbers: &[u16]| numbers.iter().map(|number| Located::new(*number, Origin::Flag("--test"))).collect::<Vec<_>>();
    let build = |host: &[u16], publish: &[u16]| {
        NetPolicy::build(&NetworkSettings { allow_host_ports: ports(host), publish_ports: ports(publish), ..NetworkSettings::default() })
    };
    let policy = build(&[5432, 5432, 6379], &[8080]).unwrap();
    assert_eq!((policy.allow_host_ports.len(), policy.publish_ports.len()), (2, 1));
    for (host, publish, said) in [(&[3128][..], &[][..], "itself"), (&[], &[53], "itself"), (&[0], &[], "65535"), (&[80], &[80], "one way")]
    {
        let faults = build(host, publish).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].to_string().contains(said) && faults[0].origin.is_some(), "{}", faults[0]);
    }
}
