//! What runs beside the command for the user's sake: events as they happen, the protocol, questions.
//!
//! Everything here is driven by the loop of the supervisor on its one thread; nothing of it can hold that loop up.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::mpsc::Receiver;

use super::desk::{Bell, Desk};
use super::live::Live;
use super::observers::Observers;
use super::program::{Program, Update, obey};
use super::remember::Memory;
use super::reporter::News;
use super::status::{Line, Status};
use super::told::Told;
use super::{End, Ways};
use crate::ask::{Asker, PATIENCE, Question};
use crate::policy::Policy;
use crate::proxy::ProxyContext;
use crate::violation::{EventSink, Subscription};

/// What is at work.
pub(super) struct Session {
    pub(super) context: Rc<ProxyContext>,
    pub(super) bell: Rc<Bell>,
    told: Rc<Told>,
    hosts: Option<Rc<Hosts>>,
    telling: Option<tokio::task::JoinHandle<()>>,
    end: Rc<tokio::sync::Notify>,
    desk: Option<(Rc<Asker>, Receiver<Question>)>,
    memory: Rc<Memory>,
    sink: EventSink,
}

impl Session {
    /// Starts everything but the questions on the terminal, which need a command.
    pub(super) fn start(policy: Policy, sink: EventSink, ways: Ways) -> Session {
        let Ways { live, say, status, control, ask, memory, renew, on_files, run, reports: _ } = ways;
        let for_programs = status.is_some() && control.is_some();
        let (asker, questions) = ask.then(Asker::new).map(|(asker, questions)| (Rc::new(asker), questions)).unzip();
        let context = Rc::new(ProxyContext::new(policy.network.clone(), sink.clone()).asking(asker.clone()));
        let status = status.map(Status::start);
        let observers = Observers::start(run.as_ref(), sink.clone(), context.clone());
        let told = Rc::new(Told { status: status.clone(), observers });
        let end = Rc::new(tokio::sync::Notify::new());
        let telling = (live.is_some() || status.is_some()).then(|| {
            let live = live.map(Live::new);
            tokio::task::spawn_local(tell(sink.subscribe(), live, status.clone(), end.clone()))
        });
        let hosts = status.map(|status| Hosts::start(context.clone(), status));
        let memory = Rc::new(memory);
        if let Some(control) = control {
            let program = Program { told: told.clone(), asker: asker.clone(), memory: memory.clone(), show: say };
            let update = Update { context: context.clone(), start: policy, renew, on_files };
            tokio::task::spawn_local(obey(control, program, update));
        }
        let desk = match asker.zip(questions) {
            Some((asker, questions)) if for_programs => {
                tokio::task::spawn_local(put(asker, questions, told.clone()));
                None
            }
            desk => desk,
        };
        Session { context, bell: Rc::default(), told, hosts, telling, end, desk, memory, sink }
    }

    /// What is heard of the service beside denials.
    pub(super) fn attend(&self, news: News) {
        match news {
            News::Connected(connection) => self.told.observers.tell_service(connection),
            News::Watched(watched) => self.told.observers.service_is_watched(watched),
        }
    }

    /// The command runs.
    pub(super) fn started(&mut self, init: Option<i32>) {
        self.told.observers.started(init);
        if let Some(status) = &self.told.status {
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
        self.told.observers.finish(end);
        self.hosts.iter().for_each(|hosts| hosts.tell());
        let Some(status) = &self.told.status else { return };
        let report = self.sink.snapshot();
        for event in report.events.iter().filter(|event| event.count > 1) {
            status.say(&Line::Violation { event });
        }
        status.say(&Line::exit(end, self.sink.total()));
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

/// Destinations for the program.
struct Hosts {
    context: Rc<ProxyContext>,
    status: Rc<Status>,
    told: Cell<usize>,
}

impl Hosts {
    fn start(context: Rc<ProxyContext>, status: Rc<Status>) -> Rc<Hosts> {
        let hosts = Rc::new(Hosts { context, status, told: Cell::default() });
        tokio::task::spawn_local(hosts.clone().follow());
        hosts
    }

    /// Tells of those that were not told yet.
    fn tell(&self) {
        while let Some(destination) = self.context.destinations().at(self.told.get()) {
            self.status.say(&Line::host(&destination));
            self.told.set(self.told.get() + 1);
        }
    }

    async fn follow(self: Rc<Self>) {
        loop {
            // Before the look: what comes between is not missed.
            let news = self.context.destinations().news().notified();
            self.tell();
            news.await;
        }
    }
}

/// Questions for the program.
async fn put(asker: Rc<Asker>, mut questions: Receiver<Question>, told: Rc<Told>) {
    while let Some(question) = questions.recv().await {
        // A reader that does not take it in leaves it unanswered, and the question ends by itself.
        if asker.pending(question.id).is_some() {
            let (host, port) = (question.target.host.to_string(), question.target.port);
            told.say(&Line::Ask { id: question.id, host, port, seconds: PATIENCE.as_secs() });
        }
    }
}
