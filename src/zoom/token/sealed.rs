//! Seals and opens tokens for the columns of their installation's row.

use zeroize::Zeroizing;

use crate::model::InstallationId;
use crate::seal::{Cell, KeyRing, OpenError};
use crate::store::SealedTokens;
use crate::zoom::oauth::Tokens;

const TABLE: &str = "installations";

/// A grant's tokens in clear text.
pub struct OpenTokens {
    pub access: Zeroizing<String>,
    pub refresh: Option<Zeroizing<String>>,
}

/// Seals the tokens that Zoom issued at `now_ms`.
pub fn seal_tokens(
    ring: &KeyRing,
    id: InstallationId,
    tokens: &Tokens,
    now_ms: i64,
) -> SealedTokens {
    let refresh = tokens.refresh.as_ref().map(|token| token.expose().as_str());
    let expires_at_ms = expires_at_ms(tokens, now_ms);
    seal_texts(ring, id, tokens.access.expose(), refresh, expires_at_ms)
}

pub fn open_tokens(
    ring: &KeyRing,
    id: InstallationId,
    sealed: &SealedTokens,
) -> Result<OpenTokens, OpenError> {
    let row = id.to_string();
    let refresh = sealed.refresh.as_deref();
    Ok(OpenTokens {
        access: ring.open(cell(&row, "access_token"), &sealed.access)?,
        refresh: refresh.map(|token| ring.open(cell(&row, "refresh_token"), token)).transpose()?,
    })
}

/// Seals the same tokens with the ring's first key.
pub fn reseal_tokens(
    ring: &KeyRing,
    id: InstallationId,
    sealed: &SealedTokens,
) -> Result<SealedTokens, OpenError> {
    let OpenTokens { access, refresh } = open_tokens(ring, id, sealed)?;
    let refresh = refresh.as_ref().map(|token| token.as_str());
    Ok(seal_texts(ring, id, &access, refresh, sealed.expires_at_ms))
}

/// When an access token that was issued at `now_ms` expires.
pub fn expires_at_ms(tokens: &Tokens, now_ms: i64) -> Option<i64> {
    tokens.expires_in_s.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1000)))
}

fn seal_texts(
    ring: &KeyRing,
    id: InstallationId,
    access: &str,
    refresh: Option<&str>,
    expires_at_ms: Option<i64>,
) -> SealedTokens {
    let row = id.to_string();
    SealedTokens {
        access: ring.seal(cell(&row, "access_token"), access),
        refresh: refresh.map(|token| ring.seal(cell(&row, "refresh_token"), token)),
        expires_at_ms,
    }
}

fn cell<'a>(row: &'a str, column: &'static str) -> Cell<'a> {
    Cell { table: TABLE, row, column }
}
