//! How much of the host's processors the output of one container may take through its shim.
//!
//! A container that has used up its part of the processors has none left; its shim, which is in no task's group, would go
//! on: 64 KiB of newlines are as many lines, each with a header and a checksum. So reading has a price, and who has paid
//! too much waits, as a writer waits for any reader that is slower than it is.
//!
//! **Invariant:** over any time a container's output costs no more than [`PER_SECOND`] for each second of it, the part
//! that is ready at the beginning, and one read.

use std::time::{Duration, Instant};

/// Bytes that a line costs beside its own: what it takes to keep one is what it takes to copy so many.
const FRAME_BYTES: u64 = 320;
/// 64 MiB or 200,000 empty lines a second: some hundredths of a processor, and more than anybody ships.
const PER_SECOND: u64 = 64 << 20;
/// What may be had at once.
const AT_ONCE: u64 = PER_SECOND;

/// One container's part.
#[derive(Debug)]
pub(super) struct Allowance {
    /// What there is to spend; below zero after a read that cost more.
    left: i64,
    at: Instant,
}

impl Allowance {
    pub fn new(now: Instant) -> Allowance {
        Allowance { left: AT_ONCE as i64, at: now }
    }

    /// How long nothing may be read; zero when something may.
    pub fn wait(&mut self, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.at).as_nanos() * u128::from(PER_SECOND);
        let earned = i64::try_from(earned / 1_000_000_000).unwrap_or(i64::MAX);
        // Less than one byte's time is not lost.
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(AT_ONCE as i64);
            self.at = now;
        }
        if self.left > 0 {
            return Duration::ZERO;
        }
        let owed = self.left.unsigned_abs() + 1;
        Duration::from_nanos(owed.saturating_mul(1_000_000_000) / PER_SECOND)
    }

    pub fn spend(&mut self, bytes: u64, frames: u64) {
        let cost = bytes.saturating_add(frames.saturating_mul(FRAME_BYTES));
        self.left = self.left.saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as long as may be, `bytes` and `frames` at a time, for `seconds`; how many times.
    fn reads(bytes: u64, frames: u64, seconds: u64) -> u64 {
        let begun = Instant::now();
        let mut allowance = Allowance::new(begun);
        let (mut now, mut count) = (begun, 0);
        while now < begun + Duration::from_secs(seconds) {
            match allowance.wait(now) {
                Duration::ZERO => {
                    allowance.spend(bytes, frames);
                    count += 1;
                }
                wait => now += wait,
            }
        }
        count
    }

    #[test]
    fn newlines_are_dear_and_nothing_is_free() {
        const READ: u64 = 64 << 10;
        let newlines = reads(READ, READ, 10) * READ;
        assert!((1_900_000..2_500_000).contains(&newlines), "{newlines} in 10 s and at once");
        let long = reads(READ, 1, 10) * READ;
        assert!((680 << 20..705 << 20).contains(&long), "{long} bytes");
        assert!(reads(1, 1, 1) < 500_000);
    }

    #[test]
    fn a_clock_that_stands_or_steps_gives_nothing() {
        let begun = Instant::now();
        let mut allowance = Allowance::new(begun + Duration::from_secs(5));
        allowance.spend(AT_ONCE + 1, 0);
        assert!(allowance.wait(begun) > Duration::ZERO);
        assert!(allowance.wait(begun + Duration::from_secs(5)) > Duration::ZERO);
        assert_eq!(allowance.wait(begun + Duration::from_secs(6)), Duration::ZERO);
        allowance.spend(u64::MAX, u64::MAX);
        assert!(allowance.wait(begun + Duration::from_secs(7)) > Duration::from_secs(60));
    }
}
