//! What the store takes: entries singly and in batches, and start webhooks from one caller and from many.
//!
//!     cargo bench --bench store                       # SQLite in a temporary folder
//!     cargo bench --bench store -- postgres://…       # an empty database of yours

use std::time::Instant;

use futures_util::future::join_all;
use rtmsd::model::{
    AppName, Delivery, DeliveryMethod, Entry, EntryBody, IdKey, Instance, Product, Speaker,
    StreamId, StreamRecord, StreamStarted, TranscriptLine, UserId, WebhookEffect,
};
use rtmsd::secret::Secret;
use rtmsd::store::{Append, Location, Store};

const ENTRIES: u64 = 2_000;
const DELIVERIES: usize = 2_000;
const CALLERS: usize = 64;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder for the run");
    let location = match std::env::args().find(|argument| argument.starts_with("postgres")) {
        Some(url) => Location::Postgres(Secret::new(url)),
        None => Location::Sqlite(folder.path().join("bench.db")),
    };
    let store = Store::open(&location).await.expect("the store opens");
    let stream = announce(&store, "entries", 0).await;

    let singly = entries(&store, &stream, 0, 1).await;
    let batched = entries(&store, &stream, ENTRIES, 100).await;
    println!("entries one by one       {singly:>9.0} a second");
    println!(
        "entries, 100 a statement {batched:>9.0} a second, {:.0} times as many",
        batched / singly
    );
    for callers in [1, CALLERS] {
        let rate = deliveries(&store, callers).await;
        println!("start webhooks, {callers:>2} callers {rate:>9.0} a second");
    }
    store.close().await;
}

async fn entries(store: &Store, stream: &StreamRecord, after: u64, batch: usize) -> f64 {
    let append = |seq| Append { epoch: stream.epoch, entry: entry(stream, seq), offer: None };
    let all: Vec<Append> = (after + 1..=after + ENTRIES).map(append).collect();
    let began = Instant::now();
    for batch in all.chunks(batch) {
        store.write_entries(batch).await.expect("entries are written");
    }
    ENTRIES as f64 / began.elapsed().as_secs_f64()
}

async fn deliveries(store: &Store, callers: usize) -> f64 {
    let began = Instant::now();
    let caller = async |caller: usize| {
        for number in (caller..DELIVERIES).step_by(callers) {
            announce(store, &format!("{callers}-{number}"), number as i64).await;
        }
    };
    join_all((0..callers).map(caller)).await;
    DELIVERIES as f64 / began.elapsed().as_secs_f64()
}

/// Records the start webhook of a stream in a meeting of its own.
async fn announce(store: &Store, name: &str, event_ts_ms: i64) -> StreamRecord {
    let stream_id = StreamId::parse(name).expect("a short name");
    let instance = Instance::new(Product::Meeting, IdKey::MeetingUuid, name).expect("a short name");
    let started = StreamStarted {
        stream_id: stream_id.clone(),
        instance,
        server_urls: "wss://rtms.zoom.us".into(),
        account_id: None,
        meeting_id: None,
        operator_id: None,
        is_host: false,
    };
    let delivery = Delivery {
        method: DeliveryMethod::Webhook,
        app: AppName::default(),
        digest: name.to_owned(),
        event: "meeting.rtms_started".into(),
        event_ts_ms,
        received_at_ms: event_ts_ms,
        body: "{}".into(),
        announcement: WebhookEffect::Started(started),
    };
    store.record_delivery(&delivery).await.expect("a delivery is recorded");
    store.stream(&stream_id).await.expect("the store works").expect("the stream is there")
}

fn entry(stream: &StreamRecord, seq: u64) -> Entry {
    let line = TranscriptLine {
        speaker: Speaker::participant(UserId(16_778_240), Some("Ana Silva".into())),
        text: "A line of about the length that people speak in one breath.".into(),
        start_ms: 1_732_313_190_000,
        end_ms: 1_732_313_191_500,
        language: Some(9),
        attribute: None,
    };
    Entry {
        session_id: stream.session_id,
        stream_id: stream.stream_id.clone(),
        stream_ordinal: stream.ordinal,
        seq,
        at_ms: 1_732_313_191_600,
        body: EntryBody::Transcript(line),
    }
}
