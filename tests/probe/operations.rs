//! Every operation, and the command line that names one.

pub(crate) mod answer;
pub(crate) mod by_descriptor;
pub(crate) mod crowd;
pub(crate) mod files;
pub(crate) mod kernel;
pub(crate) mod messages;
pub(crate) mod modes;
pub(crate) mod opening;
pub(crate) mod own_state;
pub(crate) mod pairs;
pub(crate) mod path_calls;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod race;
pub(crate) mod race_sockets;
pub(crate) mod sockets;
pub(crate) mod state;
pub(crate) mod storm;
pub(crate) mod wrong_paths;

use answer::{Answer, Failure, Operation};

/// Every operation, family by family.
fn operations() -> impl Iterator<Item = &'static Operation> {
    [
        files::OPERATIONS,
        sockets::OPERATIONS,
        proxy::OPERATIONS,
        kernel::OPERATIONS,
        modes::OPERATIONS,
        state::OPERATIONS,
        process::OPERATIONS,
        path_calls::OPERATIONS,
        wrong_paths::OPERATIONS,
        opening::OPERATIONS,
        by_descriptor::OPERATIONS,
        own_state::OPERATIONS,
        crowd::OPERATIONS,
        storm::OPERATIONS,
        race::OPERATIONS,
        messages::OPERATIONS,
        pairs::OPERATIONS,
        race_sockets::OPERATIONS,
    ]
    .into_iter()
    .flatten()
}

/// Performs what the command line asks for, and says how that went; the exit status.
pub(crate) fn main() -> u8 {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match perform(&arguments) {
        Ok(text) => say(&text, 0),
        Err(Failure::Errno(code)) => say(&answer::errno_name(code), 1),
        Err(Failure::Usage(text)) => {
            eprintln!("srt-probe: {text}");
            2
        }
        Err(Failure::Other(text)) => say(&format!("error: {text}"), 1),
    }
}

/// Standard output may be closed: that is a case of its own (exit 3), not a panic.
fn say(text: &str, code: u8) -> u8 {
    use std::io::Write;
    let mut out = std::io::stdout();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_ok() { code } else { 3 }
}

fn perform(arguments: &[String]) -> Answer {
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure::Usage(usage()));
    };
    if let Some(row) = kernel::row_named(name) {
        return kernel::call(row);
    }
    let operation = operations().find(|operation| operation.name == name).ok_or_else(|| Failure::Usage(usage()))?;
    if rest.len() < operation.arguments.len() {
        return Err(Failure::Usage(format!("{name} wants {:?}", operation.arguments)));
    }
    (operation.run)(rest)
}

fn usage() -> String {
    let mut text = String::from("one of:\n");
    for operation in operations() {
        text += &format!("  {} {}\n", operation.name, operation.arguments.join(" "));
    }
    for row in kernel::ROWS {
        text += &format!("  {}\n", row.name);
    }
    text
}
