//! Routes for installing the app and for Zoom's notices.

use super::{Access, Route};
use crate::http::openapi::Operation;
use crate::http::{INSTALL_PATH, installations, notices, oauth, zoom_webhooks};

/// Routes for installing the app and for Zoom's notices about the account.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = install_routes();
    routes.extend(installation_routes());
    routes.extend(webhook_routes());
    routes
}

fn about_webhooks(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("Zoom's webhooks", id, summary)
}

fn webhook_routes() -> Vec<Route> {
    vec![
        Route::new(Access::Read, "/api/v1/zoom/webhooks").get(
            zoom_webhooks::list,
            about_webhooks(
                "listWebhooks",
                "Webhooks that Zoom sent and signed, newest first, with what each one changed",
            )
            .query("limit", "Page size: 1 to 200; default 50")
            .query("before", "The `next` of the previous page")
            .query("event", "Only events of this name, such as `meeting.rtms_started`")
            .query("outcome", "Only `changed`, `none`, `notice`, `refused` or `failed`")
            .query("reason", "Only webhooks that changed this, or nothing for this reason")
            .query("method", "Only `webhook` or `websocket`: how Zoom delivered them")
            .query("app", "Only webhooks to this app")
            .query("session", "Only webhooks about the session with this id")
            .query("from", "Only webhooks that arrived then or later: RFC 3339 or Unix milliseconds")
            .query("until", "Only webhooks that arrived before then: RFC 3339 or Unix milliseconds")
            .query("q", "Only webhooks with this text in the event, or in an id or meeting number")
            .errors(&[404])
            .answer(200, "One page", Some("WebhookList")),
        ),
        Route::new(Access::Read, "/api/v1/zoom/webhooks/{webhook}").get(
            zoom_webhooks::show,
            about_webhooks("showWebhook", "One webhook, with its body for the scope `admin`")
                .answer(200, "The webhook", Some("WebhookOnly")),
        ),
        Route::new(Access::Control, "/api/v1/zoom/webhooks/{webhook}/process").post(
            zoom_webhooks::process,
            about_webhooks(
                "processWebhook",
                "Process a webhook that was refused or failed, as if it came now",
            )
            .answer(200, "Processed now or before", Some("WebhookOnly")),
        ),
        Route::new(Access::Read, "/api/v1/zoom/webhook-endpoints").get(
            zoom_webhooks::list_endpoints,
            about_webhooks(
                "listZoomEndpoints",
                "The URL that each app's webhooks come to: its validation, its last webhook, the clock \
                 difference to Zoom, and what was refused",
            )
            .answer(200, "One for each app", Some("ZoomEndpointList")),
        ),
    ]
}

fn about(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("Installations", id, summary)
}

fn install_routes() -> Vec<Route> {
    vec![
        Route::new(Access::Open, INSTALL_PATH).get(
            oauth::install,
            about("install", "Start an install: the link behind an Install button")
                .query("app", "The name of the app; default `default`")
                .page()
                .errors(&[404])
                .answer(302, "To Zoom", None),
        ),
        Route::new(Access::Open, "/api/v1/zoom/oauth/callback")
            .get(
                oauth::callback,
                about("callback", "The redirect URL that Zoom sends the browser to")
                    .query("code", "From Zoom")
                    .query("state", "From rtmsd, returned by Zoom")
                    .query("error", "From Zoom, if the user declined")
                    .page()
                    .errors(&[400, 403, 404, 409, 410, 429, 502])
                    .answer(200, "Installed: a page, or JSON for `accept: application/json`", None),
            )
            .without_head(),
        Route::new(Access::Control, "/api/v1/zoom/oauth/authorize-url").get(
            oauth::authorize_url,
            about(
                "authorizeUrl",
                "The authorization URL, for programs that send a browser to Zoom themselves",
            )
            .query("app", "The name of the app; default `default`")
            .errors(&[404])
            .answer(200, "The URL for the browser", Some("AuthorizeUrl")),
        ),
        Route::new(Access::Token, "/api/v1/zoom/notices").get(
            notices::list,
            Operation::new(
                "Daemon",
                "listNotices",
                "Zoom's notices about starts and limits of the account",
            )
            .query("limit", "Number of notices: 1 to 200; default 50")
            .answer(200, "The newest first", Some("NoticeList")),
        ),
    ]
}

fn installation_routes() -> Vec<Route> {
    vec![
        Route::new(Access::Admin, "/api/v1/zoom/installations").get(
            installations::list,
            about(
                "listInstallations",
                "Installations of the app, newest first, without their tokens",
            )
            .query("limit", "Page size: 1 to 200; default 50")
            .query("before", "The `next` of the previous page")
            .answer(200, "One page", Some("InstallationList")),
        ),
        Route::new(Access::Admin, "/api/v1/zoom/installations/{id}")
            .get(
                installations::show,
                about("showInstallation", "One installation").answer(
                    200,
                    "The installation",
                    Some("InstallationOnly"),
                ),
            )
            .delete(
                installations::remove,
                about("removeInstallation", "Revoke the grant at Zoom and delete its tokens")
                    .query(
                        "delete_data",
                        "true: also delete the data of the user's streams, soon after",
                    )
                    .query("force", "true: delete here even if Zoom cannot be reached")
                    .errors(&[502])
                    .answer(200, "Removed", None),
            ),
    ]
}
