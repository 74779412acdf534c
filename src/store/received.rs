//! The log of Zoom's webhooks: its pages, refused webhooks, and their second processing.

use std::collections::BTreeMap;

use super::audit::insert_audit;
use super::database::{binds, row, transaction};
use super::deliveries::{apply_delivery, reason_at_first};
use super::{Recorded, Store, StoreError, rows, sql};
use crate::model::{
    AppName, AppScope, AuditRow, Delivery, DeliveryMethod, Received, SessionId, Unprocessed,
    WebhookOutcome, WebhookReason,
};

/// Selects a page of the log, newest first.
#[derive(Debug, Clone, Default)]
pub struct ReceivedPage<'a> {
    /// Only webhooks before this one: its time of arrival and its digest.
    pub before: Option<(i64, &'a str)>,
    pub limit: u32,
    /// Only webhooks of these apps.
    pub apps: AppScope,
    /// Only events of this name.
    pub event: Option<&'a str>,
    pub outcome: Option<WebhookOutcome>,
    pub reason: Option<WebhookReason>,
    pub method: Option<DeliveryMethod>,
    pub session: Option<SessionId>,
    /// Only webhooks that arrived at this time or later, Unix milliseconds.
    pub from_ms: Option<i64>,
    /// Only webhooks that arrived before this time, Unix milliseconds.
    pub until_ms: Option<i64>,
    /// Only webhooks with this text in the event, stream, session, meeting or installation, in any case.
    pub text: Option<&'a str>,
}

/// A URL validation by Zoom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The fingerprint of the secret token that it was signed with.
    pub secret: String,
}

impl Store {
    /// One page of the log, without bodies.
    pub async fn received_page(
        &self,
        page: &ReceivedPage<'_>,
    ) -> Result<Vec<Received>, StoreError> {
        let (before_ms, before) = page.before.unzip();
        let values = binds![
            before_ms,
            before,
            rows::apps_text(&page.apps),
            page.event,
            page.outcome.map(WebhookOutcome::as_str),
            page.reason.map(WebhookReason::as_str),
            page.session.map(|id| id.to_string()),
            page.from_ms,
            page.until_ms,
            page.text.map(|text| rows::like_pattern(&text.to_lowercase())),
            i64::from(page.limit),
            page.method.map(DeliveryMethod::as_str),
        ];
        let rows: Vec<Row> = self.database.all(sql::RECEIVED_PAGE, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// One webhook of the log, without its body.
    pub async fn received(&self, digest: &str) -> Result<Option<Received>, StoreError> {
        let row: Option<Row> = self.database.optional(sql::RECEIVED, binds![digest]).await?;
        row.map(Received::try_from).transpose()
    }

    /// The body of a webhook, if it is kept.
    pub async fn received_body(&self, digest: &str) -> Result<Option<String>, StoreError> {
        let row: Option<(String,)> =
            self.database.optional(sql::RECEIVED_BODY, binds![digest]).await?;
        Ok(row.map(|(body,)| body))
    }

    /// The app that sent a webhook.
    pub async fn app_of_received(&self, digest: &str) -> Result<Option<AppName>, StoreError> {
        let row: Option<(String,)> =
            self.database.optional(sql::APP_OF_RECEIVED, binds![digest]).await?;
        row.map(|(app,)| rows::app_name(&app)).transpose()
    }

    /// Records a webhook that was refused or failed, unless a copy of it is recorded.
    pub async fn record_unprocessed(&self, webhook: &Unprocessed) -> Result<(), StoreError> {
        transaction!(self.database, |tx| {
            let values = binds![
                &*webhook.digest,
                &*webhook.event,
                webhook.event_ts_ms,
                webhook.received_at_ms,
                webhook.stream_id.as_ref().map(|id| id.as_str()),
                webhook.outcome.as_str(),
                webhook.reason.as_str(),
                webhook.user_id.as_deref(),
                &*webhook.body,
                &webhook.app,
                webhook.method.as_str(),
            ];
            if tx.execute(sql::INSERT_UNPROCESSED, values).await? > 0 {
                let digest = binds![&*webhook.digest];
                tx.execute(sql::DISOWN_UNPROCESSED, digest).await?;
                tx.execute(sql::BLANK_UNPROCESSED, digest).await?;
            }
        })
    }

    /// Gives a webhook that was refused or failed its effect, with the audit row. `None` if it has had one: nothing
    /// changes then.
    pub async fn process_again(
        &self,
        delivery: &Delivery,
        audit: &AuditRow,
    ) -> Result<Option<Recorded>, StoreError> {
        transaction!(self.database, |tx| {
            let reason = reason_at_first(&delivery.announcement).map(WebhookReason::as_str);
            let values = binds![&*delivery.digest, reason, delivery.received_at_ms];
            if tx.execute(sql::TAKE_UNPROCESSED, values).await? == 0 {
                return Ok(None);
            }
            insert_audit(&mut tx, audit).await?;
            Some(apply_delivery(&mut tx, delivery).await?)
        })
    }

    /// When the newest webhook of each app arrived, Unix milliseconds.
    pub async fn last_received(&self) -> Result<BTreeMap<AppName, i64>, StoreError> {
        let rows: Vec<(String, i64)> = self.database.all(sql::LAST_RECEIVED, binds![]).await?;
        rows.iter().map(|(app, at_ms)| Ok((rows::app_name(app)?, *at_ms))).collect()
    }

    /// Notes that Zoom validated the webhook URL of an app.
    pub async fn note_validation(
        &self,
        app: &AppName,
        validation: &Validation,
    ) -> Result<(), StoreError> {
        let values = binds![app, validation.at_ms, &*validation.secret];
        self.database.execute(sql::NOTE_VALIDATION, values).await.map(drop)
    }

    /// The last URL validation of each app.
    pub async fn validations(&self) -> Result<BTreeMap<AppName, Validation>, StoreError> {
        let rows: Vec<(String, i64, String)> =
            self.database.all(sql::VALIDATIONS, binds![]).await?;
        let read = |(app, at_ms, secret): (String, i64, String)| {
            Ok((rows::app_name(&app)?, Validation { at_ms, secret }))
        };
        rows.into_iter().map(read).collect()
    }
}

row! {
    struct Row {
        digest: String,
        app: String,
        method: String,
        event: String,
        event_ts_ms: i64,
        received_at_ms: i64,
        processed_at_ms: Option<i64>,
        effect: String,
        reason: Option<String>,
        stream_id: Option<String>,
        ordinal: Option<i64>,
        session_id: Option<String>,
        meeting_id: Option<String>,
        installation_id: Option<String>,
        has_body: i64,
    }
}

impl TryFrom<Row> for Received {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            digest: row.digest,
            app: rows::app_name(&row.app)?,
            method: rows::read_text("method", &row.method, DeliveryMethod::parse)?,
            event: row.event,
            event_ts_ms: row.event_ts_ms,
            received_at_ms: row.received_at_ms,
            processed_at_ms: row.processed_at_ms,
            outcome: rows::read_text("effect", &row.effect, WebhookOutcome::parse)?,
            // A reason of a newer version is left out instead of hiding the webhook.
            reason: row.reason.as_deref().and_then(WebhookReason::parse),
            stream_id: row.stream_id.as_deref().map(rows::stream_id).transpose()?,
            ordinal: row.ordinal.and_then(|ordinal| u32::try_from(ordinal).ok()),
            session_id: row.session_id.as_deref().map(rows::session_id).transpose()?,
            meeting_id: row.meeting_id,
            installation_id: row.installation_id,
            has_body: row.has_body != 0,
        })
    }
}
