//! What a configuration comes to, layer by layer.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::*;

/// The parts of a configuration that a test sets.
#[derive(Default)]
struct Given {
    env: HashMap<&'static str, &'static str>,
    flags: Vec<Flag>,
    files: Vec<(PathBuf, String)>,
    facts: SystemFacts,
}

impl Given {
    /// A machine with a home folder.
    fn at_home() -> Self {
        let facts = SystemFacts {
            home: Some("/home/ada".into()),
            cache_home: Some("/home/ada/.cache".into()),
            current_dir: "/project".into(),
            ..SystemFacts::default()
        };
        Self { facts, ..Self::default() }
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.insert(name, value);
        self
    }

    fn flag(mut self, name: &'static str, key: &'static str, value: &str) -> Self {
        self.flags.push(Flag { name, key, value: value.into() });
        self
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.into(), text.to_owned()));
        self
    }

    fn load(self) -> Result<Config, ConfigError> {
        let env = |name: &str| self.env.get(name).map(OsString::from);
        let is_folder = |path: &Path| path == Path::new("models/mine");
        let sources = ConfigSources {
            env: &env,
            flags: self.flags.clone(),
            files: self.files.clone(),
            facts: self.facts.clone(),
            is_folder: &is_folder,
        };
        Config::load(&sources)
    }

    #[track_caller]
    fn loaded(self) -> Config {
        self.load().expect("a valid configuration")
    }

    /// The message and hint of the error.
    #[track_caller]
    fn refused(self) -> (String, String) {
        let error = self.load().expect_err("refused");
        (error.to_string(), error.hint().unwrap_or_default())
    }
}

#[test]
fn nothing_set_gives_the_defaults() {
    let config = Given::at_home().loaded();
    assert_eq!(*config.cache.dir, Path::new("/home/ada/.cache/speech-flow"));
    assert_eq!(*config.cache.hub, Path::new("/home/ada/.cache/speech-flow/huggingface/hub"));
    assert_eq!(*config.cache.whisper, Path::new("/home/ada/.cache/speech-flow/whisper"));
    assert_eq!(config.cache.state_dir, Path::new("/home/ada/.cache/speech-flow/.speech-flow"));
    assert_eq!(config.hub.endpoint.as_str(), "https://huggingface.co/");
    assert_eq!((*config.whisper.device, *config.whisper.compute_type), (Device::Cpu, ComputeType::Int8));
    assert_eq!(*config.download.max_retries, 3);
    assert_eq!(*config.download.stall_timeout, Duration::from_secs(30));
    assert!(config.rows().iter().all(|row| row.origin == Origin::Default));
    assert_eq!(contradictions(&config), []);
    let specs: Vec<String> = config.models().iter().map(|model| model.spec.to_string()).collect();
    assert_eq!(specs, ["Systran/faster-whisper-large-v3@main", "facebook/mms-lid-126@main"]);
}

#[test]
fn a_model_volume_is_the_base_where_it_exists() {
    let mut given = Given::at_home();
    given.facts.models_dir_exists = true;
    assert_eq!(*given.loaded().cache.hub, Path::new("/models/huggingface/hub"));
}

#[test]
fn a_user_without_a_home_needs_a_place_for_the_cache() {
    let (message, hint) = Given::default().refused();
    assert_eq!(message, "no place for the model cache: `/models` does not exist and this user has no home folder");
    assert_eq!(hint, "set `MODEL_CACHE_DIR` to a folder that this user may write to");
    let config = Given::default().env("MODEL_CACHE_DIR", "/cache").loaded();
    assert_eq!(*config.cache.whisper, Path::new("/cache/whisper"));
}

