//! PID 1 of the sandbox: arranges it, starts the command, reaps. Without namespaces, an ordinary process that adopts every orphan (prctl(2), `PR_SET_CHILD_SUBREAPER`).
//!
//! Forked from the supervisor before it had a second thread, so this is an ordinary process that may allocate. It never executes another program. Until
//! [`confine`] it has every capability of its own user namespace; afterwards none but the one that the broker takes for single calls, and the same Landlock
//! domain as the command. The command alone is under the filter: the broker must not wait for itself. It is
//! not dumpable, so that the command, which has the same user id, can neither trace it nor read its memory.
//!
//! Order: identity, network, file tree, confinement, command. Each comes where it is because the next one takes the right to do it away.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};

use super::arm::{Armed, Gate};
use super::broker::{self, Broker, Desk};
use super::channel::{Channel, Order, Report};
use super::exec::vfork_exec;
use super::failure::{Failure, Step as _};
use super::notify::{self, Listener};
use super::script::{BrokerScript, Confinement, Identity, Namespaces};
use super::sys::{detach, exit_now, prctl};
use super::{caps, fds, landlock, mounts, network, processes};
use crate::policy::FsPolicy;
use crate::unix::{Exec, Program};

/// Runs the sandbox and ends the process. `original_mask` is the caller's signal mask, for the command.
pub(super) fn run(armed: Armed, channel: Channel, original_mask: &SigSet) -> ! {
    let channel = Arc::new(channel);
    let reach = if armed.script.namespaces.is_some() { Reach::Namespace } else { Reach::Host };
    let report = match set_up(armed, &channel, original_mask) {
        Ok(Started::Running(running)) => running.serve().unwrap_or_else(|errno| failed(&Failure::new("wait for the command", errno))),
        Ok(Started::NotExecuted(errno)) => Report::NotExecuted(errno.raw_os_error()),
        Err(failure) => failed(&failure),
    };
    reach.leave_nothing();
    // The supervisor may be gone; then nobody is left to be told.
    let _ = channel.report(&report, &[]);
    exit_now(0)
}

fn failed(failure: &Failure) -> Report {
    Report::Failed(failure.errno.raw_os_error(), failure.action.clone(), failure.gap.map(str::to_owned))
}

/// Where the processes of the sandbox are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// In a pid namespace of their own, which ends with this process.
    Namespace,
    /// Among the host's: they are those below this one.
    Host,
}

impl Reach {
    /// Before this process ends for whatever reason.
    fn leave_nothing(self) {
        if self == Reach::Host {
            processes::end_below_self();
        }
    }

    /// Ends everything that the command left behind, at once: from PID 1, a signal reaches every process of the namespace but itself, and a fork under way fails.
    ///
    /// What a process leaves becomes our child before we learn of its end, so without a child there is nothing to end.
    fn end_all(self) {
        if matches!(rustix::process::wait(WaitOptions::NOHANG), Err(Errno::CHILD)) {
            return;
        }
        match self {
            Reach::Namespace => {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), Signal::SIGKILL);
                while !matches!(rustix::process::wait(WaitOptions::empty()), Err(Errno::CHILD)) {}
            }
            Reach::Host => processes::end_below_self(),
        }
    }
}

enum Started {
    Running(Running),
    NotExecuted(Errno),
}

/// Everything that `init` does from now on.
struct Running {
    reach: Reach,
    command: Pid,
    children: SignalFd,
    channel: Arc<Channel>,
    desk: Arc<Desk>,
    /// Absent where nothing is judged by name.
    broker: Option<Arc<Broker>>,
}

/// The recipe.
fn set_up(armed: Armed, channel: &Arc<Channel>, original_mask: &SigSet) -> Result<Started, Failure> {
    let Armed { script, ruleset, filter, scratch, made, inherited, broker, gate, published: _ } = armed;
    // The directories and the lock belong to the supervisor.
    scratch.leave_to_parent();
    std::mem::forget(made);
    // The supervisor's death is ours, and with PID 1 the whole sandbox goes.
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong).step("follow the supervisor's death")?;
    let reach = if script.namespaces.is_some() { Reach::Namespace } else { Reach::Host };
    let gate = match script.namespaces {
        Some(namespaces) => {
            map_ids(script.identity)?;
            let gate = gate.map(|gate| name_ourselves(gate, channel)).transpose()?;
            furnish(namespaces, &inherited, channel)?;
            gate
        }
        None => None,
    };
    confine(ruleset, &script.confinement, broker.is_some())?;
    rustix::process::chdir(script.exec.cwd.as_path()).step_at("enter", &script.exec.cwd)?;
    // Made before the command runs, so that nothing the command does can keep it from being made.
    let children = watch_children().step("watch for ended processes")?;
    let domain = landlock::inner(&script.confinement)?;
    let command = Command { exec: &script.exec, filter: &filter, domain, with_listener: broker.is_some(), original_mask };
    if let Some(gate) = gate {
        wait_for(gate).step("wait for the reporter of denials")?;
    }
    if reach == Reach::Host {
        stay_on_host(channel)?;
    }
    match command.start()? {
        Executed::Running(pid, listener) => {
            channel.report(&Report::Started, &[]).step("report the start")?;
            let desk = Arc::new(Desk::new(channel.clone()));
            let broker = listener.zip(broker).map(|(listener, script)| serve_names(listener, script, &desk)).transpose()?;
            Ok(Started::Running(Running { reach, command: pid, children, channel: channel.clone(), desk, broker }))
        }
        Executed::Not(errno) => Ok(Started::NotExecuted(errno)),
    }
}

