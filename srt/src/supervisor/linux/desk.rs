//! Questions of the sandbox, put to the person at the terminal.
//!
//! What the sandbox may do about it, and why it gains nothing:
//!
//! - *write a question of its own*: a person may believe it and type, but what is typed there goes to the program and nowhere else;
//! - *write over ours*, so that another host seems to be meant, or *read the answer*: every process of it is stopped before the terminal is taken, and the
//!   answer counts only if none has run since (`backend::Frozen`);
//! - *answer it*: characters cannot be put into the terminal's input (TIOCSTI is filtered), what was there is thrown away, and what allows is a word made up
//!   for this question, which neither a terminal's reply to an escape sequence nor a person who types to the program hits;
//! - *ask and ask*: `ask::Asker` bounds number and rate, and after [`PATIENCE`] questions in a row without a proper answer no more are put;
//! - *name a host that looks like another*: names are canonical, with international ones in their ASCII form.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::{Notify, mpsc};

use super::console::{Console, Unusable};
use crate::ask::{Answer, Asker, Prompt, Question, Remember};
use crate::backend::{self, Frozen};
use crate::supervisor::remember::Memory;

/// Questions in a row that may come to nothing. Then nobody is there, or somebody is being worn out.
const PATIENCE: u32 = 3;

/// What the desk shares with the loop of the supervisor.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// The sandbox is at rest: that the command was stopped is no news for the shell.
    pub(super) at_rest: Cell<bool>,
    /// The command is to be told to go on.
    pub(super) go_on: Notify,
    /// A signal came that the command must get: the question is over.
    pub(super) interrupt: Notify,
}

/// Puts questions on the terminal.
pub(super) struct Desk {
    pub(super) asker: Rc<Asker>,
    pub(super) bell: Rc<Bell>,
    pub(super) memory: Rc<Memory>,
    /// Host's id of the sandbox's first process.
    pub(super) init: i32,
}

impl Desk {
    /// Until no more questions can come, or nobody answers them.
    pub(super) async fn serve(self, mut questions: mpsc::Receiver<Question>) {
        let mut in_vain = 0;
        while let Some(question) = questions.recv().await {
            // Its time may be over, or the client has gone.
            if self.asker.pending(question.id).is_none() {
                continue;
            }
            match self.put(&question).await {
                Ok(answer) => {
                    in_vain = 0;
                    self.asker.answer(question.id, answer);
                }
                Err(why) => {
                    in_vain += 1;
                    self.asker.give_up(question.id, why);
                }
            }
            if in_vain == PATIENCE {
                return self.asker.close();
            }
        }
    }

    /// With the sandbox at rest from before the question is seen until after the answer is written down.
    async fn put(&self, question: &Question) -> Result<Answer, &'static str> {
        self.bell.at_rest.set(true);
        let frozen = match backend::freeze(self.init).await {
            Ok(frozen) => frozen,
            Err(_) => {
                self.release(true);
                return Err("the command could not be stopped for the question");
            }
        };
        let answer = match Console::take(frozen.groups()) {
            Ok(console) => {
                let answer = self.ask(&console, question, &frozen).await;
                console.give_back();
                answer
            }
            Err(Unusable::InUse) => Err("the terminal is in use by another job"),
            Err(Unusable::Io(error)) => {
                tracing::debug!("ask: terminal: {error}");
                Err("the terminal cannot be used")
            }
        };
        let was_running = frozen.stopped_a_child_of_init();
        frozen.thaw();
        self.release(was_running);
        answer
    }

    /// Also the loop tells the command to go on, so that it knows which reports of a stop are out of date. Not a command that had stopped by itself before.
    fn release(&self, was_running: bool) {
        self.bell.at_rest.set(false);
        if was_running {
            self.bell.go_on.notify_one();
        }
    }

    async fn ask(&self, console: &Console, question: &Question, frozen: &Frozen) -> Result<Answer, &'static str> {
        let prompt = Prompt::new(question, self.memory.shown()).map_err(|_| "the terminal cannot be used")?;
        let line = async {
            console.show(prompt.text()).await?;
            console.line().await
        };
        // The signal of an earlier moment is no answer.
        let interrupted = self.bell.interrupt.notified();
        let typed = tokio::select! {
            typed = tokio::time::timeout_at(question.deadline, line) => match typed {
                Ok(typed) => typed.map_err(|_| "the terminal cannot be used"),
                Err(_late) => Err("nobody answered in time"),
            },
            () = interrupted => Err("the question was interrupted"),
        };
        let answer = typed.and_then(|typed| prompt.answer(&typed).ok_or("the answer was none of the words shown"));
        // Last: only what was seen while nothing ran is believed.
        let answer = answer.and_then(|answer| if frozen.nothing_ran() { Ok(answer) } else { Err("the command ran during the question") });
        let answer = answer.map(|answer| self.write_down(question, answer));
        let _ = console.write(&format!("srt: {}\r\n", said(answer.as_ref()))).await;
        answer.map(|(answer, _)| answer)
    }

    /// Where "always" cannot be written, it holds for the run.
    fn write_down(&self, question: &Question, answer: Answer) -> (Answer, Option<String>) {
        match self.memory.keep(&question.target, answer) {
            Ok(()) => (answer, None),
            Err(fault) => (Answer { remember: Remember::Run, ..answer }, Some(fault.to_string())),
        }
    }
}

/// What became of it.
fn said(answer: Result<&(Answer, Option<String>), &&'static str>) -> String {
    match answer {
        Ok((_, Some(failure))) => format!("allowed for this run only: {}", failure.replace('\n', "\r\n")),
        Ok((Answer { allow, remember }, None)) => {
            let word = if *allow { "allowed" } else { "denied" };
            let how_long = match remember {
                Remember::Once => "once",
                Remember::Run => "for this run",
                Remember::Always => "always",
            };
            format!("{word} {how_long}")
        }
        Err(why) => format!("denied: {why}"),
    }
}
