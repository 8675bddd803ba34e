//! What the kernel program and `srt` say to each other.
//!
//! One definition for both sides. The program writes a [`Record`] and the texts that belong to it into a ring buffer; `srt` reads them with [`Record::parse`],
//! which believes nothing. Before it loads the program, `srt` fills in [`Layout`] (where the fields of this kernel's structures lie) and [`Calls`] (which system
//! calls are looked at, and which of their arguments say what they are about), so that one object serves all kernels and architectures.
//!
//! Integers are in the machine's own order: both sides run on it.

#![no_std]

/// System-call numbers that can be looked at: below this.
pub const MOST_CALLS: usize = 512;

/// A [`Shape`] field: the call has no such argument.
pub const NONE: u8 = 0xff;
/// A [`Shape`] field for a directory: paths start at the working directory.
pub const WORKING_DIRECTORY: u8 = 0xfe;

/// Longest text of one kind in a record: `PATH_MAX` of Linux, with its NUL.
pub const MOST_TEXT: usize = 4096;
/// Longest directory in a record, and the most names in it. What is deeper is reported as [`flag::CUT`].
pub const MOST_DIRECTORY: usize = 2048;
/// Names of one directory, at most.
pub const MOST_NAMES: usize = 36;
/// Longest socket address: `struct sockaddr_storage`.
pub const MOST_ADDRESS: usize = 128;

/// Which arguments of a call say what it is about. Each field is the number of an argument, 0 to 5, or [`NONE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Is the call looked at? See [`wanted`].
    pub wanted: u8,
    /// The path, or the first of two.
    pub path: u8,
    /// The descriptor that it is relative to, or [`WORKING_DIRECTORY`]. Without a path: the object itself.
    pub directory: u8,
    /// The second path.
    pub second_path: u8,
    /// As `directory`, for the second path.
    pub second_directory: u8,
    /// The socket address; its length is in the next argument.
    pub address: u8,
    /// The `struct msghdr` that holds the address.
    pub message: u8,
    /// Keeps the size a power of two.
    pub reserved: u8,
}

/// Values of [`Shape::wanted`].
pub mod wanted {
    /// Not looked at.
    pub const NEVER: u8 = 0;
    /// Looked at in every sandbox.
    pub const ALWAYS: u8 = 1;
    /// Looked at in sandboxes without a broker, which would tell of it otherwise.
    pub const WITHOUT_BROKER: u8 = 2;
}

impl Shape {
    /// A call that is not looked at.
    pub const UNWANTED: Shape = Shape { wanted: wanted::NEVER, ..Shape::PLAIN };
    /// A call with nothing but numbers.
    pub const PLAIN: Shape = Shape {
        wanted: wanted::WITHOUT_BROKER,
        path: NONE,
        directory: NONE,
        second_path: NONE,
        second_directory: NONE,
        address: NONE,
        message: NONE,
        reserved: 0,
    };
}

/// All calls by number.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Calls(pub [Shape; MOST_CALLS]);

/// Byte offsets in this kernel's structures, from its BTF; and those in `struct pt_regs`, which are the architecture's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Registers: the call's number, then its arguments.
    pub regs_call: u32,
    /// The arguments.
    pub regs_arguments: [u32; 6],
    /// What the call returns, where a filter has written it.
    pub regs_result: u32,
    /// `task_struct.thread_pid`.
    pub task_thread_pid: u32,
    /// `task_struct.fs`.
    pub task_fs: u32,
    /// `task_struct.files`.
    pub task_files: u32,
    /// `pid.level`.
    pub pid_level: u32,
    /// `pid.numbers`.
    pub pid_numbers: u32,
    /// Size of one of them: `struct upid`.
    pub upid_size: u32,
    /// `upid.ns`.
    pub upid_ns: u32,
    /// `pid_namespace.ns.inum`.
    pub pid_ns_inum: u32,
    /// `fs_struct.pwd`.
    pub fs_pwd: u32,
    /// `fs_struct.root`.
    pub fs_root: u32,
    /// `files_struct.fdt`.
    pub files_fdt: u32,
    /// `fdtable.max_fds`.
    pub fdt_max_fds: u32,
    /// `fdtable.fd`.
    pub fdt_fd: u32,
    /// `file.f_path`.
    pub file_path: u32,
    /// `path.mnt`.
    pub path_mnt: u32,
    /// `path.dentry`.
    pub path_dentry: u32,
    /// `dentry.d_parent`.
    pub dentry_parent: u32,
    /// `dentry.d_name.name`.
    pub dentry_name: u32,
    /// `vfsmount.mnt_root`.
    pub vfsmount_root: u32,
    /// `mount.mnt`: what lies before it.
    pub mount_mnt: u32,
    /// `mount.mnt_parent`.
    pub mount_parent: u32,
    /// `mount.mnt_mountpoint`.
    pub mount_mountpoint: u32,
}

