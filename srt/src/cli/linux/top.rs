//! `srt top`: the running sandboxes, live or as one table.

use std::io::{self, IsTerminal as _, Write as _};

use super::service_socket;
use crate::cli::message::Error;
use crate::{Fault, top};

/// Shows them; 0, or 128 and the number of the signal that ended it.
pub(in crate::cli) fn top(once: bool) -> Result<u8, Error> {
    let service = service_socket();
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
