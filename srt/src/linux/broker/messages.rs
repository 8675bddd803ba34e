//! sendto(2) with an address, sendmsg(2), sendmmsg(2).
//!
//! The address of a message is in memory, and a datagram socket sends wherever it says. So messages are copied, judged and sent here, whole; descriptors in them are copied and
//! sent as ours. A stream takes what is large in pieces.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::net::SocketType;

use super::super::question::Answer;
use super::super::sys::raw;
use super::address::{Address, MAX_LENGTH, is_own};
use super::peers;
use super::sockets::{DNS, admission, copy_address, is_nonblocking};
use super::stop::Stop;
use super::work::{Effect, Work};

/// `UIO_MAXIOV`.
const MAX_PIECES: u64 = 1024;
/// Largest datagram that is copied; the kernel's own limits are far lower unless root raised them.
const MAX_DATAGRAM: u64 = 16 << 20;
/// What a stream takes at once.
const CHUNK: u64 = 256 << 10;
/// Longest control data: `SCM_MAX_FD` descriptors and more.
const MAX_CONTROL: u64 = 20_480;
/// Bytes of `struct cmsghdr`.
const CONTROL_HEADER: usize = 16;

/// One message with everything that it is made of.
struct Message {
    /// Pieces of the data, in the caller's memory.
    pieces: Vec<(u64, u64)>,
    /// Where to; empty: where the socket is connected.
    address: Vec<u8>,
    control: Vec<u8>,
    /// Held until the message is sent: `control` names them.
    _descriptors: Vec<OwnedFd>,
    /// Held likewise: `address` leads there.
    _peer: Option<OwnedFd>,
}

/// The caller's socket.
struct Outlet {
    socket: OwnedFd,
    kind: SocketType,
    flags: i32,
}

impl Outlet {
    fn new(work: &Work<'_>, socket: i32, flags: i32) -> Result<Self, Errno> {
        let socket = work.caller.descriptor(socket)?;
        let kind = rustix::net::sockopt::socket_type(&socket)?;
        // The data would be ours, and gone before the kernel has read it; callers go on without.
        if flags & libc::MSG_ZEROCOPY != 0 {
            return Err(Errno::NOBUFS);
        }
        Ok(Outlet { socket, kind, flags })
    }

    fn waits(&self) -> bool {
        self.flags & libc::MSG_DONTWAIT == 0 && !is_nonblocking(&self.socket)
    }
}

/// sendto(2).
pub(super) fn send_to(work: &Work<'_>, socket: i32, data: (u64, u64), flags: i32, address: (u64, u64)) -> Result<Effect, Stop> {
    let outlet = Outlet::new(work, socket, flags)?;
    let bytes = copy_address(work, address.0, address.1)?;
    work.caller.check()?;
    let (address, peer) = destination(work, &outlet, bytes)?;
    let message = Message { pieces: vec![data], address, control: Vec::new(), _descriptors: Vec::new(), _peer: peer };
    Ok(Effect::Value(send(work, &outlet, &message)?))
}

/// sendmsg(2).
pub(super) fn send_message(work: &Work<'_>, socket: i32, header: u64, flags: i32) -> Result<Effect, Stop> {
    let outlet = Outlet::new(work, socket, flags)?;
    let message = copy(work, &outlet, header)?;
    Ok(Effect::Value(send(work, &outlet, &message)?))
}

/// sendmmsg(2): as many as go; an error only where none went.
pub(super) fn send_messages(work: &Work<'_>, socket: i32, headers: u64, count: u32, flags: i32) -> Result<Effect, Stop> {
    const SIZE: u64 = 64;
    let outlet = Outlet::new(work, socket, flags)?;
    let mut sent = 0;
    for index in 0..u64::from(count).min(MAX_PIECES) {
        let header = headers.checked_add(index * SIZE).ok_or(Errno::FAULT)?;
        let result = copy(work, &outlet, header).and_then(|message| Ok(send(work, &outlet, &message)?));
        match result.and_then(|length| Ok(work.caller.write(header + 56, &(length as u32).to_ne_bytes())?)) {
            Ok(()) => sent += 1,
            Err(stop) if sent == 0 => return Err(stop),
            Err(Stop::Denied(denial)) => {
                work.tell(&denial);
                break;
            }
            Err(Stop::Errno(_)) => break,
        }
    }
    Ok(Effect::Value(sent))
}

