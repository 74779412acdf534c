//! What a capture has of webhooks and of REST: what the store recorded of them, whichever daemon it was.

use serde_json::json;

use crate::capture::event::{Event, Record};
use crate::capture::redact::Redactor;
use crate::model::{ActionRecord, CaptureMode, StreamRecord};
use crate::secret::Secret;
use crate::store::{Store, StoreError, StreamWebhook};

/// The lines of the webhooks about a stream, and of the requests to Zoom in its session until its end, by time.
pub(super) async fn http_records(
    store: &Store,
    stream: &StreamRecord,
    mode: CaptureMode,
    secrets: Vec<Secret<String>>,
) -> Result<Vec<Record>, StoreError> {
    let mut redactor = Redactor::new(mode);
    redactor.hide(secrets);
    let webhooks = store.webhooks_of_stream(&stream.stream_id).await?;
    let mut records: Vec<Record> =
        webhooks.into_iter().map(|webhook| webhook_line(&redactor, webhook)).collect();
    let until_ms = stream.ended_at_ms.unwrap_or(i64::MAX);
    let snapshot = store.snapshot(stream.session_id).await?;
    let actions = snapshot.map(|snapshot| snapshot.actions).unwrap_or_default();
    let asked = actions.into_iter().filter(|action| action.asked_at_ms <= until_ms);
    records.extend(asked.map(|action| rest_line(&redactor, action)));
    records.sort_by_key(|record| record.at_ms);
    Ok(records)
}

fn webhook_line(redactor: &Redactor, webhook: StreamWebhook) -> Record {
    let body = redactor.message("signaling", webhook.body.as_bytes());
    let event = Event::Webhook { name: webhook.event, body, effect: webhook.effect };
    Record { t: 0, at_ms: webhook.received_at_ms, event }
}

fn rest_line(redactor: &Redactor, action: ActionRecord) -> Record {
    let answer = action.answer.map(|answer| {
        let message = |text: String| redactor.text(&text);
        let zoom = answer.zoom.map(|zoom| {
            json!({
                "status": zoom.status, "code": zoom.code, "tracking_id": zoom.tracking_id,
                "message": zoom.message.map(message),
            })
        });
        json!({ "code": answer.code, "zoom": zoom })
    });
    let event = Event::Rest {
        action: action.action.as_str().to_owned(),
        // The name of a token says nothing about Zoom, and may name a person.
        asked_by: action.asked_by.split(':').next().unwrap_or_default().to_owned(),
        answered_at_ms: action.answered_at_ms,
        answer,
    };
    Record { t: 0, at_ms: action.asked_at_ms, event }
}
