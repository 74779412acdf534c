//! The settings of Zoom apps: the app of the variables, the Video SDK app beside it, and the apps of `ZOOM_APPS`.

mod described;
mod fields;
mod list;

use url::Url;

use self::list::{List, read_list};
use super::install::base_url;
use super::read::Reader;
use super::{media, policies, products, quotas, read_policy, record, retention, variables};
use crate::model::{AppName, Product};
use crate::rtms::endpoint::Policy;
use crate::secret::Secret;
use crate::zoom::Credentials;
use crate::zoom::app::{App, OwnRecordings, VIDEO_APP};
use crate::zoom::event_socket::EventsUrl;
use crate::zoom::token::Configured;

pub use self::described::AppDefaults;
pub(super) use self::fields::{FIELDS, LeftOut, RECORDINGS_LAYOUT, RECORDINGS_URL};

const CALLBACK_PATH: &str = "/api/v1/zoom/oauth/callback";
/// The most secret tokens of an app: rotating one needs two.
const MAX_SECRET_TOKENS: usize = 8;

/// Every app, and what further apps have in common with them.
pub(super) struct ReadApps {
    pub apps: Vec<App>,
    pub defaults: AppDefaults,
}

/// Reads every app: those of the variables, and those of `ZOOM_APPS`. `public_url` is where browsers reach the daemon.
pub(super) fn read_apps(read: &mut Reader<'_>, public_url: Option<&str>) -> Option<ReadApps> {
    let list = read_list(read);
    let is_set = |name| described::is_set(read.environment(), variables::find_variable(name));
    let has_default =
        ["ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET", "ZOOM_SECRET_TOKEN", "ZOOM_EVENTS_URL"]
            .map(is_set);
    let has_video = products::VIDEO_NAMES.iter().any(|name| is_set(name));
    let is_empty = |list: &List| list.apps.is_empty() && list.is_whole;
    let is_default_needed = list.as_ref().is_some_and(is_empty);
    let names_video = |list: &List| list.apps.iter().any(|(name, _)| name.as_str() == VIDEO_APP);
    let shares_video = list.as_ref().is_some_and(names_video);
    let default = match is_default_needed || has_default.contains(&true) || has_video {
        true => Some(read_of_variables(read, public_url, shares_video)),
        false => None,
    };
    let defaults = AppDefaults::of(read.environment(), public_url.unwrap_or_default());
    let mut taken = Vec::new();
    if default.is_some() {
        taken.push((AppName::DEFAULT, "ZOOM_CLIENT_ID"));
    }
    if has_video {
        taken.push((VIDEO_APP, "ZOOM_VIDEO_SDK_KEY"));
    }
    let further = read_further(read, list?, &taken, &defaults);
    let mut apps = default.unwrap_or_else(|| Some(Vec::new()))?;
    apps.extend(further?);
    check_events_urls(read, &apps);
    Some(ReadApps { apps, defaults })
}

/// Zoom keeps one connection of a subscription: two apps with one URL would end each other's.
fn check_events_urls(read: &mut Reader<'_>, apps: &[App]) {
    for (index, app) in apps.iter().enumerate().filter(|(_, app)| app.events_url.is_some()) {
        if let Some(other) = apps[..index].iter().find(|it| it.events_url == app.events_url) {
            let problem = format!(
                "the apps {} and {} have the same: each app has a subscription of its own",
                other.name, app.name
            );
            read.mistake("ZOOM_EVENTS_URL", problem);
        }
    }
}

/// Reads the app of the variables, and the Video SDK app beside it. With an app for the Video SDK, here or in a list
/// (`shares_video`), the app of the variables serves the other products.
fn read_of_variables(
    read: &mut Reader<'_>,
    public_url: Option<&str>,
    shares_video: bool,
) -> Option<Vec<App>> {
    let default = read_app(read, AppName::default(), public_url);
    let video = products::video_sdk(read);
    let (mut default, video) = (default?, video?);
    // For the app `default` these variables set the daemon's own destination.
    default.recordings = OwnRecordings::default();
    if shares_video || video.is_some() {
        default.products.retain(|product| *product != Product::VideoSdk);
    }
    let Some((client, secret_token)) = video else { return Some(vec![default]) };
    let video = App {
        name: AppName::parse(VIDEO_APP).expect("a short word is a name"),
        products: vec![Product::VideoSdk],
        client,
        // The subscription is the other app's.
        events_url: None,
        secret_tokens: vec![secret_token],
        ..default.clone()
    };
    Some(vec![default, video])
}

/// Reads the apps of a list. `taken` are the names that variables describe already, each with one of them.
fn read_further(
    read: &mut Reader<'_>,
    list: List,
    taken: &[(&str, &str)],
    defaults: &AppDefaults,
) -> Option<Vec<App>> {
    let (count, is_whole, mut apps) = (list.apps.len(), list.is_whole, Vec::new());
    for (name, fields) in list.apps {
        let taken = taken.iter().find(|(taken, _)| *taken == name.as_str());
        if let Some((_, variable)) = taken {
            let problem =
                format!("app {name} is described by {variable} already: remove one of them");
            read.mistake(list.setting, problem);
        }
        match defaults.describe(&name, &fields) {
            Ok(app) if taken.is_none() => apps.push(app),
            Ok(_) => {}
            Err(mistakes) => {
                for mistake in mistakes {
                    read.mistake(list.setting, format!("app {name}: {mistake}"));
                }
            }
        }
    }
    (is_whole && apps.len() == count).then_some(apps)
}

