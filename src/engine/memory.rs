//! How much memory the process uses: an allocator that counts; and giving free memory back.
//!
//! Buffers are all over the place: outputs, tails of requests, replies that are early, tables of who
//! is owed what. Counting what is allocated covers them all, and what is added later, too. It costs an
//! addition per allocation, and the request path does not allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

/// A thread tells the others what it has counted when it comes to so many bytes.
const BATCH: i64 = 64 * 1024;

/// Bytes in use by the process, but for what threads have not told yet.
static TOTAL: AtomicI64 = AtomicI64::new(0);

thread_local! {
    /// What this thread has allocated less what it has freed, since it last told; and ever.
    static MINE: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The system's allocator, counted.
struct Counting;

fn count(bytes: i64) {
    // A thread that is about to end has no cell any more; what it frees then is not worth counting.
    let _ = MINE.try_with(|mine| {
        let (untold, ever) = mine.get();
        let mut untold = untold + bytes;
        if untold.abs() >= BATCH {
            TOTAL.fetch_add(untold, Ordering::Relaxed);
            untold = 0;
        }
        mine.set((untold, ever + bytes));
    });
}

#[expect(unsafe_code, reason = "an allocator is made of unsafe functions")]
// SAFETY: every call is handed on to the system's allocator as it came, so its promises are ours, and
// the callers' to us are kept to it. Counting neither allocates (the cell is const and has no
// destructor) nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are those `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: `block` came from this allocator, which is `System`'s; the rest as in `alloc`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Bytes the process uses, to within 64 KiB for each of its threads.
pub fn used() -> u64 {
    TOTAL.load(Ordering::Relaxed).max(0) as u64
}

/// What this thread has allocated less what it has freed, in bytes. Of blocks that one thread allocates
/// and another frees each counts its half, so only the sum over all threads is what is in use.
pub fn of_this_thread() -> i64 {
    MINE.try_with(|mine| mine.get().1).unwrap_or(0)
}

/// Whether the process is so close to `limit` bytes that nothing new is to begin: seven eighths of it.
pub fn is_short(limit: Option<u64>) -> bool {
    limit.is_some_and(|limit| used() >= limit - limit / 8)
}

/// Has all threads allocate from one heap. To be called before there is a second thread. glibc gives each
/// a heap of its own otherwise, and of those `give_back_memory` cannot give back the end, which is what a
/// crowd leaves. They would rarely meet at its lock: the request path does not allocate.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "neither std nor rustix knows the allocator")]
pub fn share_one_heap() {
    // SAFETY: the function takes no pointer, and no other thread is there to allocate meanwhile. It can
    // only fail for a parameter that the C library does not know, which leaves things as they were.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// See above.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_one_heap() {}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_counted_until_it_is_freed() {
        let before = of_this_thread();
        let mut block = vec![1u8; 1 << 20];
        assert!(of_this_thread() - before >= 1 << 20);
        block.reserve_exact(3 << 20);
        assert!(of_this_thread() - before >= 4 << 20);
        assert!(used() >= 1 << 20);
        drop(block);
        assert!(of_this_thread() - before < 1 << 20);
    }
}
