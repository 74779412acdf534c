//! The registry of apps, which can change while the daemon runs.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock, RwLockReadGuard};

use super::{App, VIDEO_APP};
use crate::model::{AppName, AppScope, Cutoffs, Product, Retention, Session, StreamRecord};

/// Every app by its name. Cheap to clone; all clones show the same apps.
#[derive(Debug, Clone)]
pub struct Apps(Arc<RwLock<Registry>>);

#[derive(Debug)]
struct Registry {
    apps: Arc<Map>,
    /// The retention of data of no app, and of apps that are no longer configured.
    retention: Retention,
}

type Map = BTreeMap<AppName, Arc<App>>;

impl Apps {
    pub fn new(apps: impl IntoIterator<Item = App>) -> Self {
        let map = apps.into_iter().map(|app| (app.name.clone(), Arc::new(app))).collect();
        let retention = Retention::default();
        Self(Arc::new(RwLock::new(Registry { apps: Arc::new(map), retention })))
    }

    fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.0.read().expect("no holder of this lock panics")
    }

    /// The apps as they are now, by name.
    pub fn all(&self) -> Arc<BTreeMap<AppName, Arc<App>>> {
        Arc::clone(&self.read().apps)
    }

    /// How long the data of an app is kept now; of one that is not configured, as long as the daemon keeps it.
    pub fn retention(&self, name: &AppName) -> Retention {
        let registry = self.read();
        registry.apps.get(name).map_or(registry.retention, |app| app.retention)
    }

    /// When data of one kind expires now, by app. `before_ms` is its time by a retention.
    pub fn cutoffs(&self, before_ms: impl Fn(&Retention) -> Option<i64>) -> Cutoffs {
        let registry = self.read();
        let of_app = |app: &Arc<App>| (app.name.clone(), before_ms(&app.retention));
        Cutoffs::new(registry.apps.values().map(of_app), before_ms(&registry.retention))
    }

    /// Replaces all apps, and the retention of others. An app that stays the same keeps its value.
    pub(super) fn replace(&self, apps: impl IntoIterator<Item = App>, retention: Retention) {
        let before = self.all();
        let kept = |app: App| match before.get(&app.name) {
            Some(same) if **same == app => Arc::clone(same),
            _ => Arc::new(app),
        };
        let map = apps.into_iter().map(|app| (app.name.clone(), kept(app))).collect::<Map>();
        log_changes(&before, &map);
        *self.0.write().expect("no holder of this lock panics") =
            Registry { apps: Arc::new(map), retention };
    }

    /// The app with this name, if there is one now.
    pub fn get(&self, name: &AppName) -> Option<Arc<App>> {
        self.all().get(name).cloned()
    }

    /// The app among `allowed` that starts a session of this product if a program names none: `default` if it serves the
    /// product, else the only app that does.
    pub fn for_product(&self, product: Product, allowed: &AppScope) -> Option<Arc<App>> {
        let all = self.all();
        let may_serve = |app: &&Arc<App>| app.serves(product) && allowed.includes(&app.name);
        let mut serving = all.values().filter(may_serve);
        let default = all.get(&AppName::default()).filter(may_serve);
        let app = default.or_else(|| serving.next().filter(|_| serving.next().is_none()));
        app.cloned()
    }

    /// The app that takes over the Video SDK sessions of the default app: the app `video`, if the default app does not
    /// serve that product itself.
    pub fn successor_for_video(&self) -> Option<Arc<App>> {
        let product = Product::VideoSdk;
        let all = self.all();
        let is_kept = all.get(&AppName::default()).is_some_and(|app| app.serves(product));
        let video = all.values().find(|app| app.name.as_str() == VIDEO_APP && app.serves(product));
        video.filter(|_| !is_kept).cloned()
    }

    /// The app that a session belongs to; none if it was removed.
    pub fn for_session(&self, session: &Session) -> Option<Arc<App>> {
        self.get(&session.app)
    }

    /// The app that a stream belongs to; none if it was removed.
    pub fn for_stream(&self, stream: &StreamRecord) -> Option<Arc<App>> {
        self.get(&stream.app)
    }
}

fn log_changes(before: &Map, after: &Map) {
    for (name, app) in after {
        match before.get(name) {
            None => tracing::info!(app = %name, "the app was added"),
            Some(old) if !Arc::ptr_eq(old, app) => {
                tracing::info!(app = %name, "the app was changed; streams that run keep what they have");
            }
            Some(_) => {}
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        tracing::info!(app = %name, "the app was removed; its webhooks are refused from now on");
    }
}
