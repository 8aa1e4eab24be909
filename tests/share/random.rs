//! Random numbers that are the same for the same seed.

use std::env;

/// The variable that gives a run the seed of another.
pub const SEED: &str = "MIKOBASE_SEED";

/// The seed that the caller of the test asks for.
pub fn given_seed() -> Option<u64> {
    env::var(SEED).ok().map(|seed| seed.parse().unwrap())
}

/// A seed that no other process of this time has.
pub fn fresh_seed() -> u64 {
    let time = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    time << 22 | u64::from(std::process::id())
}

/// Splitmix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Prints the seed, so that a failed run can be repeated.
    pub fn new(seed: u64) -> Self {
        println!("{SEED}={seed}");
        Self(seed)
    }

    /// One whose seed was taken from another.
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

    /// Whether something happens that happens once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        &options[self.below(options.len())]
    }

    /// A size up to `most`: small ones and large ones are equally frequent.
    pub fn size(&mut self, most: usize) -> usize {
        let bits = usize::BITS - most.leading_zeros();
        let bound = 1 << self.below(bits as usize + 1);
        self.below(bound).min(most)
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
