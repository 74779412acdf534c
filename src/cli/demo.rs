//! `rtmsd demo`: runs the daemon and the simulator in one process and plays a meeting.

mod show;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::show::Show;
use super::private::keep_files_private;
use super::{print_error, start_logs};
use crate::app::App;
use crate::clock;
use crate::config::Config;
use crate::net::{Resolver, listen};
use crate::rtms::stream::Timings;
use crate::seal::key_file;
use crate::secret::Secret;
use crate::sessions::Leases;
use crate::simulator::{self, Script, Simulator, Start, ZoomApp};
use crate::stdio;
use crate::telemetry::LogSettings;

/// The demo's port, unless another program uses it.
const PORT: u16 = 3000;
const TOKEN_NAME: &str = "demo";
/// The demo's API token. It is no secret: the demo listens on loopback only.
const API_TOKEN: &str = "token-of-the-demo";

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The port on 127.0.0.1 [default: 3000, or any free port]
    #[arg(long)]
    port: Option<u16>,
    /// Where the demo keeps its SQLite file and its recordings
    #[arg(long, default_value = "./data/demo")]
    data_dir: PathBuf,
    /// Play the meeting this many times as fast
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Play this script file (JSON) instead of the built-in meeting
    #[arg(long)]
    script: Option<PathBuf>,
    /// Exit when the meeting has ended, instead of serving its data
    #[arg(long)]
    exit_at_end: bool,
}

pub(super) async fn run(args: DemoArgs, stop: CancellationToken) -> ExitCode {
    start_logs(&LogSettings { level: "warn".to_owned(), ..LogSettings::default() }, None);
    match try_run(args, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => print_error(1, &message),
    }
}

async fn try_run(args: DemoArgs, stop: CancellationToken) -> Result<(), String> {
    // Before anything creates a file.
    keep_files_private();
    let listener = bind_listener(args.port).await?;
    let address = listener.local_addr().map_err(error_text)?;
    // Port 0: the simulator's URL is known before the daemon's settings are built, so no port is guessed.
    let zoom = listen((Ipv4Addr::LOCALHOST, 0).into()).map_err(error_text)?;
    let zoom_url = format!("http://{}", zoom.local_addr().map_err(error_text)?);
    let secrets = Secrets::make();
    let token_key =
        key_file::read_or_make(&args.data_dir, key_file::TOKEN_KEY).map_err(error_text)?;
    let config = demo_config(address, &zoom_url, &args, &secrets, &token_key.value)?;
    let app = App::build(config, Timings::default(), Leases::default(), Resolver::system())
        .await
        .map_err(error_text)?;
    let code = app.sign_in_codes.make(TOKEN_NAME, Instant::now());
    let recordings = args.data_dir.join("recordings");
    let show = Show::new(app.store.clone(), app.hub.clone(), recordings, clock::now_ms());
    // Before the simulator, which validates the daemon's webhook endpoint at once.
    let daemon = tokio::spawn(app.run(listener, stop.clone()));
    let simulator = start_simulator(zoom, address, &args, &secrets).await?;
    let shown = async {
        show::print_banner(address, API_TOKEN, &code, &args.data_dir)?;
        show.run(address, API_TOKEN, &simulator).await
    };
    let shown = stop.run_until_cancelled(shown).await.unwrap_or(Ok(()));
    // What cannot be printed ends the demo: it is for a reader.
    if args.exit_at_end || shown.is_err() {
        stop.cancel();
    }
    // Otherwise the daemon keeps serving the meeting's data until a signal arrives.
    stop.cancelled().await;
    let shown = shown.and_then(|()| stdio::write("\nStopping.\n"));
    simulator.shutdown().await;
    daemon.await.map_err(error_text)?.map_err(error_text)?;
    match shown {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

async fn bind_listener(port: Option<u16>) -> Result<TcpListener, String> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match port {
        Some(port) => bind(port).await.map_err(|error| format!("cannot listen on {port}: {error}")),
        None => match bind(PORT).await {
            // Port 3000 is taken. Only an explicit `--port` makes this an error.
            Ok(listener) => Ok(listener),
            Err(_) => bind(0).await.map_err(error_text),
        },
    }
}

/// The credentials that a real app gets from Zoom's marketplace, new for each run.
struct Secrets {
    client_id: String,
    client_secret: String,
    secret_token: String,
    /// Authorizes calls to Zoom's REST API until a user installs the app.
    access_token: String,
}

impl Secrets {
    fn make() -> Self {
        let random = || Uuid::new_v4().simple().to_string();
        Self {
            client_id: "demo".to_owned(),
            client_secret: random(),
            secret_token: random(),
            access_token: random(),
        }
    }
}

/// The settings that a real daemon would read from its environment.
fn demo_config(
    address: SocketAddr,
    zoom_url: &str,
    args: &DemoArgs,
    secrets: &Secrets,
    token_key: &Secret<String>,
) -> Result<Config, String> {
    let lookup = |name: &str| {
        Some(match name {
            "HOST" => address.ip().to_string(),
            "PORT" => address.port().to_string(),
            "DATA_DIR" => args.data_dir.display().to_string(),
            "API_TOKENS" => format!("{TOKEN_NAME}:{API_TOKEN}:read+control+admin"),
            "ZOOM_CLIENT_ID" => secrets.client_id.clone(),
            "ZOOM_CLIENT_SECRET" => secrets.client_secret.clone(),
            "ZOOM_SECRET_TOKEN" => secrets.secret_token.clone(),
            "PUBLIC_URL" => format!("http://{address}"),
            "ZOOM_API_BASE_URL" | "ZOOM_OAUTH_BASE_URL" => zoom_url.to_owned(),
            "ZOOM_ACCESS_TOKEN" => secrets.access_token.clone(),
            "TOKEN_ENCRYPTION_KEYS" => token_key.expose().clone(),
            // The simulator serves plain `ws://` on loopback, which a real daemon refuses.
            "RTMS_ALLOWED_HOSTS" => "127.0.0.1".to_owned(),
            "RTMS_ALLOW_WS" => "true".to_owned(),
            "RECORD" => "audio,share,transcript,chat".to_owned(),
            "MEDIA_TYPES" => "transcript,audio,chat,share".to_owned(),
            _ => return None,
        })
    };
    Config::from_lookup(lookup).map_err(|errors| errors.to_string())
}

async fn start_simulator(
    listener: TcpListener,
    address: SocketAddr,
    args: &DemoArgs,
    secrets: &Secrets,
) -> Result<Simulator, String> {
    let script = match &args.script {
        None => Script::built_in(),
        Some(path) => Script::read(path).map_err(error_text)?,
    };
    let settings = simulator::Settings {
        app: ZoomApp {
            client_id: secrets.client_id.clone(),
            client_secret: Secret::new(secrets.client_secret.clone()),
            secret_token: Secret::new(secrets.secret_token.clone()),
            webhook_url: Some(format!("http://{address}/webhook")),
            is_server_to_server: false,
        },
        script,
        start: Start::Auto,
        access_token: Some(Secret::new(secrets.access_token.clone())),
        speed: args.speed,
        seed: rand::random(),
        ..simulator::Settings::default()
    };
    simulator::start(settings, listener).await.map_err(error_text)
}

fn error_text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
