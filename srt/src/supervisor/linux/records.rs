//! What the kernel's program saw, as denials of the policy.
//!
//! A record says what the caller asked for and what it got; which rule that was, is asked of the policy here. A call that would have failed outside as well is no violation: a file that is not there, one that
//! plain permissions keep from this user.
//!
//! Paths in records are the caller's own words, and may be lies about its own call. They are looked up on the host, which shows the same tree, with the caller's rights; nothing is opened.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use srt_ebpf::{Parsed, flag, text};

use crate::backend::{Aim, Denied, DeniedTarget, filter_refuses, find_call};
use crate::policy::{AbsPath, Access, FsEffect, FsPolicy, PathLookup};
use crate::violation::Kind;

/// What the caller's user could do outside.
pub(in crate::supervisor) trait Outside: PathLookup {
    /// As [`PathLookup::real_path`], for a path with `..` in it, which leads up from where links before it lead.
    fn find(&self, path: &std::path::Path) -> std::io::Result<crate::policy::RealPath> {
        self.real_path(&AbsPath::resolve(&AbsPath::root(), path))
    }

    /// access(2), with links followed.
    fn may(&self, path: &AbsPath, access: rustix::fs::Access) -> bool;
}

impl Outside for crate::host::HostLookup {
    fn find(&self, path: &std::path::Path) -> std::io::Result<crate::policy::RealPath> {
        self.real_path_of(path)
    }

    fn may(&self, path: &AbsPath, access: rustix::fs::Access) -> bool {
        rustix::fs::access(path.as_path(), access).is_ok()
    }
}

/// A host on which everything is there, is no link, and is the caller's.
#[cfg(any(test, fuzzing))]
pub(in crate::supervisor) struct Named;

#[cfg(any(test, fuzzing))]
impl PathLookup for Named {
    fn real_path(&self, path: &AbsPath) -> std::io::Result<crate::policy::RealPath> {
        Ok(crate::policy::RealPath { path: path.clone(), kind: Some(crate::policy::FileKind::Other), links: Vec::new() })
    }

    fn children(&self, _: &AbsPath) -> std::io::Result<Vec<(std::ffi::OsString, crate::policy::FileKind)>> {
        Ok(Vec::new())
    }

    fn link_text(&self, _: &AbsPath) -> std::io::Result<std::ffi::OsString> {
        Err(std::io::ErrorKind::InvalidInput.into())
    }

