//! `POST /v1/audio/language`: which language is spoken.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use speech_flow_speech_engine::audio::Channel;

use super::audio::{self, Intake};
use super::error::ApiError;
use crate::app::App;
use crate::identification::{self, Asked};
use crate::job::{self, CancelOnDrop};
use crate::metrics::Stage;

/// Says which language is spoken, and which others it could be.
pub(crate) async fn identify(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, ApiError> {
    let Intake { mut form, ticket, serving, cancel, begun } = audio::intake(&app, request).await?;
    let asked = read(form.fields)?;
    audio::check_model(&serving, asked.model.as_deref())?;
    let _gone = CancelOnDrop::new(&cancel);
    let answered = job::spawn(move || {
        let decode_begun = Instant::now();
        let audio = job::decode(&app, &mut form.file, asked.channel, &ticket, &cancel)?;
        let infer_begun = Instant::now();
        let found = identification::run(&serving, &audio, &asked, &cancel)?;
        ticket.finish();
        app.metrics.stage(Stage::Infer, infer_begun.elapsed());
        app.metrics.stage(Stage::Whole, begun.elapsed());
        app.metrics.processed("language", audio.duration(), decode_begun.elapsed());
        let mut body = found;
        body["duration"] = json!(audio.duration().as_secs_f64());
        body["model"] = json!(serving.info);
        Ok(body)
    });
    Ok(Json(job::result(answered).await?))
}

fn read(fields: Vec<(String, String)>) -> Result<Asked, ApiError> {
    let mut asked = Asked::default();
    for (name, text) in fields {
        let wrong = |takes: &str| ApiError::invalid(&name, format!("`{name}` takes {takes}"));
        match name.as_str() {
            "model" => asked.model = Some(text).filter(|text| !text.is_empty()),
            "top" => {
                let top = text.trim().parse().ok().filter(|top| (1..=identification::MAX_TOP).contains(top));
                asked.top = top.ok_or_else(|| wrong("a number from 1 to 200"))?;
            }
            "channel" => {
                let channel = text.trim().parse().ok().filter(|channel| *channel <= 255);
                asked.channel = Channel::One(channel.ok_or_else(|| wrong("a number from 0 to 255"))?);
            }
            "plain" => asked.is_plain = text.trim().parse().map_err(|_| wrong("`true` or `false`"))?,
            _ => {
                let name: String = name.chars().take(100).collect();
                return Err(ApiError::unsupported(&name, format!("there is no field `{name}` here")));
            }
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(name: &str, text: &str) -> Result<Asked, ApiError> {
        read(vec![(name.to_owned(), text.to_owned())])
    }

    #[test]
    fn fields_are_read_and_others_refused() {
        assert_eq!(read_one("top", "3").expect("read").top, 3);
        assert!(read_one("plain", "true").expect("read").is_plain);
        for (name, text) in [("top", "0"), ("top", "many"), ("channel", "-1"), ("plain", "perhaps"), ("language", "en")]
        {
            assert_eq!(read_one(name, text).expect_err("refused").status(), 400, "{name}={text}");
        }
    }
}
