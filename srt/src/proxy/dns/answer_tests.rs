use domain::base::iana::Rtype;

use super::*;
use crate::policy::testing::{Random, net_policy};
use crate::proxy::ProxyContext;
use crate::proxy::names::Names;
use crate::violation::{EventSink, Kind, Source};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

struct World {
    zone: Zone,
    events: EventSink,
}

fn world(capacity: u32) -> World {
    let events = EventSink::default();
    let policy = net_policy(&["*.example.com", "db.test:5432", "app.localhost"], &["bad.example.com", "port.example.com:80"]);
    let context = Rc::new(ProxyContext::new(policy, events.clone()));
    World { zone: Zone::new(context, Rc::new(RefCell::new(Names::new(capacity))), true), events }
}

/// A question with recursion desired, class IN.
fn question(name: &str, qtype: u16) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend([qtype.to_be_bytes(), 1u16.to_be_bytes()].concat());
    packet
}

/// The same with an OPT record.
fn with_edns(mut packet: Vec<u8>, size: u16, version: u8) -> Vec<u8> {
    packet[11] = 1;
    packet.extend([0, 0, 41]);
    packet.extend(size.to_be_bytes());
    packet.extend([0, version, 0, 0, 0, 0]);
    packet
}

/// Code and addresses or names of an answer.
fn read(packet: &[u8]) -> (u8, Vec<String>) {
    let message = Message::from_octets(packet).unwrap();
    let header = message.header();
    assert!(header.qr() && header.ra() && header.id() == 0x1234);
    let records = message.answer().unwrap().map(|record| {
        let record = record.unwrap();
        let owner = record.owner().to_string();
        assert_eq!(owner.to_lowercase(), message.sole_question().unwrap().qname().to_string().to_lowercase());
        let text = |found: Option<String>| found.unwrap_or_default();
        match record.rtype() {
            Rtype::A => text(record.to_record::<A>().unwrap().map(|record| record.data().to_string())),
            Rtype::AAAA => text(record.to_record::<Aaaa>().unwrap().map(|record| record.data().to_string())),
            _ => text(record.to_record::<Ptr<_>>().unwrap().map(|record| record.data().to_string())),
        }
    });
    (header.rcode().to_int(), records.collect())
}

impl World {
    fn ask(&self, name: &str, qtype: Rtype) -> (u8, Vec<String>) {
        read(&answer(&question(name, qtype.to_int()), Transport::Datagram, &self.zone).unwrap())
    }

    fn code(&self, packet: &[u8]) -> Option<u8> {
        answer(packet, Transport::Datagram, &self.zone).map(|bytes| bytes[3] & 0xf)
    }

    fn rules(&self) -> Vec<(String, String)> {
        self.events.snapshot().events.into_iter().map(|event| (event.target, event.rule.id)).collect()
    }
}

#[test]
fn an_allowed_name_has_an_address_of_each_family_and_they_have_the_name() {
    let world = world(10);
    assert_eq!(world.ask("www.example.com", Rtype::A), (0, vec!["198.18.0.1".to_owned()]));
    assert_eq!(world.ask("WWW.Example.COM", Rtype::AAAA), (0, vec!["fdc7:3e5b:91d4::1".to_owned()]));
    assert_eq!(world.ask("1.0.18.198.in-addr.arpa", Rtype::PTR), (0, vec!["www.example.com.".to_owned()]));
    assert_eq!(world.ask("2.0.18.198.in-addr.arpa", Rtype::PTR), (3, vec![]));
    assert_eq!(world.ask("db.test", Rtype::A), (0, vec!["198.18.0.2".to_owned()]), "one port is enough");
    assert_eq!(world.ask("port.example.com", Rtype::A).0, 0, "one denied port leaves the others");
    assert!(world.rules().is_empty());
}

#[test]
fn other_types_of_an_allowed_name_are_empty_and_no_event() {
    let world = world(10);
    for qtype in
        [Rtype::TXT, Rtype::MX, Rtype::SRV, Rtype::HTTPS, Rtype::SVCB, Rtype::CNAME, Rtype::ANY, Rtype::NS, Rtype::from_int(65_280)]
    {
        assert_eq!(world.ask("www.example.com", qtype), (0, vec![]), "{qtype}");
    }
    assert_eq!(world.ask("", Rtype::NS), (0, vec![]));
    assert!(world.rules().is_empty());
}

