//! The strategies of `deploy/kubernetes` that need no image, acted out on one machine: processes stand for pods. What each
//! container runs is read from the manifests as kubectl renders them.
//!
//! In every story a client keeps asking all the workers that are in service. It holds each of them to the commit that the
//! story expects of it, and no request may fail. Needs what `make test` sets up: `.venv-deploy` and `target/deploytools`.
//!
//! As root each container has a mount namespace: its root is read-only, and so is what its manifest mounts so.
//! Without root the folders are the same, and open; that is said aloud.

#[path = "show_strategies/hybrid.rs"]
mod hybrid;
#[path = "show_strategies/node_cache.rs"]
mod node_cache;
#[path = "show_strategies/persistent_cache.rs"]
mod persistent_cache;
#[path = "show_strategies/runtime_download.rs"]
mod runtime_download;

#[path = "show_strategies/client.rs"]
mod client;
#[path = "show_strategies/cluster.rs"]
mod cluster;
#[path = "show_strategies/container.rs"]
mod container;
#[path = "show_strategies/http.rs"]
mod http;
#[path = "show_strategies/manifests.rs"]
mod manifests;
#[path = "show_strategies/pod.rs"]
mod pod;
#[path = "support/support.rs"]
mod support;
