//! The edit list of an MP4 file: where in the coded audio the recording starts and ends.
//!
//! An AAC encoder puts 1,024 or more samples of warming up before the first sound, and says so in the edit list, as do
//! phones when a user trims a recording. The demuxer reads the list and keeps it to itself, so it is read here.
//!
//! Of a list only the first part that plays media counts; recordings with several are rare. Source: ISO/IEC 14496-12,
//! 8.6.6 (`elst`), 8.4.2 (`mdhd`), 8.2.2 (`mvhd`).

use std::io::{self, Read, Seek, SeekFrom};

/// Boxes that are looked at, at most, so that a file of empty boxes ends soon.
const MAX_BOXES: usize = 10_000;

/// What of the first audio track is played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    /// First tick that is played.
    pub(crate) start: u64,
    /// First tick that is not played any more.
    pub(crate) end: Option<u64>,
    /// Ticks per second.
    pub(crate) ticks_per_second: u32,
}

/// What the boxes of a file say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Movie {
    /// Whether there is an index at all. Recorders write it last, so a file that was cut has none.
    pub(crate) is_indexed: bool,
    /// The edit of the first audio track; `None` where there is none, or no sense in it.
    pub(crate) edit: Option<Edit>,
}

impl Movie {
    /// Walks through the boxes of `source`, whose position is another one afterwards.
    pub(crate) fn read<S: Read + Seek>(source: &mut S, len: u64) -> Self {
        let mut walk = Walk { source, boxes: 0, is_indexed: false, track: Track::default(), movie_ticks: 0 };
        let edit = walk.children(0, len, 0).ok().and_then(|()| walk.track.edit(walk.movie_ticks));
        Self { is_indexed: walk.is_indexed, edit }
    }
}

#[derive(Default)]
struct Track {
    is_audio: bool,
    ticks_per_second: u32,
    /// Length in ticks of the movie, and first tick of the media.
    entry: Option<(u64, u64)>,
}

impl Track {
    fn edit(&self, movie_ticks: u32) -> Option<Edit> {
        let (length, start) = self.entry?;
        if !self.is_audio || self.ticks_per_second == 0 {
            return None;
        }
        // A length of 0 is "to the end", which fragmented files have.
        let length = u128::from(length) * u128::from(self.ticks_per_second);
        let length = length.checked_div(movie_ticks.into()).filter(|&length| length > 0);
        let end = length.and_then(|length| start.checked_add(u64::try_from(length).ok()?));
        Some(Edit { start, end, ticks_per_second: self.ticks_per_second })
    }
}

struct Walk<'s, S> {
    source: &'s mut S,
    boxes: usize,
    is_indexed: bool,
    track: Track,
    movie_ticks: u32,
}

