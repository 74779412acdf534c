use super::{Access, Route};
use crate::http::openapi::Operation;
use crate::http::{
    control, events, forwards, ledger, live, recordings, sessions, tickets, transcript, video,
};

/// A session, what came of it, what goes on in it, and what is asked of Zoom for it.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = of_sessions();
    routes.extend(afterwards());
    routes.extend(as_it_happens());
    routes.extend(actions());
    routes
}

fn of_sessions() -> Vec<Route> {
    vec![
        session_route("")
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
        session_route("/{id}").get(
            sessions::show,
            about("showSession", "A session with its streams").answer(
                200,
                "The session",
                Some("SessionWithStreams"),
            ),
        ),
        Route::new(Access::Admin, &session_path("/{id}")).delete(
            sessions::remove,
            about("deleteSession", "Delete a session and all that is stored of it")
                .errors(&[409])
                .answer(202, "It goes soon after", Some("Deleting")),
        ),
    ]
}

fn afterwards() -> Vec<Route> {
    vec![
        session_route("/{id}/timeline").get(
            control::timeline,
            about("showTimeline", "What happened to a session, in order, and what did not").answer(
                200,
                "The timeline",
                Some("Timeline"),
            ),
        ),
        session_route("/{id}/ledger").get(
            ledger::show,
            about("showLedger", "What came of every medium, what is missing, and why").answer(
                200,
                "The ledger",
                Some("Ledger"),
            ),
        ),
        session_route("/{id}/transcript").get(
            transcript::download,
            about("downloadTranscript", "What was said, in order")
                .query("format", "json, jsonl, vtt, srt or txt; else the header accept decides")
                .errors(&[406])
                .answer(200, "The transcript, in that format", None),
        ),
        session_route("/{id}/recordings").get(
            recordings::list,
            about("listRecordings", "What was recorded, and where it stands").answer(
                200,
                "The recordings, and their files",
                Some("RecordingList"),
            ),
        ),
        ticket_route("/{id}/recordings/{file}").get(
            recordings::download,
            about("downloadRecording", "A recorded file, or a part of it (header range)")
                .answer(200, "The file", None)
                .answer(206, "The part that was asked for", None)
                .answer(304, "It is the one of the header if-none-match", None)
                .answer(409, "Its stream goes on, or it is in a folder of another machine", None)
                .answer(410, "It is lost", None)
                .answer(416, "It has no such part", None),
        ),
    ]
}

fn as_it_happens() -> Vec<Route> {
    vec![
        ticket_route("/{id}/events").get(
            events::subscribe,
            about("subscribe", "Everything that happens, as server-sent events, from any point on")
                .query("after", "The `id` of the last event seen; or the header last-event-id")
                .query("kinds", "Only these kinds, separated by commas")
                .answer(200, "text/event-stream", None),
        ),
        ticket_route("/{id}/live")
            .get(live::one, live_query(about("liveSession", "Frames and entries, live"))),
        session_route("/{id}/forward")
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
        session_route("/{id}/forward/{forward}").delete(
            forwards::remove,
            about("removeForward", "Send no more to this server").answer(200, "Removed", None),
        ),
        Route::new(Access::Ticket, "/api/v1/live").get(
            live::all,
            live_query(about("liveAll", "Frames and entries of all sessions that run here, live"))
                .query("session", "Only this one")
                .query("product", "Only sessions of this product"),
        ),
        Route::new(Access::Read, "/api/v1/tickets").post(
            tickets::create,
            about("createTicket", "A ticket for one path, for browsers: see docs/live.md")
                .body("NewTicket")
                .answer(201, "Made; it waits a minute for its use", Some("Ticket")),
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
        .query("user", "Only frames, lines and messages of this participant or user")
        .query("channel", "Only frames and lines of this channel of a Contact Center engagement")
        .query("encoding", "With twilio: mulaw or l16; else mulaw")
        .query("sample_rate", "With twilio: 8000, or with l16 16000; else 8000")
        .answer(101, "A WebSocket; its messages are described in docs/live.md", None)
        .errors(&[408])
        .answer(426, "Not a WebSocket's handshake", None)
}

fn actions() -> Vec<Route> {
    let about = |id, summary| {
        Operation::new("RTMS", id, summary)
            .errors(&[502])
            .answer(202, "Zoom said yes; what comes of it is told by its webhooks", Some("Asked"))
            .answer(200, "There is nothing to ask for", Some("Asked"))
    };
    let route = |action: &str| {
        Route::new(Access::Token, &format!("/api/v1/sdk/sessions/{{id}}/rtms/{action}"))
    };
    vec![
        route("start").post(
            control::start,
            about("startRtms", "Ask Zoom for a stream").optional_body("Start"),
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
            about("resumeRtms", "Ask Zoom to go on with the stream").optional_body("Action"),
        ),
        Route::new(Access::Token, "/api/v1/sdk/sessions/{id}/video/subscribe").post(
            video::subscribe,
            Operation::new("RTMS", "subscribeVideo", "Choose whose camera is wanted")
                .body("VideoChoice")
                .answer(202, "Zoom's answer becomes an entry", Some("VideoChosen")),
        ),
    ]
}

/// A path under a session's.
fn session_path(rest: &str) -> String {
    format!("/api/v1/sdk/sessions{rest}")
}

fn session_route(rest: &str) -> Route {
    Route::new(Access::Token, &session_path(rest))
}

/// One that a browser asks for without a header of its own.
fn ticket_route(rest: &str) -> Route {
    Route::new(Access::Ticket, &session_path(rest))
}

fn about(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("Sessions", id, summary)
}
