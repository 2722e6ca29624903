//! The time, handed in.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use outport_model::clock::Reading;
use outport_model::{SteadyMs, TimestampMs};

/// Where the store gets the time of ingestion and the age of events from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> TimestampMs;

    /// Milliseconds on a clock that never steps.
    fn steady_ms(&self) -> SteadyMs;

    fn read(&self) -> Reading {
        Reading { wall_ms: self.now_ms(), steady_ms: self.steady_ms() }
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> TimestampMs {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }

    /// `CLOCK_BOOTTIME`: unlike `CLOCK_MONOTONIC` it counts while the machine sleeps.
    fn steady_ms(&self) -> SteadyMs {
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME);
        let time = time.expect("Linux since 2.6.39 always has CLOCK_BOOTTIME");
        time.tv_sec() * 1_000 + time.tv_nsec() / 1_000_000
    }
}
