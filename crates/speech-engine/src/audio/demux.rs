//! Packets of the first audio track, decoded one by one into the result.

use std::io::{Read, Seek};
use std::sync::LazyLock;

use symphonia::core::audio::{AudioSpec, Channels};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::{Hint, Probe, ProbeOptions};
use symphonia::core::formats::well_known::{
    FORMAT_ID_AIFF, FORMAT_ID_CAF, FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_MP3, FORMAT_ID_WAVE,
};
use symphonia::core::formats::{FormatOptions, FormatReader, Track};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::matroska::Claim;
use super::mix::Mixer;
use super::mp4::Edit;
use super::resample::Resampler;
use super::source::Source;
use super::{Audio, AudioError, DecodeOptions, Limits, SAMPLE_RATE, vorbis};
use crate::cancel::Cancel;

/// How far a file may begin with bytes that are no known format. Longer tags are known ones and do not count.
const MAX_JUNK_BYTES: u32 = 64 << 10;
/// Frames in one packet, at most. Real codecs stay below 65,536; decoders allocate what a header claims.
const MAX_PACKET_FRAMES: u64 = 1 << 18;
const OPUS_SAMPLE_RATE: u32 = 48_000;

static PROBE: LazyLock<Probe> = LazyLock::new(|| {
    let mut probe = Probe::new_with_options(&ProbeOptions { max_probe_depth: MAX_JUNK_BYTES, ..Default::default() });
    symphonia::default::register_enabled_formats(&mut probe);
    probe
});

static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
});

/// Decodes the first audio track of `source`, or what the edit of an MP4 file leaves of it.
pub(crate) fn decode<S>(source: &mut Source<S>, options: &DecodeOptions, cancel: &Cancel) -> Result<Audio, AudioError>
where
    S: Read + Seek + Send + Sync,
{
    let (movie, claim, read_ahead) = (source.movie(), source.claim(), source.read_ahead());
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let mut format =
        PROBE.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default()).map_err(|error| {
            if movie.is_some_and(|movie| !movie.is_indexed) { damage(error) } else { refusal(error) }
        })?;
    let edit = movie.and_then(|movie| movie.edit);
    let (mut track, mut decoder) = open_track(&*format, options)?;
    let expected = expected_frames(&*format, track);
    let is_open = claim == Claim::Open || is_open(&*format);
    let mut sink = Sink::new(edit, options);
    let mut packets = Packets::default();
    let mut cut = false;
    loop {
        if let Some(reason) = cancel.reason() {
            return Err(AudioError::Canceled(reason));
        }
        read_ahead.restart();
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // Another stream follows in the same file, e.g. the next song of a radio.
            Err(Error::ResetRequired) => {
                (track, decoder) = open_track(&*format, options)?;
                continue;
            }
            Err(error) if packets.decoded == 0 => return Err(damage(error)),
            Err(_) => {
                // What was written live has no end but that of the bytes.
                cut = !is_open;
                break;
            }
        };
        if packet.track_id != track {
            continue;
        }
        // Whole packets, as ffmpeg does: what the last one has beyond the end is silence of the encoder.
        if edit
            .and_then(|edit| edit.end)
            .is_some_and(|end| packet.pts.get() >= 0 && packet.pts.get().cast_unsigned() >= end)
        {
            break;
        }
        match decoder.decode(&packet) {
            Ok(buffer) => {
                packets.decoded += 1;
                sink.check(buffer.spec())?;
                buffer.copy_to_vecs_planar(&mut sink.planes);
                sink.take()?;
            }
            Err(error @ (Error::DecodeError(_) | Error::IoError(_) | Error::ResetRequired)) => packets.skip(error),
            Err(error) => return Err(refusal(error)),
        }
    }
    let short = expected.is_some_and(|expected| sink.frames < expected);
    packets.verdict()?;
    sink.finish(cut || short)
}

/// How packets fared.
#[derive(Default)]
struct Packets {
    decoded: u64,
    skipped: u64,
    first_error: Option<Error>,
}