    fn first_bytes(&self, _: &AbsPath) -> std::io::Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

#[cfg(any(test, fuzzing))]
impl Outside for Named {
    fn may(&self, _: &AbsPath, _: rustix::fs::Access) -> bool {
        true
    }
}

/// The denial that a record tells of, and its kind where the target does not say it; `None` where the policy had no part in it, or a broker tells of it.
pub(in crate::supervisor) fn denial(
    parsed: &Parsed<'_>,
    policy: &FsPolicy,
    broker: bool,
    outside: &dyn Outside,
) -> Option<(Denied, Option<Kind>)> {
    let record = &parsed.record;
    let call = libc::c_long::from(record.call);
    let denied = |target, rule: &str| Denied { call, errno: record.errno as i32, target, rule: rule.to_owned() };
    let first = || path(parsed, text::DIRECTORY);
    let about = |path: Asked, want: Want| judge(&path, want, policy, outside).map(|(target, rule)| denied(target, rule));
    // By a name that leads nowhere any more, or was too deep to be told: a denial all the same, where nothing else would give this error.
    let read = |want: Want| match first() {
        Some(path) => about(path.clone(), want).or_else(|| {
            let nowhere = record.errno == libc::EACCES as u32 && is_nowhere(&path, policy, outside);
            nowhere.then(|| denied(DeniedTarget::Read(path.plain().as_bytes().to_vec()), UNSEEN))
        }),
        None if record.errno == libc::EACCES as u32 => Some(denied(DeniedTarget::Read(parsed.text(text::PATH).to_vec()), UNSEEN)),
        None => None,
    };
    match find_call(record.call).map_or(Aim::Itself, |call| call.aim) {
        Aim::Open(flags) => {
            let flags = *record.arguments.get(usize::from(flags))? as i32;
            let writes = flags & WRITES != 0 && flags & libc::O_PATH == 0;
            if writes && broker {
                return None;
            }
            if writes { about(first()?, Want::Change) } else { read(Want::Read) }.map(|denied| (denied, None))
        }
        Aim::Read => read(Want::Look).map(|denied| (denied, None)),
        Aim::Execute => {
            let interpreter = || about(Asked(interpreter(&first()?, outside)?.as_path().to_owned(), Entry::None), Want::Execute);
            read(Want::Execute).or_else(interpreter).map(|denied| (denied, Some(Kind::FsExec)))
        }
        Aim::Change if parsed.text(text::SECOND_PATH).is_empty() => about(first()?, Want::Change).map(|denied| (denied, None)),
        Aim::Change => about(path(parsed, text::SECOND_DIRECTORY)?, Want::Change).map(|denied| (denied, None)),
        Aim::Pair => [first(), path(parsed, text::SECOND_DIRECTORY)]
            .into_iter()
            .flatten()
            .find_map(|path| about(path, Want::Change))
            .map(|denied| (denied, None)),
        Aim::Name | Aim::Reach => match address(parsed.text(text::ADDRESS))? {
            Address::Path(path) if record.call == libc::SYS_bind as u32 => {
                about(Asked(path.as_path().to_owned(), Entry::None), Want::Change).map(|denied| (denied, None))
            }
            // A port below 1024 is refused outside as well, and no rule is about servers.
            Address::Internet(_) if record.call == libc::SYS_bind as u32 => None,
            Address::Path(path) => {
                Some((denied(DeniedTarget::Socket(path.as_path().as_os_str().as_bytes().to_vec()), "unix.default"), None))
            }
            Address::Internet(target) => {
                Some((denied(DeniedTarget::Write(target.to_string().into_bytes()), "net.default"), Some(Kind::NetConnect)))
            }
        },
        Aim::Itself => {
            let arguments = &record.arguments;
            let refused = filter_refuses(call, arguments);
            refused.then(|| (denied(DeniedTarget::Call([arguments[0], arguments[1], arguments[2]]), "syscall.filter"), None))
        }
    }
}

/// Flags of an open that changes something.
const WRITES: i32 = crate::backend::WRITE_INTENT;

/// A denied read by a name that says nothing.
const UNSEEN: &str = "fs.unseen";

/// Is there no such thing, though the call failed as if there were? In `/proc` that is what entries of other processes do.
fn is_nowhere(asked: &Asked, policy: &FsPolicy, outside: &dyn Outside) -> bool {
    let path = &asked.plain();
    let missing = match outside.find(&asked.0) {
        Ok(real) => real.kind.is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    let by_name = path.components().next().is_some_and(|first| first != "proc");
    missing && (by_name || asked.1 == Entry::Own) && policy.decide(path, Access::Read).allowed
}

/// What the kernel executes for a text that begins with `#!` (execve(2)).
fn interpreter(script: &Asked, outside: &dyn Outside) -> Option<AbsPath> {
    let real = outside.find(&script.0).ok()?.path;
    let bytes = outside.first_bytes(&real).ok()?;
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    AbsPath::new(OsStr::from_bytes(line.trim_ascii().split(u8::is_ascii_whitespace).next()?))
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Read,
    /// Names and metadata: needs nothing of the file itself.
    Look,
    Execute,
    Change,
}

/// A path in the caller's words, absolute.
#[derive(Clone, Debug)]
struct Asked(PathBuf, Entry);

/// Does the path go through the caller's own entry in `/proc`, which ends with it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Own,
    None,
}

impl Asked {
    /// As if no component before a `..` were a link.
    fn plain(&self) -> AbsPath {
        AbsPath::resolve(&AbsPath::root(), &self.0)
    }
}

fn judge<'a>(asked: &Asked, want: Want, policy: &'a FsPolicy, outside: &dyn Outside) -> Option<(DeniedTarget, &'a str)> {
    // Where the links of a path lead cannot be found out, the path itself is judged.
    let real = outside.find(&asked.0).ok();
    let plain = asked.plain();
    let path = real.as_ref().map_or(&plain, |real| &real.path);
    let access = if want == Want::Change { Access::Write } else { Access::Read };
    let verdict = policy.decide(path, access);
    let exists = real.as_ref().is_some_and(|real| real.kind.is_some());
    if verdict.allowed || !would_succeed(path, want, exists, outside) {
        return None;
    }
    let bytes = path.as_path().as_os_str().as_bytes().to_vec();
    let target = if access == Access::Write { DeniedTarget::Write(bytes) } else { DeniedTarget::Read(bytes) };
    Some((target, &verdict.rule.id.0))
}

