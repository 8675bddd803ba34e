//! The loop on macOS: signals, the watcher, the end of the command, the system log.
//!
//! The command is a child of this process. Compiled and tested everywhere: see [`macos`](crate::macos).

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, WaitStatus};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::session::Session;
use super::status::Line;
use super::terminal::Terminal;
use super::{End, Ways};
use crate::macos::log::LogStream;
use crate::macos::signals::{self, Signals};
use crate::macos::watcher::{Order, Watcher};
use crate::macos::witness::Witness;
use crate::macos::{Begun, Running};
use crate::policy::{FsPolicy, Policy};
use crate::violation::EventSink;
use crate::{Fault, Outcome, proxy};

/// How long the log must be silent before it is taken to have told everything, and how long it may go on.
const SILENCE: Duration = Duration::from_millis(150);
const LAST_WAIT: Duration = Duration::from_millis(600);

/// Supervises a run to its end. The private directory is gone afterwards, and so is every process of the sandbox that could be found.
pub fn run(running: Running, policy: Policy, sink: EventSink, ways: Ways) -> End {
    let terminal = Terminal::remember();
    let end = match super::event_loop() {
        Ok(runtime) => tokio::task::LocalSet::new().block_on(&runtime, supervise(running, policy, sink, ways)),
        Err(fault) => fault.into(),
    };
    terminal.restore();
    end
}

async fn supervise(running: Running, policy: Policy, sink: EventSink, ways: Ways) -> End {
    let files = policy.files.clone();
    // The directories go last, after every process that uses them.
    let Running { begun, log, watcher, command, listener, token, program, made: _made, scratch: _scratch } = running;
    let session = Session::start(policy, sink.clone(), Some(token), ways);
    let mut reporter = Reporter::new(log, files, sink.clone());
    let mut end = match begun {
        Begun::Started => {
            session.started(|| Line::Started { pid: Some(command.as_raw()), init: None });
            tokio::task::spawn_local(proxy::serve(listener, session.context.clone()));
            watch(command.as_raw(), &watcher, &mut reporter).await.unwrap_or_else(End::from)
        }
        Begun::NotExecuted(errno) => super::not_executed(&program, errno),
        Begun::Failed(fault) => fault.into(),
    };
    drop(watcher);
    reap_at_last(command.as_raw());
    // Nobody writes any more.
    session.context.flush().await;
    let worth_waiting = end.outcome != Outcome::Exited(0) || sink.total() > 0;
    end.remarks.extend(reporter.finish(worth_waiting).await);
    session.finish(&end).await;
    end
}

