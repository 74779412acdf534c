//! The command `rtmsd simulate`: its arguments, its help and its output.

mod behaviour;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use self::behaviour::BehaviourArgs;
use super::{
    Consent, Events, OAuthSettings, Report, Script, Settings, Simulator, SimulatorError, Start,
    Timings, Validation, ZoomApp,
};
use crate::net::listen;
use crate::secret::Secret;
use crate::stdio;

/// The most that Zoom's clock may differ: a year.
const MAX_CLOCK_S: i64 = 366 * 24 * 3600;

/// Plays Zoom's side: webhooks, OAuth, REST, signaling and media on one port.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = CONTROL_HELP)]
pub struct SimulateArgs {
    /// The URL to which webhooks are posted, such as http://localhost:3000/webhook
    #[arg(long, value_name = "URL", value_parser = http_url, required_unless_present = "events")]
    webhook_url: Option<String>,
    /// How events reach the apps: by webhook, over a WebSocket that the app opens at the events_url of the ready line, or
    /// each event both ways
    #[arg(long, value_enum, default_value_t = EventsArg::Webhook)]
    events: EventsArg,
    /// The port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Serve wss and https with ca.pem, cert.pem and key.pem in this folder; missing files are generated
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
    /// The host name in wss and https URLs and in a generated certificate; set it when clients run on another machine
    /// or in a container
    #[arg(long, value_name = "HOST", default_value = "localhost", requires = "tls_dir")]
    tls_host: String,
    /// How many meetings to play at once
    #[arg(long, default_value_t = 1)]
    meetings: u32,
    /// A script of what happens in a meeting; by default a built-in conversation
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// End every meeting after this many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// Play the script this many times as fast
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Divide Zoom's waits by this number: keep-alives, reconnect windows, webhook retries, URL validations
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
    /// What starts a stream: the meeting itself, or a REST call
    #[arg(long, value_enum, default_value_t = StartArg::Auto)]
    start: StartArg,
    /// A user who brings every app to the meeting, repeatable: each gets a stream of their own; by default the host
    #[arg(long = "operator", value_name = "USER_ID")]
    operators: Vec<String>,
    #[command(flatten)]
    behaviour: BehaviourArgs,
    /// Send events without validating the webhook URL first
    #[arg(long)]
    skip_url_validation: bool,
    // Boxed, because the other commands have few arguments (clippy's large_enum_variant).
    #[command(flatten)]
    app: Box<AppArgs>,
    /// How far Zoom's clock is ahead of this machine's; negative if it is behind. Shifts the dates of answers and the
    /// timestamps of webhooks
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(-MAX_CLOCK_S..=MAX_CLOCK_S))]
    clock_ahead_seconds: i64,
    /// Keep a log of every frame, for GET /simulator/streams/{id}/frames
    #[arg(long)]
    remember_frames: bool,
    /// The seed of every id: the same seed repeats the ids of an earlier run; random by default
    #[arg(long)]
    seed: Option<u64>,
}

/// The configuration of the Zoom app.
#[derive(Debug, Clone, Args)]
struct AppArgs {
    #[arg(long, default_value = "demoClientId01")]
    client_id: String,
    #[arg(long, default_value = "demoClientSecret01")]
    client_secret: String,
    #[arg(long, default_value = "demoSecretToken01")]
    secret_token: String,
    /// A further app in the same meetings, as JSON with client_id, client_secret, secret_token and webhook_url; repeatable.
    /// With "server_to_server": true it gets tokens of the account only, and has no streams except of engagements
    #[arg(long = "app", value_name = "JSON", value_parser = parse_app)]
    more_apps: Vec<ZoomApp>,
    /// A bearer token that REST accepts
    #[arg(long, value_name = "TOKEN")]
    access_token: Option<String>,
    /// What the authorize page does: ask the user, or redirect at once
    #[arg(long, value_enum, default_value_t = ConsentArg::Ask)]
    consent: ConsentArg,
    /// A redirect URI of the app, repeatable; by default every http and https URL is allowed
    #[arg(long = "redirect-uri", value_name = "URL")]
    redirect_uris: Vec<String>,
    /// The lifetime of an access token
    #[arg(long, value_name = "SECONDS", default_value_t = 3599)]
    access_token_seconds: u64,
}

