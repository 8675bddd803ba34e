//! The listener that admitted connections arrive at.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Transparent;
use super::destination::{Destination, canonical};
use super::pending::{Admitted, Upstream};
use crate::proxy::listener::{self, ACCEPT_PAUSE, unpaced};
use crate::proxy::relay::Broken;
use crate::proxy::stream::{Peer, Stream};
use crate::proxy::tunnel;

/// Accepts connections until the future is dropped.
///
/// # Errors
/// The listener cannot be used at all.
pub(in crate::proxy) async fn serve(listener: std::net::TcpListener, transparent: Rc<Transparent>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    unpaced(&listener);
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((client, from)) => match client.local_addr() {
                Ok(asked) => transparent.arrived(client, (from.port(), canonical(asked.ip()))),
                Err(_gone) => {}
            },
            Err(_failure) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

impl Transparent {
    /// Unknown connections are reset: nobody may take them for a host that answers nothing.
    fn arrived(self: &Rc<Self>, client: TcpStream, key: super::pending::Key) {
        let admitted = self.pending.borrow_mut().take(key);
        match admitted {
            Some(admitted) => {
                let transparent = self.clone();
                tokio::task::spawn_local(async move { transparent.carry(client, admitted).await });
            }
            None => reset_when_dropped(&client),
        }
    }

    async fn carry(&self, client: TcpStream, admitted: Admitted) {
        // Place and lease are held to the end.
        let Admitted { destination, upstream, place: _place, .. } = admitted;
        // The program may have written already, and ended.
        let leaving = self.context.leaving.begin();
        let upstream = match upstream {
            Upstream::Proxy => {
                drop(leaving);
                return listener::connection(self.context.clone(), client).await;
            }
            Upstream::Open(peer) => peer,
            Upstream::Dialling(task) => match dialled(task).await {
                Some(peer) => peer,
                None => return reset_when_dropped(&client),
            },
        };
        let Ok(client) = Stream::tcp(client).map(Peer::from) else {
            return;
        };
        let relay = self.relay(&client, &upstream, &destination);
        drop(leaving);
        if relay.await.is_err() {
            reset_when_dropped(&client.stream);
        }
    }

    async fn relay(&self, client: &Peer, upstream: &Peer, destination: &Destination) -> Result<(), Broken> {
        match destination {
            Destination::Host(target, _lease) => tunnel::carry(&self.context, client, upstream, target).await,
            Destination::HostLoopback(_) | Destination::Own | Destination::Proxy => {
                tunnel::carry_opaque(&self.context, client, upstream).await
            }
        }
    }
}

async fn dialled(mut task: JoinSet<Result<Peer, i32>>) -> Option<Peer> {
    task.join_next().await?.ok()?.ok()
}

/// A clean end would look like an answer (socket(7), `SO_LINGER`).
fn reset_when_dropped(client: &impl std::os::fd::AsFd) {
    let _closed_anyway = set_socket_linger(client, Some(Duration::ZERO));
}
