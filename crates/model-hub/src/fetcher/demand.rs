//! What is fetched first, because somebody waits for it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Places that are waited for at once; who comes later waits for the order of the file.
const MOST: usize = 64;

/// Places in one file that somebody waits for. Clones are the same.
///
/// It changes the order of a file's segments and nothing else: each is still fetched once, and no file gets more
/// lanes by it. Each request has one place, and places are served in the order in which they were asked for.
#[derive(Debug, Clone, Default)]
pub struct Demand {
    places: Arc<Mutex<VecDeque<u64>>>,
}

impl Demand {
    /// Says that somebody waits for the bytes from here on.
    pub fn ask(&self, at: u64) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() < MOST && !places.contains(&at) {
            places.push_back(at);
        }
    }

    /// Which of these segments comes first; `None` where nobody waits for any of them. What is waited for and is not
    /// among them is here or on its way.
    pub(super) fn first_of(&self, segments: &VecDeque<Range<u64>>) -> Option<usize> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(at) = places.pop_front() {
            if let Some(wanted) = segments.iter().position(|segment| segment.contains(&at)) {
                return Some(wanted);
            }
        }
        None
    }
}

impl PartialEq for Demand {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.places, &other.places)
    }
}

impl Eq for Demand {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_comes_first_in_the_order_of_asking() {
        let demand = Demand::default();
        let mut segments: VecDeque<Range<u64>> = [10..20, 20..30, 30..40].into();
        assert_eq!(demand.first_of(&segments), None);
        for at in [35, 5, 35, 29] {
            demand.ask(at);
        }
        assert_eq!(demand.first_of(&segments), Some(2));
        segments.remove(2);
        // 5 is fetched already.
        assert_eq!(demand.first_of(&segments), Some(1));
        assert_eq!(demand.first_of(&segments), None);
    }
}