/// Would a change that the broker refused have failed outside too? Where reading is denied, something covers the object, and nobody inside can tell.
pub(super) fn fails_outside(denied: &Denied, policy: &FsPolicy, outside: &dyn Outside) -> bool {
    let hidden = policy.rule_named(&denied.rule).is_some_and(|rule| rule.effect == FsEffect::DenyRead);
    let path = match &denied.target {
        DeniedTarget::Write(path) if hidden => AbsPath::new(OsStr::from_bytes(path)),
        _ => None,
    };
    path.is_some_and(|path| {
        let exists = outside.real_path(&path).is_ok_and(|real| real.kind.is_some());
        !would_succeed(&path, Want::Change, exists, outside)
    })
}

fn would_succeed(path: &AbsPath, want: Want, exists: bool, outside: &dyn Outside) -> bool {
    use rustix::fs::Access as Permission;
    match want {
        Want::Read => exists && outside.may(path, Permission::READ_OK),
        Want::Look => exists,
        Want::Execute => exists && outside.may(path, Permission::EXEC_OK),
        Want::Change if exists => outside.may(path, Permission::WRITE_OK) || may_change_names(path, outside),
        Want::Change => may_change_names(path, outside),
    }
}

fn may_change_names(path: &AbsPath, outside: &dyn Outside) -> bool {
    path.parent().is_some_and(|parent| outside.may(&parent, rustix::fs::Access::WRITE_OK))
}

/// The path that begins in the directory at `place`; `None` where the record does not say all of it.
fn path(parsed: &Parsed<'_>, place: usize) -> Option<Asked> {
    let record = &parsed.record;
    let asked = OsStr::from_bytes(parsed.text(place + 1));
    let incomplete = if asked.as_bytes().first() == Some(&b'/') { flag::UNREADABLE } else { flag::CUT | flag::UNREADABLE };
    if record.flags & incomplete != 0 {
        return None;
    }
    let mut path = PathBuf::from("/");
    path.extend(parsed.names(place).map(OsStr::from_bytes));
    path.push(asked);
    Some(match own_entry(&path, record) {
        Some(own) => Asked(own, Entry::Own),
        None => Asked(path, Entry::None),
    })
}

/// `/proc/self` means the caller, whom the host knows by another number.
fn own_entry(path: &std::path::Path, record: &srt_ebpf::Record) -> Option<PathBuf> {
    let rest = path.strip_prefix("/proc").ok()?;
    let own = PathBuf::from(format!("/proc/{}", record.pid));
    match (rest.strip_prefix("self"), rest.strip_prefix("thread-self")) {
        (Ok(rest), _) => Some(own.join(rest)),
        (_, Ok(rest)) => Some(own.join("task").join(record.tid.to_string()).join(rest)),
        _ => None,
    }
}

/// Where a socket was to go.
enum Address {
    Path(AbsPath),
    Internet(SocketAddr),
}

