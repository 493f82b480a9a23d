//! How the text of a setting becomes its value, and how a value is shown.
//!
//! A parser answers what is wrong only with a hint: what a setting takes stands in its declaration.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use speech_flow_model_types::{ByteSize, ModelSpec, Revision};
use url::Url;

use super::expand::expand;
use speech_flow_model_hub::Secret;

/// What parsers may look at beside the text.
pub(crate) struct Surroundings<'a> {
    /// The environment, for `$NAME` in paths.
    pub(crate) env: &'a dyn Fn(&str) -> Option<OsString>,
    /// The user's home folder.
    pub(crate) home: Option<&'a Path>,
    /// The folder that relative paths start from.
    pub(crate) base: &'a Path,
    /// Whether a path is a folder.
    pub(crate) is_folder: &'a dyn Fn(&Path) -> bool,
}

/// The text is not what the setting takes.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// One thing to do, when it is more than to look at what the setting takes.
    pub(crate) hint: Option<String>,
}

/// What every parser answers.
pub(crate) type Parsed<T> = Result<T, Refused>;

/// Device that a Whisper model runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// An NVIDIA GPU.
    Cuda,
    /// The processor.
    Cpu,
    /// The GPU where one is usable, else the processor.
    Auto,
}

/// Number format that CTranslate2 computes in. Source: CTranslate2 4.8, `docs/quantization.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComputeType {
    /// The format of the model's file, where the device has it.
    Default,
    /// The fastest that the device has.
    Auto,
    /// 8-bit integers; other layers in the widest float of the device.
    Int8,
    /// 8-bit integers and 32-bit floats.
    Int8Float32,
    /// 8-bit integers and 16-bit floats.
    Int8Float16,
    /// 8-bit integers and brain floats.
    Int8Bfloat16,
    /// 16-bit integers.
    Int16,
    /// 16-bit floats.
    Float16,
    /// Brain floats.
    Bfloat16,
    /// 32-bit floats.
    Float32,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How closely a worker looks at its model when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VerifyAtStart {
    /// Files that changed since they were hashed.
    Quick,
    /// Every byte.
    Full,
}

/// How much of the encoder's window a Whisper worker fills where a request does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncoderWindow {
    /// All of its 30 seconds, as the model was trained.
    Full,
    /// The sound and some silence.
    Fitted,
}

/// What a cache server does with locked models that moved on the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpdatePolicy {
    /// Nothing.
    Never,
    /// Fetches, validates and says so.
    Report,
    /// Moves the lockfile, too.
    Apply,
}

impl UpdatePolicy {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

/// A closed set of words.
trait Words: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

impl Words for Device {
    const WORDS: &'static [(&'static str, Self)] = &[("cuda", Self::Cuda), ("cpu", Self::Cpu), ("auto", Self::Auto)];
}

impl Words for ComputeType {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("default", Self::Default),
        ("auto", Self::Auto),
        ("int8", Self::Int8),
        ("int8_float32", Self::Int8Float32),
        ("int8_float16", Self::Int8Float16),
        ("int8_bfloat16", Self::Int8Bfloat16),
        ("int16", Self::Int16),
        ("float16", Self::Float16),
        ("bfloat16", Self::Bfloat16),
        ("float32", Self::Float32),
    ];
}

impl Words for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Words for UpdatePolicy {
    const WORDS: &'static [(&'static str, Self)] =
        &[("never", Self::Never), ("report", Self::Report), ("apply", Self::Apply)];
}

impl Words for VerifyAtStart {
    const WORDS: &'static [(&'static str, Self)] = &[("quick", Self::Quick), ("full", Self::Full)];
}

impl Words for EncoderWindow {
    const WORDS: &'static [(&'static str, Self)] = &[("full", Self::Full), ("fitted", Self::Fitted)];
}

