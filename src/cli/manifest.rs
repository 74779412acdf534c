//! `rtmsd manifest`: what to enter for the app in Zoom's Marketplace.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;

use super::{print_error, print_page};
use crate::config::Config;
use crate::http::{app_webhook_path, install_path};
use crate::zoom::app::App;
use crate::zoom::manifest::Manifest;

#[derive(Debug, Args)]
pub(super) struct ManifestArgs {
    /// Only this app; otherwise every app
    #[arg(long)]
    app: Option<String>,
    /// Print the Marketplace's manifest JSON of one app (experimental: Zoom may change its form)
    #[arg(long)]
    json: bool,
}

/// Prints what the configured apps need.
pub(super) fn run(args: &ManifestArgs, config: &Config) -> ExitCode {
    let is_wanted = |app: &&App| args.app.as_deref().is_none_or(|name| app.name.as_str() == name);
    let apps: Vec<&App> = config.apps.iter().filter(is_wanted).collect();
    match &apps[..] {
        [] => print_error(1, "no such app: rtmsd check lists those that are configured"),
        [app] if args.json => print_json(app, config),
        _ if args.json => print_error(1, "name one app with --app: a manifest describes one"),
        apps => print_page(apps.iter().map(|app| list(app, config)).collect::<String>()),
    }
}

fn manifest_of(app: &App, config: &Config) -> Manifest {
    let path = app_webhook_path(&config.webhook_path, app.name.as_str());
    Manifest::of(app, format!("{}{path}", config.install.public_url))
}

fn print_json(app: &App, config: &Config) -> ExitCode {
    match manifest_of(app, config).to_marketplace(app.name.as_str()) {
        Some(manifest) => print_page(format!("{manifest:#}\n")),
        None => {
            print_error(1, "a Video SDK app has no manifest; without --json this lists its events")
        }
    }
}

fn list(app: &App, config: &Config) -> String {
    let manifest = manifest_of(app, config);
    let mut text = format!("app {}\n", app.name);
    match &manifest.webhook_url {
        Some(url) => add_lines(&mut text, "event notification endpoint", [url]),
        None => {
            let how = "with the method WebSocket: its URL is ZOOM_EVENTS_URL";
            add_lines(&mut text, "event subscription", [how]);
        }
    }
    if let Some(redirect_url) = &manifest.redirect_url {
        add_lines(&mut text, "OAuth redirect URL", [redirect_url]);
        let install = format!("{}{}", config.install.public_url, install_path(&app.name));
        add_lines(&mut text, "people install the app at", [install]);
    }
    add_lines(&mut text, "scopes", &manifest.scopes);
    add_lines(&mut text, "events", &manifest.events);
    text
}

fn add_lines(text: &mut String, title: &str, lines: impl IntoIterator<Item: AsRef<str>>) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "  {title}");
    for line in lines {
        let _ = writeln!(text, "    {}", line.as_ref());
    }
}
