//! The rows of recordings.

use rtmsd::model::{
    ChannelId, Cutoffs, Outcome, RecordedFile, Recording, RecordingId, RecordingStatus, SessionId,
    Speaker, SpeakerUserId, SpoolId, StopReason, StreamId, UserId,
};
use rtmsd::store::{NewRecording, Store};
use uuid::Uuid;

use super::webhooks::*;
use crate::support::stores::TestStore;

const SPOOL: SpoolId = SpoolId(Uuid::from_u128(1));
const OTHER: SpoolId = SpoolId(Uuid::from_u128(2));

async fn begin(
    store: &Store,
    session_id: SessionId,
    stream: &StreamId,
    spool: SpoolId,
) -> Recording {
    let id = RecordingId(Uuid::now_v7());
    let stream_id = stream;
    let new = NewRecording { id, session_id, stream_id, ordinal: 1, spool, started_at_ms: 5 };
    let made = store.begin_recording(&new).await.unwrap();
    assert_eq!(store.begin_recording(&new).await.unwrap(), made, "once for each id");
    made
}

fn file(name: &str, sha256: &str) -> RecordedFile {
    RecordedFile {
        name: name.into(),
        api_name: format!("1-{name}"),
        path: format!("a/{name}"),
        medium: "audio".into(),
        speaker: Speaker::participant(UserId(7), Some("Ana \u{0}".into())),
        content_type: "audio/wav".into(),
        bytes: 44,
        sha256: sha256.into(),
        first_ms: Some(1),
        last_ms: None,
    }
}

async fn a_recording_goes_from_state_to_state(store: &Store) {
    let session = SessionId(Uuid::now_v7());
    let stream = stream_id("s1");
    let one = begin(store, session, &stream, SPOOL).await;
    let other = begin(store, session, &stream, OTHER).await;
    assert_eq!((one.part, other.part), (1, 2));
    store.write_recorded_files(&one, &[file("x.wav", ""), file("y.wav", "")]).await.unwrap();
    assert!(store.finish_recording(&one, &[file("x.wav", "ab")], 9).await.unwrap());
    assert!(!store.finish_recording(&one, &[file("x.wav", "ab")], 9).await.unwrap());
    let files = store.recorded_files(one.id).await.unwrap();
    assert_eq!(files.len(), 1, "files that were never created are removed: {files:?}");
    assert_eq!(files[0].sha256, "ab");
    let (found, file) = store.recorded_file(session, "1-x.wav").await.unwrap().unwrap();
    assert_eq!((found.status, found.finished_at_ms), (RecordingStatus::Uploading, Some(9)));
    assert_eq!(file.path, "a/x.wav");
    assert_eq!(store.recorded_file(session, "1-y.wav").await.unwrap(), None);
    let elsewhere = SessionId(Uuid::now_v7());
    assert_eq!(store.recorded_file(elsewhere, "1-x.wav").await.unwrap(), None);
    assert!(store.store_recording(&one, &files, 12).await.unwrap());
    assert!(!store.store_recording(&one, &files, 13).await.unwrap());
    assert_eq!(store.recording(one.id).await.unwrap().unwrap().stored_at_ms, Some(12));
    let unfinished = store.unfinished_recordings(OTHER).await.unwrap();
    assert_eq!(unfinished, [other]);
    assert_eq!(store.unfinished_recordings(SPOOL).await.unwrap(), []);
}

async fn a_file_is_its_speakers(store: &Store) {
    let session = SessionId(Uuid::now_v7());
    let recording = begin(store, session, &stream_id("s4"), SPOOL).await;
    let name = Some("Ana".to_owned());
    let channel_id = ChannelId::new("c1");
    let party = Speaker { channel_id, name: name.clone(), user_id: SpeakerUserId::text("7") };
    let speakers = [Speaker::participant(UserId(7), name), party, Speaker::default()];
    let files: Vec<_> = speakers
        .iter()
        .enumerate()
        .map(|(n, speaker)| RecordedFile { speaker: speaker.clone(), ..file(&n.to_string(), "ab") })
        .collect();
    assert!(store.finish_recording(&recording, &files, 9).await.unwrap());
    assert_eq!(store.recorded_files(recording.id).await.unwrap(), files);
}

