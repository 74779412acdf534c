//! A store with ten thousand ended sessions, a few live ones and one with a long transcript.

use rtmsd::clock;
use rtmsd::model::{
    AppName, Delivery, DeliveryMethod, Entry, EntryBody, GapCause, IdKey, Instance, Medium,
    Outcome, Participant, Product, SessionId, Speaker, StreamId, StreamRecord, StreamStarted,
    StreamStatus, TranscriptLine, UserId, WebhookEffect,
};
use rtmsd::store::{Append, Location, Store, StreamUpdate};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::zoom::Problem;

const ENDED_SESSIONS: usize = 10_000;
/// The ids of few of them are less.
pub(crate) const EARLY_ID: &str = "00000000-0000-7000-8000-000000000060";
const LIVE_SESSIONS: usize = 5;
pub(crate) const LINES: usize = 50_000;
/// Of them there is one for so many lines, as in a meeting with several people.
const LINES_PER_SPEAKER: usize = 5;
const LINES_PER_GAP: usize = 1_000;
const LINE_MS: i64 = 1_500;
const BATCH: usize = 1_000;

/// Fills an empty store and returns the session with the long transcript.
pub(crate) async fn fill(location: &Location) -> Result<SessionId, Problem> {
    let store = Store::open(location).await?;
    insert_ended_sessions(location).await?;
    for number in 0..LIVE_SESSIONS {
        let stream = announce(&store, &format!("live-{number}")).await?;
        set_live(&store, &stream).await?;
    }
    let stream = announce(&store, "long").await?;
    set_live(&store, &stream).await?;
    let appends = entries(&stream);
    for batch in appends.chunks(BATCH) {
        store.write_entries(batch).await?;
    }
    let (epoch, generation) = (stream.epoch, stream.generation);
    let (id, now_ms) = (&stream.stream_id, clock::now_ms());
    store.finish_stream(id, epoch, generation, Outcome::Stopped, None, now_ms).await?;
    store.close().await;
    Ok(stream.session_id)
}

/// By SQL, because the store would need a transaction for each of several steps of each.
async fn insert_ended_sessions(location: &Location) -> Result<(), Problem> {
    let now_ms = clock::now_ms();
    let numbers = format!(
        "WITH RECURSIVE numbers (n) AS
             (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ENDED_SESSIONS})"
    );
    // Older than the others, and each with a number of its own in twelve digits.
    let id = "'00000000-0000-7000-8000-' || substr(CAST(1000000000000 + n AS TEXT), 2)";
    let at_ms = format!("{now_ms} - 60000 * CAST(n AS BIGINT)");
    let sessions = format!(
        "{numbers} INSERT INTO sessions (id, product, id_key, instance_id, meeting_id, status,
                                         created_at_ms, updated_at_ms, ended_at_ms, host_id, metadata)
         SELECT {id}, 'meeting', 'meeting_uuid', 'uuid-' || n, '9' || (1000000000 + n), 'ended',
                {at_ms}, {at_ms}, {at_ms}, 'host-' || (n % 100), '{{\"deal\":\"D-' || n || '\"}}'
           FROM numbers"
    );
    let streams = format!(
        "{numbers} INSERT INTO streams (stream_id, session_id, ordinal, server_urls, event_ts_ms, generation,
                                        interrupts, status, outcome, tally, created_at_ms, ended_at_ms)
         SELECT 'stream-' || n, {id}, 1, 'wss://127.0.0.1:9', {at_ms}, 1, 0, 'ended', 'stopped', '{{}}',
                {at_ms}, {at_ms}
           FROM numbers"
    );
    for statement in [sessions, streams] {
        execute(location, statement).await?;
    }
    Ok(())
}

