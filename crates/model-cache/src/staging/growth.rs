//! What of a download is on disk by now, for readers that follow it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use speech_flow_model_types::RangeSet;
use tokio::sync::watch;

/// The bytes of a download that are on disk already. Not verified: who hands them on keeps the last ones back
/// until the download is verified.
///
/// It stays readable after the download has ended, however it ended.
#[derive(Debug, Clone)]
pub struct Growth {
    data: Arc<File>,
    size: u64,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug)]
struct State {
    written: RangeSet,
    restarts: u64,
}

/// How far a reader can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Where the bytes end that follow on the reader's offset without a gap.
    pub end: u64,
    /// How often the download was started over: bytes from before do not belong to those after.
    pub restarts: u64,
}

impl Growth {
    /// A view of another process' download of this length.
    pub(super) fn foreign(data: File, size: u64) -> Self {
        Self::new(Arc::new(data), RangeSet::new(), size)
    }

    pub(super) fn new(data: Arc<File>, written: RangeSet, size: u64) -> Self {
        Self { data, size, state: Arc::new(watch::Sender::new(State { written, restarts: 0 })) }
    }

    pub(super) fn written(&self, range: Range<u64>) {
        self.state.send_modify(|state| state.written.insert(range));
    }

    pub(super) fn restarted(&self) {
        self.state.send_modify(|state| (state.written, state.restarts) = (RangeSet::new(), state.restarts + 1));
    }

    /// Takes what another process has recorded by now.
    pub(super) fn recorded(&self, recorded: &RangeSet) {
        self.state.send_if_modified(|state| {
            let is_shorter = state.written.iter().any(|range| !recorded.contains(&range));
            let has_changed = is_shorter || state.written != *recorded;
            state.restarts += u64::from(is_shorter);
            state.written = recorded.clone();
            has_changed
        });
    }

    /// Whether both are views of the same file on disk, whoever writes it. Blocks.
    pub fn is_of_same_file(&self, other: &File) -> bool {
        let identity = |file: &File| file.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
        identity(&self.data).is_some_and(|ours| identity(other) == Some(ours))
    }

    /// Length of the whole file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes on disk so far.
    pub fn bytes(&self) -> u64 {
        self.state.borrow().written.len()
    }

    /// How far a reader at an offset can go.
    pub fn reach(&self, offset: u64) -> Reach {
        let state = self.state.borrow();
        Reach { end: state.written.contiguous_end(offset), restarts: state.restarts }
    }

    /// Waits until a reader at the offset can go on, or the download was started over since `restarts`.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn more(&self, offset: u64, restarts: u64) {
        let mut changes = self.state.subscribe();
        let can_go_on = |state: &State| state.restarts != restarts || state.written.contiguous_end(offset) > offset;
        // The sender lives in `self`.
        let _ = changes.wait_for(can_go_on).await;
    }

    /// Reads bytes that [`Growth::reach`] has said to be there. Blocks.
    ///
    /// # Errors
    /// What the volume says.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.data.read_exact_at(buffer, offset)
    }

    /// The file.
    pub fn file(&self) -> &Arc<File> {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_goes_on_with_the_bytes_that_follow_its_own() {
        let file = tempfile::tempfile().expect("temp file");
        file.write_all_at(b"0123456789", 0).expect("writes");
        let growth = Growth::new(Arc::new(file), RangeSet::new(), 10);
        growth.written(4..10);
        assert_eq!(growth.reach(0), Reach { end: 0, restarts: 0 });
        assert_eq!(growth.reach(5).end, 10);
        let waiting = tokio::spawn({
            let growth = growth.clone();
            async move { growth.more(0, 0).await }
        });
        growth.written(0..4);
        waiting.await.expect("woken");
        assert_eq!(growth.reach(0).end, 10);
        let mut read = [0; 3];
        growth.read_exact_at(&mut read, 3).expect("reads");
        assert_eq!(&read, b"345");
        growth.restarted();
        growth.more(0, 0).await;
        assert_eq!(growth.reach(0), Reach { end: 0, restarts: 1 });
    }
}
