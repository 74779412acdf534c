//! All apps of a daemon: those of its settings, and those that were added over the API and that every daemon of the
//! store shares.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};

use super::{App, Apps};
use crate::model::{AppName, AuditRow, Retention};
use crate::seal::{Cell, KeyRing, OpenError};
use crate::store::{AppsVersion, Store, StoreError, StoredApp};
use crate::zoom::token::Rotated;

/// How often the store is read for changes that another daemon made.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The most apps that are added over the API.
const MAX_APPS: u32 = 1000;

/// The fields that describe an app.
type Fields = Map<String, Value>;
/// Reads an app from its description, or returns every mistake, by field and without a value.
pub type Describe = Arc<dyn Fn(&AppName, &Fields) -> Result<App, Vec<String>> + Send + Sync>;

/// Why an app was not added, changed or deleted.
#[derive(Debug, Error)]
pub enum AppError {
    #[error("there is no app with this name")]
    Unknown,
    #[error("there is an app with this name already")]
    Exists,
    #[error("the app is described by the settings of the daemon: change it there")]
    Configured,
    /// Every mistake in the description.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    #[error("streams of the app run: stop them first, or delete it with force=true")]
    InUse,
    #[error("the app was changed by another call at the same time: try again")]
    Changed,
    #[error("there are {MAX_APPS} apps: delete one first")]
    TooMany,
    #[error("the settings of the app cannot be opened: {0}")]
    Sealed(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An app, and where it is described.
#[derive(Debug, Clone)]
pub struct Listed {
    pub app: Arc<App>,
    /// When it was added and last changed over the API, Unix milliseconds; `None` for an app of the settings.
    pub stored: Option<(i64, i64)>,
}

/// The apps of a daemon, and the calls that change them. Cheap to clone.
#[derive(Clone)]
pub struct ManagedApps(Arc<Inner>);

struct Inner {
    apps: Apps,
    store: Store,
    ring: KeyRing,
    sources: Mutex<AppSources>,
    /// Held while the rows are read, so that an older read does not come last.
    known: tokio::sync::Mutex<Known>,
}

/// The rows that the apps were made of.
#[derive(Default)]
struct Known {
    version: Option<AppsVersion>,
    rows: Vec<StoredApp>,
}

/// What the settings say of apps.
#[derive(Clone)]
pub struct AppSources {
    pub configured: Vec<App>,
    /// Reads the apps of the store.
    pub describe: Describe,
    /// How long data is kept that belongs to no app, or to one that is no longer configured.
    pub retention: Retention,
}

impl ManagedApps {
    /// The apps of the settings. [`Self::refresh`] adds those of the store.
    pub fn new(sources: AppSources, store: Store, ring: KeyRing) -> Self {
        let apps = Apps::new(sources.configured.iter().cloned());
        let (sources, known) = (Mutex::new(sources), tokio::sync::Mutex::default());
        let inner = Inner { apps, store, ring, sources, known };
        inner.publish(&[]);
        Self(Arc::new(inner))
    }

    /// The registry, which follows every change.
    pub fn apps(&self) -> Apps {
        self.0.apps.clone()
    }

    /// Replaces the apps of the settings, after these were read again. Streams that run keep the app that they have.
    pub async fn configure(&self, sources: AppSources) {
        *self.0.lock() = sources;
        let known = self.0.known.lock().await;
        self.0.publish(&known.rows);
    }

    /// Reads the apps of the store.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let mut known = self.0.known.lock().await;
        // Before the rows: a change in between is read again by the next call.
        let version = self.0.store.apps_version().await?;
        if known.version == Some(version) {
            return Ok(());
        }
        let rows = self.0.store.apps().await?;
        if known.rows != rows {
            self.0.publish(&rows);
        }
        *known = Known { version: Some(version), rows };
        Ok(())
    }

    /// Reads the apps of the store again and again, without end.
    pub async fn refresh_periodically(self) {
        let mut due = interval(POLL_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_away = false;
        loop {
            due.tick().await;
            let refreshed = self.refresh().await;
            if let Err(error) = &refreshed
                && !is_away
            {
                tracing::warn!(%error, "the store is unavailable; the apps stay as they are");
            }
            is_away = refreshed.is_err();
        }
    }

    /// All apps, by name.
    pub async fn list(&self) -> Vec<Listed> {
        let known = self.0.known.lock().await;
        let listed = |app: &Arc<App>| self.0.listed(app, &known.rows);
        self.0.apps.all().values().map(listed).collect()
    }

    pub async fn show(&self, name: &AppName) -> Result<Listed, AppError> {
        let known = self.0.known.lock().await;
        let app = self.0.apps.get(name).ok_or(AppError::Unknown)?;
        Ok(self.0.listed(&app, &known.rows))
    }

    /// Adds an app.
    pub async fn add(
        &self,
        name: &AppName,
        fields: &Fields,
        act: &AuditRow,
    ) -> Result<Listed, AppError> {
        if self.0.is_configured(name) {
            return Err(AppError::Exists);
        }
        self.0.check(name, fields)?;
        let sealed = seal(&self.0.ring, name, fields);
        if !self.0.store.add_app(name, &sealed, MAX_APPS, act).await? {
            let is_taken = self.stored(name).await.is_ok();
            return Err(if is_taken { AppError::Exists } else { AppError::TooMany });
        }
        self.refresh().await?;
        self.show(name).await
    }

    /// Changes the fields of an app that `changes` names; null removes one.
    pub async fn change(
        &self,
        name: &AppName,
        changes: &Fields,
        act: &AuditRow,
    ) -> Result<Listed, AppError> {
        let old = self.stored(name).await?;
        let mut fields = open(&self.0.ring, &old)?;
        for (field, value) in changes {
            match value {
                Value::Null => drop(fields.remove(field)),
                value => drop(fields.insert(field.clone(), value.clone())),
            }
        }
        self.0.check(name, &fields)?;
        let sealed = seal(&self.0.ring, name, &fields);
        if !self.0.store.change_app(name, &old.settings, &sealed, act).await? {
            return Err(AppError::Changed);
        }
        self.refresh().await?;
        self.show(name).await
    }

    /// Deletes an app. Its sessions, recordings and installations stay; with `force`, streams of it that run end soon
    /// after.
    pub async fn remove(
        &self,
        name: &AppName,
        force: bool,
        act: &AuditRow,
    ) -> Result<(), AppError> {
        self.stored(name).await?;
        if !self.0.store.delete_app(name, force, act).await? {
            self.stored(name).await?;
            return Err(AppError::InUse);
        }
        Ok(self.refresh().await?)
    }

    /// The row of an app that can be changed over the API.
    async fn stored(&self, name: &AppName) -> Result<StoredApp, AppError> {
        if self.0.is_configured(name) {
            return Err(AppError::Configured);
        }
        let rows = self.0.store.apps().await?;
        rows.into_iter().find(|row| row.name == *name).ok_or(AppError::Unknown)
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, AppSources> {
        self.sources.lock().expect("no holder of this lock panics")
    }

    fn is_configured(&self, name: &AppName) -> bool {
        self.lock().configured.iter().any(|app| app.name == *name)
    }

    fn describe(&self, name: &AppName, fields: &Fields) -> Result<App, AppError> {
        let describe = Arc::clone(&self.lock().describe);
        describe(name, fields).map_err(AppError::Invalid)
    }

    /// Checks the description of an app that is added or changed.
    fn check(&self, name: &AppName, fields: &Fields) -> Result<(), AppError> {
        let app = self.describe(name, fields)?;
        let all = self.apps.all();
        let mut others = all.values().filter(|other| other.name != *name);
        if app.events_url.is_some() && others.any(|other| other.events_url == app.events_url) {
            let problem = "events_url is that of another app: each has a subscription of its own";
            return Err(AppError::Invalid(vec![problem.to_owned()]));
        }
        Ok(())
    }

    fn listed(&self, app: &Arc<App>, rows: &[StoredApp]) -> Listed {
        let row = rows.iter().find(|row| row.name == app.name);
        let row = row.filter(|_| !self.is_configured(&app.name));
        let stored = row.map(|row| (row.created_at_ms, row.updated_at_ms));
        Listed { app: Arc::clone(app), stored }
    }

    /// Shows the apps of these rows and of the settings. Of two with one name, the one of the settings counts.
    fn publish(&self, rows: &[StoredApp]) {
        let mut all = BTreeMap::new();
        for row in rows {
            match self.read(row) {
                Ok(app) => drop(all.insert(row.name.clone(), app)),
                Err(error) => {
                    tracing::error!(app = %row.name, %error, "cannot read a stored app; the daemon runs without it");
                }
            }
        }
        let AppSources { configured, retention, .. } = self.lock().clone();
        all.extend(configured.into_iter().map(|app| (app.name.clone(), app)));
        self.apps.replace(all.into_values(), retention);
    }

    fn read(&self, row: &StoredApp) -> Result<App, AppError> {
        self.describe(&row.name, &open(&self.ring, row)?)
    }
}

/// Re-encrypts every app under the ring's first key.
pub async fn rotate_keys(store: &Store, ring: &KeyRing) -> Result<Rotated, StoreError> {
    let (mut rotated, prefix) = (Rotated::default(), ring.prefix());
    for row in store.apps().await?.iter().filter(|row| !row.settings.starts_with(&prefix)) {
        match open(ring, row) {
            Ok(fields) => {
                let sealed = seal(ring, &row.name, &fields);
                // An app that was changed meanwhile was sealed by a daemon that has the new key.
                let is_done = store.reseal_app(&row.name, &row.settings, &sealed).await?;
                rotated.resealed += u64::from(is_done);
            }
            Err(error) => {
                tracing::error!(app = %row.name, %error, "cannot decrypt an app; it stays as it is");
                rotated.unreadable += 1;
            }
        }
    }
    Ok(rotated)
}

fn cell(name: &AppName) -> Cell<'_> {
    Cell { table: "apps", row: name.as_str(), column: "settings" }
}

fn seal(ring: &KeyRing, name: &AppName, fields: &Fields) -> String {
    let text = zeroize::Zeroizing::new(Value::Object(fields.clone()).to_string());
    ring.seal(cell(name), &text)
}

fn open(ring: &KeyRing, row: &StoredApp) -> Result<Fields, OpenError> {
    let text = ring.open(cell(&row.name), &row.settings)?;
    serde_json::from_str(&text).map_err(|_| OpenError::Forged)
}
