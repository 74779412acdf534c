//! API tokens: those of `API_TOKENS`, and rows of tokens that were made over the API.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use crate::http::error::{ApiError, TokenSource};
use crate::model::{ApiTokenId, AppName, AppScope, InstallationId, StoredToken};
use crate::named::named;

/// The most tokens; a longer list is a mistake.
const MAX_TOKENS: usize = 256;
/// The shortest token; a shorter one could be guessed.
const MIN_TOKEN_BYTES: usize = 16;
const MAX_TOKEN_BYTES: usize = 512;
/// The most installations that one token may be bound to.
const MAX_INSTALLATIONS: usize = 256;
/// The most apps that one token may be limited to.
const MAX_APPS: usize = 256;

named! {
    /// What a token permits.
    pub enum Scope {
        /// Read only.
        Read: "read",
        /// Read, and control sessions and streams.
        Control: "control",
        /// Everything.
        Admin: "admin",
        /// Read the metrics only.
        Metrics: "metrics",
    }
}

/// A mistake in `API_TOKENS`, by position: a name in the message could be a token without its colon.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("token {position}: {problem}")]
pub struct TokenMistake {
    pub position: usize,
    pub problem: &'static str,
}

/// The tokens of `API_TOKENS`. Only their hashes are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiTokens {
    tokens: Vec<ApiToken>,
    source: TokenSource,
}

/// One API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiToken {
    /// Unique: that of a stored token ends in its id.
    pub(super) name: Arc<str>,
    pub(super) hash: [u8; 32],
    /// The id of a token that was made over the API.
    pub(super) id: Option<ApiTokenId>,
    /// It is invalid from this time on, Unix milliseconds.
    pub(super) expires_at_ms: Option<i64>,
    pub(super) scopes: Vec<Scope>,
    /// The only installations that the token may use and see; `None` for all.
    pub(super) installations: Option<Arc<[InstallationId]>>,
    /// The apps that the token may use and see.
    pub(super) apps: AppScope,
}

impl ApiTokens {
    /// Parses `name:token` or `name:token:scope+scope#installation+installation@app+app`, in which installations and
    /// apps may be absent, separated by commas. Without scopes, a token may read and control. Reports every mistake, without any value.
    pub fn parse(text: &str) -> Result<Self, Vec<TokenMistake>> {
        let mut tokens: Vec<ApiToken> = Vec::new();
        let mut mistakes = Vec::new();
        let parts = text.split(',').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty());
        for (index, part) in parts {
            match ApiToken::parse(part).and_then(|token| token.beside(&tokens)) {
                Ok(token) => tokens.push(token),
                Err(problem) => mistakes.push(TokenMistake { position: index + 1, problem }),
            }
        }
        if mistakes.is_empty() {
            Ok(Self { tokens, source: TokenSource::Setting })
        } else {
            Err(mistakes)
        }
    }

    /// The same tokens, from the file in the data folder.
    pub fn from_data_dir(self) -> Self {
        Self { source: TokenSource::DataDir, ..self }
    }

    pub fn source(&self) -> TokenSource {
        self.source
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(super) fn all(&self) -> &[ApiToken] {
        &self.tokens
    }

    #[cfg(test)]
    pub(super) fn named(&self, name: &str) -> Option<&ApiToken> {
        self.tokens.iter().find(|token| *token.name == *name)
    }

    #[cfg(test)]
    pub(super) fn find(&self, token: &[u8]) -> Option<&ApiToken> {
        find_token(self.tokens.iter(), token)
    }
}

/// Finds a token. Compares with all of them, so that the time reveals nothing.
pub(super) fn find_token<'a>(
    tokens: impl Iterator<Item = &'a ApiToken>,
    token: &[u8],
) -> Option<&'a ApiToken> {
    // Hashes have one length; `ct_eq` on the tokens themselves would reveal theirs.
    let hash: [u8; 32] = Sha256::digest(token).into();
    let same = |known: &ApiToken| -> Choice { known.hash.ct_eq(&hash) };
    // No early return: the fold visits every token.
    tokens.fold(None, |found, known| if same(known).into() { Some(known) } else { found })
}

