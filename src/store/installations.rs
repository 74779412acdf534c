//! Installations: the grants, their sealed tokens, and the right to refresh them.

use std::net::IpAddr;

use serde_json::json;
use uuid::Uuid;

use super::audit::insert_audit;
use super::database::{Connection, binds, row, transaction};
use super::deletions::{NOTHING_FOUND, ask_deletion};
use super::rows;
use super::status_events::emit;
use super::{Store, StoreError, sql};
use crate::model::{
    AppName, AppScope, AuditRow, Deauthorization, Installation, InstallationId, InstallationStatus,
    OutgoingEvent,
};

/// The actor of actions that a webhook causes.
const ZOOM: &str = "zoom";

/// An installation's tokens as stored: sealed to their row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedTokens {
    pub access: String,
    pub refresh: Option<String>,
    pub expires_at_ms: Option<i64>,
}

/// An installation with its tokens; `None` after a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGrant {
    pub installation: Installation,
    pub tokens: Option<SealedTokens>,
}

/// The installing user and the granted scopes.
#[derive(Debug, Clone)]
pub struct GrantedTo {
    /// The installed app.
    pub app: AppName,
    pub account_id: String,
    pub user_id: String,
    pub display_name: Option<String>,
    pub email: Option<String>,
    pub scope: String,
    pub api_base_url: Option<String>,
    /// The browser's address, for the audit trail.
    pub address: Option<IpAddr>,
}

impl Store {
    /// Stores an install with the tokens obtained at `obtained_at_ms`, which `seal` seals for their row. A user who
    /// installs again keeps the id and gets new tokens. If a newer install of the user is stored already, it stays:
    /// Zoom has ended the older one.
    pub async fn save_installation(
        &self,
        granted: &GrantedTo,
        seal: impl Fn(InstallationId) -> SealedTokens,
        obtained_at_ms: i64,
    ) -> Result<Installation, StoreError> {
        transaction!(self.database, |tx| {
            upsert_installation(&mut tx, granted, &seal, obtained_at_ms).await?
        })
    }

    /// The current state of an installation and its tokens; `None` if the id is unknown.
    pub async fn grant(&self, id: InstallationId) -> Result<Option<StoredGrant>, StoreError> {
        let values = binds![id.to_string()];
        let row: Option<Row> = self.database.optional(sql::INSTALLATION, values).await?;
        row.map(StoredGrant::try_from).transpose()
    }

    /// One page of the installations of some apps, newest first, after the id `before`.
    pub async fn installations(
        &self,
        apps: &AppScope,
        before: Option<InstallationId>,
        limit: u32,
    ) -> Result<Vec<Installation>, StoreError> {
        let before = before.map(|id| id.to_string());
        let values = binds![before, i64::from(limit), rows::apps_text(apps)];
        let rows: Vec<Row> = self.database.all(sql::INSTALLATIONS, values).await?;
        let installation = |row| StoredGrant::try_from(row).map(|grant| grant.installation);
        rows.into_iter().map(installation).collect()
    }

    /// An app's best installation for a meeting: the host's before others of the account, working ones before those that the
    /// user must reconnect. Never a revoked one.
    pub async fn find_grant(
        &self,
        app: &AppName,
        host_id: Option<&str>,
        account_id: Option<&str>,
    ) -> Result<Option<StoredGrant>, StoreError> {
        let values = binds![host_id, account_id, app];
        let row: Option<Row> = self.database.optional(sql::FIND_INSTALLATION, values).await?;
        row.map(StoredGrant::try_from).transpose()
    }

    /// Up to `limit` connected installations of an app, oldest first.
    pub async fn connected_installations(
        &self,
        app: &AppName,
        limit: u32,
    ) -> Result<Vec<Installation>, StoreError> {
        let values = binds![i64::from(limit), app];
        let rows: Vec<Row> = self.database.all(sql::CONNECTED_INSTALLATIONS, values).await?;
        let installation = |row| StoredGrant::try_from(row).map(|grant| grant.installation);
        rows.into_iter().map(installation).collect()
    }

