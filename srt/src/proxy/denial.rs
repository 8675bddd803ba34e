//! What the proxy refuses, as events and as words for the client.

use std::time::SystemTime;

use super::ProxyContext;
use crate::policy::{AddressClass, NetVerdict, Target};
use crate::violation::{Event, Kind, Process, RuleRef, Source, sanitise};

/// Longest method or target text that is kept of a request that makes no sense.
const MAX_TEXT: usize = 300;

/// The rule that a person's answer is.
const ASKED: &str = "net.ask";

/// A refusal by policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    /// Which check refused: it chooses the header that clients see.
    pub(super) check: Check,
    /// Why, sanitised.
    pub(super) reason: String,
}

/// The check that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// The lists of domains.
    Allowlist,
    /// Something that srt itself insists on: where a name leads, or that names agree.
    Runtime,
}

/// One attempt of a client, as events name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    /// Family of the event.
    pub(super) kind: Kind,
    /// `CONNECT`, `GET`, `socks-connect`.
    pub(super) operation: &'a str,
    /// Who saw it.
    pub(super) seen: Seen<'a>,
}

/// Who saw an attempt, and what is known from that.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen<'a> {
    /// A proxy, in what a client sent.
    Proxy,
    /// The broker, in a call of this process, which fails with `ECONNREFUSED`.
    Broker(Option<&'a Process>),
}

impl Attempt<'_> {
    /// Says under `--debug` what the policy answered.
    pub(super) fn log(&self, target: &Target, verdict: &NetVerdict<'_>) {
        // A target is canonical: letters, digits, dots, hyphens, colons, brackets.
        tracing::debug!(
            "proxy: {} {target}: {} by {} ({})",
            sanitise(self.operation),
            if verdict.allowed { "allowed" } else { "denied" },
            verdict.rule,
            verdict.origin
        );
    }

    /// Reports what the lists of domains deny.
    pub(super) fn refuse(&self, context: &ProxyContext, target: &Target, verdict: &NetVerdict<'_>) -> Denial {
        self.refuse_because(context, target, verdict, verdict.reason)
    }

    /// Reports what nobody decided although somebody could be asked.
    pub(super) fn refuse_unanswered(&self, context: &ProxyContext, target: &Target, verdict: &NetVerdict<'_>, why: &str) -> Denial {
        self.refuse_because(context, target, verdict, &format!("{}, and {why}", verdict.reason))
    }

    /// Reports what a person denied; there is no line to allow it: they have just said no.
    pub(super) fn refuse_by_person(&self, context: &ProxyContext, target: &Target) -> Denial {
        let rule = RuleRef { id: ASKED.to_owned(), origin: "the answer to a question".to_owned() };
        self.report(context, &target.to_string(), rule, "user denied", None);
        Denial { check: Check::Allowlist, reason: "user denied".to_owned() }
    }

    fn refuse_because(&self, context: &ProxyContext, target: &Target, verdict: &NetVerdict<'_>, reason: &str) -> Denial {
        let rule = RuleRef { id: verdict.rule.to_string(), origin: verdict.origin.to_string() };
        self.report(context, &target.to_string(), rule, reason, remedy(verdict, target));
        Denial { check: Check::Allowlist, reason: sanitise(reason) }
    }

    /// Reports that the name leads to a refused address.
    pub(super) fn refuse_address(&self, context: &ProxyContext, target: &Target, class: AddressClass) -> Denial {
        context.destinations.note(target, false);
        let (id, origin) = context.policy().address_rule(class);
        let rule = RuleRef { id: id.to_string(), origin: origin.to_string() };
        self.report(context, &target.to_string(), rule, &class.to_string(), address_remedy(target, class));
        Denial { check: Check::Runtime, reason: class.to_string() }
    }

    /// Reports what no rule of the user's is about. `id` ends the rule's name: `net.malformed`.
    pub(super) fn refuse_builtin(&self, context: &ProxyContext, target: &str, id: &str, reason: &str) -> Denial {
        let rule = RuleRef { id: format!("net.{id}"), origin: "built-in check".into() };
        let target: String = target.chars().take(MAX_TEXT).collect();
        self.report(context, &target, rule, reason, None);
        Denial { check: Check::Runtime, reason: sanitise(reason) }
    }

    fn report(&self, context: &ProxyContext, target: &str, rule: RuleRef, reason: &str, allow: Option<String>) {
        context.events.report(Event {
            v: 1,
            time: SystemTime::now(),
            kind: self.kind,
            operation: self.operation.chars().take(MAX_TEXT).collect(),
            target: target.to_owned(),
            errno: matches!(self.seen, Seen::Broker(_)).then(|| "ECONNREFUSED".into()),
            process: match self.seen {
                Seen::Broker(process) => process.cloned(),
                Seen::Proxy => None,
            },
            rule,
            reason: reason.to_owned(),
            allow,
            source: if matches!(self.seen, Seen::Proxy) { Source::Proxy } else { Source::Broker },
            count: 1,
        });
    }
}

/// The line that would allow a refused address.
pub(super) fn address_remedy(target: &Target, class: AddressClass) -> Option<String> {
    match class {
        // The user's own rule is not to be worked around.
        AddressClass::DeniedLiteral(_) | AddressClass::DeniedBlock(_) | AddressClass::OtherAddress | AddressClass::NotLoopback => None,
        _ => Some(format!("add the address behind {}, with \":{}\", to network.allowedDomains", target.host, target.port)),
    }
}

/// The line that would allow it. Where a deny rule decided, the user has said no: there is none. Where the entry grammar cannot name the
/// host (a single label), there is none either.
pub(super) fn remedy(verdict: &NetVerdict<'_>, target: &Target) -> Option<String> {
    let entry = target.to_string();
    let nobody_denied_it = verdict.undecided();
    let can_be_named = crate::policy::DomainPattern::parse(&entry, crate::policy::DomainList::Allow).is_ok();
    (nobody_denied_it && can_be_named).then(|| format!("add \"{entry}\" to network.allowedDomains"))
}