/// Copies `struct msghdr` and what it points to, but the data.
fn copy(work: &Work<'_>, outlet: &Outlet, header: u64) -> Result<Message, Stop> {
    let header = work.caller.array::<56>(header)?;
    let word = |at: usize| u64::from_ne_bytes(header[at..at + 8].try_into().unwrap_or_default());
    let (name, name_length) = (word(0), u64::from(word(8) as u32));
    let (pieces, count) = (word(16), word(24));
    let (control, control_length) = (word(32), word(40));
    if count > MAX_PIECES {
        return Err(Errno::MSGSIZE.into());
    }
    if control_length > MAX_CONTROL {
        return Err(Errno::NOBUFS.into());
    }
    let pieces: Vec<(u64, u64)> = work
        .caller
        .bytes(pieces, count as usize * 16)?
        .chunks_exact(16)
        .map(|piece| {
            let word = |at: usize| u64::from_ne_bytes(piece[at..at + 8].try_into().unwrap_or_default());
            (word(0), word(8))
        })
        .collect();
    // The kernel cuts a name that is too long, and ignores one of no length.
    let bytes = if name == 0 { Vec::new() } else { work.caller.bytes(name, name_length.min(MAX_LENGTH) as usize)? };
    let mut control = if control == 0 { Vec::new() } else { work.caller.bytes(control, control_length as usize)? };
    let descriptors = take_over(work, &mut control)?;
    work.caller.check()?;
    let (address, peer) = destination(work, outlet, bytes)?;
    Ok(Message { pieces, address, control, _descriptors: descriptors, _peer: peer })
}

/// Puts copies of ours in the place of the caller's descriptors, and our process in the place of the caller's: the kernel lets nobody speak for another (unix(7)).
fn take_over(work: &Work<'_>, control: &mut [u8]) -> Result<Vec<OwnedFd>, Errno> {
    let mut copies = Vec::new();
    let mut at = 0;
    while at + CONTROL_HEADER <= control.len() {
        let length = u64::from_ne_bytes(control[at..at + 8].try_into().unwrap_or_default());
        let end = at.checked_add(usize::try_from(length).map_err(|_| Errno::INVAL)?).ok_or(Errno::INVAL)?;
        if end < at + CONTROL_HEADER || end > control.len() {
            return Err(Errno::INVAL);
        }
        let number = |at: usize, control: &[u8]| i32::from_ne_bytes(control[at..at + 4].try_into().unwrap_or_default());
        let (level, kind) = (number(at + 8, control), number(at + 12, control));
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            for place in (at + CONTROL_HEADER..end).step_by(4).take_while(|place| place + 4 <= end) {
                let copy = work.caller.descriptor(number(place, control))?;
                control[place..place + 4].copy_from_slice(&copy.as_raw_fd().to_ne_bytes());
                copies.push(copy);
            }
        } else if level == libc::SOL_SOCKET && kind == libc::SCM_CREDENTIALS && end - at >= CONTROL_HEADER + 4 {
            if number(at + CONTROL_HEADER, control) != work.caller.own_group()? {
                return Err(Errno::PERM);
            }
            let own = rustix::process::getpid().as_raw_nonzero().get();
            control[at + CONTROL_HEADER..at + CONTROL_HEADER + 4].copy_from_slice(&own.to_ne_bytes());
        }
        at = end.next_multiple_of(8);
    }
    Ok(copies)
}

