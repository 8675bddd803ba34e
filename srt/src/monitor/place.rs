//! The socket's place in the file system.
//!
//! One service at a time, by a lock that ends with its process, however that ends. The socket is made beside its place and renamed onto it: what an earlier service left is replaced in one step,
//! and nobody ever finds a socket there that is not listened on.
//!
//! See unix(7), flock(2).

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, SocketType, sockopt};

use super::socket::new_socket;
use crate::Fault;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 256;

/// The right to listen at a place, which one process has at a time.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    _lock: OwnedFd,
}

/// A listening socket, and what goes away with it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) listener: OwnedFd,
    claim: Option<Claim>,
}

impl Claim {
    /// `None` where another service has the place.
    pub(super) fn take(path: &Path) -> Result<Option<Claim>, Fault> {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        prepare(directory)?;
        // What an earlier service left is replaced, and nothing else.
        if rustix::fs::lstat(path)
            .is_ok_and(|found| !matches!(FileType::from_raw_mode(found.st_mode), FileType::Socket | FileType::Symlink))
        {
            return Err(refused(path, Errno::EXIST).hint("it is no socket, and stays"));
        }
        let lock = lock(&beside(path, ".lock")).map_err(|errno| refused(path, errno))?;
        Ok(lock.map(|lock| Claim { path: path.to_owned(), _lock: lock }))
    }

    /// Listens: from here on runs find the service.
    pub(super) fn listen(self) -> Result<Place, Fault> {
        let listener = self.put_socket().map_err(|errno| refused(&self.path, errno))?;
        Ok(Place { listener, claim: Some(self) })
    }

    fn put_socket(&self) -> Result<OwnedFd, Errno> {
        let new = beside(&self.path, ".new");
        let _ = rustix::fs::unlink(&new);
        let listener = new_socket()?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(&new)?)?;
        // Anybody may connect: who it is, the kernel says.
        rustix::fs::chmodat(CWD, &new, Mode::from_raw_mode(0o666), AtFlags::empty())?;
        rustix::net::listen(&listener, BACKLOG)?;
        rustix::fs::rename(&new, &self.path)?;
        Ok(listener)
    }
}

fn refused(path: &Path, errno: Errno) -> Fault {
    Fault::os(format!("listen at {}", path.display()), errno)
}

impl Place {
    /// Takes a socket that somebody else made and listens on (systemd).
    pub(super) fn given(listener: OwnedFd) -> Result<Place, Fault> {
        let fault = |cause: &str| Fault::new("listen on the socket that was passed", cause);
        if sockopt::socket_type(&listener).ok() != Some(SocketType::SEQPACKET) || sockopt::socket_acceptconn(&listener).ok() != Some(true) {
            return Err(fault("it is no listening socket of type SOCK_SEQPACKET (ListenSequentialPacket= of systemd.socket)"));
        }
        rustix::io::ioctl_fionbio(&listener, true).map_err(|errno| Fault::os("listen on the socket that was passed", errno))?;
        Ok(Place { listener, claim: None })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The lock is still held: what is there is ours.
        if let Some(claim) = &self.claim {
            let _ = rustix::fs::unlink(&claim.path);
        }
    }
}

/// The directory, which nobody but its owner may change: else anybody could put another socket there.
fn prepare(directory: &Path) -> Result<(), Fault> {
    let action = || format!("use the directory {}", directory.display());
    match rustix::fs::mkdir(directory, Mode::from_raw_mode(0o755)) {
        // The umask took some of it away.
        Ok(()) => rustix::fs::chmod(directory, Mode::from_raw_mode(0o755)).map_err(|errno| Fault::os(action(), errno))?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(Fault::os(format!("make the directory {}", directory.display()), errno)),
    }
    let found = rustix::fs::lstat(directory).map_err(|errno| Fault::os(action(), errno))?;
    let ours = found.st_uid == rustix::process::geteuid().as_raw() || found.st_uid == 0;
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
        Err(Fault::new(action(), "it is no directory"))
    } else if !ours || found.st_mode & 0o022 != 0 {
        Err(Fault::new(action(), "others may write to it").hint("the socket needs a directory that only root may change, such as /run/srt"))
    } else {
        Ok(())
    }
}

/// `None` where somebody else holds it. The file stays: to remove it would let two hold it.
fn lock(path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::super::socket::Socket;
    use super::*;

    fn area(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("srt-monitor-place-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        path
    }

    fn take(path: &Path) -> Place {
        Claim::take(path).unwrap().expect("it is free").listen().unwrap()
    }

    #[test]
    fn a_place_is_taken_by_one_and_given_back() {
        let area = area("one");
        let path = area.join("made/monitor.sock");
        let place = take(&path);
        assert_eq!(std::fs::metadata(area.join("made")).unwrap().mode() & 0o777, 0o755);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        assert!(Claim::take(&path).unwrap().is_none());
        assert!(Socket::connect(&path).is_ok());
        drop(place);
        assert!(!path.exists());
        assert!(Claim::take(&path).unwrap().is_some());
        std::fs::remove_dir_all(area).unwrap();
    }

    #[test]
    fn what_is_no_socket_is_not_replaced() {
        let area = area("file");
        let path = area.join("precious");
        std::fs::write(&path, "kept").unwrap();
        assert!(Claim::take(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
        assert!(!beside(&path, ".lock").exists());
    }

    #[test]
    fn what_a_dead_service_left_is_replaced_and_no_link_is_followed() {
        let area = area("stale");
        let (path, victim) = (area.join("monitor.sock"), area.join("victim"));
        std::fs::write(&victim, "kept").unwrap();
        for case in ["socket", "link"] {
            match case {
                "socket" => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
                _ => symlink(&victim, &path).unwrap(),
            }
            let place = take(&path);
            assert!(Socket::connect(&path).is_ok(), "{case}");
            drop(place);
        }
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        symlink(&victim, beside(&path, ".lock.other")).unwrap();
        std::fs::remove_file(beside(&path, ".lock")).unwrap();
        symlink(&victim, beside(&path, ".lock")).unwrap();
        assert!(Claim::take(&path).is_err());
        std::fs::remove_dir_all(area).unwrap();
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let area = area("open");
        std::fs::set_permissions(&area, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Claim::take(&area.join("monitor.sock")).is_err());
        std::fs::remove_dir_all(area).unwrap();
    }

    #[test]
    fn a_passed_socket_must_be_one_that_listens() {
        assert!(Place::given(new_socket().unwrap()).is_err());
        assert!(Place::given(std::net::TcpListener::bind("127.0.0.1:0").unwrap().into()).is_err());
    }
}
