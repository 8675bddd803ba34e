#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| srt::fuzzing::run("ebpf_record", data));
