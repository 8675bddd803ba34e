//! Random numbers.

/// As many random bytes as fit.
///
/// # Errors
/// There are none: an old kernel, early in the start of the machine.
pub(crate) fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(target_os = "linux")]
fn fill(bytes: &mut [u8]) -> std::io::Result<()> {
    Ok(rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty()).map(drop)?)
}

/// See getentropy(2).
#[cfg(not(target_os = "linux"))]
fn fill(bytes: &mut [u8]) -> std::io::Result<()> {
    // SAFETY: the buffer is of the size given, which is below the limit of 256.
    let result = unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