/// The address to send to, and what must be held open meanwhile.
fn destination(work: &Work<'_>, outlet: &Outlet, bytes: Vec<u8>) -> Result<(Vec<u8>, Option<OwnedFd>), Stop> {
    let datagrams = outlet.kind == SocketType::DGRAM;
    match Address::parse(&bytes, datagrams) {
        // A stream is where it was connected to. Connecting by a first message (TCP Fast Open) would be a connect that nobody asked about.
        Address::Inet(_) if outlet.kind == SocketType::STREAM && outlet.flags & libc::MSG_FASTOPEN != 0 => Err(Errno::OPNOTSUPP.into()),
        Address::Inet(target) if datagrams && (work.broker.spec.on_host || !is_own(target.ip()) && target.port() != DNS) => {
            match admission(work, &outlet.socket, false, target)? {
                Answer::Refused(errno) => Err(Errno::from_raw_os_error(errno).into()),
                // It would leave as it is.
                Answer::Proceed if work.broker.spec.on_host => Err(Errno::CONNREFUSED.into()),
                Answer::Proceed | Answer::Redirected(_) => Ok((bytes, None)),
            }
        }
        // Connected packets go where they are connected to, whatever address is named (unix(7)).
        _ if outlet.kind == SocketType::SEQPACKET => Ok((Vec::new(), None)),
        Address::Path(path) if datagrams => {
            let object = peers::socket_at(work, &path)?;
            Ok((peers::address_of(&object), Some(object)))
        }
        Address::Path(_) | Address::Inet(_) | Address::Other => Ok((bytes, None)),
    }
}

/// Sends a message: datagrams whole, streams piece by piece as long as the caller would wait.
fn send(work: &Work<'_>, outlet: &Outlet, message: &Message) -> Result<i64, Errno> {
    let total = message.pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(piece.1)).ok_or(Errno::INVAL)?;
    if outlet.kind != SocketType::STREAM {
        if total > MAX_DATAGRAM {
            return Err(Errno::MSGSIZE);
        }
        let data = gather(work, &message.pieces, 0, total)?;
        return send_now_or_wait(work, outlet, message, &data, &message.control);
    }
    let mut sent = 0;
    loop {
        let data = match gather(work, &message.pieces, sent, CHUNK.min(total - sent)) {
            Err(_) if sent > 0 => return Ok(sent as i64),
            data => data?,
        };
        // Descriptors go with the first byte.
        let control = if sent == 0 { message.control.as_slice() } else { &[] };
        match send_now_or_wait(work, outlet, message, &data, control) {
            Ok(count) => sent += count as u64,
            Err(_) if sent > 0 => return Ok(sent as i64),
            Err(errno) => return Err(errno),
        }
        if sent >= total || !outlet.waits() && sent % CHUNK != 0 {
            return Ok(sent as i64);
        }
    }
}

/// So many bytes of the data, from a place in it.
fn gather(work: &Work<'_>, pieces: &[(u64, u64)], from: u64, length: u64) -> Result<Vec<u8>, Errno> {
    let mut data = Vec::with_capacity(length as usize);
    let mut skip = from;
    for (address, size) in pieces {
        if skip >= *size {
            skip -= size;
            continue;
        }
        let take = (size - skip).min(length - data.len() as u64);
        data.extend(work.caller.bytes(address.checked_add(skip).ok_or(Errno::FAULT)?, take as usize)?);
        skip = 0;
        if data.len() as u64 == length {
            break;
        }
    }
    Ok(data)
}

fn send_now_or_wait(work: &Work<'_>, outlet: &Outlet, message: &Message, data: &[u8], control: &[u8]) -> Result<i64, Errno> {
    let send = |flags: i32| send_once(outlet, flags | libc::MSG_NOSIGNAL, &message.address, data, control);
    let result = match send(outlet.flags | libc::MSG_DONTWAIT) {
        Err(Errno::AGAIN) if outlet.waits() => work.while_blocked(|| send(outlet.flags)),
        result => result,
    };
    if result == Err(Errno::PIPE) && outlet.kind == SocketType::STREAM && outlet.flags & libc::MSG_NOSIGNAL == 0 {
        work.signal(libc::SIGPIPE);
    }
    result
}

fn send_once(outlet: &Outlet, flags: i32, address: &[u8], data: &[u8], control: &[u8]) -> Result<i64, Errno> {
    let mut piece = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: all zeros is a valid header: no name, no data, no control data.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    if !address.is_empty() {
        header.msg_name = address.as_ptr().cast_mut().cast();
        header.msg_namelen = address.len() as u32;
    }
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len() as _;
    }
    let socket = outlet.socket.as_fd().as_raw_fd() as usize;
    // SAFETY: every pointer in the header is to a buffer of ours of the length beside it; sendmsg(2) only reads them.
    unsafe { raw(libc::SYS_sendmsg, [socket, std::ptr::from_ref(&header) as usize, flags as usize, 0, 0, 0]) }
}
