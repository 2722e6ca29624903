//! Gives memory back to the system after it has grown, for as long as the process serves others.

use std::time::Duration;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(10);
/// Growth since the last time that is worth another one.
const GROWTH_BYTES: u64 = 4 << 20;

/// Gives back what has become free, for as long as the runtime lives.
pub fn keep_small() {
    tokio::spawn(async {
        let mut after_last = resident_bytes();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = resident_bytes();
            // Threads give back what they keep when they next have nothing to do.
            after_last = after_last.min(now);
            if now < after_last + GROWTH_BYTES {
                continue;
            }
            if tokio::task::spawn_blocking(outport_memory::give_back).await.is_err() {
                return;
            }
            after_last = resident_bytes();
        }
    });
}

/// Memory that the process has; 0 where the system does not say, and then nothing is given back.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
