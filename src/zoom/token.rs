//! A valid access token for whoever is asked for.

use thiserror::Error;

use crate::model::{Installation, InstallationId};
use crate::secret::Secret;
use crate::store::StoreError;

/// Whose token is wanted.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    Installation(InstallationId),
    For { host_id: Option<&'a str>, account_id: Option<&'a str> },
}

/// A token to use now.
#[derive(Debug, Clone)]
pub struct Granted {
    pub installation: Option<Installation>,
    pub access_token: Secret<String>,
    pub api_base_url: String,
}

#[derive(Debug, Error)]
pub enum TokenError {
    #[error("{0}")]
    Missing(String),
    #[error("installation {0} has to be connected again")]
    NeedsReconnect(InstallationId),
    #[error("installation {0} was revoked")]
    Revoked(InstallationId),
    #[error("no token can be had now: {0}")]
    Unavailable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stand-in: the configured token alone.
pub struct Tokens {
    access_token: Option<Secret<String>>,
    api_base_url: String,
}

impl Tokens {
    pub fn new(access_token: Option<Secret<String>>, api_base_url: String) -> Self {
        Self { access_token, api_base_url }
    }

    pub async fn token(&self, _wanted: &Wanted<'_>) -> Result<Granted, TokenError> {
        let missing = || TokenError::Missing("no installation fits, and no token is set".into());
        let access_token = self.access_token.clone().ok_or_else(missing)?;
        Ok(Granted { installation: None, access_token, api_base_url: self.api_base_url.clone() })
    }

    pub async fn replace(&self, rejected: &Granted) -> Result<Granted, TokenError> {
        Ok(rejected.clone())
    }
}
