//! Is there a service that reports denials (`srt monitor`)?
//!
//! See unix(7).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, UCred, connect, socket_with, sockopt};
use serde::Serialize;

use crate::fault::errno_text;
use crate::plan::{Answer, Refusal};

/// What was found at the service's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceTrial {
    /// Where it was looked for.
    pub socket: PathBuf,
    /// Could it be connected to?
    pub listens: Answer,
    /// Who listens.
    pub listener: Option<Listener>,
}

/// As it was when it began to listen (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Process id.
    pub pid: i32,
    /// User id.
    pub uid: u32,
}

/// Connects to the service and says nothing: nobody is watched by that.
pub fn try_service(socket: &Path) -> ServiceTrial {
    let (listens, listener) = match listener(socket) {
        Ok(peer) => (Answer::Yes, Some(Listener { pid: peer.pid.as_raw_pid(), uid: peer.uid.as_raw() })),
        Err(errno) => (Answer::No(refusal(socket, errno)), None),
    };
    ServiceTrial { socket: socket.to_owned(), listens, listener }
}

fn listener(path: &Path) -> Result<UCred, Errno> {
    let socket: OwnedFd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    sockopt::socket_peercred(&socket)
}

fn refusal(path: &Path, errno: Errno) -> Refusal {
    let remedy = match errno {
        Errno::AGAIN => "it is busy, or hangs: as root, look at `srt monitor`",
        Errno::ACCESS | Errno::PERM => "as root: let every user write to the socket and pass the directories above it",
        _ => "as root: start `srt monitor`, which loads the program once for every user of this host",
    };
    Refusal { cause: format!("nothing answers at {}: {}", path.display(), errno_text(&errno.into())), remedy: remedy.to_owned() }
}
