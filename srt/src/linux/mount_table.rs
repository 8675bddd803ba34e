//! The mounts of this process, as the kernel lists them.
//!
//! See proc_pid_mountinfo(5).

use std::os::unix::ffi::OsStrExt as _;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::failure::Failure;
use super::script::MountStep;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where, from the root of this process.
    pub(super) point: Vec<u8>,
    /// Flags of the mount itself (not of its file system).
    pub(super) flags: MountFlags,
}

impl Mount {
    /// Does it lie at `top` or below?
    pub(super) fn is_within(&self, top: &[u8]) -> bool {
        top == b"/" || self.point.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

/// Reads the table, in the order of mounting.
pub(super) fn read() -> Result<Vec<Mount>, Errno> {
    let text = std::fs::read("/proc/self/mountinfo").map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// Fields: id, parent, device, root, mount point, options, and what is not needed here.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    Some(Mount { point: unescape(point), flags: flags(options) })
}

/// Checks that the file tree is what the plan says: the topmost mount at each step's path can be written where the step allows it, and nowhere else.
///
/// Costs about 50 µs, so it runs in debug builds, and with them in all tests.
pub(super) fn compare(steps: &[MountStep]) -> Result<(), Failure> {
    let failure = |step: &MountStep, errno| Failure::new(format!("find the planned mount at {}", step.path()), errno);
    let table = read().map_err(|errno| Failure::new("read the mount table", errno))?;
    for step in steps {
        let point = step.path().as_path().as_os_str().as_bytes();
        let Some(mount) = table.iter().rev().find(|mount| mount.point == point) else {
            // Whoever removes it outside takes our mount away with it (rmdir(2) since Linux 3.18): the last of the runs that share a directory does.
            if matches!(step, MountStep::Hide { .. }) && step.path().as_path().symlink_metadata().is_err() {
                continue;
            }
            return Err(failure(step, Errno::NOENT));
        };
        let writable = matches!(step, MountStep::Bind { writable: true, .. });
        // A tree that was read-only for the caller stays so.
        if !writable && !mount.flags.contains(MountFlags::RDONLY) {
            return Err(failure(step, Errno::ROFS));
        }
    }
    Ok(())
}

/// Octal escapes: space, tab, newline, backslash.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let octal = text.get(at + 1..at + 4).filter(|digits| text[at] == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match octal {
            Some(digits) => {
                out.push(digits.iter().fold(0u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                at += 4;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

fn flags(options: &[u8]) -> MountFlags {
    options.split(|byte| *byte == b',').fold(MountFlags::empty(), |flags, option| {
        flags
            | match option {
                b"ro" => MountFlags::RDONLY,
                b"nosuid" => MountFlags::NOSUID,
                b"nodev" => MountFlags::NODEV,
                b"noexec" => MountFlags::NOEXEC,
                b"noatime" => MountFlags::NOATIME,
                b"nodiratime" => MountFlags::NODIRATIME,
                b"relatime" => MountFlags::RELATIME,
                _ => MountFlags::empty(),
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table_are_understood() {
        let line = b"36 35 98:0 /mnt1 /mnt\\0402 ro,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = parse(line).unwrap();
        assert_eq!(mount, Mount { point: b"/mnt 2".to_vec(), flags: MountFlags::RDONLY | MountFlags::NOATIME });
        assert!(mount.is_within(b"/") && mount.is_within(b"/mnt 2") && !mount.is_within(b"/mnt"));
        assert_eq!(parse(b"short line"), None);
    }

    #[test]
    fn what_was_removed_need_not_be_hidden_and_what_is_there_must() {
        let hide = |name: &str| MountStep::Hide { path: crate::policy::AbsPath::root().join("proc").join(name), directory: true };
        assert!(compare(&[hide("no-such-directory")]).is_ok());
        assert!(compare(&[hide("self")]).is_err());
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(b"/a\\040b\\134c"), b"/a b\\c");
        assert_eq!(unescape(b"/plain\\04"), b"/plain\\04");
    }
}
