//! Colours for a terminal, and none for anything else.

use std::borrow::Cow;
use std::io::{self, IsTerminal};

/// How texts appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    is_coloured: bool,
}

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Heading,
    Good,
    Busy,
    Bad,
    Faint,
}

impl Style {
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { is_coloured: false };
    #[cfg(test)]
    pub(super) const COLOURED: Self = Self { is_coloured: true };

    /// Colours on a terminal, unless `NO_COLOR` is set (no-color.org) or the terminal has none.
    pub(super) fn of_stdout(environment: impl Fn(&str) -> Option<String>) -> Self {
        let is_off = environment("NO_COLOR").is_some_and(|value| !value.is_empty())
            || environment("TERM").is_some_and(|value| value == "dumb");
        Self { is_coloured: !is_off && io::stdout().is_terminal() }
    }

    pub(super) fn paint(self, tone: Tone, text: &str) -> Cow<'_, str> {
        let code = match tone {
            Tone::Plain => return Cow::Borrowed(text),
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Busy => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
        };
        if !self.is_coloured || text.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(format!("\u{1b}[{code}m{text}\u{1b}[0m"))
    }
}

impl Tone {
    /// The tone of a status of the API; plain for a word that says neither.
    pub(super) fn of_status(word: &str) -> Self {
        match word {
            "live" | "connected" | "enabled" | "delivered" | "changed" => Self::Good,
            "created"
            | "announced"
            | "connecting"
            | "rtms_start_requested"
            | "interrupted"
            | "paused"
            | "waiting"
            | "notice" => Self::Busy,
            "start_refused" | "start_timed_out" | "needs_reconnect" | "refused" | "failed"
            | "gone" | "failing" | "overflowing" => Self::Bad,
            "ended" | "stopped" | "revoked" | "disabled" | "withdrawn" | "none" => Self::Faint,
            _ => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        EndpointStatus, InstallationStatus, SessionStatus, StreamStatus, WebhookOutcome,
    };
    use crate::store::DeliveryStatus;

    #[test]
    fn every_status_of_the_api_has_a_tone() {
        let words = [
            SessionStatus::ALL.map(SessionStatus::as_str).to_vec(),
            StreamStatus::ALL.map(StreamStatus::as_str).to_vec(),
            InstallationStatus::ALL.map(InstallationStatus::as_str).to_vec(),
            WebhookOutcome::ALL.map(WebhookOutcome::as_str).to_vec(),
            EndpointStatus::ALL.map(EndpointStatus::as_str).to_vec(),
            DeliveryStatus::ALL.map(DeliveryStatus::as_str).to_vec(),
        ];
        for word in words.concat() {
            assert_ne!(Tone::of_status(word), Tone::Plain, "{word}");
        }
    }

    #[test]
    fn nothing_is_coloured_where_colours_are_off() {
        assert_eq!(Style::PLAIN.paint(Tone::Bad, "failed"), "failed");
        assert_eq!(Style::COLOURED.paint(Tone::Bad, "failed"), "\u{1b}[31mfailed\u{1b}[0m");
        assert_eq!(Style::COLOURED.paint(Tone::Plain, "x"), "x");
        // A test's standard output is no terminal for sure only where it is captured; the variable decides anyhow.
        let style = Style::of_stdout(|name| (name == "NO_COLOR").then(|| "1".to_owned()));
        assert_eq!(style, Style::PLAIN);
    }
}
