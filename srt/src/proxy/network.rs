//! Everything that is served for the network of one sandbox.

use std::cell::RefCell;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::names::{CAPACITY, Names};
use super::transparent::Ground;
use super::{ProxyContext, Published, Transparent, dns, listener, transparent};

/// The sockets that were made in the sandbox's network.
#[derive(Debug)]
pub struct Network {
    /// Absent where the transparent listener leads to the proxy too.
    proxy: Option<TcpListener>,
    transparent: Option<TransparentSockets>,
    /// Unconnected, for connections from the host.
    inward: Vec<OwnedFd>,
}

#[derive(Debug)]
struct TransparentSockets {
    listener: TcpListener,
    /// The name server's, where the network is the sandbox's own.
    names: Option<(UdpSocket, TcpListener)>,
}

impl Network {
    /// Takes the sockets in the order in which `init` sends them; `None` where one is missing.
    pub fn new(sockets: Vec<OwnedFd>, transparent: bool) -> Option<Self> {
        let mut sockets = sockets.into_iter();
        let proxy = Some(sockets.next()?.into());
        let transparent = match transparent {
            true => {
                Some(TransparentSockets { listener: sockets.next()?.into(), names: Some((sockets.next()?.into(), sockets.next()?.into())) })
            }
            false => None,
        };
        Some(Network { proxy, transparent, inward: sockets.collect() })
    }

    /// For a sandbox without a network of its own: one listener on the host's loopback, at any port. Anyone on the host can connect to it, and is sent away unless the broker announced
    /// the connection by its port.
    ///
    /// # Errors
    /// No socket, or no loopback.
    pub fn of_host() -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
        Ok(Network { proxy: None, transparent: Some(TransparentSockets { listener, names: None }), inward: Vec::new() })
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
        if let Some(proxy) = self.proxy {
            tokio::task::spawn_local(listener::serve(proxy, context));
        }
        Ok(transparent)
    }
}

impl TransparentSockets {
    fn serve(self, context: &Rc<ProxyContext>) -> io::Result<Rc<Transparent>> {
        let address = self.listener.local_addr()?;
        let names = Rc::new(RefCell::new(Names::new(CAPACITY)));
        let ground = if self.names.is_some() { Ground::Own } else { Ground::Host };
        let transparent = Rc::new(Transparent::new(context.clone(), names.clone(), address.port(), ground));
        if let Some((datagrams, streams)) = self.names {
            let zone = Rc::new(dns::Zone::new(context.clone(), names, address.is_ipv6()));
            tokio::task::spawn_local(dns::serve_datagrams(datagrams, zone.clone()));
            tokio::task::spawn_local(dns::serve_streams(streams, zone));
        }
        tokio::task::spawn_local(transparent::serve(self.listener, transparent.clone()));
        Ok(transparent)
    }
}
