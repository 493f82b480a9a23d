//! Every setting, declared once: its names, its default, what it takes and what it means.
//!
//! Reading, `speech-flow config` and the reference page all come from this table.

use std::path::PathBuf;
use std::time::Duration;

use speech_flow_model_types::{ByteSize, ModelSpec, Revision};
use url::Url;

use super::values::{self, ComputeType, Device, LogFormat, Parsed, Surroundings};
use speech_flow_model_hub::Secret;

/// One setting, as people see it.
#[derive(Debug)]
pub struct Declaration {
    /// Its name, which is also its key in `speech-flow.toml` (`group.key`).
    pub key: &'static str,
    /// The environment variables that set it; the first that is set wins.
    pub variables: &'static [&'static str],
    /// Whether `speech-flow.toml` may set it.
    pub in_file: bool,
    /// Its default in words.
    pub default: &'static str,
    /// What it takes, ready for "it takes …".
    pub takes: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether its text must not be shown.
    pub(crate) is_secret: bool,
    /// Whether a variable that is set to nothing hides the ones after it, as `http_proxy` does.
    pub(crate) empty_hides: bool,
}

/// A setting with the type of its value.
pub(crate) struct Declared<T: 'static> {
    pub(crate) declaration: Declaration,
    pub(crate) parse: fn(&str, &Surroundings<'_>) -> Parsed<T>,
}

const IN_FILE: Declaration = Declaration {
    key: "",
    variables: &[],
    in_file: true,
    default: "",
    takes: "",
    meaning: "",
    is_secret: false,
    empty_hides: false,
};
const SECRET: Declaration = Declaration { in_file: false, is_secret: true, ..IN_FILE };
const ONLY_ENV: Declaration = Declaration { in_file: false, ..IN_FILE };
/// Source: `getproxies_environment` in Python's `urllib/request.py`.
const PROXY: Declaration = Declaration { empty_hides: true, ..IN_FILE };

const PATH: &str = "a path; `~` and `$NAME` are expanded";
const SWITCH: &str = "`1`, `on`, `yes`, `true` or `0`, `off`, `no`, `false`";
const TIME: &str = "seconds, or a number with `ms`, `s`, `m`, `h`, `d` or `w`";
const MODEL: &str = "a Whisper size name, `owner/name` or a folder";
const REVISION: &str = "a branch, a tag or a commit";
const PROXY_ADDRESS: &str = "an address such as `http://proxy.example:3128` (`http`, `https`, `socks5`, `socks5h`)";

macro_rules! options {
    ($($name:ident: $type:ty = $parse:path, $base:ident {
        $key:literal, [$($variable:literal),*], default: $default:literal, takes: $takes:expr, $meaning:literal
    })*) => {
        $(pub(crate) const $name: Declared<$type> = Declared {
            declaration: Declaration {
                key: $key,
                variables: &[$($variable),*],
                default: $default,
                takes: $takes,
                meaning: $meaning,
                ..$base
            },
            parse: $parse,
        };)*

        /// Every setting, in the order of the reference page.
        pub static DECLARATIONS: &[&Declaration] = &[$(&$name.declaration),*];
    };
}