#[test]
fn a_usable_gpu_changes_the_defaults() {
    let mut given = Given::at_home();
    given.facts.cuda_usable = true;
    let config = given.loaded();
    assert_eq!((*config.whisper.device, *config.whisper.compute_type), (Device::Cuda, ComputeType::Float16));
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    const KEY: &str = "download.max-retries";
    let file = "[download]\nmax-retries = 7\n";
    let check = |given: Given, expected: u32, origin: &str| {
        let retries = given.loaded().download.max_retries;
        assert_eq!((retries.value, retries.origin.to_string().as_str()), (expected, origin));
    };
    check(Given::at_home(), 3, "default");
    check(Given::at_home().file("/project/speech-flow.toml", file), 7, "/project/speech-flow.toml:2");
    let both = || Given::at_home().file("/project/speech-flow.toml", file).env("MODEL_DOWNLOAD_MAX_RETRIES", "5");
    check(both(), 5, "$MODEL_DOWNLOAD_MAX_RETRIES");
    check(both().flag("--max-retries", KEY, "1"), 1, "--max-retries");
}

#[test]
fn the_stronger_file_wins_key_by_key() {
    let config = Given::at_home()
        .file("/project/speech-flow.toml", "[whisper]\nmodel = 'tiny'\n")
        .file(
            "/etc/speech-flow/speech-flow.toml",
            "[whisper]\nmodel = 'base'\ndevice = 'cpu'\n[[model]]\nname = 'small'\n",
        )
        .loaded();
    assert_eq!(config.whisper.model.name, "tiny");
    assert_eq!(config.whisper.device.origin.to_string(), "/etc/speech-flow/speech-flow.toml:3");
    assert_eq!(config.models().len(), 3);
}

#[test]
fn empty_variables_count_as_not_set() {
    let config = Given::at_home().env("HF_HOME", "").env("HF_HUB_OFFLINE", " ").env("WHISPER_DEVICE", "").loaded();
    assert!(config.rows().iter().all(|row| row.origin == Origin::Default));
}

#[test]
fn cache_variables_mean_what_they_mean_to_python() {
    #[track_caller]
    fn check(variables: &[(&'static str, &'static str)], expected: &str) {
        let mut given = Given::at_home();
        given.env.extend(variables.iter().copied());
        assert_eq!(*given.loaded().cache.hub, Path::new(expected), "{variables:?}");
    }
    check(&[("HF_HOME", "~/hf")], "/home/ada/hf/hub");
    check(&[("HF_HOME", "$BASE/hf"), ("BASE", "/data")], "/data/hf/hub");
    check(&[("HF_HUB_CACHE", "hub"), ("HF_HOME", "/hf")], "/project/hub");
    check(&[("TRANSFORMERS_CACHE", "/t")], "/t");
    check(&[("TRANSFORMERS_CACHE", "/t"), ("HUGGINGFACE_HUB_CACHE", "/l")], "/l");
    check(&[("TRANSFORMERS_CACHE", "/t"), ("HUGGINGFACE_HUB_CACHE", "/l"), ("HF_HUB_CACHE", "/c")], "/c");
}

#[test]
fn the_cache_dir_flag_moves_every_cache() {
    let config = Given::at_home()
        .env("HF_HOME", "/hf")
        .env("WHISPER_CACHE_DIR", "/w")
        .flag("--cache-dir", "cache.dir", "here")
        .loaded();
    assert_eq!(*config.cache.hub, Path::new("/project/here/huggingface/hub"));
    assert_eq!(*config.cache.whisper, Path::new("/project/here/whisper"));
    // The user's token does not move.
    assert_eq!(config.hub.token_files, [Path::new("/hf/token")]);
    let what: Vec<String> = contradictions(&config).into_iter().map(|found| found.what).collect();
    assert_eq!(
        what,
        [
            "`--cache-dir` sets `HF_HOME` aside for this run",
            "`--cache-dir` sets `WHISPER_CACHE_DIR` aside for this run"
        ]
    );
}

#[test]
fn switches_are_true_as_python_has_it_and_typos_are_errors() {
    for (text, expected) in [("1", true), ("on", true), ("Yes", true), ("TRUE", true), ("0", false), ("off", false)] {
        assert_eq!(*Given::at_home().env("HF_HUB_OFFLINE", text).loaded().hub.offline, expected, "{text}");
    }
    let (message, _) = Given::at_home().env("HF_HUB_OFFLINE", "ture").refused();
    assert_eq!(
        message,
        "`HF_HUB_OFFLINE` is `ture`, but it takes `1`, `on`, `yes`, `true` or `0`, `off`, `no`, `false`"
    );
    assert!(*Given::at_home().env("TRANSFORMERS_OFFLINE", "1").loaded().hub.offline);
}

