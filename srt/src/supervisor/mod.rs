//! The process outside: serves the proxies, passes signals on, takes the end.
//!
//! One thread, one loop, over the channel from `init`, the signals and the listening socket. It runs with the caller's rights, so everything that
//! reaches it from inside goes through parsers that expect the worst.

mod console;
mod control;
mod denials;
mod descriptor;
mod desk;
mod feed;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod live;
mod observers;
mod process;
mod program;
mod questions;
mod records;
mod remember;
mod reporter;
mod session;
mod signals;
mod status;
mod terminal;
mod told;
mod tree;

use std::cell::RefCell;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::backend::{self, Report, Running};
use crate::policy::Policy;
use crate::proxy::{Network, Published};
use crate::violation::{EventSink, Run};
use crate::{Fault, Outcome};

use questions::Questions;
use reporter::Reporter;
use session::Session;
use signals::Signals;
use terminal::Terminal;
use tree::Tree;

pub use console::has_terminal;
pub use descriptor::{Descriptor, Direction};
pub use live::Show;
pub use program::{OnFiles, Renew};
pub use remember::Memory;
pub use reporter::Reports;

/// The ways by which a run tells and is told things while it goes on. None by default.
#[derive(Default)]
pub struct Ways {
    /// Shows denials as they happen.
    pub live: Option<Show>,
    /// Says what goes wrong with the control channel.
    pub say: Option<Show>,
    /// `--status-fd`.
    pub status: Option<Descriptor>,
    /// `--control-fd`.
    pub control: Option<Descriptor>,
    /// Hosts that no rule decides are asked about: through the two descriptors where both are there, else on the terminal.
    pub ask: bool,
    /// Where "always" is written.
    pub memory: Memory,
    /// Makes a policy of settings that come through `control`.
    pub renew: Option<Renew>,
    /// What observers are told of the run. Without, there are none.
    pub run: Option<Run>,
    /// Gets the rules on files of such settings.
    pub on_files: Option<OnFiles>,
    /// Who reports what the kernel denied.
    pub reports: Reports,
}

/// The end of a run, and what must be said about it.
#[derive(Debug)]
pub struct End {
    /// How it ended.
    pub outcome: Outcome,
    /// Why srt failed, or why the command could not be executed.
    pub fault: Option<Fault>,
    /// What else went wrong, and is no reason to fail.
    pub remarks: Vec<Fault>,
}

impl End {
    fn fault(outcome: Outcome, fault: Fault) -> Self {
        End { outcome, fault: Some(fault), remarks: Vec::new() }
    }
}

impl From<Outcome> for End {
    fn from(outcome: Outcome) -> Self {
        End { outcome, fault: None, remarks: Vec::new() }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        End::fault(Outcome::Failed, fault)
    }
}