/// The file tree and the network.
fn furnish(namespaces: Namespaces, inherited: &[fds::Inherited], channel: &Channel) -> Result<(), Failure> {
    let Namespaces { mounts, network } = namespaces;
    let transparent = network.transparent;
    let network = network::begin(network)?;
    mounts::enter(&mounts)?;
    fds::reopen(inherited)?;
    let sockets = network.enter()?;
    channel.report(&Report::Sockets { transparent }, &sockets.all()).step("hand over the network's sockets")
}

/// From here on, this process must outlive the supervisor by as long as it takes to end what is below it, which no namespace does.
fn stay_on_host(channel: &Channel) -> Result<(), Failure> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1).step("adopt orphans")?;
    prctl(libc::PR_SET_PDEATHSIG, 0).step("outlive the supervisor")?;
    // It may have died just before.
    let mut ready = [PollFd::new(channel, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut ready, Some(&now)).step("look after the supervisor")?;
    if ready[0].revents().contains(PollFlags::HUP) { Err(Failure::new("reach the supervisor", Errno::PIPE)) } else { Ok(()) }
}

/// Hands our pid namespace to the supervisor, while /proc is still the caller's; what is left is to wait.
fn name_ourselves(gate: Gate, channel: &Channel) -> Result<OwnedFd, Failure> {
    let own = std::fs::File::open("/proc/self/ns/pid").step("open the pid namespace")?;
    channel.report(&Report::Namespace, &[own.as_fd()]).step("hand over the pid namespace")?;
    // Its other end must be the supervisor's alone.
    drop(gate.opens);
    Ok(gate.waits)
}

/// Nobody writes: the end of the pipe is what is waited for.
fn wait_for(gate: OwnedFd) -> Result<(), Errno> {
    let mut byte = [0];
    while rustix::io::read(&gate, &mut byte) == Err(Errno::INTR) {}
    Ok(())
}

fn serve_names(listener: Listener, script: BrokerScript, desk: &Arc<Desk>) -> Result<Arc<Broker>, Failure> {
    Broker::start(listener, script.files, script.spec, desk.clone()).step("start the broker")
}

fn watch_children() -> Result<SignalFd, Errno> {
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    SignalFd::with_flags(&children, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(errno)
}

/// One user and one group, each the same inside as outside. `setgroups` must be given up first (user_namespaces(7)).
fn map_ids(identity: Identity) -> Result<(), Failure> {
    std::fs::write("/proc/self/setgroups", "deny").step("give up setgroups")?;
    std::fs::write("/proc/self/uid_map", format!("{0} {0} 1", identity.uid)).step("map the user id")?;
    std::fs::write("/proc/self/gid_map", format!("{0} {0} 1", identity.gid)).step("map the group id")
}

/// Gives up every right that the command must not have.
fn confine(ruleset: Option<::landlock::RulesetCreated>, confinement: &Confinement, broker: bool) -> Result<(), Failure> {
    prctl_set_no_new_privs()?;
    // Without a user namespace, what the broker may keep in it would be a capability over the host.
    if confinement.own_tree {
        caps::drop_all(broker)?
    } else {
        caps::drop_on_host()?
    }
    if let Some(ruleset) = ruleset {
        landlock::restrict(ruleset, confinement)?;
    }
    // Dumpable processes of the same user can be traced by the command, and their /proc files belong to it.
    prctl(libc::PR_SET_DUMPABLE, 0).step("become undumpable")?;
    Ok(())
}

fn prctl_set_no_new_privs() -> Result<(), Failure> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1).step("set no_new_privs")?;
    let set = prctl(libc::PR_GET_NO_NEW_PRIVS, 0).step("read no_new_privs")?;
    if set == 1 { Ok(()) } else { Err(Failure::new("set no_new_privs", Errno::PERM)) }
}

/// The command as it is started.
struct Command<'a> {
    exec: &'a Exec,
    filter: &'a [seccompiler::sock_filter],
    /// A Landlock domain of its own.
    domain: Option<OwnedFd>,
    with_listener: bool,
    original_mask: &'a SigSet,
}

enum Executed {
    Running(Pid, Option<Listener>),
    Not(Errno),
}

