//! Processes, streams and terminals.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::answer::{Answer, Failure, Operation, number, ok};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "sleep", arguments: &["SECONDS"], run: sleep },
    Operation { name: "spawn-orphan", arguments: &["MARKER"], run: spawn_orphan },
    Operation { name: "write-bytes", arguments: &["COUNT"], run: write_bytes },
    Operation { name: "read-count", arguments: &[], run: |_| Ok(io::copy(&mut io::stdin(), &mut io::sink())?.to_string()) },
    Operation { name: "args", arguments: &[], run: |a| Ok(format!("{a:?}")) },
    Operation { name: "raise", arguments: &["SIGNAL"], run: raise },
    Operation { name: "kill", arguments: &["PID", "SIGNAL"], run: kill },
    Operation { name: "on-terminal", arguments: &["PTS", "COMMAND"], run: on_terminal },
    Operation { name: "suspend-output", arguments: &[], run: suspend_output },
    Operation { name: "continue-by-timer", arguments: &["MILLISECONDS"], run: continue_by_timer },
    Operation { name: "stdin-byte", arguments: &[], run: |_| ok(io::stdin().read(&mut [0; 1])) },
];

/// Further arguments are ignored: they mark the process for whoever looks at /proc.
fn sleep(arguments: &[String]) -> Answer {
    std::thread::sleep(Duration::from_secs(number(&arguments[0])? as u64));
    Ok("ok".into())
}

/// Leaves behind a process in a session of its own that holds none of our descriptors and outlives us.
fn spawn_orphan(arguments: &[String]) -> Answer {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["sleep", "300"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: setsid(2) is async-signal-safe and touches no memory.
    unsafe { command.pre_exec(|| if libc::setsid() == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }) };
    ok(command.spawn())
}

fn write_bytes(arguments: &[String]) -> Answer {
    let mut left = number(&arguments[0])? as usize;
    let block = vec![b'x'; 64 * 1024];
    let mut out = io::stdout().lock();
    while left > 0 {
        let part = left.min(block.len());
        out.write_all(&block[..part])?;
        left -= part;
    }
    out.flush()?;
    std::process::exit(0);
}

fn raise(arguments: &[String]) -> Answer {
    let signal = number(&arguments[0])? as i32;
    // SAFETY: two calls without memory; the default action makes the signal deadly however the parent had set it.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    Err(Failure::Other("still alive".into()))
}

/// Stops the output of the terminal on standard input, and says nothing: it would wait for ever.
fn suspend_output(_arguments: &[String]) -> Answer {
    // SAFETY: three numbers.
    let value = unsafe { libc::ioctl(0, libc::TCXONC, libc::TCOOFF) };
    if value == -1 { Err(io::Error::last_os_error().into()) } else { std::process::exit(0) }
}

/// Lets the kernel continue this process once in a period, however it is stopped, and writes a line each time; until it is killed.
fn continue_by_timer(arguments: &[String]) -> Answer {
    let period = Duration::from_millis(number(&arguments[0])? as u64);
    let mut timer = std::ptr::null_mut();
    extern "C" fn nothing(_signal: libc::c_int) {}
    let pause = libc::timespec { tv_sec: period.as_secs() as i64, tv_nsec: period.subsec_nanos().into() };
    // SAFETY: all structures are plain data that outlives the calls; zero is valid for each field of sigevent.
    unsafe {
        // A signal that is ignored stops the timer; one with a handler does not.
        libc::signal(libc::SIGCONT, nothing as *const () as libc::sighandler_t);
        let mut event: libc::sigevent = std::mem::zeroed();
        (event.sigev_notify, event.sigev_signo) = (libc::SIGEV_SIGNAL, libc::SIGCONT);
        let times = libc::itimerspec { it_interval: pause, it_value: pause };
        if libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) == -1
            || libc::timer_settime(timer, 0, &times, std::ptr::null_mut()) == -1
        {
            return Err(io::Error::last_os_error().into());
        }
    }
    loop {
        std::thread::sleep(Duration::from_millis(20));
        println!("RAN");
    }
}

fn kill(arguments: &[String]) -> Answer {
    // SAFETY: two numbers.
    let value = unsafe { libc::kill(number(&arguments[0])? as i32, number(&arguments[1])? as i32) };
    if value == -1 { Err(io::Error::last_os_error().into()) } else { Ok("ok".into()) }
}

/// Becomes COMMAND as leader of a new session whose controlling terminal is PTS, with the three standard streams on it.
fn on_terminal(arguments: &[String]) -> Answer {
    let tty = std::fs::OpenOptions::new().read(true).write(true).open(&arguments[0])?;
    let mut command = Command::new(&arguments[1]);
    command.args(&arguments[2..]).stdin(tty.try_clone()?).stdout(tty.try_clone()?).stderr(tty);
    // SAFETY: setsid(2) and ioctl(2) are async-signal-safe; exec(2) of `Command` has put the terminal on descriptor 0 by then.
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() == -1 || libc::ioctl(0, libc::TIOCSCTTY, 0) == -1 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    Err(command.exec().into())
}
