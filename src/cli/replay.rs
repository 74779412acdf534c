//! `rtmsd replay`: plays Zoom's side from a capture, or runs the capture through the state machine.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{print_error, print_page, start_logs};
use crate::capture::reader::{CaptureError, Reader};
use crate::model::{Entry, EntryView, MediumLedger};
use crate::secret::Secret;
use crate::sessions::check::{Checked, check_capture};
use crate::simulator::{ReplaySettings, Validation, ZoomApp, http_url, replay};
use crate::stdio;
use crate::telemetry::LogSettings;

const PRINTED_TOGETHER_BYTES: usize = 8 * 1024;

/// Play Zoom's side from a capture to any client, or check it.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The capture: the file capture.jsonl.gz of a recording
    file: PathBuf,
    /// Run the capture through the daemon's state machine instead, and print the entries and the ledger as JSON lines
    #[arg(long, conflicts_with = "webhook_url")]
    check: bool,
    /// The URL to which webhooks are posted, such as http://localhost:3000/webhook
    #[arg(long, value_name = "URL", value_parser = http_url, required_unless_present = "check")]
    webhook_url: Option<String>,
    /// Play this many times as fast
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    speed: f64,
    /// Move the times in messages to now; without it they stay those of the file
    #[arg(long)]
    shift_times: bool,
    /// The port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Serve wss with ca.pem, cert.pem and key.pem in this folder; missing files are generated
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
    /// The host name in wss URLs and in a generated certificate
    #[arg(long, value_name = "HOST", default_value = "localhost", requires = "tls_dir")]
    tls_host: String,
    /// Send events without validating the webhook URL first
    #[arg(long)]
    skip_url_validation: bool,
    #[arg(long, default_value = "demoClientId01")]
    client_id: String,
    #[arg(long, default_value = "demoClientSecret01")]
    client_secret: String,
    #[arg(long, default_value = "demoSecretToken01")]
    secret_token: String,
}

fn positive(text: &str) -> Result<f64, &'static str> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or("must be a positive number")
}

/// Runs the command. The exit code is 0 if everything was played and taken, or if a check finds no difference.
pub(super) async fn run(args: ReplayArgs, stop: CancellationToken) -> ExitCode {
    // Standard output belongs to the JSON lines.
    start_logs(&LogSettings { level: "warn".to_owned(), ..Default::default() }, None);
    if args.check { check(&args) } else { play(args, stop).await }
}

fn check(args: &ReplayArgs) -> ExitCode {
    match try_check(args) {
        Ok((_, Err(error))) => print_error(1, &error.to_string()),
        Ok((checked, Ok(()))) if checked.difference_count == 0 => ExitCode::SUCCESS,
        Ok(_) => {
            print_error(1, "this version does something else than the daemon that made the file")
        }
        Err(error) => print_error(1, &error.to_string()),
    }
}

/// What the check found, and whether it could be printed.
fn try_check(args: &ReplayArgs) -> Result<(Checked, io::Result<()>), CaptureError> {
    let mut reader = Reader::open(File::open(&args.file)?)?;
    let (mut text, mut printed) = (String::new(), Ok(()));
    let checked = check_capture(&mut reader, |entry: &Entry| {
        text += &format!("{}\n", json!({"entry": EntryView::of(entry)}));
        // Many entries with one write.
        if text.len() >= PRINTED_TOGETHER_BYTES {
            let text = std::mem::take(&mut text);
            printed = std::mem::replace(&mut printed, Ok(())).and_then(|()| stdio::print(text));
        }
    })?;
    let ledger: Vec<_> =
        checked.ledger.iter().map(|account| MediumLedger::of(account, &checked.tally)).collect();
    text += &format!("{}\n{}\n", json!({"ledger": ledger}), json!({"checked": &checked}));
    Ok((checked, printed.and_then(|()| stdio::print(text))))
}

async fn play(args: ReplayArgs, stop: CancellationToken) -> ExitCode {
    let settings = ReplaySettings {
        app: ZoomApp {
            client_id: args.client_id,
            client_secret: Secret::new(args.client_secret),
            secret_token: Secret::new(args.secret_token),
            webhook_url: args.webhook_url,
            is_server_to_server: false,
        },
        skip_url_validation: args.skip_url_validation,
        speed: args.speed,
        shifts_times: args.shift_times,
        port: args.port,
        tls_dir: args.tls_dir,
        tls_host: args.tls_host,
    };
    let done = replay(&args.file, settings, stop, |ready| {
        // A failure is on standard error; the client can take part all the same.
        print_page(format!("{ready}\n"));
    })
    .await;
    match done {
        Ok(report) => {
            let printed = print_page(format!("{}\n", json!({"replayed": &report})));
            let is_refused = report.validation == Some(Validation::Refused);
            if is_refused || report.sockets == 0 || report.refused > 0 {
                return print_error(1, "the client did not take part as it should: see replayed");
            }
            printed
        }
        Err(error) => print_error(1, &error.to_string()),
    }
}
