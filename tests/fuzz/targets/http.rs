#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| srt::fuzzing::run("http", data));
