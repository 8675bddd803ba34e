//! From options to a plan: the pure half of the way, and the reading of its inputs.

use super::args::Options;
use super::message::{self, Error};
use crate::host::{self, Facts, HostLookup};
use crate::plan::{self, Plan, Support};
use crate::policy::{self, Policy};
use crate::settings::{self, Sources};
use crate::{Faults, backend};

/// What is known before the platform is asked.
pub(super) struct Decided {
    pub(super) facts: Facts,
    pub(super) policy: Policy,
}

/// Reads settings and facts, and makes the policy.
pub(super) fn decide(options: &Options) -> Result<Decided, Error> {
    let facts = host::gather(options.cwd.as_deref())?;
    let sources = Sources {
        home: facts.home.clone(),
        file: options.settings.clone(),
        profiles: options.profiles.clone(),
        flags: options.flags.clone(),
    };
    let settings = settings::merge(settings::load(&sources)?);
    for file in &settings.read_from {
        tracing::debug!("settings: read {}", file.display());
    }
    for remark in &settings.remarks {
        tracing::debug!("settings: {} ({})", remark.value, remark.origin);
    }
    say_disabled(&settings);
    let policy =
        policy::resolve(&settings, &facts, &HostLookup).map_err(|faults| Faults::new(faults).map_or_else(unexplained, Error::from))?;
    tracing::debug!("policy: {} file rules, {} objects of them exist", policy.files.rules().len(), policy.inventory.points.len());
    Ok(Decided { facts, policy })
}

fn unexplained() -> Error {
    crate::Fault::new("use the settings", "they were refused without a reason").into()
}

/// Asks the platform, and makes the plan.
pub(super) fn plan(options: &Options, decided: &Decided) -> Result<Plan, Error> {
    Ok(plan::build(&decided.policy, &support(options))?)
}

/// What the platform can do, less what a test takes away.
pub(super) fn support(options: &Options) -> Support {
    let support = options.without.iter().fold(backend::probe(), |support, layer| support.without(layer));
    tracing::debug!("platform: {support:?}");
    support
}

/// File rules beside `filesystem.disabled` have no effect, which nobody should have to find out.
fn say_disabled(settings: &settings::Settings) {
    let files = &settings.filesystem;
    let rules = files.deny_read.len() + files.allow_read.len() + files.allow_write.len() + files.deny_write.len();
    if let Some(disabled) = files.disabled.as_ref().filter(|disabled| disabled.value && rules > 0) {
        message::say(&format!("filesystem.disabled ({}): {rules} other file rules have no effect", disabled.origin));
    }
}
