//! Opens and builds everything that the fork needs, on the host, while there is one thread.

use std::os::fd::OwnedFd;

use landlock::RulesetCreated;
use rustix::io::Errno;
use seccompiler::sock_filter;

use super::script::{BrokerScript, Script};
use super::{fds, landlock as domain, seccomp};
use crate::Fault;
use crate::proxy::{self, Published};
use crate::unix::{self, MadeDirectories, Scratch};

/// A script with its descriptors, its ruleset and its filter.
#[derive(Debug)]
pub struct Armed {
    pub(super) script: Script,
    pub(super) scratch: Scratch,
    pub(super) made: MadeDirectories,
    pub(super) inherited: Vec<fds::Inherited>,
    pub(super) ruleset: Option<RulesetCreated>,
    pub(super) filter: Vec<sock_filter>,
    pub(super) broker: Option<BrokerScript>,
    pub(super) gate: Option<Gate>,
    pub(super) published: Published,
}

/// Holds the command back until the supervisor closes its end, or is gone.
#[derive(Debug)]
pub(super) struct Gate {
    /// `init` waits here.
    pub(super) waits: OwnedFd,
    /// The supervisor's.
    pub(super) opens: OwnedFd,
}

/// Arms a script.
///
/// # Errors
/// A private directory that cannot be made; a write root that has vanished.
pub fn arm(script: Script) -> Result<Armed, Fault> {
    let mut script = script;
    let published = proxy::listen(&script.publish)?;
    if let Some(namespaces) = &mut script.namespaces {
        namespaces.network.host_listeners = published.descriptors();
    }
    let scratch = Scratch::create(&script.private_tmp, script.identity.uid)
        .map_err(|errno| Fault::os(format!("make the private directory {}", script.private_tmp), errno))?;
    let made = MadeDirectories::make(&script.make)?;
    let ruleset = domain::prepare(&script.confinement, &script.exec.pass_fds).map_err(|failure| super::fault(&failure))?;
    let inherited = fds::inherited(&script.exec.pass_fds);
    let filter = seccomp::compile(script.confinement.filter);
    let broker = script.broker.take();
    let gate = script.gated.then(gate).transpose().map_err(|errno| Fault::os("make a pipe", errno))?;
    Ok(Armed { script, scratch, made, inherited, ruleset, filter, broker, gate, published })
}

fn gate() -> Result<Gate, Errno> {
    let (waits, opens) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok(Gate { waits, opens })
}

/// Checks the descriptors that the caller named, and closes every other above 2. Before anything of ours is opened: what is open afterwards besides is ours, and
/// closes at execve(2).
///
/// # Errors
/// A descriptor that must not be passed, or is not open.
pub fn close_inherited(keep: &[std::os::fd::RawFd]) -> Result<(), Fault> {
    unix::check(keep)?;
    fds::close_all_but(keep).map_err(|errno| Fault::os("close inherited descriptors", errno))
}
