//! The real Python clients on one cache with us, unmodified: they read what we wrote, we read what they wrote.

#[path = "show_clients/cleaning.rs"]
mod cleaning;
#[path = "show_clients/reading_ours.rs"]
mod reading_ours;
#[path = "show_clients/reading_theirs.rs"]
mod reading_theirs;
#[path = "show_clients/together.rs"]
mod together;

#[path = "support/audit.rs"]
mod audit;
#[path = "show_clients/client.rs"]
mod client;
#[path = "support/support.rs"]
mod support;
#[path = "shows/wrapped.rs"]
mod wrapped;
