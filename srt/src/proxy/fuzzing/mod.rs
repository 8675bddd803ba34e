//! Fuzz targets: what clients, servers and parent proxies send.

mod client_hello;
mod http;
mod parent;
mod socks5;
mod world;

pub(crate) use client_hello::client_hello;
pub(crate) use http::http;
pub(crate) use parent::parent;
pub(crate) use socks5::socks5;
pub(super) use world::policy;
