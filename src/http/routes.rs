//! Every path of the daemon: who may use it, who answers, and what the OpenAPI document says. The router and the
//! document are made from this one table, so that neither can know a path that the other does not.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;

use super::error::ApiError;
use super::openapi::Operation;
use super::{
    AppState, auth, control, docs, endpoints, events, forwards, idempotency, installations, ledger,
    live, notices, oauth, openapi, ops, recordings, request, sessions, transcript, video, webhook,
};

/// Who may use a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody; or whoever proves themselves in another way than by a token.
    Open,
    /// A token: `read` for looking, `control` for changing. What changes something is carried out to its end.
    Token,
    /// A token with `control`, whatever the method.
    Control,
    /// A token with `admin`, whatever the method.
    Admin,
}

/// One path.
pub struct Route {
    pub path: String,
    pub access: Access,
    pub operations: Vec<Operation>,
    handlers: MethodRouter<Arc<AppState>>,
}

impl Route {
    fn new(access: Access, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            access,
            operations: Vec::new(),
            handlers: MethodRouter::new(),
        }
    }

    fn get<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>, about: Operation) -> Self {
        self.with("get", about, |handlers| handlers.get(handler))
    }

    fn post<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>, about: Operation) -> Self {
        self.with("post", about, |handlers| handlers.post(handler))
    }

    fn patch<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>, about: Operation) -> Self {
        self.with("patch", about, |handlers| handlers.patch(handler))
    }

    fn delete<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>, about: Operation) -> Self {
        self.with("delete", about, |handlers| handlers.delete(handler))
    }

    /// A HEAD would use the state and the code up, and show nobody the page.
    fn without_head(self) -> Self {
        let refuse = async || ApiError::MethodNotAllowed;
        Self { handlers: self.handlers.head(refuse), ..self }
    }

    fn with(
        mut self,
        method: &'static str,
        mut about: Operation,
        add: impl FnOnce(MethodRouter<Arc<AppState>>) -> MethodRouter<Arc<AppState>>,
    ) -> Self {
        about.method = method;
        self.operations.push(about);
        Self { handlers: add(self.handlers), ..self }
    }
}

/// The daemon's router.
///
/// # Panics
/// When `webhook_path` did not pass [`super::check_webhook_path`].
pub fn router(state: Arc<AppState>) -> Router {
    let (mut open, mut token) = (Router::new(), Router::new());
    let (mut control, mut admin) = (Router::new(), Router::new());
    for Route { path, access, handlers, .. } in all(&state.webhook_path) {
        match access {
            Access::Open => open = open.route(&path, handlers),
            Access::Token => token = token.route(&path, handlers),
            Access::Control => control = control.route(&path, handlers),
            Access::Admin => admin = admin.route(&path, handlers),
        }
    }
    let token = token
        .route_layer(from_fn_with_state(Arc::clone(&state), idempotency::once))
        .route_layer(from_fn_with_state(Arc::clone(&state), auth::require_scope));
    let control =
        control.route_layer(from_fn_with_state(Arc::clone(&state), auth::require_control));
    let admin = admin.route_layer(from_fn_with_state(Arc::clone(&state), auth::require_admin));
    open.merge(token)
        .merge(control)
        .merge(admin)
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .fallback(|| async { ApiError::UnknownRoute })
        .layer(from_fn_with_state(Arc::clone(&state.counters), request::observe))
        .with_state(state)
}

/// The table.
pub fn all(webhook_path: &str) -> Vec<Route> {
    let mut routes = session_routes();
    routes.extend(action_routes());
    routes.extend(zoom_routes());
    routes.extend(webhook_routes());
    routes.extend(daemon_routes(webhook_path));
    routes
}

