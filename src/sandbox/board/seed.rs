//! Numbers that look random and are the same for the same seed on every machine and in every version.

/// A SplitMix64 generator. Not for keys.
#[derive(Debug, Clone)]
pub(super) struct Seeded {
    state: u64,
}

impl Seeded {
    /// A generator of its own for each purpose, so that more draws for one do not change another.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        let state = purpose.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17)
        });
        let mut seeded = Seeded { state };
        seeded.next();
        seeded
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly spread between the two bounds.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        low + unit * (high - low)
    }

    /// Roughly normal around zero, never beyond six deviations.
    pub(super) fn noise(&mut self, deviation: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.between(-0.5, 0.5)).sum();
        sum * deviation
    }

    /// Fills the bytes.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers_and_purposes_differ() {
        let draw = |seed, purpose| Seeded::new(seed, purpose).next();
        assert_eq!(draw(7, "mac"), draw(7, "mac"));
        assert_ne!(draw(7, "mac"), draw(8, "mac"));
        assert_ne!(draw(7, "mac"), draw(7, "probe"));
    }

    #[test]
    fn noise_is_centred_and_bounded() {
        let mut seeded = Seeded::new(1, "noise");
        let draws: Vec<f64> = (0..2000).map(|_| seeded.noise(1.0)).collect();
        assert!((draws.iter().sum::<f64>() / 2000.0).abs() < 0.1);
        assert!(draws.iter().all(|draw| draw.abs() <= 6.0));
    }
}
