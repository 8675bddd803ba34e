//! `srt profiles`: the presets.

use std::fmt::Write as _;
use std::io::Write as _;

use super::message::Error;
use crate::Fault;
use crate::settings::{preset_names, preset_summary, preset_text};

/// Lists the presets, or prints one as it is.
pub(super) fn profiles(name: Option<&str>) -> Result<u8, Error> {
    let text = match name {
        Some(name) => preset_text(name).map(str::to_owned).ok_or_else(|| unknown(name))?,
        None => preset_names().fold(String::new(), |mut list, name| {
            let _ = writeln!(list, "{name:<10} {}", preset_summary(name).unwrap_or_default());
            list
        }),
    };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(0)
}

fn unknown(name: &str) -> Fault {
    let known = preset_names().collect::<Vec<_>>().join(", ");
    Fault::new(format!("print profile {name:?}"), "there is none of this name").hint(format!("the profiles are {known}"))
}
