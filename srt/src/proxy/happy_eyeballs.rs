//! Connecting to the first of several addresses that answers (RFC 8305, without its history).

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::limits;

/// Tries the addresses in order, each a little after the one before, and keeps the first connection.
pub(super) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(*only).await;
    }
    let mut waiting = interleaved(addresses).into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let next = waiting.next();
        let more_follow = next.is_some();
        if let Some(address) = next {
            attempts.spawn_local(TcpStream::connect(address));
        }
        match first_success(&mut attempts, more_follow, &mut failure).await {
            Some(stream) => return Ok(stream),
            None if !more_follow => return Err(failure),
            None => {}
        }
    }
}

/// `None` where every attempt failed, or where it is time for the next address.
async fn first_success(attempts: &mut JoinSet<io::Result<TcpStream>>, more_follow: bool, failure: &mut io::Error) -> Option<TcpStream> {
    let joined = async {
        while let Some(result) = attempts.join_next().await {
            match result {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(error)) => *failure = error,
                Err(aborted) => *failure = io::Error::other(aborted),
            }
        }
        None
    };
    if more_follow { timeout(limits::NEXT_ADDRESS, joined).await.unwrap_or(None) } else { joined.await }
}

/// Families take turns, beginning with the resolver's first choice.
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (mut one, mut other): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(|address| address.is_ipv4() == first_is_v4);
    let mut order = Vec::with_capacity(addresses.len());
    one.reverse();
    other.reverse();
    while let Some(address) = one.pop() {
        order.push(address);
        order.extend(other.pop());
    }
    order.extend(other.into_iter().rev());
    order.truncate(limits::ADDRESSES);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        assert_eq!(interleaved(&given), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
        let given = parse(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(interleaved(&given), parse(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]));
    }
}
