//! Shows a session as it happens: who says what and when, what is missing and why, until the session ends.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::cell::plain;
use super::daemon::Daemon;
use super::failure::Failure;
use super::live::Live;
use super::output::Output;
use super::style::Tone;
use crate::cli::entry_line::{clock_time, entry_line};
use crate::model::EntryBody;
use crate::net::retry::Doubling;

/// The waits before a connection is made again.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A connection that lasted this long was a good one: the waits begin again.
const STABLE: Duration = Duration::from_secs(10);
/// How long a daemon may be away.
const GIVE_UP_AFTER: Duration = Duration::from_secs(600);

/// A view of one session over any number of connections.
pub(super) struct Tail<'a> {
    daemon: &'a Daemon,
    session: &'a str,
    output: Output,
    /// What is asked for, as in docs/live.md. `from` follows what was shown.
    asked: Map<String, Value>,
    waits: Doubling,
    /// When the last message came; none before the first connection.
    last_heard: Option<Instant>,
    /// Whether the connection is lost, which is said once.
    is_lost: bool,
}

/// An entry as the live socket sends it.
#[derive(Deserialize)]
struct Shown {
    at_ms: i64,
    #[serde(flatten)]
    body: EntryBody,
}

impl<'a> Tail<'a> {
    /// `filters` are fields of a live request.
    pub(super) fn new(
        daemon: &'a Daemon,
        session: &'a str,
        output: Output,
        filters: &[(String, String)],
    ) -> Self {
        let text = |(name, value): &(String, String)| (name.clone(), Value::from(value.as_str()));
        let mut asked: Map<String, Value> = filters.iter().map(text).collect();
        // No frames: they are not for reading.
        asked.insert("media".to_owned(), Value::from("transcript,chat"));
        let waits = Doubling::new(FIRST_WAIT, LONGEST_WAIT);
        Self { daemon, session, output, asked, waits, last_heard: None, is_lost: false }
    }

    /// Shows the session until it ends. A connection that is lost is made again, and goes on behind the last entry.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        loop {
            let begun = Instant::now();
            let Err(failure) = self.follow().await else { return Ok(()) };
            // What never worked is reported at once.
            let heard = self.last_heard.filter(|_| failure.is_temporary());
            if heard.is_none_or(|heard| heard.elapsed() >= GIVE_UP_AFTER) {
                return Err(failure);
            }
            if !std::mem::replace(&mut self.is_lost, true) {
                self.output.note(&format!("{failure}; connecting again"));
            }
            if begun.elapsed() >= STABLE {
                self.waits.restart();
            }
            sleep(self.waits.next_wait()).await;
        }
    }

    /// One connection, to its end. `Ok` when the session has ended.
    async fn follow(&mut self) -> Result<(), Failure> {
        let mut live = Live::open(self.daemon, self.session, &self.asked).await?;
        let done = self.show_all(&mut live).await;
        live.close().await;
        done
    }

    async fn show_all(&mut self, live: &mut Live) -> Result<(), Failure> {
        while let Some(message) = live.next().await? {
            self.last_heard = Some(Instant::now());
            let kind = message["type"].as_str();
            if let Some(cursor) = message["cursor"].as_str() {
                self.asked.insert("from".to_owned(), Value::from(cursor));
            }
            if kind == Some("hello") && std::mem::take(&mut self.is_lost) {
                self.output.note("connected again; the entries continue behind the last one");
            }
            self.show(&message)?;
            if kind == Some("end") {
                return Ok(());
            }
        }
        Err(Failure::Unreachable("the daemon closed the live socket".to_owned()))
    }

    fn show(&self, message: &Value) -> Result<(), Failure> {
        if self.output.is_json {
            return self.output.json_line(message);
        }
        if message["type"] != "entry" {
            return Ok(());
        }
        match line_of(message) {
            Some((time, line)) => {
                let style = self.output.style;
                let tone = if line.starts_with("-- ") { Tone::Faint } else { Tone::Plain };
                let (time, line) = (style.paint(Tone::Faint, &time), style.paint(tone, &line));
                self.output.text(&format!("{time}  {line}\n"))
            }
            None => Ok(()),
        }
    }
}

/// The time and the line of an entry; none for one that people do not need to see.
fn line_of(message: &Value) -> Option<(String, String)> {
    match Shown::deserialize(message) {
        Ok(shown) => Some((clock_time(shown.at_ms), entry_line(&shown.body)?)),
        // Of a newer daemon.
        Err(_) => {
            let at_ms = message["at_ms"].as_i64().unwrap_or_default();
            Some((clock_time(at_ms), format!("-- {}", plain(&message["kind"]))))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_of_the_socket_is_read_with_the_types_of_the_daemon() {
        let entry = json!({
            "type": "entry", "cursor": "1:7", "session_id": "s", "stream_id": "st", "ordinal": 1, "stream": 1,
            "seq": 7, "at_ms": 1_732_313_171_881_i64, "at": "2024-11-22T22:06:11.881Z", "kind": "transcript",
            "user_id": 7, "user_name": "Ana", "text": "hello", "start_ms": 1, "end_ms": 2, "language": 9,
        });
        assert_eq!(line_of(&entry), Some(("22:06:11".to_owned(), "Ana: hello".to_owned())));
        let first = json!({"type": "entry", "at_ms": 0, "kind": "first_packet"});
        assert_eq!(line_of(&first), None);
        let newer = json!({"type": "entry", "at_ms": 0, "kind": "poll_\u{1b}opened"});
        assert_eq!(line_of(&newer), Some(("00:00:00".to_owned(), "-- poll_ opened".to_owned())));
    }
}
