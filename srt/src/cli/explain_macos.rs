//! `srt explain --platform macos`: the Seatbelt profile, on any host.

use std::io::Write as _;

use super::explain::{HostRule, rules};
use super::message::Error;
use super::prepare::Decided;
use crate::Fault;
use crate::macos::RunTag;
use crate::macos::seatbelt::{self, Instance};
use crate::plan::{self, Support};
use crate::violation::sanitise;

/// In place of what each start draws anew.
const SHOWN: (u64, u16) = (0, plan::PROXY_PORT);

/// Prints the profile, with the rules on hosts in comments behind it, so that the whole stays a profile.
pub(super) fn explain(decided: &Decided, json: bool) -> Result<u8, Error> {
    // None of the layers of Linux is asked for.
    let plan = plan::build(&decided.policy, &Support::elsewhere())?;
    let instance = Instance { run: RunTag::of(SHOWN.0), proxy_port: SHOWN.1 };
    let profile = seatbelt::compile(&plan, &instance)?;
    let text = if json {
        let explanation = Explanation::new(&profile, &plan, decided);
        serde_json::to_string_pretty(&explanation).map_err(|error| Fault::new("print the profile", error))? + "\n"
    } else {
        profile + &footer(&plan, decided)
    };
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(0)
}

/// The profile, and what it does not say.
#[derive(serde::Serialize)]
struct Explanation<'a> {
    platform: &'static str,
    profile: &'a str,
    /// Of the proxy, and first part of each message: placeholders.
    proxy_port: u16,
    run: String,
    private_tmp: String,
    made: Vec<String>,
    environment: &'a plan::Environment,
    denied_hosts: Vec<HostRule>,
    allowed_hosts: Vec<HostRule>,
}

impl<'a> Explanation<'a> {
    fn new(profile: &'a str, plan: &'a plan::Plan, decided: &Decided) -> Self {
        Explanation {
            platform: "macos",
            profile,
            proxy_port: SHOWN.1,
            run: RunTag::of(SHOWN.0).to_string(),
            private_tmp: plan.files.private_tmp.to_string(),
            made: plan.files.make.iter().map(ToString::to_string).collect(),
            environment: &plan.environment,
            denied_hosts: HostRule::list(decided.policy.network.deny_rules()),
            allowed_hosts: HostRule::list(decided.policy.network.allow_rules()),
        }
    }
}

fn footer(plan: &plan::Plan, decided: &Decided) -> String {
    let mut lines = vec![
        String::new(),
        format!("The port {} and the run {} are drawn anew at each start.", SHOWN.1, RunTag::of(SHOWN.0)),
        format!("TMPDIR {} (removed at the end)", plan.files.private_tmp),
    ];
    lines.extend(plan.files.make.iter().map(|path| format!("made {path} (removed at the end where it is still empty)")));
    lines.push(String::new());
    lines.extend(rules(&decided.policy.network).lines().map(str::to_owned));
    let comment = |line: &String| if line.is_empty() { "\n".to_owned() } else { format!("; {}\n", shown(line)) };
    lines.iter().map(comment).collect()
}

/// A comment ends with its line.
fn shown(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    format!("{}{}", &line[..indent], sanitise(line))
}
