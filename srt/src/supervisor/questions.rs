//! Questions of the broker, answered.
//!
//! They come from `init`, which runs no code of the command; what they are about was chosen by the command.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::backend::{Answer, Channel, Connect, Matter};
use crate::policy::FsPolicy;
use crate::violation::{EventSink, Process};

use super::{denials, process};

/// What is needed to answer.
pub(super) struct Questions {
    /// The rules on files that are in force.
    pub(super) files: RefCell<Rc<FsPolicy>>,
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