#[test]
fn a_bad_value_names_the_variable_what_it_got_and_what_it_takes() {
    #[track_caller]
    fn check(name: &'static str, value: &'static str, expected: &str, hint: &str) {
        let (message, got_hint) = Given::at_home().env(name, value).refused();
        assert_eq!((message.as_str(), got_hint.as_str()), (expected, hint));
    }
    check(
        "WHISPER_DEVICE",
        "gpu",
        "`WHISPER_DEVICE` is `gpu`, but it takes `cuda`, `cpu` or `auto`",
        "did you mean `cpu`?",
    );
    check(
        "WHISPER_MODEL_NAME",
        "large-v33",
        "`WHISPER_MODEL_NAME` is `large-v33`, but it takes a Whisper size name, `owner/name` or a folder",
        "did you mean `large-v3`?",
    );
    check(
        "MODEL_DOWNLOAD_MAX_RETRIES",
        "-1",
        "`MODEL_DOWNLOAD_MAX_RETRIES` is `-1`, but it takes a number from 0 to 100",
        "",
    );
    check(
        "HF_ENDPOINT",
        "hub.example/hf",
        "`HF_ENDPOINT` is `hub.example/hf`, but it takes an `http` or `https` address without a query",
        "write `https://hub.example/hf`",
    );
    check(
        "HF_ENDPOINT",
        "hub\u{1b}[2J",
        "`HF_ENDPOINT` is `hub\\u{1b}[2J`, but it takes an `http` or `https` address without a query",
        "",
    );
    check(
        "HF_ENDPOINT",
        "user:secret@hub.example",
        "`HF_ENDPOINT` is `…@hub.example`, but it takes an `http` or `https` address without a query",
        "",
    );
    check(
        "HF_ENDPOINT",
        "https://user:secret@hub.example/hf?token=secret",
        "`HF_ENDPOINT` is `https://…@hub.example/hf?…`, but it takes an `http` or `https` address without a query",
        "",
    );
    check(
        "SPEECH_FLOW_SEGMENT_SIZE",
        "1",
        "`SPEECH_FLOW_SEGMENT_SIZE` is `1`, but it takes a size from 64KiB to 1GiB",
        "",
    );
    check("LID_MODEL_REVISION", "../x", "`LID_MODEL_REVISION` is `../x`, but it takes a branch, a tag or a commit", "");
}

#[test]
fn times_sizes_and_addresses_are_read() {
    let config = Given::at_home()
        .env("MODEL_DOWNLOAD_RETRY_DELAY", "1.5")
        .env("HF_HUB_ETAG_TIMEOUT", "0")
        .env("HF_HUB_DOWNLOAD_TIMEOUT", "2m")
        .env("SPEECH_FLOW_RATE_LIMIT", "20MB")
        .env("HF_ENDPOINT", "https://mirror.example/api/hf/")
        .loaded();
    assert_eq!(*config.download.retry_delay, Duration::from_millis(1500));
    assert_eq!(*config.hub.etag_timeout, Duration::from_secs(10));
    assert_eq!(*config.download.stall_timeout, Duration::from_secs(120));
    assert_eq!(*config.download.rate_limit, Some(ByteSize(20_000_000)));
    assert_eq!(config.hub.endpoint.as_str(), "https://mirror.example/api/hf");
}

#[test]
fn proxies_are_read_as_curl_and_python_read_them() {
    let proxy = |given: Given| given.loaded().network.http_proxy.value.map(|url| url.to_string());
    assert_eq!(proxy(Given::at_home().env("HTTP_PROXY", "p:3128")).as_deref(), Some("http://p:3128/"));
    let both = || Given::at_home().env("HTTP_PROXY", "http://upper:1");
    assert_eq!(proxy(both().env("http_proxy", "http://lower:2")).as_deref(), Some("http://lower:2/"));
    assert_eq!(proxy(both().env("http_proxy", "")), None);
    let config = Given::at_home().env("no_proxy", "localhost, .example,,10.0.0.0/8").loaded();
    assert_eq!(*config.network.no_proxy, ["localhost", ".example", "10.0.0.0/8"]);
}

