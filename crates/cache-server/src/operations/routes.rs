//! This server's own paths, beside the Hub's; the description is checked against this list.

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use super::{live, metrics, models, openapi, page, ready, status, updates};
use crate::server::Server;

/// A method as descriptions have it, its path, and what answers it.
pub(crate) type Route = (&'static str, &'static str, MethodRouter<Server>);

fn get<T: 'static>(path: &'static str, handler: impl Handler<T, Server>) -> Route {
    ("get", path, routing::get(handler))
}

fn post<T: 'static>(path: &'static str, handler: impl Handler<T, Server>) -> Route {
    ("post", path, routing::post(handler))
}

fn delete<T: 'static>(path: &'static str, handler: impl Handler<T, Server>) -> Route {
    ("delete", path, routing::delete(handler))
}

/// All of them.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get("/livez", live),
        get("/healthz", live),
        get("/readyz", ready),
        get("/metrics", metrics),
        get("/", page::page),
        get("/v1/page.js", page::script),
        get("/v1/status", status::status),
        get("/v1/events", status::events),
        get("/v1/openapi.json", openapi),
        get("/v1/updates", updates::show),
        post("/v1/updates", updates::run),
        get("/v1/models", models::list),
        get("/v1/models/{owner}/{name}", models::one),
        post("/v1/models/{owner}/{name}/preload", models::preload),
        post("/v1/models/{owner}/{name}/rollback", updates::roll_back),
        delete("/v1/models/{owner}/{name}/revisions/{commit}", models::delete),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::OPENAPI;
    use super::*;

    #[test]
    fn the_description_has_every_path_and_no_other() {
        let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
        let mut described = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            let methods = methods.as_object().expect("methods").keys().filter(|name| *name != "parameters");
            described.extend(methods.map(|method| (path.clone(), method.clone())));
        }
        let mut served: Vec<_> =
            routes().into_iter().map(|(method, path, _)| (path.to_owned(), method.to_owned())).collect();
        described.sort();
        served.sort();
        assert_eq!(described, served);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
        let pointers = OPENAPI.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for pointer in pointers {
            assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
            count += 1;
        }
        assert!(count > 10);
    }
}
