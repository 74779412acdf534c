//! Routes of the daemon itself: Zoom's webhooks, health, audit trail and documents.

use super::{Access, Route};
use crate::http::openapi::Operation;
use crate::http::{
    api_tokens, app_webhook_path, assets, audit_rows, docs, doctor, health, home, log_level,
    metrics, openapi, ops, webhook,
};

/// Routes for Zoom's webhooks, health, tokens and documents.
pub(super) fn routes(webhook_path: &str) -> Vec<Route> {
    let mut routes = webhook_routes(webhook_path);
    routes.extend(token_routes());
    routes.extend(other_routes());
    routes
}

fn about(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("Daemon", id, summary)
}

fn other_routes() -> Vec<Route> {
    vec![
        Route::new(Access::Open, "/").get(
            home::serve,
            about("home", "What this server is and whether it is ready: a page for browsers")
                .answer(200, "A page if HTML is accepted, otherwise JSON", None),
        ),
        Route::new(Access::Open, "/assets/{digest}/{name}").shown(assets::serve),
        Route::new(Access::Open, "/health/live")
            .get(ops::live, about("live", "Whether the process is alive").answer(200, "Yes", None)),
        Route::new(Access::Open, "/health/ready").get(
            ops::ready,
            about("ready", "Whether a webhook would be recorded now")
                .answer(200, "Yes", None)
                .answer(503, "No, and which check failed", None),
        ),
        Route::new(Access::Metrics, metrics::METRICS_PATH).get(
            metrics::serve,
            about("metrics", "Metrics in Prometheus' text format; of the token's apps only")
                .answer(200, "The metrics", None),
        ),
        Route::new(Access::Admin, "/api/v1/health").get(
            health::show,
            about("health", "What is wrong with the daemon, what to do about it, and figures")
                .answer(200, "The health, whatever it is", Some("Health")),
        ),
        Route::new(Access::Admin, "/api/v1/doctor")
            .get(
                doctor::last,
                about("showDoctor", "The last checks of the daemon’s surroundings").answer(
                    200,
                    "The checks, unless they are older than 15 minutes",
                    Some("Doctor"),
                ),
            )
            .post(
                doctor::run,
                about("runDoctor", "Check what can be checked from here, and what to do about it")
                    .answer(200, "The checks, whatever they found", Some("Doctor")),
            ),
        Route::new(Access::Admin, "/api/v1/audit").get(
            audit_rows::list,
            about("listAudit", "Audit trail: actions and refused requests, newest first")
                .query("limit", "Page size: 1 to 200; default 50")
                .query("before", "The `next` of the previous page")
                .query("actor", "Only actions of this API token, or of `zoom` or `rtmsd`")
                .query("action", "Only actions of this kind, such as `session.delete`")
                .query("session", "Only actions on the session with this id")
                .query("subject", "Only actions on this: the id or name of what they changed")
                .query("app", "Only actions that concern this Zoom app")
                .query("outcome", "Only actions with this outcome, such as `ok`")
                .query("from", "Only actions from this time on: RFC 3339, or Unix milliseconds")
                .query("to", "Only actions before this time")
                .answer(200, "One page", Some("AuditList")),
        ),
        Route::new(Access::Admin, "/api/v1/admin/log-level")
            .get(
                log_level::show,
                about("showLogLevel", "What is logged").answer(200, "The level", Some("LogLevel")),
            )
            .put(
                log_level::change,
                about(
                    "changeLogLevel",
                    "Change what is logged, for some time or until the next start",
                )
                .body("LogLevelChange")
                .answer(200, "The level after the change", Some("LogLevel")),
            ),
        Route::new(Access::Open, "/openapi.json").get(
            openapi::serve,
            about("openapi", "This document").answer(200, "OpenAPI 3.1", None),
        ),
        Route::new(Access::Open, "/docs").get(
            docs::serve,
            about("docs", "This document, for people to try out").answer(200, "A page", None),
        ),
        Route::new(Access::Open, "/docs/plain").get(
            docs::serve_plain,
            about("plainDocs", "This document, for people, without scripts")
                .answer(200, "A page", None),
        ),
    ]
}

fn webhook_routes(webhook_path: &str) -> Vec<Route> {
    vec![
        Route::new(Access::Open, webhook_path).post(
            webhook::receive,
            about(
                "receiveWebhook",
                "Webhooks of the default app, or of the app in `type`, authenticated by their signature",
            )
                .query("type", "The name of another app, such as `video`")
                .errors(&[400, 401, 403, 404, 408, 413])
                .answer(200, "Recorded now or before", None),
        ),
        Route::new(Access::Open, &app_webhook_path(webhook_path, "{app}")).post(
            webhook::receive_for_app,
            about(
                "receiveAppWebhook",
                "Webhooks of the app that the path names, authenticated by their signature",
            )
            .errors(&[400, 401, 403, 404, 408, 413])
            .answer(200, "Recorded now or before", None),
        ),
    ]
}

fn token_routes() -> Vec<Route> {
    vec![
        Route::new(Access::Admin, "/api/v1/tokens")
            .get(
                api_tokens::list,
                about("listTokens", "API tokens that were made over the API, oldest first").answer(
                    200,
                    "All of them, without their secrets",
                    Some("ApiTokenList"),
                ),
            )
            .post(
                api_tokens::create,
                about("createToken", "Make an API token; its secret is shown once")
                    .body("NewApiToken")
                    .errors(&[404])
                    .answer(201, "Made", Some("ApiTokenAndSecret")),
            ),
        Route::new(Access::Admin, "/api/v1/tokens/{id}").delete(
            api_tokens::remove,
            about("revokeToken", "Revoke an API token: everywhere within a second")
                .answer(200, "Revoked", None),
        ),
    ]
}
