//! What the tests of captures share.

use std::path::{Path, PathBuf};

use rtmsd::capture::event::{Event, Header, Record};
use rtmsd::capture::reader::Reader;
use rtmsd::model::{EntryView, MediumLedger};
use rtmsd::sessions::check::{Checked, check_capture};
use serde_json::{Value, json};

use crate::daemon::recordings::kit::{recorded, spooled};
use crate::support::kit::{Api, Home, Log, Page};

/// The name of the file in the API.
pub(super) const FILE: &str = "1-capture.jsonl.gz";

/// A daemon that captures and records nothing else.
pub(crate) fn capturing(mode: &str) -> Home {
    Home::sqlite().set("CAPTURE", mode)
}

/// The capture of the session's only stream, once it is stored.
pub(crate) async fn stored(api: Api, session_id: &str) -> Vec<u8> {
    let recording = recorded(api, session_id, "stored").await;
    assert!(recording.names().contains(&FILE), "{:?}", recording.names());
    recording.checked().await.remove(FILE).unwrap()
}

/// The captures that lie in the spool.
pub(super) fn in_spool(home: &Home) -> Vec<PathBuf> {
    let is_capture = |path: &PathBuf| path.ends_with("capture.jsonl.gz");
    spooled(home).into_iter().filter(is_capture).collect()
}

pub(super) fn read(file: &[u8]) -> (Header, Vec<Record>) {
    let mut reader = Reader::open(file).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(record);
    }
    (reader.header().clone(), records)
}

/// The messages that Zoom sent on a link.
pub(super) fn sent_on<'a>(records: &'a [Record], link: &str) -> Vec<&'a Record> {
    let is_on =
        |record: &&Record| matches!(&record.event, Event::In { link: on, .. } if on == link);
    records.iter().filter(is_on).collect()
}

/// Everything that is in the file, as text.
pub(super) fn text(file: &[u8]) -> String {
    let (header, records) = read(file);
    let lines = records.iter().map(|record| serde_json::to_string(record).unwrap());
    std::iter::once(serde_json::to_string(&header).unwrap())
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The entries and the ledger that a file makes.
pub(super) fn checked(file: &[u8]) -> (Vec<Value>, Vec<Value>, Checked) {
    let mut entries = Vec::new();
    let mut reader = Reader::open(file).unwrap();
    let checked = check_capture(&mut reader, |entry| {
        entries.push(json!(EntryView::of(entry)));
    })
    .unwrap();
    let ledger = checked.ledger.iter();
    // As text and back, like the API's: a fraction loses its last digit there.
    let text = |account| json!(MediumLedger::of(account, &checked.tally)).to_string();
    let ledger = ledger.map(|account| serde_json::from_str(&text(account)).unwrap()).collect();
    (entries, ledger, checked)
}

/// The ledger of the session's only stream, as the API shows it.
pub(super) async fn ledger(api: Api, log: &Log) -> Vec<Value> {
    let path = format!("/api/v1/sdk/sessions/{}/ledger", log.session_id());
    let answer = api.get(&path).await.unwrap().json();
    answer["data"]["streams"][0]["media"].as_array().cloned().unwrap_or_default()
}

/// Asserts that the file makes the log, to the byte, and the ledger, and that the state machine does the same.
pub(super) async fn assert_same(file: &[u8], api: Api, log: &Log) -> Page {
    let page = log.over().await;
    let (entries, accounts, checked) = checked(file);
    assert_eq!(checked.differences, Vec::<String>::new());
    for (again, first) in entries.iter().zip(&page.entries) {
        assert_eq!(again.to_string(), first.to_string());
    }
    assert_eq!(entries.len(), page.entries.len());
    assert_eq!(accounts, ledger(api, log).await);
    assert_eq!((checked.cut, checked.is_truncated), (0, false));
    page
}

pub(crate) fn write(folder: &Path, file: &[u8]) -> PathBuf {
    let path = folder.join("capture.jsonl.gz");
    std::fs::write(&path, file).unwrap();
    path
}
