//! srt
fn main() {}
