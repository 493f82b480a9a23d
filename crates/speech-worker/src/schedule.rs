//! Which request's windows are computed next, and with which others.
//!
//! A request is plain code on a thread of its own that asks the model for something and waits. Each such call is
//! split into its windows; the windows of all requests stand in one queue. A thread of the engine takes the windows
//! of the request that was served least and as many others, of whichever requests, as can be computed in the same
//! batch. So a short request is not stuck behind a long file, and clips of many callers share batches.

mod call;
mod fair;
mod pool;

pub(crate) use pool::{Client, Engine, Pool, PoolConfig, PoolEvents};
