//! Races on addresses and on socket descriptors. Each prints how often which answer came; what arrived is for the servers to say.

use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use crate::answer::{Answer, Failure, Operation, number};
use crate::kernel::raw;
use crate::messages::{Address, aim, header};
use crate::path_calls::difference;
use crate::race::{Tally, disturbed};
use crate::sockets::{socket, unix_kind};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "race-address", arguments: &["CALL", "KIND", "FREE", "HELD", "TRIES"], run: race_address },
    Operation { name: "race-message", arguments: &["FREE", "HELD", "TRIES"], run: race_message },
    Operation { name: "race-socket", arguments: &["CALL", "HELD", "TRIES"], run: race_socket },
];

/// The address in memory names FREE in one moment and HELD in the next.
fn race_address(arguments: &[String]) -> Answer {
    let (call, kind, tries) = (arguments[0].as_str(), unix_kind(&arguments[1])?, number(&arguments[4])?);
    let (free, held) = (&arguments[2], &arguments[3]);
    let place = difference(free, held)?;
    let letters = [free.as_bytes()[place], held.as_bytes()[place]];
    let mut address = Address::new(free)?;
    let (start, length) = address.place();
    let byte = AtomicPtr::new(address.path_byte(place));
    let flip = |turn: bool| {
        // SAFETY: `byte` points into `address`, which outlives both threads; from here to the end it is only accessed atomically, and by
        // the kernel.
        let byte = unsafe { AtomicU8::from_ptr(byte.load(Ordering::Relaxed)) };
        byte.store(letters[usize::from(turn)], Ordering::Relaxed);
    };
    disturbed(flip, || {
        let mut tally = Tally::default();
        for _ in 0..tries {
            let socket = socket(libc::AF_UNIX.into(), kind, 0)?;
            tally.add(&aim(call, socket.as_raw_fd().into(), (start, length)));
        }
        Ok(tally.text())
    })
}

/// The message header points at the one address in one moment and at the other in the next.
fn race_message(arguments: &[String]) -> Answer {
    let tries = number(&arguments[2])?;
    let (free, held) = (Address::new(&arguments[0])?, Address::new(&arguments[1])?);
    if free.place().1 != held.place().1 {
        return Err(Failure::Usage("FREE and HELD must have one length".into()));
    }
    let byte = b'x';
    let part = libc::iovec { iov_base: std::ptr::from_ref(&byte).cast_mut().cast(), iov_len: 1 };
    let (start, length) = free.place();
    let mut message = header(start, length, &part);
    let names = [start, held.place().0];
    let place = AtomicPtr::new(&raw mut message.msg_name);
    let fixed = std::ptr::from_ref(&message) as libc::c_long;
    let flip = |turn: bool| {
        // SAFETY: `place` points at a field of `message`, which outlives both threads; from here to the end it is only accessed atomically,
        // and by the kernel.
        let name = unsafe { AtomicPtr::from_ptr(place.load(Ordering::Relaxed)) };
        name.store(names[usize::from(turn)] as *mut libc::c_void, Ordering::Relaxed);
    };
    let socket = socket(libc::AF_UNIX.into(), libc::SOCK_DGRAM.into(), 0)?;
    disturbed(flip, || {
        let mut tally = Tally::default();
        for _ in 0..tries {
            tally.add(&raw(libc::SYS_sendmsg, [socket.as_raw_fd().into(), fixed, libc::MSG_DONTWAIT.into(), 0, 0, 0]));
        }
        Ok(tally.text())
    })
}

/// The descriptor is another kind of socket from moment to moment, the address always HELD.
fn race_socket(arguments: &[String]) -> Answer {
    let (call, tries) = (arguments[0].as_str(), number(&arguments[2])?);
    let held = Address::new(&arguments[1])?;
    let kinds = [(libc::AF_UNIX, libc::SOCK_STREAM), (libc::AF_INET, libc::SOCK_STREAM), (libc::AF_UNIX, libc::SOCK_DGRAM)];
    let mut sockets = Vec::new();
    for (family, kind) in kinds {
        // Never closed: they live as long as this process.
        sockets.push(libc::c_long::from(socket(family.into(), kind.into(), 0)?.into_raw_fd()));
    }
    let number = raw(libc::SYS_dup, [sockets[0], 0, 0, 0, 0, 0])?;
    let next = AtomicU8::new(0);
    let flip = |_| {
        let place = usize::from(next.fetch_add(1, Ordering::Relaxed)) % sockets.len();
        drop(raw(libc::SYS_dup3, [sockets[place], number, 0, 0, 0, 0]));
    };
    disturbed(flip, || {
        let mut tally = Tally::default();
        for _ in 0..tries {
            tally.add(&aim(call, number, held.place()));
        }
        Ok(tally.text())
    })
}
