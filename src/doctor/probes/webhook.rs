//! The webhook URLs as Zoom calls them: address, certificate, and a signed delivery for each app.

use std::sync::Arc;

use futures_util::future::join_all;

use super::bounded;
use super::network::{addresses, host_and_port};
use crate::doctor::Settings;
use crate::doctor::judge::webhook as judge;
use crate::doctor::report::{Check, Status};
use crate::net::Verifiers;
use crate::net::public_addr::is_public;
use crate::seal::random_bytes;
use crate::tls;
use crate::zoom::app::App;
use crate::zoom::own_validation::validate_own_url;

const NO_WEBHOOKS: &str = "events come over ZOOM_EVENTS_URL";

pub(super) async fn look(settings: &Settings, apps: &[Arc<App>]) -> Vec<Check> {
    let all = [judge::ADDRESS, judge::TLS];
    if apps.iter().all(|app| app.secret_tokens.is_empty()) {
        let skipped = |id| Check::skipped(id, NO_WEBHOOKS);
        return all.into_iter().chain([judge::DELIVERY]).map(skipped).collect();
    }
    let mut checks = bounded(&all, Some(&settings.public_url), server(settings)).await;
    let has_failed =
        checks.iter().any(|check| check.id == judge::TLS && check.status == Status::Fail);
    let deliveries = join_all(apps.iter().map(|app| async move {
        let probe = async { vec![delivery(settings, app, has_failed).await] };
        bounded(&[judge::DELIVERY], Some(app.name.as_str()), probe).await
    }));
    checks.extend(deliveries.await.into_iter().flatten());
    checks
}

/// The address of `PUBLIC_URL` and its certificate.
async fn server(settings: &Settings) -> Vec<Check> {
    let Some((host, port)) = host_and_port(&settings.public_url) else { return Vec::new() };
    let found = addresses(settings, &host, port).await;
    let found = found.map(|all| all.iter().map(|address| address.ip()).collect::<Vec<_>>());
    let found = found.map_err(|error| error.to_string());
    let is_public = found.as_ref().is_ok_and(|all| all.iter().all(|address| is_public(*address)));
    let tls = match settings.public_url.starts_with("https://") {
        true => certificate(settings, &host, port).await,
        false => judge::no_tls(is_public),
    };
    vec![judge::address(&host, &found), tls]
}

async fn certificate(settings: &Settings, host: &str, port: u16) -> Check {
    let daemon = match tls::server_verifier(settings.ca_file.as_deref()) {
        Ok(verifier) => verifier,
        Err(error) => return Check::fail(judge::TLS, format!("{error}."), "Correct CA_FILE."),
    };
    // Without a file nothing can be wrong with it.
    let public = tls::server_verifier(None).unwrap_or_else(|_| Arc::clone(&daemon));
    let verifiers = Verifiers { provider: tls::provider(), public, daemon };
    let now_ms = (settings.now_ms)();
    let presented = settings.network.certificate(host, port, &verifiers, now_ms).await;
    judge::certificate(&presented.map_err(|error| error.to_string()), now_ms)
}

/// `has_failed`: there is no TLS over which something could be delivered.
async fn delivery(settings: &Settings, app: &App, has_failed: bool) -> Check {
    if has_failed {
        return Check::skipped(judge::DELIVERY, "webhook.tls has to pass first");
    }
    let (url, now_ms) = ((settings.webhook_url)(app), (settings.now_ms)());
    match validate_own_url(&settings.zoom, app, &url, now_ms, random_bytes()).await {
        None => Check::skipped(judge::DELIVERY, NO_WEBHOOKS),
        Some(answered) => judge::delivery(&answered),
    }
}