    /// Connected installations with tokens from before `before_ms`, oldest first.
    pub async fn idle_installations(
        &self,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<StoredGrant>, StoreError> {
        let values = binds![before_ms, i64::from(limit)];
        let rows: Vec<Row> = self.database.all(sql::IDLE_INSTALLATIONS, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Claims the right to refresh for `lease_ms`, by the database's clock. False if another node has it, if the tokens
    /// are no longer those of `generation`, or if the installation is not connected.
    pub async fn claim_refresh(
        &self,
        id: InstallationId,
        generation: i64,
        claim: Uuid,
        lease_ms: i64,
    ) -> Result<bool, StoreError> {
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let until_ms = now_ms.saturating_add(lease_ms);
            let values = binds![id.to_string(), generation, claim.to_string(), until_ms, now_ms];
            let claimed = tx.execute(sql::CLAIM_REFRESH, values).await?;
            claimed == 1
        })
    }

    /// Releases the right to refresh.
    pub async fn release_refresh(&self, id: InstallationId, claim: Uuid) -> Result<(), StoreError> {
        let values = binds![id.to_string(), claim.to_string()];
        self.database.execute(sql::RELEASE_REFRESH, values).await.map(drop)
    }

    /// Stores the refreshed tokens of `generation`. False if the tokens were replaced meanwhile or the installation was
    /// revoked: then these are useless.
    pub async fn replace_tokens(
        &self,
        id: InstallationId,
        generation: i64,
        tokens: &SealedTokens,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let SealedTokens { access, refresh, expires_at_ms } = tokens;
        let (access, refresh) = (access.as_str(), refresh.as_deref());
        let values = binds![id.to_string(), generation, access, refresh, *expires_at_ms, now_ms];
        Ok(self.database.execute(sql::REPLACE_TOKENS, values).await? == 1)
    }

    /// Records that Zoom rejects the refresh token of `generation`. False if the tokens were replaced meanwhile.
    pub async fn give_up_grant(
        &self,
        id: InstallationId,
        generation: i64,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let values = binds![id.to_string(), generation, now_ms];
        transaction!(self.database, |tx| {
            let is_done = tx.execute(sql::GIVE_UP_GRANT, values).await? == 1;
            if is_done {
                emit_reconnect(&mut tx, id, now_ms).await?;
            }
            is_done
        })
    }

    /// Deletes an installation's tokens and, if requested, schedules the deletion of its user's data
    /// ([`Store::delete_some`]); records both with `audit`. False if it was already revoked or is unknown.
    pub async fn revoke_installation(
        &self,
        id: InstallationId,
        delete_data: bool,
        audit: &AuditRow,
    ) -> Result<bool, StoreError> {
        let revoked = transaction!(self.database, |tx| {
            revoke_in_transaction(&mut tx, id, delete_data, audit).await?
        });
        // Its tokens and the user's name.
        self.note_deleted();
        revoked
    }

    /// Up to `limit` grants after `after`, by id, with a token that does not begin with `prefix`.
    pub async fn sealed_otherwise(
        &self,
        after: Option<InstallationId>,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<StoredGrant>, StoreError> {
        // The empty text sorts before every id.
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        // Bytes are characters here, because a prefix is ASCII.
        let characters = i64::try_from(prefix.len()).unwrap_or(i64::MAX);
        let values = binds![after, prefix, characters, i64::from(limit)];
        let rows: Vec<Row> = self.database.all(sql::SEALED_OTHERWISE, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Stores the same tokens under another seal. False if they were replaced meanwhile.
    pub async fn reseal_tokens(
        &self,
        id: InstallationId,
        generation: i64,
        tokens: &SealedTokens,
    ) -> Result<bool, StoreError> {
        let values = binds![id.to_string(), generation, &*tokens.access, tokens.refresh.as_deref()];
        Ok(self.database.execute(sql::RESEAL_TOKENS, values).await? == 1)
    }
}

async fn emit_reconnect(
    tx: &mut Connection<'_>,
    id: InstallationId,
    now_ms: i64,
) -> Result<(), StoreError> {
    let row: Row = tx.one(sql::INSTALLATION, binds![id.to_string()]).await?;
    let installation = StoredGrant::try_from(row)?.installation;
    emit(tx, &OutgoingEvent::needs_reconnect(&installation, now_ms), now_ms).await
}

async fn upsert_installation(
    tx: &mut Connection<'_>,
    granted: &GrantedTo,
    seal: &impl Fn(InstallationId) -> SealedTokens,
    obtained_at_ms: i64,
) -> Result<Installation, StoreError> {
    let values = binds![
        Uuid::now_v7().to_string(),
        &*granted.account_id,
        &*granted.user_id,
        granted.display_name.as_deref(),
        granted.email.as_deref(),
        &*granted.scope,
        granted.api_base_url.as_deref(),
        obtained_at_ms,
        &granted.app,
    ];
    let saved: Option<(String,)> = tx.optional(sql::UPSERT_INSTALLATION, values).await?;
    if let Some((id,)) = saved {
        let id = installation_id(&id)?;
        // A second statement, because the seal binds the tokens to the id that the first returned.
        let SealedTokens { access, refresh, expires_at_ms } = seal(id);
        let values = binds![id.to_string(), access, refresh, expires_at_ms, obtained_at_ms];
        tx.execute(sql::SET_TOKENS, values).await?;
        insert_audit(tx, &installed_row(id, granted, obtained_at_ms)).await?;
    }
    let values = binds![&*granted.account_id, &*granted.user_id, &granted.app];
    // By user, because a newer install may have kept its row.
    let row: Row = tx.one(sql::INSTALLATION_OF, values).await?;
    Ok(StoredGrant::try_from(row)?.installation)
}

fn installed_row(id: InstallationId, granted: &GrantedTo, at_ms: i64) -> AuditRow {
    AuditRow {
        address: granted.address,
        detail: json!({ "account_id": granted.account_id }),
        ..AuditRow::new(at_ms, &granted.user_id, "installation.install", &id.to_string())
    }
    .of_app(&granted.app)
}

async fn revoke_in_transaction(
    tx: &mut Connection<'_>,
    id: InstallationId,
    delete_data: bool,
    audit: &AuditRow,
) -> Result<bool, StoreError> {
    let row: Option<Row> = tx.optional(sql::INSTALLATION, binds![id.to_string()]).await?;
    let Some(row) = row else { return Ok(false) };
    let Installation { app, user_id, .. } = StoredGrant::try_from(row)?.installation;
    let revoked = tx.execute(sql::REVOKE_INSTALLATION, binds![id.to_string(), audit.at_ms]).await?;
    // A repeated revocation may still request the deletion of data.
    if revoked == 0 && !delete_data {
        return Ok(false);
    }
    let mut audit = audit.clone().of_app(&app);
    audit.detail["installations"] = revoked.into();
    if delete_data {
        let stopped = ask_deletion(tx, &app, &user_id, &audit.actor, audit.at_ms).await?;
        audit.detail["streams_stopped"] = stopped.into();
    }
    insert_audit(tx, &audit).await?;
    Ok(revoked > 0)
}

/// Forgets a user who removed an app at `gone_at_ms`, unless the user has returned: webhooks are retried for a while.
pub(super) async fn deauthorize_user(
    tx: &mut Connection<'_>,
    app: &AppName,
    gone: &Deauthorization,
    gone_at_ms: i64,
    now_ms: i64,
) -> Result<Forgotten, StoreError> {
    let (user_id, account_id) = (&*gone.user_id, gone.account_id.as_deref());
    let values = binds![user_id, account_id, gone_at_ms, now_ms, app];
    let installations: Vec<(String,)> = tx.all(sql::REVOKE_INSTALLATIONS_OF_USER, values).await?;
    let revoked = installations.len();
    let values = binds![user_id, account_id, app];
    let newer: Vec<Row> = tx.all(sql::INSTALLATIONS_OF_USER, values).await?;
    let mut streams_stopped = 0;
    let mut detail = json!({
        "may_keep_data": gone.may_keep_data, "installations": revoked,
        "newer_installations": newer.len(),
    });
    // A newer installation means that the user came back: the data is kept (section 15.7).
    if !gone.may_keep_data && newer.is_empty() {
        streams_stopped = ask_deletion(tx, app, user_id, ZOOM, now_ms).await?;
        detail["streams_stopped"] = streams_stopped.into();
    }
    let is_found = revoked > 0 || streams_stopped > 0 || !newer.is_empty();
    let audit = AuditRow {
        outcome: if is_found { "ok" } else { NOTHING_FOUND }.to_owned(),
        detail,
        ..AuditRow::new(now_ms, ZOOM, "installation.deauthorized", user_id)
    };
    insert_audit(tx, &audit.of_app(app)).await?;
    let installation = installations.into_iter().next().map(|(id,)| id);
    Ok(Forgotten { installation, is_found })
}

/// What a deauthorization found.
pub(super) struct Forgotten {
    /// The installation that it revoked, or one of several.
    pub installation: Option<String>,
    /// Whether the user has an installation, or had streams.
    pub is_found: bool,
}

row! {
    struct Row {
        id: String,
        app: String,
        account_id: String,
        user_id: String,
        display_name: Option<String>,
        email: Option<String>,
        scope: String,
        api_base_url: Option<String>,
        status: String,
        access_token: Option<String>,
        refresh_token: Option<String>,
        expires_at_ms: Option<i64>,
        tokens_at_ms: i64,
        generation: i64,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

impl TryFrom<Row> for StoredGrant {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let Row { refresh_token: refresh, expires_at_ms, .. } = row;
        let sealed = |access| SealedTokens { access, refresh, expires_at_ms };
        Ok(StoredGrant {
            installation: Installation {
                id: installation_id(&row.id)?,
                app: rows::app_name(&row.app)?,
                account_id: row.account_id,
                user_id: row.user_id,
                display_name: row.display_name,
                email: row.email,
                scope: row.scope,
                api_base_url: row.api_base_url,
                status: rows::read_text("status", &row.status, InstallationStatus::parse)?,
                expires_at_ms,
                tokens_at_ms: row.tokens_at_ms,
                generation: row.generation,
                created_at_ms: row.created_at_ms,
                updated_at_ms: row.updated_at_ms,
            },
            tokens: row.access_token.map(sealed),
        })
    }
}

fn installation_id(text: &str) -> Result<InstallationId, StoreError> {
    rows::read_text("installation id", text, InstallationId::parse)
}
