//! The streams: the runs' own sockets, and the service's.
//!
//! Nothing here waits. Each round takes a bounded number of packets from each stream, so one that floods is slow for itself alone.
//!
//! Anybody may bind any abstract name: a socket is believed to be a run of a user only where the kernel says that this user listens there (SO_PEERCRED). And anybody may bind many: those who are
//! listened to are chosen from each user in turn. The service is believed where it is root's, or this user's own.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::message::{self, Key, Message};

/// How often new runs and the service are looked for.
const SEARCH: Duration = Duration::from_secs(1);

/// Packets taken of one stream in one round.
const ROUND: usize = 512;

/// Bytes of a packet at most.
const PACKET: usize = 64 << 10;

/// Runs that are listened to at once: of all users, and of one that is not the viewer.
const MOST: usize = 512;
const MOST_OF_ONE: usize = 128;
/// Packets taken of all streams of one user in one round.
const USER_ROUND: usize = 4 * ROUND;

/// Where abstract names begin in `/proc/net/unix`, and ours.
const NAME: &str = "@srt/run/";

/// All streams.
pub(super) struct Source {
    service: PathBuf,
    to_service: Option<OwnedFd>,
    runs: BTreeMap<(u32, u32), OwnedFd>,
    searched: Option<Instant>,
    /// Runs that are there and not listened to.
    hidden: usize,
    users: BTreeMap<u32, String>,
    buffer: Vec<u8>,
}

impl Source {
    /// Of the service at this address, where there is one, and of all runs that this user may see.
    pub(super) fn new(service: &Path) -> Self {
        Source {
            service: service.to_owned(),
            to_service: None,
            runs: BTreeMap::new(),
            searched: None,
            hidden: 0,
            users: BTreeMap::new(),
            buffer: vec![0; PACKET],
        }
    }

    /// What was said since the last time.
    pub(super) fn poll(&mut self) -> Vec<Message> {
        if self.searched.is_none_or(|at| at.elapsed() >= SEARCH) {
            self.searched = Some(Instant::now());
            self.find_service();
            self.find_runs();
        }
        let mut messages = Vec::new();
        let buffer = &mut self.buffer;
        if let Some(service) = &self.to_service
            && !drain(service, buffer, &mut { ROUND }, |packet| messages.extend(message::of_service(packet)))
        {
            self.to_service = None;
            messages.push(Message::NoService);
        }
        messages.push(Message::Hidden(self.hidden));
        let mut left: BTreeMap<u32, usize> = BTreeMap::new();
        self.runs.retain(|&(uid, pid), run| {
            let left = left.entry(uid).or_insert(USER_ROUND);
            let open = drain(run, buffer, left, |packet| messages.extend(message::of_run(packet, uid, pid)));
            if !open {
                messages.push(Message::End(Key::Own { uid, pid }));
            }
            open
        });
        messages.iter_mut().for_each(|message| self.name_user(message));
        messages
    }

    fn name_user(&mut self, message: &mut Message) {
        if let Message::Run(_, about) = message {
            about.user = self.users.entry(about.uid).or_insert_with(|| user_name(about.uid)).clone();
        }
    }

    fn find_service(&mut self) {
        if self.to_service.is_none() {
            self.to_service = SocketAddrUnix::new(&self.service).and_then(|address| connect(&address)).and_then(watch).ok();
        }
    }

    /// A run whose socket does not answer is tried again at the next search. Where there are too many, a user who has more than another gives one up.
    fn find_runs(&mut self) {
        let own = rustix::process::geteuid();
        let there: BTreeSet<(u32, u32)> =
            listening().unwrap_or_default().into_iter().filter(|(uid, _)| own.is_root() || own.as_raw() == *uid).collect();
        let chosen = choose(&there, own.as_raw());
        self.hidden = there.len() - chosen.len();
        self.runs.retain(|run, _| chosen.contains(run) || !there.contains(run));
        for (uid, pid) in chosen {
            if !self.runs.contains_key(&(uid, pid)) {
                self.runs.extend(connect_run(uid, pid).ok().map(|run| ((uid, pid), run)));
            }
        }
    }
}

/// At most so many of those that are there, one of each user in turn.
fn choose(there: &BTreeSet<(u32, u32)>, own: u32) -> BTreeSet<(u32, u32)> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    let mut turns: Vec<(usize, (u32, u32))> = Vec::new();
    for &(uid, pid) in there {
        let turn = counts.entry(uid).or_default();
        if uid == own || *turn < MOST_OF_ONE {
            turns.push((*turn, (uid, pid)));
        }
        *turn += 1;
    }
    turns.sort_unstable();
    turns.into_iter().take(MOST).map(|(_, run)| run).collect()
}

