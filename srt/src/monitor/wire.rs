//! Packets between the service and its clients.
//!
//! Pure. Objects of JSON, one to a packet, and two kinds of binary packets for what comes often. Both sides take packets apart with care: the service because anybody may connect to it, a run
//! because another program may sit where it expects the service.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Longest packet, either way.
pub(super) const LONGEST: usize = 32 * 1024;
/// Longest greeting: a command is cut, and may be escaped.
pub(super) const LONGEST_HELLO: usize = 8 * 1024;
const _: () = assert!(LONGEST_HELLO > 6 * LONGEST_COMMAND + 256);
/// Longest packet to a run: a record, or an answer that is shorter.
pub(super) const LONGEST_ANSWER: usize = 16 * 1024;
const _: () = assert!(srt_ebpf::MOST_RECORD < LONGEST_ANSWER);
/// Longest status line: with what the service puts around it, it is still a packet.
pub(super) const LONGEST_LINE: usize = LONGEST - 256;
/// Longest command that is kept of a run, in bytes.
pub(super) const LONGEST_COMMAND: usize = 1024;

/// Arrays and objects within each other, in a status line. Whoever reads it may do so by recursion.
const DEEPEST: usize = 32;

/// The version that every object carries.
const VERSION: u8 = 1;

const RECORD: u8 = b'R';
const LOST: u8 = b'L';

/// How the service sees calls return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// It looks at every call of the host, and not at single functions of the kernel.
    pub every_call: bool,
    /// Functions of this kernel that it could not attach to.
    pub missing: Vec<String>,
}

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// A run; the descriptor of its pid namespace comes with the packet.
    Run {
        /// Bits of [`srt_ebpf::watch`].
        watch: u64,
        /// The command, for people to read.
        command: String,
    },
    /// Somebody who wants to see the sandboxes that are his.
    Watch,
}

/// What a run may say afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A status line.
    Line(Line),
    /// A request to be told when all that happened up to now has been told.
    Sync,
}

/// What the service does with a status line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Kept for those who come to watch later.
    Kept,
    /// For those who watch now.
    Passing,
    /// A denied operation, which is kept too.
    Violation,
}

/// What the service says to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The sandbox is watched from now on.
    Watching(Attached),
    /// It is not.
    Refused(String),
    /// The bytes of one record.
    Record(Vec<u8>),
    /// So many records were lost since the last such packet.
    Lost(u64),
    /// Somebody watches this run, or nobody does any more.
    Observed(bool),
    /// All that had happened when the run asked has been told, but for what passed by: at most so many calls, of any process, since the run came.
    Synced(u64),
}

/// An object as it is read. Strange keys are for versions to come.
#[derive(Deserialize)]
struct Object {
    v: u8,
    #[serde(rename = "type")]
    kind: String,
    watch: Option<u64>,
    command: Option<String>,
    attached: Option<String>,
    missing: Option<Vec<String>>,
    message: Option<String>,
    by: Option<u64>,
    passed_by: Option<u64>,
}

impl Object {
    fn decode(packet: &[u8]) -> Option<Object> {
        let object: Object = serde_json::from_slice(packet).ok()?;
        (packet.len() <= LONGEST && object.v == VERSION).then_some(object)
    }
}

impl Hello {
    /// As the client sends it.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Hello::Run { watch, command } => {
                #[derive(Serialize)]
                struct Run<'a> {
                    v: u8,
                    r#type: &'static str,
                    watch: u64,
                    command: &'a str,
                }
                json(&Run { v: VERSION, r#type: "run", watch: *watch, command: cut(command) })
            }
            Hello::Watch => br#"{"v":1,"type":"watch"}"#.to_vec(),
        }
    }

    /// As the service reads it.
    pub(super) fn decode(packet: &[u8]) -> Option<Hello> {
        let object = Object::decode(packet)?;
        match object.kind.as_str() {
            "run" => Some(Hello::Run { watch: object.watch?, command: cut(&object.command?).to_owned() }),
            "watch" => Some(Hello::Watch),
            _ => None,
        }
    }
}

impl Said {
    /// As a run sends it.
    pub(super) const SYNC: &[u8] = br#"{"v":1,"type":"sync"}"#;

