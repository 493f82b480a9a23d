//! `preload --dry-run`: what would be fetched.

use serde_json::json;
use speech_flow_model_manager::{EnsureOptions, Forecast};
use speech_flow_model_types::ByteSize;

use super::Wanted;
use crate::report::Failure;
use crate::session::Session;
use crate::table;

/// Digits of a commit that are shown.
const SHOWN: usize = 12;

pub(super) async fn run(
    session: &Session,
    wanted: &[Wanted],
    mut failed: Vec<(String, Failure)>,
    options: &EnsureOptions,
    as_json: bool,
) -> Result<(), Failure> {
    let printer = &session.printer;
    let mut forecasts = Vec::new();
    for Wanted { manager, spec, .. } in wanted {
        match manager.dry_run(spec, options).await {
            Ok(forecast) => forecasts.push(forecast),
            Err(error) if options.cancel.is_cancelled() => return Err(error.into()),
            Err(error) => {
                let failure = Failure::from(error);
                failure.print(printer);
                failed.push((spec.name.clone(), failure));
            }
        }
    }
    if as_json {
        printer.json(json!({
            "models": forecasts,
            "failed": failed.iter().map(|(name, failure)| failure.to_json(name)).collect::<Vec<_>>(),
        }));
    } else {
        let rows: Vec<_> = forecasts.iter().map(row).collect();
        table::lines(&rows).into_iter().for_each(|line| printer.data(line));
    }
    let to_fetch: u64 = forecasts.iter().map(|forecast| forecast.bytes_to_fetch).sum();
    let total: u64 = forecasts.iter().map(|forecast| forecast.bytes_total).sum();
    printer.note(format_args!("{} of {} would be fetched; nothing was changed", ByteSize(to_fetch), ByteSize(total)));
    match failed.iter().map(|(_, failure)| failure.code()).max() {
        None => Ok(()),
        Some(worst) => Err(Failure::said(worst)),
    }
}

fn row(forecast: &Forecast) -> [String; 4] {
    let (to_fetch, total) = (ByteSize(forecast.bytes_to_fetch), ByteSize(forecast.bytes_total));
    let free = forecast.bytes_free.map_or_else(String::new, |free| format!("{} free", ByteSize(free)));
    let commit = forecast.commit.chars().take(SHOWN).collect();
    [forecast.name.clone(), commit, format!("{to_fetch} of {total} to fetch"), free]
}
