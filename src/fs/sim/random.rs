//! The one source of chance in the simulation: a small generator with a seed.
//!
//! SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators", 2014): a few operations a number, any seed is a good one.

/// A stream of numbers that its seed decides.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    state: u64,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Draw { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `limit - 1`; 0 for a limit of 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let Ok(wide) = u64::try_from(limit) else { return 0 };
        usize::try_from(self.next().checked_rem(wide).unwrap_or(0)).unwrap_or(0)
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// How much of `count` things in a row there is: often none, often all,
    /// else anything between. An even draw alone would hardly ever show the
    /// two ends, where the mistakes are.
    pub(super) fn cut(&mut self, count: usize) -> usize {
        match self.below(4) {
            0 => 0,
            1 => count,
            _ => self.below(count.saturating_add(1)),
        }
    }

    /// Fills `buf` with noise.
    pub(super) fn fill(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(word.split_at(chunk.len()).0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_stream() {
        let mut a = Draw::new(7);
        let mut b = Draw::new(7);
        let mut noise = [[0; 11]; 2];
        a.fill(&mut noise[0]);
        b.fill(&mut noise[1]);
        assert_eq!(noise[0], noise[1]);
        assert_ne!(noise[0], [0; 11]);
        assert_eq!(a.next(), b.next());
        assert_eq!(a.below(0), 0);
    }

    #[test]
    fn cuts_reach_both_ends() {
        let mut draw = Draw::new(1);
        let cuts: Vec<usize> = (0..200).map(|_| draw.cut(50)).collect();
        assert!(cuts.contains(&0) && cuts.contains(&50));
        assert!(cuts.iter().any(|c| (1..50).contains(c)));
        assert!(cuts.iter().all(|c| *c <= 50));
    }
}