async fn execute(location: &Location, statement: String) -> Result<(), Problem> {
    let statement = AssertSqlSafe(statement);
    match location {
        Location::Sqlite(path) => {
            let url = format!("sqlite://{}", path.display());
            let mut database = SqliteConnection::connect(&url).await?;
            database.execute(statement).await?;
            database.close().await?;
        }
        Location::Postgres(url) => {
            let mut database = PgConnection::connect(url.expose()).await?;
            database.execute(statement).await?;
            database.close().await?;
        }
    }
    Ok(())
}

/// Records the start webhook of a stream in a meeting of its own.
async fn announce(store: &Store, name: &str) -> Result<StreamRecord, Problem> {
    let (stream_id, now_ms) = (StreamId::parse(name)?, clock::now_ms());
    let started = StreamStarted {
        stream_id: stream_id.clone(),
        instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, name)?,
        server_urls: "wss://127.0.0.1:9".into(),
        account_id: Some("account-of-the-bench".into()),
        meeting_id: Some(format!("number-{name}")),
        operator_id: Some(format!("user-{name}")),
        is_host: true,
    };
    let delivery = Delivery {
        method: DeliveryMethod::Webhook,
        app: AppName::default(),
        digest: name.to_owned(),
        event: "meeting.rtms_started".into(),
        event_ts_ms: now_ms,
        received_at_ms: now_ms,
        body: "{}".into(),
        announcement: WebhookEffect::Started(started),
    };
    store.record_delivery(&delivery).await?;
    store.stream(&stream_id).await?.ok_or_else(|| "the stream is not stored".into())
}

async fn set_live(store: &Store, stream: &StreamRecord) -> Result<(), Problem> {
    let status = Some(StreamStatus::Live);
    let update = StreamUpdate { epoch: stream.epoch, status, ..StreamUpdate::default() };
    store.update_streams(&[(stream.stream_id.clone(), update)], clock::now_ms()).await?;
    Ok(())
}

/// The log of a stream with many lines: its beginning, and lines with a change of the speaker or a gap now and then.
fn entries(stream: &StreamRecord) -> Vec<Append> {
    let began_ms = clock::now_ms() - LINE_MS * LINES as i64;
    let mut bodies = vec![
        (began_ms, EntryBody::LinkUp { link: "signaling".into() }),
        (began_ms, EntryBody::FirstPacket {}),
        (began_ms, EntryBody::StreamState { state: "active".into(), reason: None }),
        (began_ms, EntryBody::LinkUp { link: "transcript".into() }),
    ];
    for number in 0..LINES {
        let at_ms = began_ms + LINE_MS * number as i64;
        if number % LINES_PER_SPEAKER == 0 {
            let user_id = UserId(16_778_240 + (number % 7) as u64);
            let person = Participant { user_id, user_name: Some("Ana Silva".into()) };
            bodies.push((at_ms, EntryBody::ActiveSpeaker(person)));
        }
        if number % LINES_PER_GAP == 0 {
            let (medium, cause) = (Medium::Transcript, GapCause::LinkLost);
            let gap = EntryBody::Gap { medium, start_ms: at_ms, end_ms: at_ms + 1, cause };
            bodies.push((at_ms, gap));
        }
        bodies.push((at_ms, EntryBody::Transcript(line(at_ms))));
    }
    (1..).zip(bodies).map(|(seq, (at_ms, body))| append(stream, seq, at_ms, body)).collect()
}

fn line(start_ms: i64) -> TranscriptLine {
    TranscriptLine {
        speaker: Speaker::participant(UserId(16_778_240), Some("Ana Silva".into())),
        text: "A line of about the length that people speak in one breath.".into(),
        start_ms,
        end_ms: start_ms + LINE_MS,
        language: Some(9),
        attribute: None,
    }
}

fn append(stream: &StreamRecord, seq: u64, at_ms: i64, body: EntryBody) -> Append {
    let entry = Entry {
        session_id: stream.session_id,
        stream_id: stream.stream_id.clone(),
        stream_ordinal: stream.ordinal,
        seq,
        at_ms,
        body,
    };
    Append { epoch: stream.epoch, entry, offer: None }
}
