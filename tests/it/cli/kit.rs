//! The binary with a daemon's address and token in its environment.

use std::net::SocketAddr;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::kit::{API_TOKEN, Home};
use crate::support::process::{Ended, Process};

/// A client of one daemon, in a folder of its own.
pub(super) struct Client {
    variables: Vec<(String, String)>,
    folder: TempDir,
}

/// A home of a daemon with a token that may do everything.
pub(super) fn home() -> Home {
    Home::sqlite().set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"))
}

impl Client {
    pub(super) fn of(daemon: SocketAddr) -> Self {
        Self::with(&[("RTMSD_URL", &format!("http://{daemon}")), ("RTMSD_TOKEN", API_TOKEN)])
    }

    pub(super) fn with(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Self { variables: variables.collect(), folder: TempDir::new().unwrap() }
    }

    pub(super) fn spawn(&self, words: &[&str]) -> Process {
        Process::spawn(words, &self.variables, self.folder.path())
    }

    /// Runs a command to its end. Whatever it does, it prints neither a token nor, to a pipe, a colour.
    pub(super) async fn run(&self, words: &[&str]) -> Ended {
        let ended = self.spawn(words).ended().await;
        for (name, value) in &self.variables {
            let is_secret = name == "RTMSD_TOKEN";
            assert!(!is_secret || !format!("{ended:?}").contains(value), "{words:?}: {ended:?}");
        }
        assert!(!format!("{}{}", ended.out, ended.err).contains('\u{1b}'), "{words:?}: {ended:?}");
        ended
    }

    /// What a command prints that succeeds.
    pub(super) async fn text(&self, words: &[&str]) -> String {
        let ended = self.run(words).await;
        assert_eq!(ended.code(), 0, "{words:?}: {ended:?}");
        ended.out
    }

    /// The same command with `--json`.
    pub(super) async fn json(&self, words: &[&str]) -> Value {
        let text = self.text(&[words, &["--json"]].concat()).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
    }
}

/// The cells of a printed table, by their headings, which are separated by two spaces or more.
pub(super) fn cells(text: &str) -> Vec<Vec<String>> {
    let cut = |line: &str| -> Vec<String> {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    text.lines().map(cut).collect()
}
