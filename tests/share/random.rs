//! A random number generator with a seed.

use std::env;

/// The environment variable with the seed of a run to repeat.
pub const SEED: &str = "MIKOBASE_SEED";

/// The seed in [`SEED`], if it is set.
pub fn given_seed() -> Option<u64> {
    env::var(SEED).ok().map(|seed| seed.parse().unwrap())
}

/// A seed that is unique among concurrent processes.
pub fn fresh_seed() -> u64 {
    let time = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    time << 22 | u64::from(std::process::id())
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Prints the seed, so that a failed run can be repeated.
    pub fn new(seed: u64) -> Self {
        println!("{SEED}={seed}");
        Self(seed)
    }

    /// A generator that does not print its seed.
    pub fn quiet(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound - 1`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// `true` with probability `1 / n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A random element.
    pub fn pick<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        &options[self.below(options.len())]
    }

    /// A size up to `max`, with a uniformly distributed number of bits.
    pub fn size(&mut self, max: usize) -> usize {
        let bits = usize::BITS - max.leading_zeros();
        let bound = 1 << self.below(bits as usize + 1);
        self.below(bound).min(max)
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