impl ApiToken {
    fn parse(text: &str) -> Result<Self, &'static str> {
        // At most three parts: scopes contain no colon, and a fourth part is an unknown scope.
        let mut parts = text.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let token = parts.next().ok_or("has no colon: write name:token")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err("needs a name of A-Z a-z 0-9 _ - . before the colon");
        }
        if token.len() < MIN_TOKEN_BYTES {
            return Err(
                "needs at least 16 characters after the colon: make them with openssl rand -hex 32",
            );
        }
        if token.len() > MAX_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("needs a token of printable ASCII without spaces after the colon");
        }
        let mut known = Self {
            name: name.into(),
            hash: Sha256::digest(token).into(),
            id: None,
            expires_at_ms: None,
            scopes: vec![Scope::Read, Scope::Control],
            installations: None,
            apps: AppScope::All,
        };
        // Split after the second colon, because a token itself may contain `#` and `@`.
        let Some(limits) = parts.next() else { return Ok(known) };
        let (limits, apps) = cut(limits, '@');
        let (scopes, installations) = cut(limits, '#');
        known.scopes = read_scopes(scopes)?;
        known.installations = installations.map(read_installations).transpose()?;
        known.apps = apps.map(read_apps).transpose()?.unwrap_or_default();
        Ok(known)
    }

    /// Reads a stored token; `None` if this version cannot: then it permits nothing.
    pub(super) fn of_stored(stored: &StoredToken) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&stored.hash, &mut hash).ok()?;
        let installations = stored.installations.as_deref().map(read_installations);
        Some(Self {
            name: stored.actor().into(),
            hash,
            id: Some(stored.id),
            expires_at_ms: stored.expires_at_ms,
            scopes: read_scopes(&stored.scopes).ok()?,
            installations: installations.transpose().ok()?,
            apps: stored.apps.clone(),
        })
    }

    /// Whether it is valid at this time.
    pub(super) fn is_valid(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_none_or(|expires_at_ms| now_ms < expires_at_ms)
    }

    fn beside(self, others: &[ApiToken]) -> Result<Self, &'static str> {
        if others.len() >= MAX_TOKENS {
            Err("exceeds the limit of tokens: remove some")
        } else if others.iter().any(|other| other.name == self.name) {
            Err("has the name of an earlier token")
        } else if others.iter().any(|other| other.hash == self.hash) {
            Err("is the same as an earlier token")
        } else {
            Ok(self)
        }
    }

    pub(super) fn check(&self, scope: Scope) -> Result<(), ApiError> {
        let may = self.scopes.iter().any(|own| *own == scope || *own == Scope::Admin);
        if may { Ok(()) } else { Err(ApiError::Forbidden(scope.as_str())) }
    }
}

/// The text before a mark, and the text behind it if it is there.
fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

fn read_scopes(text: &str) -> Result<Vec<Scope>, &'static str> {
    let problem = "has an unknown scope: use read, control, admin or metrics";
    text.split('+').map(|scope| Scope::parse(scope).ok_or(problem)).collect()
}

fn read_installations(text: &str) -> Result<Arc<[InstallationId]>, &'static str> {
    let problem = "needs installation ids after #, separated by +";
    let ids: Vec<_> = text
        .split('+')
        .map(|id| InstallationId::parse(id).ok_or(problem))
        .collect::<Result<_, _>>()?;
    if ids.len() > MAX_INSTALLATIONS { Err("has too many installations") } else { Ok(ids.into()) }
}

