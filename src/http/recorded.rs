//! What follows a recorded webhook, whether it has just arrived or is processed again.

use super::AppState;
use crate::model::{Delivery, Notice, WebhookEffect};
use crate::store::Recorded;

/// Logs a recorded webhook, and notifies those who act on it. Returns what came of it, for metrics.
pub(super) async fn follow_up(
    state: &AppState,
    delivery: &Delivery,
    recorded: Recorded,
) -> &'static str {
    let outcome = match &recorded {
        Recorded::Repeat => "repeated",
        Recorded::NoChange | Recorded::AlreadyEnded => "no_change",
        Recorded::Changed(_) | Recorded::Session(_) => "changed",
    };
    let stream_id = delivery.announcement.stream_id().map(tracing::field::display);
    let app = delivery.app.as_str();
    if recorded == Recorded::AlreadyEnded {
        tracing::info!(
            app,
            event = delivery.event,
            stream_id,
            outcome,
            "the stream has already ended; the webhook is ignored"
        );
    } else {
        tracing::info!(app, event = delivery.event, stream_id, outcome, "webhook");
    }
    // After the commit, because the reader polls the store.
    state.changes.notify_control();
    match &delivery.announcement {
        WebhookEffect::Deauthorized(_) => state.end_revoked_streams().await,
        WebhookEffect::Notice(notice) => note_limit(state, delivery, notice),
        _ => {}
    }
    if let Recorded::Changed(stream_id) = recorded {
        state.changes.notify_stream(stream_id);
    }
    outcome
}

/// Shows how near an account is to Zoom's limit of streams, as its event says.
fn note_limit(state: &AppState, delivery: &Delivery, notice: &Notice) {
    let Some(number) = notice.concurrent_streams else { return };
    let app = [delivery.app.as_str()];
    state.metrics.concurrent_streams.set(app, number as f64);
    // `rtms.concurrency_limited` does not name the limit: it is reached.
    let limit = notice.concurrency_limit.unwrap_or(number);
    state.metrics.concurrency_limit.set(app, limit as f64);
    state.metrics.concurrency_reported.set(app, delivery.received_at_ms as f64 / 1000.0);
}
