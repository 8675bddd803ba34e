//! From the `network` table to rules.
//!
//! Pure. Each entry gives a rule or a fault, and every fault is kept: a user mends a file once, not line by line.

use std::collections::BTreeMap;

use super::address::parse_block;
use super::net::{AddressRule, DEFAULT_ID, MAX_REASON, MitmProxy, NetPolicy, NetRule};
use super::{DomainList, DomainPattern, Located, Origin, ParentProxy, RuleId};
use crate::Fault;
use crate::plan::{DNS_PORT, PROXY_PORT, TRANSPARENT_PORT};
use crate::settings::{MitmProxySettings, NetworkSettings, ParentProxySettings};

pub(super) fn build(settings: &NetworkSettings) -> Result<NetPolicy, Vec<Fault>> {
    let mut faults = Vec::new();
    let policy = NetPolicy {
        deny: deny_rules(settings, &mut faults),
        allow: allow_rules(settings, &mut faults),
        addresses: address_rules(settings, &mut faults),
        default_id: RuleId(DEFAULT_ID.into()),
        default_origin: Origin::BuiltIn("default"),
        strict: settings.strict_allowlist.as_ref().is_some_and(|strict| strict.value),
        parent: settings.parent_proxy.as_ref().and_then(|parent| parent_proxy(parent, &mut faults)),
        mitm: settings.mitm_proxy.as_ref().and_then(|mitm| mitm_proxy(mitm, &mut faults)),
        http_proxy_port: proxy_port(settings.http_proxy_port.as_ref(), "network.httpProxyPort", &mut faults),
        socks_proxy_port: proxy_port(settings.socks_proxy_port.as_ref(), "network.socksProxyPort", &mut faults),
        strip_response_headers: header_names(&settings.strip_response_headers, &mut faults),
        allow_unix_sockets: settings.allow_unix_sockets.clone(),
        allow_all_unix_sockets: settings.allow_all_unix_sockets.as_ref().is_some_and(|all| all.value),
        allow_host_ports: ports(&settings.allow_host_ports, "network.allowHostPorts", &mut faults),
        publish_ports: ports(&settings.publish_ports, "network.publishPorts", &mut faults),
    };
    check_both_ways(&policy, &mut faults);
    if faults.is_empty() { Ok(policy) } else { Err(faults) }
}

fn fault<T>(entry: &Located<T>, action: impl Into<String>, cause: impl std::fmt::Display) -> Fault {
    Fault::new(action, cause).from_origin(&entry.origin)
}

fn pattern(entry: &Located<String>, key: &str, list: DomainList, faults: &mut Vec<Fault>) -> Option<DomainPattern> {
    DomainPattern::parse(&entry.value, list)
        .map_err(|cause| faults.push(fault(entry, format!("use {:?} in {key}", entry.value), cause)))
        .ok()
}

fn deny_rules(settings: &NetworkSettings, faults: &mut Vec<Fault>) -> Vec<NetRule> {
    let reasons = &settings.denied_domain_reasons;
    let rules = rules(&settings.denied_domains, "network.deniedDomains", DomainList::Deny, faults, |entry| {
        reasons.get(&entry.value).map_or_else(|| "host is on the deny list".into(), |reason| reason.value.trim().to_owned())
    });
    check_reasons(reasons, &settings.denied_domains, faults);
    rules
}

fn allow_rules(settings: &NetworkSettings, faults: &mut Vec<Fault>) -> Vec<NetRule> {
    rules(&settings.allowed_domains, "network.allowedDomains", DomainList::Allow, faults, |_| "host is on the allow list".into())
}

/// Rules are numbered by the place of their entry, so that a number in a message can be counted in the list.
fn rules(
    entries: &[Located<String>],
    key: &str,
    list: DomainList,
    faults: &mut Vec<Fault>,
    reason: impl Fn(&Located<String>) -> String,
) -> Vec<NetRule> {
    let id = |place| match list {
        DomainList::Allow => RuleId(format!("net.allow.{place}")),
        DomainList::Deny => RuleId(format!("net.deny.{place}")),
    };
    let rule = |(place, entry): (usize, &Located<String>)| {
        let pattern = pattern(entry, key, list, faults)?;
        Some(NetRule { pattern, id: id(place), origin: entry.origin.clone(), reason: reason(entry) })
    };
    entries.iter().enumerate().filter_map(rule).collect()
}