impl Command<'_> {
    fn start(&self) -> Result<Executed, Failure> {
        let mut keep: Vec<u32> = self.exec.pass_fds.iter().filter_map(|descriptor| u32::try_from(*descriptor).ok()).collect();
        keep.sort_unstable();
        let program = Program::new(&self.exec.candidates, &self.exec.arguments, &self.exec.environment);
        let mut filtered = Ok(None);
        let (pid, error) = vfork_exec(&program, || {
            filtered = self.filter();
            if filtered.is_err() {
                return Err(Errno::PERM);
            }
            self.prepare(&keep)
        })
        .step("start the command")?;
        // SAFETY: the number is that of a listener which the new process made in the table that both shared then, and which only this process still has.
        let listener = filtered.map_err(refused_filter)?.map(|number| unsafe { Listener::from_number(number) });
        match error {
            Some(error) => Ok(Executed::Not(error)),
            None => Ok(Executed::Running(Pid::from_raw(pid).ok_or_else(|| Failure::new("start the command", Errno::CHILD))?, listener)),
        }
    }

    /// In the new process: under the filter, which this process stays free of. The listener's number, where there is one.
    fn filter(&self) -> Result<Option<i32>, Errno> {
        broker::give_up()?;
        if let Some(domain) = &self.domain {
            landlock::enter(domain)?;
        }
        if self.with_listener {
            notify::install(self.filter).map(Some)
        } else {
            notify::install_without_listener(self.filter).map(|()| None)
        }
    }

    /// In the new process: its own descriptors, and only those that it may have; its signals as the caller had them.
    fn prepare(&self, keep: &[u32]) -> Result<(), Errno> {
        // SAFETY: a table of its own takes nothing away that memory safety depends on.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }?;
        fds::close_gaps(keep)?;
        keep.iter().try_for_each(|descriptor| fds::keep_over_exec(*descriptor))?;
        if !self.exec.ignore_sigpipe {
            // SAFETY: restoring the default action installs no handler.
            unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map_err(errno)?;
        }
        nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(self.original_mask), None).map_err(errno)
    }
}

fn refused_filter(errno: Errno) -> Failure {
    let failure = Failure::new("install the system-call filter", errno);
    // A thread can have one listener only, and something around us has taken it.
    if errno == Errno::BUSY { failure.gap("user-notification") } else { failure }
}

impl Running {
    /// Reaps every orphan, passes signals and answers on, and returns when the command has ended and nothing else runs.
    fn serve(&self) -> Result<Report, Errno> {
        let mut continued = 0;
        loop {
            // First look, then wait: the command may have ended before the descriptor was there.
            if let Some(end) = reap(self.command, continued, &self.channel)? {
                self.reach.end_all();
                self.desk.finish();
                return Ok(end);
            }
            let mut ready = [PollFd::new(&*self.channel, PollFlags::IN), PollFd::from_borrowed_fd(self.children.as_fd(), PollFlags::IN)];
            match rustix::event::poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            if ready[0].revents().is_empty() {
                while let Ok(Some(_)) = self.children.read_signal() {}
            } else {
                continued += i32::from(self.obey());
            }
        }
    }

    /// One order of the supervisor; true where the command was continued. Its end of the channel being closed means that it is dead, and then so is the sandbox.
    fn obey(&self) -> bool {
        match self.channel.next_order() {
            Ok(Some(Order::Signal(number))) => {
                // The command may have ended in this moment.
                if let Some(signal) = rustix::process::Signal::from_named_raw(number) {
                    let _ = rustix::process::kill_process(self.command, signal);
                }
                return number == libc::SIGCONT;
            }
            Ok(Some(Order::Answer(ticket, answer))) => self.desk.answer(ticket, answer),
            Ok(Some(Order::Files(rules))) => self.replace_rules(&rules),
            Ok(None) => {
                self.reach.leave_nothing();
                exit_now(0)
            }
            Err(_) => {}
        }
        false
    }

    /// Rules that cannot be read change nothing.
    fn replace_rules(&self, rules: &std::os::fd::OwnedFd) {
        let read = fds::read_all(rules).ok().and_then(|bytes| FsPolicy::from_bytes(&bytes));
        if let (Some(broker), Some(policy)) = (&self.broker, read) {
            broker.replace_policy(policy);
        }
    }
}

/// Collects every child that changed; the command's end is returned.
fn reap(command: Pid, continued: i32, channel: &Channel) -> Result<Option<Report>, Errno> {
    loop {
        let (pid, status) = match rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            Ok(Some(changed)) => changed,
            Ok(None) => return Ok(None),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error),
        };
        if status.stopped() && detach(pid) {
            continue;
        }
        if pid != command {
            continue;
        }
        if let Some(status) = status.exit_status() {
            return Ok(Some(Report::Exited(status)));
        }
        if let Some(signal) = status.terminating_signal() {
            return Ok(Some(Report::Killed(signal)));
        }
        if status.stopped() {
            // The shell that waits for srt must see the stop, or the terminal would hang.
            channel.report(&Report::Stopped(continued), &[])?;
        }
    }
}

fn errno(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}