#[test]
fn no_secret_is_ever_shown() {
    let config = Given::at_home()
        .env("HF_TOKEN", " hf_sesame\n")
        .env("HTTPS_PROXY", "http://ada:sesame@proxy.example:3128")
        .env("HF_ENDPOINT", "http://ada:sesame@hub.example")
        .loaded();
    assert_eq!(config.hub.token.as_ref().expect("a token").expose(), "hf_sesame");
    let rows = serde_json::to_string(config.rows()).expect("JSON");
    let told = contradictions(&config);
    assert!(!told.is_empty());
    for shown in [rows, format!("{:?}", config.hub.token), format!("{told:?}"), format!("{:?}", config.seen)] {
        assert!(!shown.contains("sesame"), "{shown}");
    }
    for (name, value) in [
        ("HF_TOKEN", "hf sesame"),
        ("HTTP_PROXY", "ftp://ada:sesame@proxy.example"),
        ("HTTPS_PROXY", "ada:sesame@proxy:not-a-port"),
        ("HF_ENDPOINT", "https://ada:sesame@hub.example?x=1"),
    ] {
        let (message, hint) = Given::at_home().env(name, value).refused();
        assert!(!message.contains("sesame") && !hint.contains("sesame"), "{message} {hint}");
        assert!(message.contains(name));
    }
}

#[test]
fn the_tokens_file_counts_only_where_the_environment_has_none() {
    let path = || PathBuf::from("/home/ada/.cache/huggingface/token");
    let given = Given::at_home().loaded();
    assert_eq!(given.hub.token_files.last(), Some(&path()));
    let config = given.with_token_file(path(), "hf_file\n");
    assert_eq!(config.hub.token.as_ref().map(Secret::expose), Some("hf_file"));
    let row = config.rows().iter().find(|row| row.key == "hub.token").expect("declared");
    assert_eq!(
        (row.value.as_str(), row.origin.to_string().as_str()),
        ("(set, not shown)", "/home/ada/.cache/huggingface/token")
    );
    let config = Given::at_home().env("HUGGING_FACE_HUB_TOKEN", "hf_env").loaded().with_token_file(path(), "hf_file");
    assert_eq!(config.hub.token.as_ref().map(Secret::expose), Some("hf_env"));
    let off = Given::at_home().env("HF_TOKEN", "hf_env").env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1").loaded();
    assert_eq!(off.with_token_file(path(), "hf_file").hub.token.value, None);
}

#[test]
fn a_file_with_a_mistake_names_line_key_and_nearest_name() {
    #[track_caller]
    fn check(text: &str, expected: &str, hint: &str) {
        let (message, got_hint) = Given::at_home().file("/c.toml", text).refused();
        assert_eq!((message.as_str(), got_hint.as_str()), (expected, hint), "{text}");
    }
    check(
        "[whisper]\nmodle = 'tiny'\n",
        "`/c.toml` line 2 has the unknown key `whisper.modle`",
        "did you mean `whisper.model`?",
    );
    check("[wisper]\nmodel = 'tiny'\n", "`/c.toml` line 1 has the unknown key `wisper`", "");
    check("\nlockfil = 'x'", "`/c.toml` line 2 has the unknown key `lockfil`", "did you mean `lockfile`?");
    check(
        "[hub]\ntoken = 'hf_x'\n",
        "`/c.toml` line 2 has the unknown key `hub.token`",
        "a token does not belong in a file that others read: set `HF_TOKEN`, or `hub.token-path` to a file of its own",
    );
    check(
        "[download]\nlanes = [1]\n",
        "`/c.toml` line 2 has `download.lanes` as array, but it takes one value: a text in quotes, a number or `true`/`false`",
        "",
    );
    check(
        "[download]\nlanes = 0\n",
        "`download.lanes in /c.toml line 2` is `0`, but it takes a number from 1 to 64",
        "",
    );
    check("[[model]]\nrevision = 'x'\n", "`/c.toml` line 1 lacks the key `name`", "");
    check(
        "[[model]]\nname = 'tiny'\nkin = 'x'\n",
        "`/c.toml` line 3 has the unknown key `kin`",
        "did you mean `kind`?",
    );
    check(
        "[[model]]\nname = 'tiny'\nkind = 'x'\n",
        "`/c.toml` line 2 has a bad kind: `x` is not a model kind (`whisper`, `language-id`, `transformers` or `other`)",
        "",
    );
    check(
        "[[model]]\nname = 'tiny'\n[[model]]\nname = 'Systran/faster-whisper-tiny'\n",
        "`/c.toml` line 4 names `Systran/faster-whisper-tiny@main` a second time",
        "put all its patterns into one entry",
    );
    assert!(Given::at_home().file("/c.toml", "a = ").refused().0.starts_with("`/c.toml` line 1 is not TOML: "));
}

