//! Races on names: while one thread makes a call again and again, another changes what the call is about.
//!
//! Every race ends after TRIES calls and prints how they went: `ok=N EPERM=M …`. Whether a denied object was reached is for others to
//! say: the kernel may answer what it likes here.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::answer::{Answer, Failure, Operation, errno_name, number};
use crate::kernel::raw;
use crate::path_calls::{CWD, PathCall, Shared, Wants, address, c_path, difference, named};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "hammer", arguments: &["CALL", "PATH", "OTHER", "TRIES"], run: hammer },
    Operation { name: "race-path", arguments: &["CALL", "FREE", "HELD", "OTHER", "TRIES"], run: race_path },
    Operation { name: "race-link", arguments: &["CALL", "PATH", "OTHER", "TRIES", "LINK", "LINK"], run: race_link },
    Operation { name: "race-dirfd", arguments: &["CALL", "FREE", "HELD", "NAME", "OTHER", "TRIES"], run: race_dirfd },
];

/// How often each answer came.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Counts one answer.
    pub(crate) fn add<T>(&mut self, result: &io::Result<T>) {
        let name = match result {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.raw_os_error().map_or_else(|| error.to_string(), errno_name),
        };
        *self.0.entry(name).or_default() += 1;
    }

    /// `EPERM=3 ok=5`, sorted by name.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|(name, count)| format!("{name}={count}")).collect::<Vec<_>>().join(" ")
    }
}

/// Runs `work` while another thread repeats `disturb`; both must be able to go on for ever.
pub(crate) fn disturbed<T>(disturb: impl Fn(bool) + Sync, work: impl FnOnce() -> T) -> T {
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = false;
            while !end.load(Ordering::Relaxed) {
                disturb(turn);
                turn = !turn;
            }
        });
        let answer = work();
        end.store(true, Ordering::Relaxed);
        answer
    })
}

/// Makes what the call wants, as far as it is allowed: a failure here is an answer of the call later.
fn prepare(call: &PathCall, dir: libc::c_long, path: libc::c_long, other: libc::c_long) {
    let remove = |dir, path| {
        drop(raw(libc::SYS_unlinkat, [dir, path, 0, 0, 0, 0]));
        if call.name == "mkdir" {
            drop(raw(libc::SYS_unlinkat, [dir, path, libc::AT_REMOVEDIR.into(), 0, 0, 0]));
        }
    };
    let create = |dir, path| {
        let made = raw(libc::SYS_openat, [dir, path, (libc::O_CREAT | libc::O_WRONLY).into(), 0o644, 0, 0]);
        drop(made.and_then(|fd| raw(libc::SYS_close, [fd, 0, 0, 0, 0, 0])));
    };
    match call.wants {
        Wants::Anything => {}
        Wants::File => create(dir, path),
        Wants::FileAndNoOther => {
            create(dir, path);
            remove(CWD, other);
        }
        Wants::Nothing => remove(dir, path),
        Wants::NothingAndOther => {
            remove(dir, path);
            create(CWD, other);
        }
        Wants::Other => create(CWD, other),
    }
}

/// Makes the call over and over; whoever disturbs it is elsewhere.
fn hammer(arguments: &[String]) -> Answer {
    let (call, tries) = (named(&arguments[0])?, number(&arguments[3])?);
    let (path, other) = (c_path(&arguments[1])?, c_path(&arguments[2])?);
    let mut tally = Tally::default();
    for _ in 0..tries {
        prepare(call, CWD, address(&path), address(&other));
        tally.add(&call.make_and_close(CWD, address(&path), address(&other)));
    }
    Ok(tally.text())
}

/// The text in memory is FREE in one moment and HELD in the next.
fn race_path(arguments: &[String]) -> Answer {
    let (call, tries) = (named(&arguments[0])?, number(&arguments[4])?);
    let (free, held) = (arguments[1].as_str(), arguments[2].as_str());
    let place = difference(free, held)?;
    let letters = [free.as_bytes()[place], held.as_bytes()[place]];
    let (fixed, other, shared) = (c_path(free)?, c_path(&arguments[3])?, Shared::new(free));
    let flip = |turn: bool| shared.byte(place).store(letters[usize::from(turn)], Ordering::Relaxed);
    Ok(disturbed(flip, || {
        let mut tally = Tally::default();
        for _ in 0..tries {
            prepare(call, CWD, address(&fixed), address(&other));
            tally.add(&call.make_and_close(CWD, shared.address(), address(&other)));
        }
        tally.text()
    }))
}

/// PATH leads through the first LINK, which trades places with the second over and over.
fn race_link(arguments: &[String]) -> Answer {
    let (one, two) = (c_path(&arguments[4])?, c_path(&arguments[5])?);
    let exchange = |_| drop(raw(libc::SYS_renameat2, [CWD, address(&one), CWD, address(&two), libc::RENAME_EXCHANGE.into(), 0]));
    disturbed(exchange, || hammer(arguments))
}

/// The descriptor is FREE in one moment and HELD in the next.
fn race_dirfd(arguments: &[String]) -> Answer {
    let (call, tries) = (named(&arguments[0])?, number(&arguments[5])?);
    let (free, held) = (directory(&arguments[1])?, directory(&arguments[2])?);
    let (name, other) = (c_path(&arguments[3])?, c_path(&arguments[4])?);
    let number = raw(libc::SYS_dup, [free, 0, 0, 0, 0, 0])?;
    let flip = |turn: bool| drop(raw(libc::SYS_dup3, [if turn { held } else { free }, number, 0, 0, 0, 0]));
    Ok(disturbed(flip, || {
        let mut tally = Tally::default();
        for _ in 0..tries {
            prepare(call, free, address(&name), address(&other));
            tally.add(&call.make_and_close(number, address(&name), address(&other)));
        }
        tally.text()
    }))
}

/// A descriptor that lives as long as this process.
pub(crate) fn directory(path: &str) -> Result<libc::c_long, Failure> {
    let path = c_path(path)?;
    let flags = libc::c_long::from(libc::O_DIRECTORY | libc::O_RDONLY | libc::O_CLOEXEC);
    Ok(raw(libc::SYS_openat, [CWD, address(&path), flags, 0, 0, 0])?)
}
