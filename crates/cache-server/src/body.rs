//! The bytes of a file on their way to one client.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use speech_flow_http_listener::{BLANK_BYTES, Pieces, is_in_memory};
use speech_flow_model_cache::{Growth, Lease};
use tokio::sync::watch;

use crate::answer::Refusal;
use crate::flight::{Flight, HELD_BACK, Phase};
use crate::server::Server;
use crate::store::{SharedFile, StoredBlob};

/// Bytes that are read at once.
const PIECE: u64 = 512 << 10;
/// Less for those that follow a download: they come in crowds, and what a slow one has not taken yet waits in memory.
const FOLLOWED_PIECE: u64 = 128 << 10;
/// Parts from this size on are sent without a copy.
const DIRECT_FROM: u64 = 256 << 10;
/// Parts up to this size are read where they are found.
const AT_ONCE: u64 = 128 << 10;
/// A smaller piece is followed by a short wait, so that many followers do not wake for every packet.
const SMALL_PIECE: u64 = 64 << 10;
const BREATH: Duration = Duration::from_millis(10);

/// What every body carries: counts what it sends, and holds what must not go while it sends.
pub(crate) struct Sending {
    server: Server,
    repo: String,
    source: &'static str,
    sent: u64,
    _lease: Option<HeldLease>,
}

impl Sending {
    pub(crate) fn new(server: &Server, repo: String, source: &'static str, lease: Option<Arc<Lease>>) -> Self {
        server.inner.metrics.streaming.add(1);
        Self { server: server.clone(), repo, source, sent: 0, _lease: lease.map(|lease| HeldLease(Some(lease))) }
    }

    pub(crate) fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
        let metrics = &self.server.inner.metrics;
        if self.source == "cache" { &metrics.bytes_from_cache } else { &metrics.bytes_from_hub }.inc_by(bytes);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let metrics = &self.server.inner.metrics;
        metrics.streaming.add(-1);
        metrics.model_bytes(&self.repo, self.source, self.sent);
    }
}

/// A lease whose end, which writes to the volume, holds up no other task.
struct HeldLease(Option<Arc<Lease>>);

impl Drop for HeldLease {
    fn drop(&mut self) {
        if let (Some(lease), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn_blocking(move || drop(lease));
        }
    }
}

/// A part that is read where the file is opened, as it is small. Blocks.
pub(crate) fn small(file: &File, range: &Range<u64>) -> io::Result<Option<Bytes>> {
    let length = range.end - range.start;
    if length > AT_ONCE {
        return Ok(None);
    }
    let mut buffer = vec![0; length as usize];
    file.read_exact_at(&mut buffer, range.start)?;
    Ok(Some(Bytes::from(buffer)))
}

/// A part that has been read.
pub(crate) fn read_already(bytes: Bytes, mut sending: Sending) -> Body {
    sending.sent(bytes.len() as u64);
    Body::from(bytes)
}

/// A part of a file that is whole, sent by the kernel where the connection can.
pub(crate) fn stored(file: SharedFile, range: Range<u64>, sending: Sending, pieces: Option<Pieces>) -> Body {
    match pieces {
        // A small file is sent sooner by a copy.
        Some(pieces) if range.end - range.start >= DIRECT_FROM => direct(file, range, sending, pieces),
        _ => copied(file, range, sending),
    }
}

fn direct(file: SharedFile, range: Range<u64>, sending: Sending, pieces: Pieces) -> Body {
    let state = (file, range, sending, pieces);
    Body::from_stream(stream::try_unfold(state, |(file, range, mut sending, pieces)| async move {
        if range.is_empty() {
            return Ok::<_, io::Error>(None);
        }
        let end = range.end.min(range.start + BLANK_BYTES);
        if !is_in_memory(&file, &(range.start..end)) {
            // Brings it into the page cache; the disk is waited for here, not where the socket is written to.
            drop(read(Arc::clone(&file), range.start..end).await?);
        }
        let blank = pieces.blank(&file, range.start..end);
        sending.sent(end - range.start);
        Ok(Some((blank, (file, end..range.end, sending, pieces))))
    }))
}

fn copied(file: SharedFile, range: Range<u64>, sending: Sending) -> Body {
    let state = (file, range, sending);
    Body::from_stream(stream::try_unfold(state, |(file, range, mut sending)| async move {
        if range.is_empty() {
            return Ok::<_, io::Error>(None);
        }
        let end = range.end.min(range.start + PIECE);
        let piece = read(Arc::clone(&file), range.start..end).await?;
        sending.sent(piece.len() as u64);
        Ok(Some((piece, (file, end..range.end, sending))))
    }))
}

