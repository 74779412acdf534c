//! The destinations of recordings: that of the daemon, and those of apps with a place or a layout of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::layout::Layout;
use super::target::{Access, Place, PlaceError, Target};
use super::{Settings, UPLOADS_AT_ONCE};
use crate::model::{AppName, Recording};
use crate::net::Network;
use crate::zoom::app::{Apps, OwnRecordings};

/// Where recordings of an app go.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    pub target: Target,
    /// The name of the target, as rows of recordings have it.
    pub name: String,
    pub layout: Arc<Layout>,
    /// Limits the uploads to this target alone, so that one that does not answer holds up no other.
    pub uploads: Arc<Semaphore>,
}

/// A recording's files are at this target, which is neither that of its app nor the daemon's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherTarget(pub String);

/// Every destination. One of an app is opened when it is needed, and again when the app's settings have changed.
pub(super) struct Destinations {
    daemon: Arc<Destination>,
    apps: Apps,
    access: Access,
    network: Network,
    opened: Mutex<HashMap<AppName, (OwnRecordings, Arc<Destination>)>>,
}

impl Destinations {
    pub(super) fn open(
        settings: &Settings,
        apps: &Apps,
        network: &Network,
    ) -> Result<Self, PlaceError> {
        let daemon = Destination {
            target: Target::open(&settings.place, settings.access, network)?,
            name: settings.place.name(),
            layout: Arc::new(settings.layout.clone()),
            uploads: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
        };
        Ok(Self {
            daemon: Arc::new(daemon),
            apps: apps.clone(),
            access: settings.access,
            network: network.clone(),
            opened: Mutex::default(),
        })
    }

    /// Where new recordings of an app go; those of an app that is not configured, where the daemon's go.
    pub(super) fn of_app(&self, app: &AppName) -> Result<Arc<Destination>, PlaceError> {
        let own = self.apps.get(app).map(|app| app.recordings.clone()).unwrap_or_default();
        let mut opened = self.opened.lock().expect("no holder of this lock panics");
        if own == OwnRecordings::default() {
            opened.remove(app);
            return Ok(Arc::clone(&self.daemon));
        }
        match opened.get(app) {
            Some((settings, destination)) if *settings == own => Ok(Arc::clone(destination)),
            _ => {
                let destination = Arc::new(self.open_own(&own)?);
                opened.insert(app.clone(), (own, Arc::clone(&destination)));
                Ok(destination)
            }
        }
    }

    /// Where the files of a recording are: at the place of its app, or at the daemon's.
    pub(super) fn of_recording(
        &self,
        recording: &Recording,
    ) -> Result<Result<Arc<Destination>, OtherTarget>, PlaceError> {
        let own = self.of_app(&recording.app)?;
        Ok(match recording.target.as_deref() {
            None => Ok(own),
            Some(name) if name == own.name => Ok(own),
            Some(name) if name == self.daemon.name => Ok(Arc::clone(&self.daemon)),
            Some(name) => Err(OtherTarget(name.to_owned())),
        })
    }

    /// Where the files of a recording go on being uploaded: to where its first file is, if that is within reach.
    pub(super) fn for_upload(&self, recording: &Recording) -> Result<Arc<Destination>, PlaceError> {
        self.of_recording(recording)?.or_else(|_| self.of_app(&recording.app))
    }

    /// Whether every daemon reaches the files of recordings without a target.
    pub(super) fn is_shared(&self) -> bool {
        self.daemon.target.is_shared()
    }

    fn open_own(&self, own: &OwnRecordings) -> Result<Destination, PlaceError> {
        let mut destination = Destination::clone(&self.daemon);
        if let Some(place) = &own.place {
            let opened = Place::of_app(place)?;
            destination.target = Target::open(&opened, self.access, &self.network)?;
            destination.name.clone_from(&place.name);
            destination.uploads = Arc::new(Semaphore::new(UPLOADS_AT_ONCE));
        }
        if let Some(layout) = &own.layout {
            let layout = Layout::parse(layout).map_err(|_| PlaceError::Form)?;
            destination.layout = Arc::new(layout);
        }
        Ok(destination)
    }
}
