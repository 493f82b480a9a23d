//! Pseudo-random content that needs no memory: any byte can be computed from its offset.

use std::sync::LazyLock;

/// Length of a block. Each block is a window of the pool with its own 16 bytes in front.
const BLOCK: u64 = 64 << 10;
const STAMP: usize = 16;
const POOL: usize = 1 << 20;

/// Random bytes that all generated files cut their blocks from: copying is as fast as memory is,
/// also in a build without optimization.
static RANDOM: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..(POOL as u64 + BLOCK) / 8).flat_map(|index| mix(index).to_le_bytes()).collect());

/// A file that is the same for the same size and seed. No two blocks are equal, so a block at a
/// wrong offset changes the hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generated {
    pub(crate) size: u64,
    pub(crate) seed: u64,
}

impl Generated {
    /// Writes the bytes from `offset` on into `buffer`.
    pub(crate) fn fill(&self, mut offset: u64, mut buffer: &mut [u8]) {
        while !buffer.is_empty() {
            let (block, within) = (offset / BLOCK, (offset % BLOCK) as usize);
            let len = buffer.len().min(BLOCK as usize - within);
            let (head, tail) = buffer.split_at_mut(len);
            self.fill_from_block(block, within, head);
            buffer = tail;
            offset += len as u64;
        }
    }

    fn fill_from_block(&self, block: u64, within: usize, buffer: &mut [u8]) {
        let start = mix(self.seed ^ mix(block)) as usize % POOL + within;
        buffer.copy_from_slice(&RANDOM[start..start + buffer.len()]);
        let stamp = self.stamp(block);
        for (byte, stamped) in buffer.iter_mut().zip(stamp.iter().skip(within)) {
            *byte = *stamped;
        }
    }

    fn stamp(&self, block: u64) -> [u8; STAMP] {
        let mut stamp = [0; STAMP];
        stamp[..8].copy_from_slice(&mix(self.seed).to_le_bytes());
        stamp[8..].copy_from_slice(&block.to_le_bytes());
        stamp
    }
}

/// The finalizer of SplitMix64: neighboring inputs give unrelated outputs.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_read_alone_equals_that_part_of_the_whole(seed in any::<u64>(), start in 0..200_000_usize, len in 0..70_000_usize) {
            let generated = Generated { size: 270_000, seed };
            let mut whole = vec![0; 270_000];
            generated.fill(0, &mut whole);
            let mut part = vec![0; len];
            generated.fill(start as u64, &mut part);
            prop_assert_eq!(&part[..], &whole[start..start + len]);
        }
    }

    #[test]
    fn blocks_and_seeds_differ() {
        let block = |seed, index| {
            let mut bytes = vec![0; BLOCK as usize];
            Generated { size: u64::MAX, seed }.fill(index * BLOCK, &mut bytes);
            bytes
        };
        assert_ne!(block(1, 0), block(1, 1));
        assert_ne!(block(1, 0), block(2, 0));
        assert_eq!(block(3, 1 << 40), block(3, 1 << 40));
    }
}
