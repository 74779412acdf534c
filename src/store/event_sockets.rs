//! Which daemon holds the event socket of each app, and the gaps in which none was connected. Every time here is the
//! database's.

use super::actions::settle_actions;
use super::database::{Connection, binds, row, transaction};
use super::sessions::change_meeting;
use super::{Store, StoreError, rows, sql};
use crate::model::{AppName, Instance, MeetingChanged, NodeId, SessionId};

/// The right of one daemon to connect to the event socket of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSocketClaim {
    pub app: AppName,
    pub node: NodeId,
    /// Every write must carry it: a daemon that lost its claim changes nothing.
    pub epoch: i64,
}

/// A time in which no daemon was connected, Unix milliseconds. Zoom does not repeat the events in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSocketGap {
    /// The last time that a connection is known to have been up.
    pub from_ms: i64,
    pub until_ms: i64,
}

impl EventSocketGap {
    pub fn length_ms(self) -> i64 {
        self.until_ms.saturating_sub(self.from_ms).max(0)
    }
}

/// What is known when a connection comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSocketUp {
    /// The gap before it; none if this is the first connection of the app.
    pub gap: Option<EventSocketGap>,
    /// The time about which Zoom has to be asked: this gap, and earlier ones about which nobody has asked.
    pub unasked: Option<EventSocketGap>,
}

row! {
    /// The event socket of one app.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct EventSocketRow {
        pub app: String,
        /// The daemon that holds it.
        pub owner: Option<String>,
        pub lease_until_ms: i64,
        pub connected_at_ms: Option<i64>,
        /// Until when a connection is known to have been up.
        pub seen_at_ms: Option<i64>,
        /// Why the last connection ended or failed, by its code.
        pub problem: Option<String>,
        pub gap_from_ms: Option<i64>,
        pub gap_until_ms: Option<i64>,
    }
}

impl EventSocketRow {
    /// Whether a daemon is connected at a time of the database.
    pub fn is_connected(&self, now_ms: i64) -> bool {
        self.owner.is_some() && self.lease_until_ms > now_ms && self.connected_at_ms.is_some()
    }

    /// The last gap.
    pub fn gap(&self) -> Option<EventSocketGap> {
        let (from_ms, until_ms) = (self.gap_from_ms?, self.gap_until_ms?);
        Some(EventSocketGap { from_ms, until_ms })
    }
}

