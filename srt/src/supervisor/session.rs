//! What runs beside the command for the user's sake: events as they happen, the protocol, questions.
//!
//! Everything here is driven by the loop of the supervisor on its one thread; nothing of it can hold that loop up.

use std::rc::Rc;

use tokio::sync::mpsc::Receiver;

use super::desk::{Bell, Desk};
use super::live::Live;
use super::program::{Program, Update, obey};
use super::remember::Memory;
use super::status::{Line, Status};
use super::{End, Ways};
use crate::Outcome;
use crate::ask::{Asker, PATIENCE, Question};
use crate::policy::Policy;
use crate::proxy::ProxyContext;
use crate::violation::{EventSink, Subscription};

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
        let Ways { live, say, status, control, ask, memory, renew, on_files, reports: _ } = ways;
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