impl Device {
    /// The device as text.
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl ComputeType {
    /// The compute type as CTranslate2 writes it.
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

fn word<T: Words>(text: &str) -> Parsed<T> {
    let text = text.to_ascii_lowercase();
    if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let nearest = crate::document::nearest(&text, T::WORDS.iter().map(|(word, _)| *word));
    Err(Refused { hint: nearest.map(|word| format!("did you mean `{word}`?")) })
}

pub(crate) fn device(text: &str, _: &Surroundings<'_>) -> Parsed<Device> {
    word(text)
}

pub(crate) fn compute_type(text: &str, _: &Surroundings<'_>) -> Parsed<ComputeType> {
    word(text)
}

pub(crate) fn log_format(text: &str, _: &Surroundings<'_>) -> Parsed<LogFormat> {
    word(text)
}

pub(crate) fn update_policy(text: &str, _: &Surroundings<'_>) -> Parsed<UpdatePolicy> {
    word(text)
}

pub(crate) fn verify_at_start(text: &str, _: &Surroundings<'_>) -> Parsed<VerifyAtStart> {
    word(text)
}

pub(crate) fn encoder_window(text: &str, _: &Surroundings<'_>) -> Parsed<EncoderWindow> {
    word(text)
}

pub(crate) fn text(text: &str, _: &Surroundings<'_>) -> Parsed<String> {
    Ok(text.to_owned())
}

/// A path, expanded and made absolute.
pub(crate) fn path(text: &str, around: &Surroundings<'_>) -> Parsed<PathBuf> {
    let variable = |name: &str| (around.env)(name).and_then(|value| value.into_string().ok());
    let expanded = expand(text, around.home, &variable);
    if expanded.contains('\0') {
        return Err(Refused::default());
    }
    Ok(around.base.join(expanded))
}

/// Yes and no. True words as the Python client has them (`_is_true` in its `constants.py`); where it
/// takes everything else for no, a word that is neither is an error here: a typo must not go online.
pub(crate) fn switch(text: &str, _: &Surroundings<'_>) -> Parsed<bool> {
    match text.trim().to_ascii_uppercase().as_str() {
        "1" | "ON" | "YES" | "TRUE" => Ok(true),
        "0" | "OFF" | "NO" | "FALSE" => Ok(false),
        _ => Err(Refused::default()),
    }
}

pub(crate) fn retries(text: &str, _: &Surroundings<'_>) -> Parsed<u32> {
    bounded(text, 0..=100)
}

pub(crate) fn lanes(text: &str, _: &Surroundings<'_>) -> Parsed<u32> {
    bounded(text, 1..=64)
}

pub(crate) fn requests(text: &str, _: &Surroundings<'_>) -> Parsed<u32> {
    bounded(text, 1..=1024)
}

pub(crate) fn threads(text: &str, _: &Surroundings<'_>) -> Parsed<u32> {
    bounded(text, 1..=1024)
}

pub(crate) fn connections(text: &str, _: &Surroundings<'_>) -> Parsed<u32> {
    bounded(text, 1..=65536)
}

pub(crate) fn batch(text: &str, _: &Surroundings<'_>) -> Parsed<u32> {
    bounded(text, 1..=128)
}

fn bounded(text: &str, range: std::ops::RangeInclusive<u32>) -> Parsed<u32> {
    text.trim().parse().ok().filter(|number| range.contains(number)).ok_or_else(Refused::default)
}

/// Seconds as the Python client reads its timeouts, where 0 means the default.
pub(crate) fn timeout(text: &str, around: &Surroundings<'_>) -> Parsed<Option<Duration>> {
    let wait = duration(text, around)?;
    Ok(Some(wait).filter(|wait| !wait.is_zero()))
}

/// A time: a number of seconds, or one with a unit.
pub(crate) fn duration(text: &str, _: &Surroundings<'_>) -> Parsed<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        _ => return Err(Refused::default()),
    };
    let number: f64 = number.trim().parse().map_err(|_| Refused::default())?;
    let seconds = number * scale;
    if !(0.0..=MAX_SECONDS).contains(&seconds) {
        return Err(Refused::default());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| Refused::default())
}

/// A time that is more than nothing.
pub(crate) fn period(text: &str, around: &Surroundings<'_>) -> Parsed<Duration> {
    let period = duration(text, around)?;
    if period.is_zero() { Err(Refused::default()) } else { Ok(period) }
}

/// An interval of work that asks others for something.
pub(crate) fn interval(text: &str, around: &Surroundings<'_>) -> Parsed<Duration> {
    let interval = duration(text, around)?;
    if interval < Duration::from_secs(60) { Err(Refused::default()) } else { Ok(interval) }
}

/// Ten years; whoever writes more means something else.
const MAX_SECONDS: f64 = 10.0 * 366.0 * 86_400.0;

pub(crate) fn segment(text: &str, _: &Surroundings<'_>) -> Parsed<ByteSize> {
    let size: ByteSize = text.parse().map_err(|_| Refused::default())?;
    if (SEGMENT_MIN..=SEGMENT_MAX).contains(&size.0) { Ok(size) } else { Err(Refused::default()) }
}

const SEGMENT_MIN: u64 = 64 << 10;
const SEGMENT_MAX: u64 = 1 << 30;

/// A size of at least a byte.
pub(crate) fn size(text: &str, _: &Surroundings<'_>) -> Parsed<ByteSize> {
    let size: ByteSize = text.trim().parse().map_err(|_| Refused::default())?;
    if size.0 > 0 { Ok(size) } else { Err(Refused::default()) }
}

pub(crate) fn socket_address(text: &str, _: &Surroundings<'_>) -> Parsed<SocketAddr> {
    text.trim().parse().map_err(|_| {
        let hint = text.trim().parse::<u16>().ok().map(|port| format!("write `127.0.0.1:{port}`"));
        Refused { hint }
    })
}

/// Bytes a second; `0` is no limit.
pub(crate) fn rate(text: &str, _: &Surroundings<'_>) -> Parsed<Option<ByteSize>> {
    let text = text.trim().trim_end_matches("/s");
    let size: ByteSize = text.parse().map_err(|_| Refused::default())?;
    Ok(Some(size).filter(|size| size.0 > 0))
}

/// The address of a hub: no query, no fragment, no slash at the end.
pub(crate) fn endpoint(text: &str, _: &Surroundings<'_>) -> Parsed<Url> {
    let text = text.trim().trim_end_matches('/');
    let url = Url::parse(text).map_err(|_| missing_scheme(text))?;
    let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
    if usable && url.query().is_none() && url.fragment().is_none() { Ok(url) } else { Err(missing_scheme(text)) }
}

fn missing_scheme(text: &str) -> Refused {
    // A user and password, or a signature, that stand in it are not repeated, and nothing that a terminal obeys.
    let fit = text.chars().all(|c| !c.is_control() && !"@?".contains(c)) && !text.contains("://");
    let hint = fit.then(|| format!("write `https://{text}`"));
    Refused { hint }
}

/// The address of an object store: a bucket or container and a prefix in it, or a folder.
pub(crate) fn store(text: &str, _: &Surroundings<'_>) -> Parsed<Url> {
    let url = Url::parse(text.trim().trim_end_matches('/')).map_err(|_| Refused::default())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    let is_known = match url.scheme() {
        "s3" | "az" | "gs" => url.has_host() && url.host_str().is_some_and(|bucket| !bucket.is_empty()),
        "file" => url.to_file_path().is_ok(),
        _ => false,
    };
    if is_known && is_plain && url.query().is_none() && url.fragment().is_none() {
        return Ok(url);
    }
    let hint = "credentials and other settings stand in the provider's own variables, not in the address";
    Err(Refused { hint: (!is_plain || url.query().is_some()).then(|| hint.to_owned()) })
}

/// The address of a proxy; without a scheme it is an HTTP proxy.
/// Source: `get_environment_proxies` in `httpx2/_utils.py`.
pub(crate) fn proxy(text: &str, _: &Surroundings<'_>) -> Parsed<Url> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).map_err(|_| Refused::default())?;
    let known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    if known && url.has_host() { Ok(url) } else { Err(Refused::default()) }
}

/// Host names with commas between them.
pub(crate) fn hosts(text: &str, _: &Surroundings<'_>) -> Parsed<Vec<String>> {
    Ok(text.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect())
}

pub(crate) fn model(text: &str, around: &Surroundings<'_>) -> Parsed<ModelSpec> {
    ModelSpec::parse(text, around.is_folder).map_err(|error| Refused { hint: Some(error.hint()) })
}

pub(crate) fn revision(text: &str, _: &Surroundings<'_>) -> Parsed<Revision> {
    text.trim().parse().map_err(|_| Refused::default())
}

pub(crate) fn secret(text: &str, _: &Surroundings<'_>) -> Parsed<Option<Secret>> {
    let secret = Secret::from_text(text);
    let sendable = secret.as_ref().is_none_or(|secret| secret.expose().bytes().all(|byte| byte.is_ascii_graphic()));
    if sendable { Ok(secret) } else { Err(Refused { hint: Some("a token has no spaces or accents".to_owned()) }) }
}

/// A value as `speech-flow config` shows it; never with a password or a token in it.
pub(crate) trait Shown {
    fn shown(&self) -> String;
}

/// The address without the user and password that may stand in it.
pub fn without_credentials(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for an address without a host, and such an address has no user either.
    let _ = shown.set_password(None);
    let _ = shown.set_username(if url.username().is_empty() && url.password().is_none() { "" } else { "…" });
    let text = shown.to_string().replace("%E2%80%A6@", "…@");
    text.strip_suffix('/').map_or(text.clone(), str::to_owned)
}

macro_rules! shown {
    ($($type:ty => |$value:ident| $text:expr;)*) => {
        $(impl Shown for $type {
            fn shown(&self) -> String {
                let $value = self;
                $text
            }
        })*
    };
}

shown! {
    PathBuf => |path| path.display().to_string();
    String => |text| text.clone();
    bool => |on| if *on { "yes" } else { "no" }.to_owned();
    u32 => |number| number.to_string();
    Duration => |wait| format!("{} s", wait.as_secs_f64());
    ByteSize => |size| size.to_string();
    Url => |url| without_credentials(url);
    Vec<String> => |list| if list.is_empty() { "none".to_owned() } else { list.join(",") };
    ModelSpec => |spec| spec.name.clone();
    Revision => |revision| revision.to_string();
    SocketAddr => |address| address.to_string();
    EncoderWindow => |window| window.word().to_owned();
    VerifyAtStart => |verify| verify.word().to_owned();
    UpdatePolicy => |policy| policy.word().to_owned();
    Secret => |secret| secret.to_string();
    Device => |device| device.as_str().to_owned();
    ComputeType => |compute_type| compute_type.as_str().to_owned();
    LogFormat => |format| format.word().to_owned();
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), Shown::shown)
    }
}
