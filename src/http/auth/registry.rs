//! The tokens that are valid now: those of the configuration, and those of the store, which are read again every second.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::tokens::{ApiToken, ApiTokens, find_token};
use crate::http::error::TokenSource;
use crate::model::ApiTokenId;
use crate::store::Store;

/// After this time, a token that another daemon made or deleted is noticed.
const REREAD: Duration = Duration::from_secs(1);
/// How long a request waits for the store; after that, the tokens of the last read count.
const READ_LIMIT: Duration = Duration::from_secs(1);
/// How long a use of a token is not written again.
const USE_INTERVAL_MS: i64 = 60_000;

/// The API tokens of this daemon. Cheap to clone.
#[derive(Clone)]
pub struct TokenRegistry(Arc<Inner>);

struct Inner {
    configured: RwLock<Arc<ApiTokens>>,
    stored: Mutex<Stored>,
}

#[derive(Default)]
struct Stored {
    tokens: Arc<[ApiToken]>,
    /// `None` before the first read, and after a change by this daemon.
    read_at: Option<Instant>,
    /// When each token's use was last written.
    used: HashMap<ApiTokenId, i64>,
}

/// The tokens at one moment.
pub(in crate::http) struct KnownTokens {
    configured: Arc<ApiTokens>,
    stored: Arc<[ApiToken]>,
    now_ms: i64,
}

impl TokenRegistry {
    pub fn new(configured: ApiTokens) -> Self {
        let configured = RwLock::new(Arc::new(configured));
        Self(Arc::new(Inner { configured, stored: Mutex::default() }))
    }

    /// Replaces the configured tokens, after the settings were read again: those that are not among them are refused
    /// from now on. True if they differ.
    pub fn configure(&self, configured: ApiTokens) -> bool {
        let mut current = self.0.configured.write().expect("no holder of this lock panics");
        let is_new = **current != configured;
        *current = Arc::new(configured);
        is_new
    }

    fn configured(&self) -> Arc<ApiTokens> {
        Arc::clone(&self.0.configured.read().expect("no holder of this lock panics"))
    }

    /// Where the configured tokens are from.
    pub fn source(&self) -> TokenSource {
        self.configured().source()
    }

    /// The tokens that are valid at `now_ms`.
    pub(in crate::http) async fn known(&self, store: &Store, now_ms: i64) -> KnownTokens {
        let mut stored = self.0.stored.lock().await;
        if stored.read_at.is_none_or(|read_at| read_at.elapsed() >= REREAD) {
            stored.read(store).await;
        }
        KnownTokens { configured: self.configured(), stored: Arc::clone(&stored.tokens), now_ms }
    }

    /// Call after a change: the next request reads the store.
    pub(in crate::http) async fn forget(&self) {
        self.0.stored.lock().await.read_at = None;
    }

    /// Whether a use of this token is to be written: once a minute.
    pub(super) async fn takes_note(&self, id: ApiTokenId, now_ms: i64) -> bool {
        let used = &mut self.0.stored.lock().await.used;
        let last_ms = used.get(&id).copied();
        // A clock that was set back must not keep uses from being written.
        let is_due = last_ms.is_none_or(|last_ms| (now_ms - last_ms).abs() >= USE_INTERVAL_MS);
        if is_due {
            used.insert(id, now_ms);
        }
        is_due
    }
}

impl Stored {
    async fn read(&mut self, store: &Store) {
        match timeout(READ_LIMIT, store.api_tokens()).await {
            Ok(Ok(rows)) => {
                self.tokens = rows.iter().filter_map(ApiToken::of_stored).collect();
                self.used.retain(|id, _| self.tokens.iter().any(|token| token.id == Some(*id)));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not read the API tokens; those of the last read count");
            }
            Err(_) => {
                tracing::warn!(
                    "the store took too long for the API tokens; those of the last read count"
                );
            }
        }
        self.read_at = Some(Instant::now());
    }
}

impl KnownTokens {
    /// Finds a valid token, in the same time for every text.
    pub(super) fn find(&self, token: &[u8]) -> Option<&ApiToken> {
        find_token(self.all(), token).filter(|found| found.is_valid(self.now_ms))
    }

    /// The valid token of this name.
    pub(super) fn named(&self, name: &str) -> Option<&ApiToken> {
        let named = self.all().find(|token| *token.name == *name);
        named.filter(|found| found.is_valid(self.now_ms))
    }

    /// The hash of the valid token of this name.
    pub(in crate::http) fn hash_of(&self, name: &str) -> Option<[u8; 32]> {
        self.named(name).map(|token| token.hash)
    }

    fn all(&self) -> impl Iterator<Item = &ApiToken> {
        self.configured.all().iter().chain(&*self.stored)
    }
}
