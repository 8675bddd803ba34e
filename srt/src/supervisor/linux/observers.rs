//! Whoever looks on at a run: `srt top` of the same user, or of root.
//!
//! The run listens on the abstract address `\0srt/run/<uid>/<pid of the supervisor>` (unix(7)), found through `/proc/net/unix`. Such an address is no file, so nothing
//! is left behind, and it ends at the network namespace, so a sandbox that has one of its own reaches neither this run's nor another's. (One without, as
//! `enableWeakerNestedSandbox` accepts it, is kept out by Landlock's scopes where the kernel has them; without those it can look on as any program of its user can.)
//!
//! Trust: anybody on the host may connect; only the user of this run and root are served, by the credentials that the kernel gives (SO_PEERCRED). Nothing an observer
//! sends is read. Whoever floods the address, or binds it before, can keep observers out; the run goes on all the same. Nothing waits for one, and none has a queue: each has a place in what is kept of the run anyway, and goes on from there when it takes more. What is
//! not kept for ever (the last lines) can be missed, and is then told as a count.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::backend;
use crate::proxy::ProxyContext;
use crate::supervisor::End;
use crate::supervisor::status::Line;
use crate::supervisor::told::Onlookers;
use crate::violation::{EventSink, Run};

/// Observers at once.
const MOST: usize = 8;

/// Lines that are kept, of those that are no denials and no destinations.
const KEPT: usize = 64;

/// Bytes of a packet: what one send gives and one receive takes.
const PACKET: usize = 64 << 10;

/// How often observers hear what the sandbox uses.
const PERIOD: Duration = Duration::from_secs(2);

/// After so many strangers the listener rests: somebody else's connections are not to cost this run its processor.
const STRANGERS: u32 = 16;
const REST: Duration = Duration::from_millis(10);

/// One packet. Shared: it is made once for all.
type Packet = Rc<str>;

/// What there is to see of a run, and those who see it.
pub(super) struct Observers(Rc<Feed>);

struct Feed {
    sink: EventSink,
    context: Rc<ProxyContext>,
    /// The last lines, and how many there were before them.
    lines: RefCell<VecDeque<Packet>>,
    forgotten: Cell<u64>,
    /// What the sandbox used when it was last looked at, and the number of that look.
    usage: RefCell<Option<(u64, Packet)>>,
    init: Cell<Option<i32>>,
    measuring: Cell<bool>,
    news: Notify,
    readers: RefCell<Vec<Rc<Reader>>>,
}

/// How much of a run somebody has seen.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    lines: u64,
    hosts: usize,
    events: usize,
    usage: u64,
}

/// One observer.
struct Reader {
    socket: AsyncFd<OwnedFd>,
    place: Cell<Place>,
    /// Somebody else reads what it says, and so its end is known by writing only.
    heard_elsewhere: bool,
    /// What the sandbox uses is looked at for somebody who sees it.
    wants_usage: Cell<bool>,
}

impl Observers {
    /// Keeps what there is to tell of a run, and lets observers come where `run` says what they will see. That there cannot be any is no fault of the run.
    pub(super) fn start(run: Option<&Run>, sink: EventSink, context: Rc<ProxyContext>) -> Rc<Observers> {
        let feed = Rc::new(Feed {
            sink,
            context,
            lines: RefCell::default(),
            forgotten: Cell::default(),
            usage: RefCell::default(),
            init: Cell::default(),
            measuring: Cell::default(),
            news: Notify::default(),
            readers: RefCell::default(),
        });
        let observers = Rc::new(Observers(feed));
        if let Some(run) = run {
            observers.say(&Line::Run { command: &run.command, cwd: &run.directory, started: &run.started(), pid: std::process::id() });
            match listen() {
                Ok(listener) => drop(tokio::task::spawn_local(accept(observers.0.clone(), listener))),
                Err(error) => tracing::debug!("observers: none can come: {error}"),
            }
        }
        observers
    }

    /// The service `srt monitor` passes lines on to those who watch there. What it says is the reporter's to read.
    pub(super) fn tell_service(&self, connection: OwnedFd) {
        admit(&self.0, connection, true);
    }

    /// Somebody watches through the service, or nobody does any more.
    pub(super) fn service_is_watched(&self, watched: bool) {
        self.0.readers.borrow().iter().filter(|reader| reader.heard_elsewhere).for_each(|reader| reader.wants_usage.set(watched));
        self.0.measure();
    }

