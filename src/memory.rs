//! What the allocator keeps: little, and back to the system after a flood.
//!
//! glibc makes an arena for every thread that finds the others busy, and after one large buffer was freed
//! it takes such buffers from its arenas, where one small piece in use above them keeps all of it. A flood
//! of log lines or of requests then costs its peak for good.
//!
//! **Invariant:** a buffer of [`LARGE_BYTES`] or more is the system's own piece of memory, given back the
//! moment it is freed; smaller ones lie in [`ARENAS_MAX`] arenas that are trimmed after they have grown.

use std::time::Duration;

/// Two cores' worth: threads of ours mostly wait.
#[cfg(target_env = "gnu")]
const ARENAS_MAX: libc::c_int = 2;
/// A batch of log lines, a body of a request.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 << 10;
/// How often it is looked at.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);
/// Growth since the last trim that is worth another one.
const GROWTH_BYTES: u64 = 4 << 20;

/// Before the process has a second thread.
pub fn bound_arenas() {
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

/// Gives back what has become free, for as long as the runtime lives.
pub fn keep_small() {
    tokio::spawn(async {
        let mut after_last = resident_bytes();
        loop {
            tokio::time::sleep(TRIM_INTERVAL).await;
            if resident_bytes() < after_last + GROWTH_BYTES {
                continue;
            }
            // It walks all free memory: not on a thread that others wait for.
            if tokio::task::spawn_blocking(trim).await.is_err() {
                return;
            }
            after_last = resident_bytes();
        }
    });
}

fn trim() {
    // SAFETY: touches only what is free, under the allocator's own locks.
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Memory that the process has; 0 where the system does not say, and then nothing is trimmed.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the pages of files, such as code that another test is the first to run.
    fn heap_bytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// A flood: threads that each fill and free many buffers. What stays is little of its peak.
    #[test]
    fn a_flood_gives_its_memory_back() {
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
        trim();
        let grown = heap_bytes().saturating_sub(before);
        assert!(grown < 16 << 20, "{} KiB stay", grown >> 10);
        drop(kept);
    }
}
