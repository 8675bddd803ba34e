//! Denied connections as events.

use std::time::SystemTime;

use super::{Asked, Transparent};
use crate::policy::{AddressClass, Target};
use crate::proxy::denial::{address_remedy, remedy};
use crate::violation::{Event, Kind, RuleRef, Source, sanitise};

impl Transparent {
    /// Asks the policy; a denial is reported.
    pub(super) fn is_allowed(&self, asked: &Asked, target: &Target) -> bool {
        let verdict = self.context.policy.decide(&target.host, target.port);
        tracing::debug!(
            "broker: {} {target}: {} by {} ({})",
            sanitise(asked.operation),
            if verdict.allowed { "allowed" } else { "denied" },
            verdict.rule,
            verdict.origin
        );
        if !verdict.allowed {
            let rule = RuleRef { id: verdict.rule.to_string(), origin: verdict.origin.to_string() };
            self.report(asked, target, rule, verdict.reason, remedy(&verdict, target));
        }
        verdict.allowed
    }

    /// The name leads to a refused address.
    pub(super) fn report_address(&self, asked: &Asked, target: &Target, class: AddressClass) {
        let (id, origin) = self.context.policy.address_rule(class);
        let rule = RuleRef { id: id.to_string(), origin: origin.to_string() };
        self.report(asked, target, rule, &class.to_string(), address_remedy(target, class));
    }

    /// Denied by no rule of the user's.
    pub(super) fn report_builtin(&self, asked: &Asked, target: &Target, id: &str, reason: &str) {
        let rule = RuleRef { id: format!("net.{id}"), origin: "built-in check".into() };
        self.report(asked, target, rule, reason, None);
    }

    fn report(&self, asked: &Asked, target: &Target, rule: RuleRef, reason: &str, allow: Option<String>) {
        self.context.events.report(Event {
            v: 1,
            time: SystemTime::now(),
            kind: Kind::NetConnect,
            operation: asked.operation.to_owned(),
            target: target.to_string(),
            errno: Some("ECONNREFUSED"),
            process: asked.process.clone(),
            rule,
            reason: reason.to_owned(),
            allow,
            source: Source::Broker,
            count: 1,
        });
    }
}
