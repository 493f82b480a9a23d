//! How many threads compute. Together they are never more than the processors that the process may use: more would
//! only wait for each other, and in a container be stopped for the rest of each period.

use std::num::NonZero;

/// Processors that this process may use: what its affinity and its control group's quota (versions 1 and 2) leave.
pub(crate) fn limit() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// How many replicas there can be on the processor: each needs a thread.
pub(crate) fn replicas(asked: usize) -> usize {
    asked.clamp(1, limit())
}

/// Threads of each of so many replicas.
pub(crate) fn for_each_replica(replicas: usize, asked: Option<usize>) -> usize {
    share(limit(), replicas, asked)
}

fn share(limit: usize, replicas: usize, asked: Option<usize>) -> usize {
    let most = (limit / replicas.max(1)).max(1);
    asked.map_or(most, |asked| asked.clamp(1, most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn threads_never_exceed_the_limit(limit in 1..256_usize, replicas in 1..256_usize, asked in prop::option::of(0..300_usize)) {
            let replicas = replicas.clamp(1, limit);
            let threads = share(limit, replicas, asked);
            prop_assert!(threads >= 1 && threads * replicas <= limit);
        }
    }
}
