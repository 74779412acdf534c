//! The table of commands that ask a daemon: each names its operation of the API, and how its answer is shown to people.

use serde_json::{Value, json};

/// Commands about one kind of thing.
#[derive(Debug)]
pub(super) struct Group {
    pub name: &'static str,
    pub about: &'static str,
    /// What `{id}` stands for in its paths.
    pub id: &'static str,
    pub verbs: &'static [Verb],
}

/// One command.
#[derive(Debug)]
pub(super) struct Verb {
    pub name: &'static str,
    /// The `operationId` in the API's document, which also says what the command takes.
    pub operation: &'static str,
    pub view: View,
}

/// How an answer is shown.
#[derive(Debug)]
pub(super) enum View {
    /// The rows in this array, page by page.
    List {
        rows: &'static str,
        columns: &'static [Column],
    },
    Parts(&'static [Part]),
    /// The message, and the thing that was made.
    Outcome,
    /// The message; the command may wait until the session is live.
    Start,
    /// The answer as it is.
    Download,
    /// The live socket.
    Tail,
}

/// A part of an answer.
#[derive(Debug)]
pub(super) enum Part {
    /// One object: first these fields, then all others.
    Fields {
        at: &'static str,
        first: &'static [Column],
    },
    Table {
        title: &'static str,
        rows: Rows,
        columns: &'static [Column],
    },
}

/// Where the rows of a table come from.
#[derive(Debug)]
pub(super) enum Rows {
    /// The array with this name in the data.
    Named(&'static str),
    /// Made from the data.
    Made(fn(&Value) -> Vec<Value>),
}

#[derive(Debug)]
pub(super) struct Column {
    pub title: &'static str,
    pub field: &'static str,
    pub form: Form,
}

/// What a value means to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// A word in the colour of its meaning.
    Status,
    /// RFC 3339, or Unix milliseconds.
    Time,
    Count,
    Bytes,
    /// From 0 to 1.
    Share,
    Milliseconds,
}

const fn column(title: &'static str, field: &'static str, form: Form) -> Column {
    Column { title, field, form }
}

const fn verb(name: &'static str, operation: &'static str, view: View) -> Verb {
    Verb { name, operation, view }
}

const fn list(rows: &'static str, columns: &'static [Column]) -> View {
    View::List { rows, columns }
}

pub(super) static GROUPS: [Group; 5] = [
    Group {
        name: "sessions",
        about: "Meetings and other conversations: what a daemon has of them, and their streams",
        id: "SESSION",
        verbs: &[
            verb("list", "listSessions", list("sessions", SESSION)),
            verb("show", "showSession", View::Parts(SHOWN_SESSION)),
            verb("create", "createSession", View::Outcome),
            verb("start", "startRtms", View::Start),
            verb("stop", "stopRtms", View::Outcome),
            verb("pause", "pauseRtms", View::Outcome),
            verb("resume", "resumeRtms", View::Outcome),
            verb("tail", "liveSession", View::Tail),
            verb("transcript", "downloadTranscript", View::Download),
            verb("ledger", "showLedger", View::Parts(LEDGER)),
        ],
    },
    Group {
        name: "webhooks",
        about: "Webhooks that Zoom sent",
        id: "WEBHOOK",
        verbs: &[
            verb("list", "listWebhooks", list("webhooks", WEBHOOK)),
            verb("show", "showWebhook", View::Parts(SHOWN_WEBHOOK)),
            verb("process", "processWebhook", View::Parts(SHOWN_WEBHOOK)),
        ],
    },
    Group {
        name: "installations",
        about: "Users who installed the app",
        id: "INSTALLATION",
        verbs: &[
            verb("list", "listInstallations", list("installations", INSTALLATION)),
            verb("revoke", "removeInstallation", View::Outcome),
        ],
    },
    Group {
        name: "endpoints",
        about: "Endpoints of outgoing webhooks",
        id: "ENDPOINT",
        verbs: &[verb("list", "listEndpoints", list("endpoints", ENDPOINT))],
    },
    Group {
        name: "deliveries",
        about: "What was sent to an endpoint of outgoing webhooks",
        id: "ENDPOINT",
        verbs: &[
            verb("list", "listDeliveries", list("deliveries", DELIVERY)),
            verb("resend", "resendDelivery", View::Outcome),
        ],
    },
];

const SESSION: &[Column] = &[
    column("ID", "id", Form::Text),
    column("STATUS", "status", Form::Status),
    column("PRODUCT", "product", Form::Text),
    column("MEETING", "meeting_id", Form::Text),
    column("APP", "app", Form::Text),
    column("CREATED", "created_at", Form::Time),
    column("ENDED", "ended_at", Form::Time),
];

const STREAM: &[Column] = &[
    column("STREAM", "ordinal", Form::Count),
    column("STATUS", "status", Form::Status),
    column("OUTCOME", "outcome", Form::Text),
    column("CREATED", "created_at", Form::Time),
    column("ENDED", "ended_at", Form::Time),
    column("ZOOM'S ID", "stream_id", Form::Text),
];

const SHOWN_SESSION: &[Part] = &[
    Part::Fields { at: "session", first: SESSION },
    Part::Table { title: "streams", rows: Rows::Named("streams"), columns: STREAM },
];

const LEDGER: &[Part] = &[
    Part::Table {
        title: "",
        rows: Rows::Made(ledger_media),
        columns: &[
            column("STREAM", "ordinal", Form::Count),
            column("MEDIUM", "medium", Form::Text),
            column("COMPLETE", "completeness", Form::Share),
            column("EXPECTED", "expected_ms", Form::Milliseconds),
            column("COVERED", "covered_ms", Form::Milliseconds),
            column("PAUSED", "paused_ms", Form::Milliseconds),
            column("FRAMES", "frames", Form::Count),
            column("SIZE", "bytes", Form::Bytes),
            column("GAPS", "gap_count", Form::Count),
        ],
    },
    Part::Table {
        title: "gaps",
        rows: Rows::Made(ledger_gaps),
        columns: &[
            column("STREAM", "ordinal", Form::Count),
            column("MEDIUM", "medium", Form::Text),
            column("FROM", "start_ms", Form::Time),
            column("TO", "end_ms", Form::Time),
            column("CAUSE", "cause", Form::Text),
        ],
    },
];

const WEBHOOK: &[Column] = &[
    column("RECEIVED", "received_at", Form::Time),
    column("EVENT", "event", Form::Text),
    column("OUTCOME", "outcome", Form::Status),
    column("REASON", "reason", Form::Text),
    column("APP", "app", Form::Text),
    column("MEETING", "meeting_id", Form::Text),
    column("ID", "id", Form::Text),
];

const SHOWN_WEBHOOK: &[Part] = &[Part::Fields { at: "webhook", first: WEBHOOK }];

const INSTALLATION: &[Column] = &[
    column("ID", "id", Form::Text),
    column("STATUS", "status", Form::Status),
    column("APP", "app", Form::Text),
    column("NAME", "display_name", Form::Text),
    column("EMAIL", "email", Form::Text),
    column("USER", "user_id", Form::Text),
    column("CREATED", "created_at", Form::Time),
];

const ENDPOINT: &[Column] = &[
    column("ID", "id", Form::Text),
    column("STATUS", "status", Form::Status),
    column("URL", "url", Form::Text),
    column("SOURCE", "source", Form::Text),
    column("FAILING SINCE", "failing_since", Form::Time),
    column("CREATED", "created_at", Form::Time),
];

const DELIVERY: &[Column] = &[
    column("EVENT", "event_id", Form::Text),
    column("TYPE", "type", Form::Text),
    column("STATUS", "status", Form::Status),
    column("ATTEMPTS", "attempts", Form::Count),
    column("ANSWER", "last_status", Form::Count),
    column("ERROR", "last_error", Form::Text),
    column("CREATED", "created_at", Form::Time),
    column("NEXT TRY", "next_try_at", Form::Time),
];

/// The media of all streams, each with the number of its stream and of its gaps.
fn ledger_media(data: &Value) -> Vec<Value> {
    let row = |ordinal: &Value, medium: &Value| {
        let open = usize::from(!medium["open_gap"].is_null());
        let listed = array(&medium["gaps"]).count() + open;
        let earlier = medium["earlier_gaps"].as_u64().unwrap_or(0);
        let mut row = medium.clone();
        row["ordinal"] = ordinal.clone();
        row["gap_count"] = json!(earlier.saturating_add(listed as u64));
        vec![row]
    };
    each_medium(data, row)
}

/// The gaps that the ledger lists. One that is open has no end.
fn ledger_gaps(data: &Value) -> Vec<Value> {
    let rows = |ordinal: &Value, medium: &Value| {
        let open = Some(&medium["open_gap"]).filter(|gap| !gap.is_null());
        let of_stream = |gap: &Value| {
            let (medium, end_ms) = (&medium["medium"], &gap["end_ms"]);
            json!({
                "ordinal": ordinal, "medium": medium, "start_ms": gap["start_ms"], "end_ms": end_ms,
                "cause": gap["cause"],
            })
        };
        array(&medium["gaps"]).chain(open).map(of_stream).collect()
    };
    each_medium(data, rows)
}

fn each_medium(data: &Value, rows: impl Fn(&Value, &Value) -> Vec<Value>) -> Vec<Value> {
    let mut all = Vec::new();
    for stream in array(&data["streams"]) {
        for medium in array(&stream["media"]) {
            all.extend(rows(&stream["ordinal"], medium));
        }
    }
    all
}

pub(super) fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::api::{Operation, answer_schema, resolved};