    /// As the service reads it: an object of this version in printable ASCII, so that it can be passed on as it is, in a line.
    pub(super) fn decode(packet: &[u8]) -> Option<Said> {
        #[derive(Deserialize)]
        struct Head<'a> {
            v: u8,
            #[serde(rename = "type")]
            kind: &'a str,
            #[serde(rename = "line", default)]
            _line: IgnoredAny,
        }
        let line = packet.strip_suffix(b"\n").unwrap_or(packet);
        let head: Head<'_> = (line.len() <= LONGEST_LINE && is_plain(line, DEEPEST)).then(|| serde_json::from_slice(line).ok())??;
        Some(match head.kind {
            _ if head.v != VERSION => return None,
            "sync" => Said::Sync,
            "violation" => Said::Line(Line::Violation),
            "started" | "host" | "exit" => Said::Line(Line::Kept),
            _ => Said::Line(Line::Passing),
        })
    }
}

impl Answer {
    /// As the service sends it.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Answer::Watching(attached) => {
                #[derive(Serialize)]
                struct Watching<'a> {
                    v: u8,
                    r#type: &'static str,
                    attached: &'static str,
                    missing: &'a [String],
                }
                let how = if attached.every_call { "every-call" } else { "calls" };
                json(&Watching { v: VERSION, r#type: "watching", attached: how, missing: &attached.missing })
            }
            Answer::Refused(message) => {
                #[derive(Serialize)]
                struct Refused<'a> {
                    v: u8,
                    r#type: &'static str,
                    message: &'a str,
                }
                json(&Refused { v: VERSION, r#type: "error", message })
            }
            Answer::Record(bytes) => {
                let mut packet = Vec::new();
                record(bytes, &mut packet);
                packet
            }
            Answer::Lost(count) => [&[LOST][..], &count.to_ne_bytes()].concat(),
            Answer::Observed(observed) => format!(r#"{{"v":1,"type":"observed","by":{}}}"#, u8::from(*observed)).into_bytes(),
            Answer::Synced(passed_by) => format!(r#"{{"v":1,"type":"synced","passed_by":{passed_by}}}"#).into_bytes(),
        }
    }

    /// As a run reads it.
    pub(super) fn decode(packet: &[u8]) -> Option<Answer> {
        match packet.split_first()? {
            (&RECORD, record) => srt_ebpf::Record::parse(record).map(|_| Answer::Record(record.to_vec())),
            (&LOST, count) => Some(Answer::Lost(u64::from_ne_bytes(count.try_into().ok()?))),
            _ => {
                let object = Object::decode(packet)?;
                match object.kind.as_str() {
                    "watching" => {
                        let every_call = match object.attached?.as_str() {
                            "every-call" => true,
                            "calls" => false,
                            _ => return None,
                        };
                        Some(Answer::Watching(Attached { every_call, missing: object.missing? }))
                    }
                    "error" => Some(Answer::Refused(object.message?)),
                    "observed" => Some(Answer::Observed(object.by? > 0)),
                    "synced" => Some(Answer::Synced(object.passed_by?)),
                    _ => None,
                }
            }
        }
    }
}

/// May this be passed on as a line, as it is? An object of this version, if it is what it seems: in printable ASCII, and not too deep.
fn is_plain(line: &[u8], deepest: usize) -> bool {
    line.first() == Some(&b'{') && line.iter().all(|byte| matches!(byte, b' '..=b'~')) && depth(line) <= deepest
}

/// How deep arrays and objects are within each other.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Is it a packet that a watcher is told, as the service sends it?
pub(super) fn is_told(packet: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        v: u8,
    }
    // A status line is within it.
    packet.len() <= LONGEST && is_plain(packet, DEEPEST + 1) && serde_json::from_slice(packet).is_ok_and(|head: Head| head.v == VERSION)
}

/// A record of the kernel's as a packet.
pub(super) fn record(bytes: &[u8], packet: &mut Vec<u8>) {
    packet.push(RECORD);
    packet.extend(bytes);
}

/// A run, for whoever watches it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Shown<'a> {
    /// Its number, by which the other packets name it.
    pub(super) run: u64,
    /// Whose it is.
    pub(super) uid: u32,
    /// Process id of its supervisor, as the service sees it.
    pub(super) pid: i32,
    /// What it runs.
    pub(super) command: &'a str,
    /// When it came, RFC 3339 in UTC.
    pub(super) started: &'a str,
}