/// Users and process ids in the names of all sockets that somebody listens at.
fn listening() -> io::Result<Vec<(u32, u32)>> {
    // The names are bytes, and anybody's.
    let text = std::fs::read("/proc/net/unix")?;
    Ok(String::from_utf8_lossy(&text).lines().filter_map(named).collect())
}

/// `Num RefCount Protocol Flags Type St Inode Path`, where flag 0x10000 is for sockets that accept connections (proc_net(5)).
fn named(line: &str) -> Option<(u32, u32)> {
    let mut fields = line.split_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let (uid, pid) = fields.nth(3)?.strip_prefix(NAME)?.split_once('/')?;
    let number = |text: &str| text.parse().ok().filter(|number: &u32| number.to_string() == text);
    (flags & 0x10000 != 0).then_some((number(uid)?, number(pid)?))
}

/// The number where the host knows no name.
fn user_name(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    user.ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

fn connect_run(uid: u32, pid: u32) -> rustix::io::Result<OwnedFd> {
    let socket = connect(&SocketAddrUnix::new_abstract_name(format!("srt/run/{uid}/{pid}").as_bytes())?)?;
    let listener = rustix::net::sockopt::socket_peercred(&socket)?;
    if listener.uid.as_raw() == uid { Ok(socket) } else { Err(Errno::PERM) }
}

fn connect(address: &SocketAddrUnix) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::connect(&socket, address)?;
    Ok(socket)
}

/// Asks the service for everything, if it is one.
fn watch(service: OwnedFd) -> rustix::io::Result<OwnedFd> {
    let listener = rustix::net::sockopt::socket_peercred(&service)?.uid;
    if !listener.is_root() && listener != rustix::process::geteuid() {
        return Err(Errno::PERM);
    }
    rustix::net::send(&service, br#"{"v":1,"type":"watch"}"#, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
    Ok(service)
}

/// Takes what is there, no more packets than are left; false where the stream has ended.
fn drain(socket: &OwnedFd, buffer: &mut [u8], left: &mut usize, mut take: impl FnMut(&[u8])) -> bool {
    for _ in 0..ROUND.min(*left) {
        *left -= 1;
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return false,
            Ok((_, count)) => take(&buffer[..count]),
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_our_names_are_runs() {
        let line = |flags: &str, name: &str| format!("00000000f4baf331: 00000002 00000000 {flags} 0005 01 17687414 {name}");
        assert_eq!(named(&line("00010000", "@srt/run/1000/77")), Some((1000, 77)));
        for (flags, name) in [
            ("00000000", "@srt/run/1000/77"),
            ("00010000", "/srt/run/1000/77"),
            ("00010000", "@srt/run/1000/77/1"),
            ("00010000", "@srt/run/01/77"),
            ("00010000", "@srt/run/+1/77"),
            ("00010000", "@srt/run/99999999999/77"),
            ("00010000", "@srt/run/1"),
            ("00010000", ""),
        ] {
            assert_eq!(named(&line(flags, name)), None, "{name}");
        }
        assert_eq!(named("Num       RefCount Protocol Flags    Type St Inode Path"), None);
    }

    #[test]
    fn runs_are_chosen_from_each_user_in_turn() {
        let of = |uid: u32, count: u32| (1..=count).map(move |pid| (uid, pid));
        let there: BTreeSet<(u32, u32)> = of(1, 5000).chain(of(2, 3)).chain(of(3, 600)).collect();
        let count = |own: u32, uid: u32| choose(&there, own).iter().filter(|run| run.0 == uid).count();
        assert_eq!((count(0, 1), count(0, 2), count(0, 3)), (MOST_OF_ONE, 3, MOST_OF_ONE));
        assert_eq!((count(3, 1), count(3, 2), count(3, 3)), (MOST_OF_ONE, 3, MOST - MOST_OF_ONE - 3));
        let many: BTreeSet<(u32, u32)> = (0..2000).flat_map(|uid| of(uid, 2)).collect();
        assert_eq!(choose(&many, 0).len(), MOST);
    }

    #[test]
    fn a_name_that_another_user_holds_is_not_that_users_run() {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let stranger = rustix::process::geteuid().as_raw() + 1;
        let pid = std::process::id();
        let name = SocketAddrUnix::new_abstract_name(format!("srt/run/{stranger}/{pid}").as_bytes()).unwrap();
        rustix::net::bind(&socket, &name).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        assert!(listening().unwrap().contains(&(stranger, pid)));
        assert_eq!(connect_run(stranger, pid).unwrap_err(), Errno::PERM);
    }
}
