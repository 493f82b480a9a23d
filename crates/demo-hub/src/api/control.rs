//! What another process may do to a running hub: set faults, read the request log, move branches.

use serde::Deserialize;
use serde_json::json;

use crate::DemoHubError;
use crate::fault::FaultRule;
use crate::http::{Request, Response};
use crate::hub::Shared;

/// One rule or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rules {
    Several(Vec<FaultRule>),
    One(Box<FaultRule>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHead {
    repo: String,
    branch: String,
    commit: String,
}

/// `/demo/…`; there is nothing here unless the hub was started with fault control.
pub(super) fn control(shared: &Shared, request: &Request, rest: &[String]) -> Response {
    if !shared.fault_control {
        return Response::error(404, None, "the hub was started without fault control");
    }
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (request.method.as_str(), rest.as_slice()) {
        ("GET", ["faults"]) => Response::json(200, &shared.faults.states()),
        ("POST", ["faults"]) => add_faults(shared, request).unwrap_or_else(|error| error),
        ("DELETE", ["faults"]) => {
            shared.faults.clear();
            Response::new(204)
        }
        ("DELETE", ["faults", number]) => match number.parse() {
            Ok(number) if shared.faults.remove(number) => Response::new(204),
            _ => Response::error(404, None, "there is no fault of this number"),
        },
        ("GET", ["requests"]) => Response::json(200, &shared.log.snapshot()),
        ("DELETE", ["requests"]) => {
            shared.log.clear();
            Response::new(204)
        }
        ("POST", ["heads"]) => set_head(shared, request).unwrap_or_else(|error| error),
        _ => Response::error(405, None, "`/demo` has `faults`, `requests` and `heads`"),
    }
}

fn add_faults(shared: &Shared, request: &Request) -> Result<Response, Response> {
    let rules = match serde_json::from_slice(&request.body).map_err(|error| refused(&error))? {
        Rules::Several(rules) => rules,
        Rules::One(rule) => vec![*rule],
    };
    let added: Result<Vec<_>, DemoHubError> = rules.into_iter().map(|rule| shared.faults.add(rule)).collect();
    let added = added.map_err(|error| refused(&error))?;
    Ok(Response::json(201, &json!({ "added": added })))
}

fn set_head(shared: &Shared, request: &Request) -> Result<Response, Response> {
    let head: NewHead = serde_json::from_slice(&request.body).map_err(|error| refused(&error))?;
    let commit = shared.catalog.set_head(&head.repo, &head.branch, &head.commit).map_err(|error| refused(&error))?;
    Ok(Response::json(200, &json!({ "commit": commit.as_str() })))
}

/// An error with its causes, since this is the edge where it ends.
fn refused(error: &dyn std::error::Error) -> Response {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let message = causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"));
    Response::error(400, None, &message)
}
