//! Routes of outgoing webhooks.

use super::{Access, Route};
use crate::http::openapi::Operation;
use crate::http::webhook_endpoints;

/// Outgoing webhooks.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = endpoint_routes();
    routes.extend(delivery_routes());
    routes
}

fn about(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("Outgoing webhooks", id, summary)
}

fn route(rest: &str) -> Route {
    Route::new(Access::Admin, &format!("/api/v1/webhooks/endpoints{rest}"))
}

fn endpoint_routes() -> Vec<Route> {
    vec![
        route("")
            .get(
                webhook_endpoints::list,
                about(
                    "listEndpoints",
                    "Endpoints of outgoing webhooks, oldest first, without their secrets",
                )
                .answer(200, "All of them", Some("EndpointList")),
            )
            .post(
                webhook_endpoints::create,
                about("createEndpoint", "Create an endpoint; its secret is shown once")
                    .body("NewEndpoint")
                    .errors(&[404])
                    .answer(201, "Made", Some("EndpointAndSecret")),
            ),
        route("/{id}")
            .get(
                webhook_endpoints::show,
                about("showEndpoint", "One endpoint").answer(
                    200,
                    "The endpoint",
                    Some("EndpointOnly"),
                ),
            )
            .patch(
                webhook_endpoints::change,
                about("changeEndpoint", "Change an endpoint, or switch it on or off")
                    .body("EndpointChange")
                    .answer(200, "The endpoint after the change", Some("EndpointOnly")),
            )
            .delete(
                webhook_endpoints::remove,
                about("deleteEndpoint", "Delete an endpoint with its deliveries")
                    .errors(&[409])
                    .answer(200, "Deleted", None),
            ),
    ]
}

fn delivery_routes() -> Vec<Route> {
    vec![
        route("/{id}/rotate-secret").post(
            webhook_endpoints::rotate_secret,
            about("rotateSecret", "A new secret, shown once; the old one also signs for a day")
                .answer(200, "Rotated", Some("EndpointAndSecret")),
        ),
        route("/{id}/test").post(
            webhook_endpoints::test,
            about("testEndpoint", "Send a `test` event, whatever the endpoint's filter").answer(
                202,
                "Queued",
                Some("EventSent"),
            ),
        ),
        route("/{id}/deliveries").get(
            webhook_endpoints::deliveries,
            about("listDeliveries", "Deliveries to an endpoint and their outcome")
                .query("limit", "Page size: 1 to 200; default 50")
                .query("before", "The `next` of the previous page")
                .answer(200, "One page, newest first", Some("DeliveryList")),
        ),
        route("/{id}/deliveries/{delivery}/resend").post(
            webhook_endpoints::resend,
            about("resendDelivery", "Send an event again, under the same id").answer(
                202,
                "Queued",
                Some("EventSent"),
            ),
        ),
    ]
}
