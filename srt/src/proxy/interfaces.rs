//! Addresses of this machine's own interfaces.

use std::io;
use std::net::IpAddr;

/// Every IP address of every interface. See getifaddrs(3).
pub(super) fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let interfaces = nix::ifaddrs::getifaddrs()?;
    Ok(interfaces.filter_map(|interface| interface.address).filter_map(|address| ip(&address)).collect())
}

fn ip(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_them() {
        assert!(own_addresses().unwrap().contains(&IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)));
    }
}
