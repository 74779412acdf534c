//! The disk, the places of recordings, and the broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::task::spawn_blocking;

use super::bounded;
use crate::doctor::report::Check;
use crate::doctor::{Settings, judge};
use crate::seal::random_bytes;
use crate::sinks::record::target::{Place, PlaceError, Target, TargetError};
use crate::sinks::{nats as broker, record};
use crate::zoom::app::App;

pub(super) async fn disk(settings: &Settings) -> Vec<Check> {
    let recordings = settings.recordings.clone();
    // On a thread of its own, because a disk may hang.
    let load = spawn_blocking(move || record::spools_load(&recordings)).await;
    load.map(|load| judge::places::disk(&load)).unwrap_or_default()
}

/// The place of the daemon, and those of apps with one of their own.
pub(super) async fn recordings(settings: &Settings, apps: &[Arc<App>]) -> Vec<Check> {
    let daemons = settings.recordings.place.clone();
    let mut places = BTreeMap::from([(daemons.name(), Ok(daemons))]);
    for own in apps.iter().filter_map(|app| app.recordings.place.as_ref()) {
        places.entry(own.name.clone()).or_insert_with(|| Place::of_app(own));
    }
    let checks = places.into_iter().map(|(name, place)| async move {
        bounded(&[judge::places::RECORDINGS], Some(&name), async {
            vec![judge::places::recordings(probe(settings, place).await)]
        })
        .await
    });
    join_all(checks).await.concat()
}

async fn probe(
    settings: &Settings,
    place: Result<Place, PlaceError>,
) -> Result<Result<(), TargetError>, PlaceError> {
    let target = Target::open(&place?, settings.recordings.access, &settings.network)?;
    let name = format!("rtmsd-doctor-{}", hex::encode(random_bytes::<16>()));
    Ok(target.probe(&name).await)
}

pub(super) async fn nats(settings: &Settings) -> Vec<Check> {
    let probed = match &settings.nats {
        None => None,
        Some(nats) => Some(broker::probe(nats, settings.network.tls()).await),
    };
    vec![judge::places::nats(probed)]
}