/// Supervises a run to its end. The private directory is gone afterwards, and so is every process of the sandbox.
pub fn run(running: Running, policy: Policy, published: Published, sink: EventSink, ways: Ways) -> End {
    let terminal = Terminal::remember();
    let mut running = running;
    let end = match event_loop() {
        Ok(runtime) => tokio::task::LocalSet::new().block_on(&runtime, supervise(&mut running, policy, published, sink, ways)),
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

async fn supervise(running: &mut Running, policy: Policy, published: Published, sink: EventSink, mut ways: Ways) -> End {
    let files = Rc::new(RefCell::new(Rc::new(policy.files.clone())));
    let on_files = running.by_name.then(|| questions::replace(running.channel.clone(), files.clone()));
    let mut reporter = Reporter::new(running, std::mem::take(&mut ways.reports), files.clone(), sink.clone());
    let mut session = Session::start(policy, sink.clone(), Ways { on_files, ..ways });
    let questions = Questions { files, events: sink, admission: RefCell::default(), told: RefCell::default() };
    let mut end = watch(running, &mut session, &questions, &mut reporter, published).await.unwrap_or_else(End::from);
    if reporter.holds_the_command() {
        // srt has failed, and letting go of the gate would start what must not be run any more.
        let _ = rustix::process::pidfd_send_signal(&running.init, rustix::process::Signal::KILL);
    }
    end.remarks.extend(reporter.finish());
    session.finish(&end).await;
    end
}

async fn watch(
    running: &Running,
    session: &mut Session,
    questions: &Questions,
    reporter: &mut Reporter,
    published: Published,
) -> Result<End, Fault> {
    running.channel.set_nonblocking().map_err(|errno| Fault::os("listen to init", errno))?;
    // SAFETY: the descriptor is borrowed from `running`, which outlives this and keeps it open.
    let channel = unsafe { AsyncFd::register_with_interest(running.channel.as_fd(), Interest::READABLE) };
    let channel = channel.map_err(|error| Fault::os("listen to init", error))?;
    let signals = Signals::watch()?;
    let mut published = Some(published);
    if !running.namespaces {
        let network = Network::of_host().map_err(|error| Fault::os("listen on the loopback", error))?;
        *questions.admission.borrow_mut() = network
            .serve(session.context.clone(), Published::default())
            .map_err(|cause| Fault::os("serve the network of the sandbox", cause))?;
    }
    let mut started = false;
    let mut continues = 0;
    loop {
        tokio::select! {
            ready = channel.readable() => {
                let mut ready = ready.map_err(|error| Fault::os("listen to init", error))?;
                match running.channel.receive() {
                    Ok(Some((Report::Sockets { transparent }, sockets))) => {
                        if let Some(published) = published.take() {
                            serve_network(sockets, transparent, published, session, questions)?;
                        }
                    }
                    Ok(Some((Report::Namespace, mut namespace))) => {
                        reporter.begin(namespace.pop()).into_iter().for_each(|news| session.attend(news));
                    }
                    Ok(Some((Report::Root, mut root))) => reporter.tree = Tree(root.pop()),
                    Ok(Some((Report::Question { ticket, matter }, mut caller))) => {
                        questions.take(&running.channel, ticket, matter, caller.pop());
                    }
                    Ok(Some((Report::Again { ticket, count }, _))) => questions.count(ticket, count),
                    Ok(Some((report, _))) => {
                        if report == Report::Started {
                            started = true;
                            session.started(backend::id_of(&running.init));
                        }
                        let stop_is_news = !session.bell.at_rest.get();
                        if let Some(end) = take(report, stop_is_news.then_some(continues), running) {
                            session.context.flush().await;
                            return Ok(end);
                        }
                    }
                    Ok(None) => return Ok(init_is_gone(started)),
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    // init ended before it had read our last signal. Said once, and before the reports that it sent, which follow (unix(7)).
                    Err(Errno::CONNRESET) => {}
                    Err(errno) => return Err(Fault::os("listen to init", errno)),
                }
            }
            signal = signals.next() => {
                let signal = signal?;
                if signal.interrupts() {
                    session.bell.interrupt.notify_waiters();
                }
                continues += i32::from(signal.pass_on(&running.channel));
            }
            // A full buffer would lose what this loop does not read in time.
            news = reporter.report() => news.into_iter().for_each(|news| session.attend(news)),
            () = session.bell.go_on.notified() => continues += i32::from(running.channel.forward(libc::SIGCONT).is_ok()),
        }
    }
}

fn serve_network(
    sockets: Vec<OwnedFd>,
    transparent: bool,
    published: Published,
    session: &Session,
    questions: &Questions,
) -> Result<(), Fault> {
    let fault = |cause| Fault::os("serve the network of the sandbox", cause);
    let network = Network::new(sockets, transparent).ok_or_else(|| fault(Errno::BADF.into()))?;
    *questions.admission.borrow_mut() = network.serve(session.context.clone(), published).map_err(fault)?;
    Ok(())
}

/// Only the kernel (out of memory) or a person ends init early, and everything in the sandbox with it.
fn init_is_gone(started: bool) -> End {
    let outcome = if started { Outcome::Killed(libc::SIGKILL) } else { Outcome::Failed };
    End::fault(outcome, Fault::new("go on", "the first process of the sandbox was killed, and everything in it with it"))
}

/// One report; the end where it is the last. `continues` is the number of requests to continue, where a stop is to be obeyed at all.
fn take(report: Report, continues: Option<i32>, running: &Running) -> Option<End> {
    match report {
        Report::Started | Report::Namespace | Report::Root | Report::Sockets { .. } | Report::Question { .. } | Report::Again { .. } => {
            None
        }
        Report::Stopped(obeyed) => {
            // A request to continue that init had not yet seen will end the stop.
            if continues == Some(obeyed) {
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
    let namespaces = running.namespaces;
    let id = || rustix::process::WaitId::PidFd(running.init.as_fd());
    while matches!(rustix::process::waitid(id(), rustix::process::WaitIdOptions::EXITED), Err(Errno::INTR)) {}
    if !namespaces {
        // What an init that was killed has left behind.
        backend::end_below_self();
    }
}
