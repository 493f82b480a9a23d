//! Prepares the weights of a model folder and says what came out and how long it took.
//!
//!     cargo run --release -p speech-flow-speech-engine --example prepare_weights -- FOLDER OUT_FOLDER COMPUTE_TYPE

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use speech_flow_speech_engine::prepared::prepare;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, out_folder, compute_type] = &arguments[..] else {
        return Err("usage: prepare_weights FOLDER OUT_FOLDER COMPUTE_TYPE".into());
    };
    let start = Instant::now();
    let prepared = prepare(Path::new(folder), Path::new(out_folder), compute_type.parse()?)?;
    let seconds = start.elapsed().as_secs_f64();
    let (bytes, digest) = (prepared.bytes, prepared.digest);
    writeln!(std::io::stdout(), "{bytes} bytes of {}, SHA-256 {digest}, in {seconds:.2} s", prepared.compute_type)?;
    Ok(())
}
