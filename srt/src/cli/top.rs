//! `srt top`: the running sandboxes, live or as one table.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use super::message::Error;
use crate::{Fault, top};

/// Where the service listens.
const SERVICE: &str = "/run/srt/monitor.sock";

/// Another address of the service, for tests.
const SERVICE_VARIABLE: &str = "SRT_MONITOR_SOCKET";

/// Shows them; 0, or 128 and the number of the signal that ended it.
pub(super) fn top(once: bool) -> Result<u8, Error> {
    let service = std::env::var_os(SERVICE_VARIABLE).map_or_else(|| PathBuf::from(SERVICE), PathBuf::from);
    if once {
        let mut table = Vec::new();
        top::once(&service, &mut table).map_err(|error| Fault::os("list the sandboxes", error))?;
        // A closed pipe is the reader's choice.
        let _ = io::stdout().lock().write_all(&table);
        return Ok(0);
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let fault = Fault::new("show the sandboxes", "standard input or output is not a terminal");
        return Err(fault.hint("srt top --once prints them as a table").into());
    }
    let ended = top::live(&service).map_err(|error| Fault::os("show the sandboxes", error))?;
    Ok(ended.map_or(0, |signal| 128 + signal as u8))
}
