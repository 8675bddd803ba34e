//! What `init` asks the supervisor while the command runs, and the answers.
//!
//! Both ends are ours; text in it was chosen by the command. Integers are in the machine's own order: both ends run on it.

use std::net::{IpAddr, SocketAddr};

/// A question about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matter {
    /// The call was refused, and is to be told.
    Denied(Denied),
    /// May this destination be reached?
    Connect(Connect),
}

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Denied {
    /// System-call number.
    pub call: libc::c_long,
    /// What the caller sees.
    pub errno: i32,
    /// What it was about.
    pub target: DeniedTarget,
    /// Name of the rule.
    pub rule: String,
}

/// What a refused call was about; paths are real ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DeniedTarget {
    /// Writing to this path.
    Write(Vec<u8>),
    /// Reading it.
    Read(Vec<u8>),
    /// A UNIX socket.
    Socket(Vec<u8>),
    /// The call itself, with its first arguments.
    Call([u64; 3]),
}

/// A connection, or a datagram, to anything but the sandbox's own loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// System-call number.
    pub call: libc::c_long,
    /// TCP, else UDP.
    pub stream: bool,
    /// Does the caller not want to wait?
    pub nonblocking: bool,
    /// Where to.
    pub target: SocketAddr,
    /// The port that the socket is bound to; 0: none.
    pub local_port: u16,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As asked; or: it was told.
    Proceed,
    /// To the same address, but this port.
    Redirected(u16),
    /// With this errno.
    Refused(i32),
}

impl Matter {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Matter::Denied(denied) => {
                out.push(b'd');
                out.extend(denied.call.to_ne_bytes());
                out.extend(denied.errno.to_ne_bytes());
                // A rule's name has no NUL.
                out.extend(denied.rule.bytes());
                out.push(0);
                match &denied.target {
                    DeniedTarget::Write(path) => extend_tagged(out, b'w', path),
                    DeniedTarget::Read(path) => extend_tagged(out, b'r', path),
                    DeniedTarget::Socket(path) => extend_tagged(out, b'u', path),
                    DeniedTarget::Call(arguments) => {
                        out.push(b'c');
                        arguments.iter().for_each(|argument| out.extend(argument.to_ne_bytes()));
                    }
                }
            }
            Matter::Connect(connect) => {
                out.push(b'c');
                out.extend(connect.call.to_ne_bytes());
                out.extend([u8::from(connect.stream), u8::from(connect.nonblocking)]);
                out.extend(connect.local_port.to_ne_bytes());
                out.extend(connect.target.port().to_ne_bytes());
                match connect.target.ip() {
                    IpAddr::V4(ip) => out.extend(ip.octets()),
                    IpAddr::V6(ip) => out.extend(ip.octets()),
                }
            }
        }
    }

    pub(super) fn decode(packet: &[u8]) -> Option<Matter> {
        let (tag, rest) = packet.split_first()?;
        let (call, rest) = rest.split_first_chunk()?;
        let call = libc::c_long::from_ne_bytes(*call);
        match tag {
            b'd' => {
                let (errno, rest) = rest.split_first_chunk()?;
                let end = rest.iter().position(|byte| *byte == 0)?;
                let rule = String::from_utf8_lossy(&rest[..end]).into_owned();
                let target = DeniedTarget::decode(&rest[end + 1..])?;
                Some(Matter::Denied(Denied { call, errno: i32::from_ne_bytes(*errno), target, rule }))
            }
            b'c' => {
                let ([stream, nonblocking], rest) = rest.split_first_chunk()?;
                let (local_port, rest) = rest.split_first_chunk()?;
                let (port, address) = rest.split_first_chunk()?;
                let ip = match address.len() {
                    4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
                    16 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
                    _ => return None,
                };
                Some(Matter::Connect(Connect {
                    call,
                    stream: *stream != 0,
                    nonblocking: *nonblocking != 0,
                    target: SocketAddr::new(ip, u16::from_ne_bytes(*port)),
                    local_port: u16::from_ne_bytes(*local_port),
                }))
            }
            _ => None,
        }
    }
}

fn extend_tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend(bytes);
}

impl DeniedTarget {
    fn decode(packet: &[u8]) -> Option<DeniedTarget> {
        let (tag, rest) = packet.split_first()?;
        Some(match tag {
            b'w' => DeniedTarget::Write(rest.to_vec()),
            b'r' => DeniedTarget::Read(rest.to_vec()),
            b'u' => DeniedTarget::Socket(rest.to_vec()),
            b'c' => {
                let words: Vec<u64> = rest.chunks_exact(8).filter_map(|word| Some(u64::from_ne_bytes(word.try_into().ok()?))).collect();
                DeniedTarget::Call(words.try_into().ok()?)
            }
            _ => return None,
        })
    }
}

impl Answer {
    pub(super) fn encode(self) -> [u8; 5] {
        let (tag, number) = match self {
            Answer::Proceed => (b'p', 0),
            Answer::Redirected(port) => (b'r', i32::from(port)),
            Answer::Refused(errno) => (b'n', errno),
        };
        let [a, b, c, d] = number.to_ne_bytes();
        [tag, a, b, c, d]
    }

    pub(super) fn decode(packet: &[u8]) -> Option<Answer> {
        let (tag, number) = packet.split_first()?;
        let number = i32::from_ne_bytes(number.try_into().ok()?);
        Some(match tag {
            b'p' => Answer::Proceed,
            b'r' => Answer::Redirected(u16::try_from(number).ok()?),
            b'n' => Answer::Refused(number),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(matter: &Matter) -> Option<Matter> {
        let mut packet = Vec::new();
        matter.encode(&mut packet);
        Matter::decode(&packet)
    }

    #[test]
    fn matters_survive_the_way() {
        let targets = [
            DeniedTarget::Write(b"/w/\xff".to_vec()),
            DeniedTarget::Read(b"/w".to_vec()),
            DeniedTarget::Socket(b"/run/x".to_vec()),
            DeniedTarget::Call([1, u64::MAX, 0]),
        ];
        for target in targets {
            let matter = Matter::Denied(Denied { call: 257, errno: 1, target, rule: "fs.deny-write.0".to_owned() });
            assert_eq!(round(&matter), Some(matter));
        }
        for target in ["198.18.0.1:443", "[fd00::1]:22"] {
            let target = target.parse().unwrap();
            let matter = Matter::Connect(Connect { call: 42, stream: true, nonblocking: false, target, local_port: 40_000 });
            assert_eq!(round(&matter), Some(matter));
        }
    }

    #[test]
    fn answers_survive_the_way() {
        for answer in [Answer::Proceed, Answer::Redirected(65_535), Answer::Refused(111)] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
    }

    #[test]
    fn what_nobody_sends_is_not_understood() {
        for packet in [&b""[..], b"d", b"c12345678", b"z123456789", b"d12345678\0\0\0\0rule without end"] {
            assert_eq!(Matter::decode(packet), None);
        }
        assert_eq!(Answer::decode(b"r\xff\xff\xff\xff"), None);
    }
}