    #[test]
    fn every_column_is_a_field_of_the_operations_answer() {
        for verb in GROUPS.iter().flat_map(|group| group.verbs) {
            Operation::named(verb.operation);
            match &verb.view {
                View::List { rows, columns } => check(verb, rows, true, columns),
                View::Parts(parts) => parts.iter().for_each(|part| match part {
                    Part::Fields { at, first } => check(verb, at, false, first),
                    Part::Table { rows: Rows::Named(name), columns, .. } => {
                        check(verb, name, true, columns);
                    }
                    // Made of several objects: the test of their functions shows the fields.
                    Part::Table { rows: Rows::Made(_), .. } => {}
                }),
                _ => {}
            }
        }
    }

    fn check(verb: &Verb, name: &str, is_list: bool, columns: &[Column]) {
        let about = &answer_schema(verb.operation)["properties"][name];
        let object = resolved(if is_list { &about["items"] } else { about });
        for column in columns {
            let field = &object["properties"][column.field];
            assert!(field.is_object(), "{} has no {}", verb.operation, column.field);
        }
    }

    #[test]
    fn the_ledger_shows_every_medium_and_every_gap_also_an_open_one() {
        let data = json!({"streams": [{"ordinal": 2, "media": [{
            "medium": "audio", "earlier_gaps": 3,
            "gaps": [{"start_ms": 1, "end_ms": 2, "cause": "link_lost"}],
            "open_gap": {"start_ms": 5, "cause": "paused"},
        }]}]});
        let media = ledger_media(&data);
        assert_eq!((&media[0]["ordinal"], &media[0]["gap_count"]), (&json!(2), &json!(5)));
        let gaps = ledger_gaps(&data);
        assert_eq!(gaps.len(), 2);
        assert_eq!(gaps[1]["end_ms"], Value::Null);
        assert_eq!((&gaps[1]["cause"], &gaps[1]["medium"]), (&json!("paused"), &json!("audio")));
    }
}
