//! Draws and opens everything that the forks need, while there is one thread.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::script::{Rendered, Script};
use super::seatbelt::Instance;
use super::{Os, RunTag};
use crate::proxy::Token;
use crate::unix::{MadeDirectories, Scratch};
use crate::{Fault, Faults};

/// A script with its listener, its secrets and its directories.
#[derive(Debug)]
pub struct Armed {
    pub(super) os: Os,
    pub(super) run: RunTag,
    pub(super) rendered: Rendered,
    pub(super) listener: TcpListener,
    pub(super) token: Token,
    pub(super) scratch: Scratch,
    pub(super) made: MadeDirectories,
}

/// Arms a script for a run with these calls.
///
/// # Errors
/// A private directory or a write root that cannot be made; no port, no random numbers.
pub fn arm_for(os: Os, script: Script) -> Result<Armed, Faults> {
    let private_tmp = &script.plan.files.private_tmp;
    let scratch = Scratch::create(private_tmp, script.facts.uid)
        .map_err(|errno| Fault::os(format!("make the private directory {private_tmp}"), errno))?;
    let made = MadeDirectories::make(&script.plan.files.make)?;
    // The host's loopback: there is no other. The port is any that is free, and the token tells our client from everybody else.
    let fault = |error| Fault::os("listen on the loopback", error);
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(fault)?;
    let proxy_port = listener.local_addr().map_err(fault)?.port();
    let (token, run) = (Token::random()?, RunTag::random().map_err(|error| Fault::os("name the run", error))?);
    let rendered = script.render(&Instance { run, proxy_port }, Some(&token))?;
    Ok(Armed { os, run, rendered, listener, token, scratch, made })
}
