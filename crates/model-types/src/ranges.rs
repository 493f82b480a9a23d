//! Sets of byte ranges: what has arrived, what is missing.

use std::ops::Range;

/// A set of bytes, kept as sorted half-open ranges that neither touch nor overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeSet {
    ranges: Vec<Range<u64>>,
}

impl RangeSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range; an empty one changes nothing.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // All ranges in first..last touch or overlap the new one and melt into it.
        let first = self.ranges.partition_point(|have| have.end < range.start);
        let last = self.ranges.partition_point(|have| have.start <= range.end);
        let merged =
            self.ranges[first..last].iter().fold(range, |sum, have| sum.start.min(have.start)..sum.end.max(have.end));
        self.ranges.splice(first..last, [merged]);
    }

    /// The ranges, sorted.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().cloned()
    }

    /// How many bytes are in the set.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether no byte is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether every byte of the range is in the set.
    pub fn contains(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.contiguous_end(range.start) >= range.end
    }

    /// Where the bytes that start at `from` without a gap end; `from` itself when it is missing.
    pub fn contiguous_end(&self, from: u64) -> u64 {
        let after = self.ranges.partition_point(|have| have.end <= from);
        match self.ranges.get(after) {
            Some(have) if have.start <= from => have.end,
            _ => from,
        }
    }

    /// The bytes of `0..size` that are not in the set.
    pub fn missing(&self, size: u64) -> RangeSet {
        let mut gaps = Vec::new();
        let mut at = 0;
        for have in &self.ranges {
            if have.start >= size {
                break;
            }
            if have.start > at {
                gaps.push(at..have.start);
            }
            at = have.end;
        }
        if at < size {
            gaps.push(at..size);
        }
        RangeSet { ranges: gaps }
    }

    /// The set cut into pieces that lie on a grid of `segment` bytes, in order.
    ///
    /// # Panics
    /// When `segment` is 0.
    pub fn segments(&self, segment: u64) -> Vec<Range<u64>> {
        assert!(segment > 0, "a segment has at least one byte");
        let mut pieces = Vec::new();
        for range in &self.ranges {
            let mut start = range.start;
            while start < range.end {
                let grid_end = (start / segment + 1).saturating_mul(segment);
                let end = grid_end.min(range.end);
                pieces.push(start..end);
                start = end;
            }
        }
        pieces
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        // In order, each range goes to the end; any other order moves what stands behind it.
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut set = Self::new();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bytes(set: &RangeSet) -> BTreeSet<u64> {
        set.iter().flatten().collect()
    }

    #[test]
    fn many_ranges_in_the_worst_order_are_collected_quickly() {
        let set: RangeSet = (0..1_000_000_u64).rev().map(|at| 2 * at..2 * at + 1).collect();
        assert_eq!((set.len(), set.ranges.len()), (1_000_000, 1_000_000));
    }

    fn some_ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
        proptest::collection::vec((0_u64..60, 0_u64..12).prop_map(|(start, len)| start..start + len), 0..12)
    }

    proptest! {
        #[test]
        fn holds_exactly_the_inserted_bytes(ranges in some_ranges()) {
            let model: BTreeSet<u64> = ranges.iter().cloned().flatten().collect();
            let set: RangeSet = ranges.into_iter().collect();
            prop_assert_eq!(bytes(&set), model.clone());
            prop_assert_eq!(set.len(), model.len() as u64);
            for pair in set.ranges.windows(2) {
                prop_assert!(pair[0].end < pair[1].start, "ranges touch: {:?}", set);
            }
        }

        #[test]
        fn missing_is_the_complement(ranges in some_ranges(), size in 0_u64..80) {
            let set: RangeSet = ranges.into_iter().collect();
            let expected: BTreeSet<u64> = (0..size).filter(|byte| !set.contains(&(*byte..byte + 1))).collect();
            prop_assert_eq!(bytes(&set.missing(size)), expected);
        }

        #[test]
        fn segments_cover_the_set_and_keep_to_the_grid(ranges in some_ranges(), segment in 1_u64..20) {
            let set: RangeSet = ranges.into_iter().collect();
            let pieces = set.segments(segment);
            for piece in &pieces {
                prop_assert_eq!(piece.start / segment, (piece.end - 1) / segment);
            }
            prop_assert_eq!(pieces.into_iter().collect::<RangeSet>(), set);
        }

        #[test]
        fn contiguous_end_stops_at_the_first_gap(ranges in some_ranges(), from in 0_u64..80) {
            let set: RangeSet = ranges.into_iter().collect();
            let all = bytes(&set);
            let expected = (from..).find(|byte| !all.contains(byte)).expect("the set is finite");
            prop_assert_eq!(set.contiguous_end(from), expected);
        }
    }
}
