//! Routes of relays: their management, and the sockets of their programs.

use super::{Access, Route};
use crate::http::openapi::Operation;
use crate::http::{relay_socket, relays};

/// Relays.
pub(super) fn routes() -> Vec<Route> {
    vec![collection(), one(), streams(), deliveries(), sockets()]
}

fn about(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("Relays", id, summary)
}

fn route(rest: &str) -> Route {
    Route::new(Access::Admin, &format!("/api/v1/relays{rest}"))
}

fn collection() -> Route {
    route("")
        .get(
            relays::list,
            about("listRelays", "Programs that streams are served on to, oldest first").answer(
                200,
                "All of them",
                Some("RelayList"),
            ),
        )
        .post(
            relays::create,
            about("createRelay", "Serve streams on to a program; its secrets are not shown again")
                .body("NewRelay")
                .errors(&[404])
                .answer(201, "Made", Some("RelayOnly")),
        )
}

fn one() -> Route {
    route("/{id}")
        .get(
            relays::show,
            about("showRelay", "One relay").answer(200, "The relay", Some("RelayOnly")),
        )
        .patch(
            relays::change,
            about("changeRelay", "Change a relay; its program connects again")
                .body("RelayChange")
                .answer(200, "The relay after the change", Some("RelayOnly")),
        )
        .delete(
            relays::remove,
            about("deleteRelay", "Delete a relay; its program is disconnected")
                .errors(&[409])
                .answer(200, "Deleted", None),
        )
}

fn streams() -> Route {
    route("/{id}/streams").get(
        relays::streams,
        about("listRelayStreams", "Streams of a relay: how far its program is, and what it missed")
            .answer(200, "Up to 100, newest first", Some("RelayStreamList")),
    )
}

fn deliveries() -> Route {
    route("/{id}/deliveries").get(
        relays::deliveries,
        about("listRelayDeliveries", "Webhooks to a relay's program and their outcome").answer(
            200,
            "Up to 100, newest first",
            Some("RelayDeliveryList"),
        ),
    )
}

/// The sockets speak Zoom's protocol, which the document of this API leaves out.
fn sockets() -> Route {
    Route::new(Access::Open, "/relay/{id}/{*socket}").shown(relay_socket::connect)
}
