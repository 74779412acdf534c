//! Authorization codes, access tokens and refresh tokens, from issue to expiry (section 15; pure).

use std::collections::HashMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::error::TokenError;
use super::pkce::PkceChallenge;
use crate::simulator::report::OAuthReport;
use crate::simulator::settings::OAuthSettings;

/// The most codes, and the most tokens of each kind, that are kept: an authorize loop must not fill the memory.
const MAX_REMEMBERED: usize = 50_000;
/// The length of a token without its dots and prefixes: Zoom's have a kilobyte or more (section 15.2).
const TOKEN_LETTERS: usize = 1_100;
/// The scope of a `client_credentials` token: managing the app's event subscriptions (section 13.5).
const APP_SCOPE: &str = "marketplace:write:event_subscription";

/// The user or program for which a token acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    User(String),
    /// The account, with a server-to-server token (`account_credentials`).
    Account,
    /// The app itself (`client_credentials`).
    App,
}

/// An authorize request that a user allowed.
#[derive(Debug, Clone)]
pub(crate) struct ApprovedRequest {
    pub user_id: String,
    pub redirect_uri: String,
    pub challenge: Option<PkceChallenge>,
}

struct Code {
    approved: ApprovedRequest,
    expires_ms: i64,
    is_used: bool,
}

/// What an access token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub owner: Owner,
    /// Scopes, separated by spaces.
    pub scope: String,
    expires_ms: i64,
}

impl Access {
    /// How long it is still valid.
    pub(crate) fn life(&self, now_ms: i64) -> Duration {
        Duration::from_millis(self.expires_ms.saturating_sub(now_ms).max(0).unsigned_abs())
    }
}

struct Refresh {
    user_id: String,
    expires_ms: i64,
    state: RefreshState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RefreshState {
    Live,
    /// Kept after its use, so that a reuse is recognised and counted.
    Used,
    Revoked,
}

/// The tokens in an answer of the token endpoint.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub access_token: String,
    pub refresh_token: Option<String>,
    pub expires_in: u64,
    pub scope: String,
}

/// Every issued code and token that has not expired.
pub(crate) struct Grants {
    rng: StdRng,
    settings: OAuthSettings,
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    pub report: OAuthReport,
}

impl Grants {
    pub(crate) fn new(settings: OAuthSettings, seed: u64) -> Self {
        Self {
            // A sequence of its own: the number of tokens must not change the ids of meetings.
            rng: StdRng::seed_from_u64(seed ^ 0x0a07),
            settings,
            codes: HashMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            report: OAuthReport::default(),
        }
    }

    /// Issues a code for an allowed request.
    pub(crate) fn issue_code(
        &mut self,
        approved: ApprovedRequest,
        now_ms: i64,
    ) -> Result<String, TokenError> {
        self.codes.retain(|_, code| code.expires_ms > now_ms);
        has_room(self.codes.len())?;
        let code = self.random_letters(32);
        let expires_ms = now_ms + to_millis(self.settings.code_life);
        self.codes.insert(code.clone(), Code { approved, expires_ms, is_used: false });
        self.report.authorizations += 1;
        Ok(code)
    }

    /// Exchanges a code for tokens. The first attempt uses the code up, even if the request is wrong otherwise.
    pub(crate) fn exchange(
        &mut self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
        now_ms: i64,
    ) -> Result<Tokens, TokenError> {
        self.make_room(now_ms)?;
        let known = self.codes.get_mut(code).ok_or(TokenError::CODE)?;
        if known.expires_ms <= now_ms {
            return Err(TokenError::CODE);
        }
        // Marked before the other checks, so that a failed attempt uses the code up.
        if std::mem::replace(&mut known.is_used, true) {
            self.report.reused_codes += 1;
            return Err(TokenError::CODE);
        }
        let approved = known.approved.clone();
        if approved.redirect_uri != redirect_uri {
            return Err(TokenError::REDIRECT_URI);
        }
        if approved.challenge.is_some_and(|challenge| {
            !verifier.is_some_and(|verifier| challenge.is_met_by(verifier))
        }) {
            return Err(TokenError::VERIFIER);
        }
        // A second authorisation revokes the tokens of the first (4741).
        if self.revoke_user(&approved.user_id) {
            self.report.replaced_authorizations += 1;
        }
        self.report.exchanges += 1;
        Ok(self.issue(Owner::User(approved.user_id), now_ms))
    }

