//! The settings of Zoom apps: the app of the variables, and the Video SDK app beside it.

use url::Url;

use super::install::base_url;
use super::read::Reader;
use super::{media, policies, products, read_policy, variables};
use crate::model::{AppName, Product};
use crate::secret::Secret;
use crate::zoom::Credentials;
use crate::zoom::app::{App, VIDEO_APP};
use crate::zoom::token::Configured;

const CALLBACK_PATH: &str = "/api/v1/zoom/oauth/callback";
/// The most secret tokens of an app: rotating one needs two.
const MAX_SECRET_TOKENS: usize = 8;

/// Reads every app. `public_url` is where browsers reach the daemon.
pub(super) fn read_apps(read: &mut Reader<'_>, public_url: Option<&str>) -> Option<Vec<App>> {
    let default = read_app(read, AppName::default(), public_url);
    let video = products::video_sdk(read);
    let (mut default, video) = (default?, video?);
    let Some((client, secret_token)) = video else { return Some(vec![default]) };
    let video = App {
        name: AppName::parse(VIDEO_APP).expect("a short word is a name"),
        products: vec![Product::VideoSdk],
        client,
        secret_tokens: vec![secret_token],
        ..default.clone()
    };
    default.products.retain(|product| *product != Product::VideoSdk);
    Some(vec![default, video])
}

/// Reads one app, under the names of the variables.
fn read_app(read: &mut Reader<'_>, name: AppName, public_url: Option<&str>) -> Option<App> {
    // Read all of them before the first `?`, so that every mistake is found.
    let secret_tokens = secret_tokens(read);
    let client = read_client(read);
    let redirect_url = redirect_url(read, public_url);
    let api = read.text("ZOOM_API_BASE_URL");
    let api_base_url = base_url(read, "ZOOM_API_BASE_URL", &api, true);
    let oauth = read.text("ZOOM_OAUTH_BASE_URL");
    let oauth_base_url = base_url(read, "ZOOM_OAUTH_BASE_URL", &oauth, true);
    let configured = read_configured(read, client.as_ref());
    let video_api = products::video_api(read);
    let handshake_ids = products::handshake_ids(read);
    let params = media::read_params(read);
    let rtms_hosts = read_policy(read);
    let policies = policies::read_policies(read);
    let api_base_url = api_base_url?;
    Some(App {
        name,
        products: Product::ALL.to_vec(),
        client: client?,
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
    })
}

/// Reads the secret tokens, separated by commas.
fn secret_tokens(read: &mut Reader<'_>) -> Option<Vec<Secret<String>>> {
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