impl Packets {
    fn skip(&mut self, error: Error) {
        self.skipped += 1;
        self.first_error.get_or_insert(error);
    }

    fn verdict(self) -> Result<(), AudioError> {
        match self.first_error {
            Some(error) if self.skipped >= self.decoded => Err(damage(error)),
            _ => Ok(()),
        }
    }
}

/// The id of the first audio track and a decoder for it.
fn open_track(format: &dyn FormatReader, options: &DecodeOptions) -> Result<(u32, Box<dyn AudioDecoder>), AudioError> {
    let (id, parameters) =
        format.tracks().iter().find_map(audio).ok_or(Error::Unsupported("no audio track")).map_err(refusal)?;
    if let Some(rate) = parameters.sample_rate {
        check_rate(rate, &options.limits)?;
    }
    if let Some(channels) = &parameters.channels {
        check_channels(channels, &options.limits)?;
    }
    if parameters.max_frames_per_packet.is_some_and(|frames| frames > MAX_PACKET_FRAMES) {
        return Err(damage(Error::LimitError("frames per packet")));
    }
    let headers = parameters.extra_data.as_deref().unwrap_or_default();
    if parameters.codec == CODEC_ID_VORBIS && vorbis::codebook_values(headers) > vorbis::MAX_VALUES {
        return Err(damage(Error::LimitError("values in codebooks")));
    }
    let mut parameters = parameters.clone();
    if parameters.codec == CODEC_ID_OPUS {
        // Whatever rate was recorded, and a container repeats, Opus decodes to this one.
        parameters.sample_rate = Some(OPUS_SAMPLE_RATE);
        if format.format_info().format == FORMAT_ID_ISOMP4 {
            opus_head_of_mp4(&mut parameters);
        }
    }
    let decoder = CODECS.make_audio_decoder(&parameters, &AudioDecoderOptions::default()).map_err(refusal)?;
    Ok((id, decoder))
}

fn audio(track: &Track) -> Option<(u32, &AudioCodecParameters)> {
    match &track.codec_params {
        Some(CodecParameters::Audio(parameters)) => Some((track.id, parameters)),
        _ => None,
    }
}

/// Turns the pre-skip, big-endian in MP4, into what the decoder reads: little-endian, as in Ogg. Read the wrong way
/// round it is longer than the first packet, which is then lost.
///
/// Source: "Encapsulation of Opus in ISO Base Media File Format", 4.3.2; RFC 7845, 5.1.
fn opus_head_of_mp4(parameters: &mut AudioCodecParameters) {
    const PRE_SKIP: usize = 10;
    if let Some([low, high]) = parameters.extra_data.as_mut().and_then(|head| head.get_mut(PRE_SKIP..PRE_SKIP + 2)) {
        std::mem::swap(low, high);
    }
}

/// Frames that the file says it has, where that is a count and not a guess.
fn expected_frames(format: &dyn FormatReader, id: u32) -> Option<u64> {
    let track = format.tracks().iter().find(|track| track.id == id)?;
    let counted = match format.format_info().format {
        FORMAT_ID_WAVE | FORMAT_ID_AIFF | FORMAT_ID_CAF | FORMAT_ID_FLAC => true,
        // Only with a LAME tag; without one it is the bit rate of the first frame times the length.
        FORMAT_ID_MP3 => track.delay.is_some(),
        _ => false,
    };
    track.num_frames.filter(|_| counted)
}

/// Whether the file was written before its length was known, and the header says so.
fn is_open(format: &dyn FormatReader) -> bool {
    matches!(format.format_info().format, FORMAT_ID_WAVE | FORMAT_ID_AIFF)
        && format.tracks().iter().all(|track| track.num_frames.is_none())
}

fn check_rate(rate: u32, limits: &Limits) -> Result<(), AudioError> {
    check_range("sample rate", u64::from(rate), Limits::MIN_SAMPLE_RATE.into(), limits.max_sample_rate.into())
}