    /// The command runs, below this process.
    pub(super) fn started(&self, init: Option<i32>) {
        self.0.init.set(init);
    }
}

impl Onlookers for Observers {
    fn say(&self, line: &Line<'_>) {
        let feed = &self.0;
        let Some(packet) = packet(line) else { return };
        let mut lines = feed.lines.borrow_mut();
        // The first says which run this is.
        if lines.len() == KEPT {
            lines.remove(1);
            feed.forgotten.set(feed.forgotten.get() + 1);
        }
        lines.push_back(packet);
        feed.news.notify_waiters();
    }

    /// As far as each observer takes them now.
    fn finish(&self, end: &End) {
        let feed = &self.0;
        let readers = std::mem::take(&mut *feed.readers.borrow_mut());
        if readers.is_empty() {
            return;
        }
        let report = feed.sink.snapshot();
        let counts = report.events.iter().filter(|event| event.count > 1).filter_map(|event| packet(&Line::Violation { event }));
        let last: Vec<Packet> = counts.chain(packet(&Line::exit(end, feed.sink.total()))).collect();
        for reader in readers {
            if reader.catch_up(feed).is_ok() {
                let _ = last.iter().try_for_each(|packet| reader.send(packet));
            }
        }
    }
}

impl Feed {
    /// What comes after `place`, and the place after that.
    fn next(&self, place: Place) -> Option<(Packet, Place)> {
        self.next_line(place).or_else(|| self.next_host(place)).or_else(|| self.next_event(place)).or_else(|| self.next_usage(place))
    }

    /// Lines are counted from 0; the first is always kept, the others until there are too many.
    fn next_line(&self, place: Place) -> Option<(Packet, Place)> {
        let forgotten = self.forgotten.get();
        let missed = if place.lines == 0 { 0 } else { (forgotten + 1).saturating_sub(place.lines) };
        if missed > 0 {
            return Some((packet(&Line::Dropped { count: missed })?, Place { lines: forgotten + 1, ..place }));
        }
        let index = if place.lines == 0 { 0 } else { place.lines - forgotten };
        let line = self.lines.borrow().get(usize::try_from(index).ok()?)?.clone();
        Some((line, Place { lines: place.lines + 1, ..place }))
    }

    fn next_host(&self, place: Place) -> Option<(Packet, Place)> {
        let line = packet(&Line::host(&self.context.destinations().at(place.hosts)?))?;
        Some((line, Place { hosts: place.hosts + 1, ..place }))
    }

    fn next_event(&self, place: Place) -> Option<(Packet, Place)> {
        let event = self.sink.at(place.events)?;
        Some((packet(&Line::Violation { event: &event })?, Place { events: place.events + 1, ..place }))
    }

    fn next_usage(&self, place: Place) -> Option<(Packet, Place)> {
        let usage = self.usage.borrow();
        let (number, packet) = usage.as_ref().filter(|(number, _)| *number > place.usage)?;
        Some((packet.clone(), Place { usage: *number, ..place }))
    }

    /// Made before a look, these tell of everything that comes after it.
    fn bells(&self) -> [Notified<'_>; 3] {
        [self.news.notified(), self.sink.news().notified(), self.context.destinations().news().notified()]
    }

    fn usage_is_wanted(&self) -> bool {
        self.readers.borrow().iter().any(|reader| reader.wants_usage.get())
    }

    /// Begins to look at what the sandbox uses, where somebody wants to know.
    fn measure(self: &Rc<Self>) {
        if self.usage_is_wanted() && !self.measuring.replace(true) {
            tokio::task::spawn_local(measure(self.clone()));
        }
    }

    fn leave(&self, reader: &Rc<Reader>) {
        self.readers.borrow_mut().retain(|one| !Rc::ptr_eq(one, reader));
    }
}

/// A line as a packet. An event with more text than fits goes without the arguments of its process, or is told as missing.
fn packet(line: &Line<'_>) -> Option<Packet> {
    let json = line.json()?;
    if json.len() <= PACKET {
        return Some(json.into());
    }
    let shorter = match line {
        Line::Violation { event } if event.process.as_ref().is_some_and(|process| !process.argv.is_empty()) => {
            let mut event = (*event).clone();
            event.process.iter_mut().for_each(|process| process.argv.clear());
            Line::Violation { event: &event }.json()
        }
        _ => None,
    };
    Some(shorter.filter(|json| json.len() <= PACKET).or_else(|| Line::Dropped { count: 1 }.json())?.into())
}

