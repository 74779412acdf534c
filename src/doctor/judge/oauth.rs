//! An app at Zoom: its credentials, redirect URL, tokens, scopes, and whether it has RTMS.

use super::sentence;
use crate::doctor::report::Check;
use crate::zoom::app::App;
use crate::zoom::client::ClientError;
use crate::zoom::error::{Problem, ZoomError};
use crate::zoom::oauth::{OAuthError, RedirectAnswer, UNSUPPORTED_GRANT};
use crate::zoom::scopes::{Need, Use, missing};

pub(in crate::doctor) const IDS: [&str; 6] = [CLIENT, REDIRECT, ACCOUNT, TOKEN, SCOPES, RTMS];

pub(in crate::doctor) const CLIENT: &str = "oauth.client";
pub(in crate::doctor) const REDIRECT: &str = "oauth.redirect";
pub(in crate::doctor) const ACCOUNT: &str = "oauth.account";
pub(in crate::doctor) const TOKEN: &str = "oauth.token";
pub(in crate::doctor) const SCOPES: &str = "oauth.scopes";
pub(in crate::doctor) const RTMS: &str = "rtms.enabled";

const LATER: &str = "Look at the checks of network, and at https://status.zoom.us.";

/// A token of the app itself was asked for.
pub(in crate::doctor) fn client<T>(issued: &Result<T, OAuthError>) -> Check {
    match issued {
        Ok(_) => Check::ok(CLIENT, "Zoom accepts the client id and the client secret"),
        Err(OAuthError::Misconfigured(UNSUPPORTED_GRANT)) => {
            let why = "Zoom issues no token to an app of this type itself: the first install shows whether its client \
                       secret is right";
            Check::skipped(CLIENT, why)
        }
        Err(error) if error.is_temporary() => Check::fail(CLIENT, sentence(error), LATER),
        Err(error) => {
            let todo = "Copy ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET again from the app’s page; those for development \
                        and for production differ.";
            Check::fail(CLIENT, sentence(error), todo)
        }
    }
}

/// The consent page was asked for with the app's redirect URL.
pub(in crate::doctor) fn redirect(app: &App, asked: &Result<RedirectAnswer, ClientError>) -> Check {
    let url = &app.redirect_url;
    match asked {
        Ok(RedirectAnswer::Accepted) => Check::ok(REDIRECT, format!("Zoom accepts {url}")),
        Ok(RedirectAnswer::Mismatch) => {
            let seen = format!("Zoom refuses {url}: it is not among the redirect URLs of the app.");
            let todo = "Enter it as OAuth redirect URL and in the allow list of the app, or correct PUBLIC_URL or \
                        ZOOM_OAUTH_REDIRECT_URL. Every character counts.";
            Check::fail(REDIRECT, seen, todo)
        }
        Ok(RedirectAnswer::UnknownClient) => {
            let todo = "Copy ZOOM_CLIENT_ID again from the app’s page.";
            Check::fail(REDIRECT, "Zoom does not know the client id.", todo)
        }
        Ok(RedirectAnswer::Unclear(status)) => {
            let seen = format!("Zoom’s consent page answers {status}.");
            Check::warn(REDIRECT, seen, "Install the app once in a browser to see what it says.")
        }
        Err(error) => Check::fail(REDIRECT, format!("Zoom’s consent page: {error}."), LATER),
    }
}

/// A server-to-server token was asked for; `None` without an account.
pub(in crate::doctor) fn account<T>(issued: Option<&Result<T, OAuthError>>) -> Check {
    match issued {
        None => Check::skipped(ACCOUNT, "ZOOM_ACCOUNT_ID is not set"),
        Some(Ok(_)) => Check::ok(ACCOUNT, "Zoom issues a server-to-server token"),
        Some(Err(error)) if error.is_temporary() => Check::fail(ACCOUNT, sentence(error), LATER),
        Some(Err(error)) => {
            let todo = "Compare ZOOM_ACCOUNT_ID, ZOOM_S2S_CLIENT_ID and ZOOM_S2S_CLIENT_SECRET with the page of the \
                        server-to-server app, and activate it.";
            Check::fail(ACCOUNT, sentence(error), todo)
        }
    }
}