fn session_routes() -> Vec<Route> {
    let about = |id, summary| Operation::new("Sessions", id, summary);
    let path = |rest: &str| format!("/api/v1/sdk/sessions{rest}");
    let route = |rest: &str| Route::new(Access::Token, &path(rest));
    vec![
        route("")
            .get(
                sessions::list,
                about("listSessions", "Sessions, newest first, page by page")
                    .query("limit", "How many: 1 to 200, else 50")
                    .query("before", "The `next` of the page before")
                    .query("status", "Only sessions of this status")
                    .answer(200, "One page", Some("SessionList")),
            )
            .post(
                control::create,
                about("createSession", "Make a session, or find the one that is the same")
                    .body("NewSession")
                    .answer(201, "Made", Some("SessionOnly"))
                    .answer(200, "It was there", Some("SessionOnly")),
            ),
        route("/{id}").get(
            sessions::show,
            about("showSession", "A session with its streams").answer(
                200,
                "The session",
                Some("SessionWithStreams"),
            ),
        ),
        Route::new(Access::Admin, &path("/{id}")).delete(
            sessions::remove,
            about("deleteSession", "Delete a session and all that is stored of it").answer(
                202,
                "It goes soon after",
                Some("Deleting"),
            ),
        ),
        route("/{id}/timeline").get(
            control::timeline,
            about("showTimeline", "What happened to a session, in order, and what did not").answer(
                200,
                "The timeline",
                Some("Timeline"),
            ),
        ),
        route("/{id}/ledger").get(
            ledger::show,
            about("showLedger", "What came of every medium, what is missing, and why").answer(
                200,
                "The ledger",
                Some("Ledger"),
            ),
        ),
        route("/{id}/transcript").get(
            transcript::download,
            about("downloadTranscript", "What was said, in order")
                .query("format", "json, jsonl, vtt, srt or txt; else the header accept decides")
                .answer(200, "The transcript, in that format", None),
        ),
        route("/{id}/recordings").get(
            recordings::list,
            about("listRecordings", "What was recorded, and where it stands").answer(
                200,
                "The recordings, and their files",
                Some("RecordingList"),
            ),
        ),
        route("/{id}/recordings/{file}").get(
            recordings::download,
            about("downloadRecording", "A recorded file, or a part of it (header range)")
                .answer(200, "The file", None)
                .answer(206, "The part that was asked for", None)
                .answer(304, "It is the one of the header if-none-match", None)
                .answer(409, "Its stream goes on", None)
                .answer(410, "It is lost", None)
                .answer(416, "It has no such part", None),
        ),
        route("/{id}/events").get(
            events::subscribe,
            about("subscribe", "Everything that happens, as server-sent events, from any point on")
                .query("after", "The `id` of the last event seen; or the header last-event-id")
                .query("kinds", "Only these kinds, separated by commas")
                .answer(200, "text/event-stream", None),
        ),
        route("/{id}/live")
            .get(live::one, live_query(about("liveSession", "Frames and entries, live"))),
        route("/{id}/forward")
            .get(
                forwards::list,
                about("listForwards", "Servers that a session is sent to, and how that goes here")
                    .answer(200, "All of them", Some("ForwardList")),
            )
            .post(
                forwards::create,
                about("createForward", "Send a session's frames and entries to a server of yours")
                    .body("NewForward")
                    .answer(201, "Made; it connects while a stream runs", Some("ForwardOnly")),
            ),
        route("/{id}/forward/{forward}").delete(
            forwards::remove,
            about("removeForward", "Send no more to this server").answer(200, "Removed", None),
        ),
        Route::new(Access::Token, "/api/v1/live").get(
            live::all,
            live_query(about("liveAll", "Frames and entries of all sessions that run here, live"))
                .query("session", "Only this one")
                .query("product", "Only sessions of this product"),
        ),
    ]
}

/// What may also be said in the first message.
fn live_query(about: Operation) -> Operation {
    about
        .query(
            "media",
            "Some of audio, video, share, transcript, chat, separated by commas; else all",
        )
        .query(
            "kinds",
            "Only entries of these kinds, separated by commas; else those that go with the media",
        )
        .query("format", "json, binary or twilio; else json")
        .query("from", "start, now, or the last cursor seen: where entries begin")
        .query("policy", "drop (the oldest frames) or disconnect, for who is too slow; else drop")
        .query("user", "Only frames, lines and messages of this participant")
        .query("encoding", "With twilio: mulaw or l16; else mulaw")
        .query("sample_rate", "With twilio: 8000, or with l16 16000; else 8000")
        .answer(101, "A WebSocket; its messages are described in the README", None)
        .answer(426, "Not a WebSocket's handshake", None)
}

