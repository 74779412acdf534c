//! What the store counts, cached: however many scrapers there are, the store is asked once in a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::store::{Store, StoreFigures};

/// How long the store may take; after this its figures are absent.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer is cached, also that there was none.
const LIFE: Duration = Duration::from_secs(10);

/// The store's last figures and their time.
#[derive(Default)]
pub struct StoreFiguresCache(Mutex<Option<(Instant, Option<Arc<StoreFigures>>)>>);

impl StoreFiguresCache {
    /// `None` if the store did not answer.
    pub(in crate::http) async fn read(
        &self,
        store: &Store,
        now_ms: i64,
    ) -> Option<Arc<StoreFigures>> {
        // Held across the queries on purpose: scrapes that arrive meanwhile wait for the answer instead of asking again.
        let mut last = self.0.lock().await;
        if let Some((at, figures)) = &*last
            && at.elapsed() < LIFE
        {
            return figures.clone();
        }
        let answer = timeout(TIMEOUT, store.figures(now_ms)).await.ok().and_then(Result::ok);
        let figures = answer.map(Arc::new);
        *last = Some((Instant::now(), figures.clone()));
        figures
    }
}