    /// Refreshes tokens. The old refresh token stops working, as Zoom rotates it (section 15.3).
    pub(crate) fn refresh(&mut self, token: &str, now_ms: i64) -> Result<Tokens, TokenError> {
        self.make_room(now_ms)?;
        let known = self.refresh.get_mut(token).ok_or(TokenError::TOKEN)?;
        match known.state {
            RefreshState::Used => {
                self.report.reused_refresh_tokens += 1;
                return Err(TokenError::TOKEN);
            }
            RefreshState::Revoked => return Err(TokenError::TOKEN),
            RefreshState::Live if known.expires_ms <= now_ms => return Err(TokenError::TOKEN),
            RefreshState::Live => known.state = RefreshState::Used,
        }
        let user_id = known.user_id.clone();
        self.report.refreshes += 1;
        Ok(self.issue(Owner::User(user_id), now_ms))
    }

    /// Issues a token without a user: for the account or for the app itself.
    pub(crate) fn machine_token(
        &mut self,
        owner: Owner,
        now_ms: i64,
    ) -> Result<Tokens, TokenError> {
        self.make_room(now_ms)?;
        self.report.machine_tokens += 1;
        Ok(self.issue(owner, now_ms))
    }

    /// Forgets expired tokens. Fails if too many are left, before the request uses up its code or refresh token.
    fn make_room(&mut self, now_ms: i64) -> Result<(), TokenError> {
        self.access.retain(|_, access| access.expires_ms > now_ms);
        self.refresh.retain(|_, refresh| refresh.expires_ms > now_ms);
        has_room(self.access.len().max(self.refresh.len()))
    }

    fn issue(&mut self, owner: Owner, now_ms: i64) -> Tokens {
        let (access_token, scope) = (self.random_token(), self.scope(&owner));
        let life = self.settings.access_token_life;
        let refresh_token = match &owner {
            Owner::User(user_id) => Some(self.refresh_token(user_id.clone(), now_ms)),
            Owner::Account | Owner::App => None,
        };
        let access = Access { owner, scope: scope.clone(), expires_ms: now_ms + to_millis(life) };
        self.access.insert(access_token.clone(), access);
        Tokens { access_token, refresh_token, expires_in: life.as_secs(), scope }
    }

    fn refresh_token(&mut self, user_id: String, now_ms: i64) -> String {
        let token = self.random_token();
        let expires_ms = now_ms + to_millis(self.settings.refresh_token_life);
        let refresh = Refresh { user_id, expires_ms, state: RefreshState::Live };
        self.refresh.insert(token.clone(), refresh);
        token
    }

    fn scope(&self, owner: &Owner) -> String {
        match owner {
            Owner::User(_) => self.settings.scopes.join(" "),
            Owner::Account => self
                .settings
                .scopes
                .iter()
                .map(|s| format!("{s}:admin"))
                .collect::<Vec<_>>()
                .join(" "),
            Owner::App => APP_SCOPE.to_owned(),
        }
    }

    /// Looks up a bearer token that has not expired.
    pub(crate) fn access(&self, token: &str, now_ms: i64) -> Option<&Access> {
        self.access.get(token).filter(|access| access.expires_ms > now_ms)
    }

