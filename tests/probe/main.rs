//! `srt-probe OPERATION [ARGUMENTS…]`: does one operation and says how the kernel answered.
//!
//! Prints `ok` (or the answer that was asked for) and exits 0, or prints the name of the errno (`EROFS`) and exits 1. A wrong
//! command line exits 2. It is the oracle of the end-to-end suites: it knows nothing of srt and never guesses.

mod answer;
mod by_descriptor;
mod crowd;
mod files;
mod kernel;
mod messages;
mod modes;
mod opening;
mod own_state;
mod pairs;
mod path_calls;
mod process;
mod proxy;
mod race;
mod race_sockets;
mod sockets;
mod state;
mod storm;
mod wrong_paths;

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

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let code = match perform(&arguments) {
        Ok(text) => say(&text, 0),
        Err(Failure::Errno(code)) => say(&answer::errno_name(code), 1),
        Err(Failure::Usage(text)) => {
            eprintln!("srt-probe: {text}");
            2
        }
        Err(Failure::Other(text)) => say(&format!("error: {text}"), 1),
    };
    std::process::exit(code);
}

/// Standard output may be closed: that is a case of its own (exit 3), not a panic.
fn say(text: &str, code: i32) -> i32 {
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