/// Reads one app, under the names of the variables.
fn read_app(read: &mut Reader<'_>, name: AppName, public_url: Option<&str>) -> Option<App> {
    // Read all of them before the first `?`, so that every mistake is found.
    let rtms_hosts = read_policy(read);
    let events_url = events_url(read, rtms_hosts.as_ref());
    let secret_tokens = secret_tokens(read);
    let client = read_client(read);
    let redirect_url = redirect_url(read, public_url);
    let api = read.text("ZOOM_API_BASE_URL");
    let api_base_url = base_url(read, "ZOOM_API_BASE_URL", &api, true);
    let oauth = read.text("ZOOM_OAUTH_BASE_URL");
    let oauth_base_url = base_url(read, "ZOOM_OAUTH_BASE_URL", &oauth, true);
    let configured = read_configured(read, client.as_ref());
    let video_api = products::video_api(read);
    let products = products::served(read);
    let handshake_ids = products::handshake_ids(read);
    let params = media::read_params(read);
    let policies = policies::read_policies(read);
    let quotas = quotas::read_quotas(read);
    let retention = retention::read_settings(read);
    let recordings = record::read_own(read);
    let api_base_url = api_base_url?;
    Some(App {
        name,
        products: products?,
        client: client?,
        events_url: events_url?,
        secret_tokens: secret_tokens?,
        redirect_url: redirect_url?,
        configured,
        video_api: video_api?,
        oauth_base_url: oauth_base_url?,
        // With another base URL, such as a simulator's, tokens must not lead to Zoom.
        api_is_fixed: api_base_url != variables::find_variable("ZOOM_API_BASE_URL").default,
        api_base_url,
        rtms_hosts: rtms_hosts?,
        params: params?,
        handshake_ids: handshake_ids?,
        policies: policies?,
        quotas: quotas?,
        retention: retention?,
        recordings: recordings?,
    })
}

/// Reads the URL of the event subscription. Its host is restricted like those of streams: it gets a token of the app.
fn events_url(read: &mut Reader<'_>, hosts: Option<&Policy>) -> Option<Option<EventsUrl>> {
    let Some(text) = read.optional("ZOOM_EVENTS_URL") else { return Some(None) };
    // Without hosts, a mistake in them is reported.
    match EventsUrl::parse(&text, hosts?) {
        Ok(url) => Some(Some(url)),
        Err(problem) => read.wrong(
            "ZOOM_EVENTS_URL",
            format!("the URL from the app's page, such as wss://ws.zoom.us/ws?subscriptionId=…; it {problem}"),
        ),
    }
}

/// Reads the secret tokens, separated by commas. An app whose events come over a WebSocket needs none.
fn secret_tokens(read: &mut Reader<'_>) -> Option<Vec<Secret<String>>> {
    let is_set = |name| described::is_set(read.environment(), variables::find_variable(name));
    if is_set("ZOOM_EVENTS_URL") && !is_set("ZOOM_SECRET_TOKEN") {
        return Some(Vec::new());
    }
    let text = read.required("ZOOM_SECRET_TOKEN")?;
    let tokens = text.split(',').map(str::trim).filter(|token| !token.is_empty());
    let tokens: Vec<_> = tokens.map(|token| Secret::new(token.to_owned())).collect();
    match tokens.len() {
        1..=MAX_SECRET_TOKENS => Some(tokens),
        _ => read.wrong(
            "ZOOM_SECRET_TOKEN",
            format!("1 to {MAX_SECRET_TOKENS} secret tokens, separated by commas"),
        ),
    }
}

fn read_client(read: &mut Reader<'_>) -> Option<Credentials> {
    let id = read.required("ZOOM_CLIENT_ID");
    let secret = read.secret("ZOOM_CLIENT_SECRET");
    Some(Credentials { id: id?, secret: secret? })
}

/// Keeps the URL exactly as written, because Zoom compares it with the registered one.
fn redirect_url(read: &mut Reader<'_>, public_url: Option<&str>) -> Option<String> {
    let Some(text) = read.optional("ZOOM_OAUTH_REDIRECT_URL") else {
        return Some(format!("{}{CALLBACK_PATH}", public_url?));
    };
    let is_web = |url: &Url| ["http", "https"].contains(&url.scheme()) && url.fragment().is_none();
    match Url::parse(&text).ok().filter(is_web) {
        Some(_) => Some(text),
        None => read.wrong("ZOOM_OAUTH_REDIRECT_URL", "an https:// or http:// URL"),
    }
}

fn read_configured(read: &mut Reader<'_>, client: Option<&Credentials>) -> Configured {
    let id = read.optional("ZOOM_S2S_CLIENT_ID");
    let secret = read.optional("ZOOM_S2S_CLIENT_SECRET").map(Secret::new);
    let token = read.optional("ZOOM_ACCESS_TOKEN");
    let own = match (id, secret) {
        (Some(id), Some(secret)) => Some(Credentials { id, secret }),
        (None, None) => client.cloned(),
        (Some(_), None) => read.wrong("ZOOM_S2S_CLIENT_SECRET", "set with ZOOM_S2S_CLIENT_ID"),
        (None, Some(_)) => read.wrong("ZOOM_S2S_CLIENT_ID", "set with ZOOM_S2S_CLIENT_SECRET"),
    };
    match (read.optional("ZOOM_ACCOUNT_ID"), own, token) {
        // Before the ready token, which expires after an hour.
        (Some(account_id), Some(client), _) => Configured::Account { account_id, client },
        (_, _, Some(token)) => Configured::Static(Secret::new(token)),
        _ => Configured::None,
    }
}

#[cfg(test)]
mod tests;