    /// Whether the user has installed the app, that is, holds a live refresh token.
    pub(crate) fn has_installed(&self, user_id: &str, now_ms: i64) -> bool {
        let live =
            |refresh: &Refresh| refresh.state == RefreshState::Live && refresh.expires_ms > now_ms;
        self.refresh.values().any(|refresh| refresh.user_id == user_id && live(refresh))
    }

    /// Revokes every token of the user who owns this token. An unknown token is ignored.
    pub(crate) fn revoke(&mut self, token: &str) {
        self.report.revocations += 1;
        let of_access = self.access.remove(token).map(|access| access.owner);
        let of_refresh = self.refresh.get(token).map(|r| Owner::User(r.user_id.clone()));
        if let Some(Owner::User(user_id)) = of_access.or(of_refresh) {
            self.revoke_user(&user_id);
        }
    }

    /// Revokes every token of a user. Returns whether the user had an authorisation.
    pub(crate) fn revoke_user(&mut self, user_id: &str) -> bool {
        self.access.retain(|_, access| access.owner != Owner::User(user_id.to_owned()));
        let live = self
            .refresh
            .values_mut()
            .filter(|refresh| refresh.user_id == user_id && refresh.state == RefreshState::Live);
        live.map(|refresh| refresh.state = RefreshState::Revoked).count() > 0
    }

    /// Expires every access token before its time.
    pub(crate) fn expire_access_tokens(&mut self) {
        self.access.clear();
    }

    fn random_token(&mut self) -> String {
        // The shape of a JWT: three parts, of which the first two begin like base64 of `{"`.
        let letters = self.random_letters(TOKEN_LETTERS);
        let (head, rest) = letters.split_at(60);
        let (payload, signature) = rest.split_at(rest.len() - 86);
        format!("eyJ{head}.eyJ{payload}.{signature}")
    }

    fn random_letters(&mut self, count: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let letter = |_| char::from(LETTERS[self.rng.random_range(0..LETTERS.len())]);
        (0..count).map(letter).collect()
    }
}

fn has_room(remembered: usize) -> Result<(), TokenError> {
    if remembered < MAX_REMEMBERED { Ok(()) } else { Err(TokenError::FULL) }
}

