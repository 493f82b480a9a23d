//! The cache server as a process, and unmodified clients that only know its address.

#[path = "shows_server/clients.rs"]
mod clients;
#[path = "shows_server/crowd.rs"]
mod crowd;
#[path = "shows_server/killed.rs"]
mod killed;
#[path = "shows_server/operations.rs"]
mod operations;
#[path = "shows_server/page.rs"]
mod page;
#[path = "shows_server/versions.rs"]
mod versions;

#[path = "shows_server/tls.rs"]
mod tls;

#[path = "show_clients/client.rs"]
mod client;
#[path = "support/metrics.rs"]
mod metrics;
#[path = "shows_server/served.rs"]
mod served;
#[path = "support/support.rs"]
mod support;
