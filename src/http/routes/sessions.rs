//! Routes of sessions: their data, live sockets, forwards and actions at Zoom.

use super::{Access, Route};
use crate::http::openapi::Operation;
use crate::http::{
    control, events, forwards, ledger, live, new_ticket, recordings, sessions, transcript, video,
};

/// Routes for sessions, their data, and the requests to Zoom.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = of_sessions();
    routes.extend(later_routes());
    routes.extend(as_it_happens());
    routes.extend(action_routes());
    routes
}

fn of_sessions() -> Vec<Route> {
    vec![
        session_route("")
            .get(
                sessions::list,
                operation("listSessions", "Sessions, newest first, page by page")
                    .query("limit", "Page size: 1 to 200; default 50")
                    .query("before", "The `next` of the previous page")
                    .query("status", "Only sessions of these statuses, separated by commas")
                    .query("product", "Only meeting, webinar, video_sdk, contact_center or phone")
                    .query("app", "Only sessions of this app")
                    .query("q", "Only sessions with this text in an id, the meeting number, the host or the metadata")
                    .errors(&[404])
                    .answer(200, "One page", Some("SessionList")),
            )
            .post(
                control::create,
                operation("createSession", "Create a session, or return the existing one")
                    .body("NewSession")
                    .errors(&[404])
                    .answer(201, "Made", Some("SessionOnly"))
                    .answer(200, "The session already existed", Some("SessionOnly")),
            ),
        session_route("/{id}").get(
            sessions::show,
            operation("showSession", "A session with its streams").answer(
                200,
                "The session",
                Some("SessionWithStreams"),
            ),
        ),
        Route::new(Access::Admin, &session_path("/{id}")).delete(
            sessions::remove,
            operation("deleteSession", "Delete a session and all its stored data")
                .errors(&[409])
                .answer(202, "Accepted; the data is deleted soon", Some("Deleting")),
        ),
    ]
}

fn later_routes() -> Vec<Route> {
    vec![
        session_route("/{id}/timeline").get(
            control::timeline,
            operation(
                "showTimeline",
                "Events of a session in order, and the expected ones that are missing",
            )
            .answer(200, "The timeline", Some("Timeline")),
        ),
        session_route("/{id}/ledger").get(
            ledger::show,
            operation("showLedger", "What was received of each medium, what is missing, and why")
                .answer(200, "The ledger", Some("Ledger")),
        ),
        session_route("/{id}/transcript").get(
            transcript::download,
            operation("downloadTranscript", "What was said, in order")
                .query(
                    "format",
                    "json, jsonl, vtt, srt or txt; otherwise the header accept decides",
                )
                .errors(&[406])
                .answer(200, "The transcript, in that format", None),
        ),
        session_route("/{id}/recordings").get(
            recordings::list,
            operation("listRecordings", "Recordings and their status").answer(
                200,
                "The recordings and their files",
                Some("RecordingList"),
            ),
        ),
        ticket_route("/{id}/recordings/{file}").get(
            recordings::download,
            operation("downloadRecording", "A recorded file, or a part of it (header range)")
                .answer(200, "The file", None)
                .answer(206, "The requested part", None)
                .answer(304, "Unchanged: it matches the header if-none-match", None)
                .answer(
                    409,
                    "Its stream still runs, or the file is in a folder of another machine or an earlier place",
                    None,
                )
                .answer(410, "The file is lost", None)
                .answer(416, "The file has no such range", None),
        ),
    ]
}

