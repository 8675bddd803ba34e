//! What runs beside the command for the user's sake: events as they happen, the protocol, questions.
//!
//! Everything here is driven by the loop of the supervisor on its one thread; nothing of it can hold that loop up.

use std::rc::Rc;

use tokio::sync::mpsc::Receiver;

use super::control::{Lines, Message, Received};
use super::descriptor::Descriptor;
use super::desk::{Bell, Desk};
use super::live::{Live, Show};
use super::remember::Memory;
use super::status::{Line, Status, spelled};
use super::{End, Ways};
use crate::ask::{Answer, Asker, PATIENCE, Question, Remember};
use crate::policy::{self, FsPolicy, Policy};
use crate::proxy::ProxyContext;
use crate::violation::{EventSink, Subscription};
use crate::{Faults, Outcome};

/// Makes a policy of a line of settings, and of everything else that the policy of the start was made of.
pub type Renew = Box<dyn Fn(&str, &str) -> Result<Policy, Faults>>;

/// Takes new rules on files, for whoever judges names.
pub type OnFiles = Box<dyn Fn(FsPolicy)>;

/// What is at work.
pub(super) struct Session {
    pub(super) context: Rc<ProxyContext>,
    pub(super) bell: Rc<Bell>,
    status: Option<Rc<Status>>,
    telling: Option<tokio::task::JoinHandle<()>>,
    end: Rc<tokio::sync::Notify>,
    desk: Option<(Rc<Asker>, Receiver<Question>)>,
    memory: Rc<Memory>,
    sink: EventSink,
}

impl Session {
    /// Starts everything but the questions on the terminal, which need a command.
    pub(super) fn start(policy: Policy, sink: EventSink, ways: Ways) -> Session {
        let Ways { live, say, status, control, ask, memory, renew, on_files } = ways;
        let for_programs = status.is_some() && control.is_some();
        let (asker, questions) = ask.then(Asker::new).map(|(asker, questions)| (Rc::new(asker), questions)).unzip();
        let context = Rc::new(ProxyContext::new(policy.network.clone(), sink.clone()).asking(asker.clone()));
        let status = status.map(Status::start);
        let end = Rc::new(tokio::sync::Notify::new());
        let telling = (live.is_some() || status.is_some()).then(|| {
            let live = live.map(Live::new);
            tokio::task::spawn_local(tell(sink.subscribe(), live, status.clone(), end.clone()))
        });
        let memory = Rc::new(memory);
        if let Some(control) = control {
            let program = Program { status: status.clone(), asker: asker.clone(), memory: memory.clone(), show: say };
            let update = Update { context: context.clone(), start: policy, renew, on_files };
            tokio::task::spawn_local(obey(control, program, update));
        }
        let desk = match (asker.zip(questions), &status) {
            (Some((asker, questions)), Some(status)) if for_programs => {
                tokio::task::spawn_local(put(asker, questions, status.clone()));
                None
            }
            (desk, _) => desk,
        };
        Session { context, bell: Rc::default(), status, telling, end, desk, memory, sink }
    }

    /// The command runs.
    pub(super) fn started(&mut self, init: Option<i32>) {
        if let Some(status) = &self.status {
            status.say(&Line::Started { pid: init.and_then(crate::backend::command_of), init });
        }
        if let (Some((asker, questions)), Some(init)) = (self.desk.take(), init) {
            let desk = Desk { asker, bell: self.bell.clone(), memory: self.memory.clone(), init };
            tokio::task::spawn_local(desk.serve(questions));
        }
    }

    /// The run has ended: the last lines.
    pub(super) async fn finish(self, end: &End) {
        self.end.notify_one();
        if let Some(telling) = self.telling {
            // It only empties its queue.
            let _ = telling.await;
        }
        let Some(status) = self.status else { return };
        let report = self.sink.snapshot();
        for event in report.events.iter().filter(|event| event.count > 1) {
            status.say(&Line::Violation { event });
        }
        let violations = report.events.iter().fold(report.dropped, |sum, event| sum.saturating_add(event.count));
        let (exited, signal) = match end.outcome {
            Outcome::Exited(code) => (Some(code), None),
            Outcome::Killed(signal) => (None, Some(signal)),
            _ => (None, None),
        };
        let error = end.fault.as_ref().map(ToString::to_string);
        status.say(&Line::Exit { code: end.outcome.exit_code(), status: exited, signal, violations, error });
        status.finish().await;
    }
}

/// Tells of events as they come; after the end, of those that had come before it.
async fn tell(mut events: Subscription, mut live: Option<Live>, status: Option<Rc<Status>>, end: Rc<tokio::sync::Notify>) {
    let mut ended = false;
    let mut missing = 0;
    loop {
        let event = if ended {
            events.try_next()
        } else {
            tokio::select! {
                biased;
                event = events.next() => event,
                () = end.notified() => {
                    ended = true;
                    continue;
                }
            }
        };
        let Some(event) = event else { break };
        let lost = events.lost();
        missing += lost;
        live.iter_mut().for_each(|live| live.show(&event));
        if let Some(status) = &status {
            status.count_dropped(lost);
            status.say(&Line::Violation { event: &event });
        }
    }
    let lost = events.lost();
    status.iter().for_each(|status| status.count_dropped(lost));
    if let Some(live) = live {
        live.finish(missing + lost);
    }
}

/// Questions for the program.
async fn put(asker: Rc<Asker>, mut questions: Receiver<Question>, status: Rc<Status>) {
    while let Some(question) = questions.recv().await {
        // A reader that does not take it in leaves it unanswered, and the question ends by itself.
        if asker.pending(question.id).is_some() {
            let (host, port) = (question.target.host.to_string(), question.target.port);
            status.say(&Line::Ask { id: question.id, host, port, seconds: PATIENCE.as_secs() });
        }
    }
}

/// The program on the other side of the descriptors.
struct Program {
    status: Option<Rc<Status>>,
    asker: Option<Rc<Asker>>,
    memory: Rc<Memory>,
    show: Option<Show>,
}

/// What a line of settings is made into, and where it goes.
struct Update {
    context: Rc<ProxyContext>,
    start: Policy,
    renew: Option<Renew>,
    on_files: Option<OnFiles>,
}

/// Lines, until the writer is gone. Then what is in force stays so, and no answer can come any more.
async fn obey(control: Descriptor, program: Program, update: Update) {
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
    if let (Some(asker), true) = (&program.asker, program.status.is_some()) {
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
        if self.status.is_none() {
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
        self.status.iter().for_each(|status| status.say(line));
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
