//! Where the engine's library is.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// The shim's file. Beside it are the libraries that it needs.
pub(crate) const FILE: &str = "libspeech_flow_ct2.so";

/// The library below `root`, or near the executable.
pub(crate) fn find(root: Option<&Path>) -> Result<PathBuf, Error> {
    let folders = match root {
        Some(root) => vec![root.join("lib"), root.to_owned()],
        None => std::env::current_exe().map(|path| near(&path)).unwrap_or_default(),
    };
    match folders.iter().map(|folder| folder.join(FILE)).find(|file| file.is_file()) {
        // Two names of one file are one library.
        Some(file) => Ok(file.canonicalize().unwrap_or(file)),
        None => Err(Error::NotInstalled { file: FILE, looked_in: folders }),
    }
}

/// The folders that belong to the executable `program`, nearest first.
fn near(program: &Path) -> Vec<PathBuf> {
    let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let Some(folder) = program.parent() else { return Vec::new() };
    let installed = folder.parent().map(|prefix| prefix.join("lib/speech-flow"));
    let built = folder.ancestors().map(|ancestor| ancestor.join("engine/lib"));
    installed.into_iter().chain(built).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn an_executable_looks_in_its_installation_before_the_build_folder() {
        let folders = near(Path::new("/opt/sf/bin/speech-flow"));
        let expected = ["/opt/sf/lib/speech-flow", "/opt/sf/bin/engine/lib", "/opt/sf/engine/lib", "/opt/engine/lib"];
        assert_eq!(folders[..4], expected.map(PathBuf::from));
    }

    #[test]
    fn a_root_may_be_the_installation_or_its_library_folder() {
        let root = tempfile::tempdir().unwrap();
        touch(&root.path().join("lib").join(FILE));
        let expected = root.path().join("lib").join(FILE).canonicalize().unwrap();
        assert_eq!(find(Some(root.path())).unwrap(), expected);
        assert_eq!(find(Some(&root.path().join("lib"))).unwrap(), expected);
    }

    #[test]
    fn an_empty_root_is_refused_with_the_folders_that_were_looked_in() {
        let root = tempfile::tempdir().unwrap();
        let error = find(Some(root.path())).unwrap_err();
        let Error::NotInstalled { looked_in, .. } = &error else { panic!("{error}") };
        assert_eq!(looked_in, &[root.path().join("lib"), root.path().to_owned()]);
        assert!(error.hint().unwrap().contains("make engine"));
    }
}
