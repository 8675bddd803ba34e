//! Everybody who is told of a run while it goes on.

use std::rc::Rc;

use super::observers::Observers;
use super::status::{Line, Status};

/// The program that started srt, where it wants to know, and whoever looks on.
pub(super) struct Told {
    pub(super) status: Option<Rc<Status>>,
    pub(super) observers: Observers,
}

impl Told {
    /// Is there a program that takes lines?
    pub(super) fn has_program(&self) -> bool {
        self.status.is_some()
    }

    /// Tells all of them; never waits.
    pub(super) fn say(&self, line: &Line<'_>) {
        self.status.iter().for_each(|status| status.say(line));
        self.observers.say(line);
    }
}