const CONTROL_HELP: &str = "\
While it runs, the simulator offers an API at the control_url of the ready line:
  GET  /simulator/report                    what was sent and received, and protocol breaches
  GET  /simulator/meetings                  the live meetings, with their streams
  POST /simulator/meetings                  open one more meeting
  POST /simulator/meetings/{id}/{verb}      perform an action on a meeting or its stream
  POST /simulator/event_socket              plan a fault of the event socket: {\"how\":\"silence\"}
    (refuse, reject, drop, close, silence, replace; with --events)
  POST /simulator/calls                     make calls fail: {\"call\":\"status\",\"how\":\"rate_limit\"}
  GET  /simulator/streams/{id}/frames       every frame (with --remember-frames)
  GET  /simulator/users                     who can install the app
  POST /simulator/users/{id}/deauthorize    remove the app for a user
  POST /simulator/tokens/expire             expire every access token
With several apps, ?client_id= limits an action to the streams of one app.
The verbs are the kinds of `fault` in a script file, and the body holds the other fields of the
fault. Some of them:
  start, stop {\"reason\":8}, pause, resume, interrupt, fail_over, repeat_announcement, end,
  cut {\"link\":\"audio\",\"how\":\"reset\"}, stall {\"link\":\"signaling\",\"for_ms\":5000},
  stop_keep_alives {\"link\":\"media\"}, deauthorize {\"user_id\":\"u-ana\"},
  fail_handshakes {\"link\":\"signaling\",\"count\":3,\"how\":{\"refuse\":{\"status\":8}}}
    (how: silent, drop, {\"slow\":{\"for_ms\":5000}}),
  quirk {\"name\":\"binary_frames\",\"on\":true}
Quirks: no_protocol_version, unknown_fields, text_user_ids, text_timestamps, second_timestamps,
  renamed_reasons, event_codes, payload_encryption, plain_content, media_errors_in_2,
  nested_webhooks, duplicate_webhooks, stop_before_start, dead_url, no_terminated_state,
  open_after_error, large_frames, binary_frames, fragmented_frames
To install the app without a browser, add simulator_decision=allow (or deny) and simulator_user=ID
to the query of authorize_url, or use --consent.";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StartArg {
    Auto,
    Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EventsArg {
    Webhook,
    Websocket,
    Both,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ConsentArg {
    Ask,
    Allow,
    Deny,
}

impl From<ConsentArg> for Consent {
    fn from(consent: ConsentArg) -> Self {
        match consent {
            ConsentArg::Ask => Self::Ask,
            ConsentArg::Allow => Self::Allow,
            ConsentArg::Deny => Self::Deny,
        }
    }
}

/// The outcome of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every client followed the protocol: exit 0.
    Clean,
    /// A client broke the protocol, or the endpoint failed the URL validation: exit 1.
    Breached,
}

impl SimulateArgs {
    fn settings(self) -> Result<(Settings, u16), SimulatorError> {
        let script = match &self.script {
            Some(path) => Script::read(path)?,
            None => Script::built_in(),
        };
        let app = *self.app;
        if self.events != EventsArg::Websocket && self.webhook_url.is_none() {
            return Err(SimulatorError::Setting("--events webhook and both need --webhook-url"));
        }
        let mut settings = Settings {
            app: ZoomApp {
                client_id: app.client_id,
                client_secret: Secret::new(app.client_secret),
                secret_token: Secret::new(app.secret_token),
                webhook_url: self.webhook_url,
                is_server_to_server: false,
            },
            more_apps: app.more_apps,
            operators: self.operators,
            events: match self.events {
                EventsArg::Webhook => Events::Webhook,
                EventsArg::Websocket => Events::WebSocket,
                EventsArg::Both => Events::Both,
            },
            skip_url_validation: self.skip_url_validation,
            script,
            meetings: self.meetings,
            start: match self.start {
                StartArg::Auto => Start::Auto,
                StartArg::Rest => Start::Rest,
            },
            speed: self.speed,
            timings: Timings { time_scale: self.time_scale, ..Timings::default() },
            seconds: self.seconds,
            access_token: app.access_token.map(Secret::new),
            oauth: OAuthSettings {
                consent: app.consent.into(),
                redirect_uris: app.redirect_uris,
                access_token_life: Duration::from_secs(app.access_token_seconds),
                ..OAuthSettings::default()
            },
            tls_dir: self.tls_dir,
            tls_host: self.tls_host,
            // 32 bits: a JSON parser may keep only 53 bits of the number in the ready line.
            seed: self.seed.unwrap_or_else(|| rand::random::<u32>().into()),
            clock_ahead_ms: self.clock_ahead_seconds * 1000,
            remembers_frames: self.remember_frames,
            ..Settings::default()
        };
        self.behaviour.apply(&mut settings);
        Ok((settings, self.port))
    }
}

/// Runs until every meeting has ended or `stop` completes. Prints one JSON line when ready and one at the end; a reader may
/// leave after the first.
pub async fn command(
    args: SimulateArgs,
    stop: impl Future<Output = ()>,
) -> Result<Verdict, SimulatorError> {
    let (settings, port) = args.settings()?;
    let seed = settings.seed;
    // Loopback only: the simulator's API needs no credentials.
    let listener = listen((Ipv4Addr::LOCALHOST, port).into())?;
    let simulator = super::start(settings, listener).await?;
    stdio::print(format!("{}\n", ready_line(&simulator, seed)))?;
    tokio::select! {
        () = stop => {}
        () = simulator.finished() => {}
        () = endpoint_refused(&simulator) => {}
    }
    let report = simulator.shutdown().await;
    if nobody_joined(&report) {
        tracing::warn!(
            "no client joined a stream; the client's log says why. If the client is rtmsd, set \
            RTMS_ALLOWED_HOSTS and RTMS_ALLOW_WS for the simulator"
        );
    }
    let clean = report.is_clean();
    stdio::print(format!("{}\n", json!({"ended": report})))?;
    Ok(if clean { Verdict::Clean } else { Verdict::Breached })
}

/// Completes when the endpoint has failed the first URL validation, because then no event is ever sent.
async fn endpoint_refused(simulator: &Simulator) {
    if simulator.validated().await != Validation::Refused {
        std::future::pending().await
    }
}

/// Whether no client connected to any stream, although the endpoint received the webhooks.
fn nobody_joined(report: &Report) -> bool {
    report.webhooks.validation != Some(Validation::Refused)
        && report.streams.iter().all(|stream| stream.signaling_handshakes == 0)
}

/// Accepts an absolute http or https URL.
pub fn http_url(text: &str) -> Result<String, &'static str> {
    match Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(text.to_owned()),
        _ => Err("must start with http:// or https://, as in http://localhost:3000/webhook"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppJson {
    client_id: String,
    client_secret: String,
    secret_token: String,
    webhook_url: Option<String>,
    #[serde(default)]
    server_to_server: bool,
}

fn parse_app(text: &str) -> Result<ZoomApp, String> {
    let app: AppJson = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let webhook_url = app.webhook_url.map(|url| http_url(&url)).transpose()?;
    Ok(ZoomApp {
        client_id: app.client_id,
        client_secret: Secret::new(app.client_secret),
        secret_token: Secret::new(app.secret_token),
        webhook_url,
        is_server_to_server: app.server_to_server,
    })
}

fn ready_line(simulator: &Simulator, seed: u64) -> serde_json::Value {
    json!({"ready": {
        "seed": seed,
        "base_url": simulator.base_url(),
        "authorize_url": simulator.authorize_url(),
        "token_url": simulator.token_url(),
        "control_url": simulator.control_url(),
        "signaling_url": simulator.signaling_url(),
        "events_url": simulator.events_url(),
        "ca_file": simulator.tls_files().map(|files| files.ca.display().to_string()),
    }})
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::StreamReport;
    use super::*;
    use crate::model::Medium;
    use crate::simulator::{Duplicates, Quirk};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn settings(more: &[&str]) -> Settings {
        let start = ["simulate", "--webhook-url", "http://localhost:3000/webhook"];
        let cli = Cli::try_parse_from(start.iter().chain(more)).unwrap();
        cli.args.settings().unwrap().0
    }

    #[test]
    fn what_zoom_allows_and_how_it_answers_can_be_set() {
        let settings = settings(&[
            "--scopes",
            "audio,chat",
            "--split-only",
            "--lenient-params",
            "--hosts-only",
            "--rest-success",
            "202",
            "--close-code",
            "4000",
            "--duplicates",
            "kick",
        ]);
        assert_eq!(settings.scopes, [Medium::Audio, Medium::Chat]);
        assert!(!settings.offer_all && settings.lenient_params && settings.hosts_only);
        assert_eq!((settings.rest_success, settings.close_code), (202, 4000));
        assert_eq!(settings.duplicates, Duplicates::Kick);
    }

    #[test]
    fn a_run_without_a_seed_gets_a_random_one() {
        assert_eq!(settings(&["--seed", "7"]).seed, 7);
        assert!((0..4).any(|_| settings(&[]).seed != settings(&[]).seed), "seeds are random");
    }

    #[test]
    fn a_webhook_url_is_http_or_https() {
        for good in ["http://localhost:3000/webhook", "https://rtms.example.com/hook"] {
            assert_eq!(http_url(good).as_deref(), Ok(good));
        }
        for bad in
            ["localhost:3000/webhook", "127.0.0.1:3000", "ws://localhost:3000", "/webhook", ""]
        {
            assert!(http_url(bad).unwrap_err().contains("http://"), "{bad}");
        }
    }

    #[test]
    fn a_run_that_no_client_joined_is_detected() {
        let mut report = Report { streams: vec![StreamReport::default(); 2], ..Report::default() };
        assert!(nobody_joined(&report));
        report.webhooks.validation = Some(Validation::Refused);
        assert!(!nobody_joined(&report), "a refused endpoint explains it");
        report.webhooks.validation = Some(Validation::Passed);
        report.streams[1].signaling_handshakes = 1;
        assert!(!nobody_joined(&report));
    }

    #[test]
    fn the_help_lists_exactly_the_quirks() {
        let (_, list) = CONTROL_HELP.split_once("Quirks: ").unwrap();
        let (list, _) = list.split_once("\nTo ").unwrap();
        let quirks: Vec<Quirk> =
            list.split(',').map(|name| Quirk::parse(name.trim()).unwrap()).collect();
        assert_eq!(quirks.len(), 19);
        assert_eq!(
            *quirks.last().unwrap() as usize,
            quirks.len() - 1,
            "the list ends with the last variant"
        );
    }
}
