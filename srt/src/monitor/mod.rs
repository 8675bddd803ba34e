//! `srt monitor`: one program in the kernel for all sandboxes of a host, and their stream for those who may see it.
//!
//! A run that may not load the program itself tells the service of its pid namespace ([`connect`]) and is told what the kernel saw of it; its status lines go the other way. Whoever watches gets
//! the lines of the sandboxes that are his; root gets all. The protocol is in `srt/docs/monitor.md`.
//!
//! The service runs with rights that its clients do not have, and believes nothing of what they say about themselves: who they are, the kernel says, and a namespace is shown by a descriptor
//! of it. Whatever a client sends, or does not read, costs a bounded amount of memory.

mod admission;
mod attach;
mod burial;
mod client;
mod log;
mod namespace;
#[cfg(feature = "otlp")]
mod otlp;
mod outbox;
mod place;
mod registry;
mod service;
mod share;
mod socket;
mod talk;
mod users;
mod wire;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

pub use client::{Connection, Gone, Packet, Retry, connect, reconnect};
pub use wire::Attached;

use crate::Fault;
use place::{Claim, Place};

/// Where the service listens.
pub const SOCKET: &str = "/run/srt/monitor.sock";

/// What `srt monitor` is to do.
#[derive(Debug)]
pub struct Setup {
    /// Where to listen.
    pub socket: PathBuf,
    /// A socket that listens already, from systemd.
    pub given: Option<OwnedFd>,
    /// Print the host's stream.
    pub json: bool,
    /// Export denials to this endpoint.
    pub otlp: Option<String>,
}

/// Serves until a signal ends it. Where a service runs already, `json` attaches to it.
///
/// # Errors
/// The place is taken, or the kernel refuses the program.
pub fn monitor(setup: Setup) -> Result<(), Fault> {
    service::block_signals()?;
    let listen: Box<dyn FnOnce() -> Result<Place, Fault>> = match setup.given {
        Some(listener) => Box::new(|| Place::given(listener)),
        None => {
            let Some(claim) = Claim::take(&setup.socket)? else {
                let fault = Fault::new(format!("listen at {}", setup.socket.display()), "another service has this place");
                return Err(fault.hint("`srt monitor --json` prints what it sees"));
            };
            Box::new(|| claim.listen())
        }
    };
    let mut sinks: Vec<Box<dyn registry::Sink>> = Vec::new();
    if setup.json {
        let log = log::Log::start(std::io::stdout()).map_err(|error| Fault::os("print the stream", error))?;
        sinks.push(Box::new(log));
    }
    if let Some(endpoint) = setup.otlp {
        sinks.push(exporter(&endpoint)?);
    }
    service::serve(listen, sinks)
}

#[cfg(feature = "otlp")]
fn exporter(endpoint: &str) -> Result<Box<dyn registry::Sink>, Fault> {
    Ok(Box::new(otlp::Exporter::start(endpoint)?))
}

#[cfg(not(feature = "otlp"))]
fn exporter(endpoint: &str) -> Result<Box<dyn registry::Sink>, Fault> {
    Err(Fault::new(format!("export to {endpoint}"), "srt was built without it"))
}

/// Prints the stream of a service that runs already, until it ends or nobody reads any more. `false` where there is none.
///
/// # Errors
/// The service cannot be talked to.
pub fn attach(socket: &std::path::Path, out: &mut dyn Write) -> Result<bool, Fault> {
    attach::print(socket, out)
}
