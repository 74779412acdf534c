//! The positions of sinks, and the leases on them.

use super::database::{Connection, binds, row, transaction};
use super::entries::stored_seq;
use super::rows::{self, EntryRow};
use super::{Store, StoreError, sql};
use crate::model::{AppName, Entry, NodeId, Product, StreamId};

/// The streams in one page: each costs a statement.
const PAGE_STREAMS: u32 = 500;

/// A lease on a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkHold {
    /// The sink has everything of streams that ended before this time. Unix milliseconds.
    pub through_ms: i64,
    /// Raised when another node takes the sink; positions are written only under the current epoch.
    pub epoch: i64,
}

/// An entry for a sink, with information about its session.
#[derive(Debug, Clone, PartialEq)]
pub struct Relayed {
    pub entry: Entry,
    /// The app of the session.
    pub app: AppName,
    pub product: Product,
    /// `None` if no webhook named it.
    pub account_id: Option<String>,
}

/// A page of entries that a sink has not received yet.
#[derive(Debug, Default, PartialEq)]
pub struct SinkPage {
    /// In order within each stream.
    pub entries: Vec<Relayed>,
    /// The sink's position in each stream after these entries.
    pub reached: Vec<(StreamId, u64)>,
    /// The last examined stream: the next page begins after it. `None` if there was nothing new.
    pub last: Option<StreamId>,
    /// Whether the limit was reached, so that the last stream may have more.
    pub is_cut: bool,
}

row! {
    /// A stream with entries that a sink has not received.
    struct NewsRow {
        stream_id: String,
        session_id: String,
        ordinal: i64,
        app: String,
        product: String,
        account_id: Option<String>,
        seen: i64,
    }
}

impl Store {
    /// Takes or extends the lease of a sink for `lease_ms`, by the database's clock; `None` while another node has a
    /// valid one. A new sink starts with entries stored from now on.
    pub async fn hold_sink(
        &self,
        sink: &str,
        node: NodeId,
        lease_ms: i64,
    ) -> Result<Option<SinkHold>, StoreError> {
        let node = node.to_string();
        transaction!(self.database, |tx| { take_hold(&mut tx, sink, &node, lease_ms).await? })
    }

    /// Releases the lease, so that another node can continue at once.
    pub async fn release_sink(&self, sink: &str, node: NodeId) -> Result<(), StoreError> {
        let values = binds![sink, node.to_string()];
        self.database.execute(sql::RELEASE_SINK, values).await.map(drop)
    }

    /// Up to `limit` entries that a sink has not received, of streams with ids after `after` that had not ended before
    /// `ended_since_ms`.
    pub async fn sink_page(
        &self,
        sink: &str,
        ended_since_ms: i64,
        after: &str,
        limit: u32,
    ) -> Result<SinkPage, StoreError> {
        self.database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                let tx = &mut reader.connection();
                let values = binds![sink, ended_since_ms, after, i64::from(PAGE_STREAMS)];
                let news: Vec<NewsRow> = tx.all(sql::SINK_NEWS, values).await?;
                read_page(tx, news, limit).await
            })
            .await
    }

    /// Stores a sink's positions, which never move back. False, without a change, if another node has taken the sink
    /// since the epoch of this hold.
    pub async fn move_sink(
        &self,
        sink: &str,
        epoch: i64,
        reached: &[(StreamId, u64)],
    ) -> Result<bool, StoreError> {
        transaction!(self.database, |tx| {
            if !is_held(&mut tx, sink, epoch).await? {
                return Ok(false);
            }
            for (stream, seq) in reached {
                let values = binds![sink, stream.as_str(), stored_seq(*seq)];
                tx.execute(sql::MOVE_SINK_POSITION, values).await?;
            }
            true
        })
    }

    /// Stores that a sink has everything of streams that ended before `through_ms`. False, without a change, if another
    /// node has taken the sink since the epoch of this hold.
    pub async fn move_sink_through(
        &self,
        sink: &str,
        epoch: i64,
        through_ms: i64,
    ) -> Result<bool, StoreError> {
        transaction!(self.database, |tx| {
            if !is_held(&mut tx, sink, epoch).await? {
                return Ok(false);
            }
            let values = binds![sink, through_ms];
            tx.execute(sql::MOVE_SINK_THROUGH, values).await?;
            true
        })
    }
}

