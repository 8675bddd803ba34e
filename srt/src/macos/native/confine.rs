//! Seatbelt's interfaces in C.
//!
//! `sandbox_init_with_parameters(profile, flags, parameters, &error)` compiles a profile (flags 0: the text itself) and confines the calling process, for ever, and all that
//! it starts. It is what browsers confine their own processes by; no header declares it. `sandbox_check(pid, operation, filter, …)` says what the sandbox of a process
//! would answer: 0 allowed, 1 denied. Both are looked up by name, so that srt starts where one is missing.

use std::ffi::{CStr, CString, c_char, c_int};

use crate::macos::RunTag;

const LIBRARY: &CStr = c"/usr/lib/libsandbox.1.dylib";

type Init = unsafe extern "C" fn(*const c_char, u64, *const *const c_char, *mut *mut c_char) -> c_int;
type FreeError = unsafe extern "C" fn(*mut c_char);
type Check = unsafe extern "C" fn(libc::pid_t, *const c_char, c_int, ...) -> c_int;

/// `SANDBOX_FILTER_GLOBAL_NAME`.
const GLOBAL_NAME: c_int = 2;

/// The library that confines.
#[derive(Clone, Copy)]
pub(super) struct Library {
    init: Init,
    free_error: Option<FreeError>,
}

impl Library {
    /// Opens it; `None` where the call is not there. Before the fork: loading a library takes locks.
    pub(super) fn open() -> Option<Library> {
        // SAFETY: the name is a terminated string; the library stays loaded for ever.
        let handle = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return None;
        }
        let init = symbol(handle, c"sandbox_init_with_parameters")?;
        let free_error = symbol(handle, c"sandbox_free_error");
        // SAFETY: these are the types of these functions, as their users declare them.
        unsafe {
            Some(Library {
                init: std::mem::transmute::<*mut libc::c_void, Init>(init),
                free_error: free_error.map(|free| std::mem::transmute::<*mut libc::c_void, FreeError>(free)),
            })
        }
    }

    /// Confines this process.
    ///
    /// # Errors
    /// What the library says of the profile, or of the kernel's refusal.
    pub(super) fn confine(self, profile: &CStr) -> Result<(), String> {
        let parameters = [std::ptr::null()];
        let mut error: *mut c_char = std::ptr::null_mut();
        // SAFETY: profile and parameters are terminated, and outlive the call; `error` is set to a string of the library's, or left.
        let result = unsafe { (self.init)(profile.as_ptr(), 0, parameters.as_ptr(), &raw mut error) };
        if result == 0 {
            return Ok(());
        }
        if error.is_null() {
            return Err(std::io::Error::last_os_error().to_string());
        }
        // SAFETY: the library says that this is its string.
        let said = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
        // SAFETY: given back once, and not used any more.
        self.free_error.into_iter().for_each(|free| unsafe { free(error) });
        Err(said)
    }
}

/// Can sandboxes of other processes be asked about?
pub(super) fn can_check() -> bool {
    checker().is_some()
}

fn checker() -> Option<(Check, c_int)> {
    let check = symbol(libc::RTLD_DEFAULT, c"sandbox_check")?;
    let quiet = symbol(libc::RTLD_DEFAULT, c"SANDBOX_CHECK_NO_REPORT")?;
    // SAFETY: the function is of this type, as its users declare it; the other is a constant of its filter's type, an int.
    Some(unsafe { (std::mem::transmute::<*mut libc::c_void, Check>(check), *quiet.cast::<c_int>()) })
}

/// Does this process bear the mark of the run: may it look up the one name, and not one that differs a little? No process outside does both.
pub(super) fn is_marked(id: i32, run: RunTag) -> bool {
    let Some((check, quiet)) = checker() else { return false };
    let answer = |name: String| {
        let name = CString::new(name).unwrap_or_default();
        // SAFETY: operation and name are terminated strings, and the filter says that one name follows.
        unsafe { check(id, c"mach-lookup".as_ptr(), GLOBAL_NAME | quiet, name.as_ptr()) }
    };
    answer(run.service()) == 0 && answer(format!("{}.other", run.service())) == 1
}

fn symbol(handle: *mut libc::c_void, name: &CStr) -> Option<*mut libc::c_void> {
    // SAFETY: the handle is the library's or the one for all of them, and the name is a terminated string.
    let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}
