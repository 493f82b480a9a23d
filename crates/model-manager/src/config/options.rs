//! Every setting, declared once: its names, its default, what it takes and what it means.
//!
//! Reading, `speech-flow config` and the reference page all come from this table.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use speech_flow_model_types::{ByteSize, ModelSpec, Revision};
use url::Url;

use super::values::{
    self, ComputeType, Device, EncoderWindow, LogFormat, Parsed, Surroundings, UpdatePolicy, VerifyAtStart,
};
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
const COMPUTE_TYPES: &str = "one of `default`, `auto`, `int8`, `int8_float32`, `int8_float16`, `int8_bfloat16`, `int16`, \
                             `float16`, `bfloat16`, `float32`";
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
        takes: COMPUTE_TYPES,
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
    LID_DEVICE: Device = values::device, IN_FILE {
        "lid.device", ["LID_DEVICE"], default: "`cuda` where usable, else `cpu`", takes: "`cuda`, `cpu` or `auto`",
        "Where language identification runs."
    }
    LID_COMPUTE_TYPE: ComputeType = values::compute_type, IN_FILE {
        "lid.compute-type", ["LID_COMPUTE_TYPE"], default: "`float16` on cuda, `float32` on cpu", takes: COMPUTE_TYPES,
        "CTranslate2's compute type for language identification."
    }
    VAD_MODEL: ModelSpec = values::model, IN_FILE {
        "vad.model", ["VAD_MODEL_ID"], default: "the weights that come with the program", takes: "`owner/name` or a folder",
        "The voice activity detection model: a folder that holds `silero_vad_v6.onnx`."
    }
    ENGINE_ROOT: PathBuf = values::path, IN_FILE {
        "engine.root", ["CTRANSLATE2_ROOT"], default: "beside the program", takes: PATH,
        "Folder of the inference engine's libraries."
    }
    WORKER_LISTEN: SocketAddr = values::socket_address, IN_FILE {
        "worker.listen", ["WORKER_LISTEN"], default: "`127.0.0.1:8000`", takes: "an address and a port, such as `0.0.0.0:8000`",
        "Where a worker listens; the same as `--listen`."
    }
    WORKER_TLS_CERTIFICATE: PathBuf = values::path, IN_FILE {
        "worker.tls-certificate", ["WORKER_TLS_CERTIFICATE"], default: "none: plain HTTP", takes: PATH,
        "PEM file with the worker's certificate, then those that vouch for it. It is read again when it changes, and on SIGHUP."
    }
    WORKER_TLS_KEY: PathBuf = values::path, IN_FILE {
        "worker.tls-key", ["WORKER_TLS_KEY"], default: "none", takes: PATH,
        "PEM file with the certificate's private key, not encrypted."
    }
    WORKER_CONNECTIONS: u32 = values::connections, IN_FILE {
        "worker.max-connections", ["WORKER_MAX_CONNECTIONS"], default: "`1024`",
        takes: "a number from 1 to 65536",
        "Connections of clients at once; one without a request makes room, else a new one is answered with 503."
    }
    WORKER_KEEP_ALIVE: Duration = values::period, IN_FILE {
        "worker.keep-alive", ["WORKER_KEEP_ALIVE"], default: "`75s`", takes: TIME,
        "How long a connection may stay open without a request: longer than a load balancer in front keeps it."
    }
    WORKER_API_KEY: Option<Secret> = values::secret, SECRET {
        "worker.api-key", ["WORKER_API_KEY"], default: "none", takes: "a key without spaces",
        "Key that callers must send as `Authorization: Bearer …`. Never in `speech-flow.toml`, never printed."
    }
    WORKER_MAX_UPLOAD: ByteSize = values::size, IN_FILE {
        "worker.max-upload", ["WORKER_MAX_UPLOAD"], default: "`2GiB`", takes: "a size such as `25MB`",
        "Largest request; a larger one is answered with 413."
    }
    WORKER_MAX_DURATION: Duration = values::period, IN_FILE {
        "worker.max-duration", ["WORKER_MAX_DURATION"], default: "`4h`", takes: TIME,
        "Longest audio of one request, decoded; a minute of it takes 1.9 MB of memory."
    }
    WORKER_QUEUE: Duration = values::period, IN_FILE {
        "worker.queue", ["WORKER_QUEUE"], default: "`2h`", takes: TIME,
        "Audio that may wait and be worked on at once; what is over it is answered with 503 and `Retry-After`."
    }
    WORKER_MAX_REQUESTS: u32 = values::requests, IN_FILE {
        "worker.max-requests", ["WORKER_MAX_REQUESTS"], default: "`64`", takes: "a number from 1 to 1024",
        "Requests that may wait and be worked on at once."
    }
    WORKER_DEADLINE: Duration = values::period, IN_FILE {
        "worker.deadline", ["WORKER_DEADLINE"], default: "`1h`", takes: TIME,
        "How long a request may take; then its work stops."
    }
    WORKER_MAX_BATCH: u32 = values::batch, IN_FILE {
        "worker.max-batch", ["WORKER_MAX_BATCH"], default: "`8`", takes: "a number from 1 to 128",
        "Windows of 30 s, of all requests, that are computed together; all replicas decode no more at once, or as many as \
         there are replicas."
    }
    WORKER_ENCODER_WINDOW: EncoderWindow = values::encoder_window, IN_FILE {
        "worker.encoder-window", ["WORKER_ENCODER_WINDOW"], default: "`full`", takes: "`full` or `fitted`",
        "What requests get that do not say: `fitted` encodes the sound and little of the silence that fills the window \
         up to 30 s. Short clips cost a fraction, and some words come out otherwise."
    }
    WORKER_THREADS: u32 = values::threads, IN_FILE {
        "worker.threads", ["WORKER_THREADS"], default: "the processor limit, shared by the replicas",
        takes: "a number from 1 to 1024",
        "Threads of each replica."
    }
    WORKER_REPLICAS: u32 = values::lanes, IN_FILE {
        "worker.replicas", ["WORKER_REPLICAS"], default: "`1`", takes: "a number from 1 to 64",
        "Batches that are computed at the same time; on a processor they share its cores."
    }
    WORKER_STUCK_AFTER: Duration = values::period, IN_FILE {
        "worker.stuck-after", ["WORKER_STUCK_AFTER"], default: "`10m`", takes: TIME,
        "How long the engine may take for one batch before `/livez` says that it is stuck."
    }
    WORKER_VERIFY: VerifyAtStart = values::verify_at_start, IN_FILE {
        "worker.verify", ["WORKER_VERIFY"], default: "`quick`", takes: "`quick` or `full`",
        "`full` hashes every file of the model at each start; `quick` only files that changed since they were hashed."
    }
    WORKER_TEMP_DIR: PathBuf = values::path, IN_FILE {
        "worker.temp-dir", ["WORKER_TEMP_DIR", "TMPDIR"], default: "`/tmp`", takes: PATH,
        "Where uploads are kept while they are worked on."
    }
    ENDPOINT: Url = values::endpoint, IN_FILE {
        "hub.endpoint", ["HF_ENDPOINT"], default: "`https://huggingface.co`",
        takes: "an `http` or `https` address without a query",
        "The Hub, or a mirror of it."
    }
    FALLBACK_ENDPOINT: Url = values::endpoint, IN_FILE {
        "hub.fallback-endpoint", ["SPEECH_FLOW_FALLBACK_ENDPOINT"], default: "none",
        takes: "an `http` or `https` address without a query",
        "What is asked when `HF_ENDPOINT` does not answer, such as the Hub behind a cache server. It gets the token too."
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
    REGISTRY_USERNAME: String = values::text, IN_FILE {
        "registry.username", ["SPEECH_FLOW_REGISTRY_USERNAME"], default: "from Docker's `config.json`",
        takes: "a user of the registry",
        "User for the registry that `pack` or `preload oci://…` names; with a password it stands over `config.json`."
    }
    REGISTRY_PASSWORD: Option<Secret> = values::secret, SECRET {
        "registry.password", ["SPEECH_FLOW_REGISTRY_PASSWORD"], default: "from Docker's `config.json`",
        takes: "a password or an access token",
        "The user's password. Never in `speech-flow.toml`, never printed."
    }
    DOCKER_CONFIG: PathBuf = values::path, IN_FILE {
        "registry.docker-config", ["DOCKER_CONFIG"], default: "`~/.docker`", takes: PATH,
        "Folder of Docker's `config.json`, whose logins under `auths` are used for registries."
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
    SERVER_LISTEN: SocketAddr = values::socket_address, IN_FILE {
        "server.listen", ["SPEECH_FLOW_SERVER_LISTEN"], default: "`127.0.0.1:8090`",
        takes: "an address and a port, such as `0.0.0.0:8090`",
        "Where the cache server listens; the same as `--listen`."
    }
    SERVER_TLS_CERTIFICATE: PathBuf = values::path, IN_FILE {
        "server.tls-certificate", ["SPEECH_FLOW_SERVER_TLS_CERTIFICATE"], default: "none: plain HTTP", takes: PATH,
        "PEM file with the cache server's certificate, then those that vouch for it. It is read again when it changes, and on SIGHUP."
    }
    SERVER_TLS_KEY: PathBuf = values::path, IN_FILE {
        "server.tls-key", ["SPEECH_FLOW_SERVER_TLS_KEY"], default: "none", takes: PATH,
        "PEM file with the certificate's private key, not encrypted."
    }
    SERVER_TOKEN: Option<Secret> = values::secret, SECRET {
        "server.token", ["SPEECH_FLOW_SERVER_TOKEN"], default: "none", takes: "a token without spaces",
        "The cache server's own access token, without which its models cannot be changed. Never in `speech-flow.toml`, never printed."
    }
    SERVER_PROTECT_READS: bool = values::switch, IN_FILE {
        "server.protect-reads", ["SPEECH_FLOW_SERVER_PROTECT_READS"], default: "no", takes: SWITCH,
        "Ask for the access token before a model is served, too."
    }
    SERVER_SHARED: Vec<String> = values::hosts, IN_FILE {
        "server.shared-repos", ["SPEECH_FLOW_SERVER_SHARED_REPOS"], default: "none",
        takes: "repositories such as `owner/name` or `owner/*`, with commas between them",
        "Private or gated repositories that the server fetches with its own `HF_TOKEN` and serves to every caller."
    }
    SERVER_METADATA_TTL: Duration = values::duration, IN_FILE {
        "server.metadata-ttl", ["SPEECH_FLOW_SERVER_METADATA_TTL"], default: "`60s`", takes: TIME,
        "How long what a branch or tag stands for is served before the hub is asked again."
    }
    SERVER_ACCESS_TTL: Duration = values::duration, IN_FILE {
        "server.access-ttl", ["SPEECH_FLOW_SERVER_ACCESS_TTL"], default: "`60s`", takes: TIME,
        "How long the hub's word that a caller's token may read a repository counts."
    }
    SERVER_CONNECTIONS: u32 = values::connections, IN_FILE {
        "server.max-connections", ["SPEECH_FLOW_SERVER_MAX_CONNECTIONS"], default: "`1024`",
        takes: "a number from 1 to 65536",
        "Connections of clients at once; one without a request makes room, else a new one is answered with 503."
    }
    SERVER_KEEP_ALIVE: Duration = values::period, IN_FILE {
        "server.keep-alive", ["SPEECH_FLOW_SERVER_KEEP_ALIVE"], default: "`75s`", takes: TIME,
        "How long a connection may stay open without a request: longer than a load balancer in front keeps it."
    }
    SERVER_PER_CLIENT: u32 = values::connections, IN_FILE {
        "server.max-per-client", ["SPEECH_FLOW_SERVER_MAX_PER_CLIENT"], default: "`256`",
        takes: "a number from 1 to 65536",
        "Requests of one address at once; more are answered with 429."
    }
    SERVER_FETCHES: u32 = values::requests, IN_FILE {
        "server.fetches", ["SPEECH_FLOW_SERVER_FETCHES"], default: "`16`", takes: "a number from 1 to 1024",
        "Files fetched from the hub at once; a quarter is kept for files below 256 MiB."
    }
    SERVER_REQUEST_LIMIT: u32 = values::requests, IN_FILE {
        "server.request-limit", ["SPEECH_FLOW_SERVER_REQUEST_LIMIT"], default: "none", takes: "a number from 1 to 1024",
        "Requests a second to the hub's own address; more wait in turn, and those that would wait longer than 5 s are told when to come back."
    }
    SERVER_MAX_SIZE: ByteSize = values::size, IN_FILE {
        "server.max-size", ["SPEECH_FLOW_SERVER_MAX_SIZE"], default: "nine tenths of the volume", takes: "a size such as `500GB`",
        "Bytes that each cache may take; above it, the least recently used models go until a tenth of it is free."
    }
    SERVER_UPDATES: UpdatePolicy = values::update_policy, IN_FILE {
        "server.updates", ["SPEECH_FLOW_SERVER_UPDATES"], default: "`never`", takes: "one of `never`, `report`, `apply`",
        "What is done with locked models that moved on the hub: nothing; fetch, validate and say so; or move the lockfile, too."
    }
    SERVER_UPDATE_EVERY: Duration = values::interval, IN_FILE {
        "server.update-every", ["SPEECH_FLOW_SERVER_UPDATE_EVERY"], default: "`24h`", takes: "a time from one minute on, such as `6h`",
        "How often it is looked for updates, a tenth more or less."
    }
    STORE: Url = values::store, IN_FILE {
        "server.store", ["SPEECH_FLOW_SERVER_STORE"], default: "none",
        takes: "an address such as `s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix` or `file:///folder`",
        "Object store that the cache server reads before it asks the hub, and fills. Credentials come from the provider's own variables (`AWS_…`, `AZURE_…`, `GOOGLE_…`)."
    }
    STORE_PATIENCE: Duration = values::period, IN_FILE {
        "server.store-patience", ["SPEECH_FLOW_SERVER_STORE_PATIENCE"], default: "`2s`", takes: TIME,
        "How long the object store may bring no byte of a file before the hub is asked."
    }
    STORE_UPLOADS: bool = values::switch, IN_FILE {
        "server.store-uploads", ["SPEECH_FLOW_SERVER_STORE_UPLOADS"], default: "yes", takes: SWITCH,
        "Put files that were fetched from the hub into the object store."
    }
    STORE_PRIVATE: bool = values::switch, IN_FILE {
        "server.store-private", ["SPEECH_FLOW_SERVER_STORE_PRIVATE"], default: "no", takes: SWITCH,
        "Put files of private and gated repositories into it, too: whoever may read the store can read them."
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