/// A reason is keyed by the exact spelling of its entry; one that belongs to no entry would never be shown.
fn check_reasons(reasons: &BTreeMap<String, Located<String>>, entries: &[Located<String>], faults: &mut Vec<Fault>) {
    for (key, reason) in reasons {
        let cause = match reason.value.trim() {
            _ if !entries.iter().any(|entry| entry.value == *key) => "network.deniedDomains has no entry of this exact spelling".to_owned(),
            "" => "the reason is empty".to_owned(),
            text if text.chars().count() > MAX_REASON => format!("the reason is longer than {MAX_REASON} characters"),
            text if text.chars().any(char::is_control) => "the reason holds a line break or another control character".to_owned(),
            _ => continue,
        };
        faults.push(fault(reason, format!("use {key:?} in network.deniedDomainReasons"), cause));
    }
}

fn address_rules(settings: &NetworkSettings, faults: &mut Vec<Fault>) -> Vec<AddressRule> {
    let rule = |(place, entry): (usize, &Located<String>)| match parse_block(&entry.value) {
        Ok(block) => Some(AddressRule { block, id: RuleId(format!("net.address.{place}")), origin: entry.origin.clone() }),
        Err(cause) => {
            faults.push(fault(entry, format!("use {:?} in network.deniedResolvedAddresses", entry.value), cause));
            None
        }
    };
    settings.denied_resolved_addresses.iter().enumerate().filter_map(rule).collect()
}

fn parent_proxy(settings: &Located<ParentProxySettings>, faults: &mut Vec<Fault>) -> Option<ParentProxy> {
    let refused = |causes: Vec<String>| faults.extend(causes.into_iter().map(|cause| fault(settings, "use network.parentProxy", cause)));
    ParentProxy::parse(&settings.value).map_err(refused).ok()
}

fn mitm_proxy(settings: &Located<MitmProxySettings>, faults: &mut Vec<Fault>) -> Option<MitmProxy> {
    let MitmProxySettings { socket_path, domains } = &settings.value;
    if socket_path.is_empty() || socket_path.contains('\0') {
        faults.push(fault(settings, "use network.mitmProxy.socketPath", "it is empty or holds a NUL byte"));
    }
    if domains.is_empty() {
        faults.push(fault(settings, "use network.mitmProxy", "its domains are empty, so it would never be used"));
    }
    let domains = domains.iter().filter_map(|entry| pattern(entry, "network.mitmProxy.domains", DomainList::Allow, faults)).collect();
    Some(MitmProxy { socket_path: socket_path.clone(), domains })
}

fn proxy_port(port: Option<&Located<u16>>, key: &str, faults: &mut Vec<Fault>) -> Option<Located<u16>> {
    if let Some(zero) = port.filter(|port| port.value == 0) {
        faults.push(fault(zero, format!("use 0 in {key}"), "ports are 1 to 65535"));
    }
    port.cloned()
}

/// Ports that srt itself uses on the sandbox's loopback.
const OWN_PORTS: [u16; 3] = [PROXY_PORT, TRANSPARENT_PORT, DNS_PORT];

/// Layers may repeat a port; it is opened once.
fn ports(entries: &[Located<u16>], key: &str, faults: &mut Vec<Fault>) -> Vec<Located<u16>> {
    let mut ports: Vec<Located<u16>> = Vec::new();
    for entry in entries {
        match entry.value {
            0 => faults.push(fault(entry, format!("use 0 in {key}"), "ports are 1 to 65535")),
            own if OWN_PORTS.contains(&own) => {
                faults.push(fault(entry, format!("use {own} in {key}"), "srt itself listens there on the sandbox's loopback"));
            }
            _ if !ports_hold(&ports, entry.value) => ports.push(entry.clone()),
            _ => {}
        }
    }
    ports
}

fn ports_hold(ports: &[Located<u16>], port: u16) -> bool {
    ports.iter().any(|own| own.value == port)
}

/// The port would lead to the host, and from there back.
fn check_both_ways(policy: &NetPolicy, faults: &mut Vec<Fault>) {
    for port in policy.publish_ports.iter().filter(|port| ports_hold(&policy.allow_host_ports, port.value)) {
        let action = format!("use {} in network.publishPorts", port.value);
        faults.push(fault(port, action, "it is in network.allowHostPorts too, and can lead one way only"));
    }
}

fn header_names(entries: &[Located<String>], faults: &mut Vec<Fault>) -> Vec<Located<String>> {
    for entry in entries.iter().filter(|entry| entry.value.is_empty() || !entry.value.bytes().all(is_token_byte)) {
        faults.push(fault(entry, format!("use {:?} in network.stripResponseHeaders", entry.value), "it is no header name"));
    }
    entries.to_vec()
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
