//! One virtual machine, from start to end.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::kernels::Kernel;
use super::record::Record;

/// The emulator.
const QEMU: &str = "qemu-system-x86_64";
/// Two processors: with one, no race of the suite is one.
const PROCESSORS: &str = "2";
const MEMORY: &str = "2048";

/// Is there an emulator?
pub(super) fn emulator() -> Result<(), String> {
    let found = Command::new(QEMU).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) { Ok(()) } else { Err(format!("{QEMU} is not installed")) }
}

/// What a machine needs.
pub(super) struct Setup<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) system: &'a Path,
    pub(super) payload: &'a Path,
    /// An empty directory for the serial lines.
    pub(super) lines: PathBuf,
    /// Where the console's text goes when something is wrong.
    pub(super) cache: &'a Path,
    pub(super) limit: Duration,
    /// An end to a machine whose job prints nothing for so long.
    pub(super) silence: Duration,
}

/// How a machine ended, and what it left.
pub(super) struct Ended {
    pub(super) record: Record,
    /// Why the record may be incomplete.
    pub(super) broken: Option<String>,
}

/// A line of the guest, written to a file by the emulator and read as it grows.
pub(super) struct Line {
    path: PathBuf,
    file: Option<File>,
}

impl Line {
    fn new(path: PathBuf) -> Self {
        Line { path, file: None }
    }

    /// What came since the last call.
    fn more(&mut self) -> Vec<u8> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.file {
            drop(file.read_to_end(&mut bytes));
        }
        bytes
    }
}

/// As `boot`, and once again where the kernel does not get as far as its first program: a busy host delays interrupts that a boot waits for.
pub(super) fn run(setup: &Setup, out: &mut impl Write, err: &mut impl Write) -> Result<Ended, String> {
    let ended = boot(setup, out, err)?;
    if ended.record.item("kernel").is_some() {
        return Ok(ended);
    }
    eprintln!("vm: kernel {} did not boot ({}): trying once more", setup.kernel.version, ended.broken.unwrap_or_default());
    boot(setup, out, err)
}

/// Boots it, hands what the job prints to `out` and `err` as it comes, and ends it at the time limit.
fn boot(setup: &Setup, out: &mut impl Write, err: &mut impl Write) -> Result<Ended, String> {
    let line = |name: &str| setup.lines.join(name);
    let disk = super::disk::joined(setup.system, setup.payload, &line("disk"))?;
    let mut emulator = Emulator(command(setup, &disk).spawn().map_err(|error| format!("cannot start {QEMU}: {error}"))?);
    let (mut stdout, mut stderr) = (Line::new(line("S1")), Line::new(line("S2")));
    let start = Instant::now();
    let mut last = start;
    let mut broken = None;
    let mut ended = false;
    while !ended {
        // Asked before reading: what is read after the end is everything.
        ended = emulator.0.try_wait().map_err(|error| format!("cannot wait for {QEMU}: {error}"))?.is_some();
        let (printed, told) = (stdout.more(), stderr.more());
        if !printed.is_empty() || !told.is_empty() {
            last = Instant::now();
        }
        // Whoever listens no more misses it; the machine's work goes on.
        drop(out.write_all(&printed).and_then(|()| out.flush()));
        drop(err.write_all(&told).and_then(|()| err.flush()));
        if let (false, Some(cause)) = (ended, overdue(setup, start, last)) {
            broken = Some(cause);
            emulator.end();
            ended = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let record = Record::read(&std::fs::read(line("S3")).unwrap_or_default());
    if record.item("end").is_none() && broken.is_none() {
        broken = Some("the machine ended before its job".into());
    }
    let broken = broken.map(|cause| format!("{cause}: {}", keep_console(setup)));
    Ok(Ended { record, broken })
}

/// Why the machine is to be ended now, if it is.
fn overdue(setup: &Setup, start: Instant, last: Instant) -> Option<String> {
    if start.elapsed() > setup.limit {
        return Some(format!("the machine was ended after {} s", setup.limit.as_secs()));
    }
    let silent = last.elapsed() > setup.silence;
    silent.then(|| format!("the machine was ended because nothing was printed for {} s", setup.silence.as_secs()))
}

/// A running emulator; it does not outlive us, also where we panic.
struct Emulator(Child);

impl Emulator {
    fn end(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// Says where the console's text is.
fn keep_console(setup: &Setup) -> String {
    let kept = setup.cache.join(format!("console-{}.txt", setup.kernel.version));
    match std::fs::copy(setup.lines.join("S0"), &kept) {
        Ok(_) => format!("its console is in {}", kept.display()),
        Err(error) => format!("its console cannot be kept: {error}"),
    }
}

fn command(setup: &Setup, disk: &Path) -> Command {
    let mut command = Command::new(QEMU);
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", PROCESSORS, "-m", MEMORY]);
    command.args(["-display", "none", "-nodefaults", "-no-user-config", "-no-reboot", "-rtc", "base=utc"]);
    // Drivers of NVMe and ext4 are built into these kernels. One disk with two partitions: two disks are numbered by chance, since kernels look for them at the same time.
    command.arg("-drive").arg(format!("if=none,id=disk,format=raw,snapshot=on,cache=unsafe,file={}", escaped(disk)));
    command.args(["-device", "nvme,serial=srt,drive=disk"]);
    for name in ["S0", "S1", "S2", "S3"] {
        command.arg("-serial").arg(format!("file:{}", setup.lines.join(name).display()));
    }
    command.arg("-kernel").arg(&setup.kernel.image).arg("-append").arg(KERNEL_LINE);
    // The changes of a run lie in a temporary file of the emulator.
    command.env("TMPDIR", &setup.lines).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A panic resets the machine, which ends it. Mitigations cost an emulated processor much and guard nothing
/// there. The test of the timer at boot fails on a busy host, and the kernel panics then.
const KERNEL_LINE: &str =
    "console=ttyS0 root=/dev/nvme0n1p1 rootwait rw init=/vm-init panic=-1 loglevel=4 mitigations=off random.trust_cpu=on no_timer_check";

/// A comma in an option's value is written twice.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
