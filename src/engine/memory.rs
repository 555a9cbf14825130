//! Giving free memory back to the system.

/// Makes the allocator give back what it keeps for later. glibc does so by itself only at the end of
/// its heaps, where some long-lived connection always stands; other C libraries are left to themselves.
/// Takes about a millisecond for 10 MB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "neither std nor rustix knows the allocator")]
pub fn give_back_memory() {
    // SAFETY: the function takes no pointer, may be called at any time from any thread, and changes
    // nothing that a program can see but which free pages the process holds.
    unsafe { libc::malloc_trim(0) };
}

/// See above.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back_memory() {}
