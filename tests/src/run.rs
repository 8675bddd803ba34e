//! Running a program as an identity, with a time limit.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Area, Identity, Outcome, patience};

/// Seconds that a run may take before it is killed and the test fails. Not an expectation: only an end to what hangs.
const LIMIT: u64 = 60;

/// A command line being put together.
pub struct Program {
    who: Identity,
    path: PathBuf,
    arguments: Vec<String>,
    cwd: PathBuf,
    environment: Vec<(String, String)>,
    stdin: Vec<u8>,
    limit: Duration,
    through_shell: Option<String>,
    own_group: bool,
}

impl Program {
    /// `path` as the owner of `area`, in its `work/`, with a small environment of its own.
    pub(crate) fn new(area: &Area, path: &Path) -> Self {
        let set = |name: &str, value: String| (name.to_owned(), value);
        Program {
            who: area.who,
            path: path.to_owned(),
            arguments: Vec::new(),
            cwd: area.path("work"),
            environment: vec![
                set("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()),
                set("HOME", area.text("home")),
                set("TMPDIR", area.text("tmp")),
                set("XDG_STATE_HOME", area.state().display().to_string()),
                set("LANG", "C.UTF-8".into()),
                set("TERM", "xterm".into()),
            ],
            stdin: Vec::new(),
            limit: patience(LIMIT),
            through_shell: None,
            own_group: false,
        }
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Another working directory.
    #[must_use]
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = path.into();
        self
    }

    /// One variable of the caller's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Bytes for standard input; empty input otherwise.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Another time limit; longer on slow machines.
    #[must_use]
    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = patience(seconds);
        self
    }

    /// Lets a shell outside start it: `text` holds `exec "$@"` with redirections, for instance `exec "$@" 0<&-`.
    #[must_use]
    pub fn through_shell(mut self, text: &str) -> Self {
        self.through_shell = Some(text.to_owned());
        self
    }

    /// In a process group of its own: for programs that signal their group.
    #[must_use]
    pub fn in_own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Program and arguments, for use on another command line.
    pub fn words(&self) -> Vec<String> {
        std::iter::once(self.path.display().to_string()).chain(self.arguments.iter().cloned()).collect()
    }

    /// As a `Command` with identity, directory and environment, but no streams yet.
    pub fn command(&self) -> Command {
        let mut command = match &self.through_shell {
            Some(text) => {
                let mut shell = Command::new("/bin/bash");
                shell.args(["-c", text, "shell"]).arg(&self.path);
                shell
            }
            None => Command::new(&self.path),
        };
        command.args(&self.arguments).current_dir(&self.cwd).env_clear().envs(self.environment.iter().cloned());
        self.who.apply(&mut command);
        if self.own_group {
            command.process_group(0);
        }
        command
    }

    /// Starts it with pipes for the three streams.
    ///
    /// # Panics
    /// When it cannot be started at all.
    pub fn spawn(self) -> Running {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", self.path.display()));
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let input = self.stdin.clone();
        // A program that does not read its input closes the pipe early: no fault of the writer.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = collect(child.stdout.take().expect("stdout is a pipe"));
        let stderr = collect(child.stderr.take().expect("stderr is a pipe"));
        Running { shown: self.words().join(" "), limit: self.limit, child, stdout, stderr, writer }
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.spawn().wait()
    }
}

/// Bytes read so far, and the thread that reads them.
type Collected = (std::sync::Arc<std::sync::Mutex<Vec<u8>>>, JoinHandle<()>);

fn collect(mut stream: impl Read + Send + 'static) -> Collected {
    let bytes = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let shared = bytes.clone();
    let reader = std::thread::spawn(move || {
        let mut block = [0; 16 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut block) {
            shared.lock().expect("no holder panics").extend_from_slice(&block[..count]);
        }
    });
    (bytes, reader)
}

/// A program that was started.
pub struct Running {
    shown: String,
    limit: Duration,
    child: Child,
    stdout: Collected,
    stderr: Collected,
    writer: JoinHandle<()>,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard output up to now.
    pub fn stdout_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stdout.0.lock().expect("no holder panics")).into_owned()
    }

    /// Waits until standard output holds `text`.
    ///
    /// # Panics
    /// When the program ends, or the time limit passes, before that.
    pub fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        while !self.stdout_so_far().contains(text) {
            // What it wrote may still be in the pipe.
            let ended = self.child.try_wait().expect("a child can be waited for").is_some() && self.stdout.1.is_finished();
            if (ended && !self.stdout_so_far().contains(text)) || start.elapsed() > self.limit {
                let stderr = String::from_utf8_lossy(&self.stderr.0.lock().expect("no holder panics")).into_owned();
                drop(self.child.kill());
                panic!("{}: no {text:?} (ended: {ended})\nstdout: {}\nstderr: {stderr}", self.shown, self.stdout_so_far());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to the process started, and to no other.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a child not yet waited for can be signalled");
    }

    /// Waits for its end. At the time limit it is killed, by its id, and the test fails.
    pub fn wait(mut self) -> Outcome {
        let status = self.wait_status();
        drop(self.writer.join());
        drop(self.stdout.1.join());
        drop(self.stderr.1.join());
        let taken = |bytes: &std::sync::Mutex<Vec<u8>>| std::mem::take(&mut *bytes.lock().expect("no holder panics"));
        Outcome::new(self.shown, status, taken(&self.stdout.0), taken(&self.stderr.0))
    }

    fn wait_status(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            if start.elapsed() > self.limit {
                drop(self.child.kill());
                drop(self.child.wait());
                panic!("{} did not end within {:?}\nstdout: {}", self.shown, self.limit, self.stdout_so_far());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
