//! Two hundred sandboxes at once.

use std::time::{Duration, Instant};

use super::side::Bench;
use super::table::{heading, line, median, seconds};

const AT_ONCE: usize = 200;

pub(super) fn run(bench: &Bench) -> Result<(), String> {
    let rounds = if bench.quick { 2 } else { 5 };
    let sides = bench.sides();
    adopt_orphans()?;
    let mut results = vec![(Vec::new(), Vec::new(), 0); sides.len()];
    for _ in 0..rounds {
        for (side, (cpu, wall, failed)) in sides.iter().zip(&mut results) {
            let before = children_cpu()?;
            let start = Instant::now();
            let started: Vec<_> = (0..AT_ONCE).map(|_| bench.command(*side, &["/bin/true"]).spawn()).collect();
            for child in started {
                *failed += usize::from(!child.and_then(|mut child| child.wait()).is_ok_and(|status| status.success()));
            }
            wall.push(start.elapsed().as_secs_f64());
            wait_for_orphans();
            cpu.push((children_cpu()? - before).as_secs_f64());
        }
    }
    heading(&format!("{AT_ONCE} at once, median of {rounds}: CPU of all processes"), "srt ≤ bwrap, none failing");
    for (side, (cpu, wall, failed)) in sides.iter().zip(results) {
        line(side.name(), &seconds(median(cpu)), &format!("{} elapsed, {failed} of {} failed", seconds(median(wall)), AT_ONCE * rounds));
    }
    Ok(())
}

/// A sandbox may leave the process that did most of its work to be waited for by others (bubblewrap does): those become our children,
/// so that their time is counted too.
fn adopt_orphans() -> Result<(), String> {
    // SAFETY: prctl(2) with PR_SET_CHILD_SUBREAPER takes one number.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) } == 0 {
        return Ok(());
    }
    Err(format!("prctl: {}", std::io::Error::last_os_error()))
}

/// Returns when no child is left.
fn wait_for_orphans() {
    // SAFETY: waitpid(2) may be given no place for the status.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {}
}

/// User and system time of all children waited for, and of theirs.
fn children_cpu() -> Result<Duration, String> {
    // SAFETY: all-zero bytes are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: getrusage(2) writes one rusage to a place that lives through the call.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) } != 0 {
        return Err(format!("getrusage: {}", std::io::Error::last_os_error()));
    }
    let time = |value: libc::timeval| Duration::from_secs(value.tv_sec as u64) + Duration::from_micros(value.tv_usec as u64);
    Ok(time(usage.ru_utime) + time(usage.ru_stime))
}
