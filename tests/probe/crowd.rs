//! Many callers at once: threads that create files, opens that block, programs that are written and run at once.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Barrier, RwLock};
use std::thread::ScopedJoinHandle;

use crate::answer::{Answer, Failure, Operation, number};
use crate::kernel::raw;
use crate::messages::{Address, aim};
use crate::path_calls::{CWD, address, c_path};
use crate::race::Tally;
use crate::sockets::socket;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "create-by-threads", arguments: &["DIR", "THREADS", "FILES"], run: create_by_threads },
    Operation { name: "blocked-fifos", arguments: &["DIR", "COUNT"], run: blocked_fifos },
    Operation { name: "blocked-connects", arguments: &["DIR", "COUNT"], run: blocked_connects },
    Operation { name: "write-and-run", arguments: &["DIR", "THREADS", "ROUNDS"], run: write_and_run },
];

/// Each thread creates files `T-N` that hold their own name; all start at the same moment. Prints how many were made.
fn create_by_threads(arguments: &[String]) -> Answer {
    let (threads, files) = (number(&arguments[1])? as usize, number(&arguments[2])?);
    let dir = Path::new(&arguments[0]);
    let start = Barrier::new(threads);
    let create = |thread: usize| -> Result<usize, Failure> {
        start.wait();
        for file in 0..files {
            let name = format!("{thread}-{file}");
            fs::write(dir.join(&name), &name)?;
        }
        Ok(files as usize)
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || create(thread))).collect();
        Ok(sum(all)?.to_string())
    })
}

fn sum(threads: Vec<ScopedJoinHandle<'_, Result<usize, Failure>>>) -> Result<usize, Failure> {
    let mut total = 0;
    for thread in threads {
        total += thread.join().map_err(|_| Failure::Other("a thread panicked".into()))??;
    }
    Ok(total)
}

/// COUNT threads wait for the other end of a FIFO each; meanwhile files are created; then the other ends come.
fn blocked_fifos(arguments: &[String]) -> Answer {
    let (dir, count) = (&arguments[0], number(&arguments[1])? as usize);
    let fifos: Result<Vec<CString>, Failure> = (0..count).map(|place| c_path(&format!("{dir}/fifo-{place}"))).collect();
    let fifos = fifos?;
    for fifo in &fifos {
        raw(libc::SYS_mknodat, [CWD, address(fifo), libc::S_IFIFO as libc::c_long | 0o600, 0, 0, 0])?;
    }
    let open = |fifo: &CString, flags: libc::c_int| raw(libc::SYS_openat, [CWD, address(fifo), flags.into(), 0, 0, 0]);
    std::thread::scope(|scope| {
        // Writers: an open for reading alone is nobody's business but the kernel's.
        let all: Vec<_> =
            fifos.iter().map(|fifo| scope.spawn(move || open(fifo, libc::O_WRONLY).map(|_| 1).map_err(Failure::from))).collect();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let early = all.iter().filter(|thread| thread.is_finished()).count();
        for file in 0..count {
            fs::write(format!("{dir}/file-{file}"), "x")?;
        }
        for fifo in &fifos {
            open(fifo, libc::O_RDONLY)?;
        }
        Ok(format!("early={early} opened={}", sum(all)?))
    })
}

/// COUNT threads connect to a server that accepts nobody; meanwhile files are created, and a non-blocking socket gets its answer at once;
/// then all are accepted.
fn blocked_connects(arguments: &[String]) -> Answer {
    let (dir, count) = (&arguments[0], number(&arguments[1])? as usize);
    let path = format!("{dir}/busy");
    let server = UnixListener::bind(&path)?;
    raw(libc::SYS_listen, [server.as_raw_fd().into(), 0, 0, 0, 0, 0])?;
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..count).map(|_| scope.spawn(|| UnixStream::connect(&path).map(|_| 1).map_err(Failure::from))).collect();
        std::thread::sleep(std::time::Duration::from_millis(300));
        for file in 0..count {
            fs::write(format!("{dir}/file-{file}"), "x")?;
        }
        let hasty = socket(libc::AF_UNIX.into(), (libc::SOCK_STREAM | libc::SOCK_NONBLOCK).into(), 0)?;
        let answer = aim("connect", hasty.as_raw_fd().into(), Address::new(&path)?.place());
        let early = all.iter().filter(|thread| thread.is_finished()).count();
        for _ in 0..count {
            server.accept()?;
        }
        let mut hasty = Tally::default();
        hasty.add(&answer);
        Ok(format!("early={} {} connected={}", early > 2, hasty.text(), sum(all)?))
    })
}

/// Each thread writes a program, closes it, and runs it at once, again and again; prints how many ran.
fn write_and_run(arguments: &[String]) -> Answer {
    let (threads, rounds) = (number(&arguments[1])? as usize, number(&arguments[2])? as usize);
    let dir = Path::new(&arguments[0]);
    let source = fs::read("/bin/true")?;
    // A fork of one thread would inherit what another has open for writing, and its program would be busy until the exec: the
    // well-known race of every threaded program, which Go and others end with such a lock too.
    let forking = RwLock::new(());
    let round = |path: &Path| -> Result<bool, Failure> {
        let poisoned = || Failure::Other("a thread panicked".into());
        drop(fs::remove_file(path));
        let writing = forking.read().map_err(|_| poisoned())?;
        fs::write(path, &source)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        drop(writing);
        let guard = forking.write().map_err(|_| poisoned())?;
        let mut child = Command::new(path).stdin(Stdio::null()).spawn()?;
        drop(guard);
        Ok(child.wait()?.success())
    };
    let run = |thread: usize| -> Result<usize, Failure> {
        let mut ran = 0;
        for _ in 0..rounds {
            ran += usize::from(round(&dir.join(format!("program-{thread}")))?);
        }
        Ok(ran)
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        Ok(sum(all)?.to_string())
    })
}
