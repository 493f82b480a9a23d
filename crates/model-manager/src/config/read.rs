//! Reading the configuration from a machine: the one place that looks at the disk for it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::layers::{ConfigSources, Flag, SystemFacts};
use super::{Config, ConfigError, MODELS_DIR, options};

/// Name of the configuration file in each of its places.
const FILE_NAME: &str = "speech-flow.toml";
/// Longest configuration or token file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads the configuration. `env` answers what an environment variable holds: the binary's `main` passes
/// the process's environment, a test a table.
///
/// # Errors
/// As [`Config::load`], and [`ConfigError::Unreadable`] for a configuration file that is there, or was asked
/// for, but cannot be read.
pub fn read(env: &dyn Fn(&str) -> Option<OsString>, flags: Vec<Flag>) -> Result<Config, ConfigError> {
    let facts = machine_facts(env);
    let files = read_files(env, &flags, &facts)?;
    let sources = ConfigSources { env, flags, files, facts, is_folder: &Path::is_dir };
    let mut config = Config::load(&sources)?;
    if config.hub.token.is_some() || *config.hub.disable_implicit_token {
        return Ok(config);
    }
    for path in config.hub.token_files.clone() {
        match read_text(&path) {
            Ok(text) => return Ok(config.with_token_file(path, &text)),
            Err(error) if is_absent(&error) => {}
            Err(error) => config.hub.token_file_problem = Some(format!("`{}`: {error}", path.display())),
        }
    }
    Ok(config)
}

/// What this machine is like.
pub fn machine_facts(env: &dyn Fn(&str) -> Option<OsString>) -> SystemFacts {
    let folder = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // A container that runs as an arbitrary user id often has `HOME=/`, which is nobody's home.
    let home = folder("HOME").filter(|home| home != Path::new("/"));
    SystemFacts {
        cache_home: folder("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|home| home.join(".cache"))),
        home,
        models_dir_exists: Path::new(MODELS_DIR).is_dir(),
        cuda_usable: cuda_usable(env),
        // Without a current folder (it was deleted) relative paths stay relative and fail where they are used.
        current_dir: std::env::current_dir().unwrap_or_default(),
    }
}

/// Whether an NVIDIA GPU seems usable; the engine finds out for sure when it loads a model.
fn cuda_usable(env: &dyn Fn(&str) -> Option<OsString>) -> bool {
    let hidden = env("CUDA_VISIBLE_DEVICES").is_some_and(|list| list.is_empty() || list == "-1");
    // The second is the GPU of a Windows host seen from its Linux subsystem.
    !hidden && ["/dev/nvidiactl", "/dev/dxg"].iter().any(|path| Path::new(path).exists())
}

/// The configuration files with their text: the one that was asked for, or all of the usual places that exist.
fn read_files(
    env: &dyn Fn(&str) -> Option<OsString>,
    flags: &[Flag],
    facts: &SystemFacts,
) -> Result<Vec<(PathBuf, String)>, ConfigError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| ConfigError::Unreadable { path, source }
    };
    let by_flag = flags.iter().find(|flag| flag.key == options::CONFIG_FILE.declaration.key);
    let by_variable = || env("SPEECH_FLOW_CONFIG").filter(|value| !value.is_empty());
    if let Some(asked) = by_flag.map(|flag| flag.value.clone()).or_else(by_variable) {
        let path = facts.current_dir.join(asked);
        let text = read_text(&path).map_err(unreadable(&path))?;
        return Ok(vec![(path, text)]);
    }
    let config_home = env("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| facts.home.as_ref().map(|home| home.join(".config")));
    let mut places = vec![facts.current_dir.join(FILE_NAME)];
    places.extend(config_home.map(|home| home.join("speech-flow").join(FILE_NAME)));
    places.push(Path::new("/etc/speech-flow").join(FILE_NAME));
    let mut files = Vec::new();
    for path in places {
        match read_text(&path) {
            Ok(text) => files.push((path, text)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(unreadable(&path)(error)),
        }
    }
    Ok(files)
}

/// Whether the error means that there is no such file; a folder that may not be looked into has none for us.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn env_of<'a>(pairs: &'a [(&'a str, String)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    }

    #[test]
    fn reads_files_and_token_from_the_users_folders() {
        let home = tempfile::tempdir().expect("a folder");
        let config_dir = home.path().join(".config/speech-flow");
        let token_dir = home.path().join(".cache/huggingface");
        fs::create_dir_all(&config_dir).expect("created");
        fs::create_dir_all(&token_dir).expect("created");
        fs::write(config_dir.join(FILE_NAME), "[cache]\ndir = 'models'\n").expect("written");
        fs::write(token_dir.join("token"), "hf_abc\n").expect("written");
        let pairs = [("HOME", home.path().display().to_string())];
        let config = read(&env_of(&pairs), Vec::new()).expect("read");
        assert_eq!(*config.cache.dir, config_dir.join("models"));
        assert_eq!(config.hub.token.as_ref().expect("a token").expose(), "hf_abc");
        assert_eq!(config.hub.token.origin, super::super::Origin::File { path: token_dir.join("token"), line: None });
    }

    #[test]
    fn a_file_that_was_asked_for_must_be_there() {
        let pairs = [("SPEECH_FLOW_CONFIG", "/nowhere/speech-flow.toml".to_owned())];
        let error = read(&env_of(&pairs), Vec::new()).expect_err("refused");
        assert!(matches!(&error, ConfigError::Unreadable { path, .. } if path.starts_with("/nowhere")), "{error}");
    }

    #[test]
    fn the_root_folder_is_nobodys_home() {
        let pairs = [("HOME", "/".to_owned())];
        let facts = machine_facts(&env_of(&pairs));
        assert_eq!((facts.home, facts.cache_home), (None, None));
    }
}
