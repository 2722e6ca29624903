//! How long a peer may keep us waiting: an allowance that waiting uses up and bytes earn back.
//!
//! A limit on each read is none: one byte a minute passes it for ever. A limit on the whole refuses who has a slow line
//! and much to send. This is a least rate with some patience before it: whoever is faster than the rate goes on for as
//! long as there are bytes, whoever is slower ends after `grace` and the time that the bytes have earned.

use std::time::{Duration, Instant};

/// What is asked of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceLimit {
    /// How long it may keep us waiting beyond the rate.
    pub grace: Duration,
    /// Bytes a second, at least; not 0.
    pub bytes_per_second_min: u32,
}

/// The account of one peer. Only the time in which we wait for the peer counts.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    limit: PaceLimit,
    left: Duration,
    waiting_since: Option<Instant>,
}

impl Pace {
    pub fn new(limit: PaceLimit) -> Self {
        Pace { limit, left: limit.grace, waiting_since: None }
    }

    /// It is the peer's turn.
    pub fn wait(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// The peer took or gave so many bytes.
    pub fn moved(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        }
        let nanos = 1_000_000_000 / u64::from(self.limit.bytes_per_second_min.max(1));
        let earned = nanos.saturating_mul(u64::try_from(bytes).unwrap_or(u64::MAX));
        let left = self.left.saturating_add(Duration::from_nanos(earned));
        self.left = left.min(self.limit.grace);
    }

    /// Whether nothing of it is used up.
    pub fn is_whole(&self) -> bool {
        self.waiting_since.is_none() && self.left == self.limit.grace
    }

    /// For how long it has been the peer's turn.
    pub fn waiting(&self, now: Instant) -> Option<Duration> {
        self.waiting_since.map(|since| now.saturating_duration_since(since))
    }

    /// How much of its time the peer has left, as of its turn's beginning.
    pub fn left(&self) -> Duration {
        self.left
    }

    /// When the peer is given up, as things stand. `None` while it is not its turn.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: PaceLimit =
        PaceLimit { grace: Duration::from_secs(10), bytes_per_second_min: 1000 };

    /// A peer that moves `bytes` after every `pause`: when is it given up?
    fn check(bytes: usize, pause_ms: u64, expected_ms: Option<u64>) {
        let start = Instant::now();
        let mut pace = Pace::new(LIMIT);
        let mut given_up = None;
        for turn in 0..20_000 {
            let begun = start + Duration::from_millis(turn * pause_ms);
            pace.wait(begun);
            let deadline = pace.deadline().unwrap();
            let moved = begun + Duration::from_millis(pause_ms);
            if deadline < moved {
                given_up = Some(u64::try_from((deadline - start).as_millis()).unwrap());
                break;
            }
            pace.moved(bytes, moved);
        }
        assert_eq!(given_up, expected_ms, "{bytes} bytes every {pause_ms} ms");
    }

    #[test]
    fn who_is_slower_than_the_rate_ends_and_who_is_faster_goes_on() {
        check(0, 1, Some(10_000));
        check(1, 20_000, Some(10_000));
        check(1, 1000, Some(10_010));
        check(500, 1000, Some(19_500));
        check(1000, 1000, None);
        check(100_000, 9_000, None);
        check(100_000, 11_000, Some(10_000));
    }

    #[test]
    fn only_the_time_in_which_it_is_the_peers_turn_counts() {
        let start = Instant::now();
        let mut pace = Pace::new(LIMIT);
        assert_eq!(pace.deadline(), None);
        pace.wait(start);
        pace.moved(1, start + Duration::from_secs(1));
        assert!(!pace.is_whole());
        // An hour of our own.
        let later = start + Duration::from_secs(3_600);
        pace.wait(later);
        assert_eq!(pace.waiting(later + Duration::from_secs(2)), Some(Duration::from_secs(2)));
        let deadline = pace.deadline().unwrap();
        assert_eq!((deadline - later).as_millis(), 9_001);
        pace.moved(1_000_000, later);
        assert!(pace.is_whole());
    }
}
