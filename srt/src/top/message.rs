//! What the streams say.
//!
//! The lines of srt/docs/protocol.md, as far as they are shown. Types and fields that are not known here are passed over: a newer srt may say more.

use std::time::SystemTime;

use serde::Deserialize;

use crate::violation::{Event, parse_time};

/// Which run a message is about. A run may be heard of twice, from itself and from the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// From the run itself: user and process id in the name of its socket.
    Own { uid: u32, pid: u32 },
    /// From the service, by its number.
    Service(u64),
}

/// One message.
#[derive(Debug)]
pub(super) enum Message {
    /// There is such a run.
    Run(Key, About),
    /// It said something.
    Line(Key, Line),
    /// It has ended, or its stream has.
    End(Key),
    /// So many runs are not listened to, for there are too many.
    Hidden(usize),
    /// The service is gone, and so is everything that was known through it.
    NoService,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) uid: u32,
    /// The name of that user, or the number again.
    pub(super) user: String,
    /// Of the supervisor.
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) directory: String,
    pub(super) started: Option<SystemTime>,
}

/// A line of a run.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Line {
    Violation {
        event: Box<Event>,
    },
    Host {
        host: String,
        port: u16,
        allowed: bool,
    },
    Usage {
        processes: u64,
        memory: u64,
        #[serde(default)]
        violations: u64,
    },
    Dropped {
        count: u64,
    },
    Exit {
        code: u8,
    },
    #[serde(other)]
    Other,
}

/// A packet of a run's own socket, which belongs to `uid` and `pid`.
pub(super) fn of_run(packet: &[u8], uid: u32, pid: u32) -> Option<Message> {
    let key = Key::Own { uid, pid };
    match serde_json::from_slice(packet).ok()? {
        // The name of the socket is what was checked.
        Packet::Run(run) => Some(Message::Run(key, About { uid, user: uid.to_string(), pid, ..run.into() })),
        _ => Some(Message::Line(key, serde_json::from_slice(packet).ok()?)),
    }
}

/// A packet of the service.
pub(super) fn of_service(packet: &[u8]) -> Option<Message> {
    match serde_json::from_slice(packet).ok()? {
        Packet::Run(run) => Some(Message::Run(Key::Service(run.run), run.into())),
        Packet::Line { run, line } => Some(Message::Line(Key::Service(run), line)),
        Packet::End { run } => Some(Message::End(Key::Service(run))),
        Packet::Other => None,
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Packet {
    Run(RunPacket),
    Line {
        run: u64,
        line: Line,
    },
    End {
        run: u64,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct RunPacket {
    #[serde(default)]
    run: u64,
    #[serde(default)]
    uid: u32,
    pid: u32,
    command: String,
    #[serde(default)]
    cwd: String,
    started: String,
}

impl From<RunPacket> for About {
    fn from(run: RunPacket) -> Self {
        About {
            uid: run.uid,
            user: run.uid.to_string(),
            pid: run.pid,
            command: run.command,
            directory: run.cwd,
            started: parse_time(&run.started),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_both_streams_are_understood() {
        let run = br#"{"v":1,"type":"run","command":"make all","cwd":"/w","started":"2026-01-31T23:59:59.123Z","pid":7}"#;
        let Some(Message::Run(key, about)) = of_run(run, 1000, 8) else { panic!("not a run") };
        assert_eq!((key, about.pid, about.command.as_str()), (Key::Own { uid: 1000, pid: 8 }, 8, "make all"));
        assert!(about.started.is_some());
        let run = br#"{"v":1,"type":"run","run":3,"uid":5,"pid":9,"command":"x","started":"2026-01-31T23:59:59.123Z"}"#;
        assert!(matches!(of_service(run), Some(Message::Run(Key::Service(3), About { uid: 5, pid: 9, .. }))));
        let line = br#"{"v":1,"type":"line","run":3,"line":{"v":1,"type":"host","host":"a.test","port":443,"allowed":false}}"#;
        assert!(matches!(of_service(line), Some(Message::Line(Key::Service(3), Line::Host { port: 443, allowed: false, .. }))));
        assert!(matches!(of_service(br#"{"v":1,"type":"end","run":3}"#), Some(Message::End(Key::Service(3)))));
        let exit = br#"{"v":1,"type":"exit","code":143,"status":null,"signal":15,"violations":0,"error":null}"#;
        assert!(matches!(of_run(exit, 0, 1), Some(Message::Line(_, Line::Exit { code: 143 }))));
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        assert!(matches!(of_run(br#"{"v":1,"type":"new","x":[1]}"#, 0, 1), Some(Message::Line(_, Line::Other))));
        for packet in [&b""[..], b"{", b"[]", b"\xff", br#"{"type":"host"}"#, br#"{"type":"run","pid":-1}"#, br#"{"v":1}"#] {
            assert!(of_run(packet, 0, 1).is_none(), "{packet:?}");
            assert!(of_service(packet).is_none(), "{packet:?}");
        }
    }
}
