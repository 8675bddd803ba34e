//! Questions of the broker, answered.
//!
//! They come from `init`, which runs no code of the command; what they are about was chosen by the command.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;

use crate::backend::{Answer, Channel, Connect, Matter};
use crate::policy::FsPolicy;
use crate::violation::{EventSink, Process};

use super::session::OnFiles;
use super::{denials, process};

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
}

impl Questions {
    /// Answers one question, at once or later.
    pub(super) fn take(&self, channel: &Channel, ticket: u64, matter: Matter, caller: Option<OwnedFd>) {
        let process = caller.and_then(process::behind);
        let answer = match matter {
            Matter::Denied(denied) => {
                self.events.report(denials::event(&denied, &self.files.borrow(), process));
                Answer::Proceed
            }
            Matter::Connect(connect) => self.admit(&connect, process),
        };
        // Where init is gone, its end is the next thing we read.
        let _ = channel.answer(ticket, answer);
    }

    fn admit(&self, _connect: &Connect, _process: Option<Process>) -> Answer {
        Answer::Refused(libc::ECONNREFUSED)
    }
}
