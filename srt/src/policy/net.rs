//! Which hosts and ports may be reached, and by which way.
//!
//! One question, one function: [`NetPolicy::decide`] for a destination as it was asked for, then, for names that are dialled from here,
//! [`NetPolicy::decide_address`] for what the name resolved to. Deny rules come first, then allow rules; what no rule names is denied.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{builtin_class, readings};
use super::{AddressClass, DomainPattern, Host, HostName, Located, Origin, ParentProxy, RuleId};
use crate::Fault;
use crate::settings::{NetworkSettings, PathEntry};

/// Longest custom reason, in characters.
pub(super) const MAX_REASON: usize = 500;

/// What decides where no entry does.
pub(super) const DEFAULT_ID: &str = "net.default";

/// The network rules of one run.
#[derive(Clone, Debug)]
pub struct NetPolicy {
    pub(super) deny: Vec<NetRule>,
    pub(super) allow: Vec<NetRule>,
    pub(super) addresses: Vec<AddressRule>,
    pub(super) default_id: RuleId,
    pub(super) default_origin: Origin,
    /// `strictAllowlist`: nobody is asked about a host that no entry covers.
    pub strict: bool,
    /// Where allowed connections are sent instead of being dialled.
    pub parent: Option<ParentProxy>,
    /// An HTTP proxy on a UNIX socket for some of the allowed domains.
    pub mitm: Option<MitmProxy>,
    /// A proxy of the user's own on the host's loopback that takes all HTTP connections, unfiltered.
    pub http_proxy_port: Option<Located<u16>>,
    /// The same for SOCKS.
    pub socks_proxy_port: Option<Located<u16>>,
    /// Names of headers that are dropped from answers to plain HTTP requests, as written.
    pub strip_response_headers: Vec<Located<String>>,
    /// Paths of UNIX sockets that may be used, as written.
    pub allow_unix_sockets: Vec<Located<PathEntry>>,
    /// Every UNIX socket may be used.
    pub allow_all_unix_sockets: bool,
    /// Ports of the host's loopback that the sandbox reaches at the same port of its own; none twice.
    pub allow_host_ports: Vec<Located<u16>>,
    /// Ports of the sandbox's loopback that the host's shows; none twice, and none of the above.
    pub publish_ports: Vec<Located<u16>>,
}

/// One entry of `allowedDomains` or `deniedDomains`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetRule {
    /// What it covers.
    pub pattern: DomainPattern,
    /// `net.allow.3`, `net.deny.0`: list and place.
    pub id: RuleId,
    /// Where it was written.
    pub origin: Origin,
    /// What a denial by it says: `deniedDomainReasons`, or the general words.
    pub reason: String,
}

/// One entry of `deniedResolvedAddresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// What it covers.
    pub block: IpNet,
    /// `net.address.0`.
    pub id: RuleId,
    /// Where it was written.
    pub origin: Origin,
}

/// `network.mitmProxy`, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MitmProxy {
    /// The socket of the host, as written.
    pub socket_path: String,
    /// What goes there.
    pub(super) domains: Vec<DomainPattern>,
}

impl MitmProxy {
    /// Does this destination go there?
    pub fn covers(&self, host: &Host, port: u16) -> bool {
        self.domains.iter().any(|pattern| pattern.matches(host, port))
    }
}

/// The answer to "may this destination be reached?".
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetVerdict<'a> {
    /// May it?
    pub allowed: bool,
    /// The rule that decided.
    pub rule: &'a RuleId,
    /// Where that rule was written.
    pub origin: &'a Origin,
    /// Why, in words.
    pub reason: &'a str,
}

impl NetVerdict<'_> {
    /// Did no rule decide? Then, and only then, a person may be asked.
    pub fn undecided(&self) -> bool {
        !self.allowed && self.rule.0 == DEFAULT_ID
    }
}

impl NetPolicy {
    /// Validates the `network` table. All faults are returned, in the order of the settings.
    pub fn build(settings: &NetworkSettings) -> Result<NetPolicy, Vec<Fault>> {
        super::net_build::build(settings)
    }