impl Layout {
    /// Before it is filled in.
    pub const UNKNOWN: Layout = Layout {
        regs_call: 0,
        regs_arguments: [0; 6],
        regs_result: 0,
        task_thread_pid: 0,
        task_fs: 0,
        task_files: 0,
        pid_level: 0,
        pid_numbers: 0,
        upid_size: 0,
        upid_ns: 0,
        pid_ns_inum: 0,
        fs_pwd: 0,
        fs_root: 0,
        files_fdt: 0,
        fdt_max_fds: 0,
        fdt_fd: 0,
        file_path: 0,
        path_mnt: 0,
        path_dentry: 0,
        dentry_parent: 0,
        dentry_name: 0,
        vfsmount_root: 0,
        mount_mnt: 0,
        mount_parent: 0,
        mount_mountpoint: 0,
    };
}

/// What is kept of each sandbox, by the inode number of its pid namespace.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Records that did not fit into the ring buffer.
    pub lost: u64,
    /// Bits of [`watch`].
    pub watch: u64,
}

/// Bits of [`Sandbox::watch`].
pub mod watch {
    /// `ENOENT` is looked at too: where names are hidden, it is how that shows.
    pub const MISSING: u64 = 1;
    /// A broker tells of everything but reading and executing.
    pub const BROKER: u64 = 2;
}

/// Bits of [`Record::flags`].
pub mod flag {
    /// A directory was deeper or longer than fits.
    pub const CUT: u16 = 1;
    /// A text could not be read: the caller's memory is not there any more, or never was.
    pub const UNREADABLE: u16 = 2;
}

/// One denied call. After it come its texts, each as long as its length says: directory, path, second directory, second path, address.
///
/// A directory is its names from the innermost to the outermost, each ended by NUL; empty where it is the root.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// When, in ns since boot (`CLOCK_BOOTTIME`).
    pub time: u64,
    /// The arguments.
    pub arguments: [u64; 6],
    /// Inode number of the pid namespace.
    pub pid_ns: u32,
    /// Process id on the host.
    pub pid: u32,
    /// Thread id on the host.
    pub tid: u32,
    /// Number of the system call.
    pub call: u32,
    /// What the caller saw: a positive errno.
    pub errno: u32,
    /// Lengths of the texts that follow, in bytes.
    pub lengths: [u16; 5],
    /// Bits of [`flag`].
    pub flags: u16,
    /// The thread's name, ended by NUL.
    pub comm: [u8; 16],
}

/// Places in [`Record::lengths`].
pub mod text {
    /// Where the path starts.
    pub const DIRECTORY: usize = 0;
    /// The path as the caller spelled it, without its NUL.
    pub const PATH: usize = 1;
    /// Where the second path starts.
    pub const SECOND_DIRECTORY: usize = 2;
    /// The second path.
    pub const SECOND_PATH: usize = 3;
    /// A `struct sockaddr`.
    pub const ADDRESS: usize = 4;
}

/// Longest record with its texts.
pub const MOST_RECORD: usize = size_of::<Record>() + 2 * MOST_DIRECTORY + 2 * MOST_TEXT + MOST_ADDRESS;

// The program and `srt` are built apart, perhaps years apart.
const _: () = {
    assert!(size_of::<Shape>() == 8);
    assert!(size_of::<Calls>() == 8 * MOST_CALLS);
    assert!(size_of::<Layout>() == 4 * 30 && align_of::<Layout>() == 4);
    assert!(size_of::<Sandbox>() == 16);
    assert!(size_of::<Record>() == 104 && align_of::<Record>() == 8);
};