/// A `struct sockaddr` of the caller's, of any length and content; `None` where it is no path and no address of the Internet.
fn address(bytes: &[u8]) -> Option<Address> {
    let (family, rest) = bytes.split_first_chunk()?;
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_UNIX => {
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            Some(Address::Path(AbsPath::new(OsStr::from_bytes(&rest[..end]))?))
        }
        libc::AF_INET => {
            let (port, rest) = rest.split_first_chunk()?;
            let ip: [u8; 4] = *rest.first_chunk()?;
            Some(Address::Internet(SocketAddr::new(Ipv4Addr::from(ip).into(), u16::from_be_bytes(*port))))
        }
        libc::AF_INET6 => {
            let (port, rest) = rest.split_first_chunk()?;
            let ip: [u8; 16] = *rest.get(4..)?.first_chunk()?;
            Some(Address::Internet(SocketAddr::new(Ipv6Addr::from(ip).into(), u16::from_be_bytes(*port))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io;

    use super::*;
    use srt_ebpf::Record;

    use crate::policy::testing::rule;
    use crate::policy::{FileKind, Matcher, RealPath};

    /// A host on which `/home/ada/link` leads to `/home/ada/.ssh/key`, and everything named `gone` is not there, `other` is somebody else's.
    struct Host;

    impl PathLookup for Host {
        fn real_path(&self, path: &AbsPath) -> io::Result<RealPath> {
            let text = path.to_string();
            let real = if text.ends_with("/link") { "/home/ada/.ssh/key".to_owned() } else { text };
            let kind = (!real.contains("gone")).then_some(FileKind::Other);
            Ok(RealPath { path: AbsPath::new(real).unwrap(), kind, links: Vec::new() })
        }

        fn children(&self, _: &AbsPath) -> io::Result<Vec<(OsString, FileKind)>> {
            Ok(Vec::new())
        }

        fn link_text(&self, _: &AbsPath) -> io::Result<OsString> {
            Err(io::ErrorKind::InvalidInput.into())
        }

        fn first_bytes(&self, _: &AbsPath) -> io::Result<Vec<u8>> {
            Ok(Vec::new())
        }
    }

    impl Outside for Host {
        fn may(&self, path: &AbsPath, _: rustix::fs::Access) -> bool {
            !path.to_string().contains("other")
        }
    }

    /// A record as the kernel's program writes it: directories are given as paths.
    fn record(call: libc::c_long, arguments: [u64; 6], texts: [&[u8]; 5]) -> Vec<u8> {
        let directory = |path: &[u8]| -> Vec<u8> {
            let names = path.rsplit(|byte| *byte == b'/').filter(|name| !name.is_empty());
            names.flat_map(|name| name.iter().copied().chain([0])).collect()
        };
        let texts = [directory(texts[0]), texts[1].to_vec(), directory(texts[2]), texts[3].to_vec(), texts[4].to_vec()];
        let lengths = texts.each_ref().map(|text| text.len() as u16);
        let fixed = Record { call: call as u32, errno: 13, arguments, lengths, ..Record::default() };
        fixed.as_bytes().iter().copied().chain(texts.concat()).collect()
    }

    fn told(bytes: &[u8], broker: bool) -> Option<(DeniedTarget, String, Option<Kind>)> {
        let rule = |id, effect, path: &str| rule(id, effect, Matcher::Path(AbsPath::new(path).unwrap()));
        let policy = FsPolicy::new(vec![
            rule("fs.deny-read.0", FsEffect::DenyRead, "/home/ada/.ssh"),
            rule("fs.allow-write.0", FsEffect::AllowWrite, "/work"),
        ]);
        let (denied, kind) = denial(&Record::parse(bytes).unwrap(), &policy, broker, &Host)?;
        Some((denied.target, denied.rule, kind))
    }

    const READ: [u64; 6] = [libc::AT_FDCWD as u64, 0, 0, 0, 0, 0];
    const WRITE: [u64; 6] = [libc::AT_FDCWD as u64, 0, libc::O_RDWR as u64, 0, 0, 0];

    fn open(arguments: [u64; 6], directory: &[u8], path: &[u8]) -> Vec<u8> {
        record(libc::SYS_openat, arguments, [directory, path, b"", b"", b""])
    }

    fn read(path: &str) -> Option<(DeniedTarget, String, Option<Kind>)> {
        Some((DeniedTarget::Read(path.into()), "fs.deny-read.0".to_owned(), None))
    }

    #[test]
    fn denied_reads_are_told_by_their_real_path_and_rule() {
        assert_eq!(told(&open(READ, b"/home/ada", b".ssh/key"), true), read("/home/ada/.ssh/key"));
        assert_eq!(told(&open(READ, b"/", b"/home/ada/link"), true), read("/home/ada/.ssh/key"));
        assert_eq!(told(&open(READ, b"/work/a/b", b"../../../home/ada/.ssh"), true), read("/home/ada/.ssh"));
    }

    #[test]
    fn failures_that_the_policy_has_no_part_in_are_none() {
        for (directory, path) in
            [(b"/home/ada".as_slice(), b"public".as_slice()), (b"/home/ada", b".ssh/gone"), (b"/home/ada/.ssh", b"other")]
        {
            assert_eq!(told(&open(READ, directory, path), true), None, "{}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn what_a_broker_tells_of_is_told_once() {
        let written = Some((DeniedTarget::Write(b"/etc/passwd".to_vec()), "fs.default-write".to_owned(), None));
        assert_eq!(told(&open(WRITE, b"/", b"etc/passwd"), false), written);
        assert_eq!(told(&open(WRITE, b"/", b"etc/passwd"), true), None);
    }

    #[test]
    fn the_name_that_is_denied_of_two_is_the_one_that_is_told() {
        let moved = record(libc::SYS_renameat2, [0; 6], [b"/work", b"a", b"/etc", b"b", b""]);
        assert_eq!(told(&moved, false).map(|told| told.0), Some(DeniedTarget::Write(b"/etc/b".to_vec())));
        let linked = record(libc::SYS_symlinkat, [0; 6], [b"", b"", b"/etc", b"c", b""]);
        assert_eq!(told(&linked, false).map(|told| told.0), Some(DeniedTarget::Write(b"/etc/c".to_vec())));
    }

    #[test]
    fn calls_without_paths_are_denials_where_the_filter_refuses_their_arguments() {
        let call = |number, arguments| told(&record(number, arguments, [b""; 5]), false).map(|told| told.1);
        assert_eq!(call(libc::SYS_mount, [0; 6]).as_deref(), Some("syscall.filter"));
        assert_eq!(call(libc::SYS_socket, [40, 1, 0, 0, 0, 0]).as_deref(), Some("syscall.filter"));
        assert_eq!(call(libc::SYS_socket, [libc::AF_INET as u64, 1, 0, 0, 0, 0]), None);
        assert_eq!(call(libc::SYS_getpid, [0; 6]), None);
    }

    #[test]
    fn addresses_of_any_length_and_family_are_read_or_are_none() {
        for length in 0..40 {
            for family in [0u16, 1, 2, 10, 40] {
                let mut bytes = family.to_ne_bytes().to_vec();
                bytes.resize(length, b'/');
                let _ = told(&record(libc::SYS_connect, [0; 6], [b"", b"", b"", b"", &bytes]), false);
            }
        }
        let inet = [&2u16.to_ne_bytes()[..], &443u16.to_be_bytes(), &[192, 0, 2, 1]].concat();
        let told = told(&record(libc::SYS_connect, [0; 6], [b"", b"", b"", b"", &inet]), false);
        assert_eq!(told.map(|told| told.0), Some(DeniedTarget::Write(b"192.0.2.1:443".to_vec())));
    }
}