/// What a token was used for that is not issued on request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::doctor) enum TokenSeen {
    /// Why there is none.
    None(&'static str),
    Works(&'static str),
    /// The daemon cannot use it; the text says why.
    Unusable(String),
    Rejected(&'static str),
    Unknown(String),
}

/// The token of a user who installed the app, or the one in the settings.
pub(in crate::doctor) fn token(seen: TokenSeen) -> Check {
    match seen {
        TokenSeen::None(why) => Check::skipped(TOKEN, why),
        TokenSeen::Works(which) => Check::ok(TOKEN, format!("Zoom accepts {which}")),
        TokenSeen::Unusable(why) => {
            let todo =
                "Install the app again. If no key opens the token, correct TOKEN_ENCRYPTION_KEYS.";
            Check::fail(TOKEN, sentence(&why), todo)
        }
        TokenSeen::Rejected(which) => {
            let todo = "Let the user install the app again, or set a new ZOOM_ACCESS_TOKEN.";
            Check::fail(TOKEN, format!("Zoom rejects {which}."), todo)
        }
        TokenSeen::Unknown(error) => Check::warn(TOKEN, sentence(&error), LATER),
    }
}

/// The granted scopes: of the server-to-server token, and of each user who installed the app.
pub(in crate::doctor) fn scopes(needs: &[Need], account: Option<&str>, grants: &[&str]) -> Check {
    let todo = "Add them to the app in Zoom’s Marketplace (rtmsd manifest lists all), then install the app again.";
    let of_calls = needs.iter().filter(|need| need.of == Use::Rest);
    let of_account = account.map(|granted| missing(of_calls, granted)).unwrap_or_default();
    if !of_account.is_empty() {
        let seen = format!("The server-to-server token lacks {}.", of_account.join(", "));
        return Check::fail(SCOPES, seen, todo);
    }
    let lacking: Vec<_> =
        grants.iter().map(|granted| missing(needs, granted)).filter(|it| !it.is_empty()).collect();
    if !lacking.is_empty() {
        let all = needs.iter().map(|need| &*need.scope);
        let names: Vec<&str> =
            all.filter(|scope| lacking.iter().any(|missing| missing.contains(scope))).collect();
        let (some, of) = (lacking.len(), grants.len());
        let seen = format!("Of {of} grants of users, {some} lack {}.", names.join(", "));
        return Check::fail(SCOPES, seen, todo);
    }
    match (account, grants.len()) {
        (None, 0) => {
            Check::skipped(SCOPES, "no token names its scopes: nobody has installed the app")
        }
        (Some(_), 0) => Check::ok(
            SCOPES,
            "the server-to-server token has those of the calls; nobody has installed the app",
        ),
        (_, of) => Check::ok(SCOPES, format!("{of} grants of users have all that is needed")),
    }
}

/// The owner of the token of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::doctor) enum Bearer {
    User,
    /// The account, or an unknown user.
    Other,
}

/// A stop was asked for of a meeting that cannot exist; `None` without a token.
pub(in crate::doctor) fn rtms<T>(asked: Option<(Bearer, Result<T, ZoomError>)>) -> Check {
    let Some((bearer, answer)) = asked else {
        return Check::skipped(RTMS, "there is no token to ask with");
    };
    let Err(error) = answer else { return rtms_ok() };
    let (seen, todo) = (answer_text(&error), sentence(&error.problem.advice()));
    match error.problem {
        // The meeting is the only thing that Zoom minds.
        Problem::MeetingNotLive | Problem::InvalidRequest | Problem::NotHost => rtms_ok(),
        Problem::AppNotAuthorized if bearer == Bearer::Other => {
            let seen =
                format!("{seen} This may only mean that the host has not installed the app.");
            Check::warn(RTMS, seen, todo)
        }
        Problem::RateLimited | Problem::Unavailable | Problem::Refused => {
            Check::warn(RTMS, seen, todo)
        }
        _ => Check::fail(RTMS, seen, todo),
    }
}

fn rtms_ok() -> Check {
    Check::ok(RTMS, "Zoom minds only that the meeting of a trial request does not exist")
}

/// Zoom's answer, by its numbers: its own text may hold names.
fn answer_text(error: &ZoomError) -> String {
    match &error.answer {
        None => "Zoom does not answer a trial request.".to_owned(),
        Some(answer) => {
            let code = answer.code.map(|code| format!(", code {code}")).unwrap_or_default();
            format!("Zoom refuses a trial request with status {}{code}.", answer.status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    fn need(scope: &str, of: Use) -> Need {
        Need { scope: scope.to_owned(), of }
    }

    #[test]
    fn missing_scopes_are_named_once() {
        let needs = [need("a:read:x", Use::Media), need("a:update:y", Use::Rest)];
        let of = |account, grants: &[&str]| scopes(&needs, account, grants);
        assert_eq!(of(None, &[]).status, Status::Skipped);
        assert_eq!(of(Some("a:update:y:admin"), &[]).status, Status::Ok);
        assert_eq!(of(None, &["a:read:x a:update:y"]).status, Status::Ok);
        let account = of(Some("a:read:x"), &[]);
        assert_eq!(account.seen, "The server-to-server token lacks a:update:y.");
        let users = of(None, &["a:read:x a:update:y", "a:read:x", ""]);
        assert_eq!(users.status, Status::Fail);
        assert_eq!(users.seen, "Of 3 grants of users, 2 lack a:read:x, a:update:y.");
    }

    #[test]
    fn a_refused_client_is_not_a_zoom_that_is_away() {
        let of = |error| client::<()>(&Err(error)).status;
        assert_eq!(of(OAuthError::Misconfigured("its client id is wrong")), Status::Fail);
        assert_eq!(of(OAuthError::Misconfigured(UNSUPPORTED_GRANT)), Status::Skipped);
        let away = client::<()>(&Err(OAuthError::Failing(503)));
        assert_eq!(away.todo.as_deref(), Some(LATER));
        assert_eq!(account::<()>(None).status, Status::Skipped);
        assert_eq!(account(Some(&Err::<(), _>(OAuthError::Dead))).status, Status::Fail);
    }

    #[test]
    fn only_a_refusal_of_more_than_the_meeting_speaks_against_rtms() {
        let of = |bearer, status, code: i64| {
            let body = format!(r#"{{"code":{code},"message":"m"}}"#);
            let error = ZoomError::from_answer(status, body.as_bytes(), None, None);
            rtms::<()>(Some((bearer, Err(error)))).status
        };
        assert_eq!(of(Bearer::User, 404, 3001), Status::Ok);
        assert_eq!(of(Bearer::User, 400, 300), Status::Ok);
        assert_eq!(of(Bearer::User, 403, 2310), Status::Fail);
        assert_eq!(of(Bearer::User, 403, 13262), Status::Fail);
        assert_eq!(of(Bearer::Other, 403, 13262), Status::Warn);
        assert_eq!(of(Bearer::Other, 400, 4711), Status::Fail);
        assert_eq!(of(Bearer::User, 503, 0), Status::Warn);
        assert_eq!(rtms::<()>(None).status, Status::Skipped);
        assert_eq!(rtms(Some((Bearer::User, Ok(())))).status, Status::Ok);
    }
}