async fn is_held(tx: &mut Connection<'_>, sink: &str, epoch: i64) -> Result<bool, StoreError> {
    Ok(tx.execute(sql::LOCK_HELD_SINK, binds![sink, epoch]).await? > 0)
}

/// Keeps a sink from beginning until the transaction ends. False if it has never begun.
pub(super) async fn lock_sink(tx: &mut Connection<'_>, sink: &str) -> Result<bool, StoreError> {
    let now_ms = tx.now_ms().await?;
    let is_new = tx.execute(sql::INSERT_SINK, binds![sink, now_ms]).await? > 0;
    tx.execute(sql::LOCK_SINK, binds![sink]).await?;
    Ok(!is_new)
}

/// Makes a locked sink begin now: it receives nothing from before.
pub(super) async fn begin_sink(tx: &mut Connection<'_>, sink: &str) -> Result<(), StoreError> {
    let now_ms = tx.now_ms().await?;
    tx.execute(sql::MOVE_SINK_THROUGH, binds![sink, now_ms]).await?;
    tx.execute(sql::BEGIN_SINK_POSITIONS, binds![sink, now_ms]).await.map(drop)
}

async fn take_hold(
    tx: &mut Connection<'_>,
    sink: &str,
    node: &str,
    lease_ms: i64,
) -> Result<Option<SinkHold>, StoreError> {
    let now_ms = tx.now_ms().await?;
    let until_ms = now_ms.saturating_add(lease_ms);
    if tx.execute(sql::INSERT_SINK, binds![sink, now_ms]).await? > 0 {
        tx.execute(sql::BEGIN_SINK_POSITIONS, binds![sink, now_ms]).await?;
    }
    let held: Option<(i64, i64)> =
        tx.optional(sql::HOLD_SINK, binds![sink, node, now_ms, until_ms]).await?;
    Ok(held.map(|(through_ms, epoch)| SinkHold { through_ms, epoch }))
}

async fn read_page(
    tx: &mut Connection<'_>,
    news: Vec<NewsRow>,
    limit: u32,
) -> Result<SinkPage, StoreError> {
    let mut page = SinkPage::default();
    let mut room = i64::from(limit);
    for stream in news {
        if room <= 0 {
            break;
        }
        // Even if the stream yields nothing, so that the next page begins after it.
        page.last = Some(rows::stream_id(&stream.stream_id)?);
        // The empty text selects entries of all kinds.
        let values = binds![&*stream.stream_id, stream.seen, "", room];
        let found: Vec<EntryRow> = tx.all(sql::ENTRIES_AFTER, values).await?;
        room -= i64::try_from(found.len()).unwrap_or(i64::MAX);
        page.add(&stream, found)?;
    }
    page.is_cut = room <= 0;
    Ok(page)
}

impl SinkPage {
    /// An entry that this version cannot read is skipped: it would block all others permanently.
    fn add(&mut self, stream: &NewsRow, found: Vec<EntryRow>) -> Result<(), StoreError> {
        // The entries may have been deleted meanwhile.
        let Some(last) = found.last() else { return Ok(()) };
        let stream_id = rows::stream_id(&stream.stream_id)?;
        let session_id = rows::session_id(&stream.session_id)?;
        let ordinal = rows::read_number("ordinal", stream.ordinal)?;
        let app = rows::app_name(&stream.app)?;
        let product = rows::read_text("product", &stream.product, Product::parse)?;
        // The position passes unreadable entries, too.
        self.reached.push((stream_id.clone(), rows::read_number("seq", last.seq)?));
        for row in found {
            let entry = row.into_entry(session_id, stream_id.clone(), ordinal);
            if let Some(entry) = rows::or_passed_over(entry) {
                let account_id = stream.account_id.clone();
                self.entries.push(Relayed { entry, app: app.clone(), product, account_id });
            }
        }
        Ok(())
    }
}