#[test]
fn localhost_is_the_loopback_and_so_is_what_is_below_it_unless_the_policy_names_it() {
    let world = world(10);
    for name in ["localhost", "LOCALHOST", "a.b.localhost"] {
        assert_eq!(world.ask(name, Rtype::A), (0, vec![Ipv4Addr::LOCALHOST.to_string()]));
        assert_eq!(world.ask(name, Rtype::AAAA), (0, vec![Ipv6Addr::LOCALHOST.to_string()]));
    }
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!(world.ask(&own, Rtype::A), (0, vec![Ipv4Addr::LOCALHOST.to_string()]), "the host's own name");
    assert_eq!(world.ask("app.localhost", Rtype::A), (0, vec!["198.18.0.1".to_owned()]));
    assert_eq!(world.ask("1.0.0.127.in-addr.arpa", Rtype::PTR), (0, vec!["localhost.".to_owned()]));
    assert!(world.rules().is_empty());
}

#[test]
fn every_other_name_does_not_exist_and_one_event_of_a_lookup_says_so() {
    let world = world(10);
    for _ in 0..3 {
        for (name, qtype) in [("evil.test", Rtype::A), ("EVIL.test", Rtype::AAAA), ("bad.example.com", Rtype::TXT), ("single", Rtype::A)] {
            assert_eq!(world.ask(name, qtype), (3, vec![]), "{name}");
        }
    }
    let events = world.events.snapshot().events;
    let told: Vec<_> =
        events.iter().map(|event| (event.target.as_str(), event.rule.id.as_str(), event.count, event.allow.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("evil.test", "net.default", 1, Some("add \"evil.test\" to network.allowedDomains")),
            ("bad.example.com", "net.deny.0", 1, None),
            ("single", "net.default", 1, None),
        ]
    );
    assert!(events.iter().all(|event| (event.kind, event.source) == (Kind::NetDns, Source::Dns)));
}

#[test]
fn without_ipv6_inside_there_are_no_ipv6_addresses() {
    let world = world(10);
    let zone = Zone::new(
        Rc::new(ProxyContext::new(net_policy(&["a.test"], &[]), world.events.clone())),
        Rc::new(RefCell::new(Names::new(1))),
        false,
    );
    let reply = answer(&question("a.test", 28), Transport::Datagram, &zone).unwrap();
    assert_eq!(read(&reply), (0, vec![]));
}

#[test]
fn names_that_are_no_host_names_do_not_exist() {
    let world = world(10);
    let mut dotted = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11];
    dotted.extend(b"www.example\x03com\0\0\x01\0\x01");
    assert_eq!(world.code(&dotted), Some(3), "a dot inside a label");
    for name in ["a b.example.com", "x\u{1b}[31m.example.com", "1.2.3.4", "-\u{e4}.example.com", "0x7f.1"] {
        assert_eq!(world.ask(name, Rtype::A), (3, vec![]), "{name}");
    }
    assert!(world.rules().iter().all(|(_, rule)| rule == "net.malformed"), "{:?}", world.rules());
    assert_eq!(world.rules().len(), 6);
}

#[test]
fn packets_that_are_no_questions_get_an_error_or_nothing() {
    let world = world(10);
    let good = question("www.example.com", 1);
    let changed = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        packet
    };
    assert_eq!(world.code(&[]), None);
    assert_eq!(world.code(&good[..11]), None, "no whole header");
    assert_eq!(world.code(&changed(2, 0x81)), None, "an answer");
    assert_eq!(world.code(&changed(2, 0x10)), Some(4), "a status request");
    for (at, byte) in [(5, 0), (5, 2), (4, 1), (7, 1), (9, 1)] {
        assert_eq!(world.code(&changed(at, byte)), Some(1), "count at {at} is {byte}");
    }
    for length in 12..good.len() {
        assert_eq!(world.code(&good[..length]), Some(1), "cut at {length}");
    }
    assert_eq!(world.code(&changed(good.len() - 1, 3)), Some(5), "class CH");
    assert_eq!(answer(&good, Transport::Datagram, &world.zone).unwrap()[2] & 1, 1, "recursion desired is repeated");
}

#[test]
fn loops_of_pointers_and_long_names_are_malformed() {
    let world = world(10);
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let tail = [0, 1, 0, 1];
    let names: [&[u8]; 6] = [b"\xc0\x0c", b"\xc0\x0e\xc0\x0c", b"\x01a\xc0\x0c", b"\xc0\xff", b"\xff\xff", b"\x41a\0"];
    for name in names {
        assert_eq!(world.code(&[&header[..], name, &tail].concat()), Some(1), "{name:?}");
    }
    let long = question(&["a".repeat(63).as_str(); 5].join("."), 1);
    assert_eq!(world.code(&long), Some(1));
}

