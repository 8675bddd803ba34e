//! Questions of the broker, answered.
//!
//! They come from `init`, which runs no code of the command; what they are about was chosen by the command.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;

use crate::backend::{Answer, Channel, Connect, Matter, call_name};
use crate::host::HostLookup;
use crate::policy::FsPolicy;
use crate::proxy::{Admission, Asked, Protocol, Transparent};
use crate::violation::{Event, EventSink, Process};

use super::records::fails_outside;
use super::{denials, process};
use crate::supervisor::OnFiles;

/// Rules that may be replaced while the command runs.
pub(super) type Rules = Rc<RefCell<Rc<FsPolicy>>>;

/// Puts new rules in force, here and in the broker. Where init cannot be given them, the old ones stay in force in both.
pub(super) fn replace(channel: Rc<Channel>, files: Rules) -> OnFiles {
    Box::new(move |policy| {
        if let Err(errno) = send(&channel, &policy) {
            return tracing::debug!("control: new rules on files cannot be handed over: {errno}");
        }
        *files.borrow_mut() = Rc::new(policy);
    })
}

fn send(channel: &Channel, policy: &FsPolicy) -> io::Result<()> {
    let memory = rustix::fs::memfd_create("rules", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(&policy.to_bytes())?;
    Ok(channel.replace_files(file.as_fd())?)
}

/// What is needed to answer.
pub(super) struct Questions {
    /// The rules on files that are in force.
    pub(super) files: Rules,
    /// Where denials go.
    pub(super) events: EventSink,
    /// Who admits connections, as soon as there is a network.
    pub(super) admission: RefCell<Option<Rc<Transparent>>>,
    /// Denials that more of the same may follow, by their numbers.
    pub(super) told: RefCell<BTreeMap<u64, Event>>,
}

/// More than the broker remembers.
const MOST_TOLD: usize = 1024;

impl Questions {
    /// Answers one question, at once or later.
    pub(super) fn take(&self, channel: &Rc<Channel>, ticket: u64, matter: Matter, caller: Option<OwnedFd>) {
        let process = caller.and_then(process::behind);
        match matter {
            Matter::Denied(denied) => {
                let files = self.files.borrow().clone();
                if !fails_outside(&denied, &files, &HostLookup) {
                    let event = denials::event(&denied, &files, process);
                    self.events.report(event.clone());
                    self.remember(ticket, event);
                }
                answer(channel, ticket, Answer::Proceed);
            }
            Matter::Connect(connect) => match self.admission.borrow().clone() {
                Some(admission) => {
                    let channel = channel.clone();
                    tokio::task::spawn_local(async move {
                        let admitted = admission.admit(asked(&connect, process)).await;
                        answer(&channel, ticket, admitted.into());
                    });
                }
                None => answer(channel, ticket, Answer::Refused(libc::ECONNREFUSED)),
            },
        }
    }

    fn remember(&self, ticket: u64, event: Event) {
        let mut told = self.told.borrow_mut();
        told.insert(ticket, event);
        if told.len() > MOST_TOLD {
            told.pop_first();
        }
    }

    /// More of a denial that was told.
    pub(super) fn count(&self, ticket: u64, count: u64) {
        if let Some(event) = self.told.borrow().get(&ticket) {
            self.events.report(Event { count, ..event.clone() });
        }
    }
}

/// Where init is gone, its end is the next thing we read.
fn answer(channel: &Channel, ticket: u64, answer: Answer) {
    let _ = channel.answer(ticket, answer);
}

fn asked(connect: &Connect, process: Option<Process>) -> Asked {
    Asked {
        protocol: if connect.stream { Protocol::Tcp } else { Protocol::Udp },
        target: connect.target,
        local_port: connect.local_port,
        nonblocking: connect.nonblocking,
        operation: call_name(connect.call),
        process,
    }
}

impl From<Admission> for Answer {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::AsAsked => Answer::Proceed,
            Admission::Redirected(port) => Answer::Redirected(port),
            Admission::Refused(errno) => Answer::Refused(errno),
        }
    }
}
