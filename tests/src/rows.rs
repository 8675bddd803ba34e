//! Tests that are tables: every row is tried, and all that fail are told.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `test` for every row, also after one has failed: the rows of a table are independent, and which of them fail says more than the first.
///
/// # Panics
/// At the end, where a row failed; its own message was printed when that happened.
#[track_caller]
pub fn each<T: Debug>(rows: impl IntoIterator<Item = T>, test: impl Fn(&T)) {
    let failed = |row: &T| catch_unwind(AssertUnwindSafe(|| test(row))).is_err();
    let failed: Vec<T> = rows.into_iter().filter(failed).collect();
    assert!(failed.is_empty(), "{} rows failed: {failed:?}", failed.len());
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn every_row_is_tried_and_each_failure_is_told() {
        let tried = std::cell::Cell::new(0);
        let run = || {
            each([1, 2, 3], |row| {
                tried.set(tried.get() + 1);
                assert_eq!(row % 2, 0, "an odd row");
            });
        };
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("2 rows failed: [1, 3]"));
        assert_eq!(tried.get(), 3);
    }
}
