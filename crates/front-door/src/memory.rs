//! Knows when a flood is over, so that its memory goes back to the system.
//!
//! An allocator keeps what it has been given for the next time. After a flood that is a promise broken.

use std::time::{Duration, Instant};

/// So many connections since the last time are a flood.
const CONNECTIONS: u64 = 256;

/// And so many bytes of bodies and answers at one time.
const BYTES: usize = 4 << 20;

/// How long after it the memory is given back.
const CALM: Duration = Duration::from_secs(2);

/// What can be seen of a flood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// Connections since the start.
    pub connections: u64,
    /// Bytes of bodies and answers in memory.
    pub bytes: usize,
}

/// Knows when a flood is over.
#[derive(Debug, Default)]
pub(crate) struct Tide {
    connections: u64,
    connections_given_back: u64,
    bytes_peak: usize,
    high_at: Option<Instant>,
}

impl Tide {
    /// To be asked ten times a second. True once after each flood, when it has been calm for a while.
    pub fn is_over(&mut self, level: Level, now: Instant) -> bool {
        self.bytes_peak = self.bytes_peak.max(level.bytes);
        // A trickle is no flood: what comes at less than one a look lets it be over.
        if level.connections > self.connections + 1 || level.bytes > BYTES {
            self.high_at = Some(now);
        }
        self.connections = level.connections;
        let calm = self.high_at.is_some_and(|at| now.saturating_duration_since(at) >= CALM);
        let was_flood = level.connections - self.connections_given_back >= CONNECTIONS
            || self.bytes_peak > BYTES;
        if !calm || !was_flood {
            return false;
        }
        (self.connections_given_back, self.bytes_peak) = (level.connections, 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_each_flood() {
        let start = Instant::now();
        let mut tide = Tide::default();
        let mut given_back = Vec::new();
        let mut connections = 0;
        for tenth in 0..1000 {
            // Two floods of connections, one of bytes, and a trickle all along.
            connections += match tenth {
                0..100 | 500..510 => 50,
                _ => u64::from(tenth % 10 == 0),
            };
            let bytes = if (700..720).contains(&tenth) { 2 * BYTES } else { 1000 };
            let now = start + Duration::from_millis(100 * tenth);
            if tide.is_over(Level { connections, bytes }, now) {
                given_back.push(tenth);
            }
        }
        assert_eq!(given_back, [119, 529, 739]);
    }
}