#[test]
fn further_models_come_from_the_file() {
    let text = "[[model]]\nname = 'tiny@v2'\n[[model]]\nname = 'a/b'\nrevision = 'r'\nkind = 'transformers'\ninclude = ['*.json']\nexclude = ['x*']\n";
    let models = Given::at_home().file("/c.toml", text).loaded().models();
    let extra: Vec<&ConfiguredModel> = models.iter().filter(|model| model.role == Role::Extra).collect();
    assert_eq!(extra[0].spec.to_string(), "Systran/faster-whisper-tiny@v2");
    assert_eq!(extra[1].spec.to_string(), "a/b@r");
    assert_eq!(extra[1].origin.to_string(), "/c.toml:4");
    assert_eq!(extra[1].spec.patterns.include(), ["*.json"]);
}

#[test]
fn paths_of_a_file_start_from_its_folder() {
    let config =
        Given::at_home().file("/srv/app/speech-flow.toml", "[cache]\ndir = 'models'\nhub = '~/hub'\n").loaded();
    assert_eq!(*config.cache.dir, Path::new("/srv/app/models"));
    assert_eq!(*config.cache.hub, Path::new("/home/ada/hub"));
}

#[test]
fn a_revision_in_the_name_is_the_one_that_counts() {
    let config = Given::at_home().env("WHISPER_MODEL_NAME", "tiny@v2").env("WHISPER_MODEL_REVISION", "v3").loaded();
    assert_eq!(config.whisper_model().spec.to_string(), "Systran/faster-whisper-tiny@v2");
    assert_eq!(
        contradictions(&config)[0].what,
        "`WHISPER_MODEL_NAME` asks for `v2` and `WHISPER_MODEL_REVISION` for `v3`; `v2` counts"
    );
    let config = Given::at_home().env("WHISPER_MODEL_NAME", "tiny").env("WHISPER_MODEL_REVISION", "v3").loaded();
    assert_eq!(config.whisper_model().spec.to_string(), "Systran/faster-whisper-tiny@v3");
    let config = Given::at_home().env("WHISPER_MODEL_NAME", "models/mine").loaded();
    assert_eq!(config.whisper_model().spec.to_string(), "models/mine");
}

#[test]
fn a_certificate_without_its_key_is_refused_and_never_served_without_tls() {
    for (given, missing) in [
        ("SPEECH_FLOW_SERVER_TLS_CERTIFICATE", "SPEECH_FLOW_SERVER_TLS_KEY"),
        ("SPEECH_FLOW_SERVER_TLS_KEY", "SPEECH_FLOW_SERVER_TLS_CERTIFICATE"),
        ("WORKER_TLS_CERTIFICATE", "WORKER_TLS_KEY"),
    ] {
        let (message, hint) = Given::at_home().env(given, "/tls/file.pem").refused();
        assert_eq!(message, format!("`{given}` is set, but `{missing}` is not"));
        assert_eq!(hint, format!("set `{missing}` as well, or unset `{given}`"));
    }
}

