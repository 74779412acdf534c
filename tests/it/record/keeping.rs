//! Recorded files are neither deleted nor replaced, whatever happens around them.

use std::fs;
use std::time::Duration;

use rtmsd::clock::now_ms;
use rtmsd::model::{Recording, RecordingId, RecordingStatus, SessionId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::studio::{Studio, found, voice};
use super::tools::samples;
use crate::store::webhooks::read;
use crate::support::wait::eventually;

const SOUND_BYTES: usize = 100 * 640;

/// Waits until all received frames are in closed files.
async fn closed(studio: &Studio) {
    let label = studio.spooled().with_file_name("label.json");
    eventually("the files are closed", async || {
        let text = fs::read(found(&label).await).unwrap();
        let label: Value = serde_json::from_slice(&text).unwrap();
        (label["counts"]["audio"]["written"] == 100).then_some(())
    })
    .await;
}

fn speak(studio: &mut Studio, loudness: i64) {
    let from_ms = now_ms() - 10_000;
    (0..100).for_each(|n| studio.hear(from_ms + 20 * n, &voice(loudness)));
}

#[tokio::test]
async fn a_file_that_a_power_cut_damaged_is_stored_listed_and_hashed() {
    let mut studio = Studio::open().await;
    speak(&mut studio, 5);
    studio.leave(false).await;
    closed(&studio).await;
    let path = studio.spooled().join("audio-7.wav");
    let mut wav = fs::read(&path).unwrap();
    let header = wav.len() - SOUND_BYTES;
    wav[..header].fill(0);
    fs::write(&path, &wav).unwrap();
    let stream = studio.over().await;
    let manifest = studio.manifest("s1").await;
    let files = manifest["files"].as_array().unwrap();
    let named = |name: &str| files.iter().find(|file| file["name"] == name).cloned();
    let kept = named("audio-7.wav.damaged").expect("it is in the manifest");
    let sha256 = hex::encode(Sha256::digest(&wav));
    assert_eq!((&kept["sha256"], &kept["bytes"]), (&json!(sha256), &json!(wav.len())));
    assert_eq!((&kept["medium"], &kept["user_id"]), (&json!("audio"), &json!(7)));
    assert_eq!(fs::read(studio.recordings().join("s1/audio-7.wav.damaged")).unwrap(), wav);
    let listed = studio.store.recorded_files_of(stream.session_id, 100).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|(_, file)| &*file.api_name).collect();
    assert!(names.contains(&"1-audio-7.wav.damaged"), "{names:?}");
    assert!(named("audio-mix.wav").is_some(), "{files:#?}");
}

#[tokio::test]
async fn a_folder_in_which_something_lies_is_left_as_it_is() {
    let mut studio = Studio::open().await;
    let theirs = studio.recordings().join("s1");
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("audio-7.wav"), "theirs").unwrap();
    speak(&mut studio, 5);
    studio.leave(false).await;
    let stream = studio.over().await;
    let recordings = studio.store.recordings_of(stream.session_id).await.unwrap();
    let own = format!("s1-{}", recordings[0].id);
    let manifest = studio.manifest(&own).await;
    assert_eq!(manifest["files"][0]["name"], "audio-7.wav");
    assert_eq!(fs::read(theirs.join("audio-7.wav")).unwrap(), b"theirs");
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_keeps_no_other_file() {
    let mut studio = Studio::open().await;
    speak(&mut studio, 5);
    studio.leave(false).await;
    let stream = studio.over().await;
    studio.manifest("s1").await;
    let stored = stored(&studio, stream.session_id).await;
    let (folder, sound) = (studio.recordings().join("s1"), "audio-7.wav");
    fs::remove_file(folder.join(sound)).unwrap();
    fs::create_dir_all(folder.join(sound).join("in the way")).unwrap();
    studio.store.delete_recordings_of(stream.session_id).await.unwrap();
    let left = failed(&studio, stored).await;
    assert_eq!((left.status, left.failed_deletions), (RecordingStatus::Deleting, 1));
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), [sound]);
}

#[tokio::test]
async fn files_of_another_target_are_neither_removed_nor_forgotten() {
    let mut studio = Studio::open().await;
    speak(&mut studio, 5);
    studio.leave(false).await;
    let stream = studio.over().await;
    studio.manifest("s1").await;
    let id = stored(&studio, stream.session_id).await;
    let target = studio.store.recording(id).await.unwrap().unwrap().target;
    assert_eq!(target, Some(studio.recordings().display().to_string()));
    studio.store.set_recording_target(id, "s3://old/place").await.unwrap();
    studio.store.delete_recordings_of(stream.session_id).await.unwrap();
    let left = failed(&studio, id).await;
    assert_eq!(left.status, RecordingStatus::Deleting);
    assert!(studio.recordings().join("s1/manifest.json").exists());
    assert!(!studio.store.recorded_files(id).await.unwrap().is_empty());
}

/// The only recording of a session, as soon as it is stored.
async fn stored(studio: &Studio, session: SessionId) -> RecordingId {
    eventually("the recording is stored", async || {
        let one = studio.store.recordings_of(session).await.unwrap().remove(0);
        (one.status == RecordingStatus::Stored).then_some(one.id)
    })
    .await
}

/// A recording, as soon as its deletion has failed.
async fn failed(studio: &Studio, id: RecordingId) -> Recording {
    eventually("the deletion fails", async || {
        let one = studio.store.recording(id).await.unwrap().expect("it is not forgotten");
        (one.failed_deletions > 0).then_some(one)
    })
    .await
}

/// A daemon from which the stream was taken records on until it hears of it, and may think that the stream is over.
#[tokio::test]
async fn two_daemons_that_record_one_stream_have_a_recording_each() {
    let mut old = Studio::open().await;
    let mut new = old.beside().await;
    speak(&mut old, 5);
    speak(&mut new, 9);
    old.leave(true).await;
    closed(&old).await;
    // Nothing is finished before the store has the end.
    sleep(Duration::from_secs(5)).await;
    let session = read(&old.store, "s1").await.session_id;
    let there = old.store.recordings_of(session).await.unwrap();
    let statuses: Vec<_> = there.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [RecordingStatus::Recording; 2]);
    assert!(!old.recordings().exists());
    new.leave(false).await;
    closed(&new).await;
    new.over().await;
    let (one, other) = (old.manifest("s1").await, old.manifest("s1-part2").await);
    assert_eq!((&one["outcome"], &other["outcome"]), (&json!("stopped"), &json!("stopped")));
    let mut loudness = Vec::new();
    for folder in ["s1", "s1-part2"] {
        let sound = samples(&old.recordings().join(folder).join("audio-7.wav"));
        assert!(sound.len() == SOUND_BYTES / 2 && sound.iter().all(|sample| *sample == sound[0]));
        loudness.push(sound[0]);
    }
    loudness.sort_unstable();
    assert_eq!(loudness, [6, 10], "each has what it received, and nothing of the other's");
    let listed = old.store.recorded_files_of(session, 100).await.unwrap();
    let names: std::collections::HashSet<_> =
        listed.iter().map(|(_, file)| file.api_name.clone()).collect();
    assert_eq!(names.len(), listed.len(), "no two files have the same name");
}
