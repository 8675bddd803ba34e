//! Accepting connections and telling protocols apart by their first byte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::stream::{Peer, Stream};
use super::{ProxyContext, http, limits, socks5, tunnel};
use crate::policy::Located;

/// First byte of SOCKS5 and of SOCKS4 (RFC 1928 section 3).
const SOCKS5: u8 = 5;
const SOCKS4: u8 = 4;

/// After a failed accept: long enough for a connection to end, short enough not to be noticed.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the future is dropped. Runs inside a [`tokio::task::LocalSet`] on a current-thread runtime.
///
/// An error means that the listener cannot be used at all.
pub async fn serve(listener: std::net::TcpListener, context: Rc<ProxyContext>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    unpaced(&listener);
    let listener = TcpListener::from_std(listener)?;
    loop {
        let place = context.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        match listener.accept().await {
            Ok((stream, _from)) => {
                let context = context.clone();
                tokio::task::spawn_local(async move {
                    let _place = place;
                    connection(context, stream).await;
                });
            }
            // Out of descriptors or memory: the connection stays in the backlog and the socket stays ready, so retrying at once would spin.
            Err(_failure) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Connections accepted here never leave the machine, so nothing on their way can be congested. They inherit from the listener, and
/// Reno is in every kernel and open to every user; what the host may have chosen for its network, BBR above all, paces each
/// segment by a timer. See tcp(7). Where it cannot be set, bulk is slower and all else the same.
#[cfg(target_os = "linux")]
pub(super) fn unpaced(listener: &std::net::TcpListener) {
    let _slower = rustix::net::sockopt::set_tcp_congestion(listener, "reno");
}

#[cfg(not(target_os = "linux"))]
pub(super) fn unpaced(_listener: &std::net::TcpListener) {}

/// One client. It may send anything, slowly or never; all it can gain is an error or the end of its connection.
pub(super) async fn connection(context: Rc<ProxyContext>, stream: TcpStream) {
    let mut first = [0];
    let Ok(Ok(1)) = timeout(limits::FIRST_BYTE, stream.peek(&mut first)).await else {
        return;
    };
    let Ok(stream) = Stream::tcp(stream) else {
        return;
    };
    match first[0] {
        SOCKS4 => {}
        SOCKS5 => match &context.policy().socks_proxy_port {
            Some(port) => to_own_proxy(&context, stream, port).await,
            None => socks5::serve(&context, stream).await,
        },
        _ => match &context.policy().http_proxy_port {
            Some(port) => to_own_proxy(&context, stream, port).await,
            None => http::serve(context, stream).await,
        },
    }
}

/// `httpProxyPort`, `socksProxyPort`: the user's own proxy does the filtering.
async fn to_own_proxy(context: &ProxyContext, client: Stream, port: &Located<u16>) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.value));
    let Ok(Ok(upstream)) = timeout(limits::DIAL, TcpStream::connect(address)).await else {
        return;
    };
    if let Ok(upstream) = Stream::tcp(upstream) {
        tunnel::run_opaque(context, Peer::from(client), Peer::from(upstream)).await;
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn accepted_connections_are_not_paced() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        unpaced(&listener);
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _from) = listener.accept().unwrap();
        assert_eq!(rustix::net::sockopt::tcp_congestion(&accepted).unwrap(), "reno");
    }
}
