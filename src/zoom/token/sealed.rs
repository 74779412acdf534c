//! Tokens between memory and the store: sealed to the columns of their installation's row.

use zeroize::Zeroizing;

use crate::model::InstallationId;
use crate::seal::{KeyRing, OpenError, Place};
use crate::store::SealedTokens;
use crate::zoom::oauth::Tokens;

const TABLE: &str = "installations";

/// A grant's tokens in clear.
pub struct OpenTokens {
    pub access: Zeroizing<String>,
    pub refresh: Option<Zeroizing<String>>,
}

/// Seals what Zoom gave at `now_ms`.
pub fn seal(ring: &KeyRing, id: InstallationId, tokens: &Tokens, now_ms: i64) -> SealedTokens {
    let refresh = tokens.refresh.as_ref().map(|token| token.expose().as_str());
    let expires_at_ms = expires_at_ms(tokens, now_ms);
    seal_texts(ring, id, tokens.access.expose(), refresh, expires_at_ms)
}

pub fn open(
    ring: &KeyRing,
    id: InstallationId,
    sealed: &SealedTokens,
) -> Result<OpenTokens, OpenError> {
    let row = id.to_string();
    let refresh = sealed.refresh.as_deref();
    Ok(OpenTokens {
        access: ring.open(place(&row, "access_token"), &sealed.access)?,
        refresh: refresh.map(|token| ring.open(place(&row, "refresh_token"), token)).transpose()?,
    })
}

/// The same tokens under the ring's first key.
pub fn reseal(
    ring: &KeyRing,
    id: InstallationId,
    sealed: &SealedTokens,
) -> Result<SealedTokens, OpenError> {
    let OpenTokens { access, refresh } = open(ring, id, sealed)?;
    let refresh = refresh.as_ref().map(|token| token.as_str());
    Ok(seal_texts(ring, id, &access, refresh, sealed.expires_at_ms))
}

/// When an access token that came at `now_ms` ends.
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
        access: ring.seal(place(&row, "access_token"), access),
        refresh: refresh.map(|token| ring.seal(place(&row, "refresh_token"), token)),
        expires_at_ms,
    }
}

fn place<'a>(row: &'a str, column: &'static str) -> Place<'a> {
    Place { table: TABLE, row, column }
}
