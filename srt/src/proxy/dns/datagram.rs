//! DNS over UDP.
//!
//! Any address may have been asked, so each answer is sent from the very address that its question was sent to: clients drop answers that come from another.
//! See ip(7) and ipv6(7), `IP_PKTINFO` and `IPV6_RECVPKTINFO`; a socket of both families has the second for both.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd as _;
use std::rc::Rc;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrLike as _, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::Zone;
use super::answer::{Transport, answer};

/// Longest question that is read. A real one has at most some 300 bytes, with padding (RFC 8467) 512.
const MAX_QUESTION: usize = 4096;
/// Questions answered before others get their turn.
const BURST: usize = 32;

/// A question, who asked it, and which address was asked.
struct Received {
    length: usize,
    from: SockaddrStorage,
    asked: Option<ControlMessageOwned>,
}

/// Answers questions until the future is dropped.
///
/// # Errors
/// The socket cannot be used at all.
pub(in crate::proxy) async fn serve(socket: std::net::UdpSocket, zone: Rc<Zone>) -> io::Result<()> {
    if socket.local_addr()?.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        answer_from_any(&socket)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    let mut question = vec![0; MAX_QUESTION];
    for count in 1usize.. {
        // Also an error that some earlier answer caused: its reader is gone, and the next question is not concerned.
        if let Ok(received) = socket.async_io(Interest::READABLE, || receive(&socket, &mut question)).await
            && let Some(bytes) = answer(&question[..received.length], Transport::Datagram, &zone)
        {
            // A sender whose queue is full asks again.
            let _dropped = send(&socket, &received, &bytes);
        }
        if count.is_multiple_of(BURST) {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// An address that is local by a route only, and not an interface's own, may be sent from by such a socket alone (`IPV6_FREEBIND`, Linux 4.15).
#[cfg(target_os = "linux")]
fn answer_from_any(socket: &std::net::UdpSocket) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_ipv6_freebind(socket, true)?)
}

#[cfg(not(target_os = "linux"))]
fn answer_from_any(_socket: &std::net::UdpSocket) -> io::Result<()> {
    Ok(())
}

fn receive(socket: &UdpSocket, question: &mut [u8]) -> io::Result<Received> {
    let mut space = nix::cmsg_space!(libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(question)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_DONTWAIT)?;
    let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
    let asked =
        message.cmsgs()?.find(|control| matches!(control, ControlMessageOwned::Ipv4PacketInfo(_) | ControlMessageOwned::Ipv6PacketInfo(_)));
    let from = message.address.ok_or(io::ErrorKind::InvalidData)?;
    // What is longer than any question is none: the answer is that of an empty packet.
    Ok(Received { length: if cut { 0 } else { message.bytes }, from, asked })
}

fn send(socket: &UdpSocket, received: &Received, bytes: &[u8]) -> io::Result<()> {
    let flags = MsgFlags::MSG_DONTWAIT;
    let parts = [IoSlice::new(bytes)];
    let to = Some(&received.from).filter(|address| address.len() > 0);
    match &received.asked {
        Some(ControlMessageOwned::Ipv4PacketInfo(info)) => {
            let info = libc::in_pktinfo { ipi_spec_dst: info.ipi_addr, ..*info };
            sendmsg(socket.as_raw_fd(), &parts, &[ControlMessage::Ipv4PacketInfo(&info)], flags, to)?
        }
        Some(ControlMessageOwned::Ipv6PacketInfo(info)) => {
            sendmsg(socket.as_raw_fd(), &parts, &[ControlMessage::Ipv6PacketInfo(info)], flags, to)?
        }
        _ => sendmsg(socket.as_raw_fd(), &parts, &[], flags, to)?,
    };
    Ok(())
}
