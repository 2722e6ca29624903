//! How often each address may ask.

use std::collections::HashMap;
use std::net::IpAddr;

use outport_model::clock::SteadyMs;

/// Requests a second in the long run, and at once. Source: the Amazon ECS agent, ECS_TASK_METADATA_RPS_LIMIT, by default `40,60`;
/// that it counts by address is what its limiter does.
const STEADY: i64 = 40;
const BURST: i64 = 60;
/// A thousandth of a request comes back in so many of these.
const MILLI: i64 = 1_000;
/// Addresses that are remembered; those that have not asked for a while go first.
const ADDRESSES_MAX: usize = 10_000;

/// What each address has left.
#[derive(Debug, Default)]
pub struct Paces(HashMap<IpAddr, Left>);

#[derive(Clone, Copy, Debug)]
struct Left {
    /// Thousandths of requests.
    milli: i64,
    at_ms: SteadyMs,
}

impl Left {
    const WHOLE: i64 = BURST * MILLI;

    fn at(self, now_ms: SteadyMs) -> i64 {
        let earned = (now_ms - self.at_ms).clamp(0, Self::WHOLE).saturating_mul(STEADY);
        (self.milli + earned).min(Self::WHOLE)
    }
}

impl Paces {
    /// Whether a request is answered.
    pub fn admit(&mut self, peer: IpAddr, now_ms: SteadyMs) -> bool {
        if self.0.len() >= ADDRESSES_MAX {
            self.0.retain(|_, left| left.at(now_ms) < Left::WHOLE);
        }
        let known = self.0.get(&peer);
        if known.is_none() && self.0.len() >= ADDRESSES_MAX {
            return false;
        }
        let left = known.map_or(Left::WHOLE, |left| left.at(now_ms));
        let is_admitted = left >= MILLI;
        let milli = if is_admitted { left - MILLI } else { left };
        self.0.insert(peer, Left { milli, at_ms: now_ms });
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_at_once_and_forty_a_second() {
        let [one, other] = ["172.31.0.4", "172.31.0.5"].map(|text| text.parse().unwrap());
        let mut paces = Paces::default();
        let mut admitted = |peer, now_ms| (0..100).filter(|_| paces.admit(peer, now_ms)).count();
        assert_eq!(admitted(one, 0), 60);
        assert_eq!(admitted(other, 0), 60, "each address for itself");
        assert_eq!(admitted(one, 500), 20);
        assert_eq!(admitted(one, 1_500), 40);
        assert_eq!(admitted(one, 3_600_000), 60);
    }
}