options! {
    CACHE_DIR: PathBuf = values::path, IN_FILE {
        "cache.dir", ["MODEL_CACHE_DIR"],
        default: "`/models` where it exists, else the user's cache folder + `/speech-flow`", takes: PATH,
        "Base of all caches. The flag `--cache-dir` also moves the three below into it."
    }
    HF_HOME: PathBuf = values::path, IN_FILE {
        "cache.hf-home", ["HF_HOME"], default: "`$MODEL_CACHE_DIR/huggingface`", takes: PATH,
        "Hugging Face home."
    }
    HUB_CACHE: PathBuf = values::path, IN_FILE {
        "cache.hub", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE"],
        default: "`$HF_HOME/hub`", takes: PATH,
        "Cache of every model but Whisper."
    }
    WHISPER_CACHE: PathBuf = values::path, IN_FILE {
        "cache.whisper", ["WHISPER_CACHE_DIR"], default: "`$MODEL_CACHE_DIR/whisper`", takes: PATH,
        "Cache of Whisper models, in the same layout."
    }
    LEASE_DIR: PathBuf = values::path, IN_FILE {
        "cache.lease-dir", ["SPEECH_FLOW_LEASE_DIR"], default: "in the cache", takes: PATH,
        "Small writable folder that readers of a read-only cache and its cleaner share."
    }
    GRACE_PERIOD: Duration = values::duration, IN_FILE {
        "cache.grace-period", ["SPEECH_FLOW_GRACE_PERIOD"], default: "`24h`", takes: TIME,
        "How long `gc` keeps what is new where readers can leave no lease."
    }
    DISABLE_SYMLINKS: bool = values::switch, IN_FILE {
        "cache.disable-symlinks", ["HF_HUB_DISABLE_SYMLINKS"], default: "no", takes: SWITCH,
        "Write plain files instead of symlinks; without it, the volume decides."
    }
    WHISPER_MODEL: ModelSpec = values::model, IN_FILE {
        "whisper.model", ["WHISPER_MODEL_NAME"], default: "`large-v3`", takes: MODEL,
        "The Whisper model."
    }
    WHISPER_REVISION: Revision = values::revision, IN_FILE {
        "whisper.revision", ["WHISPER_MODEL_REVISION"], default: "`main`", takes: REVISION,
        "Its revision."
    }
    WHISPER_DEVICE: Device = values::device, IN_FILE {
        "whisper.device", ["WHISPER_DEVICE"], default: "`cuda` where usable, else `cpu`",
        takes: "`cuda`, `cpu` or `auto`",
        "Where Whisper runs."
    }
    WHISPER_COMPUTE_TYPE: ComputeType = values::compute_type, IN_FILE {
        "whisper.compute-type", ["WHISPER_COMPUTE_TYPE"], default: "`float16` on cuda, `int8` on cpu",
        takes: "one of `default`, `auto`, `int8`, `int8_float32`, `int8_float16`, `int8_bfloat16`, `int16`, \
                `float16`, `bfloat16`, `float32`",
        "CTranslate2's compute type."
    }
    LID_MODEL: ModelSpec = values::model, IN_FILE {
        "lid.model", ["LID_MODEL_ID"], default: "`facebook/mms-lid-126`", takes: "`owner/name` or a folder",
        "The language identification model."
    }
    LID_REVISION: Revision = values::revision, IN_FILE {
        "lid.revision", ["LID_MODEL_REVISION"], default: "`main`", takes: REVISION,
        "Its revision."
    }
    ENDPOINT: Url = values::endpoint, IN_FILE {
        "hub.endpoint", ["HF_ENDPOINT"], default: "`https://huggingface.co`",
        takes: "an `http` or `https` address without a query",
        "The Hub, or a mirror of it."
    }
    TOKEN: Option<Secret> = values::secret, SECRET {
        "hub.token", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"], default: "content of the file below",
        takes: "a token such as `hf_…`",
        "Token for gated and private models. Never in `speech-flow.toml`, never printed."
    }
    TOKEN_PATH: PathBuf = values::path, IN_FILE {
        "hub.token-path", ["HF_TOKEN_PATH"], default: "`$HF_HOME/token`", takes: PATH,
        "File that holds the token."
    }
    DISABLE_IMPLICIT_TOKEN: bool = values::switch, IN_FILE {
        "hub.disable-implicit-token", ["HF_HUB_DISABLE_IMPLICIT_TOKEN"], default: "no", takes: SWITCH,
        "Send no token, even where one is set."
    }
    OFFLINE: bool = values::switch, IN_FILE {
        "hub.offline", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"], default: "no", takes: SWITCH,
        "Make no request; what is not in the cache is an error."
    }
    ETAG_TIMEOUT: Option<Duration> = values::timeout, IN_FILE {
        "hub.etag-timeout", ["HF_HUB_ETAG_TIMEOUT"], default: "`10`", takes: TIME,
        "How long a request about a model or file may take."
    }
    MAX_RETRIES: u32 = values::retries, IN_FILE {
        "download.max-retries", ["MODEL_DOWNLOAD_MAX_RETRIES"], default: "`3`", takes: "a number from 0 to 100",
        "Retries without progress in between before a download fails."
    }
    RETRY_DELAY: Duration = values::duration, IN_FILE {
        "download.retry-delay", ["MODEL_DOWNLOAD_RETRY_DELAY"], default: "`5`", takes: TIME,
        "Wait before the first retry; it doubles with each, with jitter and a cap."
    }
    STALL_TIMEOUT: Option<Duration> = values::timeout, IN_FILE {
        "download.stall-timeout", ["HF_HUB_DOWNLOAD_TIMEOUT"], default: "`30`", takes: TIME,
        "How long a connection may bring no byte before it is made anew (the Python client waits 10)."
    }
    LANES: u32 = values::lanes, IN_FILE {
        "download.lanes", ["SPEECH_FLOW_LANES"], default: "`8`", takes: "a number from 1 to 64",
        "Connections at once, over all files."
    }
    LANES_PER_FILE: u32 = values::lanes, IN_FILE {
        "download.lanes-per-file", ["SPEECH_FLOW_LANES_PER_FILE"], default: "`4`", takes: "a number from 1 to 64",
        "Connections at once for one file."
    }
    SEGMENT: ByteSize = values::segment, IN_FILE {
        "download.segment-size", ["SPEECH_FLOW_SEGMENT_SIZE"], default: "`16MiB`", takes: "a size from 64KiB to 1GiB",
        "Bytes of one request; a crash costs at most two of them."
    }
    RATE_LIMIT: Option<ByteSize> = values::rate, IN_FILE {
        "download.rate-limit", ["SPEECH_FLOW_RATE_LIMIT"], default: "none",
        takes: "bytes a second such as `20MB`, or `0` for no limit",
        "Limit for the whole process."
    }
    HTTP_PROXY: Url = values::proxy, PROXY {
        "network.http-proxy", ["http_proxy", "HTTP_PROXY"], default: "none", takes: PROXY_ADDRESS,
        "Proxy for `http` addresses."
    }
    HTTPS_PROXY: Url = values::proxy, PROXY {
        "network.https-proxy", ["https_proxy", "HTTPS_PROXY"], default: "none", takes: PROXY_ADDRESS,
        "Proxy for `https` addresses."
    }
    ALL_PROXY: Url = values::proxy, PROXY {
        "network.all-proxy", ["all_proxy", "ALL_PROXY"], default: "none", takes: PROXY_ADDRESS,
        "Proxy where neither of the two above is set."
    }
    NO_PROXY: Vec<String> = values::hosts, PROXY {
        "network.no-proxy", ["no_proxy", "NO_PROXY"], default: "none",
        takes: "host names, addresses or `*`, with commas between them",
        "What is reached without a proxy."
    }
    CA_FILE: PathBuf = values::path, IN_FILE {
        "network.ca-file", ["SSL_CERT_FILE"], default: "the system's certificates", takes: PATH,
        "PEM file with the certificate authorities to trust."
    }
    LOCKFILE: PathBuf = values::path, IN_FILE {
        "lockfile", ["SPEECH_FLOW_LOCKFILE"], default: "`speech-flow.lock` in the current folder", takes: PATH,
        "The lockfile."
    }
    LOG: String = values::text, IN_FILE {
        "log.filter", ["SPEECH_FLOW_LOG"], default: "`warn`",
        takes: "a level (`error`, `warn`, `info`, `debug`, `trace`) or a filter such as `info,speech_flow_model_hub=debug`",
        "What is logged on stderr."
    }
    LOG_FORMAT: LogFormat = values::log_format, IN_FILE {
        "log.format", ["SPEECH_FLOW_LOG_FORMAT"], default: "`text`", takes: "`text` or `json`",
        "How log lines look."
    }
    CONFIG_FILE: PathBuf = values::path, ONLY_ENV {
        "config", ["SPEECH_FLOW_CONFIG"],
        default: "`./speech-flow.toml`, then `speech-flow/speech-flow.toml` in the user's configuration folder, \
                  then `/etc/speech-flow/speech-flow.toml`",
        takes: PATH,
        "The configuration file, the same as `--config`; then no other is read."
    }
}

/// Variables that are not ours but change what a Python worker on the same cache does.
pub(crate) const WATCHED: &[&str] = &[
    "HF_HUB_ENABLE_HF_TRANSFER",
    "HF_HUB_DISABLE_XET",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_DIR",
    "PYTORCH_TRANSFORMERS_CACHE",
    "HF_OIDC_RESOURCE",
    "HUGGINGFACE_CO_STAGING",
];

/// The declaration of a key.
pub(crate) fn declaration(key: &str) -> Option<&'static Declaration> {
    DECLARATIONS.iter().copied().find(|declaration| declaration.key == key)
}
