//! The status page in a real Chromium, which `tests/browser/page.mjs` drives.
//!
//! With `SPEECH_FLOW_SCREENSHOTS=FOLDER` it leaves pictures of the page in that folder; `make page` does.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use speech_flow_demo_hub::{Action, DemoHub, EmbeddedModel, Endpoint, FaultRule, Repository};

use crate::client::{root, text};
use crate::served::Served;
use crate::support::World;

const LANGUAGE: &str = "facebook/mms-lid-126";
const GROWING: &str = "openai/whisper-large-v3-turbo";
const DAMAGED: &str = "Systran/faster-distil-whisper-large-v3";

#[test]
fn the_page_reads_on_any_screen_and_shows_what_happens() {
    let modules = root().join("target/browser");
    assert!(
        modules.join("node_modules/playwright-core").is_dir(),
        "there is no playwright-core: `make test` installs it"
    );
    let world = World::with(hub());
    let served = start(&world);
    let damaged = FaultRule::new(Action::FlipByte { offset: 70_000 }).repo(DAMAGED).path("model.bin");
    world.hub.add_fault(damaged).expect("a rule");
    // The answer is cut off, which is what is to be seen on the page.
    served.get(&format!("/{DAMAGED}/resolve/main/model.bin"));
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 1 << 20 }).repo(GROWING).on(Endpoint::Cdn);
    world.hub.add_fault(slow).expect("a rule");
    let mut command = Command::new("node");
    command.arg(root().join("tests/browser/page.mjs"));
    command.args([text(&modules), &served.endpoint, LANGUAGE, GROWING, "model.safetensors"]);
    command.args(std::env::var_os("SPEECH_FLOW_SCREENSHOTS"));
    let mut browser = command.stdout(Stdio::piped()).spawn().expect("node starts");
    let mut said = BufReader::new(browser.stdout.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("reads");
    if line == "cut\n" {
        served.kill();
        line.clear();
        said.read_line(&mut line).expect("reads");
    }
    said.read_to_string(&mut line).expect("reads");
    assert!(browser.wait().expect("ends").success(), "{}", line.replace("\\n", "\n"));
}

/// What a cluster may have.
fn hub() -> speech_flow_demo_hub::DemoHubBuilder {
    let card = |license: &str| format!("---\nlicense: {license}\n---\n# A model\n");
    let weights = |name: &str, license: &str, file: &str, size: u64| {
        let builder = Repository::builder(name).file("README.md", card(license)).file("config.json", "{}\n");
        builder.generated(file, size, 5).build().expect("builds")
    };
    let embedded = |model: EmbeddedModel, name: &str, license: &str| {
        model.builder(name).file("README.md", card(license)).build().expect("builds")
    };
    let whisper = embedded(EmbeddedModel::TinyWhisperCt2, "Systran/faster-whisper-tiny.en", "mit");
    let language = embedded(EmbeddedModel::TinyLid, LANGUAGE, "cc-by-nc-4.0");
    DemoHub::builder()
        .repository(whisper)
        .repository(language)
        .repository(weights("pyannote/segmentation-3.0", "mit", "pytorch_model.bin", 6 << 20))
        .repository(weights(DAMAGED, "mit", "model.bin", 3 << 20))
        .repository(weights(GROWING, "mit", "model.safetensors", 20 << 20))
}

/// A server with two whole models, one of them pinned, and a part of a third.
fn start(world: &World) -> Served {
    let cache = world.folder().join("server");
    let run = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        world.finish(command.env("MODEL_CACHE_DIR", &cache)).exits(0);
    };
    run(&["preload", "Systran/faster-whisper-tiny.en", LANGUAGE]);
    run(&["pin", LANGUAGE]);
    let served = Served::start(world, "server", &[]);
    for file in ["config.json", "model.safetensors", "preprocessor_config.json"] {
        assert!(!served.get(&format!("/{LANGUAGE}/resolve/main/{file}")).is_empty(), "{file}");
    }
    assert!(!served.get("/pyannote/segmentation-3.0/resolve/main/pytorch_model.bin").is_empty());
    served
}
