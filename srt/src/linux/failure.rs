//! What went wrong in `init`, small enough to be sent to the supervisor.

use rustix::io::Errno;

use crate::policy::AbsPath;

/// A step of the set-up that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// `<verb> <object>`.
    pub(super) action: String,
    /// The kernel's answer.
    pub(super) errno: Errno,
    /// Name of the gap that this is, where it is one.
    pub(super) gap: Option<&'static str>,
}

impl Failure {
    pub(super) fn new(action: impl Into<String>, errno: Errno) -> Self {
        Failure { action: action.into(), errno, gap: None }
    }

    pub(super) fn gap(mut self, name: &'static str) -> Self {
        self.gap = Some(name);
        self
    }
}

/// Says which step an error belongs to.
pub(super) trait Step<T> {
    /// A step without an object of its own.
    fn step(self, action: &str) -> Result<T, Failure>;
    /// A step on a path.
    fn step_at(self, verb: &str, path: &AbsPath) -> Result<T, Failure>;
    /// A step on something named.
    fn step_named(self, verb: &str, name: &str) -> Result<T, Failure>;
}

impl<T, E: Into<AnyErrno>> Step<T> for Result<T, E> {
    fn step(self, action: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(action, error.into().0))
    }

    fn step_at(self, verb: &str, path: &AbsPath) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{verb} {path}"), error.into().0))
    }

    fn step_named(self, verb: &str, name: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{verb} {name}"), error.into().0))
    }
}

/// An errno from either of the two forms that errors come in.
pub(super) struct AnyErrno(Errno);

impl From<Errno> for AnyErrno {
    fn from(errno: Errno) -> Self {
        AnyErrno(errno)
    }
}

impl From<std::io::Error> for AnyErrno {
    fn from(error: std::io::Error) -> Self {
        AnyErrno(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}
