//! Everybody who is told of a run while it goes on.

use std::cell::OnceCell;
use std::rc::Rc;

use super::End;
use super::status::{Line, Status};

/// Whoever looks on at a run, where the platform lets anybody.
pub(crate) trait Onlookers {
    /// Keeps a line for all of them; never waits.
    fn say(&self, line: &Line<'_>);
    /// The run has ended: the last lines.
    fn finish(&self, end: &End);
}

/// The program that started srt, where it wants to know, and whoever looks on.
pub(super) struct Told {
    pub(super) status: Option<Rc<Status>>,
    pub(super) onlookers: OnceCell<Rc<dyn Onlookers>>,
}

impl Told {
    /// Is there a program that takes lines?
    pub(super) fn has_program(&self) -> bool {
        self.status.is_some()
    }

    /// Tells all of them; never waits.
    pub(super) fn say(&self, line: &Line<'_>) {
        self.status.iter().for_each(|status| status.say(line));
        self.onlookers.get().into_iter().for_each(|onlookers| onlookers.say(line));
    }
}
