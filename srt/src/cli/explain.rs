//! `srt explain`: the plan, printed.

use std::io::Write as _;

use super::args::Options;
use super::message::Error;
use super::{explain_macos, prepare};
use crate::host::Platform;
use crate::{Fault, backend, plan};

/// Prints what a run with these options would do.
pub(super) fn explain(options: &Options, json: bool, platform: Option<Platform>) -> Result<u8, Error> {
    let platform = platform.unwrap_or(backend::PLATFORM);
    let decided = prepare::decide_for(options, platform)?;
    if platform == Platform::MacOs {
        return explain_macos::explain(&decided, json);
    }
    let (plan, _) = prepare::plan(options, &decided)?;
    let text = if json {
        serde_json::to_string_pretty(&Explanation::new(&plan, &decided.policy)).map_err(|error| Fault::new("print the plan", error))? + "\n"
    } else {
        plan::render(&plan) + &rules(&decided.policy.network) + reads(&decided.policy) + &unenforced(&plan, &decided.policy)
    };
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(0)
}

/// The plan, and the host rules that the proxies decide by.
#[derive(serde::Serialize)]
struct Explanation<'a> {
    #[serde(flatten)]
    plan: &'a plan::Plan,
    denied_hosts: Vec<HostRule>,
    allowed_hosts: Vec<HostRule>,
    names_not_enforced: Vec<String>,
    reports_reads: bool,
}

#[derive(serde::Serialize)]
pub(super) struct HostRule {
    entry: String,
    rule: String,
    origin: String,
}

impl<'a> Explanation<'a> {
    fn new(plan: &'a plan::Plan, policy: &crate::policy::Policy) -> Self {
        Explanation {
            plan,
            denied_hosts: HostRule::list(policy.network.deny_rules()),
            allowed_hosts: HostRule::list(policy.network.allow_rules()),
            reports_reads: policy.report_reads,
            names_not_enforced: not_held(plan, policy).map(|rule| format!("{} {} ({})", rule.key, rule.spelled, rule.origin)).collect(),
        }
    }
}

impl HostRule {
    /// The rules of one list.
    pub(super) fn list(rules: &[crate::policy::NetRule]) -> Vec<HostRule> {
        let one = |rule: &crate::policy::NetRule| HostRule {
            entry: rule.pattern.to_string(),
            rule: rule.id.to_string(),
            origin: rule.origin.to_string(),
        };
        rules.iter().map(one).collect()
    }
}

/// The rules on hosts, which no layer of the system knows.
pub(super) fn rules(policy: &crate::policy::NetPolicy) -> String {
    let line = |verb: &str, rule: &crate::policy::NetRule| format!("  {verb:<6} {} {} ({})\n", rule.pattern, rule.id, rule.origin);
    let mut out = "hosts\n".to_owned();
    out.extend(policy.deny_rules().iter().map(|rule| line("deny", rule)));
    out.extend(policy.allow_rules().iter().map(|rule| line("allow", rule)));
    out.push_str("  deny   everything else\n");
    out
}

/// What is reported beyond the usual.
fn reads(policy: &crate::policy::Policy) -> &'static str {
    if policy.report_reads { "reports\n  denied reads too\n" } else { "" }
}

/// Rules on names that nobody holds: those on reading what does not exist, and without a broker all of them.
fn not_held<'a>(plan: &plan::Plan, policy: &'a crate::policy::Policy) -> impl Iterator<Item = &'a crate::policy::NameRule> {
    let broker = plan.layers.user_notification;
    policy.inventory.by_name_only.iter().filter(move |rule| !broker || rule.key == "denyRead")
}

fn unenforced(plan: &plan::Plan, policy: &crate::policy::Policy) -> String {
    let line = |rule: &crate::policy::NameRule| format!("  {:<10} {} ({})\n", rule.key, rule.spelled, rule.origin);
    let lines: String = not_held(plan, policy).map(line).collect();
    if lines.is_empty() { lines } else { "not enforced, because nothing of that name exists now\n".to_owned() + &lines }
}
