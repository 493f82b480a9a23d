//! With the feature `source`, links the engine that `make engine-source` built; without it, does nothing.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if !cfg!(feature = "source") {
        return;
    }
    // This program is in `target/<profile>/build/<package>`.
    let program = std::env::current_exe().unwrap_or_default();
    let folders: Vec<PathBuf> = program.ancestors().map(|folder| folder.join("engine/source")).collect();
    let Some(folder) = folders.iter().find(|folder| folder.join("libspeech_flow_ct2.a").is_file()) else {
        println!("cargo::error=the feature `source` needs the engine that `make engine-source` builds");
        return;
    };
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rustc-link-search=native={}", folder.display());
    println!("cargo::rustc-link-lib=static=speech_flow_ct2");
}