    /// May this destination be asked for? Names are judged as names, addresses by entries that are addresses (and by `*`).
    pub fn decide(&self, host: &Host, port: u16) -> NetVerdict<'_> {
        let covering = |rules: &'_ [NetRule]| rules.iter().position(|rule| rule.pattern.matches(host, port));
        match (covering(&self.deny), covering(&self.allow)) {
            (Some(place), _) => self.deny[place].verdict(false),
            (None, Some(place)) => self.allow[place].verdict(true),
            (None, None) => {
                NetVerdict { allowed: false, rule: &self.default_id, origin: &self.default_origin, reason: "host is not on the allow list" }
            }
        }
    }

    /// May this name be asked for at all: is there a port at which it may be reached?
    pub fn may_resolve(&self, name: &HostName) -> NetVerdict<'_> {
        let host = Host::Name(name.clone());
        let covers = |rule: &&NetRule| rule.pattern.covers_host(&host);
        if let Some(everywhere) = self.deny.iter().filter(covers).find(|rule| rule.pattern.port().is_none()) {
            return everywhere.verdict(false);
        }
        // Deny rules for single ports leave others open where an allow rule names no port.
        let allowed = |rule: &&NetRule| rule.pattern.port().is_none_or(|port| self.decide(&host, port).allowed);
        let mut allowing = self.allow.iter().filter(covers).peekable();
        let denied_port = allowing.peek().and_then(|rule| rule.pattern.port());
        match allowing.find(allowed) {
            Some(rule) => rule.verdict(true),
            None => self.decide(&host, denied_port.unwrap_or(0)),
        }
    }

    /// May `address`, to which the allowed `host` resolved, be dialled? `own` holds the addresses of this machine's interfaces.
    ///
    /// An allowed address literal is dialled as it stands: the user named it. A name may lead to a refused address only where the user
    /// also allowed that very address (and port); an address on the deny list stays denied even then.
    pub fn decide_address(&self, host: &Host, port: u16, address: IpAddr, own: &[IpAddr]) -> Result<(), AddressClass> {
        let Host::Name(name) = host else {
            return if Host::from(address) == *host { Ok(()) } else { Err(AddressClass::OtherAddress) };
        };
        let readings = readings(address);
        if let Some(place) = self.deny.iter().position(|rule| readings.iter().any(|ip| rule.pattern.names_address(*ip, port))) {
            return Err(AddressClass::DeniedLiteral(place));
        }
        if self.allow.iter().any(|rule| rule.pattern.names_address(address, port)) {
            return Ok(());
        }
        if let Some(place) = self.addresses.iter().position(|rule| readings.iter().any(|ip| rule.block.contains(ip))) {
            return Err(AddressClass::DeniedBlock(place));
        }
        if name.is_localhost() {
            return if address.to_canonical().is_loopback() { Ok(()) } else { Err(AddressClass::NotLoopback) };
        }
        let class = |ip: &IpAddr| builtin_class(*ip).or_else(|| own.contains(ip).then_some(AddressClass::OwnInterface));
        readings.iter().find_map(class).map_or(Ok(()), Err)
    }

    /// The rule behind a refused address.
    pub fn address_rule(&self, class: AddressClass) -> (RuleId, Origin) {
        match class {
            AddressClass::DeniedLiteral(place) if place < self.deny.len() => (self.deny[place].id.clone(), self.deny[place].origin.clone()),
            AddressClass::DeniedBlock(place) if place < self.addresses.len() => {
                (self.addresses[place].id.clone(), self.addresses[place].origin.clone())
            }
            _ => (RuleId(format!("net.address.{}", class.slug())), Origin::BuiltIn("resolved-address check")),
        }
    }

    /// Could a person be asked about this host, at some port? Not where the list is strict, or an entry denies every port of it.
    pub fn leaves_open(&self, host: &Host) -> bool {
        !self.strict && !self.deny.iter().any(|rule| rule.pattern.covers_every_port(host))
    }

    /// The deny rules, in the order in which they are asked.
    pub fn deny_rules(&self) -> &[NetRule] {
        &self.deny
    }

    /// The allow rules, in the order in which they are asked.
    pub fn allow_rules(&self) -> &[NetRule] {
        &self.allow
    }

    /// The address blocks that names must not lead to, beside the built-in ones.
    pub fn address_rules(&self) -> &[AddressRule] {
        &self.addresses
    }

    /// Can nothing at all be reached? Then no proxy need run.
    pub fn allows_nothing(&self) -> bool {
        self.allow.is_empty() && self.http_proxy_port.is_none() && self.socks_proxy_port.is_none()
    }
}

impl NetRule {
    fn verdict(&self, allowed: bool) -> NetVerdict<'_> {
        NetVerdict { allowed, rule: &self.id, origin: &self.origin, reason: &self.reason }
    }
}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