fn read_apps(text: &str) -> Result<AppScope, &'static str> {
    let problem = "needs names of apps after @, separated by +";
    let names: Vec<_> =
        text.split('+').map(AppName::parse).collect::<Result<_, _>>().map_err(|_| problem)?;
    if names.len() > MAX_APPS { Err("has too many apps") } else { Ok(AppScope::Only(names.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_reported_without_its_value() {
        let text = "s3cret,ok:s3cret-of-16-bytes1,ok:s3cret-of-16-bytes2,two:s3cret-of-16-bytes1,:s3cret-of-16-bytes3,x:,\
             y:s3 cret of 16 bytes,z:s3cret-of-16-bytes4:root,short:s3cret-of-15-by";
        let mistakes = ApiTokens::parse(text).unwrap_err();
        let positions: Vec<_> = mistakes.iter().map(|mistake| mistake.position).collect();
        assert_eq!(positions, [1, 3, 4, 5, 6, 7, 8, 9]);
        assert!(mistakes.iter().all(|mistake| !mistake.to_string().contains("s3")));
    }

    #[test]
    fn only_hashes_of_tokens_are_kept() {
        let tokens = ApiTokens::parse("a:s3cret-of-16-bytes").unwrap();
        assert!(!format!("{tokens:?}").contains("s3cret"));
    }

    #[test]
    fn a_token_may_be_bound_to_installations() {
        let (one, two) =
            (InstallationId(uuid::Uuid::from_u128(1)), InstallationId(uuid::Uuid::from_u128(2)));
        let text = format!("a:token#of-16-bytesA:control#{one}+{two},b:token-of-16-bytesB:control");
        let tokens = ApiTokens::parse(&text).unwrap();
        assert_eq!(tokens.named("a").unwrap().installations.as_deref(), Some(&[one, two][..]));
        assert_eq!(tokens.named("a").unwrap().scopes, [Scope::Control]);
        assert!(
            tokens.find(b"token#of-16-bytesA").is_some(),
            "a # in a token is an ordinary character"
        );
        assert_eq!(tokens.named("b").unwrap().installations, None);
        for bad in ["#", "#ana", "#+", &format!("#{one}+"), &format!("@app#{one}")] {
            let text = format!("a:token-of-16-bytesA:control{bad}");
            assert_eq!(ApiTokens::parse(&text).unwrap_err().len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_token_may_be_limited_to_apps() {
        let one = InstallationId(uuid::Uuid::from_u128(1));
        let text = format!(
            "a:token@of-16-bytesA:read+control@acme,b:token-of-16-bytesB:admin#{one}@acme+other-2,\
             c:token-of-16-bytesC:admin"
        );
        let tokens = ApiTokens::parse(&text).unwrap();
        let apps = |name: &str| tokens.named(name).unwrap().apps.clone();
        let only = |names: &[&str]| {
            AppScope::Only(names.iter().map(|name| AppName::parse(name).unwrap()).collect())
        };
        assert_eq!(apps("a"), only(&["acme"]));
        assert_eq!(apps("b"), only(&["acme", "other-2"]));
        assert_eq!(apps("c"), AppScope::All);
        assert_eq!(tokens.named("b").unwrap().installations.as_deref(), Some(&[one][..]));
        assert!(
            tokens.find(b"token@of-16-bytesA").is_some(),
            "an @ in a token is an ordinary character"
        );
        let bad: Vec<_> = ["@", "@A", "@acme+", "@+acme", "@acme@other", "@a,b"]
            .iter()
            .enumerate()
            .map(|(n, apps)| format!("t{n}:s3cret-of-16-bytes{n}:read{apps}"))
            .collect();
        let mistakes = ApiTokens::parse(&bad.join(",")).unwrap_err();
        let positions: Vec<_> = mistakes.iter().map(|mistake| mistake.position).collect();
        // The last of them is cut at its comma into `@a`, which is good, and `b`, which is no token.
        assert_eq!(positions, [1, 2, 3, 4, 5, 7]);
        assert!(mistakes.iter().all(|mistake| !mistake.to_string().contains("s3")));
    }
}
