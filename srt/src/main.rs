//! The `srt` command.
//!
//! The C entry point, not Rust's: what the standard library would do before `main` costs a tenth of srt's own start (it reads `/proc/self/maps` for a stack guard),
//! and it sets SIGPIPE to be ignored without a way to learn what the caller had set. What is needed of it is done in [`srt::cli::main`].
#![cfg_attr(not(test), no_main)]

/// Called by the C library. On glibc, `std::env::args_os` has the arguments already.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main(_count: std::ffi::c_int, _arguments: *const *const std::ffi::c_char) -> std::ffi::c_int {
    srt::cli::main(std::env::args_os()).into()
}
