//! Where and when something breaks, from a seed.

/// The same numbers each time for a seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Any seed but 0, which has only itself.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// At least `low`, less than `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        // xorshift64*, good enough to choose where something breaks.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        low + (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % (high - low)
    }
}
