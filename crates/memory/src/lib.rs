//! The allocator, and how what is free goes back to the system.
//!
//! Rust code allocates with mimalloc: a third of the processor time of a busy API was glibc's allocator, whose arenas had to
//! be bounded so that a flood gave its memory back. The libraries written in C (SQLite, zstd) still use glibc's.
//!
//! **Invariant:** after [`give_back`] what stays of a flood is what threads that go on keep for their next allocations, see
//! note 0020.

/// What `#[global_allocator]` is to be.
pub type Allocator = mimalloc::MiMalloc;

/// See [`Allocator`].
pub const ALLOCATOR: Allocator = mimalloc::MiMalloc;

/// Of glibc's allocator: two cores' worth. Threads of ours mostly wait.
#[cfg(target_env = "gnu")]
const ARENAS_MAX: libc::c_int = 2;
/// Of glibc's allocator: a buffer of that size is the system's own piece of memory, given back the moment it is freed.
/// Once a large one was freed, glibc would take them from its arenas, where one small piece in use above them keeps all of it.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 << 10;

/// mimalloc's `mi_option_purge_delay`, which its crate has no name for.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Bounds what the allocators keep. To be called before the process has a second thread.
pub fn bound_arenas() {
    // Free pages go back at once, not after a second: at the height of a flood that second is half of its memory.
    // SAFETY: sets a number of the allocator.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 0)
    };
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [
        (libc::M_ARENA_MAX, ARENAS_MAX),
        (libc::M_MMAP_THRESHOLD, LARGE_BYTES),
        (libc::M_TRIM_THRESHOLD, LARGE_BYTES),
    ] {
        // SAFETY: sets a number of the allocator. One that it refuses stays as it was.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(parameter, value)
        };
    }
}

/// Gives what is free back to the system. Takes milliseconds: not for a thread that others wait for.
#[allow(unsafe_code, reason = "the standard library has no such calls")]
pub fn give_back() {
    // SAFETY: touches only what is free, under the allocator's own locks.
    unsafe { libmimalloc_sys::mi_collect(true) };
    #[cfg(target_env = "gnu")]
    // SAFETY: as above.
    unsafe {
        libc::malloc_trim(0)
    };
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    #[global_allocator]
    static TESTED: Allocator = ALLOCATOR;

    /// Each measures the whole process.
    static ALONE: Mutex<()> = Mutex::new(());

    /// Without the pages of files, such as code that another test is the first to run.
    fn heap_bytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// A flood: threads that each fill and free many buffers. What stays is little of its peak.
    #[test]
    fn a_flood_gives_its_memory_back() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        bound_arenas();
        let before = heap_bytes();
        let flood = || {
            let mut kept = Vec::new();
            for round in 0..200_u32 {
                let sizes = [100, 5_000, 40_000, 300_000];
                let buffers: Vec<Vec<u8>> = sizes.iter().map(|size| vec![1; *size]).collect();
                // Small pieces that outlive it, as of rows and of names.
                kept.push(vec![round as u8; 64]);
                kept.extend((round % 50 == 0).then(|| buffers[0].clone()));
                std::hint::black_box(&buffers);
            }
            kept
        };
        let threads: Vec<_> = (0..16).map(|_| std::thread::spawn(flood)).collect();
        let kept: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        give_back();
        let grown = heap_bytes().saturating_sub(before);
        assert!(grown < 16 << 20, "{} KiB stay", grown >> 10);
        drop(kept);
    }

    /// As requests do: made on one thread, freed on another that goes on.
    #[test]
    fn what_another_thread_frees_is_given_back_too() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before = heap_bytes();
        let (hand, take) = std::sync::mpsc::channel::<Vec<Vec<u8>>>();
        let (say, done) = std::sync::mpsc::channel();
        let frees = std::thread::spawn(move || {
            for buffers in take {
                drop(buffers);
                say.send(()).unwrap();
            }
        });
        let peak = (0..4).map(|_| {
            let buffers: Vec<Vec<u8>> =
                (0..200_000).map(|size| vec![1; 100 + size % 400]).collect();
            let peak = heap_bytes();
            hand.send(buffers).unwrap();
            done.recv().unwrap();
            peak
        });
        let peak = peak.max().unwrap().saturating_sub(before);
        give_back();
        let grown = heap_bytes().saturating_sub(before);
        assert!(grown < peak / 4, "{} KiB of {} KiB stay", grown >> 10, peak >> 10);
        drop(hand);
        frees.join().unwrap();
    }
}