async fn watch(command: i32, watcher: &Watcher, reporter: &mut Reporter) -> Result<End, Fault> {
    let signals = Signals::watch().map_err(|error| Fault::os("read signals", error))?;
    let ours = wait_on(signals.as_fd())?;
    let theirs = watcher.socket().map(|socket| wait_on(socket.as_fd())).transpose()?;
    let mut told = Command { id: command, continues: 0, witness: Witness::default() };
    let mut witness_lives = theirs.is_some();
    // It may have ended before anybody listened.
    if let Some(end) = told.look(watcher) {
        return Ok(end);
    }
    loop {
        let due = told.witness.next().map(tokio::time::Instant::from_std);
        tokio::select! {
            ready = ours.readable() => {
                clear(ready)?;
                for signal in signals.take() {
                    if let Some(end) = told.take(signal, watcher) {
                        return Ok(end);
                    }
                }
            }
            ready = readable(theirs.as_ref().filter(|_| witness_lives)) => {
                clear(ready)?;
                match watcher.take() {
                    Ok(seen) => seen.into_iter().for_each(|signal| told.witness.theirs(signal, Instant::now())),
                    // Somebody has ended it. The run goes on; nobody is left to end it with srt.
                    Err(_gone) => {
                        witness_lives = false;
                        reporter.remarks.push(Fault::new("watch over the command", "the watcher was ended"));
                    }
                }
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => told.pass_due(),
            () = reporter.hear() => {}
        }
    }
}

fn wait_on(descriptor: BorrowedFd<'_>) -> Result<AsyncFd<BorrowedFd<'_>>, Fault> {
    // SAFETY: the descriptor stays open for as long as it is borrowed, and always names the same.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }
        .map_err(|error| Fault::os("wait for the command", std::io::Error::from(error)))
}

/// Before the reading: what comes afterwards wakes us again.
fn clear<T: std::os::fd::AsRawFd>(ready: std::io::Result<tokio::io::unix::AsyncFdReadyGuard<'_, T>>) -> Result<(), Fault> {
    ready.map_err(|error| Fault::os("wait for the command", error))?.clear_ready();
    Ok(())
}

async fn readable<'a, 'b>(
    descriptor: Option<&'a AsyncFd<BorrowedFd<'b>>>,
) -> std::io::Result<tokio::io::unix::AsyncFdReadyGuard<'a, BorrowedFd<'b>>> {
    match descriptor {
        Some(descriptor) => descriptor.readable().await,
        None => std::future::pending().await,
    }
}

/// The command, as its signals go.
struct Command {
    id: i32,
    /// How many requests to continue were seen here.
    continues: u32,
    witness: Witness,
}

impl Command {
    /// One signal of ours; the end where it tells of that.
    fn take(&mut self, signal: i32, watcher: &Watcher) -> Option<End> {
        if signal == libc::SIGCHLD {
            return self.look(watcher);
        }
        self.continues += u32::from(signal == libc::SIGCONT);
        if self.witness.ours(signal, Instant::now()) {
            self.pass(signal);
        }
        None
    }

    fn pass_due(&mut self) {
        self.witness.due(Instant::now()).into_iter().for_each(|signal| self.pass(signal));
    }

    /// It is our child and not yet reaped, so the number is its own.
    fn pass(&self, signal: i32) {
        // SAFETY: kill(2) takes numbers.
        unsafe { libc::kill(self.id, signal) };
    }

    /// What became of it.
    fn look(&mut self, watcher: &Watcher) -> Option<End> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        let mut stopped = false;
        while let Ok(Some((_, status))) = rustix::process::waitpid(Pid::from_raw(self.id), options) {
            if let Some(outcome) = outcome(status) {
                // From now on the number may be another's. Where the watcher is gone, nobody minds.
                let _ = watcher.tell(Order::NoCommand);
                return Some(outcome.into());
            }
            stopped = status.stopped();
        }
        // The shell that waits for us is to see it. Not where we have been asked to continue meanwhile.
        if stopped && signals::continues() == self.continues {
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
        }
        None
    }
}

/// How the command ended, where it has.
fn outcome(status: WaitStatus) -> Option<Outcome> {
    let exited = status.exit_status().map(|code| Outcome::Exited((code & 0xff) as u8));
    exited.or_else(|| status.terminating_signal().map(Outcome::Killed))
}

/// After a failure of ours: the watcher has killed it.
fn reap_at_last(command: i32) {
    let until = Instant::now() + Duration::from_secs(1);
    while matches!(rustix::process::waitpid(Pid::from_raw(command), WaitOptions::NOHANG), Ok(None)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Denials from the system log.
struct Reporter {
    log: Option<AsyncFd<LogStream>>,
    files: FsPolicy,
    sink: EventSink,
    remarks: Vec<Fault>,
}

impl Reporter {
    fn new(log: Result<LogStream, Fault>, files: FsPolicy, sink: EventSink) -> Reporter {
        let mut reporter = Reporter { log: None, files, sink, remarks: Vec::new() };
        let registered = log.and_then(|log| {
            // SAFETY: the stream owns its descriptor and always names the same one.
            let registered = unsafe { AsyncFd::register_with_interest(log, Interest::READABLE) };
            registered.map_err(|error| Fault::os("wait for the system log", std::io::Error::from(error)))
        });
        match registered {
            Ok(log) => reporter.log = Some(log),
            Err(fault) => reporter.miss(fault),
        }
        reporter
    }

    fn miss(&mut self, fault: Fault) {
        self.remarks.push(
            fault.hint("what Seatbelt denies is not reported in this run; `srt doctor` tells whether the log lets this user look on"),
        );
    }

    /// Waits for records, and reports them. Never ends where there is nothing to wait for.
    async fn hear(&mut self) {
        let Some(log) = &mut self.log else { return std::future::pending().await };
        match log.readable_mut().await {
            Ok(mut ready) => ready.clear_ready(),
            // The event loop is ending.
            Err(_) => return std::future::pending().await,
        }
        while let Some(events) = log.get_mut().events(&self.files) {
            events.into_iter().for_each(|event| self.sink.report(event));
        }
        if log.get_ref().over {
            self.log = None;
            self.miss(Fault::new("read the system log", "/usr/bin/log has ended"));
        }
    }

    /// What is still to come, where it is worth waiting for: records come some time after what they tell of.
    async fn finish(mut self, worth_waiting: bool) -> Vec<Fault> {
        let until = tokio::time::Instant::now() + LAST_WAIT;
        while worth_waiting && self.log.is_some() {
            let silent = tokio::time::Instant::now() + SILENCE;
            if tokio::time::timeout_at(silent.min(until), self.hear()).await.is_err() {
                break;
            }
        }
        self.remarks
    }
}