fn action_routes() -> Vec<Route> {
    let about = |id, summary| {
        Operation::new("RTMS", id, summary)
            .answer(202, "Zoom said yes; what comes of it is told by its webhooks", Some("Asked"))
            .answer(200, "There is nothing to ask for", Some("Asked"))
    };
    let route = |action: &str| {
        Route::new(Access::Token, &format!("/api/v1/sdk/sessions/{{id}}/rtms/{action}"))
    };
    vec![
        route("start")
            .post(control::start, about("startRtms", "Ask Zoom for a stream").body("Start")),
        route("stop").post(control::stop, about("stopRtms", "Ask Zoom to end the stream")),
        route("pause").post(control::pause, about("pauseRtms", "Ask Zoom to pause the stream")),
        route("resume")
            .post(control::resume, about("resumeRtms", "Ask Zoom to go on with the stream")),
        Route::new(Access::Token, "/api/v1/sdk/sessions/{id}/video/subscribe").post(
            video::subscribe,
            Operation::new("RTMS", "subscribeVideo", "Choose whose camera is wanted")
                .body("VideoChoice")
                .answer(202, "Zoom's answer becomes an entry", Some("VideoChosen")),
        ),
    ]
}

fn zoom_routes() -> Vec<Route> {
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
                    .query(
                        "delete_data",
                        "true: also what was said in the user's sessions, soon after",
                    )
                    .query("force", "true: here even while Zoom cannot be asked")
                    .answer(200, "Removed", None),
            ),
    ]
}

fn webhook_routes() -> Vec<Route> {
    let about = |id, summary| Operation::new("Outgoing webhooks", id, summary);
    let route =
        |rest: &str| Route::new(Access::Admin, &format!("/api/v1/webhooks/endpoints{rest}"));
    vec![
        route("")
            .get(
                endpoints::list,
                about("listEndpoints", "Where outgoing webhooks go, oldest first; never a secret")
                    .answer(200, "All of them", Some("EndpointList")),
            )
            .post(
                endpoints::create,
                about("createEndpoint", "Make an endpoint; its secret is shown once")
                    .body("NewEndpoint")
                    .answer(201, "Made", Some("EndpointAndSecret")),
            ),
        route("/{id}")
            .get(
                endpoints::show,
                about("showEndpoint", "One endpoint").answer(
                    200,
                    "The endpoint",
                    Some("EndpointOnly"),
                ),
            )
            .patch(
                endpoints::change,
                about("changeEndpoint", "Change an endpoint, or switch it on or off")
                    .body("EndpointChange")
                    .answer(200, "As it is now", Some("EndpointOnly")),
            )
            .delete(
                endpoints::remove,
                about("deleteEndpoint", "Delete an endpoint with its deliveries")
                    .answer(200, "Deleted", None),
            ),
        route("/{id}/rotate-secret").post(
            endpoints::rotate_secret,
            about(
                "rotateSecret",
                "A new secret, shown once; the old one signs beside it for a day",
            )
            .answer(200, "Rotated", Some("EndpointAndSecret")),
        ),
        route("/{id}/test").post(
            endpoints::test,
            about("testEndpoint", "Send a `test`, whatever the endpoint's filter").answer(
                202,
                "On its way",
                Some("EventSent"),
            ),
        ),
        route("/{id}/deliveries").get(
            endpoints::deliveries,
            about("listDeliveries", "What was sent to an endpoint, and what came of it")
                .query("limit", "How many: 1 to 200, else 50")
                .query("before", "The `next` of the page before")
                .answer(200, "One page, newest first", Some("DeliveryList")),
        ),
        route("/{id}/deliveries/{delivery}/resend").post(
            endpoints::resend,
            about("resendDelivery", "Send an event again, under the same id").answer(
                202,
                "On its way",
                Some("EventSent"),
            ),
        ),
    ]
}

fn daemon_routes(webhook_path: &str) -> Vec<Route> {
    let about = |id, summary| Operation::new("Daemon", id, summary);
    vec![
        Route::new(Access::Open, webhook_path).post(
            webhook::receive,
            about("receiveWebhook", "Zoom's webhooks, proven by their signature").answer(
                200,
                "Recorded, or known already",
                None,
            ),
        ),
        Route::new(Access::Open, &webhook::video_path(webhook_path)).post(
            webhook::receive_video,
            about("receiveVideoWebhook", "Webhooks of the Video SDK app, proven by its signature")
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
