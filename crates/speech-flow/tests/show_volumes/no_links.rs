//! Snapshots on volumes without symbolic links.

use std::fs;
use std::path::PathBuf;

use speech_flow_demo_hub::EmbeddedModel;

use crate::support::{LID, World, files_below};
use crate::volume::Volume;
use crate::wrapped::wrapped;

fn symlinks_below(folder: PathBuf) -> Vec<PathBuf> {
    files_below(&folder).into_iter().filter(|path| path.is_symlink()).collect()
}

/// The model's files are plain, right, a hit for the next run, and sound to the last byte.
#[track_caller]
fn check_plain_files(world: &World) {
    assert_eq!(symlinks_below(world.cache_dir()), Vec::<PathBuf>::new());
    let snapshot = world.run(&["path", "--offline", LID]).exits(0).stdout();
    for file in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        let content = fs::read(PathBuf::from(snapshot.trim()).join(file)).expect("the file");
        assert!(EmbeddedModel::TinyLid.file(file) == Some(&content), "`{file}` holds other bytes");
    }
    world.hub.clear_requests();
    for arguments in [&["preload", "--lid", "--json"][..], &["preload", "--lid", "--json", "--offline"]] {
        let document = world.run(arguments).exits(0).json();
        assert_eq!(document["models"][0]["outcome"], "hit", "{document}");
    }
    world.run(&["verify", "--full", LID]).exits(0);
    assert_eq!(world.file_requests(), []);
}

#[test]
fn the_setting_makes_snapshots_of_plain_files() {
    let world = World::start();
    let mut command = world.command(&["preload", "--lid"]);
    world.finish(command.env("HF_HUB_DISABLE_SYMLINKS", "1")).exits(0);
    check_plain_files(&world);
}

#[test]
fn a_volume_that_refuses_symlinks_gets_plain_files() {
    let world = World::start();
    let log = world.folder().join("trace").display().to_string();
    // What FAT and SMB without `mfsymlinks` answer.
    let refuse = "inject=symlink,symlinkat:error=EPERM";
    let words = ["strace", "-f", "-qq", "-o", &log, "-e", "trace=symlink,symlinkat", "-e", refuse];
    world.finish(&mut wrapped(&words, &world.command(&["preload", "--lid"]))).exits(0);
    let tries = fs::read_to_string(&log).expect("the trace").matches("(INJECTED)").count();
    assert_eq!(tries, 1, "the answer of the volume is remembered");
    check_plain_files(&world);
}

#[test]
fn a_real_volume_without_links_gets_plain_files() {
    let world = World::start();
    let Some(_volume) = Volume::without_links(&world.cache_dir(), &world.folder().join("image")) else { return };
    world.run(&["preload", "--lid"]).exits(0);
    check_plain_files(&world);
    world.run(&["clear", "--lid", "--yes"]).exits(0);
    assert_eq!(files_below(&world.hub_cache().join("models--speech-flow--tiny-lid")), Vec::<PathBuf>::new());
}