impl<S: Read + Seek> Walk<'_, S> {
    /// Goes through the boxes from `position` to `end`, until the first audio track is known.
    fn children(&mut self, mut position: u64, end: u64, depth: u8) -> io::Result<()> {
        while position.saturating_add(8) <= end && !self.track.is_audio && self.boxes < MAX_BOXES {
            self.boxes += 1;
            self.source.seek(SeekFrom::Start(position))?;
            let (mut size, mut head) = (u64::from(self.u32()?), 8);
            let kind = self.bytes::<4>()?;
            match size {
                0 => size = end - position,
                1 => (size, head) = (self.u64()?, 16),
                _ => {}
            }
            let Some(next) = position.checked_add(size).filter(|_| size >= head) else { return Ok(()) };
            let (from, to) = (position + head, next.min(end));
            match &kind {
                b"trak" => {
                    self.track = Track::default();
                    self.children_of_track(from, to, depth)?;
                }
                b"moov" if depth == 0 => {
                    self.is_indexed = true;
                    return self.children(from, to, 1);
                }
                b"mvhd" => self.movie_ticks = self.time_scale()?,
                _ => {}
            }
            position = next;
        }
        Ok(())
    }

    fn children_of_track(&mut self, mut position: u64, end: u64, depth: u8) -> io::Result<()> {
        while position.saturating_add(8) <= end && self.boxes < MAX_BOXES {
            self.boxes += 1;
            self.source.seek(SeekFrom::Start(position))?;
            let size = u64::from(self.u32()?);
            let kind = self.bytes::<4>()?;
            let Some(next) = position.checked_add(size).filter(|_| size >= 8) else { return Ok(()) };
            match &kind {
                b"edts" | b"mdia" if depth < 4 => self.children_of_track(position + 8, next.min(end), depth + 1)?,
                b"elst" => self.track.entry = self.first_entry()?,
                b"mdhd" => self.track.ticks_per_second = self.time_scale()?,
                b"hdlr" => {
                    self.source.seek_relative(8)?;
                    self.track.is_audio = self.bytes::<4>()? == *b"soun";
                }
                _ => {}
            }
            position = next;
        }
        Ok(())
    }

    /// The first entry of an edit list that plays media.
    fn first_entry(&mut self) -> io::Result<Option<(u64, u64)>> {
        let wide = self.bytes::<4>()?[0] == 1;
        let entries = self.u32()?;
        for _ in 0..entries.min(16) {
            let (length, start) = if wide {
                (self.u64()?, self.u64()?.cast_signed())
            } else {
                (self.u32()?.into(), self.u32()?.cast_signed().into())
            };
            self.u32()?;
            // A negative start is a pause, which no recording needs.
            if let Ok(start) = u64::try_from(start) {
                return Ok(Some((length, start)));
            }
        }
        Ok(None)
    }

    /// Ticks per second of an `mvhd` or `mdhd`.
    fn time_scale(&mut self) -> io::Result<u32> {
        let wide = self.bytes::<4>()?[0] == 1;
        self.source.seek_relative(if wide { 16 } else { 8 })?;
        self.u32()
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.bytes().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut bytes = (content.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(content);
        bytes
    }

    fn words(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    fn track(handler: &[u8; 4], entries: &[[u32; 2]]) -> Vec<u8> {
        let mut list = words(&[0, entries.len() as u32]);
        entries.iter().for_each(|entry| list.extend(words(&[entry[0], entry[1], 0x10000])));
        let handler = [&words(&[0, 0])[..], handler, &words(&[0, 0, 0])].concat();
        let media = [boxed(b"mdhd", &words(&[0, 0, 0, 48_000, 0, 0])), boxed(b"hdlr", &handler)].concat();
        boxed(b"trak", &[boxed(b"edts", &boxed(b"elst", &list)), boxed(b"mdia", &media)].concat())
    }

    fn movie(tracks: &[Vec<u8>]) -> Vec<u8> {
        let header = boxed(b"mvhd", &words(&[0, 0, 0, 1000, 0]));
        let movie = boxed(b"moov", &[header, tracks.concat()].concat());
        [boxed(b"ftyp", b"M4A "), boxed(b"mdat", &[0; 40]), movie].concat()
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<Edit>) {
        assert_eq!(Movie::read(&mut Cursor::new(bytes), bytes.len() as u64).edit, expected);
    }

    #[test]
    fn the_first_audio_track_counts() {
        let expected = Edit { start: 1024, end: Some(1024 + 96_000), ticks_per_second: 48_000 };
        let tracks = [track(b"vide", &[[9, 9]]), track(b"soun", &[[2000, 1024]]), track(b"soun", &[[1, 1]])];
        check(&movie(&tracks), Some(expected));
    }

    #[test]
    fn a_pause_before_the_recording_is_left_out() {
        let expected = Edit { start: 7, end: None, ticks_per_second: 48_000 };
        check(&movie(&[track(b"soun", &[[500, u32::MAX], [0, 7]])]), Some(expected));
    }

    #[test]
    fn a_file_that_was_cut_has_no_index() {
        let bytes = movie(&[track(b"soun", &[[2000, 1024]])]);
        assert!(Movie::read(&mut Cursor::new(&bytes), bytes.len() as u64).is_indexed);
        assert!(!Movie::read(&mut Cursor::new(&bytes[..40]), 40).is_indexed);
    }

    #[test]
    fn no_list_is_no_edit() {
        check(&movie(&[track(b"soun", &[])]), None);
        check(&movie(&[track(b"vide", &[[9, 9]])]), None);
        check(b"", None);
        check(b"\0\0\0\0moov", None);
    }

    proptest! {
        #[test]
        fn damage_is_survived(at in 0usize..300, byte: u8, cut in 0usize..300) {
            let mut bytes = movie(&[track(b"soun", &[[2000, 1024]])]);
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.truncate(cut.max(1));
            let _ = Movie::read(&mut Cursor::new(&bytes), len as u64);
        }
    }
}