impl Store {
    /// Claims the event socket of an app for `lease_ms`, unless another daemon holds it.
    pub async fn claim_event_socket(
        &self,
        app: &AppName,
        node: NodeId,
        lease_ms: i64,
    ) -> Result<Option<EventSocketClaim>, StoreError> {
        let owner = node.to_string();
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let until_ms = now_ms.saturating_add(lease_ms);
            let values = binds![app, &*owner, until_ms, now_ms];
            let row: Option<(i64,)> = tx.optional(sql::CLAIM_EVENT_SOCKET, values).await?;
            row.map(|(epoch,)| EventSocketClaim { app: app.clone(), node, epoch })
        })
    }

    /// Extends a claim to `lease_ms` from now. `seen_ago_ms` is how long ago the connection last proved to be up, if
    /// one is. False if another daemon has the claim.
    pub async fn renew_event_socket(
        &self,
        claim: &EventSocketClaim,
        lease_ms: i64,
        seen_ago_ms: Option<i64>,
    ) -> Result<bool, StoreError> {
        let owner = claim.node.to_string();
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let seen_ms = seen_ago_ms.map(|ago_ms| now_ms.saturating_sub(ago_ms));
            let until_ms = now_ms.saturating_add(lease_ms);
            let values = binds![&claim.app, &*owner, claim.epoch, until_ms, seen_ms];
            tx.execute(sql::RENEW_EVENT_SOCKET, values).await? > 0
        })
    }

    /// Notes that a connection is up, and returns what lies behind it. None if another daemon has the claim.
    pub async fn event_socket_up(
        &self,
        claim: &EventSocketClaim,
    ) -> Result<Option<EventSocketUp>, StoreError> {
        let owner = claim.node.to_string();
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let values = binds![&claim.app, &*owner, claim.epoch];
            let row: Option<(Option<i64>, Option<i64>)> =
                tx.optional(sql::LOCK_EVENT_SOCKET, values).await?;
            let Some((seen_ms, unasked_ms)) = row else { return Ok(None) };
            let until = |from_ms| EventSocketGap { from_ms, until_ms: now_ms };
            let gap = seen_ms.map(until).filter(|gap| gap.length_ms() > 0);
            let unasked = unasked_ms.map(until).or(gap);
            let (from_ms, until_ms) = gap.map(|gap| (gap.from_ms, gap.until_ms)).unzip();
            let unasked_ms = unasked.map(|gap| gap.from_ms);
            let (app, epoch) = (&claim.app, claim.epoch);
            let values = binds![app, &*owner, epoch, now_ms, from_ms, until_ms, unasked_ms];
            tx.execute(sql::EVENT_SOCKET_UP, values).await?;
            Some(EventSocketUp { gap, unasked })
        })
    }

    /// Notes why no connection is up, and that the last one was last seen so many milliseconds ago.
    pub async fn event_socket_down(
        &self,
        claim: &EventSocketClaim,
        problem: &str,
        seen_ago_ms: i64,
    ) -> Result<(), StoreError> {
        let owner = claim.node.to_string();
        transaction!(self.database, |tx| {
            let seen_ms = tx.now_ms().await?.saturating_sub(seen_ago_ms);
            let values = binds![&claim.app, &*owner, claim.epoch, problem, seen_ms];
            tx.execute(sql::EVENT_SOCKET_DOWN, values).await?;
        })
    }

    /// Notes that Zoom was asked about the time until the end of this gap.
    pub async fn event_socket_asked(
        &self,
        claim: &EventSocketClaim,
        gap: EventSocketGap,
    ) -> Result<(), StoreError> {
        let values = binds![&claim.app, claim.node.to_string(), claim.epoch, gap.until_ms];
        self.database.execute(sql::EVENT_SOCKET_ASKED, values).await.map(drop)
    }

    /// Releases a claim, so that another daemon takes it at once. The connection, if there is one, stays up for so many
    /// milliseconds, or until the other daemon's takes its place.
    pub async fn release_event_socket(
        &self,
        claim: &EventSocketClaim,
        stays_ms: i64,
    ) -> Result<(), StoreError> {
        let owner = claim.node.to_string();
        transaction!(self.database, |tx| {
            let until_ms = tx.now_ms().await?.saturating_add(stays_ms);
            let values = binds![&claim.app, &*owner, claim.epoch, until_ms];
            tx.execute(sql::RELEASE_EVENT_SOCKET, values).await?;
        })
    }

    /// The event sockets of all apps that have or had one, by the name of the app, and the database's time.
    pub async fn event_sockets(&self) -> Result<(Vec<EventSocketRow>, i64), StoreError> {
        self.database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                let mut connection = reader.connection();
                let now_ms = connection.now_ms().await?;
                Ok((connection.all(sql::EVENT_SOCKETS, binds![]).await?, now_ms))
            })
            .await
    }

    /// The sessions of running meetings of an app whose last change was at `since_ms` or later, the newest first.
    pub async fn sessions_to_ask_about(
        &self,
        app: &AppName,
        since_ms: i64,
        limit: u32,
    ) -> Result<Vec<SessionId>, StoreError> {
        let values = binds![app, since_ms, i64::from(limit)];
        let ids: Vec<(String,)> = self.database.all(sql::SESSIONS_TO_ASK_ABOUT, values).await?;
        ids.iter().map(|(id,)| rows::session_id(id)).collect()
    }

    /// Whether an app has a session of this conversation.
    pub async fn has_session(
        &self,
        app: &AppName,
        instance: &Instance,
    ) -> Result<bool, StoreError> {
        let values = binds![app, instance.product.as_str(), instance.id()];
        let row: Option<(String,)> =
            self.database.optional(sql::SESSION_OF_INSTANCE, values).await?;
        Ok(row.is_some())
    }

    /// Records a meeting's begin or end that Zoom's REST API reported, with the effects of the event. Returns its session.
    pub async fn record_meeting(
        &self,
        app: &AppName,
        meeting: &MeetingChanged,
        at_ms: i64,
        now_ms: i64,
    ) -> Result<SessionId, StoreError> {
        transaction!(self.database, |tx| {
            change_meeting(&mut tx, app, meeting, at_ms, now_ms).await?.session
        })
    }

    /// Makes the policies' starts of a session due again that Zoom accepted since `since_ms` and that no stream has
    /// followed. Returns whether there were any.
    pub async fn repeat_planned_starts(
        &self,
        id: SessionId,
        since_ms: i64,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        transaction!(self.database, |tx| {
            repeat_starts(&mut tx, &id.to_string(), since_ms, now_ms).await?
        })
    }
}

async fn repeat_starts(
    tx: &mut Connection<'_>,
    id: &str,
    since_ms: i64,
    now_ms: i64,
) -> Result<bool, StoreError> {
    tx.execute(sql::LOCK_SESSION, binds![id]).await?;
    let values = binds![id, since_ms, now_ms];
    let sessions = settle_actions(tx, sql::REPEAT_PLANNED_STARTS, values, now_ms).await?;
    Ok(!sessions.is_empty())
}
