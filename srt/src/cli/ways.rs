//! What a run tells and is told while it goes on, from the options.

use std::os::fd::{AsRawFd as _, RawFd};

use super::args::{Options, Violations};
use super::prepare::{self, Decided};
use super::stderr;
use crate::host::HostLookup;
use crate::plan::{Answer, Plan, Reporter, Support};
use crate::policy::{AbsPath, Access, PathLookup as _};
use crate::settings::Replace;
use crate::supervisor::{self, Descriptor, Direction, Memory, Ways};
use crate::{Fault, backend};

/// Takes the descriptors over, before anything is run.
///
/// # Errors
/// One cannot be used, or is also to be the command's.
pub(super) fn open(options: &Options, decided: &Decided) -> Result<Ways, Fault> {
    let status = take(options, options.status_fd, Direction::Out, "--status-fd")?;
    let control = take(options, options.control_fd, Direction::In, "--control-fd")?;
    let renewal = control.is_some().then(|| prepare::renewal(options, decided));
    // Without anybody who could be asked, it is as without the option.
    let ask = options.ask && ((status.is_some() && control.is_some()) || backend::can_ask());
    Ok(Ways {
        live: (options.violations == Violations::Live).then(|| Box::new(stderr::line) as supervisor::Show),
        say: Some(Box::new(stderr::line)),
        status,
        control,
        ask,
        memory: if ask { memory(decided) } else { Memory::default() },
        renew: renewal.map(|renewal| Box::new(move |title: &str, text: &str| renewal.policy(title, text)) as supervisor::Renew),
        run: None,
        on_files: None,
        reports: supervisor::Reports::default(),
    })
}

/// The descriptors that must stay open.
pub(super) fn descriptors(ways: &Ways) -> Vec<RawFd> {
    [&ways.status, &ways.control].into_iter().flatten().map(|descriptor| descriptor.as_raw_fd()).collect()
}

fn take(options: &Options, number: Option<RawFd>, direction: Direction, option: &str) -> Result<Option<Descriptor>, Fault> {
    let Some(number) = number else { return Ok(None) };
    if options.pass_fds.contains(&number) {
        // The command could tell lies, or allow itself anything.
        return Err(Fault::new(format!("use descriptor {number} for {option}"), "it is named with --pass-fd too"));
    }
    Descriptor::take(number, direction, option).map(Some)
}

/// The settings file, where it is a file or can become one.
fn memory(decided: &Decided) -> Memory {
    let usable = decided.file.as_ref().filter(|file| file.as_path().metadata().map_or(true, |found| found.is_file()));
    let Some((file, real)) = usable.and_then(|file| Some((file, HostLookup.real_path(file).ok()?))) else { return Memory::default() };
    let writable = |path: &AbsPath| decided.policy.files.decide(path, Access::Write).allowed;
    // The command could lead a link of its own to another file.
    if real.links.iter().any(writable) {
        return Memory::default();
    }
    let open = real.path.parent().is_some_and(|directory| writable(&directory));
    Memory::new(file.as_path(), real.path.as_path(), if open { Replace::InPlace } else { Replace::Whole })
}

/// Who reports what the kernel denies.
pub(super) fn reports(plan: &Plan, support: &Support, decided: &Decided, command: &str) -> supervisor::Reports {
    let service = support.monitor.clone().filter(|_| plan.layers.reporter == Reporter::Service);
    let own = plan.layers.reporter != Reporter::None && decided.policy.report_reads && support.ebpf == Answer::Yes;
    supervisor::Reports { service, own, wanted: decided.policy.report_reads, command: command.to_owned() }
}
