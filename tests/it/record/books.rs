//! Received frames, the ledger, the manifest and the files agree.

use rtmsd::clock::now_ms;
use rtmsd::model::EntryBody;
use serde_json::json;

use super::studio::{Studio, voice};
use super::tools::{duration_s, samples};

#[tokio::test]
async fn half_a_minute_that_zoom_buffered_is_in_the_files_the_ledger_and_the_manifest() {
    let mut studio = Studio::open().await;
    let connected_ms = now_ms();
    studio.feed.note(Some(connected_ms), EntryBody::FirstPacket {});
    for n in 0..1_500 {
        studio.hear(connected_ms - 30_000 + 20 * n, &voice(n));
    }
    let _folder = studio.kept();
    let (stream, folder, manifest) = studio.end().await;
    for name in ["audio-7.wav", "audio-mix.wav"] {
        assert_eq!(duration_s(&folder.join(name)), 30.0, "{name}");
        assert!(samples(&folder.join(name)).iter().all(|sample| *sample != 0), "{name}");
    }
    assert_eq!(manifest["origin_ms"], connected_ms - 30_000);
    let audio = &manifest["media"]["audio"];
    assert_eq!((&audio["received"], &audio["written"]), (&json!(1_500), &json!(1_500)));
    assert_eq!(manifest["frames"]["written"], 1_500);
    assert_eq!(stream.tally.audio.frames, 1_500);
    assert_eq!((stream.ledger[0].left_out.frames, stream.ledger[0].gaps.len()), (0, 0));
}

#[tokio::test]
async fn frames_that_a_recording_drops_are_in_the_ledger_and_in_the_manifest() {
    let mut studio = Studio::open().await;
    let from_ms = now_ms() - 10_000;
    for n in 0..100 {
        studio.hear(from_ms + 20 * n, &voice(n));
    }
    // Less than a sample, and other audio at a time that has some.
    studio.hear(from_ms + 2_000, &[1]);
    for n in 0..10 {
        studio.hear(from_ms + 20 * n, &voice(500));
    }
    let _folder = studio.kept();
    let (stream, _, manifest) = studio.end().await;
    let audio = &manifest["media"]["audio"];
    let of = |name: &str| audio[name].as_u64().unwrap();
    assert_eq!((of("received"), of("written"), of("unreadable"), of("late")), (111, 100, 1, 10));
    let account = &stream.ledger[0];
    assert_eq!((stream.tally.audio.frames, account.left_out.frames), (111, 11));
    assert!(!account.gaps.is_empty() && account.covered_ms() < account.expected_ms());
    let ledger = &manifest["ledger"][0];
    assert_eq!(
        (&ledger["left_out"]["frames"], &ledger["gaps"][0]["cause"]),
        (&json!(11), &json!("left_out"))
    );
}
