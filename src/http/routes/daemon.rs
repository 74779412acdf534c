use super::{Access, Route};
use crate::http::openapi::Operation;
use crate::http::{audit, docs, home, openapi, ops, webhook};

/// Zoom's webhooks, health and documents.
pub(super) fn routes(webhook_path: &str) -> Vec<Route> {
    let about = |id, summary| Operation::new("Daemon", id, summary);
    vec![
        Route::new(Access::Open, "/").get(
            home::serve,
            about("home", "What this is and whether it is ready: a page for browsers").answer(
                200,
                "A page where HTML is accepted, else JSON",
                None,
            ),
        ),
        Route::new(Access::Open, webhook_path).post(
            webhook::receive,
            about("receiveWebhook", "Zoom's webhooks, proven by their signature")
                .errors(&[400, 401, 403, 408, 413])
                .answer(200, "Recorded, or known already", None),
        ),
        Route::new(Access::Open, &webhook::video_path(webhook_path)).post(
            webhook::receive_video,
            about("receiveVideoWebhook", "Webhooks of the Video SDK app, proven by its signature")
                .errors(&[400, 401, 403, 408, 413])
                .answer(200, "Recorded, or known already", None)
                .answer(404, "No Video SDK app is set", None),
        ),
        Route::new(Access::Open, "/health/live")
            .get(ops::live, about("live", "Does the process answer?").answer(200, "Yes", None)),
        Route::new(Access::Open, "/health/ready").get(
            ops::ready,
            about("ready", "Would a webhook be recorded now?").answer(200, "Yes", None).answer(
                503,
                "No, and which check failed",
                None,
            ),
        ),
        Route::new(Access::Admin, "/api/v1/audit").get(
            audit::list,
            about("listAudit", "Who did what, from where, and what was refused; newest first")
                .query("limit", "How many: 1 to 200, else 50")
                .query("before", "The `next` of the page before")
                .query("actor", "Only acts of this API token, or of `zoom` or `rtmsd`")
                .query("action", "Only acts of this kind, such as `session.delete`")
                .answer(200, "One page", Some("AuditList")),
        ),
        Route::new(Access::Open, "/openapi.json").get(
            openapi::serve,
            about("openapi", "This document").answer(200, "OpenAPI 3.1", None),
        ),
        Route::new(Access::Open, "/docs").get(
            docs::serve,
            about("docs", "This document, for people").answer(200, "A page", None),
        ),
    ]
}
