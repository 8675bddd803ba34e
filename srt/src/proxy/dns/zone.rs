//! What a name means inside the sandbox.
//!
//! The policy is asked with the name alone: a name is there if some port of it may be reached. What is not there is reported, once for the several questions
//! that one lookup of a program makes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use domain::base::iana::Rtype;

use super::reverse;
use crate::policy::{Host, HostName, RuleId};
use crate::proxy::ProxyContext;
use crate::proxy::names::{self, Names};
use crate::violation::{Event, Kind, RuleRef, Source};

/// Within one lookup a program asks for both families, and again below its own domain; a resolver repeats a question after 5 s (resolv.conf(5)).
const ONE_LOOKUP: Duration = Duration::from_secs(2);
/// Denied names that are remembered for that.
const REMEMBERED: usize = 64;

/// All names.
#[derive(Debug)]
pub(in crate::proxy) struct Zone {
    context: Rc<ProxyContext>,
    names: Rc<RefCell<Names>>,
    /// Are there IPv6 addresses inside?
    ipv6: bool,
    /// The host's name. Programs look it up to name themselves, and mean the loopback.
    own_name: String,
    /// What that ends in: glibc's search list where there is no other (resolv.conf(5)).
    own_domain: String,
    reported: RefCell<VecDeque<(Instant, String)>>,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An address.
    V4(Ipv4Addr),
    /// An address.
    V6(Ipv6Addr),
    /// The name behind an address.
    Name(HostName),
    /// The name, but nothing of the type.
    Nothing,
    /// No name.
    NoSuchName,
    /// An allowed name for which no address is free.
    NoPlace,
}

impl Zone {
    /// The names that the policy of `context` allows.
    pub(in crate::proxy) fn new(context: Rc<ProxyContext>, names: Rc<RefCell<Names>>, ipv6: bool) -> Self {
        let own_name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        let own_domain = own_name.split_once('.').map(|(_host, domain)| domain.to_owned()).unwrap_or_default();
        Zone { context, names, ipv6, own_name, own_domain, reported: RefCell::default() }
    }

    /// Labels hold any bytes.
    pub(super) fn look_up(&self, labels: &[&[u8]], qtype: Rtype) -> Found {
        if labels.is_empty() {
            // The root: programs ask for its name servers to see whether there is DNS at all.
            return Found::Nothing;
        }
        if let Some(address) = reverse::address(labels) {
            return self.reverse(address, qtype);
        }
        match host_name(labels) {
            Some(name) => self.forward(&name, qtype),
            None => {
                let text = shown(labels);
                self.report(&text, RuleRef { id: "net.malformed".into(), origin: "built-in check".into() }, "malformed host", None);
                Found::NoSuchName
            }
        }
    }

    fn forward(&self, name: &HostName, qtype: Rtype) -> Found {
        let policy = self.context.policy();
        let verdict = policy.may_resolve(name);
        let own = name.is_localhost() || name.as_str() == self.own_name;
        if name.as_str() == "localhost" || (own && !verdict.allowed) {
            return self.of_type(qtype, Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        }
        // Where somebody can be asked, the question comes with the connection.
        if !verdict.allowed && !self.context.may_resolve(&Host::Name(name.clone())) {
            let rule = RuleRef { id: verdict.rule.to_string(), origin: verdict.origin.to_string() };
            self.report(name.as_str(), rule, verdict.reason, remedy(verdict.rule, name));
            return Found::NoSuchName;
        }
        match self.names.borrow_mut().number(name) {
            Some(number) => self.of_type(qtype, names::v4(number), names::v6(number)),
            None => Found::NoPlace,
        }
    }

    fn of_type(&self, qtype: Rtype, v4: Ipv4Addr, v6: Ipv6Addr) -> Found {
        match qtype {
            Rtype::A => Found::V4(v4),
            Rtype::AAAA if self.ipv6 => Found::V6(v6),
            _ => Found::Nothing,
        }
    }

    /// Programs look addresses up for their logs; nothing is denied by that.
    fn reverse(&self, address: IpAddr, qtype: Rtype) -> Found {
        let name = match address {
            loopback if loopback.is_loopback() => Host::parse("localhost").ok().and_then(|host| host.name().cloned()),
            _ => self.names.borrow().name(address).map(|name| HostName::clone(&name)),
        };
        match name {
            Some(name) if qtype == Rtype::PTR => Found::Name(name),
            Some(_) => Found::Nothing,
            None => Found::NoSuchName,
        }
    }

    fn report(&self, name: &str, rule: RuleRef, reason: &str, allow: Option<String>) {
        if self.is_repeated(name) {
            return;
        }
        self.context.events.report(Event {
            v: 1,
            time: SystemTime::now(),
            kind: Kind::NetDns,
            operation: "resolve".into(),
            target: name.to_owned(),
            errno: None,
            process: None,
            rule,
            reason: reason.to_owned(),
            allow,
            source: Source::Dns,
            count: 1,
        });
    }

    fn is_repeated(&self, name: &str) -> bool {
        let mut reported = self.reported.borrow_mut();
        while reported.len() >= REMEMBERED || reported.front().is_some_and(|(at, _)| at.elapsed() > ONE_LOOKUP) {
            reported.pop_front();
        }
        let searched = name.strip_suffix(&self.own_domain).and_then(|rest| rest.strip_suffix('.'));
        let repeated = reported.iter().any(|(_, before)| before == name || Some(before.as_str()) == searched);
        if !repeated {
            reported.push_back((Instant::now(), name.to_owned()));
        }
        repeated
    }
}

/// The name in canonical form. A dot inside a label is no separator, so it makes no name.
fn host_name(labels: &[&[u8]]) -> Option<HostName> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !labels.iter().all(|label| label.iter().all(plain)) {
        return None;
    }
    Host::parse(&shown(labels)).ok()?.name().cloned()
}

fn shown(labels: &[&[u8]]) -> String {
    labels.iter().map(|label| String::from_utf8_lossy(label)).collect::<Vec<_>>().join(".")
}

/// As for the proxies: only where no rule of the user's denied it, and where the entry grammar can name it.
fn remedy(rule: &RuleId, name: &HostName) -> Option<String> {
    let can_be_named = crate::policy::DomainPattern::parse(name.as_str(), crate::policy::DomainList::Allow).is_ok();
    (rule.0 == "net.default" && can_be_named).then(|| format!("add \"{name}\" to network.allowedDomains"))
}
