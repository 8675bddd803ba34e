//! From the start to the exit of `true`.

use std::time::Duration;

use super::side::{Bench, Side};
use super::table::{heading, in_seconds, line, median, seconds};

/// Runs `words` `rounds` times on every side, taking turns; the side that begins changes from round to round.
pub(super) fn interleave(bench: &Bench, rounds: usize, words: &[&str]) -> Result<Vec<(Side, Vec<Duration>)>, String> {
    let mut results: Vec<(Side, Vec<Duration>)> = bench.sides().into_iter().map(|side| (side, Vec::new())).collect();
    let count = results.len();
    for round in 0..rounds {
        for turn in 0..count {
            let (side, times) = &mut results[(round + turn) % count];
            times.push(bench.time(*side, words)?);
        }
    }
    Ok(results)
}

/// One line a side, with its ratio to `base`.
pub(super) fn print(results: &[(Side, Vec<Duration>)], base: Side) {
    let medians: Vec<(Side, f64)> = results.iter().map(|(side, times)| (*side, median(in_seconds(times)))).collect();
    let base_value = medians.iter().find(|(side, _)| *side == base).map(|(_, value)| *value);
    for (side, value) in &medians {
        let note = base_value.map_or_else(String::new, |base_value| format!("{:.2} × {}", value / base_value, base.name()));
        line(side.name(), &seconds(*value), &note);
    }
}

pub(super) fn run(bench: &Bench) -> Result<(), String> {
    let rounds = if bench.quick { 40 } else { 300 };
    interleave(bench, 5, &["/bin/true"])?;
    let results = interleave(bench, rounds, &["/bin/true"])?;
    heading(&format!("start to exit of `true`, median of {rounds}"), "srt ≤ 0.75 × bwrap 0.11");
    print(&results, Side::Bwrap);
    Ok(())
}
