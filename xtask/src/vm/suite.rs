//! `cargo xtask vm-test`: the end-to-end suite on every kernel.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::kernels::{Kernel, SERIES};
use super::layers::Layers;
use super::machine::{self, Setup};
use super::output::Output;
use super::record::Record;
use super::{Cache, image, kernels, program, skips, subset};
use crate::suite::{self, Counts};

/// Machines at a time: each is busy with two processors' work, most of which waits.
const MACHINES: usize = 2;
/// An end to what hangs: for the whole suite, and for the part of it that CI runs.
const LIMIT: Duration = Duration::from_secs(4 * 60 * 60);
const LIMIT_OF_SUBSET: Duration = Duration::from_secs(50 * 60);
/// A test that hangs is ended by its own limit first, after `SLOW` minutes; one that sets itself a longer one prints nothing meanwhile, and others do.
const SILENCE: Duration = Duration::from_secs(30 * 60);

/// What is to be run where.
#[derive(Default)]
pub(crate) struct Request {
    kernels: Vec<String>,
    subset: bool,
    filters: Vec<String>,
}

impl Request {
    /// `[--kernel V]… [--subset] [-- FILTERS…]`; all kernels where none is named.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut request = Request::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--kernel" => request.kernels.push((*words.next().ok_or("--kernel wants a version")?).to_owned()),
                "--subset" => request.subset = true,
                "--" => request.filters = words.by_ref().map(|word| (*word).to_owned()).collect(),
                other => return Err(format!("vm-test takes no {other:?}")),
            }
        }
        if request.kernels.is_empty() {
            request.kernels = SERIES.iter().map(|series| (*series).to_owned()).collect();
        }
        Ok(request)
    }

    /// What CI runs.
    pub(crate) fn of_ci() -> Self {
        let filters = subset::IN_CI.iter().map(|area| (*area).to_owned()).collect();
        Request { kernels: vec!["6.1".into(), "7".into()], subset: true, filters }
    }

    /// For the test program.
    fn arguments(&self) -> Vec<String> {
        let left_out = subset::LEFT_OUT.iter().filter(|_| self.subset).flat_map(|row| ["--skip".to_owned(), row.tests.to_owned()]);
        self.filters.iter().cloned().chain(left_out).collect()
    }
}

/// Runs it all. A machine or a kernel that cannot be had is a counted skip.
pub(crate) fn run(request: &Request) -> Result<Counts, String> {
    let mut counts = Counts::default();
    if let Err(cause) = machine::emulator() {
        request.kernels.iter().for_each(|series| counts.skip(&format!("kernel {series}: {cause}")));
        return Ok(counts);
    }
    let cache = Cache::open()?;
    let mut found = VecDeque::new();
    for (series, kernel) in request.kernels.iter().zip(kernels::find(&cache.path, &request.kernels)) {
        match kernel {
            Ok(kernel) => found.push_back(kernel),
            Err(cause) => counts.skip(&format!("kernel {series}: {cause}")),
        }
    }
    if found.is_empty() {
        return Ok(counts);
    }
    let system = image::system(&cache.path)?;
    let work = cache.work(&format!("test-{}", std::process::id()))?;
    let payload =
        image::payload(&work.path, "payload", &programs()?, &[("refusals.sh", REFUSALS_SCRIPT), ("job", &job(&request.arguments()))])?;
    let limit = if request.subset { LIMIT_OF_SUBSET } else { LIMIT };
    let results = Mutex::new(Vec::new());
    let open = Mutex::new(found);
    let worker = || {
        // The lock is held for the taking only.
        while let Some(kernel) = { open.lock().expect("no holder panics").pop_front() } {
            let lines = work.path.join(&kernel.series);
            let setup = Setup { kernel: &kernel, system: &system, payload: &payload, lines, cache: &cache.path, limit, silence: SILENCE };
            let result = one(&cache, &setup);
            results.lock().expect("no holder panics").push((kernel, result));
        }
    };
    std::thread::scope(|scope| (0..MACHINES).for_each(|_| drop(scope.spawn(worker))));
    let mut results = results.into_inner().expect("no holder panics");
    results.sort_by_key(|(kernel, _)| request.kernels.iter().position(|series| *series == kernel.series));
    report(&results);
    for (kernel, result) in results {
        match result {
            Ok(result) => counts.add(result.counts),
            Err(cause) => counts.fail(&format!("kernel {}: {cause}", kernel.series)),
        }
    }
    Ok(counts)
}

/// One kernel's result.
struct Tested {
    counts: Counts,
    layers: [Option<Layers>; 2],
    seconds: u64,
}