/// A record with its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// What has a fixed size.
    pub record: Record,
    texts: [&'a [u8]; 5],
}

impl Layout {
    /// As the program sees it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: made of integers of one size, without gaps.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }
}

impl Calls {
    /// As the program sees it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: made of bytes.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }
}

impl Record {
    /// As it lies in the ring buffer.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; size_of::<Record>()] {
        // SAFETY: made of integers, without gaps (asserted above: the fields fill it).
        unsafe { &*(&raw const *self).cast() }
    }

    /// Reads a record with its texts. `None` for anything but exactly one record as the program writes it: cut short, with bytes left over, with a text longer than any can be.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Parsed<'_>> {
        let (fixed, mut rest) = bytes.split_first_chunk::<{ size_of::<Record>() }>()?;
        // SAFETY: any bytes are a record; it need not be aligned.
        let record = unsafe { core::ptr::read_unaligned(fixed.as_ptr().cast::<Record>()) };
        let limits = [MOST_DIRECTORY, MOST_TEXT, MOST_DIRECTORY, MOST_TEXT, MOST_ADDRESS];
        let mut texts = [&[][..]; 5];
        for ((text, length), limit) in texts.iter_mut().zip(record.lengths).zip(limits) {
            if usize::from(length) > limit {
                return None;
            }
            (*text, rest) = rest.split_at_checked(usize::from(length))?;
        }
        (rest.is_empty() && (1..4096).contains(&record.errno)).then_some(Parsed { record, texts })
    }
}

impl<'a> Parsed<'a> {
    /// The names of a directory from the root inwards, where `place` is [`text::DIRECTORY`] or [`text::SECOND_DIRECTORY`].
    pub fn names(&self, place: usize) -> impl Iterator<Item = &'a [u8]> {
        self.text(place).rsplit(|byte| *byte == 0).filter(|name| !name.is_empty())
    }

    /// The name of the thread.
    #[must_use]
    pub fn comm(&self) -> &[u8] {
        let comm = &self.record.comm;
        &comm[..comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len())]
    }

    /// One text; see [`text`].
    #[must_use]
    pub fn text(&self, place: usize) -> &'a [u8] {
        self.texts.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn sample() -> Vec<u8> {
        let record = Record { pid: 7, errno: 13, lengths: [9, 5, 0, 0, 2], comm: *b"cat\0xxxxxxxxxxxx", ..Record::default() };
        let mut bytes = record.as_bytes().to_vec();
        bytes.extend(b"work\0ada\0".get(..9).unwrap());
        bytes.extend(b"a/b.c");
        bytes.extend([1, 0]);
        bytes
    }

    #[test]
    fn a_record_is_read_back_with_its_texts() {
        let bytes = sample();
        let parsed = Record::parse(&bytes).unwrap();
        assert_eq!((parsed.record.pid, parsed.record.errno), (7, 13));
        assert_eq!(parsed.names(text::DIRECTORY).collect::<Vec<_>>(), [b"ada".as_slice(), b"work"]);
        assert_eq!(
            (parsed.text(text::PATH), parsed.text(text::SECOND_PATH), parsed.text(text::ADDRESS)),
            (&b"a/b.c"[..], &b""[..], &[1, 0][..])
        );
        assert_eq!((parsed.comm(), parsed.text(9)), (&b"cat"[..], &b""[..]));
    }

    #[test]
    fn whatever_is_not_exactly_one_record_is_refused() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert_eq!(Record::parse(&bytes[..length]), None, "{length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Record::parse(&longer), None);
        for (record, why) in [
            (Record { errno: 0, ..Record::default() }, "no error"),
            (Record { errno: 5000, ..Record::default() }, "no errno"),
            (Record { errno: 1, lengths: [u16::MAX, 0, 0, 0, 0], ..Record::default() }, "a length beyond all texts"),
        ] {
            let mut bytes = record.as_bytes().to_vec();
            bytes.resize(bytes.len() + usize::from(record.lengths[0]), 0);
            assert_eq!(Record::parse(&bytes), None, "{why}");
        }
    }
}
