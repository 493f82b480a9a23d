//! The fallback: an ffmpeg process for formats that are not read here.
//!
//! The child reads one pipe and writes another and may open nothing else, so that a playlist in an upload reaches
//! neither files nor the network. It gets no environment, its output is bounded by the limit on time, and it does not
//! outlive the call.
//!
//! A pipe cannot go back, so an MP4 file with its index at the end stays unsupported here; those are read by our own
//! demuxer, unless their codec is unknown to it.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::source::Source;
use super::{Audio, AudioError, Channel, DecodeOptions, Ffmpeg, SAMPLE_RATE};
use crate::cancel::Cancel;

/// Demuxers that may run. Left out are those that open other files (`hls`, `dash`, `concat`) and images.
const FORMATS: &str = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,gsm,loas,matroska,mov,\
                       mp3,mpeg,mpegts,ogg,rm,tta,voc,w64,wav,wv";
/// Most bytes of one allocation in the child.
const MAX_ALLOCATION: &str = "268435456";
/// What is kept of its messages.
const MAX_MESSAGE_BYTES: u64 = 4096;
/// How often the cancel token is looked at while nothing comes.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);

/// Decodes `source`, from its beginning, by a child process.
pub(crate) fn decode<S: Read + Seek + Send>(
    source: &mut Source<S>,
    ffmpeg: &Ffmpeg,
    options: &DecodeOptions,
    cancel: &Cancel,
) -> Result<Audio, AudioError> {
    source.seek(SeekFrom::Start(0)).map_err(AudioError::Io)?;
    let mut child = command(ffmpeg, options).spawn().map_err(|error| unsupported(cannot_start(ffmpeg, &error)))?;
    let (input, output, messages) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let running = Running { child: Mutex::new(child), ended: (Mutex::new(false), Condvar::new()) };
    let max_samples = (options.limits.max_duration.as_secs_f64() * f64::from(SAMPLE_RATE)) as usize;
    let (samples, messages) = thread::scope(|scope| {
        // Kills the child and ends the watch, also when a panic passes here.
        let guard = running.until_dropped();
        scope.spawn(|| running.watch(cancel));
        scope.spawn(|| feed(source, input));
        let messages = scope.spawn(|| read_messages(messages));
        let samples = read_samples(output, max_samples);
        drop(guard);
        (samples, messages.join().unwrap_or_default())
    });
    if let Some(reason) = cancel.reason() {
        return Err(AudioError::Canceled(reason));
    }
    if let Some(error) = source.fault().take() {
        return Err(error);
    }
    let succeeded = running.succeeded();
    let samples = samples.map_err(AudioError::Io)?;
    if samples.len() > max_samples {
        return Err(AudioError::TooLong { limit: options.limits.max_duration });
    }
    match (samples.is_empty(), succeeded) {
        (true, true) => Err(AudioError::Empty),
        (true, false) => Err(unsupported(messages)),
        (false, succeeded) => Ok(Audio { samples, truncated: !succeeded }),
    }
}

fn command(ffmpeg: &Ffmpeg, options: &DecodeOptions) -> Command {
    let mut command = Command::new(&ffmpeg.program);
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-max_alloc", MAX_ALLOCATION, "-threads", "1"]);
    command.args(["-protocol_whitelist", "pipe", "-format_whitelist", FORMATS, "-i", "pipe:0", "-map", "0:a:0"]);
    match options.channel {
        Channel::Mix => command.args(["-ac", "1"]),
        Channel::One(channel) => command.args(["-af", &format!("pan=mono|c0=c{channel}")]),
    };
    command.args(["-ar", &SAMPLE_RATE.to_string(), "-f", "s16le", "pipe:1"]);
    command
}

struct Running {
    child: Mutex<Child>,
    ended: (Mutex<bool>, Condvar),
}

impl Running {
    fn until_dropped(&self) -> impl Drop + '_ {
        struct Guard<'r>(&'r Running);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                *self.0.ended.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                self.0.ended.1.notify_all();
                self.0.end();
            }
        }
        Guard(self)
    }

    /// Kills the child when the work is canceled, until it has ended.
    fn watch(&self, cancel: &Cancel) {
        let mut ended = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*ended {
            if cancel.is_canceled() {
                self.kill();
                return;
            }
            let waited = self.ended.1.wait_timeout(ended, CANCEL_INTERVAL);
            ended = waited.map(|(ended, _)| ended).unwrap_or_else(|poisoned| poisoned.into_inner().0);
        }
    }

    fn kill(&self) {
        // An error means that it has ended by itself.
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }

    /// Lets a child that has closed its output end, kills one that has not, and takes its status in either case.
    fn end(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..50 {
            match child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(1)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    fn succeeded(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.wait().is_ok_and(|status| status.success())
    }
}

/// Gives the child the bytes; one that has seen enough closes its end, which is no error.
fn feed<S: Read + Seek>(source: &mut Source<S>, input: Option<ChildStdin>) {
    let Some(mut input) = input else { return };
    let mut buffer = vec![0; 64 << 10];
    let read_ahead = source.read_ahead();
    while let Ok(read @ 1..) = source.read(&mut buffer) {
        read_ahead.restart();
        if input.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// Reads samples until the child closes its output, or one more than `max_samples`.
fn read_samples(output: Option<ChildStdout>, max_samples: usize) -> io::Result<Vec<i16>> {
    let mut samples = Vec::new();
    let Some(mut output) = output else { return Ok(samples) };
    let mut buffer = vec![0; 64 << 10];
    let mut held = 0;
    loop {
        let read = output.read(&mut buffer[held..])?;
        let pairs = buffer[..held + read].chunks_exact(2);
        samples.extend(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
        if read == 0 || samples.len() > max_samples {
            return Ok(samples);
        }
        // Half a sample waits for its other half.
        let filled = held + read;
        held = filled % 2;
        buffer[0] = buffer[filled - 1];
    }
}

/// The last lines that the child said.
fn read_messages(messages: Option<ChildStderr>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut messages) = messages {
        let _ = messages.by_ref().take(MAX_MESSAGE_BYTES).read_to_end(&mut bytes);
        // A full pipe would stop the child.
        let _ = io::copy(&mut messages, &mut io::sink());
    }
    let text = String::from_utf8_lossy(&bytes);
    text.split(char::is_control).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn cannot_start(ffmpeg: &Ffmpeg, error: &io::Error) -> String {
    format!("`{}` could not be started: {error}", ffmpeg.program.display())
}

fn unsupported(message: String) -> AudioError {
    AudioError::Unsupported { source: Some(message.into()) }
}

#[cfg(test)]
mod tests;
