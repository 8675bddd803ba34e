//! One denied operation.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// What was denied, as one line of the event stream. Text fields hold bytes from inside the sandbox and are sanitised only when shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Version of this layout.
    pub v: u8,
    /// When it was first seen, RFC 3339 in UTC.
    #[serde(with = "super::time::rfc3339")]
    pub time: SystemTime,
    /// Family of the operation.
    pub kind: Kind,
    /// The operation in the words of its source: `CONNECT`, `GET`, `socks-connect`, `openat`.
    pub operation: String,
    /// What it was aimed at: a path, or `host:port`.
    pub target: String,
    /// Name of the errno that the program saw, where there is one.
    pub errno: Option<Cow<'static, str>>,
    /// Who did it, where the source knows.
    pub process: Option<Process>,
    /// The rule that denied it.
    pub rule: RuleRef,
    /// Why, in words for a person: `host is not on the allow list`.
    pub reason: String,
    /// A line of settings that would allow it, where one exists.
    pub allow: Option<String>,
    /// Which part of srt saw it.
    pub source: Source,
    /// How often the same thing happened in this run.
    pub count: u64,
}

/// Families of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Reading a file.
    #[serde(rename = "fs.read")]
    FsRead,
    /// Creating, changing, removing a file.
    #[serde(rename = "fs.write")]
    FsWrite,
    /// Running a file.
    #[serde(rename = "fs.exec")]
    FsExec,
    /// A connection to a host and port.
    #[serde(rename = "net.connect")]
    NetConnect,
    /// A name that was asked for.
    #[serde(rename = "net.dns")]
    NetDns,
    /// A plain HTTP request.
    #[serde(rename = "net.http")]
    NetHttp,
    /// A TLS session for another name than its tunnel's.
    #[serde(rename = "net.tls")]
    NetTls,
    /// A UNIX socket.
    #[serde(rename = "unix.connect")]
    UnixConnect,
    /// Any other system call.
    #[serde(rename = "syscall")]
    Syscall,
}

/// Which part of srt saw a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The system-call broker.
    Broker,
    /// The HTTP and SOCKS proxy.
    Proxy,
    /// The name server.
    Dns,
    /// The kernel program.
    Ebpf,
    /// The macOS log.
    Seatbelt,
}

/// A rule as events name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// Short stable name, for instance `net.allow.3` or `net.default`.
    pub id: String,
    /// Where the rule was written: `~/.srt-settings.json:7:15`, `built-in default`.
    pub origin: String,
}

/// A process inside the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id as the host sees it.
    pub pid: i32,
    /// Its parent.
    pub ppid: i32,
    /// Path of its executable.
    pub exe: String,
    /// Its name.
    pub comm: String,
    /// Its arguments.
    pub argv: Vec<String>,
}
