//! Measures loading and running a Whisper model of a folder.
//!
//!     cargo run --release -p speech-flow-ctranslate2 --example measure -- FOLDER COMPUTE_TYPE THREADS WINDOWS START
//!
//! Each window is encoded and decoded with beam 5 after the prompt `START`, the token `<|startoftranscript|>`. CPU seconds are those of the whole process, in steps of 10 ms.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use speech_flow_ctranslate2::{GenerateOptions, Library, ModelConfig, Whisper};

/// User and system seconds of this process. Source: `proc_pid_stat(5)`, fields 14 and 15, in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("procfs is mounted");
    let after_name = stat.rsplit(") ").next().expect("the name is in parentheses");
    after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number") / 100.0).sum()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, compute_type, threads, windows, start] = &arguments[..] else {
        return Err("usage: measure FOLDER COMPUTE_TYPE THREADS WINDOWS START".into());
    };
    let mut phase = (Instant::now(), cpu_seconds());
    let mut report = |name: &str| {
        let now = (Instant::now(), cpu_seconds());
        let (wall, cpu) = ((now.0 - phase.0).as_secs_f64(), now.1 - phase.1);
        phase = now;
        writeln!(std::io::stdout(), "{name}: wall {wall:.3} s, CPU {cpu:.2} s")
    };
    let library = Library::open(None)?;
    report("open the engine")?;
    let config =
        ModelConfig { compute_type: compute_type.parse()?, intra_threads: threads.parse()?, ..ModelConfig::default() };
    let model = Whisper::load(&library, &PathBuf::from(folder), &config)?;
    report("load the model")?;
    let mel: Vec<f32> = (0..model.n_mels() * 3000).map(|i| (i * 7919 % 1000) as f32 / 1000.0).collect();
    let start: u32 = start.parse()?;
    let options = GenerateOptions { max_length: 40, ..GenerateOptions::default() };
    let windows: usize = windows.parse()?;
    let encoded = (0..windows).map(|_| model.encode(&mel, 1)).collect::<Result<Vec<_>, _>>()?;
    report("encode the windows")?;
    let mut score = 0.0;
    for window in &encoded {
        score = model.generate(&[window], &[&[start]], &options)?[0].hypotheses[0].score;
    }
    report("decode the windows")?;
    writeln!(std::io::stdout(), "score: {score}")?;
    Ok(())
}
