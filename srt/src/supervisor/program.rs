//! The program that started srt, as far as it steers the run through the control channel.
//!
//! It is trusted: it may allow anything. What makes no sense changes nothing, and is told.

use std::rc::Rc;

use super::control::{Lines, Message, Received};
use super::descriptor::Descriptor;
use super::live::Show;
use super::remember::Memory;
use super::status::{Line, spelled};
use super::told::Told;
use crate::Faults;
use crate::ask::{Answer, Asker, Remember};
use crate::policy::{self, FsPolicy, Policy};
use crate::proxy::ProxyContext;

/// Makes a policy of a line of settings, and of everything else that the policy of the start was made of.
pub type Renew = Box<dyn Fn(&str, &str) -> Result<Policy, Faults>>;

/// Takes new rules on files, for whoever judges names.
pub type OnFiles = Box<dyn Fn(FsPolicy)>;

/// The program on the other side of the descriptors.
pub(super) struct Program {
    pub(super) told: Rc<Told>,
    pub(super) asker: Option<Rc<Asker>>,
    pub(super) memory: Rc<Memory>,
    pub(super) show: Option<Show>,
}

/// What a line of settings is made into, and where it goes.
pub(super) struct Update {
    pub(super) context: Rc<ProxyContext>,
    pub(super) start: Policy,
    pub(super) renew: Option<Renew>,
    pub(super) on_files: Option<OnFiles>,
}

/// Lines, until the writer is gone. Then what is in force stays so, and no answer can come any more.
pub(super) async fn obey(control: Descriptor, program: Program, update: Update) {
    match Lines::new(control) {
        Ok(mut lines) => loop {
            match lines.next().await {
                Received::Line(number, line) => program.obey(number, &line, &update),
                Received::Bad(number, why) => program.refuse(number, why.to_owned()),
                Received::End => break,
                Received::Failed(error) => {
                    program.fail(format!("cannot read the control channel: {}", crate::fault::errno_text(&error)));
                    break;
                }
            }
        },
        Err(error) => program.fail(format!("cannot wait for the control channel: {}", crate::fault::errno_text(&error))),
    }
    if let (Some(asker), true) = (&program.asker, program.told.has_program()) {
        asker.close();
    }
}

impl Program {
    fn obey(&self, number: u64, line: &str, update: &Update) {
        match Message::parse(line) {
            Ok(Message::Answer { id, answer }) => self.answer(number, id, answer),
            Ok(Message::Settings(text)) => match update.apply(number, &text) {
                Ok(ignored) => self.say(&Line::Updated { line: number, ignored }),
                Err(faults) => self.refuse(number, faults.to_string()),
            },
            Err(why) => self.refuse(number, why),
        }
    }

    fn answer(&self, number: u64, id: u64, answer: Answer) {
        let asked = self.asker.as_ref().and_then(|asker| asker.pending(id));
        let (Some(question), Some(asker)) = (asked, &self.asker) else {
            return self.refuse(number, format!("no question {id} waits for an answer"));
        };
        let kept = self.memory.keep(&question.target, answer);
        let remember = if kept.is_ok() { answer.remember } else { Remember::Run };
        asker.answer(id, Answer { remember, ..answer });
        self.say(&Line::Answered { id, allow: answer.allow, remember: spelled(remember) });
        if let Err(fault) = kept {
            self.refuse(number, fault.to_string());
        }
    }

    /// A line that is not obeyed. The whole cause goes to the program only: stderr may be somebody else's, and the line may hold secrets.
    fn refuse(&self, number: u64, message: String) {
        tracing::debug!("control: line {number}: {message}");
        if !self.told.has_program() {
            self.show(&format!("cannot obey line {number} of the control channel: it is ignored, and the previous settings stay in force"));
        }
        self.say(&Line::Error { line: Some(number), message });
    }

    fn fail(&self, message: String) {
        self.show(&format!("{message}; the settings in force stay so"));
        self.say(&Line::Error { line: None, message });
    }

    fn show(&self, text: &str) {
        if let Some(show) = &self.show {
            // Where it cannot be shown now, there is nobody to wait for.
            let _ = show(text);
        }
    }

    fn say(&self, line: &Line<'_>) {
        self.told.say(line);
    }
}

impl Update {
    /// Puts the settings in force, as far as they can be; the keys that cannot.
    fn apply(&self, number: u64, text: &str) -> Result<Vec<&'static str>, Faults> {
        let Some(renew) = &self.renew else {
            return Err(crate::Fault::new("change settings", "this run takes no settings").into());
        };
        let new = renew(&format!("control line {number}"), text)?;
        let mut ignored = policy::without_effect(&self.start, &new);
        self.context.replace_policy(new.network);
        match &self.on_files {
            Some(on_files) => on_files(new.files),
            None => {
                let more = policy::file_rules_that_differ(&self.start.files, &new.files);
                ignored.extend(more);
                ignored.sort_unstable();
                ignored.dedup();
            }
        }
        Ok(ignored)
    }
}
