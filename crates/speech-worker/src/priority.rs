//! Computing steps back behind answering.

/// How much lower the priority of threads that compute is. Beside them, the few threads that answer probes and
/// take uploads get the processor at once.
const NICENESS: i32 = 5;

/// Lowers the priority of the calling thread, and of the threads that it will start.
pub(crate) fn step_back() {
    // On Linux priorities are those of threads, and "none" is the calling one.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "the priority of a thread stays as it is");
    }
}
