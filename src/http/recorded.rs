//! What follows a recorded webhook, whether it has just arrived or is processed again.

use tracing::Span;

use super::AppState;
use crate::model::{Delivery, Notice, WebhookEffect};
use crate::store::Recorded;
use crate::telemetry::{note_announced, stream_span};

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
    log_webhook(state, delivery, outcome, recorded == Recorded::AlreadyEnded).await;
    // After the commit, because the reader polls the store.
    state.changes.notify_control();
    match &delivery.announcement {
        WebhookEffect::Deauthorized(_) => state.end_revoked_streams().await,
        WebhookEffect::Notice(notice) => note_limit(state, delivery, notice),
        _ => {}
    }
    if let Recorded::Changed(stream_id) = recorded {
        note_announced(&stream_id, &Span::current());
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

/// Logs a webhook, about a stream with the stream's session.
async fn log_webhook(state: &AppState, delivery: &Delivery, outcome: &str, has_ended: bool) {
    let stream = match delivery.announcement.stream_id() {
        Some(id) => state.store.stream(id).await.ok().flatten(),
        None => None,
    };
    // A stream of another app that the webhook names is not its own.
    let stream = stream.filter(|stream| stream.app == delivery.app);
    let context = stream.as_ref().map_or_else(Span::none, stream_span);
    context.in_scope(|| {
        let (app, event) = (delivery.app.as_str(), &*delivery.event);
        if has_ended {
            tracing::info!(
                app,
                event,
                outcome,
                "the stream has already ended; the webhook is ignored"
            );
        } else {
            tracing::info!(app, event, outcome, "webhook");
        }
    });
}
