//! What an operation returns, and names of errno values.

use std::io;

/// The text to print, or why there is none.
pub(crate) type Answer = Result<String, Failure>;

/// Why an operation has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The kernel said no, with this errno.
    Errno(i32),
    /// The command line was wrong.
    Usage(String),
    /// Something else than a system call failed.
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or_else(|| Failure::Other(error.to_string()), Failure::Errno)
    }
}

/// One row of the command table.
pub(crate) struct Operation {
    /// What is written on the command line.
    pub(crate) name: &'static str,
    /// Names of the arguments it needs; more may follow.
    pub(crate) arguments: &'static [&'static str],
    /// Does it.
    pub(crate) run: fn(&[String]) -> Answer,
}

/// The answer of an operation that has nothing to tell but success.
pub(crate) fn ok<T>(result: io::Result<T>) -> Answer {
    result?;
    Ok("ok".into())
}

/// Reads a number: decimal, or with the prefix `0x` or `0o`.
pub(crate) fn number(text: &str) -> Result<i64, Failure> {
    let parsed = match text.get(..2) {
        Some("0x") => i64::from_str_radix(&text[2..], 16),
        Some("0o") => i64::from_str_radix(&text[2..], 8),
        _ => text.parse(),
    };
    parsed.map_err(|_| Failure::Usage(format!("{text} is not a number")))
}

/// `EROFS` for 30, and so on; the number where the table has no name.
pub(crate) fn errno_name(code: i32) -> String {
    ERRNO.iter().find(|(value, _)| *value == code).map_or_else(|| format!("errno {code}"), |(_, name)| (*name).to_owned())
}

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

/// The errno values that a sandbox may answer with.
const ERRNO: &[(i32, &str)] = names!(
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV
    ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE ERANGE ENAMETOOLONG ENOSYS ENOTEMPTY
    ELOOP EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT
    EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNABORTED ECONNRESET ENOTCONN ETIMEDOUT ECONNREFUSED EHOSTUNREACH
    EALREADY EINPROGRESS ESTALE EDQUOT ENOKEY EKEYREJECTED ENODATA
);
