use super::{Access, Route};
use crate::http::openapi::Operation;
use crate::http::{installations, notices, oauth};

/// Installing the app, and what Zoom says about the account.
pub(super) fn routes() -> Vec<Route> {
    let about = |id, summary| Operation::new("Installations", id, summary);
    vec![
        Route::new(Access::Open, oauth::INSTALL_PATH).get(
            oauth::install,
            about("install", "The link behind an Install button").answer(302, "To Zoom", None),
        ),
        Route::new(Access::Open, "/api/v1/zoom/oauth/callback")
            .get(
                oauth::callback,
                about("callback", "Where Zoom sends the browser back to")
                    .query("code", "From Zoom")
                    .query("state", "From us, by way of Zoom")
                    .query("error", "From Zoom, when the user said no")
                    .page()
                    .errors(&[400, 403, 409, 410, 429, 502])
                    .answer(200, "Installed: a page, or JSON for `accept: application/json`", None),
            )
            .without_head(),
        Route::new(Access::Control, "/api/v1/zoom/oauth/authorize-url").get(
            oauth::authorize_url,
            about("authorizeUrl", "For programs that send a browser to Zoom themselves").answer(
                200,
                "Where to send the browser",
                Some("AuthorizeUrl"),
            ),
        ),
        Route::new(Access::Token, "/api/v1/zoom/notices").get(
            notices::list,
            Operation::new(
                "Daemon",
                "listNotices",
                "What Zoom told about starts and limits of the account",
            )
            .query("limit", "How many: 1 to 200, else 50")
            .answer(200, "The newest first", Some("NoticeList")),
        ),
        Route::new(Access::Admin, "/api/v1/zoom/installations").get(
            installations::list,
            about("listInstallations", "Who has installed the app, newest first; never a token")
                .query("limit", "How many: 1 to 200, else 50")
                .query("before", "The `next` of the page before")
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
                about("removeInstallation", "Take the grant back at Zoom and delete its tokens")
                    .query("delete_data", "true: also what the user's streams brought, soon after")
                    .query("force", "true: here even while Zoom cannot be asked")
                    .errors(&[502])
                    .answer(200, "Removed", None),
            ),
    ]
}
