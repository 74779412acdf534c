//! An app at Zoom: its credentials and redirect URL, its tokens and their scopes, and whether it has RTMS.

use std::sync::Arc;

use crate::doctor::Settings;
use crate::doctor::judge::oauth::{self as judge, Bearer, TokenSeen};
use crate::doctor::report::Check;
use crate::model::{Action, Installation, Product};
use crate::seal::random_bytes;
use crate::secret::Secret;
use crate::zoom::api::{StatusChange, change_status_once};
use crate::zoom::app::App;
use crate::zoom::oauth::{OAuth, OAuthError, Tokens as Issued};
use crate::zoom::scopes::needs;
use crate::zoom::token::{Configured, Granted, TokenError, Wanted};

/// The most grants of users that are looked at.
const MAX_GRANTS: u32 = 500;
/// A meeting that cannot exist: numbers of meetings have nine digits or more.
const NO_MEETING: &str = "1";

pub(super) async fn look(settings: &Settings, app: &Arc<App>) -> Vec<Check> {
    if !app.has_users() {
        let why = "an app with only the Video SDK has no OAuth";
        return judge::IDS.map(|id| Check::skipped(id, why)).to_vec();
    }
    let oauth = OAuth::new(settings.zoom.clone());
    // Random, so that an answer cannot be used: the probe does not follow it anyway.
    let (state, verifier) = (hex::encode(random_bytes::<16>()), hex::encode(random_bytes::<32>()));
    let verifier = Secret::new(verifier);
    let (client, redirect, account, users) = tokio::join!(
        oauth.client_credentials(app),
        oauth.ask_for_consent(app, &state, &verifier),
        account_token(&oauth, app),
        users(settings, &oauth, app),
    );
    let account = account.as_ref();
    let own = account.and_then(|issued| issued.as_ref().ok());
    let grants: Vec<&str> = users.grants.iter().map(|grant| &*grant.scope).collect();
    vec![
        judge::client(&client),
        judge::redirect(app, &redirect),
        judge::account(account),
        judge::token(users.token),
        judge::scopes(&needs(app), own.map(|issued| &*issued.scope), &grants),
        rtms(settings, app, users.granted, own).await,
    ]
}

async fn account_token(oauth: &OAuth, app: &App) -> Option<Result<Issued, OAuthError>> {
    let Configured::Account { account_id, client } = &app.configured else { return None };
    Some(oauth.account_credentials(app, account_id, client).await)
}

/// What users have granted, and the newest token among it or the one in the settings.
struct Users {
    grants: Vec<Installation>,
    token: TokenSeen,
    granted: Option<(Bearer, Granted)>,
}

async fn users(settings: &Settings, oauth: &OAuth, app: &Arc<App>) -> Users {
    let none = |token| Users { grants: Vec::new(), token, granted: None };
    let Some(store) = &settings.store else {
        return match fixed_token(app) {
            Some(granted) => with_token(oauth, Vec::new(), Bearer::Other, granted).await,
            None => none(TokenSeen::None("the store, which has the tokens of users, is not open")),
        };
    };
    let grants = match store.connected_installations(&app.name, MAX_GRANTS).await {
        Ok(grants) => grants,
        Err(error) => return none(TokenSeen::Unknown(error.to_string())),
    };
    let Some(newest) = grants.last() else {
        return match fixed_token(app) {
            Some(granted) => with_token(oauth, grants, Bearer::Other, granted).await,
            None => none(TokenSeen::None("nobody has installed the app yet")),
        };
    };
    let Some(tokens) = &settings.tokens else {
        let token = TokenSeen::Unusable("TOKEN_ENCRYPTION_KEYS is not set".to_owned());
        return Users { grants, token, granted: None };
    };
    match tokens.token(&Wanted::Installation(newest.id)).await {
        Ok(granted) => with_token(oauth, grants, Bearer::User, granted).await,
        Err(error) => Users { grants, token: unusable(&error), granted: None },
    }
}

/// The token in the settings.
fn fixed_token(app: &Arc<App>) -> Option<Granted> {
    let Configured::Static(token) = &app.configured else { return None };
    Some(bearer(app, token.clone(), None))
}

fn bearer(app: &Arc<App>, access_token: Secret<String>, api: Option<String>) -> Granted {
    let api_base_url = api.unwrap_or_else(|| app.api_base_url.clone());
    Granted { app: Arc::clone(app), installation: None, access_token, api_base_url }
}

fn unusable(error: &TokenError) -> TokenSeen {
    match error.is_temporary() {
        true => TokenSeen::Unknown(error.to_string()),
        false => TokenSeen::Unusable(error.to_string()),
    }
}

/// Asks Zoom for the user of a token.
async fn with_token(
    oauth: &OAuth,
    grants: Vec<Installation>,
    whose: Bearer,
    granted: Granted,
) -> Users {
    let which = match whose {
        Bearer::User => "the token of the user who installed the app last",
        Bearer::Other => "the token of ZOOM_ACCESS_TOKEN",
    };
    let issued = Issued {
        access: granted.access_token.clone(),
        refresh: None,
        expires_in_s: None,
        scope: String::new(),
        api_base_url: Some(granted.api_base_url.clone()),
    };
    let token = match oauth.user(&granted.app, &issued).await {
        // Zoom knows the token, and minds its scope only.
        Ok(_) | Err(OAuthError::Misconfigured(_)) => TokenSeen::Works(which),
        Err(OAuthError::Dead) => TokenSeen::Rejected(which),
        Err(error) => TokenSeen::Unknown(error.to_string()),
    };
    Users { grants, token, granted: Some((whose, granted)) }
}

/// Asks Zoom to stop the stream of a meeting that cannot exist: what it minds first says whether the app has RTMS.
async fn rtms(
    settings: &Settings,
    app: &Arc<App>,
    of_user: Option<(Bearer, Granted)>,
    account: Option<&Issued>,
) -> Check {
    if !app.serves(Product::Meeting) && !app.serves(Product::Webinar) {
        return Check::skipped(judge::RTMS, "only requests for meetings and webinars show it");
    }
    let of_account = account.map(|issued| {
        (Bearer::Other, bearer(app, issued.access.clone(), issued.api_base_url.clone()))
    });
    let Some((whose, granted)) = of_user.or(of_account) else {
        return judge::rtms::<()>(None);
    };
    let change = StatusChange {
        product: Product::Meeting,
        target: NO_MEETING,
        action: Action::Stop,
        participant_user_id: None,
        host_id: None,
        is_new: false,
    };
    let answer = change_status_once(&settings.zoom, &granted, &change).await;
    judge::rtms(Some((whose, answer)))
}