async fn what_cannot_be_removed_is_put_off_and_others_get_their_turn(store: &Store) {
    let (session, spool) = (SessionId(Uuid::now_v7()), SpoolId(Uuid::now_v7()));
    let stream = stream_id("s7");
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(begin(store, session, &stream, spool).await.id);
    }
    store.delete_recordings_of(session).await.unwrap();
    let to_delete = async |now_ms, limit| {
        store.recordings_to_delete(Some(spool), false, now_ms, limit).await.unwrap()
    };
    for row in to_delete(100, 2).await {
        store.defer_recording_deletion(&row, 100).await.unwrap();
    }
    let ids = async |now_ms| -> Vec<_> {
        to_delete(now_ms, 2).await.into_iter().map(|row| row.id).collect()
    };
    assert_eq!(ids(10_099).await, all[2..]);
    assert_eq!(ids(10_100).await, all[..2]);
    assert_eq!(ids(-10_000_000).await, all[..2], "the clock that put them off was wrong");
    let again = to_delete(10_100, 1).await.remove(0);
    assert_eq!(again.failed_deletions, 1);
    store.defer_recording_deletion(&again, 10_100).await.unwrap();
    assert_eq!(ids(30_099).await, all[1..], "the second wait is twice as long");
    for id in all {
        store.forget_recording(id).await.unwrap();
    }
}

