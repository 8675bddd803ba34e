//! What is executed: the program, where to look for it, its arguments and its environment. Pure.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use crate::host::Facts;
use crate::plan::Environment;
use crate::policy::AbsPath;

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program, as typed, and its arguments. Not empty.
    pub argv: Vec<OsString>,
    /// Descriptors above 2 that the command gets, by the same numbers.
    pub pass_fds: Vec<RawFd>,
    /// SIGPIPE is ignored, as the caller ignored it; else it has its default action.
    pub ignore_sigpipe: bool,
}

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exec {
    /// As typed, for messages.
    pub program: OsString,
    /// Paths to try in turn (execvp(3)).
    pub candidates: Vec<CString>,
    /// Arguments, the program's name included.
    pub arguments: Vec<CString>,
    /// `NAME=value`.
    pub environment: Vec<CString>,
    /// Working directory.
    pub cwd: AbsPath,
    /// Descriptors that stay open.
    pub pass_fds: Vec<RawFd>,
    /// SIGPIPE is ignored.
    pub ignore_sigpipe: bool,
}

/// An argument or a variable holds a NUL byte, which execve(2) cannot carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NulByte;

impl std::fmt::Display for NulByte {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an argument holds a NUL byte")
    }
}

impl Exec {
    /// What `command` becomes under the changes to the caller's environment.
    ///
    /// # Errors
    /// A NUL byte in an argument or in a variable.
    pub(crate) fn new(changes: &Environment, command: &Command, facts: &Facts) -> Result<Exec, NulByte> {
        let environment = environment(changes, facts);
        let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
        let program = command.argv.first().cloned().unwrap_or_default();
        Ok(Exec {
            candidates: candidates(&program, path)?,
            arguments: command.argv.iter().map(|argument| c_string(argument)).collect::<Result<_, _>>()?,
            environment: environment.iter().map(|(name, value)| variable(name, value)).collect::<Result<_, _>>()?,
            program,
            cwd: facts.cwd.clone(),
            pass_fds: command.pass_fds.clone(),
            ignore_sigpipe: command.ignore_sigpipe,
        })
    }
}

/// Where to look for the program: as execvp(3), with the path that it uses when `PATH` is not set.
fn candidates(program: &OsStr, path: Option<&OsStr>) -> Result<Vec<CString>, NulByte> {
    if program.as_bytes().contains(&b'/') || program.is_empty() {
        return Ok(vec![c_string(program)?]);
    }
    let path = path.unwrap_or(OsStr::new("/bin:/usr/bin")).as_bytes();
    path.split(|byte| *byte == b':')
        .map(|directory| {
            let directory = if directory.is_empty() { b".".as_slice() } else { directory };
            CString::new([directory, b"/", program.as_bytes()].concat()).map_err(|_| NulByte)
        })
        .collect()
}

fn environment(changes: &Environment, facts: &Facts) -> Vec<(OsString, OsString)> {
    let mut environment = facts.env.clone();
    for name in &changes.unset {
        environment.remove(OsStr::new(name));
    }
    for (name, value) in &changes.set {
        environment.insert((*name).into(), value.clone());
    }
    add_git_directories(&changes.git_safe_directories, &mut environment);
    environment.into_iter().collect()
}

/// `GIT_CONFIG_COUNT` and its pairs, continued where the caller has some already (git-config(1)).
fn add_git_directories(directories: &[String], environment: &mut std::collections::BTreeMap<OsString, OsString>) {
    if directories.is_empty() {
        return;
    }
    let count = environment.get(OsStr::new("GIT_CONFIG_COUNT")).and_then(|count| count.to_str()?.parse::<usize>().ok()).unwrap_or(0);
    for (index, directory) in (count..).zip(directories) {
        environment.insert(format!("GIT_CONFIG_KEY_{index}").into(), "safe.directory".into());
        environment.insert(format!("GIT_CONFIG_VALUE_{index}").into(), directory.into());
    }
    environment.insert("GIT_CONFIG_COUNT".into(), (count + directories.len()).to_string().into());
}

fn variable(name: &OsStr, value: &OsStr) -> Result<CString, NulByte> {
    let mut text = name.to_owned();
    text.push("=");
    text.push(value);
    CString::new(text.into_vec()).map_err(|_| NulByte)
}

fn c_string(text: &OsStr) -> Result<CString, NulByte> {
    CString::new(text.as_bytes()).map_err(|_| NulByte)
}
