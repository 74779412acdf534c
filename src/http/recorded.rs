//! What follows a recorded webhook, whether it has just arrived or is processed again.

use super::AppState;
use super::counters::count;
use crate::model::{Delivery, WebhookEffect};
use crate::store::Recorded;

/// Counts and logs a recorded webhook, and notifies those who act on it.
pub(super) async fn follow_up(state: &AppState, delivery: &Delivery, recorded: Recorded) {
    let (counter, outcome) = match &recorded {
        Recorded::Repeat => (&state.counters.webhooks_repeated, "repeat"),
        Recorded::NoChange | Recorded::AlreadyEnded => {
            (&state.counters.webhooks_recorded, "no change")
        }
        Recorded::Changed(_) | Recorded::Session(_) => {
            (&state.counters.webhooks_recorded, "changed")
        }
    };
    count(counter);
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
    if matches!(delivery.announcement, WebhookEffect::Deauthorized(_)) {
        state.end_revoked_streams().await;
    }
    if let Recorded::Changed(stream_id) = recorded {
        state.changes.notify_stream(stream_id);
    }
}
