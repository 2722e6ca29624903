//! The allocator, and how what is free goes back to the system.
//!
//! Rust code allocates with mimalloc: a third of the processor time of a busy API was glibc's allocator, whose arenas had to
//! be bounded so that a flood gave its memory back. The libraries written in C (SQLite, zstd) still use glibc's.
//!
//! **Invariant:** after [`give_back`] what stays of a flood is what threads that go on keep for their next allocations, and
//! those that call [`give_back_what_is_kept`] keep little, see note 0020.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

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

/// How often memory was to be given back.
static WANTED: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// How often this thread knows of.
    static KNOWN: Cell<u32> = const { Cell::new(0) };
}

/// Gives what is free back to the system. Takes milliseconds: not for a thread that others wait for.
pub fn give_back() {
    WANTED.fetch_add(1, Ordering::Relaxed);
    give_back_what_is_kept();
    #[cfg(target_env = "gnu")]
    // SAFETY: touches only what is free, under the allocator's own locks.
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Gives back what this thread keeps for its next allocations, once after each [`give_back`]. Nobody else can. For threads
/// that go on, whenever they have nothing to do; most of the time it is one look at a number.
pub fn give_back_what_is_kept() {
    let wanted = WANTED.load(Ordering::Relaxed);
    // A thread that ends keeps nothing.
    if KNOWN.try_with(|known| known.replace(wanted)).is_ok_and(|known| known != wanted) {
        // SAFETY: touches only what is free, under the allocator's own locks.
        #[allow(unsafe_code)]
        unsafe {
            libmimalloc_sys::mi_collect(true)
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex, PoisonError};

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

    /// A thread keeps a page of each size that it lately freed the last piece of.
    #[test]
    fn a_thread_that_goes_on_gives_back_what_it_keeps() {
        const THREADS: usize = 8;
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        bound_arenas();
        let (freed, go_on) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
        let (given, end) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
        let before = heap_bytes();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for size in (1..=64).map(|size| size * 128) {
                        let pieces: Vec<Vec<u8>> =
                            (0..65_536 / size).map(|_| vec![1; size]).collect();
                        std::hint::black_box(&pieces);
                    }
                    freed.wait();
                    go_on.wait();
                    give_back_what_is_kept();
                    given.wait();
                    end.wait();
                });
            }
            freed.wait();
            give_back();
            let kept = heap_bytes().saturating_sub(before);
            go_on.wait();
            given.wait();
            let stays = heap_bytes().saturating_sub(before);
            end.wait();
            assert!(stays < kept / 4, "{} KiB of {} KiB stay", stays >> 10, kept >> 10);
        });
    }
}
