//! The loop around a request that may succeed later.

use speech_flow_model_types::retry::{Backoff, Retry};

use crate::{Clock, HubError, Progress};

/// Waits as the policy says, or gives the error back when it is final.
pub(crate) async fn wait_or_give_up(
    error: HubError,
    backoff: &mut Backoff,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<(), HubError> {
    match backoff.failed(error.failure(), rand::random()) {
        Retry::GiveUp => Err(error),
        Retry::After(delay) => {
            let reason = error.wait_reason();
            let attempt = backoff.failures();
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(%error, attempt, delay_ms, "request is repeated after a wait");
            progress.waiting(&reason, delay);
            clock.sleep(delay).await;
            Ok(())
        }
    }
}