fn one(cache: &Cache, setup: &Setup) -> Result<Tested, String> {
    std::fs::create_dir_all(&setup.lines).map_err(|error| format!("cannot make {}: {error}", setup.lines.display()))?;
    let series = &setup.kernel.series;
    let log = cache.path.join(format!("test-{series}.txt"));
    let file = File::create(&log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let errors = file.try_clone().map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let mut output = Output::new(series, file);
    let mut errors = errors;
    let start = Instant::now();
    let ended = machine::run(setup, &mut output, &mut errors)?;
    let mut counts = match ended.broken {
        Some(cause) => output.cut_off(&cause),
        None => output.counts,
    };
    judge(&mut counts, &ended.record, setup.kernel);
    counts.name_failures(&format!("kernel {series}: "));
    println!("{series}: everything that was printed is in {}", log.display());
    let layers = ["doctor-root", "doctor-user"].map(|item| ended.record.item(item).and_then(|text| Layers::read(&text).ok()));
    Ok(Tested { counts, layers, seconds: start.elapsed().as_secs() })
}

/// Skips must be the expected ones, and the test program must have ended as its results say.
fn judge(counts: &mut Counts, record: &Record, kernel: &Kernel) {
    let skipped = record.item("skips").unwrap_or_default();
    counts.read_skips(&skipped);
    for cause in skips::faults(&skipped, &kernel.series) {
        counts.fail(&cause);
    }
    match record.item("end").as_deref() {
        Some("0") => {}
        Some(status) if counts.failed == 0 => counts.fail(&format!("the test program ended with {status}")),
        _ => {}
    }
    for (item, expected) in REFUSALS {
        let told = record.item(item).unwrap_or_default();
        if told != *expected {
            counts.fail(&format!("{item}, with user namespaces switched off: {told:?} instead of {expected:?}"));
        }
    }
    for item in ["doctor-root", "doctor-user"] {
        match record.item(item).as_deref().map(Layers::read) {
            Some(Ok(layers)) => layers.faults(&kernel.version).iter().for_each(|cause| counts.fail(&format!("{item}: {cause}"))),
            Some(Err(cause)) => counts.fail(&format!("{item}: {cause}")),
            None => counts.fail(&format!("{item}: no answer")),
        }
    }
}

/// Where the switches of user namespaces are turned in turn: a run's exit status, whether the command ran, and the remedies that srt names.
const REFUSALS: &[(&str, &str)] = &[
    ("root-free", "0 ran "),
    ("user-free", "0 ran "),
    ("root-restricted", "0 ran "),
    ("user-restricted", "125 not-run kernel.unprivileged_userns_clone"),
    ("root-forbidden", "125 not-run user.max_user_namespaces"),
    ("user-forbidden", "125 not-run user.max_user_namespaces"),
];

/// The table: kernel × layer, and what came of the tests.
fn report(results: &[(Kernel, Result<Tested, String>)]) {
    println!("\n{:<18} {} {:>6} {:>6} {:>7} {:>6}", "kernel", Layers::heading(), "passed", "failed", "skipped", "min");
    for (kernel, result) in results {
        match result {
            Ok(tested) => println!(
                "{:<18} {} {:>6} {:>6} {:>7} {:>6.1}",
                kernel.version,
                Layers::row(&tested.layers),
                tested.counts.passed,
                tested.counts.failed,
                tested.counts.skipped(),
                tested.seconds as f64 / 60.0
            ),
            Err(cause) => println!("{:<18} {cause}", kernel.version),
        }
    }
}

/// Builds what is tested.
fn programs() -> Result<Vec<PathBuf>, String> {
    let cannot = |error: std::io::Error| format!("cannot run cargo: {error}");
    let mut cargo = Command::new(suite::cargo());
    cargo
        .args(["build", "--quiet", "--profile", "guest", "--package", "srt", "--package", "srt-tests", "--bins"])
        .current_dir(suite::workspace());
    if !cargo.status().map_err(cannot)?.success() {
        return Err("cannot build srt and srt-probe".into());
    }
    let mut cargo = Command::new(suite::cargo());
    cargo.args(["test", "--package", "srt-tests", "--test", "e2e", "--no-run", "--message-format=json"]).current_dir(suite::workspace());
    let output = cargo.stderr(std::process::Stdio::inherit()).output().map_err(cannot)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let built =
        messages.filter(|message| message["target"]["name"] == "e2e").find_map(|message| message["executable"].as_str().map(PathBuf::from));
    let suite = built.ok_or("cannot build the end-to-end suite")?;
    // In the guest it has the name without cargo's number.
    let e2e = suite.with_file_name("e2e");
    std::fs::copy(&suite, &e2e).map_err(|error| format!("cannot copy {}: {error}", suite.display()))?;
    let guest = suite::target().join("guest");
    Ok(vec![guest.join("srt"), guest.join("srt-probe"), e2e])
}

/// An emulated processor is that many times slower. Only limits depend on it.
const SLOW: u32 = 20;

/// Turns the switches.
const REFUSALS_SCRIPT: &str = include_str!("refusals.sh");

/// What the guest does: both reports, the suite, and the record of all.
fn job(arguments: &[String]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|word| program::quoted(word)).collect();
    let arguments = arguments.join(" ");
    format!(
        "cd /tmp
export SRT_TEST_SKIPS=/run/skips SRT_TEST_SLOW={SLOW} TMPDIR=/tmp
: >/run/skips
/srt/srt doctor --json >/run/doctor
send doctor-root /run/doctor
HOME=/home/srt-test setpriv --reuid srt-test --regid srt-test --clear-groups /srt/srt doctor --json >/run/doctor
send doctor-user /run/doctor
# In a session of its own, as if a person had started it. The time of each test, which libtest calls unstable, says what a kernel's part in CI costs.
RUSTC_BOOTSTRAP=1 setsid -w /srt/e2e --test-threads=4 -Z unstable-options --report-time {arguments} </dev/null >/dev/ttyS1 2>/dev/ttyS2
status=$?
send skips /run/skips
# Last, because it is for the whole machine: user namespaces are switched off for users, then for all.
. /srt/refusals.sh
say end $status
"
    )
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn without_a_kernel_all_are_meant() {
        assert_eq!(Request::parse(&[]).unwrap().kernels.len(), super::SERIES.len());
        let request = Request::parse(&["--kernel", "6.1", "--", "cli::", "--exact"]).unwrap();
        assert_eq!((request.kernels, request.filters), (vec!["6.1".to_owned()], vec!["cli::".to_owned(), "--exact".to_owned()]));
        assert!(Request::parse(&["6.1"]).is_err());
    }
}