#[test]
fn contradictions_are_found() {
    #[track_caller]
    fn check(variables: &[(&'static str, &'static str)], expected: &str) {
        let mut given = Given::at_home();
        given.env.extend(variables.iter().copied());
        let found = contradictions(&given.loaded());
        let what: Vec<&str> = found.iter().map(|found| found.what.as_str()).collect();
        assert_eq!(what, if expected.is_empty() { vec![] } else { vec![expected] }, "{variables:?}");
    }
    check(
        &[("HF_HUB_CACHE", "/a"), ("TRANSFORMERS_CACHE", "/b")],
        "`HF_HUB_CACHE` and `TRANSFORMERS_CACHE` are set to different values; `HF_HUB_CACHE` counts",
    );
    check(&[("HF_HUB_CACHE", "/a"), ("TRANSFORMERS_CACHE", "/a/")], "");
    check(&[("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "yes")], "");
    check(
        &[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")],
        "`HF_HUB_OFFLINE` and `TRANSFORMERS_OFFLINE` are set to different values; `HF_HUB_OFFLINE` counts",
    );
    check(
        &[("HF_HUB_OFFLINE", "1"), ("HF_ENDPOINT", "https://m.example")],
        "`HF_ENDPOINT` is set ($HF_ENDPOINT), but offline mode makes no request",
    );
    check(
        &[("HF_TOKEN", "hf_a"), ("HF_TOKEN_PATH", "/t")],
        "`HF_TOKEN` and `HF_TOKEN_PATH` are both set; the file is not read",
    );
    check(
        &[("HF_TOKEN", "hf_a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")],
        "`HF_TOKEN` is set, but `HF_HUB_DISABLE_IMPLICIT_TOKEN` keeps it from being sent",
    );
    check(
        &[("HF_TOKEN", "hf_a"), ("HF_ENDPOINT", "http://m.example")],
        "the token goes to `http://m.example` without encryption",
    );
    check(&[("HF_TOKEN", "hf_a"), ("HF_ENDPOINT", "http://127.0.0.1:8080")], "");
    check(
        &[("HF_HUB_CACHE", "/a"), ("WHISPER_CACHE_DIR", "/a/whisper")],
        "the folder of `WHISPER_CACHE_DIR` (`/a/whisper`) is inside the folder of `HF_HUB_CACHE` (`/a`)",
    );
    check(&[("HF_HUB_ENABLE_HF_TRANSFER", "1")], "`HF_HUB_ENABLE_HF_TRANSFER` is set, and has no effect here");
    check(&[("REQUESTS_CA_BUNDLE", "/ca")], "`REQUESTS_CA_BUNDLE` is set, and has no effect here");
    check(&[("REQUESTS_CA_BUNDLE", "/ca"), ("SSL_CERT_FILE", "/ca")], "");
    check(
        &[("WHISPER_DEVICE", "cpu"), ("WHISPER_COMPUTE_TYPE", "float16")],
        "`WHISPER_COMPUTE_TYPE` is `float16`, which processors do not compute in",
    );
    check(&[("WHISPER_DEVICE", "cuda")], "`WHISPER_DEVICE` is `cuda`, but no NVIDIA GPU is visible here");
    check(
        &[("SPEECH_FLOW_LANES", "2"), ("SPEECH_FLOW_LANES_PER_FILE", "3")],
        "3 lanes a file ($SPEECH_FLOW_LANES_PER_FILE) are more than the 2 lanes of all files",
    );
}

#[test]
fn every_declared_setting_has_a_row() {
    let rows: Vec<&str> = Given::at_home().loaded().rows().iter().map(|row| row.key).collect();
    let declared: Vec<&str> = DECLARATIONS.iter().map(|declaration| declaration.key).collect();
    assert_eq!(rows, declared);
}

#[test]
fn the_reference_page_is_the_one_that_the_code_generates() {
    const BEGIN: &str =
        "<!-- begin: settings, generated; run the tests with SPEECH_FLOW_UPDATE_DOCS=1 to write it -->\n";
    const END: &str = "<!-- end: settings -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/MODEL_MANAGEMENT.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("the begin marker");
    let (written, after) = rest.split_once(END).expect("the end marker");
    let generated = reference_markdown();
    if std::env::var_os("SPEECH_FLOW_UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{generated}{END}{after}")).expect("written");
    } else {
        assert!(written == generated, "run the tests once with SPEECH_FLOW_UPDATE_DOCS=1");
    }
}
