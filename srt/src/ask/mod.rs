//! Hosts that no rule decides, put to a person or to a program (`--ask`).
//!
//! The proxies ask [`Asker::ask`] and wait; a front end (the terminal, or a program behind `--control-fd`) takes the [`Question`]s and answers them.
//! What nobody answers is denied, as it is without `--ask`.
//!
//! Which hosts are asked about, how often and how many at once is up to the sandbox. So: the same destination is one question for all who ask for it, few
//! questions wait at once, they come at a bounded rate, each waits a bounded time, and what is beyond is denied with an event that says so.

mod prompt;
mod rate;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::policy::Target;
use rate::Rate;

pub use prompt::Prompt;

/// Questions that wait at once.
const PENDING: usize = 16;

/// How long one question waits for its answer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Answers for the run that are kept. Each was given by a person, so the sandbox cannot fill this up.
const REMEMBERED: usize = 10_000;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// By this the answer names it. Not used again in a run.
    pub id: u64,
    /// What is to be reached.
    pub target: Target,
    /// Later it is denied.
    pub deadline: Instant,
}

/// The answer of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// May it be reached?
    pub allow: bool,
    /// For how long this holds.
    pub remember: Remember,
}

/// How long an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Remember {
    /// For those who wait for it now.
    Once,
    /// Until the run ends.
    Run,
    /// Until it is taken out of the settings file again.
    Always,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Somebody allowed it.
    Allowed,
    /// Somebody denied it.
    Denied,
    /// Nobody was asked, or nobody answered; in words, for the event.
    Undecided(&'static str),
}

/// The questions of one run. Stays on one thread.
#[derive(Debug)]
pub struct Asker {
    /// The front end's end; `None` when it has gone.
    desk: RefCell<Option<mpsc::Sender<Question>>>,
    pending: RefCell<Vec<Pending>>,
    remembered: RefCell<HashMap<Target, bool>>,
    rate: RefCell<Rate>,
    next: Cell<u64>,
}

#[derive(Debug)]
struct Pending {
    question: Question,
    waiting: Vec<oneshot::Sender<Decision>>,
}

impl Asker {
    /// Questions come out of the receiver. Dropping it ends the asking: everything undecided is denied then.
    pub fn new() -> (Asker, mpsc::Receiver<Question>) {
        let (desk, questions) = mpsc::channel(PENDING);
        let asker = Asker {
            desk: RefCell::new(Some(desk)),
            pending: RefCell::default(),
            remembered: RefCell::default(),
            rate: RefCell::new(Rate::new(Instant::now())),
            next: Cell::new(1),
        };
        (asker, questions)
    }

    /// Could an answer come? False once the front end is gone.
    pub fn is_open(&self) -> bool {
        self.desk.borrow().as_ref().is_some_and(|desk| !desk.is_closed())
    }

    /// Waits for the answer about a destination that no rule decides.
    pub async fn ask(&self, target: &Target) -> Decision {
        if let Some(allow) = self.remembered.borrow().get(target) {
            return decision(*allow);
        }
        let (id, deadline, answer) = match self.join(target) {
            Ok(place) => place,
            Err(why) => return Decision::Undecided(why),
        };
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(decision)) => decision,
            Ok(Err(_closed)) => Decision::Undecided("nobody can be asked any more"),
            Err(_late) => {
                self.take(id);
                Decision::Undecided("nobody answered in time")
            }
        }
    }

    /// Answers a question. False where there is none of this id: answered, or too late.
    pub fn answer(&self, id: u64, answer: Answer) -> bool {
        let Some(pending) = self.take(id) else { return false };
        let mut remembered = self.remembered.borrow_mut();
        if answer.remember != Remember::Once && remembered.len() < REMEMBERED {
            remembered.insert(pending.question.target, answer.allow);
        }
        if answer.allow {
            // Somebody sits there and wants this: that is no flood.
            self.rate.borrow_mut().give_back();
        }
        tell(pending.waiting, decision(answer.allow));
        true
    }

    /// The question was put and came to nothing; those who wait are denied, in these words.
    pub fn give_up(&self, id: u64, why: &'static str) {
        if let Some(pending) = self.take(id) {
            tell(pending.waiting, Decision::Undecided(why));
        }
    }

    /// The question, where it still waits.
    pub fn pending(&self, id: u64) -> Option<Question> {
        self.pending.borrow().iter().find(|pending| pending.question.id == id).map(|pending| pending.question.clone())
    }

    /// No front end is left: everybody who waits is denied, and nobody is asked again.
    pub fn close(&self) {
        self.desk.take();
        self.pending.take();
    }

    /// A place among those who wait for the answer.
    fn join(&self, target: &Target) -> Result<(u64, Instant, oneshot::Receiver<Decision>), &'static str> {
        let (sender, receiver) = oneshot::channel();
        let mut pending = self.pending.borrow_mut();
        let now = Instant::now();
        pending.retain(|pending| pending.question.deadline > now);
        if let Some(known) = pending.iter_mut().find(|pending| pending.question.target == *target) {
            known.waiting.push(sender);
            return Ok((known.question.id, known.question.deadline, receiver));
        }
        if pending.len() >= PENDING {
            return Err("too many questions wait already");
        }
        let question = self.put(target, now)?;
        let place = (question.id, question.deadline, receiver);
        pending.push(Pending { question, waiting: vec![sender] });
        Ok(place)
    }

    /// Hands a new question to the front end.
    fn put(&self, target: &Target, now: Instant) -> Result<Question, &'static str> {
        let desk = self.desk.borrow();
        let Some(desk) = desk.as_ref().filter(|desk| !desk.is_closed()) else { return Err("nobody can be asked any more") };
        if !self.rate.borrow_mut().take(now) {
            return Err("questions come too fast");
        }
        let question = Question { id: self.next.replace(self.next.get() + 1), target: target.clone(), deadline: now + PATIENCE };
        desk.try_send(question.clone()).map_err(|_full| "too many questions wait already")?;
        Ok(question)
    }

    fn take(&self, id: u64) -> Option<Pending> {
        let mut pending = self.pending.borrow_mut();
        let place = pending.iter().position(|pending| pending.question.id == id)?;
        Some(pending.remove(place))
    }
}

fn decision(allow: bool) -> Decision {
    if allow { Decision::Allowed } else { Decision::Denied }
}

/// Whoever hung up meanwhile needs no answer.
fn tell(waiting: Vec<oneshot::Sender<Decision>>, decision: Decision) {
    for waiter in waiting {
        let _ = waiter.send(decision);
    }
}

#[cfg(test)]
mod tests;
