//! A daemon with a Postgres behind PgBouncer.

use crate::support::kit::{Home, Scene, chatter, script, zoom};
use crate::support::{pgbouncer, postgres};

#[tokio::test]
async fn a_meeting_is_whole_on_a_postgres_behind_a_pooler() {
    let url = pgbouncer::in_transaction_mode().url(&postgres::fresh_database().await);
    let home = Home::sqlite().set("DATABASE_URL", &url);
    let scene = Scene::open(home, zoom(script(chatter(100, 50), 6_000))).await;
    let page = scene.log.over().await;
    page.assert_numbered();
    let sent = scene.zoom.medium("transcript").frames;
    assert_eq!(page.assert_chatter() as u64, sent);
    assert!(sent > 50, "{sent} lines");
    scene.zoom.close_clean().await;
}