fn as_it_happens() -> Vec<Route> {
    vec![
        ticket_route("/{id}/events").get(
            events::subscribe,
            operation("subscribe", "A session's entries as server-sent events, from any cursor")
                .query("after", "The `id` of the last event seen; or the header last-event-id")
                .query("kinds", "Only these kinds, separated by commas")
                .answer(200, "text/event-stream", None),
        ),
        ticket_route("/{id}/live")
            .get(live::one, live_query(operation("liveSession", "Frames and entries, live"))),
        session_route("/{id}/forward")
            .get(
                forwards::list,
                operation(
                    "listForwards",
                    "Servers that receive a session, and their state on this daemon",
                )
                .answer(200, "All of them", Some("ForwardList")),
            )
            .post(
                forwards::create,
                operation(
                    "createForward",
                    "Send a session's frames and entries to a server of yours",
                )
                .body("NewForward")
                .answer(
                    201,
                    "Created; it connects while a stream runs",
                    Some("ForwardOnly"),
                ),
            ),
        session_route("/{id}/forward/{forward}").delete(
            forwards::remove,
            operation("removeForward", "Stop sending to this server").answer(200, "Removed", None),
        ),
        Route::new(Access::Ticket, "/api/v1/live").get(
            live::all,
            live_query(operation(
                "liveAll",
                "Frames and entries of all sessions that run here, live",
            ))
            .query("session", "Only this session")
            .errors(&[404])
            .query("product", "Only sessions of this product"),
        ),
        Route::new(Access::Read, "/api/v1/tickets").post(
            new_ticket::create,
            operation(
                "createTicket",
                "Create a ticket for one path, for browsers: see docs/live.md",
            )
            .body("NewTicket")
            .errors(&[404])
            .answer(
                201,
                "Created; the ticket must be used within a minute",
                Some("Ticket"),
            ),
        ),
    ]
}

/// Adds the parameters that the first message may hold instead.
fn live_query(about: Operation) -> Operation {
    about
        .query(
            "media",
            "Some of audio, video, share, transcript, chat, separated by commas; default all",
        )
        .query(
            "kinds",
            "Only entries of these kinds, separated by commas; default those of the media",
        )
        .query("format", "json, binary or twilio; default json")
        .query("from", "start, now, or the last cursor seen: where entries begin")
        .query(
            "policy",
            "drop (the oldest frames) or disconnect, if the client is too slow; default drop",
        )
        .query(
            "batch_ms",
            "Send the frames of this many milliseconds together, 0 to 1000; default 0, each at once",
        )
        .query("user", "Only frames, lines and messages of this participant or user")
        .query("channel", "Only frames and lines of this channel of a Contact Center engagement")
        .query("encoding", "With twilio: mulaw or l16; default mulaw")
        .query("sample_rate", "With twilio: 8000, or with l16 16000; default 8000")
        .answer(101, "A WebSocket; its messages are described in docs/live.md", None)
        .errors(&[408])
        .answer(426, "Not a WebSocket handshake", None)
}

fn action_routes() -> Vec<Route> {
    let about = |id, summary| {
        Operation::new("RTMS", id, summary)
            .errors(&[502])
            .answer(202, "Zoom accepted the request; its webhooks report the result", Some("Asked"))
            .answer(200, "No request is needed", Some("Asked"))
    };
    let route = |action: &str| {
        Route::new(Access::Token, &format!("/api/v1/sdk/sessions/{{id}}/rtms/{action}"))
    };
    vec![
        route("start").post(
            control::start,
            about("startRtms", "Ask Zoom to start a stream").optional_body("Start"),
        ),
        route("stop").post(
            control::stop,
            about("stopRtms", "Ask Zoom to end the stream").optional_body("Action"),
        ),
        route("pause").post(
            control::pause,
            about("pauseRtms", "Ask Zoom to pause the stream").optional_body("Action"),
        ),
        route("resume").post(
            control::resume,
            about("resumeRtms", "Ask Zoom to resume the stream").optional_body("Action"),
        ),
        Route::new(Access::Token, "/api/v1/sdk/sessions/{id}/video/subscribe").post(
            video::subscribe,
            Operation::new(
                "RTMS",
                "subscribeVideo",
                "Choose the participant whose camera is streamed",
            )
            .body("VideoChoice")
            .answer(
                202,
                "Accepted; Zoom's answer becomes an entry",
                Some("VideoChosen"),
            ),
        ),
    ]
}

/// A path below a session's.
fn session_path(rest: &str) -> String {
    format!("/api/v1/sdk/sessions{rest}")
}

fn session_route(rest: &str) -> Route {
    Route::new(Access::Token, &session_path(rest))
}

/// A path that a browser requests without a header of its own.
fn ticket_route(rest: &str) -> Route {
    Route::new(Access::Ticket, &session_path(rest))
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("Sessions", id, summary)
}
