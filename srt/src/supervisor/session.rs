//! What runs beside the command for the user's sake: events as they happen, the protocol, questions.
//!
//! Everything here is driven by the loop of the supervisor on its one thread; nothing of it can hold that loop up.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use tokio::sync::mpsc::Receiver;

use super::live::Live;
use super::program::{Program, Update, obey};
use super::remember::Memory;
use super::status::{Line, Status};
use super::told::Told;
use super::{End, Ways};
use crate::ask::{Asker, PATIENCE, Question};
use crate::policy::Policy;
use crate::proxy::{ProxyContext, Token};
use crate::violation::{EventSink, Subscription};

/// What is at work.
pub(crate) struct Session {
    /// What the proxies work with.
    pub(crate) context: Rc<ProxyContext>,
    told: Rc<Told>,
    hosts: Option<Rc<Hosts>>,
    telling: Option<tokio::task::JoinHandle<()>>,
    end: Rc<tokio::sync::Notify>,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "a person is asked on Linux only"))]
    desk: Option<(Rc<Asker>, Receiver<Question>)>,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "a person is asked on Linux only"))]
    memory: Rc<Memory>,
    sink: EventSink,
}

impl Session {
    /// Starts everything but the questions on the terminal, which need a command.
    pub(crate) fn start(policy: Policy, sink: EventSink, token: Option<Token>, ways: Ways) -> Session {
        let Ways { live, say, status, control, ask, memory, renew, on_files, run: _, reports: _ } = ways;
        let for_programs = status.is_some() && control.is_some();
        let (asker, questions) = ask.then(Asker::new).map(|(asker, questions)| (Rc::new(asker), questions)).unzip();
        let context = Rc::new(ProxyContext::new(policy.network.clone(), sink.clone()).asking(asker.clone()).guarded_by(token));
        let status = status.map(Status::start);
        let told = Rc::new(Told { status: status.clone(), onlookers: OnceCell::new() });
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
        Session { context, told, hosts, telling, end, desk, memory, sink }
    }

    /// From now on, lines go to them too.
    #[cfg(target_os = "linux")]
    pub(crate) fn show_to(&self, onlookers: Rc<dyn super::told::Onlookers>) {
        let _only_once = self.told.onlookers.set(onlookers);
    }

    /// The command runs. `line` is asked for where there is somebody to tell.
    pub(crate) fn started(&self, line: impl FnOnce() -> Line<'static>) {
        if let Some(status) = &self.told.status {
            status.say(&line());
        }
    }

    /// Questions for a person, where no program answers them.
    #[cfg(target_os = "linux")]
    pub(crate) fn take_questions(&mut self) -> Option<(Rc<Asker>, Receiver<Question>)> {
        self.desk.take()
    }

    /// Where answers are written down.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> &Rc<Memory> {
        &self.memory
    }

    /// The run has ended: the last lines.
    pub(crate) async fn finish(self, end: &End) {
        self.end.notify_one();
        if let Some(telling) = self.telling {
            // It only empties its queue.
            let _ = telling.await;
        }
        self.told.onlookers.get().into_iter().for_each(|onlookers| onlookers.finish(end));
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
