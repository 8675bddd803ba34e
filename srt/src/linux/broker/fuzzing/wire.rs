//! Packets between supervisor and `init`, socket addresses and registers.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::super::address::{Address, is_own, unix_address, with_port};
use super::super::call::{Call, PathAt};
use crate::linux::channel::Report;
use crate::linux::notify::Notification;
use crate::linux::question::{Answer, Matter};
use crate::linux::sys::raw;
use crate::policy::{AbsPath, Access, FsPolicy};

/// The bytes as each of them.
pub(crate) fn wire(data: &[u8]) {
    packets_say_what_is_read(data);
    addresses_are_the_kernels(&data[..data.len().min(128)]);
    registers_are_read_as_the_kernel_does(data);
    rules_decide_the_same_after_the_way(data);
}

fn packets_say_what_is_read(data: &[u8]) {
    if let Some(matter) = Matter::decode(data) {
        let mut packet = Vec::new();
        matter.encode(&mut packet);
        assert_eq!(Matter::decode(&packet), Some(matter));
    }
    if let Some(answer) = Answer::decode(data) {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
    }
    if let Some(report) = Report::decode(data) {
        assert_eq!(Report::decode(&report.encode()), Some(report));
    }
}

/// What is judged is what the kernel would connect to. A datagram socket that is connected sends nothing.
fn addresses_are_the_kernels(bytes: &[u8]) {
    let address = Address::parse(bytes, false);
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let Some(peer) = connected(family, bytes) else { continue };
        let Address::Inet(judged) = &address else { panic!("{bytes:?} leads to {peer}, and is {address:?}") };
        let is_this_machine = is_own(judged.ip()) && is_own(peer.ip());
        assert!((judged.ip() == peer.ip() || is_this_machine) && judged.port() == peer.port(), "{bytes:?}: {judged} is {peer}");
    }
    match &address {
        Address::Inet(judged) => {
            let moved = SocketAddr::new(judged.ip(), 7);
            assert_eq!(Address::parse(&with_port(bytes, 7), false), Address::Inet(moved));
            assert_eq!(Address::parse(bytes, true), address);
        }
        Address::Path(path) => {
            assert!(!path.is_empty() && !path.contains(&0) && bytes[2..].starts_with(path));
            assert!(bytes.get(2 + path.len()).is_none_or(|next| *next == 0));
            assert_eq!(Address::parse(&unix_address(path), false), address);
        }
        Address::Other => {}
    }
}

/// The peer of a datagram socket after connect(2), where that succeeds.
fn connected(family: AddressFamily, bytes: &[u8]) -> Option<SocketAddr> {
    let socket: OwnedFd = rustix::net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    let number = socket.as_raw_fd() as usize;
    // SAFETY: connect(2) reads the bytes, which live until it returns.
    unsafe { raw(libc::SYS_connect, [number, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0]) }.ok()?;
    let peer: SocketAddr = rustix::net::getpeername(&socket).ok()??.try_into().ok()?;
    Some(SocketAddr::new(IpAddr::to_canonical(&peer.ip()), peer.port()))
}

/// Calls, and which of their registers the kernel takes the low half of.
const INTS: &[(libc::c_long, &[usize])] = &[
    (libc::SYS_openat, &[0, 2, 3]),
    (libc::SYS_mkdirat, &[0, 2]),
    (libc::SYS_mknodat, &[0, 2]),
    (libc::SYS_unlinkat, &[0, 2]),
    (libc::SYS_renameat2, &[0, 2, 4]),
    (libc::SYS_linkat, &[0, 2, 4]),
    (libc::SYS_symlinkat, &[1]),
    (libc::SYS_fchmodat, &[0, 2]),
    (libc::SYS_fchownat, &[0, 2, 3, 4]),
    (libc::SYS_utimensat, &[0, 3]),
    (libc::SYS_fsetxattr, &[0, 4]),
    (libc::SYS_sendto, &[0, 3]),
    (libc::SYS_sendmmsg, &[0, 2, 3]),
    (libc::SYS_prlimit64, &[0]),
];

fn registers_are_read_as_the_kernel_does(data: &[u8]) {
    let Some((number, rest)) = data.split_first_chunk() else { return };
    let number = i64::from(u16::from_le_bytes(*number) & 0x1ff);
    let mut words = rest.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
    let arguments = std::array::from_fn(|_| words.next().unwrap_or_default());
    let of = |arguments| Call::of(&Notification { id: 1, thread: 1, number, arguments });
    let call = of(arguments);
    let ints = INTS.iter().find(|(known, _)| *known == number).map_or(&[][..], |(_, ints)| ints);
    let mut other = arguments;
    ints.iter().for_each(|index| other[*index] ^= 0xdead_beef << 32);
    assert_eq!(of(other), call);
    if let Call::Look { at: PathAt { directory, .. }, flags } = call {
        assert!(flags & libc::O_ACCMODE == libc::O_RDONLY && flags & (libc::O_CREAT | libc::O_TRUNC) == 0, "{directory} {flags:#o}");
    }
}

fn rules_decide_the_same_after_the_way(data: &[u8]) {
    let Some(policy) = FsPolicy::from_bytes(data) else { return };
    let back = FsPolicy::from_bytes(&policy.to_bytes()).expect("what was written is read");
    for path in ["/", "/w", "/w/a/.git/hooks/x", "/w/x.pem", "/etc/passwd"] {
        let path = AbsPath::new(path).expect("absolute");
        for access in [Access::Read, Access::Write] {
            assert_eq!(back.decide(&path, access).allowed, policy.decide(&path, access).allowed, "{path}");
        }
        assert_eq!(back.denies_link(&path).is_some(), policy.denies_link(&path).is_some(), "{path}");
    }
}
