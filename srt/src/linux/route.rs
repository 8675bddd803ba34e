//! Routes and addresses of the sandbox's own network namespace.
//!
//! `local default dev lo`: every address is this machine's own, so whatever a program connects to leads to a listener of ours or to nobody, and the
//! listener learns the address that was meant.
//!
//! The loopback gets one more address of each family, because C libraries asked for addresses that can be used here (`AI_ADDRCONFIG`, getaddrinfo(3)) do not
//! count 127.0.0.1 and `::1` and would give none. The IPv6 one is deprecated from the start, so that where both can be used IPv4 comes first (RFC 6724, rule 3).
//!
//! Called in the helper: system calls through rustix only, no allocation. See rtnetlink(7), netlink(7).

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::plan::OWN_ADDRESSES;

/// The loopback is the first interface of every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;
/// struct nlmsghdr.
const HEADER: usize = 16;
/// The longest request here: a header, an ifaddrmsg, an IPv6 address, an ifa_cacheinfo.
const LONGEST: usize = HEADER + 8 + 20 + 20;

/// A conversation with the kernel about the current network namespace.
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    /// Begins one.
    ///
    /// # Errors
    /// As socket(2).
    pub(super) fn open() -> Result<Self, Errno> {
        // NETLINK_ROUTE is protocol 0.
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None).map(Netlink)
    }

    /// Makes every IPv4 address local.
    ///
    /// # Errors
    /// As the kernel answers.
    pub(super) fn make_v4_local(&self) -> Result<(), Errno> {
        self.add_route(libc::AF_INET)?;
        let mut request = address(libc::AF_INET, 32);
        request.attribute(libc::IFA_LOCAL, &OWN_ADDRESSES.0.octets());
        self.ask(request)
    }

    /// Makes every IPv6 address local.
    ///
    /// # Errors
    /// `EAFNOSUPPORT`, `EOPNOTSUPP`, `EACCES` and others where the kernel has no IPv6 or has it switched off.
    pub(super) fn make_v6_local(&self) -> Result<(), Errno> {
        self.add_route(libc::AF_INET6)?;
        let mut request = address(libc::AF_INET6, 128);
        request.attribute(libc::IFA_ADDRESS, &OWN_ADDRESSES.1.octets());
        // struct ifa_cacheinfo: preferred for no time, valid for ever, two stamps.
        let mut lifetime = [0; 16];
        lifetime[4..8].fill(0xff);
        request.attribute(libc::IFA_CACHEINFO, &lifetime);
        self.ask(request)
    }

    /// `local default dev lo` in table `local`.
    fn add_route(&self, family: i32) -> Result<(), Errno> {
        let mut request = Request::new(libc::RTM_NEWROUTE);
        // struct rtmsg: family, lengths of destination and source, type of service, table, protocol, scope, type; flags.
        let (table, protocol) = (libc::RT_TABLE_LOCAL, libc::RTPROT_BOOT);
        request.append(&[family as u8, 0, 0, 0, table, protocol, libc::RT_SCOPE_HOST, libc::RTN_LOCAL, 0, 0, 0, 0]);
        request.attribute(libc::RTA_OIF, &LOOPBACK.to_ne_bytes());
        self.ask(request)
    }

    fn ask(&self, request: Request) -> Result<(), Errno> {
        rustix::net::send(&self.0, request.finished().as_slice(), SendFlags::empty())?;
        let mut answer = [0u8; 256];
        let (_, length) = rustix::net::recv(&self.0, &mut answer, RecvFlags::empty())?;
        acknowledged(&answer[..length.min(answer.len())])
    }
}

/// RTM_NEWADDR of one address on the loopback, without the address itself.
fn address(family: i32, prefix: u8) -> Request {
    let mut request = Request::new(libc::RTM_NEWADDR);
    // struct ifaddrmsg: family, prefix length, flags, scope; index.
    request.append(&[family as u8, prefix, 0, libc::RT_SCOPE_UNIVERSE]);
    request.append(&LOOPBACK.to_ne_bytes());
    request
}

/// A message on the stack.
struct Request {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Request {
    fn new(kind: u16) -> Self {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = Request { bytes: [0; LONGEST], length: 0 };
        // struct nlmsghdr: length (later), type, flags, sequence number, port.
        request.append(&[0; 4]);
        request.append(&kind.to_ne_bytes());
        request.append(&(flags as u16).to_ne_bytes());
        request.append(&[0; 8]);
        request
    }

    fn append(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    /// struct rtattr: length, type, value. Values here are multiples of 4 bytes, so nothing needs padding.
    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.append(&(4 + value.len() as u16).to_ne_bytes());
        self.append(&kind.to_ne_bytes());
        self.append(value);
    }

    fn finished(mut self) -> Finished {
        self.bytes[..4].copy_from_slice(&(self.length as u32).to_ne_bytes());
        Finished(self)
    }
}

/// A message with its length.
struct Finished(Request);

impl Finished {
    fn as_slice(&self) -> &[u8] {
        &self.0.bytes[..self.0.length]
    }
}

/// NLMSG_ERROR with number 0.
fn acknowledged(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let error = answer.get(HEADER..HEADER + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind.map(i32::from), error) {
        (Some(libc::NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(libc::NLMSG_ERROR), Some(error)) => Err(Errno::from_raw_os_error(-error)),
        _ => Err(Errno::BADMSG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_no_acknowledgement_is_an_error() {
        let mut answer = [0u8; 36];
        answer[4] = libc::NLMSG_ERROR as u8;
        assert_eq!(acknowledged(&answer), Ok(()));
        answer[16..20].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert_eq!(acknowledged(&answer), Err(Errno::PERM));
        assert_eq!(acknowledged(&answer[..10]), Err(Errno::BADMSG));
        assert_eq!(acknowledged(&[]), Err(Errno::BADMSG));
    }
}