fn to_millis(life: std::time::Duration) -> i64 {
    // Half of the maximum: the caller adds the current time.
    i64::try_from(life.as_millis()).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_732_313_171_881;
    const URI: &str = "http://127.0.0.1/callback";

    fn grants() -> Grants {
        Grants::new(OAuthSettings::default(), 1)
    }

    fn approved(challenge: Option<PkceChallenge>) -> ApprovedRequest {
        ApprovedRequest { user_id: "u1".to_owned(), redirect_uri: URI.to_owned(), challenge }
    }

    fn installed(grants: &mut Grants) -> Tokens {
        let code = grants.issue_code(approved(None), NOW_MS).unwrap();
        grants.exchange(&code, URI, None, NOW_MS).unwrap()
    }

    #[test]
    fn a_code_works_once_and_for_five_minutes() {
        let mut grants = grants();
        let code = grants.issue_code(approved(None), NOW_MS).unwrap();
        assert!(grants.exchange(&code, URI, None, NOW_MS + 299_999).is_ok());
        assert_eq!(grants.exchange(&code, URI, None, NOW_MS).unwrap_err(), TokenError::CODE);
        assert_eq!(grants.report.reused_codes, 1);
        let late = grants.issue_code(approved(None), NOW_MS).unwrap();
        assert_eq!(
            grants.exchange(&late, URI, None, NOW_MS + 300_000).unwrap_err(),
            TokenError::CODE
        );
    }

    #[test]
    fn an_exchange_needs_the_redirect_uri_of_the_authorize_request() {
        let mut grants = grants();
        let code = grants.issue_code(approved(None), NOW_MS).unwrap();
        let other = grants.exchange(&code, "http://127.0.0.1/other", None, NOW_MS);
        assert_eq!(other.unwrap_err(), TokenError::REDIRECT_URI);
        assert!(grants.exchange(&code, URI, None, NOW_MS).is_err(), "the code is used up");
    }

    #[test]
    fn a_challenge_is_met_only_by_its_verifier() {
        // The pair of RFC 7636, appendix B.
        let (verifier, challenge) = (
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        );
        let mut grants = grants();
        let mut exchange = |challenge: &PkceChallenge, verifier| {
            let code = grants.issue_code(approved(Some(challenge.clone())), NOW_MS).unwrap();
            grants.exchange(&code, URI, verifier, NOW_MS).map(drop)
        };
        let s256 = PkceChallenge::S256(challenge.to_owned());
        assert_eq!(exchange(&s256, Some(verifier)), Ok(()));
        assert_eq!(exchange(&s256, Some(challenge)), Err(TokenError::VERIFIER));
        assert_eq!(exchange(&s256, None), Err(TokenError::VERIFIER));
        let plain = PkceChallenge::Plain("text".to_owned());
        assert_eq!(exchange(&plain, Some("text")), Ok(()));
        assert_eq!(exchange(&plain, Some("other")), Err(TokenError::VERIFIER));
    }

    #[test]
    fn a_refresh_token_is_replaced_and_its_reuse_is_counted() {
        let mut grants = grants();
        let first = installed(&mut grants).refresh_token.unwrap();
        let second = grants.refresh(&first, NOW_MS).unwrap().refresh_token.unwrap();
        assert_ne!(first, second);
        assert_eq!(grants.refresh(&first, NOW_MS).unwrap_err(), TokenError::TOKEN);
        assert_eq!((grants.report.refreshes, grants.report.reused_refresh_tokens), (1, 1));
        assert!(grants.refresh(&second, NOW_MS).is_ok());
    }

    #[test]
    fn a_refresh_token_lives_for_90_days() {
        let mut grants = grants();
        let token = installed(&mut grants).refresh_token.unwrap();
        let days_90 = 90 * 24 * 3_600_000;
        assert_eq!(grants.refresh(&token, NOW_MS + days_90).unwrap_err(), TokenError::TOKEN);
    }

    #[test]
    fn access_tokens_expire_and_a_second_authorisation_revokes_the_first() {
        let mut grants = grants();
        let first = installed(&mut grants);
        let access = first.access_token;
        assert!(access.len() > 1_000);
        assert!(grants.access(&access, NOW_MS + 3_598_999).is_some());
        assert!(grants.access(&access, NOW_MS + 3_599_000).is_none());
        let second = installed(&mut grants);
        assert!(grants.access(&access, NOW_MS).is_none());
        let old = grants.refresh(&first.refresh_token.unwrap(), NOW_MS);
        assert_eq!(old.unwrap_err(), TokenError::TOKEN);
        assert_eq!(
            grants.report.reused_refresh_tokens, 0,
            "a revoked token does not count as reused"
        );
        assert!(grants.access(&second.access_token, NOW_MS).is_some());
    }

    #[test]
    fn revoking_an_access_token_also_revokes_its_refresh_token() {
        let mut grants = grants();
        let tokens = installed(&mut grants);
        assert!(grants.has_installed("u1", NOW_MS));
        grants.revoke(&tokens.access_token);
        assert!(!grants.has_installed("u1", NOW_MS));
        assert!(grants.refresh(&tokens.refresh_token.unwrap(), NOW_MS).is_err());
    }

    #[test]
    fn tokens_without_a_user_have_their_own_scopes_and_no_refresh_token() {
        let mut grants = grants();
        let account = grants.machine_token(Owner::Account, NOW_MS).unwrap();
        assert_eq!(account.refresh_token, None);
        assert!(account.scope.contains("meeting:update:participant_rtms_app_status:admin"));
        let app = grants.machine_token(Owner::App, NOW_MS).unwrap();
        assert_eq!(app.scope, APP_SCOPE);
    }
}
