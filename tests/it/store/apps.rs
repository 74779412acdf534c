//! Two apps in one store: nothing that is signed or done for one changes what belongs to the other.

use rtmsd::model::{
    Action, AppName, AppScope, Delivery, EventKind, InstallationStatus, MeetingChange, NewSession,
    Notice, Product, Session, SessionId, SessionStatus,
};
use rtmsd::store::{
    AuditPage, Begin, DeliveryStatus, EndpointChange, Recorded, SessionPage, Store, StoreError,
};

use super::installations::install_of;
use super::outgoing::{endpoint_of, kinds};
use super::webhooks::*;
use crate::control::store::meeting as numbered;
use crate::support::audit::{act, trail};
use crate::support::raw::Raw;
use crate::support::stores::{TestStore, on_both};

fn acme() -> AppName {
    AppName::parse("acme").unwrap()
}

/// The same webhook, signed by `acme`.
fn of_acme(delivery: Delivery) -> Delivery {
    signed_by(&acme(), delivery)
}

async fn sessions(store: &Store) -> Vec<Session> {
    store.sessions(&SessionPage { limit: 100, ..SessionPage::default() }).await.unwrap()
}

async fn session(store: &Store, id: SessionId) -> Session {
    store.session(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn two_apps_in_one_meeting_have_a_session_each() {
    on_both(async |test| {
        let store = &test.store;
        let own = announce(store, "s1").await;
        record(store, of_acme(started("s2", 1, URL))).await;
        let other = read(store, "s2").await;
        assert_eq!((other.app, read(store, "s1").await.app), (acme(), AppName::default()));
        assert_ne!(other.session_id, own);
        assert_eq!(session(store, other.session_id).await.app, acme());

        record(store, of_acme(meeting_changed(5, MeetingChange::Ended))).await;
        assert_eq!(session(store, own).await.meeting_ended_at_ms, None);
        assert_eq!(session(store, other.session_id).await.meeting_ended_at_ms, Some(5));
        assert_eq!(sessions(store).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_of_another_app_does_not_touch_a_stream() {
    on_both(async |test| {
        let store = &test.store;
        let session_id = announce(store, "s1").await;
        let (stream, before) = (read(store, "s1").await, session(store, session_id).await);
        let shown = store.deliveries_of(session_id, 100).await.unwrap();
        let notice = Notice { stream_id: Some(stream_id("s1")), ..Notice::default() };
        for foreign in [
            started("s1", 9, OTHER_URL),
            interrupted("s1", 9),
            stopped("s1", 9, Some(8)),
            notice_of(9, notice),
        ] {
            let event = foreign.event.clone();
            assert_eq!(record(store, of_acme(foreign)).await, Recorded::NoChange, "{event}");
        }
        assert_eq!(read(store, "s1").await, stream);
        assert_eq!(session(store, session_id).await, before);
        assert_eq!(store.deliveries_of(session_id, 100).await.unwrap(), shown);
        assert_eq!(sessions(store).await.len(), 1);
        // The app's own webhook still does.
        assert_eq!(record(store, stopped("s1", 9, Some(8))).await, changed("s1"));
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_came_before_another_apps_stream_is_not_shown_with_it() {
    on_both(async |test| {
        let store = &test.store;
        record(store, of_acme(interrupted("s1", 1))).await;
        let session_id = announce(store, "s1").await;
        let events: Vec<_> = store.deliveries_of(session_id, 100).await.unwrap();
        let events: Vec<_> = events.iter().map(|delivery| delivery.event.as_str()).collect();
        assert_eq!(events, ["meeting.rtms_started"]);
    })
    .await;
}

#[tokio::test]
async fn a_meeting_number_finds_sessions_of_its_own_app_only() {
    on_both(async |test| {
        let store = &test.store;
        let new = numbered(NUMBER);
        let own = store.create_session(&new, &act("boss", 1)).await.unwrap().session;
        let new = NewSession { app: acme(), ..new };
        let made = store.create_session(&new, &act("boss", 1)).await.unwrap();
        assert!(made.is_new && made.session.id != own.id);
        let begin = Begin {
            session_id: own.id,
            action: Action::Start,
            asked_by: "api:t",
            now_ms: 2,
            until_ms: 100,
            media: None,
            may_drop_plans: true,
            act: &act("t", 2),
        };
        store.begin_action(&begin, |_| Ok::<_, ()>(())).await.unwrap().unwrap().unwrap();

        // The session of the app that signs becomes the meeting's, and only its starts are confirmed.
        record(store, of_acme(started_by("u1", "s1", 3))).await;
        assert_eq!(read(store, "s1").await.session_id, made.session.id);
        assert_eq!(session(store, own.id).await.instance, own.instance);
        assert_eq!(session(store, own.id).await.status, SessionStatus::RtmsStartRequested);
        record(store, started_by("u1", "s2", 4)).await;
        assert_eq!(read(store, "s2").await.session_id, own.id);
        assert_eq!(sessions(store).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_notice_belongs_to_a_session_of_its_app_or_to_its_account() {
    on_both(async |test| {
        let store = &test.store;
        let own = announce(store, "s1").await;
        let notice = Notice { instance_id: Some("m".into()), ..Notice::default() };
        record(store, of_acme(notice_of(2, notice.clone()))).await;
        let of_own = async || store.deliveries_of(own, 100).await.unwrap().len();
        assert_eq!(of_own().await, 1, "only the start");
        record(store, notice_of(3, notice)).await;
        assert_eq!(of_own().await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_user_who_removes_one_app_keeps_the_other_and_its_data() {
    on_both(async |test| {
        let store = &test.store;
        let own = install_of(store, &AppName::default(), "u1", 1).await;
        let other = install_of(store, &acme(), "u1", 1).await;
        assert_ne!(own, other);
        announce(store, "s1").await;
        record(store, of_acme(started("s2", 1, URL))).await;
        for name in [AppName::default(), acme()] {
            let found = store.find_grant(&name, Some("u1"), None).await.unwrap().unwrap();
            assert_eq!(found.installation.app, name);
            let connected = store.connected_installations(&name, 9).await.unwrap();
            assert_eq!((connected.len(), &connected[0].app), (1, &name));
        }

        record(store, of_acme(deauthorized(5))).await;
        while store.delete_some(100_000).await.unwrap() {}
        let status = async |id| store.grant(id).await.unwrap().unwrap().installation.status;
        assert_eq!(status(own).await, InstallationStatus::Connected);
        assert_eq!(status(other).await, InstallationStatus::Revoked);
        let stream = read(store, "s1").await;
        assert!(!stream.is_revoked() && read(store, "s2").await.is_revoked());
        let kept = session(store, stream.session_id).await;
        assert_eq!(kept.operator_id.as_deref(), Some("u1"));
        let erased = session(store, read(store, "s2").await.session_id).await;
        assert_eq!(erased.operator_id, None);

        let deleted = store.deletions_after(0, "", 9).await.unwrap();
        assert_eq!(deleted.iter().map(|it| it.app.clone()).collect::<Vec<_>>(), [Some(acme())]);
        let rows = trail(store, 9).await;
        for action in ["installation.deauthorized", "data.deleted"] {
            let row = rows.iter().find(|row| row.action == action).unwrap();
            assert_eq!(row.app.as_deref(), Some("acme"), "{action}");
        }
    })
    .await;
}

#[tokio::test]
async fn events_go_to_the_endpoints_of_their_app() {
    on_both(async |test| {
        let store = &test.store;
        let only = |name: &AppName| AppScope::Only([name.clone()].into());
        let all = endpoint_of(store, AppScope::All).await;
        let own = endpoint_of(store, only(&AppName::default())).await;
        let other = endpoint_of(store, only(&acme())).await;
        let id = install_of(store, &acme(), "u1", 1).await;
        assert!(store.give_up_grant(id, 1, 2).await.unwrap());
        let lost = [EventKind::InstallationNeedsReconnect.as_str()];
        assert_eq!(kinds(store, all).await, lost);
        assert_eq!(kinds(store, other).await, lost);
        assert_eq!(kinds(store, own).await, Vec::<&str>::new());
    })
    .await;
}

#[tokio::test]
async fn sessions_of_a_product_move_to_the_app_that_serves_it() {
    on_both(async |test| {
        let store = &test.store;
        let video = AppName::parse("video").unwrap();
        let new = NewSession { product: Some(Product::VideoSdk), ..numbered("v") };
        let made = store.create_session(&new, &act("boss", 1)).await.unwrap().session;
        let meeting = announce(store, "s1").await;
        let default = AppName::default();
        let move_them = async || {
            store.move_product_sessions(Product::VideoSdk, &default, &video).await.unwrap()
        };
        assert_eq!((move_them().await, move_them().await), (1, 0));
        let moved = session(store, made.id).await;
        assert_eq!((&moved.app, &moved.instance), (&video, &made.instance));
        assert_eq!(session(store, meeting).await.app, default);
        let rows = trail(store, 9).await;
        let row = rows.iter().find(|row| row.subject == made.id.to_string()).unwrap();
        assert_eq!(row.app.as_deref(), Some("video"));

        // A conversation that the app has already is not moved over it.
        let second = store.create_session(&new, &act("boss", 2)).await.unwrap().session;
        assert_eq!(move_them().await, 0);
        assert_eq!(session(store, second.id).await.app, default);
    })
    .await;
}

#[tokio::test]
async fn lists_show_what_belongs_to_the_apps_of_the_scope() {
    on_both(async |test| {
        let store = &test.store;
        let default = AppName::default();
        let notice = Notice { operator_id: Some("u1".into()), ..Notice::default() };
        for name in [&default, &acme()] {
            let stream = format!("s-of-{name}");
            record(store, signed_by(name, started(&stream, 1, URL))).await;
            install_of(store, name, "u1", 1).await;
            record(store, signed_by(name, notice_of(2, notice.clone()))).await;
        }
        let only =
            |names: &[&AppName]| AppScope::Only(names.iter().map(|name| (*name).clone()).collect());
        let nobody = AppName::parse("nobody").unwrap();
        let part = AppName::parse("cme").unwrap();
        for (apps, seen) in [
            (AppScope::All, vec!["acme", "default"]),
            (only(&[&acme(), &default]), vec!["acme", "default"]),
            (only(&[&acme()]), vec!["acme"]),
            (only(&[&default, &nobody]), vec!["default"]),
            (only(&[&nobody]), vec![]),
            (only(&[&part]), vec![]),
            (only(&[]), vec![]),
        ] {
            let sorted = |mut names: Vec<String>| {
                names.sort();
                names
            };
            let page = SessionPage { limit: 10, apps: apps.clone(), ..SessionPage::default() };
            let sessions = store.sessions(&page).await.unwrap();
            let names = sessions.iter().map(|session| session.app.to_string()).collect();
            assert_eq!(sorted(names), seen, "sessions for {apps:?}");
            let installations = store.installations(&apps, None, 10).await.unwrap();
            let names = installations.iter().map(|found| found.app.to_string()).collect();
            assert_eq!(sorted(names), seen, "installations for {apps:?}");
            let notices = store.account_notices(&apps, 10).await.unwrap();
            let names = notices.iter().map(|notice| notice.app.clone()).collect();
            assert_eq!(sorted(names), seen, "notices for {apps:?}");
            let page = AuditPage { limit: 10, apps: apps.clone(), ..AuditPage::default() };
            let rows = store.audit_page(&page).await.unwrap();
            let names = rows.iter().filter_map(|row| row.app.clone()).collect();
            assert_eq!(sorted(names), seen, "audit rows for {apps:?}");
            assert!(apps == AppScope::All || rows.iter().all(|row| row.app.is_some()));
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_that_waits_for_an_endpoint_of_other_apps_by_now_is_not_sent() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint_of(store, AppScope::All).await;
        let installation = install_of(store, &acme(), "u1", 1).await;
        assert!(store.give_up_grant(installation, 1, 2).await.unwrap());
        let own = AppScope::Only([AppName::default()].into());
        let change = EndpointChange { apps: Some(own.clone()), ..EndpointChange::default() };
        assert!(store.change_endpoint(id, &change, &act("boss", 3)).await.unwrap());
        assert_eq!(store.endpoint(id).await.unwrap().unwrap().endpoint.apps, own);
        assert_eq!(store.claim_deliveries(id, 10, 10).await.unwrap().len(), 0);
        let log = store.deliveries_of_endpoint(id, &AppScope::All, None, 10).await.unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!(log[0].status, DeliveryStatus::Withdrawn);
        // A change of something else leaves the apps.
        let change = EndpointChange { is_enabled: Some(true), ..EndpointChange::default() };
        assert!(store.change_endpoint(id, &change, &act("boss", 3)).await.unwrap());
        assert_eq!(store.endpoint(id).await.unwrap().unwrap().endpoint.apps, own);
    })
    .await;
}

/// Video SDK sessions of the default app, each with a webhook and an audit row. Postgres plans for empty tables until they
/// are analyzed, and would take seconds.
const MANY: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 1001 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1450)
    INSERT INTO sessions (id, product, id_key, instance_id, status, created_at_ms, updated_at_ms)
    SELECT '01932b5e-0000-7000-8000-00000000' || n, 'video_sdk', 'session_id', 'v' || n, 'ended', 1, 1
      FROM numbers;
    INSERT INTO deliveries (digest, event, event_ts_ms, received_at_ms, session_id, effect, body)
    SELECT id, 'rtms.start_failed', 1, 1, id, 'notice', '' FROM sessions;
    INSERT INTO audit (id, at_ms, actor, action, subject, outcome, detail)
    SELECT id, 1, 'boss', 'session.create', id, 'ok', '{}' FROM sessions;
    ANALYZE";

/// The sessions, webhooks and audit rows of the app `video`.
async fn of_video(test: &TestStore) -> [i64; 3] {
    let mut raw = Raw::connect(&test.database).await;
    [
        raw.count("SELECT COUNT(*) FROM sessions WHERE app = 'video'").await,
        raw.count("SELECT COUNT(*) FROM deliveries WHERE app = 'video'").await,
        raw.count("SELECT COUNT(*) FROM audit WHERE app = 'video'").await,
    ]
}

async fn move_to_video(store: &Store) -> Result<u64, StoreError> {
    let video = AppName::parse("video").unwrap();
    store.move_product_sessions(Product::VideoSdk, &AppName::default(), &video).await
}

#[tokio::test]
async fn many_sessions_move_to_another_app() {
    on_both(async |test| {
        Raw::connect(&test.database).await.execute(MANY).await;
        assert_eq!(move_to_video(&test.store).await.unwrap(), 450);
        assert_eq!(of_video(test).await, [450; 3]);
        assert_eq!(move_to_video(&test.store).await.unwrap(), 0);
    })
    .await;
}

/// However many there are: one transaction for all of them would exceed the store's limit at every start.
#[tokio::test]
async fn a_move_that_was_interrupted_keeps_what_it_moved_and_continues() {
    let test = TestStore::sqlite().await;
    let mut raw = Raw::connect(&test.database).await;
    raw.execute(MANY).await;
    raw.execute(
        "CREATE TRIGGER obstacle BEFORE UPDATE ON sessions WHEN OLD.instance_id = 'v1450'
          BEGIN SELECT RAISE(ABORT, 'not now'); END",
    )
    .await;
    assert!(move_to_video(&test.store).await.is_err());
    let [sessions, webhooks, _] = of_video(&test).await;
    assert!((1..450).contains(&sessions), "{sessions}");
    assert_eq!(webhooks, sessions, "each with what belongs to it");
    raw.execute("DROP TRIGGER obstacle").await;
    assert_eq!(i64::try_from(move_to_video(&test.store).await.unwrap()), Ok(450 - sessions));
    assert_eq!(of_video(&test).await, [450; 3]);
}