fn check_channels(channels: &Channels, limits: &Limits) -> Result<(), AudioError> {
    check_range("channels", channels.count() as u64, 1, limits.max_channels as u64)
}

fn check_range(what: &'static str, value: u64, minimum: u64, maximum: u64) -> Result<(), AudioError> {
    if (minimum..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(AudioError::OutOfRange { what, value, minimum, maximum })
    }
}

/// An error of opening: a format that is not known is told from one that is damaged.
fn refusal(error: Error) -> AudioError {
    match error {
        Error::Unsupported(_) => AudioError::Unsupported { source: Some(Box::new(error)) },
        error => damage(error),
    }
}

fn damage(error: Error) -> AudioError {
    AudioError::Damaged { source: Box::new(error) }
}

/// Takes decoded frames; gives mono 16 kHz.
struct Sink<'a> {
    options: &'a DecodeOptions,
    max_samples: usize,
    /// Layout and rate of the frames that come now.
    spec: Option<AudioSpec>,
    mixer: Option<Mixer>,
    resampler: Option<Resampler>,
    planes: Vec<Vec<f32>>,
    mono: Vec<f32>,
    samples: Vec<i16>,
    /// Frames taken, at the file's own rate.
    frames: u64,
    edit: Option<Edit>,
    /// Frames that are left out before the recording starts.
    skip: u64,
}

impl<'a> Sink<'a> {
    fn new(edit: Option<Edit>, options: &'a DecodeOptions) -> Self {
        let max_samples = options.limits.max_duration.as_secs_f64() * f64::from(SAMPLE_RATE);
        Self {
            options,
            max_samples: max_samples as usize,
            spec: None,
            mixer: None,
            resampler: None,
            planes: Vec::new(),
            mono: Vec::new(),
            samples: Vec::new(),
            frames: 0,
            edit,
            skip: 0,
        }
    }

    /// Looks at the layout and rate of the next frames; a decoder may find others than the header has.
    fn check(&mut self, spec: &AudioSpec) -> Result<(), AudioError> {
        if self.spec.as_ref() == Some(spec) {
            return Ok(());
        }
        check_rate(spec.rate(), &self.options.limits)?;
        check_channels(spec.channels(), &self.options.limits)?;
        self.mixer = Some(Mixer::new(spec.channels(), self.options.channel)?);
        if self.resampler.as_ref().map(Resampler::rate) != Some(spec.rate()) {
            let before = self.resampler.replace(Resampler::new(spec.rate()));
            if let Some(before) = before {
                before.finish(&mut self.samples);
            }
        }
        if let Some(edit) = self.edit.take() {
            let skip = u128::from(edit.start) * u128::from(spec.rate()) / u128::from(edit.ticks_per_second);
            self.skip = u64::try_from(skip).unwrap_or(u64::MAX);
        }
        self.spec = Some(spec.clone());
        Ok(())
    }

    /// Takes the frames in `planes`.
    fn take(&mut self) -> Result<(), AudioError> {
        let (Some(mixer), Some(resampler)) = (&self.mixer, &mut self.resampler) else { return Ok(()) };
        mixer.mix(&self.planes, &mut self.mono);
        self.frames += self.mono.len() as u64;
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.mono.len());
        self.skip -= skipped as u64;
        resampler.push(&self.mono[skipped..], &mut self.samples);
        if self.samples.len() > self.max_samples {
            return Err(AudioError::TooLong { limit: self.options.limits.max_duration });
        }
        Ok(())
    }

    fn finish(mut self, truncated: bool) -> Result<Audio, AudioError> {
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(&mut self.samples);
        }
        if self.samples.is_empty() {
            return Err(AudioError::Empty);
        }
        if self.samples.len() > self.max_samples {
            return Err(AudioError::TooLong { limit: self.options.limits.max_duration });
        }
        self.samples.shrink_to_fit();
        Ok(Audio { samples: self.samples, truncated })
    }
}
