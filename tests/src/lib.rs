//! End-to-end suites of srt.