impl Shown<'_> {
    /// As the service sends it.
    pub(super) fn encode(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Versioned<'a> {
            v: u8,
            r#type: &'static str,
            #[serde(flatten)]
            run: &'a Shown<'a>,
        }
        json(&Versioned { v: VERSION, r#type: "run", run: self })
    }
}

/// A status line of a run, for whoever watches it. `line` is what [`Said::decode`] let through.
pub(super) fn line(run: u64, line: &[u8]) -> Vec<u8> {
    let mut packet = format!(r#"{{"v":1,"type":"line","run":{run},"line":"#).into_bytes();
    packet.extend(line.strip_suffix(b"\n").unwrap_or(line));
    packet.push(b'}');
    packet
}

/// The end of a run.
pub(super) fn end(run: u64) -> Vec<u8> {
    format!(r#"{{"v":1,"type":"end","run":{run}}}"#).into_bytes()
}

/// What a slow reader is told.
pub(super) fn dropped(count: u64) -> Vec<u8> {
    format!(r#"{{"v":1,"type":"dropped","count":{count}}}"#).into_bytes()
}

/// In printable ASCII: these packets are lines of a log too.
fn json(value: &impl Serialize) -> Vec<u8> {
    // Structures of numbers and strings can be written.
    crate::violation::escaped_json(&serde_json::to_string(value).unwrap_or_default()).into_bytes()
}

/// What is kept of a command.
fn cut(command: &str) -> &str {
    &command[..command.floor_char_boundary(LONGEST_COMMAND)]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn sample_record() -> Vec<u8> {
        let record = srt_ebpf::Record { errno: 13, lengths: [0, 4, 0, 0, 0], ..srt_ebpf::Record::default() };
        [record.as_bytes().as_slice(), b"/x/y"].concat()
    }

    fn answers() -> Vec<Answer> {
        vec![
            Answer::Watching(Attached { every_call: true, missing: Vec::new() }),
            Answer::Watching(Attached { every_call: false, missing: vec!["__x64_sys_open".to_owned()] }),
            Answer::Refused("no \u{202e} \"such\" namespace".to_owned()),
            Answer::Record(sample_record()),
            Answer::Lost(u64::MAX),
            Answer::Observed(true),
            Answer::Observed(false),
            Answer::Synced(0),
            Answer::Synced(u64::MAX),
        ]
    }

    #[test]
    fn packets_survive_the_way() {
        for hello in [Hello::Watch, Hello::Run { watch: 3, command: "sh -c 'ä \"\\\n'".to_owned() }] {
            assert_eq!(Hello::decode(&hello.encode()), Some(hello));
        }
        for answer in answers() {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
        assert_eq!(Said::decode(Said::SYNC), Some(Said::Sync));
    }

    #[test]
    fn no_cut_and_no_changed_byte_makes_either_side_panic() {
        let mut packets: Vec<Vec<u8>> = answers().iter().map(Answer::encode).collect();
        packets.push(Hello::Run { watch: 1, command: "true".to_owned() }.encode());
        for packet in packets {
            for length in 0..packet.len() {
                let cut = &packet[..length];
                assert_eq!((Answer::decode(cut), Hello::decode(cut), Said::decode(cut)), (None, None, None), "{length} of {packet:?}");
            }
            for at in 0..packet.len() {
                for value in [0, b'"', b'{', b'9', 0x7f, 0xff] {
                    let mut changed = packet.clone();
                    changed[at] = value;
                    let _ = (Answer::decode(&changed), Hello::decode(&changed), Said::decode(&changed));
                }
            }
        }
    }

    #[test]
    fn malformed_packets_are_not_understood() {
        let deep = format!(r#"{{"v":1,"type":"run","watch":0,"command":"x","more":{}}}"#, "[".repeat(60_000));
        let long = format!(r#"{{"v":1,"type":"run","watch":0,"command":"{}"}}"#, "x".repeat(LONGEST));
        for packet in [
            "",
            "{}",
            "[]",
            "R",
            "L1234567",
            "L123456789",
            r#"{"v":2,"type":"watch"}"#,
            r#"{"v":1,"type":"wat"}"#,
            r#"{"v":1,"type":"run","watch":-1,"command":"x"}"#,
            r#"{"v":1,"type":"run","watch":18446744073709551616,"command":"x"}"#,
            r#"{"v":1,"type":"run","command":"x"}"#,
            r#"{"v":1,"type":"run","watch":0}"#,
            r#"{"v":1,"type":"run","watch":0,"watch":0,"command":"x"}"#,
            r#"{"v":1,"type":"watching","attached":"never","missing":[]}"#,
            r#"{"v":1,"type":"watch"}{"v":1,"type":"watch"}"#,
            &deep,
            &long,
        ] {
            assert_eq!((Hello::decode(packet.as_bytes()), Answer::decode(packet.as_bytes())), (None, None), "{packet:.80}");
        }
    }

    #[test]
    fn a_status_line_is_one_object_in_printable_ascii() {
        let long = format!(r#"{{"v":1,"type":"host","host":"{}"}}"#, "x".repeat(LONGEST_LINE));
        let nested = |depth: usize| {
            format!(r#"{{"v":1,"type":"host","host":"{}","x":{}{}}}"#, r#"[[\"[[["#.repeat(20), "[".repeat(depth), "]".repeat(depth))
        };
        let deep = nested(DEEPEST);
        assert!(Said::decode(nested(DEEPEST - 1).as_bytes()).is_some(), "brackets in texts do not count");
        for packet in [
            "{\"v\":1,\"type\":\"host\",\n\"host\":\"x\"}",
            "{\"v\":1,\"type\":\"host\",\"host\":\"\u{e4}\"}",
            "{\"v\":1,\"type\":\"host\"},\"run\":7",
            r#"{"v":1,"type":"host"}}"#,
            r#" {"v":1,"type":"host"}"#,
            r#"{"v":2,"type":"host"}"#,
            r#"{"v":1}"#,
            r#""host""#,
            &long,
            &deep,
        ] {
            assert_eq!(Said::decode(packet.as_bytes()), None, "{packet:.80}");
        }
        for (kind, line) in
            [("violation", Line::Violation), ("exit", Line::Kept), ("usage", Line::Passing), ("of a version to come", Line::Passing)]
        {
            let packet = format!("{{\"v\":1,\"type\":\"{kind}\",\"line\":3}}\n");
            assert_eq!(Said::decode(packet.as_bytes()), Some(Said::Line(line)), "{kind}");
        }
    }

    #[test]
    fn what_watchers_get_is_one_line_of_ascii() {
        let shown = Shown { run: 7, uid: 1000, pid: 12, command: "echo \u{1b}[2J\n\u{e4}", started: "2026-01-31T23:59:59.123Z" };
        let packets = [shown.encode(), line(7, b"{\"v\":1,\"type\":\"host\"}\n"), end(7), dropped(3)];
        for packet in &packets {
            assert!(packet.iter().all(|byte| matches!(byte, b' '..=b'~')), "{packet:?}");
            let value: Value = serde_json::from_slice(packet).unwrap();
            assert_eq!(value["v"], 1);
        }
        let value: Value = serde_json::from_slice(&packets[1]).unwrap();
        assert_eq!((&value["type"], &value["run"], &value["line"]["type"]), (&"line".into(), &7.into(), &"host".into()));
        let value: Value = serde_json::from_slice(&packets[0]).unwrap();
        assert_eq!(value["command"], "echo \u{1b}[2J\n\u{e4}");
    }

    #[test]
    fn what_a_watcher_prints_is_what_a_service_says() {
        let line = line(7, br#"{"v":1,"type":"host"}"#);
        assert!(is_told(&line) && is_told(&end(7)));
        for packet in [
            &b"\x1b[2J{\"v\":1}"[..],
            b"{\"v\":1,\"x\":\"\x1b[2J\"}",
            b"{\"v\":1}\n{\"v\":1}",
            b"{\"v\":2}",
            b"{}",
            b"x",
            b"",
            "{\"v\":1,\"x\":\"\u{e4}\"}".as_bytes(),
        ] {
            assert!(!is_told(packet), "{packet:?}");
        }
        assert!(!is_told(format!(r#"{{"v":1,"x":{}{}}}"#, "[".repeat(100), "]".repeat(100)).as_bytes()));
    }

    #[test]
    fn a_long_command_is_cut_between_characters() {
        let hello = Hello::Run { watch: 0, command: "\u{e4}".repeat(LONGEST) };
        let Some(Hello::Run { command, .. }) = Hello::decode(&hello.encode()) else { panic!("it is a run") };
        assert_eq!(command.len(), LONGEST_COMMAND);
        let line = line(u64::MAX, &[b'x'; LONGEST_LINE]);
        assert!(line.len() <= LONGEST);
    }
}
