//! `rtmsd manifest`: what to enter for the app in Zoom's Marketplace.

use std::process::ExitCode;

use clap::Args;

use super::print_error;
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
        apps => {
            apps.iter().for_each(|app| print_list(app, config));
            ExitCode::SUCCESS
        }
    }
}

fn manifest_of(app: &App, config: &Config) -> Manifest {
    let path = app_webhook_path(&config.webhook_path, app.name.as_str());
    Manifest::of(app, format!("{}{path}", config.install.public_url))
}

fn print_json(app: &App, config: &Config) -> ExitCode {
    match manifest_of(app, config).to_marketplace(app.name.as_str()) {
        Some(manifest) => {
            println!("{manifest:#}");
            ExitCode::SUCCESS
        }
        None => {
            print_error(1, "a Video SDK app has no manifest; without --json this lists its events")
        }
    }
}

fn print_list(app: &App, config: &Config) {
    let manifest = manifest_of(app, config);
    println!("app {}", app.name);
    match &manifest.webhook_url {
        Some(url) => println!("  event notification endpoint\n    {url}"),
        None => println!(
            "  event subscription\n    with the method WebSocket: its URL is ZOOM_EVENTS_URL"
        ),
    }
    if let Some(redirect_url) = &manifest.redirect_url {
        println!("  OAuth redirect URL\n    {redirect_url}");
        let install = install_path(&app.name);
        println!("  people install the app at\n    {}{install}", config.install.public_url);
    }
    print_lines("scopes", manifest.scopes.iter());
    print_lines("events", manifest.events.iter());
}

fn print_lines<'a>(title: &str, lines: impl Iterator<Item = &'a String>) {
    println!("  {title}");
    lines.for_each(|line| println!("    {line}"));
}
