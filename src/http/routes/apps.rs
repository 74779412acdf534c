//! Routes of the Zoom apps.

use super::{Access, Route};
use crate::http::apps;
use crate::http::openapi::Operation;

/// The Zoom apps: those of the settings can be seen here, and others added.
pub(super) fn routes() -> Vec<Route> {
    let about = |id, summary| Operation::new("Apps", id, summary);
    vec![
        Route::new(Access::Admin, "/api/v1/apps")
            .get(
                apps::list,
                about("listApps", "Zoom apps, by name, without their secrets").answer(
                    200,
                    "All that the token may see",
                    Some("AppList"),
                ),
            )
            .post(
                apps::create,
                about("createApp", "Add an app; its secrets are never shown again")
                    .body("NewApp")
                    .errors(&[404])
                    .answer(201, "Added", Some("AppOnly")),
            ),
        Route::new(Access::Admin, "/api/v1/apps/{app}")
            .get(apps::show, about("showApp", "One app").answer(200, "The app", Some("AppOnly")))
            .patch(
                apps::change,
                about("changeApp", "Change fields of an app that was added here; null removes one")
                    .body("AppChange")
                    .answer(200, "The app after the change", Some("AppOnly")),
            )
            .delete(
                apps::remove,
                about("deleteApp", "Delete an app that was added here; its data stays")
                    .query("force", "true: also while streams of it run")
                    .errors(&[409])
                    .answer(200, "Deleted", None),
            ),
    ]
}
