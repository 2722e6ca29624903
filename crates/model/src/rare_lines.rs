//! Which lines of the log are due that somebody else brings about, and could as often as they like.
//!
//! **Invariant:** of one kind there is a line at most once a minute, and of all kinds together [`KINDS_MAX`] a minute: who
//! fills the log with some kinds takes the place of no line that was written, and is counted in the next of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::clock::SteadyMs;

/// Between two lines of one kind.
pub const INTERVAL_MS: SteadyMs = 60_000;
/// Kinds that are remembered at one time. Of a further one there is no line until one of these is older than
/// [`INTERVAL_MS`].
pub const KINDS_MAX: usize = 256;

/// What was said of each kind `K`, such as a peer and a reason.
#[derive(Clone, Debug)]
pub struct RareLines<K> {
    said: BTreeMap<K, Said>,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    at_ms: SteadyMs,
    /// Since then.
    unsaid: u64,
}

impl<K> Default for RareLines<K> {
    fn default() -> Self {
        Self { said: BTreeMap::new() }
    }
}

impl<K: Ord> RareLines<K> {
    /// Whether a line of this kind is due now: how many were not written since the last one.
    pub fn due(&mut self, kind: K, now_ms: SteadyMs) -> Option<u64> {
        let is_over = |said: &Said| now_ms - said.at_ms >= INTERVAL_MS;
        if let Some(said) = self.said.get_mut(&kind) {
            if is_over(said) {
                let Said { unsaid, .. } = *said;
                *said = Said { at_ms: now_ms, unsaid: 0 };
                return Some(unsaid);
            }
            said.unsaid += 1;
            return None;
        }
        if self.said.len() >= KINDS_MAX {
            self.said.retain(|_, said| !is_over(said));
        }
        if self.said.len() >= KINDS_MAX {
            return None;
        }
        self.said.insert(kind, Said { at_ms: now_ms, unsaid: 0 });
        Some(0)
    }
}

/// Who counts as one peer: an IPv4 address, or the /64 of an IPv6 one, of which a host has all.
pub fn one_peer(address: IpAddr) -> IpAddr {
    const HOST_BITS: u32 = 64;
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> HOST_BITS << HOST_BITS))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_a_line_a_minute_and_says_how_many_it_stands_for() {
        let mut lines = RareLines::default();
        assert_eq!(lines.due("a", 0), Some(0));
        assert_eq!(lines.due("b", 1), Some(0), "another kind");
        for at_ms in [1, 2, 59_999] {
            assert_eq!(lines.due("a", at_ms), None);
        }
        assert_eq!(lines.due("a", 60_000), Some(3));
        assert_eq!(lines.due("a", 60_001), None);
        assert_eq!(lines.due("a", 180_000), Some(1));
        assert_eq!(lines.due("a", 240_000), Some(0));
    }

    #[test]
    fn who_has_many_kinds_writes_few_lines_and_takes_no_memory() {
        let mut lines = RareLines::default();
        let all = (0..10 * KINDS_MAX).filter_map(|kind| lines.due(kind, 5)).count();
        assert_eq!(all, KINDS_MAX);
        assert_eq!(lines.said.len(), KINDS_MAX);
        assert_eq!(lines.due(usize::MAX, 60_004), None);
        assert_eq!(lines.due(usize::MAX, 60_005), Some(0), "the others are over");
        assert_eq!(lines.said.len(), 1);
    }

    #[test]
    fn an_ipv6_host_is_one_peer() {
        let one = |text: &str| one_peer(text.parse().unwrap()).to_string();
        assert_eq!(one("10.0.0.1"), "10.0.0.1");
        assert_eq!(one("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(one("2001:db8:0:1:2:3:4:5"), "2001:db8:0:1::");
    }
}
