//! `config`: every setting with its value and where it came from.

use serde_json::json;

use crate::cli::JsonArgs;
use crate::printer::Tone;
use crate::report::Failure;
use crate::session::Session;
use crate::table;

pub(super) fn run(session: &Session, args: &JsonArgs) -> Result<(), Failure> {
    let (config, printer) = (&session.config, &session.printer);
    if args.json {
        printer.json(json!({
            "settings": config.rows(),
            "files": config.files,
            "models": config.models().iter().map(|model| json!({
                "name": model.spec.name,
                "spec": model.spec.to_string(),
                "kind": model.spec.kind,
                "include": model.spec.patterns.include(),
                "exclude": model.spec.patterns.exclude(),
                "origin": model.origin,
            })).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    let mut rows = vec![["SETTING", "VALUE", "FROM", "VARIABLE"].map(str::to_owned)];
    rows.extend(config.rows().iter().map(|row| {
        let value = if row.value.is_empty() { "-".to_owned() } else { row.value.clone() };
        [row.key.to_owned(), value, row.origin.to_string(), row.variable.to_owned()]
    }));
    for (index, line) in table::lines(&rows).into_iter().enumerate() {
        let line = if index == 0 { printer.paint(Tone::Strong, line) } else { line };
        printer.data(line);
    }
    Ok(())
}
