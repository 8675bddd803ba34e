//! The calls that only macOS has, as values: whoever tests this backend elsewhere brings others.

use std::ffi::CStr;
use std::fmt;
use std::path::PathBuf;

use super::Tree;

/// Puts this process under a profile. The error is the kernel's or the library's own text.
pub type Confine = dyn Fn(&CStr) -> Result<(), String>;

/// Finds every process of a run that is left, by id; those of others never.
pub type Members = dyn Fn(&Tree) -> Vec<i32>;

/// How the command is put under its profile.
pub enum Way {
    /// By this call, in the new process.
    Call(Box<Confine>),
    /// By a program that takes `-p PROFILE PROGRAM ARGUMENT…`: sandbox-exec(1).
    Program(PathBuf),
}

/// What the backend needs of the system.
pub struct Os {
    /// Confinement.
    pub way: Way,
    /// What is left of a run.
    pub members: Box<Members>,
    /// `/usr/bin/log`.
    pub log: PathBuf,
    /// Threads of this process.
    pub threads: fn() -> std::io::Result<usize>,
}

impl fmt::Debug for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match &self.way {
            Way::Call(_) => "call".to_owned(),
            Way::Program(program) => program.display().to_string(),
        };
        f.debug_struct("Os").field("way", &way).field("log", &self.log).finish_non_exhaustive()
    }
}
