//! Leases, pins, usage, scan, clear and gc on caches written by hand in the layout of the Python client.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground is missing, and says where")]

#[path = "lifecycle/clear.rs"]
mod clear;
#[path = "lifecycle/fixture.rs"]
mod fixture;
#[path = "lifecycle/gc.rs"]
mod gc;
#[path = "lifecycle/hostile.rs"]
mod hostile;
#[path = "lifecycle/killed.rs"]
mod killed;
#[path = "lifecycle/leases.rs"]
mod leases;
#[path = "lifecycle/pins.rs"]
mod pins;
#[path = "lifecycle/planner.rs"]
mod planner;
#[path = "lifecycle/scan.rs"]
mod scan;
