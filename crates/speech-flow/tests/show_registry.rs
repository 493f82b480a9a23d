//! Models as OCI artifacts, through a real registry: what is packed is what is read back, whoever lies or is killed on
//! the way.

#[path = "support/audit.rs"]
mod audit;
#[path = "show_registry/broken.rs"]
mod broken;
#[path = "show_clients/client.rs"]
mod client;
#[path = "show_registry/lies.rs"]
mod lies;
#[path = "show_registry/logins.rs"]
mod logins;
#[path = "show_registry/network.rs"]
mod network;
#[path = "support/payload.rs"]
mod payload;
#[path = "show_registry/registry.rs"]
mod registry;
#[path = "show_registry/round_trip.rs"]
mod round_trip;
#[path = "show_registry/scene.rs"]
mod scene;
#[path = "support/support.rs"]
mod support;
#[path = "show_registry/tokens.rs"]
mod tokens;