async fn what_is_deleted_is_hidden_at_once_and_forgotten_when_its_files_are_gone(store: &Store) {
    let session = SessionId(Uuid::now_v7());
    let stream = stream_id("s2");
    let stored = begin(store, session, &stream, SPOOL).await;
    let spooled = begin(store, session, &stream, SPOOL).await;
    store.finish_recording(&stored, &[file("x.wav", "ab")], 9).await.unwrap();
    assert!(store.store_recording(&stored, &[file("x.wav", "ab")], 12).await.unwrap());
    assert_eq!(store.delete_recordings_of(session).await.unwrap(), 2);
    assert_eq!(store.delete_recordings_of(session).await.unwrap(), 0);
    assert_eq!(store.recordings_of(session).await.unwrap(), []);
    assert_eq!(store.recorded_file(session, "1-x.wav").await.unwrap(), None);
    let to_delete = async |spool, is_shared| {
        let rows = store.recordings_to_delete(spool, is_shared, 12, 10).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(to_delete(Some(SPOOL), false).await, [stored.id, spooled.id]);
    assert_eq!(to_delete(Some(OTHER), true).await, [stored.id], "an object store is shared by all");
    assert_eq!(to_delete(None, true).await, [stored.id]);
    let elsewhere = to_delete(Some(OTHER), false).await;
    assert_eq!(elsewhere, [], "a folder may be another machine's");
    assert!(!store.finish_recording(&spooled, &[], 9).await.unwrap());
    for id in [stored.id, spooled.id] {
        store.forget_recording(id).await.unwrap();
        assert_eq!(store.recording(id).await.unwrap(), None);
        assert_eq!(store.recorded_files(id).await.unwrap(), []);
    }
}

async fn what_was_stored_too_long_ago_is_deleted(store: &Store) {
    let session = SessionId(Uuid::now_v7());
    let stream = stream_id("s3");
    let old = begin(store, session, &stream, SPOOL).await;
    store.finish_recording(&old, &[], 9).await.unwrap();
    assert!(store.store_recording(&old, &[], 6).await.unwrap());
    let running = begin(store, session, &stream, SPOOL).await;
    assert_eq!(store.expire_recordings(&Cutoffs::all(6)).await.unwrap(), 0);
    assert_eq!(store.expire_recordings(&Cutoffs::all(7)).await.unwrap(), 1);
    assert_eq!(store.recordings_of(session).await.unwrap(), [running]);
}

async fn what_a_lost_spool_leaves_is_ended_by_others(store: &Store) {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let (lost, seen) = (SpoolId(Uuid::from_u128(3)), SpoolId(Uuid::from_u128(4)));
    let session = SessionId(Uuid::now_v7());
    let made = begin(store, session, &stream_id("s3"), lost).await;
    let uploaded = begin(store, session, &stream_id("s4"), lost).await;
    store.finish_recording(&uploaded, &[file("x.wav", "ab")], 9).await.unwrap();
    let ours = begin(store, session, &stream_id("s5"), seen).await;
    let status = async |id| store.recording(id).await.unwrap().unwrap().status;
    let to_delete = async |now_ms| {
        let rows = store.recordings_to_delete(Some(seen), false, now_ms, 100).await.unwrap();
        rows.into_iter().map(|row| row.id).filter(|id| *id != ours.id).collect::<Vec<_>>()
    };
    store.fail_lost_recordings(20).await.unwrap();
    store.see_spool(seen, 20 + DAY).await.unwrap();
    store.fail_lost_recordings(20 + DAY).await.unwrap();
    assert_eq!(
        status(made.id).await,
        RecordingStatus::Recording,
        "its time began when first asked"
    );
    assert!(store.fail_lost_recordings(21 + DAY).await.unwrap() >= 2);
    assert_eq!(status(made.id).await, RecordingStatus::Failed);
    assert_eq!(status(uploaded.id).await, RecordingStatus::Failed);
    assert_eq!(status(ours.id).await, RecordingStatus::Recording);

    store.delete_recordings_of(session).await.unwrap();
    assert_eq!(to_delete(20 + DAY).await, []);
    assert_eq!(to_delete(21 + DAY).await, [uploaded.id], "only this one may have files elsewhere");
    store.sweep_recording(uploaded.id, 30 + DAY).await.unwrap();
    assert_eq!(to_delete(31 + DAY).await, []);
    let back = store.recordings_to_delete(Some(lost), false, 31 + DAY, 100).await.unwrap();
    assert_eq!(back.len(), 2, "a spool that returns is still asked to delete");
    store.merge_spools(lost, seen).await.unwrap();
    assert_eq!(to_delete(31 + DAY).await, [made.id, uploaded.id]);
}

/// A daemon that was disconnected from the store returns after a stream's data was deleted.
async fn what_was_deleted_does_not_come_back(store: &Store) {
    record(store, started_by("u-ana", "s9", 100)).await;
    let stream = read(store, "s9").await;
    let (id, session) = (&stream.stream_id, stream.session_id);
    let spool = SpoolId(Uuid::from_u128(9));
    let known = begin(store, session, id, spool).await;
    let ended = store.finish_stream(id, 0, 1, Outcome::Stopped, Some(StopReason(4)), 110).await;
    ended.unwrap().expect("it was running");
    record(store, deauthorized_by("u-ana", 200)).await;
    while store.delete_some(300).await.unwrap() {}
    let new = begin(store, session, id, spool).await;
    assert_eq!((new.status, new.part), (RecordingStatus::Deleting, 2));
    store.write_recorded_files(&known, &[file("x.wav", "")]).await.unwrap();
    store.write_recorded_files(&new, &[file("x.wav", "")]).await.unwrap();
    assert!(!store.finish_recording(&known, &[file("x.wav", "ab")], 310).await.unwrap());
    for recording in [known, new] {
        assert_eq!(store.recorded_files(recording.id).await.unwrap(), []);
        store.forget_recording(recording.id).await.unwrap();
    }
}

#[tokio::test]
async fn recordings_keep_their_promises_on_sqlite() {
    let test = TestStore::sqlite().await;
    what_was_deleted_does_not_come_back(&test.store).await;
    what_a_lost_spool_leaves_is_ended_by_others(&test.store).await;
    a_recording_goes_from_state_to_state(&test.store).await;
    a_file_is_its_speakers(&test.store).await;
    what_cannot_be_removed_is_put_off_and_others_get_their_turn(&test.store).await;
    what_is_deleted_is_hidden_at_once_and_forgotten_when_its_files_are_gone(&test.store).await;
    what_was_stored_too_long_ago_is_deleted(&test.store).await;
}

#[tokio::test]
async fn recordings_keep_their_promises_on_postgres() {
    let test = TestStore::postgres().await;
    what_was_deleted_does_not_come_back(&test.store).await;
    what_a_lost_spool_leaves_is_ended_by_others(&test.store).await;
    a_recording_goes_from_state_to_state(&test.store).await;
    a_file_is_its_speakers(&test.store).await;
    what_cannot_be_removed_is_put_off_and_others_get_their_turn(&test.store).await;
    what_is_deleted_is_hidden_at_once_and_forgotten_when_its_files_are_gone(&test.store).await;
    what_was_stored_too_long_ago_is_deleted(&test.store).await;
}