impl Reader {
    /// Sends what there is room for. `AGAIN` where there is more than that.
    fn catch_up(&self, feed: &Feed) -> Result<(), Errno> {
        while let Some((packet, after)) = feed.next(self.place.get()) {
            self.send(&packet)?;
            self.place.set(after);
        }
        Ok(())
    }

    fn send(&self, packet: &str) -> Result<(), Errno> {
        rustix::net::send(self.socket.get_ref(), packet.as_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map(|_| ())
    }

    /// Until the observer goes. Whatever it says, it is not listened to.
    async fn serve(&self, feed: &Feed) {
        loop {
            let [news, events, hosts] = feed.bells();
            let Ok(mut ready) = self.socket.writable().await else { return };
            match self.catch_up(feed) {
                Ok(()) => tokio::select! {
                    () = news => {}
                    () = events => {}
                    () = hosts => {}
                    () = self.gone() => return,
                },
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(_gone) => return,
            }
        }
    }

    async fn gone(&self) {
        if self.heard_elsewhere {
            return std::future::pending().await;
        }
        while let Ok(mut ready) = self.socket.readable().await {
            match rustix::net::recv(self.socket.get_ref(), &mut [0; 1][..], RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                _ => return,
            }
        }
    }
}

fn listen() -> io::Result<AsyncFd<OwnedFd>> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    let name = format!("srt/run/{}/{}", rustix::process::geteuid().as_raw(), std::process::id());
    rustix::net::bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    rustix::net::listen(&socket, MOST as i32)?;
    register(socket, Interest::READABLE)
}

fn register(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor owns what it names, and always names the same.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}

/// Lets observers in, for as long as the run goes on.
async fn accept(feed: Rc<Feed>, listener: AsyncFd<OwnedFd>) {
    let mut strangers = 0;
    while let Ok(mut ready) = listener.readable().await {
        match rustix::net::accept_with(listener.get_ref(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) if feed.readers.borrow().len() < MOST && may_look(&socket) => admit(&feed, socket, false),
            Ok(_stranger) => strangers += 1,
            Err(Errno::AGAIN) => ready.clear_ready(),
            // Out of descriptors, or whoever came is gone.
            Err(_) => strangers = STRANGERS,
        }
        if strangers >= STRANGERS {
            strangers = 0;
            tokio::time::sleep(REST).await;
        }
    }
}

fn may_look(socket: &OwnedFd) -> bool {
    let own = rustix::process::geteuid();
    rustix::net::sockopt::socket_peercred(socket).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}

fn admit(feed: &Rc<Feed>, socket: OwnedFd, heard_elsewhere: bool) {
    let Ok(socket) = register(socket, Interest::READABLE | Interest::WRITABLE) else { return };
    let reader = Rc::new(Reader { socket, place: Cell::default(), heard_elsewhere, wants_usage: Cell::new(!heard_elsewhere) });
    feed.readers.borrow_mut().push(reader.clone());
    feed.measure();
    let feed = feed.clone();
    tokio::task::spawn_local(async move {
        reader.serve(&feed).await;
        feed.leave(&reader);
    });
}

/// Looks at what the sandbox uses, while there is somebody to be told.
async fn measure(feed: Rc<Feed>) {
    let mut number = feed.usage.borrow().as_ref().map_or(0, |(number, _)| *number);
    while feed.usage_is_wanted() {
        if let Some(init) = feed.init.get() {
            let backend::Usage { processes, memory } = usage(init).await;
            number += 1;
            let line = Line::Usage { processes, memory, violations: feed.sink.total() };
            *feed.usage.borrow_mut() = packet(&line).map(|packet| (number, packet));
            feed.news.notify_waiters();
        }
        tokio::time::sleep(PERIOD).await;
    }
    feed.measuring.set(false);
}

/// A sandbox may have thousands of processes: the proxies go on between them.
async fn usage(init: i32) -> backend::Usage {
    let mut census = backend::Census::below(init);
    while census.step() {
        tokio::task::yield_now().await;
    }
    census.usage()
}
