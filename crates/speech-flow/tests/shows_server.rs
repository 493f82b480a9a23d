//! The cache server as a process, and unmodified clients that only know its address.

#[path = "shows_server/clients.rs"]
mod clients;
#[path = "shows_server/killed.rs"]
mod killed;

#[path = "shows_server/tls.rs"]
mod tls;

#[path = "show_clients/client.rs"]
mod client;
#[path = "shows_server/served.rs"]
mod served;
#[path = "support/support.rs"]
mod support;
