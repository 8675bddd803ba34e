//! The process outside: serves the proxies, passes signals on, takes the end.
//!
//! One thread, one loop, over the channel from `init`, the signals and the listening socket. It runs with the caller's rights, so everything that
//! reaches it from inside goes through parsers that expect the worst.

mod signals;
mod terminal;

use std::os::fd::AsFd as _;
use std::rc::Rc;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::backend::{Report, Running};
use crate::policy::NetPolicy;
use crate::proxy::{self, ProxyContext};
use crate::violation::EventSink;
use crate::{Fault, Outcome};

use signals::Signals;
use terminal::Terminal;

/// Supervises a run to its end.
///
/// # Errors
/// The sandbox could not be set up, or the supervisor cannot work. Nothing of the command has run then, except where the message says so.
pub fn run(running: Running, network: NetPolicy, sink: EventSink) -> Result<Outcome, Fault> {
    let terminal = Terminal::remember();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| Fault::new("start the event loop", crate::fault::errno_text(&error)))?;
    let tasks = tokio::task::LocalSet::new();
    let outcome = tasks.block_on(&runtime, supervise(&running, network, sink));
    if !matches!(outcome, Ok(Outcome::Failed) | Err(_)) {
        terminal.restore();
    }
    wait_for_init(&running);
    outcome
}

async fn supervise(running: &Running, network: NetPolicy, sink: EventSink) -> Result<Outcome, Fault> {
    running.channel.set_nonblocking().map_err(|errno| fault("listen to init", errno))?;
    let channel = AsyncFd::with_interest(running.channel.as_fd(), Interest::READABLE).map_err(|error| io_fault("listen to init", &error))?;
    let signals = Signals::watch()?;
    let mut context = Some((network, sink));
    loop {
        tokio::select! {
            ready = channel.readable() => {
                let mut ready = ready.map_err(|error| io_fault("listen to init", &error))?;
                match running.channel.receive() {
                    Ok(Some((Report::Listener, Some(listener)))) => {
                        if let Some((network, sink)) = context.take() {
                            let context = Rc::new(ProxyContext::new(network, sink));
                            tokio::task::spawn_local(proxy::serve(listener.into(), context));
                        }
                    }
                    Ok(Some((report, _))) => {
                        if let Some(outcome) = take(report, running)? {
                            return Ok(outcome);
                        }
                    }
                    // Only the kernel or a person ends init early.
                    Ok(None) => return Err(Fault::new("go on", "the first process of the sandbox was killed, and the command with it")),
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(errno) => return Err(fault("listen to init", errno)),
                }
            }
            signal = signals.next() => signal?.pass_on(&running.channel),
        }
    }
}

/// One report; the outcome where it is the last.
fn take(report: Report, running: &Running) -> Result<Option<Outcome>, Fault> {
    match report {
        Report::Started | Report::Listener => Ok(None),
        Report::Stopped(_) => {
            signals::stop_self();
            Ok(None)
        }
        Report::Exited(status) => Ok(Some(Outcome::Exited(u8::try_from(status & 0xff).unwrap_or(u8::MAX)))),
        Report::Killed(signal) => Ok(Some(Outcome::Killed(signal))),
        Report::NotExecuted(errno) => Err(not_executed(running, errno)),
        Report::Failed(errno, action, gap) => {
            let fault = Fault::new(action, errno_text(errno));
            Err(match gap.as_deref() {
                Some("new-proc") => fault.hint(
                    "this container hides parts of /proc, and the kernel refuses a new one: \"enableWeakerNestedSandbox\": true binds the container's own",
                ),
                _ => fault,
            })
        }
    }
}

fn not_executed(running: &Running, errno: i32) -> Fault {
    let status = if [Errno::NOENT.raw_os_error(), Errno::NOTDIR.raw_os_error()].contains(&errno) { Outcome::NotFound } else { Outcome::NotExecutable };
    Fault::new(format!("run {}", running.program.to_string_lossy()), errno_text(errno)).with_outcome(status)
}

fn errno_text(errno: i32) -> String {
    crate::fault::errno_text(&std::io::Error::from_raw_os_error(errno))
}

/// Reaps `init`: whoever is PID 1 around us may not.
fn wait_for_init(running: &Running) {
    let id = rustix::process::WaitId::PidFd(running.init.as_fd());
    while matches!(rustix::process::waitid(id.clone(), rustix::process::WaitIdOptions::EXITED), Err(Errno::INTR)) {}
}

fn fault(action: &str, errno: Errno) -> Fault {
    Fault::new(action, crate::fault::errno_text(&errno.into()))
}

fn io_fault(action: &str, error: &std::io::Error) -> Fault {
    Fault::new(action, crate::fault::errno_text(error))
}
