//! A small filter that tells which three-byte sequences a block surely does not contain, so that a
//! search for a term can pass over it. AWS's terms match anywhere in a message (`ERROR` is found in
//! `TERRORS`), so an index of words would not do.
//!
//! **Invariant:** a filter may say "perhaps" for anything, and says "no" only when it is true.

/// One bit for each trigram's hash. The number of bits is a power of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrigramFilter {
    bits: Vec<u8>,
}

const BITS_LOG2_MIN: u32 = 9;
/// 16 KiB for a block of [`crate::limits::BLOCK_BYTES_TARGET`].
const BITS_LOG2_MAX: u32 = 17;
/// Bits for each different trigram: about an eighth of the bits are set, so a term of six
/// characters that is not there passes one block in four thousand.
const BITS_PER_TRIGRAM: usize = 8;
/// The largest filter on disk.
pub(crate) const FILTER_BYTES_MAX: usize = 1 << (BITS_LOG2_MAX - 3);

/// Collects the trigrams of the messages of one block. Reusable, 2 MiB while it lives.
pub(crate) struct TrigramCollector {
    seen: Vec<u64>,
    different: Vec<u32>,
}

impl TrigramCollector {
    pub fn new() -> Self {
        Self { seen: vec![0; (1 << 24) / 64], different: Vec::new() }
    }

    pub fn add(&mut self, message: &[u8]) {
        let mut trigram = 0u32;
        for (position, byte) in message.iter().enumerate() {
            trigram = (trigram << 8 | u32::from(*byte)) & 0x00ff_ffff;
            if position < 2 {
                continue;
            }
            let (word, bit) = ((trigram / 64) as usize, 1u64 << (trigram % 64));
            if self.seen[word] & bit == 0 {
                self.seen[word] |= bit;
                self.different.push(trigram);
            }
        }
    }

    /// The filter of what was added; the collector is empty afterwards.
    pub fn finish(&mut self) -> TrigramFilter {
        let wanted = (self.different.len() * BITS_PER_TRIGRAM).next_power_of_two().trailing_zeros();
        let bits_log2 = wanted.clamp(BITS_LOG2_MIN, BITS_LOG2_MAX);
        let mut filter = TrigramFilter { bits: vec![0; 1 << (bits_log2 - 3)] };
        for trigram in self.different.drain(..) {
            self.seen[(trigram / 64) as usize] = 0;
            let place = place_of(trigram, bits_log2);
            filter.bits[place / 8] |= 1 << (place % 8);
        }
        filter
    }
}

impl TrigramFilter {
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let size = bytes.len();
        let valid =
            size.is_power_of_two() && (1 << (BITS_LOG2_MIN - 3)..=FILTER_BYTES_MAX).contains(&size);
        valid.then(|| Self { bits: bytes.to_vec() })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bits
    }

    /// False when no message of the block contains `term`.
    pub fn may_contain(&self, term: &[u8]) -> bool {
        let bits_log2 = self.bits.len().trailing_zeros() + 3;
        term.windows(3).all(|three| {
            let trigram =
                u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            let place = place_of(trigram, bits_log2);
            self.bits[place / 8] & 1 << (place % 8) != 0
        })
    }
}

/// Fibonacci hashing: spreads neighbouring trigrams.
fn place_of(trigram: u32, bits_log2: u32) -> usize {
    (trigram.wrapping_mul(0x9e37_79b1) >> (32 - bits_log2)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(messages: &[&str]) -> TrigramFilter {
        let mut collector = TrigramCollector::new();
        messages.iter().for_each(|message| collector.add(message.as_bytes()));
        collector.finish()
    }

    #[test]
    fn whatever_is_there_may_be_there() {
        let message = "2026-11-22T12:00:00Z INFO größe=7 path=/index.html";
        let filter = filter(&[message, "ab", ""]);
        for start in 0..message.len() {
            for end in start..message.len() {
                assert!(filter.may_contain(&message.as_bytes()[start..end]));
            }
        }
    }

    #[test]
    fn absent_terms_are_almost_always_passed_over() {
        let messages: Vec<String> = (0..5000)
            .map(|n| format!("GET /item/{n} 200 {}ms user=u{}", n % 97, n * 7919))
            .collect();
        let filter = filter(&messages.iter().map(String::as_str).collect::<Vec<_>>());
        let passed = (0..1000)
            .filter(|n| filter.may_contain(format!("zq{:06x}xw", n * 48_271).as_bytes()))
            .count();
        assert!(passed < 20, "{passed} of 1000 absent terms were not passed over");
    }

    #[test]
    fn a_collector_starts_afresh_after_finish() {
        let mut collector = TrigramCollector::new();
        collector.add(b"first");
        let first = collector.finish();
        collector.add(b"second");
        assert!(first.may_contain(b"first") && !collector.finish().may_contain(b"first"));
    }

    #[test]
    fn filters_of_wrong_size_are_refused() {
        let filter = filter(&["message"]);
        assert_eq!(TrigramFilter::from_bytes(filter.as_bytes()), Some(filter));
        for size in [0, 3, 32, 100, 1 << 20] {
            assert!(TrigramFilter::from_bytes(&vec![0; size]).is_none(), "{size}");
        }
    }
}
