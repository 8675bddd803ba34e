//! Memory of the sandbox's own processes while a command sleeps.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use super::side::{Bench, Side};
use super::table::{heading, line};

pub(super) fn run(bench: &Bench) -> Result<(), String> {
    heading("memory while the command sleeps, PSS without the command", "srt ≤ 4 MiB");
    for side in bench.sides().into_iter().filter(|side| *side != Side::None) {
        let mut child =
            bench.command(side, &["/bin/sleep", "600"]).spawn().map_err(|error| format!("cannot start {}: {error}", side.name()))?;
        let measured = wait_for_sleep(&mut child).and_then(|sleepers| own_memory(child.id(), &sleepers));
        // The whole sandbox dies with the process we started.
        child.kill().and_then(|()| child.wait()).map_err(|error| format!("cannot end {}: {error}", side.name()))?;
        let (kib, processes) = measured?;
        line(side.name(), &format!("{:.2} MiB", kib as f64 / 1024.0), &format!("in {processes} processes"));
    }
    Ok(())
}

/// `(pid, parent, name)` of every process.
fn processes() -> Vec<(u32, u32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name may hold spaces and parentheses: it ends at the last one.
        let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else { continue };
        let parent = stat[close + 1..].split_whitespace().nth(1).and_then(|field| field.parse().ok());
        if let (Ok(pid), Some(parent)) = (stat[..open].trim().parse(), parent) {
            found.push((pid, parent, stat[open + 1..close].to_owned()));
        }
    }
    found
}

/// `root` and everything below it.
fn family(root: u32) -> Vec<(u32, String)> {
    let all = processes();
    let mut members = BTreeSet::from([root]);
    let mut size = 0;
    while size != members.len() {
        size = members.len();
        members.extend(all.iter().filter(|(_, parent, _)| members.contains(parent)).map(|(pid, _, _)| *pid).collect::<Vec<_>>());
    }
    all.into_iter().filter(|(pid, _, _)| members.contains(pid)).map(|(pid, _, name)| (pid, name)).collect()
}

/// Waits until the command itself runs; returns its ids.
fn wait_for_sleep(child: &mut Child) -> Result<Vec<u32>, String> {
    let start = Instant::now();
    loop {
        let sleepers: Vec<u32> = family(child.id()).into_iter().filter(|(_, name)| name == "sleep").map(|(pid, _)| pid).collect();
        if !sleepers.is_empty() {
            // Past the exec: give the processes around it time to come to rest.
            std::thread::sleep(Duration::from_millis(300));
            return Ok(sleepers);
        }
        if start.elapsed() > Duration::from_secs(20) || child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return Err("the command did not start".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// KiB of all members but the sleepers, and how many there are.
fn own_memory(root: u32, sleepers: &[u32]) -> Result<(u64, usize), String> {
    let own: Vec<u32> = family(root).into_iter().map(|(pid, _)| pid).filter(|pid| !sleepers.contains(pid)).collect();
    let mut total = 0;
    for pid in &own {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .map_err(|error| format!("cannot read the memory map of process {pid}: {error} (run as root)"))?;
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        total += pss.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok()).ok_or("no Pss line")?;
    }
    Ok((total, own.len()))
}
