//! SOCKS5 against the words of its RFC.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::world::{Upstream, allowed, client, is_screened, run};
use crate::policy::{Host, Target};
use crate::proxy::sni::{Hello, parse};

/// All that a client ever sends after its first byte.
pub(crate) fn socks5(data: &[u8]) {
    let data = [&[5], data].concat();
    let (heard, got) = run(async {
        let upstream = Upstream::start();
        let (stream, heard) = client(&data);
        crate::proxy::socks5::serve(&upstream.context(), stream).await;
        (heard.await.expect("the client"), upstream.got().await)
    });
    let Expected { said, tunnel } = expected(&data);
    assert_eq!(heard, said, "{data:?}");
    let Some((target, rest)) = tunnel else {
        assert!(got.is_empty(), "{got:?}");
        return;
    };
    let [got] = &got[..] else { panic!("one connection: {got:?}") };
    let head = String::from_utf8_lossy(&got.head);
    assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{target}: {head}");
    is_screened(&got.rest, &target);
    match parse(rest) {
        Hello::Opaque | Hello::Complete(None) => assert_eq!(got.rest, rest),
        Hello::Complete(Some(_)) => assert!(got.rest.is_empty() || got.rest == rest),
        Hello::Incomplete | Hello::Refused => assert!(got.rest.is_empty()),
    }
}

/// What the server says, and the tunnel that it opens with what goes through it.
struct Expected<'a> {
    said: Vec<u8>,
    tunnel: Option<(Target, &'a [u8])>,
}

/// RFC 1928 and 1929.
fn expected(data: &[u8]) -> Expected<'_> {
    let mut said = Vec::new();
    let tunnel = converse(&mut Client(data), &mut said);
    Expected { said, tunnel: tunnel.flatten() }
}

/// `None` where the client breaks off or breaks the protocol; nothing inside where it is refused.
fn converse<'a>(client: &mut Client<'a>, said: &mut Vec<u8>) -> Option<Option<(Target, &'a [u8])>> {
    let version = client.byte()?;
    let methods = client.counted()?;
    let method = [0, 2].into_iter().find(|method| methods.contains(method)).unwrap_or(0xff);
    said.extend([version, method]);
    if method == 2 {
        let version = client.byte()?;
        let (_user, _password) = (client.counted()?, client.counted()?);
        said.extend([version, 0]);
    }
    let &[5, command, _reserved, kind] = (method != 0xff).then(|| client.take(4))?? else { return None };
    let (code, target) = request(client, command, kind)?;
    said.extend([5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    Some(target.filter(|_| code == 0).map(|target| (target, client.0)))
}

/// The code of the reply, and the target where there is one.
fn request(client: &mut Client<'_>, command: u8, kind: u8) -> Option<(u8, Option<Target>)> {
    let host = match kind {
        1 => Ok(Host::Ip(Ipv4Addr::from(<[u8; 4]>::try_from(client.take(4)?).ok()?).into())),
        4 => Ok(Host::from(Ipv6Addr::from(<[u8; 16]>::try_from(client.take(16)?).ok()?))),
        3 => {
            let name = client.counted()?;
            std::str::from_utf8(name).ok().filter(|name| name.is_ascii()).map_or(Err(()), |name| Host::parse(name).map_err(|_| ()))
        }
        _ => return Some((8, None)),
    };
    let port = u16::from_be_bytes(client.take(2)?.try_into().ok()?);
    Some(match host {
        _ if command != 1 => (7, None),
        Err(()) => (2, None),
        Ok(_) if port == 0 => (1, None),
        Ok(host) => {
            let target = Target { host, port };
            (if allowed(&target) { 0 } else { 2 }, Some(target))
        }
    })
}

/// What the client has not been asked for yet.
struct Client<'a>(&'a [u8]);

impl<'a> Client<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(length.into())
    }
}
