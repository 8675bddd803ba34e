//! From options to a plan: the pure half of the way, and the reading of its inputs.

use std::path::PathBuf;

use super::args::Options;
use super::message::{self, Error};
use super::native;
use crate::host::{self, Facts, HostLookup, Platform};
use crate::plan::{self, Answer, Plan, Support};
use crate::policy::{self, AbsPath, Policy};
use crate::settings::{self, Sources};
use crate::{Faults, backend};

/// What is known before the platform is asked.
pub(super) struct Decided {
    pub(super) facts: Facts,
    pub(super) policy: Policy,
    /// The settings file that was named, or would be read by itself.
    pub(super) file: Option<AbsPath>,
    /// The settings files that were read.
    read_from: Vec<PathBuf>,
    /// Whether the host lets us make namespaces, where that was tried.
    namespaces: Option<Answer>,
}

/// Where settings come from that replace those of the file while the command runs: all else stays as it was.
pub(super) struct Renewal {
    facts: Facts,
    sources: Sources,
    /// Stay protected, whatever the new settings are.
    read_from: Vec<PathBuf>,
}

impl Renewal {
    /// The policy with `text` in place of the file.
    pub(super) fn policy(&self, title: &str, text: &str) -> Result<Policy, Faults> {
        let mut settings = settings::merge(settings::load_with_text(&self.sources, title, text)?);
        settings.read_from.clone_from(&self.read_from);
        policy::resolve(&settings, &self.facts, &HostLookup).map_err(|faults| {
            Faults::new(faults).unwrap_or_else(|| crate::Fault::new("use the settings", "they were refused without a reason").into())
        })
    }
}

fn sources(options: &Options, facts: &Facts) -> Sources {
    Sources { home: facts.home.clone(), file: options.settings.clone(), profiles: options.profiles.clone(), flags: options.flags.clone() }
}

/// What is needed to decide once more.
pub(super) fn renewal(options: &Options, decided: &Decided) -> Renewal {
    Renewal { facts: decided.facts.clone(), sources: sources(options, &decided.facts), read_from: decided.read_from.clone() }
}

/// Reads settings and facts, and makes the policy.
pub(super) fn decide(options: &Options) -> Result<Decided, Error> {
    decide_for(options, backend::PLATFORM)
}

/// The same under the rules of another system, with what this host has of files.
pub(super) fn decide_for(options: &Options, platform: Platform) -> Result<Decided, Error> {
    let facts = Facts { platform, ..host::gather(options.cwd.as_deref())? };
    let sources = sources(options, &facts);
    let settings = settings::merge(settings::load(&sources)?);
    let weaker = settings.enable_weaker_nested_sandbox.as_ref().is_some_and(|value| value.value);
    let namespaces = if weaker && platform == backend::PLATFORM { Some(namespaces(options)) } else { None };
    let facts = Facts { namespaces: !matches!(namespaces, Some(Answer::No(_))), ..facts };
    for file in &settings.read_from {
        tracing::debug!("settings: read {}", file.display());
    }
    let elsewhere = if platform == Platform::Linux { settings.macos_remarks.as_slice() } else { &[] };
    for remark in settings.remarks.iter().chain(elsewhere) {
        tracing::debug!("settings: {} ({})", remark.value, remark.origin);
    }
    say_disabled(&settings);
    let policy =
        policy::resolve(&settings, &facts, &HostLookup).map_err(|faults| Faults::new(faults).map_or_else(unexplained, Error::from))?;
    tracing::debug!("policy: {} file rules, {} objects of them exist", policy.files.rules().len(), policy.inventory.points.len());
    let file = settings_file(options, &facts);
    Ok(Decided { facts, policy, file, read_from: settings.read_from, namespaces })
}

fn settings_file(options: &Options, facts: &Facts) -> Option<AbsPath> {
    match &options.settings {
        // Relative to the working directory of this process, which is not the command's with --cwd.
        Some(file) => AbsPath::new(std::path::absolute(file).ok()?),
        None => Some(facts.home.as_ref()?.join(settings::HOME_FILE)),
    }
}

fn unexplained() -> Error {
    crate::Fault::new("use the settings", "they were refused without a reason").into()
}

/// Asks the platform, and makes the plan.
pub(super) fn plan(options: &Options, decided: &Decided) -> Result<(Plan, Support), Error> {
    let mut support = support(options, decided.policy.report_reads);
    if let Some(namespaces) = &decided.namespaces {
        support.user_namespaces.clone_from(namespaces);
    }
    if !options.without.iter().any(|layer| layer == "ebpf") {
        support.monitor = native::service();
    }
    Ok((plan::build(&decided.policy, &support)?, support))
}

/// Does the host let us make namespaces? A question that only trying answers, and asked only for those who would go on without.
fn namespaces(options: &Options) -> Answer {
    let mut support = support(options, false);
    backend::try_namespaces(&mut support);
    support.user_namespaces
}

/// What the platform can do, less what a test takes away. Whether it lets us load programs is asked for those who want one only.
pub(super) fn support(options: &Options, with_ebpf: bool) -> Support {
    let mut probed = backend::probe();
    if with_ebpf {
        probed.ebpf = backend::probe_ebpf();
    }
    let support = options.without.iter().fold(probed, |support, layer| support.without(layer));
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
