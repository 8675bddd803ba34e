//! Everything that is served for the network of one sandbox.

use std::cell::RefCell;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::names::{CAPACITY, Names};
use super::{ProxyContext, Published, Transparent, dns, listener, transparent};

/// The sockets that were made in the sandbox's network.
#[derive(Debug)]
pub struct Network {
    proxy: TcpListener,
    transparent: Option<TransparentSockets>,
    /// Unconnected, for connections from the host.
    inward: Vec<OwnedFd>,
}

#[derive(Debug)]
struct TransparentSockets {
    listener: TcpListener,
    datagrams: UdpSocket,
    streams: TcpListener,
}

impl Network {
    /// Takes the sockets in the order in which `init` sends them; `None` where one is missing.
    pub fn new(sockets: Vec<OwnedFd>, transparent: bool) -> Option<Self> {
        let mut sockets = sockets.into_iter();
        let proxy = sockets.next()?.into();
        let transparent = match transparent {
            true => Some(TransparentSockets {
                listener: sockets.next()?.into(),
                datagrams: sockets.next()?.into(),
                streams: sockets.next()?.into(),
            }),
            false => None,
        };
        Some(Network { proxy, transparent, inward: sockets.collect() })
    }

    /// Serves all of it in the background, inside a [`tokio::task::LocalSet`] on a current-thread runtime.
    ///
    /// Returns what decides on connections of programs that know of no proxy, where the network is transparent.
    ///
    /// # Errors
    /// A socket that cannot be used at all.
    pub fn serve(self, context: Rc<ProxyContext>, published: Published) -> io::Result<Option<Rc<Transparent>>> {
        published.serve(self.inward, &context);
        let transparent = self.transparent.map(|sockets| sockets.serve(&context)).transpose()?;
        tokio::task::spawn_local(listener::serve(self.proxy, context));
        Ok(transparent)
    }
}

impl TransparentSockets {
    fn serve(self, context: &Rc<ProxyContext>) -> io::Result<Rc<Transparent>> {
        let address = self.listener.local_addr()?;
        let names = Rc::new(RefCell::new(Names::new(CAPACITY)));
        let zone = Rc::new(dns::Zone::new(context.clone(), names.clone(), address.is_ipv6()));
        let transparent = Rc::new(Transparent::new(context.clone(), names, address.port()));
        tokio::task::spawn_local(dns::serve_datagrams(self.datagrams, zone.clone()));
        tokio::task::spawn_local(dns::serve_streams(self.streams, zone));
        tokio::task::spawn_local(transparent::serve(self.listener, transparent.clone()));
        Ok(transparent)
    }
}
