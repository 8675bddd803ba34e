//! Calls in a storm of signals, as Go's runtime makes them, and callers that are killed in mid-call.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::answer::{Answer, Failure, Operation, number};
use crate::kernel::raw;
use crate::messages::{Address, aim};
use crate::path_calls::{CWD, address, c_path};
use crate::race::{Tally, disturbed};
use crate::sockets::socket;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "storm", arguments: &["restart|plain", "MICROSECONDS", "ROUNDS", "DIR"], run: storm },
    Operation { name: "kill-storm", arguments: &["DIR", "ROUNDS"], run: kill_storm },
];

/// Signals handled so far.
static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Handles a signal by counting it; with `SA_RESTART` or without.
pub(crate) fn handle(signal: libc::c_int, restart: bool) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = if restart { libc::SA_RESTART } else { 0 };
    // SAFETY: `action` lives through the call, and the handler does nothing but add to an atomic number, which is safe in a handler.
    if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn this_thread() -> io::Result<[libc::c_long; 2]> {
    Ok([raw(libc::SYS_getpid, [0; 6])?, raw(libc::SYS_gettid, [0; 6])?])
}

/// Creates, renames, removes, links and connects under a stream of signals; prints the answers that were not `ok`, and how many signals came.
fn storm(arguments: &[String]) -> Answer {
    let pause = Duration::from_micros(number(&arguments[1])? as u64);
    handle(libc::SIGURG, arguments[0] == "restart")?;
    let [process, thread] = this_thread()?;
    let send = |_| {
        drop(raw(libc::SYS_tgkill, [process, thread, libc::SIGURG.into(), 0, 0, 0]));
        std::thread::sleep(pause);
    };
    let names = Names::below(&arguments[3])?;
    let rounds = number(&arguments[2])?;
    let tally = disturbed(send, || names.rounds(rounds))?;
    let signals = HANDLED.load(Ordering::Relaxed);
    Ok(format!("{} signals={}", tally.text(), if signals > rounds as u64 / 100 { "many" } else { "few" }))
}

/// Calls until it is not interrupted. Had an interrupted call taken effect, the next one would find it.
fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What the storm works on.
struct Names {
    file: std::ffi::CString,
    moved: std::ffi::CString,
    linked: std::ffi::CString,
    server: Address,
}

impl Names {
    fn below(dir: &str) -> Result<Self, Failure> {
        let path = |name: &str| c_path(&format!("{dir}/{name}"));
        let server = Address::new(&format!("{dir}/server"))?;
        Ok(Names { file: path("file")?, moved: path("moved")?, linked: path("linked")?, server })
    }

    /// Each call is expected to succeed every time.
    fn rounds(&self, rounds: i64) -> Result<Tally, Failure> {
        let listener = socket(libc::AF_UNIX.into(), libc::SOCK_DGRAM.into(), 0)?;
        let listener = std::os::fd::IntoRawFd::into_raw_fd(listener).into();
        let (place, length) = self.server.place();
        again(|| raw(libc::SYS_bind, [listener, place, length, 0, 0, 0]))?;
        let [file, moved, linked] = [&self.file, &self.moved, &self.linked].map(address);
        let mut tally = Tally::default();
        for _ in 0..rounds {
            let opened = again(|| raw(libc::SYS_openat, [CWD, file, (libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY).into(), 0o644, 0, 0]));
            tally.add(&opened);
            if let Ok(fd) = opened {
                raw(libc::SYS_close, [fd, 0, 0, 0, 0, 0])?;
            }
            tally.add(&again(|| raw(libc::SYS_linkat, [CWD, file, CWD, linked, 0, 0])));
            tally.add(&again(|| raw(libc::SYS_renameat2, [CWD, file, CWD, moved, 0, 0])));
            tally.add(&again(|| raw(libc::SYS_unlinkat, [CWD, moved, 0, 0, 0, 0])));
            tally.add(&again(|| raw(libc::SYS_unlinkat, [CWD, linked, 0, 0, 0, 0])));
            let client = socket(libc::AF_UNIX.into(), libc::SOCK_DGRAM.into(), 0)?;
            tally.add(&again(|| aim("connect", std::os::fd::AsRawFd::as_raw_fd(&client).into(), self.server.place())));
        }
        Ok(tally)
    }
}

/// Kills child after child while it makes calls, each a little later than the one before; whoever serves the calls must survive that.
fn kill_storm(arguments: &[String]) -> Answer {
    let program = std::env::current_exe()?;
    for round in 0..number(&arguments[1])? as u64 {
        let dir = format!("{}/{}", arguments[0], round % 7);
        std::fs::create_dir_all(&dir)?;
        let mut child = std::process::Command::new(&program)
            .args(["hammer", "rename-from", &format!("{dir}/file"), &format!("{dir}/moved"), "1000000000"])
            .spawn()?;
        std::thread::sleep(Duration::from_micros(1000 + round * 37 % 3000));
        child.kill()?;
        child.wait()?;
    }
    let after = format!("{}/after", arguments[0]);
    std::fs::write(&after, "x")?;
    Ok(std::fs::read_to_string(after)?)
}