#[test]
fn edns_is_answered_and_an_unknown_version_refused() {
    let world = world(10);
    let reply = answer(&with_edns(question("www.example.com", 1), 4096, 0), Transport::Datagram, &world.zone).unwrap();
    let message = Message::from_octets(reply.as_slice()).unwrap();
    assert_eq!(message.opt().map(|opt| opt.udp_payload_size()), Some(LARGEST));
    let reply = answer(&with_edns(question("www.example.com", 1), 4096, 1), Transport::Datagram, &world.zone).unwrap();
    let message = Message::from_octets(reply.as_slice()).unwrap();
    assert_eq!(message.opt_rcode(), OptRcode::BADVERS);
    assert_eq!(message.header_counts().ancount(), 0);
}

#[test]
fn an_answer_that_does_not_fit_is_cut_and_says_so() {
    let packet = question("1.0.18.198.in-addr.arpa", 12);
    let query = Message::from_octets(packet.as_slice()).unwrap();
    let asked = query.sole_question().unwrap();
    let found = Found::Name(crate::policy::Host::parse("www.example.com").unwrap().name().unwrap().clone());
    let whole = compose(&query, Some(&asked), OptRcode::NOERROR, &found, 512).unwrap();
    let cut = compose(&query, Some(&asked), OptRcode::NOERROR, &found, 70).unwrap();
    let cut = Message::from_octets(cut.as_slice()).unwrap();
    assert!(cut.header().tc() && cut.header_counts().ancount() == 0 && cut.sole_question().is_ok());
    let exact = compose(&query, Some(&asked), OptRcode::NOERROR, &found, whole.len() + OPT_RECORD).unwrap();
    assert_eq!(exact, whole, "what just fits is not cut");
}

#[test]
fn the_longest_answers_fit_what_every_client_takes() {
    let events = EventSink::default();
    let policy = net_policy(&["*.example.com"], &[]);
    let zone = Zone::new(Rc::new(ProxyContext::new(policy, events)), Rc::new(RefCell::new(Names::new(10))), true);
    let label = "a".repeat(63);
    let long = format!("{label}.{label}.{label}.{}.example.com", "a".repeat(49));
    assert_eq!(long.len(), 253);
    for (name, qtype) in [(long.as_str(), 28), ("1.0.18.198.in-addr.arpa", 12)] {
        let reply = answer(&with_edns(question(name, qtype), 512, 0), Transport::Datagram, &zone).unwrap();
        assert!(reply.len() <= 512 && !Message::from_octets(reply.as_slice()).unwrap().header().tc());
        assert_eq!(read(&reply).1.len(), 1);
    }
}

#[test]
fn where_every_place_has_a_connection_the_server_says_that_it_failed() {
    let names = Rc::new(RefCell::new(Names::new(1)));
    let zone = Zone::new(Rc::new(ProxyContext::new(net_policy(&["*.example.com"], &[]), EventSink::default())), names.clone(), true);
    let ask = |name| read(&answer(&question(name, 1), Transport::Datagram, &zone).unwrap());
    assert_eq!(ask("a.example.com"), (0, vec!["198.18.0.1".to_owned()]));
    let lease = crate::proxy::names::Lease::take(&names, "198.18.0.1".parse::<IpAddr>().unwrap()).unwrap();
    assert_eq!(ask("b.example.com"), (2, vec![]));
    drop(lease);
    assert_eq!(ask("b.example.com"), (0, vec!["198.18.0.1".to_owned()]));
}

#[test]
fn random_packets_never_panic_and_answers_are_answers() {
    let world = world(100);
    let mut random = Random::new(11);
    let seed = with_edns(question("www.example.com", 1), 4096, 0);
    for _ in 0..50_000 {
        let mut packet = seed.clone();
        for _ in 0..random.below(6) {
            let at = random.below(packet.len());
            packet[at] = random.next() as u8;
        }
        packet.truncate(random.below(packet.len() + 20).min(packet.len()));
        if let Some(reply) = answer(&packet, Transport::Datagram, &world.zone) {
            assert!(reply.len() <= usize::from(LARGEST) && reply[2] & 0x80 != 0 && reply[..2] == packet[..2]);
        }
    }
}

#[test]
fn where_somebody_can_be_asked_an_undecided_name_resolves_and_a_denied_one_does_not() {
    let (asker, _questions) = crate::ask::Asker::new();
    let context = ProxyContext::new(net_policy(&[], &["bad.example.com"]), EventSink::default()).asking(Some(Rc::new(asker)));
    let zone = Zone::new(Rc::new(context), Rc::new(RefCell::new(Names::new(10))), true);
    let ask = |name| read(&answer(&question(name, 1), Transport::Datagram, &zone).unwrap());
    assert_eq!(ask("new.example.com"), (0, vec!["198.18.0.1".to_owned()]));
    assert_eq!(ask("bad.example.com"), (3, vec![]));
}
