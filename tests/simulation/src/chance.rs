//! Chance that belongs to a thing: what becomes of a container does not depend on who is asked first.

use std::collections::BTreeMap;

use crate::rng::Rng;

/// Throws dice for names. The same name asked for the second time is another throw.
#[derive(Debug)]
pub struct Chance {
    seed: u64,
    throws: BTreeMap<String, u64>,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self { seed, throws: BTreeMap::new() }
    }

    /// The next throw for what `name` says.
    pub fn next(&mut self, name: String) -> Rng {
        let throws = self.throws.entry(name.clone()).or_default();
        *throws += 1;
        let number = *throws;
        self.at(&name, number)
    }

    /// The throw of that number for what `name` says.
    pub fn at(&self, name: &str, number: u64) -> Rng {
        // FNV-1a, 64 bits; what follows of the generator spreads it.
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        let seed = self.seed.to_le_bytes();
        let bytes = seed.iter().chain(name.as_bytes()).chain(&[0]).copied();
        let bytes = bytes.chain(number.to_le_bytes());
        let mut rng = Rng::new(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| mix(hash, &byte)));
        // Neighbours begin alike.
        rng.below(2);
        rng.below(2);
        rng
    }
}