async fn read(file: SharedFile, range: Range<u64>) -> io::Result<Bytes> {
    let work = move || {
        let mut buffer = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut buffer, range.start)?;
        Ok(Bytes::from(buffer))
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A part of a file that is on its way.
pub(crate) fn following(server: &Server, flight: Arc<Flight>, range: Range<u64>, sending: Sending) -> Body {
    let phases = flight.phase();
    let state = Follower { server: server.clone(), flight, phases, reading: Reading::Nothing, range, sending };
    Body::from_stream(stream::try_unfold(state, |mut follower| async move {
        match follower.next().await {
            Ok(Some(piece)) => {
                follower.range.start += piece.len() as u64;
                follower.sending.sent(piece.len() as u64);
                Ok(Some((piece, follower)))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                follower.server.inner.metrics.cut_off.inc_by(1);
                tracing::warn!(repo = %follower.flight.repo, file = %follower.flight.file.path, %error, "an answer is cut off");
                Err(error)
            }
        }
    }))
}

struct Follower {
    server: Server,
    flight: Arc<Flight>,
    phases: watch::Receiver<Phase>,
    reading: Reading,
    /// What is still to be sent.
    range: Range<u64>,
    sending: Sending,
}

/// Where a follower's bytes come from.
enum Reading {
    /// It has sent none yet.
    Nothing,
    /// From a download that had been started over so often.
    Growth { growth: Growth, restarts: u64, breathe: bool },
    /// From the file under its final name.
    Whole(SharedFile),
}

impl Follower {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        loop {
            if let Reading::Whole(file) = &self.reading {
                let end = self.range.end.min(self.range.start + FOLLOWED_PIECE);
                return read(Arc::clone(file), self.range.start..end).await.map(Some);
            }
            let phase = self.phases.borrow_and_update().clone();
            match phase {
                Phase::Failed(Refusal { message, .. }) => return Err(io::Error::other(message)),
                Phase::Waiting => self.changed().await?,
                Phase::Growing(growth) => {
                    if let Some(piece) = self.growing(&growth).await? {
                        return Ok(Some(piece));
                    }
                }
                Phase::Landed(landed) => self.landed(landed.as_ref()).await?,
            }
        }
    }

    async fn changed(&mut self) -> io::Result<()> {
        self.phases.changed().await.map_err(|_| io::Error::other("the download was lost"))
    }

    /// The next bytes that are there; `None` after something has changed.
    async fn growing(&mut self, now: &Growth) -> io::Result<Option<Bytes>> {
        if let Reading::Nothing = self.reading {
            let restarts = now.reach(self.range.start).restarts;
            self.reading = Reading::Growth { growth: now.clone(), restarts, breathe: false };
        }
        let Reading::Growth { growth, restarts, breathe } = &mut self.reading else { return Ok(None) };
        if *breathe {
            *breathe = false;
            tokio::time::sleep(BREATH).await;
        }
        let reach = growth.reach(self.range.start);
        if reach.restarts != *restarts {
            return Err(started_over());
        }
        if !Arc::ptr_eq(growth.file(), now.file()) {
            // Another process' download was taken over: the same file goes on under another view.
            if !growth.is_of_same_file(now.file()) {
                return Err(started_over());
            }
            let restarts = now.reach(self.range.start).restarts;
            self.reading = Reading::Growth { growth: now.clone(), restarts, breathe: false };
            return Ok(None);
        }
        let limit = self.range.end.min(growth.size().saturating_sub(HELD_BACK));
        let end = reach.end.min(limit).min(self.range.start + FOLLOWED_PIECE);
        if end > self.range.start {
            *breathe = end - self.range.start < SMALL_PIECE;
            let piece = read(Arc::clone(growth.file()), self.range.start..end).await?;
            // What was read while the download was started over is of no version.
            return if growth.reach(end).restarts == *restarts { Ok(Some(piece)) } else { Err(started_over()) };
        }
        let can_grow = self.range.start < limit;
        if can_grow {
            self.flight.demand.ask(self.range.start);
        }
        tokio::select! {
            () = growth.more(self.range.start, *restarts), if can_grow => Ok(None),
            changed = self.phases.changed() => changed.map(|()| None).map_err(|_| io::Error::other("the download was lost")),
        }
    }

    /// The whole is verified. Bytes that were sent before count only if they are of the same download.
    async fn landed(&mut self, landed: Option<&Growth>) -> io::Result<()> {
        let file = match (&self.reading, landed) {
            (Reading::Growth { growth, restarts, .. }, Some(landed))
                if Arc::ptr_eq(growth.file(), landed.file()) && landed.reach(0).restarts == *restarts =>
            {
                Arc::clone(growth.file())
            }
            (Reading::Growth { .. }, _) => return Err(started_over()),
            (Reading::Nothing | Reading::Whole(_), _) => {
                let (server, flight) = (self.server.clone(), Arc::clone(&self.flight));
                let open = move || server.open_blob(&flight.repo, &flight.commit, &flight.file);
                let opened = tokio::task::spawn_blocking(open).await.map_err(io::Error::other)?;
                let StoredBlob { file, .. } = opened
                    .map_err(io::Error::other)?
                    .ok_or_else(|| io::Error::other("the file was removed meanwhile"))?;
                Arc::new(file)
            }
        };
        self.reading = Reading::Whole(file);
        Ok(())
    }
}

fn started_over() -> io::Error {
    io::Error::other("the download was started over: what was sent before is not of the same bytes")
}
