//! The process outside: serves the proxies, passes signals on, takes the end.
//!
//! One thread, one loop, over the channel from `init`, the signals and the listening socket. It runs with the caller's rights, so everything that
//! reaches it from inside goes through parsers that expect the worst.

mod signals;
mod terminal;

use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::backend::{Report, Running};
use crate::policy::NetPolicy;
use crate::proxy::{Network, ProxyContext, Published};
use crate::violation::EventSink;
use crate::{Fault, Outcome};

use signals::Signals;
use terminal::Terminal;

/// The end of a run, and what must be said about it.
#[derive(Debug)]
pub struct End {
    /// How it ended.
    pub outcome: Outcome,
    /// Why srt failed, or why the command could not be executed.
    pub fault: Option<Fault>,
}

impl End {
    fn fault(outcome: Outcome, fault: Fault) -> Self {
        End { outcome, fault: Some(fault) }
    }
}

impl From<Outcome> for End {
    fn from(outcome: Outcome) -> Self {
        End { outcome, fault: None }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        End::fault(Outcome::Failed, fault)
    }
}

/// Supervises a run to its end. The private directory is gone afterwards, and so is every process of the sandbox.
pub fn run(running: Running, network: NetPolicy, published: Published, sink: EventSink) -> End {
    let terminal = Terminal::remember();
    let end = match event_loop() {
        Ok(runtime) => {
            let work = supervise(&running, network, published, sink);
            tokio::task::LocalSet::new().block_on(&runtime, work).unwrap_or_else(End::from)
        }
        Err(fault) => fault.into(),
    };
    terminal.restore();
    wait_for_init(running);
    end
}

fn event_loop() -> Result<tokio::runtime::Runtime, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(|error| Fault::os("start the event loop", error))
}

async fn supervise(running: &Running, network: NetPolicy, published: Published, sink: EventSink) -> Result<End, Fault> {
    running.channel.set_nonblocking().map_err(|errno| Fault::os("listen to init", errno))?;
    // SAFETY: the descriptor is borrowed from `running`, which outlives this and keeps it open.
    let channel = unsafe { AsyncFd::register_with_interest(running.channel.as_fd(), Interest::READABLE) };
    let channel = channel.map_err(|error| Fault::os("listen to init", error))?;
    let signals = Signals::watch()?;
    let mut context = Some((network, published, sink));
    let mut serving: Option<Rc<ProxyContext>> = None;
    let mut started = false;
    let mut continues = 0;
    loop {
        tokio::select! {
            ready = channel.readable() => {
                let mut ready = ready.map_err(|error| Fault::os("listen to init", error))?;
                match running.channel.receive() {
                    Ok(Some((Report::Sockets { transparent }, sockets))) => {
                        if let Some((policy, published, sink)) = context.take() {
                            serving = Some(serve_network(sockets, transparent, policy, published, sink)?);
                        }
                    }
                    Ok(Some((report, _))) => {
                        started |= report == Report::Started;
                        if let Some(end) = take(report, continues, running) {
                            if let Some(context) = &serving {
                                context.flush().await;
                            }
                            return Ok(end);
                        }
                    }
                    Ok(None) => return Ok(init_is_gone(started)),
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(errno) => return Err(Fault::os("listen to init", errno)),
                }
            }
            signal = signals.next() => continues += i32::from(signal?.pass_on(&running.channel)),
        }
    }
}

fn serve_network(
    sockets: Vec<OwnedFd>,
    transparent: bool,
    policy: NetPolicy,
    published: Published,
    sink: EventSink,
) -> Result<Rc<ProxyContext>, Fault> {
    let fault = |cause| Fault::os("serve the network of the sandbox", cause);
    let network = Network::new(sockets, transparent).ok_or_else(|| fault(Errno::BADF.into()))?;
    let context = Rc::new(ProxyContext::new(policy, sink));
    // Whoever performs connections for the command asks what this returns.
    let _admission = network.serve(context.clone(), published).map_err(fault)?;
    Ok(context)
}

/// Only the kernel (out of memory) or a person ends init early, and everything in the sandbox with it.
fn init_is_gone(started: bool) -> End {
    let outcome = if started { Outcome::Killed(libc::SIGKILL) } else { Outcome::Failed };
    End::fault(outcome, Fault::new("go on", "the first process of the sandbox was killed, and everything in it with it"))
}

/// One report; the end where it is the last.
fn take(report: Report, continues: i32, running: &Running) -> Option<End> {
    match report {
        Report::Started | Report::Sockets { .. } => None,
        Report::Stopped(obeyed) => {
            // A request to continue that init had not yet seen will end the stop.
            if obeyed == continues {
                signals::stop_self();
            }
            None
        }
        Report::Exited(status) => Some(Outcome::Exited((status & 0xff) as u8).into()),
        Report::Killed(signal) => Some(Outcome::Killed(signal).into()),
        Report::NotExecuted(errno) => Some(not_executed(running, errno)),
        Report::Failed(errno, action, gap) => Some(set_up_failed(errno, action, gap.as_deref()).into()),
    }
}

fn set_up_failed(errno: i32, action: String, gap: Option<&str>) -> Fault {
    let fault = Fault::os(action, std::io::Error::from_raw_os_error(errno));
    match gap {
        Some("new-proc") => fault.hint(
            "this container hides parts of /proc, and the kernel refuses a new one: \"enableWeakerNestedSandbox\": true binds the container's own",
        ),
        Some("reader") => fault.hint("the policy does not let the command read this file; what is meant for it can come through a pipe: cat FILE | srt …"),
        _ => fault,
    }
}

fn not_executed(running: &Running, errno: i32) -> End {
    let missing = [Errno::NOENT, Errno::NOTDIR].iter().any(|error| error.raw_os_error() == errno);
    let outcome = if missing { Outcome::NotFound } else { Outcome::NotExecutable };
    End::fault(outcome, Fault::os(format!("run {}", running.program.to_string_lossy()), std::io::Error::from_raw_os_error(errno)))
}

/// Reaps `init`: whoever is PID 1 around us may not. The private directory goes afterwards: while it is a mount point of the sandbox, removing it costs more
/// than the wait.
fn wait_for_init(running: Running) {
    // Closed first: an init that still waits for us ends by that.
    drop(running.channel);
    let id = || rustix::process::WaitId::PidFd(running.init.as_fd());
    while matches!(rustix::process::waitid(id(), rustix::process::WaitIdOptions::EXITED), Err(Errno::INTR)) {}
}
