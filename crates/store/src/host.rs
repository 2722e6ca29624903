//! Time and identifiers, handed in so that a run can be repeated.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use outport_model::clock::Reading;
use outport_model::{SteadyMs, TimestampMs};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> TimestampMs;

    /// Milliseconds on a clock that never steps, from a moment that stays the same while the machine
    /// is up.
    fn steady_ms(&self) -> SteadyMs;

    fn read(&self) -> Reading {
        Reading { wall_ms: self.now_ms(), steady_ms: self.steady_ms() }
    }
}

/// Gives bytes that no one can guess and that never come twice; every id is made of them.
pub trait Ids: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> TimestampMs {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimestampMs::try_from(since_epoch.as_millis()).unwrap_or(TimestampMs::MAX)
    }

    /// `CLOCK_BOOTTIME`: unlike `CLOCK_MONOTONIC` it counts while the machine sleeps.
    fn steady_ms(&self) -> SteadyMs {
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME);
        let time = time.expect("Linux since 2.6.39 always has CLOCK_BOOTTIME");
        time.tv_sec() * 1_000 + time.tv_nsec() / 1_000_000
    }
}

/// Randomness of the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("Linux since 3.17 always has getrandom");
    }
}

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    steady_ms: AtomicI64,
}

impl ManualClock {
    pub fn at(now_ms: TimestampMs) -> Self {
        Self { wall_ms: AtomicI64::new(now_ms), steady_ms: AtomicI64::new(0) }
    }

    /// Time passes.
    pub fn advance(&self, by_ms: i64) {
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst);
        self.steady_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock; no time passes.
    pub fn step(&self, by_ms: i64) {
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> TimestampMs {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn steady_ms(&self) -> SteadyMs {
        self.steady_ms.load(Ordering::SeqCst)
    }
}

/// The same ids in the same order for the same seed; for tests.
#[derive(Debug)]
pub struct SeededIds(AtomicU64);

impl SeededIds {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Ids for SeededIds {
    /// SplitMix64 (Steele, Lea and Flood, 2014): one step for every eight bytes.
    fn fill(&self, bytes: &mut [u8]) {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}
