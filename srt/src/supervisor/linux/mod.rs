//! The loop on Linux: over the channel from `init`, the signals, and what the kernel's program tells.

mod console;
mod denials;
mod desk;
mod feed;
mod observers;
mod process;
mod questions;
pub(super) mod records;
mod reporter;
mod signals;

use std::cell::RefCell;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::session::Session;
use super::status::Line;
use super::terminal::Terminal;
use super::{End, Ways};
use crate::backend::{self, Report, Running};
use crate::policy::Policy;
use crate::proxy::{Network, Published};
use crate::violation::EventSink;
use crate::{Fault, Outcome};

use desk::{Bell, Desk};
use observers::Observers;
use questions::Questions;
use reporter::{News, Reporter};
use signals::Signals;

pub use console::has_terminal;

/// Supervises a run to its end. The private directory is gone afterwards, and so is every process of the sandbox.
pub fn run(running: Running, policy: Policy, sink: EventSink, ways: Ways) -> End {
    let terminal = Terminal::remember();
    let mut running = running;
    let end = match super::event_loop() {
        Ok(runtime) => tokio::task::LocalSet::new().block_on(&runtime, supervise(&mut running, policy, sink, ways)),
        Err(fault) => fault.into(),
    };
    terminal.restore();
    wait_for_init(running);
    end
}

async fn supervise(running: &mut Running, policy: Policy, sink: EventSink, mut ways: Ways) -> End {
    let files = Rc::new(RefCell::new(Rc::new(policy.files.clone())));
    let on_files = running.by_name.then(|| questions::replace(running.channel.clone(), files.clone()));
    let mut reporter = Reporter::new(running, std::mem::take(&mut ways.reports), files.clone(), sink.clone());
    let run = ways.run.take();
    let session = Session::start(policy, sink.clone(), None, Ways { on_files, ..ways });
    let observers = Observers::start(run.as_ref(), sink.clone(), session.context.clone());
    session.show_to(observers.clone());
    let mut local = Local { session, observers, bell: Rc::default() };
    let questions = Questions { files, events: sink, admission: RefCell::default(), told: RefCell::default() };
    let published = std::mem::take(&mut running.published);
    let mut end = watch(running, &mut local, &questions, &mut reporter, published).await.unwrap_or_else(End::from);
    if reporter.holds_the_command() {
        // srt has failed, and letting go of the gate would start what must not be run any more.
        let _ = rustix::process::pidfd_send_signal(&running.init, rustix::process::Signal::KILL);
    }
    end.remarks.extend(reporter.finish());
    local.session.finish(&end).await;
    end
}

/// The session, and what only Linux adds to it.
struct Local {
    session: Session,
    observers: Rc<Observers>,
    bell: Rc<Bell>,
}

impl Local {
    /// What is heard of the service beside denials.
    fn attend(&self, news: News) {
        match news {
            News::Connected(connection) => self.observers.tell_service(connection),
            News::Watched(watched) => self.observers.service_is_watched(watched),
        }
    }

    /// The command runs: from now on there is somebody to ask for.
    fn started(&mut self, init: Option<i32>) {
        self.observers.started(init);
        self.session.started(|| Line::Started { pid: init.and_then(backend::command_of), init });
        if let (Some((asker, questions)), Some(init)) = (self.session.take_questions(), init) {
            let desk = Desk { asker, bell: self.bell.clone(), memory: self.session.memory().clone(), init };
            tokio::task::spawn_local(desk.serve(questions));
        }
    }
}

async fn watch(
    running: &Running,
    local: &mut Local,
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
            .serve(local.session.context.clone(), Published::default())
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
                            serve_network(sockets, transparent, published, &local.session, questions)?;
                        }
                    }
                    Ok(Some((Report::Namespace, mut namespace))) => {
                        reporter.begin(namespace.pop()).into_iter().for_each(|news| local.attend(news));
                    }
                    Ok(Some((Report::Question { ticket, matter }, mut caller))) => {
                        questions.take(&running.channel, ticket, matter, caller.pop());
                    }
                    Ok(Some((Report::Again { ticket, count }, _))) => questions.count(ticket, count),
                    Ok(Some((report, _))) => {
                        if report == Report::Started {
                            started = true;
                            local.started(backend::id_of(&running.init));
                        }
                        let stop_is_news = !local.bell.at_rest.get();
                        if let Some(end) = take(report, stop_is_news.then_some(continues), running) {
                            local.session.context.flush().await;
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
                    local.bell.interrupt.notify_waiters();
                }
                continues += i32::from(signal.pass_on(&running.channel));
            }
            // A full buffer would lose what this loop does not read in time.
            news = reporter.report() => news.into_iter().for_each(|news| local.attend(news)),
            () = local.bell.go_on.notified() => continues += i32::from(running.channel.forward(libc::SIGCONT).is_ok()),
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
        Report::Started | Report::Namespace | Report::Sockets { .. } | Report::Question { .. } | Report::Again { .. } => None,
        Report::Stopped(obeyed) => {
            // A request to continue that init had not yet seen will end the stop.
            if continues == Some(obeyed) {
                signals::stop_self();
            }
            None
        }
        Report::Exited(status) => Some(Outcome::Exited((status & 0xff) as u8).into()),
        Report::Killed(signal) => Some(Outcome::Killed(signal).into()),
        Report::NotExecuted(errno) => Some(super::not_executed(&running.program, errno)),
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
