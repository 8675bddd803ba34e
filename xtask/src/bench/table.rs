//! Medians and how they are printed.

use std::time::Duration;

/// The middle value; of an even number, the upper of the two.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Seconds as text, in a unit that fits.
pub(super) fn seconds(value: f64) -> String {
    match value {
        value if value < 1e-3 => format!("{:.1} µs", value * 1e6),
        value if value < 1.0 => format!("{:.2} ms", value * 1e3),
        value => format!("{value:.2} s"),
    }
}

/// Durations as seconds.
pub(super) fn in_seconds(values: &[Duration]) -> Vec<f64> {
    values.iter().map(Duration::as_secs_f64).collect()
}

/// A heading with the aim of the design beside it.
pub(super) fn heading(text: &str, aim: &str) {
    println!("\n{text}");
    if !aim.is_empty() {
        println!("  (aim: {aim})");
    }
}

/// One line: a name, a value, and what it is compared with.
pub(super) fn line(name: &str, value: &str, note: &str) {
    println!("  {name:<28} {value:>12}   {note}");
}

#[cfg(test)]
mod tests {
    use super::{median, seconds};

    #[test]
    fn the_median_is_the_middle_value_whatever_the_order() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn units_follow_the_size() {
        assert_eq!(seconds(0.000_012), "12.0 µs");
        assert_eq!(seconds(0.0047), "4.70 ms");
        assert_eq!(seconds(2.5), "2.50 s");
    }
}
