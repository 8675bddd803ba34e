//! A watcher that prints: `srt monitor --json` where a service runs already.
//!
//! Whatever listens there could be anybody's: only root's service, or one of this user's own, is believed, and only what a service says is printed.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use super::socket::{self, Socket};
use super::wire::{self, Hello, LONGEST};
use crate::Fault;

/// Prints the service's stream until it ends, or the reader does. `false` where there is no service.
pub(super) fn print(path: &Path, out: &mut dyn Write) -> Result<bool, Fault> {
    let fault = |error: std::io::Error| Fault::os(format!("watch the service at {}", path.display()), error);
    let service = match Socket::connect(path) {
        Ok(service) => service,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::CONNREFUSED) => return Ok(false),
        Err(errno) => return Err(fault(errno.into())),
    };
    let nobody = |cause: &str| Fault::new(format!("watch the service at {}", path.display()), cause);
    if !service.is_trusted().map_err(|errno| fault(errno.into()))? {
        return Err(nobody("it is neither root's nor this user's"));
    }
    service.send(&Hello::Watch.encode(), None).map_err(|errno| fault(errno.into()))?;
    let mut buffer = vec![0; LONGEST + 1];
    loop {
        match service.receive(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(bytes) => {
                if bytes > LONGEST || !wire::is_told(&buffer[..bytes]) {
                    return Err(nobody("it does not speak the protocol"));
                }
                let line = [&buffer[..bytes], b"\n"].concat();
                // The reader has gone: nobody is left to tell.
                if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                    return Ok(true);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => drop(socket::wait(&service, Duration::from_secs(3600)).map_err(fault)?),
            Err(errno) => return Err(fault(errno.into())),
        }
    }
}
