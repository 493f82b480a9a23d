//! `doctor --model`: how much memory a worker with the model needs.

use serde_json::{Value, json};
use speech_flow_model_manager::validate::{MemoryNeed, MemorySettings, memory_need};
use speech_flow_model_types::{ByteSize, ModelKind};

use crate::report::Failure;
use crate::selection;
use crate::session::Session;
use crate::table;

pub(super) fn run(session: &Session, name: &str, as_json: bool) -> Result<(), Failure> {
    let config = &session.config;
    let spec = selection::one(config, name)?;
    let model = session.manager()?.locate(&spec, &session.options()?)?;
    let compute_type = match model.kind {
        ModelKind::LanguageId => *config.lid.compute_type,
        _ => *config.whisper.compute_type,
    };
    let settings = MemorySettings {
        compute_type,
        batch: (*config.worker.max_batch).into(),
        replicas: (*config.worker.replicas).into(),
        audio: *config.worker.queue,
    };
    let need = memory_need(&model.path, model.kind, &settings)
        .map_err(|invalid| Failure::refused(format!("`{spec}`: {invalid}"), "`speech-flow verify` says more"))?;
    let printer = &session.printer;
    if as_json {
        let mut memory = json!(need);
        if let Value::Object(fields) = &mut memory {
            fields.insert("model".to_owned(), json!(spec.name));
            fields.insert("kind".to_owned(), json!(model.kind));
            fields.insert("compute_type".to_owned(), json!(compute_type.as_str()));
            fields.insert("device".to_owned(), json!("cpu"));
        }
        printer.json(json!({ "memory": memory }));
    } else {
        table::lines(&rows(&need, compute_type.as_str())).into_iter().for_each(|line| printer.data(line));
    }
    printer.note(format_args!("a worker with `{}` on a processor needs {}", spec.name, ByteSize(need.total_bytes)));
    Ok(())
}

fn rows(need: &MemoryNeed, compute_type: &str) -> Vec<[String; 3]> {
    let row = |what: &str, bytes: u64, why: String| [what.to_owned(), ByteSize(bytes).to_string(), why];
    let replicas = match need.replicas {
        1 => String::new(),
        replicas => format!(", for each of {replicas} replicas"),
    };
    vec![
        row("program", need.process_bytes, "the process without a model".to_owned()),
        row("weights", need.weight_bytes, format!("{compute_type}; {} in the file", ByteSize(need.stored_bytes))),
        row("encoder", need.encoder_bytes, format!("one call{replicas}")),
        row("windows", need.window_bytes.saturating_mul(need.windows), format!("{} at once", need.windows)),
        row("audio", need.audio_bytes, "decoded, of the requests that wait".to_owned()),
        row("at work", need.work_bytes, "the sum".to_owned()),
        row("loading", need.load_bytes, "the file, and its largest part while it is converted".to_owned()),
        row("needed", need.total_bytes, "the larger of the two".to_owned()),
    ]
}
