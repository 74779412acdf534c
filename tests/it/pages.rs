//! Every page of the dashboard in a real browser, while the simulator plays: seen by each scope, on a wide and a narrow
//! screen, in both colour schemes, checked with axe-core. The pictures are in `target/tmp/screenshots`, for people.
//!
//! A new page is one line in [`PAGES`].

mod admin;
mod crowd;
mod hostile;
mod kit;
mod reference;
mod session;
mod sessions;

use self::kit::{Scope, Stage};

/// One page of the dashboard.
struct Page {
    /// The name of its pictures.
    name: &'static str,
    /// Its path; `{session}` stands for the session that plays.
    path: &'static str,
    /// The scopes that may see it.
    scopes: &'static [Scope],
    /// What is on the page when it is complete.
    ready: &'static str,
}

const ALL: &[Scope] = &[Scope::Read, Scope::Control, Scope::Admin];
const ADMIN: &[Scope] = &[Scope::Admin];

const PAGES: &[Page] = &[
    Page { name: "sessions", path: "/", scopes: ALL, ready: "#live table" },
    Page {
        name: "session",
        path: "/dashboard/sessions/{session}",
        scopes: ALL,
        ready: "#said bdi",
    },
    Page { name: "installations", path: "/dashboard/installations", scopes: ADMIN, ready: "h1" },
    Page { name: "webhooks", path: "/dashboard/webhooks", scopes: ALL, ready: "table" },
    Page { name: "endpoints", path: "/dashboard/endpoints", scopes: ADMIN, ready: "h1" },
    Page { name: "tokens", path: "/dashboard/tokens", scopes: ADMIN, ready: "form" },
    Page { name: "apps", path: "/dashboard/apps", scopes: ADMIN, ready: ".card" },
    Page { name: "audit", path: "/dashboard/audit", scopes: ADMIN, ready: ".filters" },
    Page { name: "health", path: "/dashboard/health", scopes: ADMIN, ready: "table" },
];

/// The widths of the screens, in pixels.
const WIDTHS: [u32; 2] = [380, 1280];

#[tokio::test]
async fn every_page_is_accessible_and_fits_for_a_reader() {
    walk(Scope::Read).await;
}

#[tokio::test]
async fn every_page_is_accessible_and_fits_for_an_operator() {
    walk(Scope::Control).await;
}

#[tokio::test]
async fn every_page_is_accessible_and_fits_for_an_administrator() {
    walk(Scope::Admin).await;
}

async fn walk(scope: Scope) {
    let stage = Stage::open().await;
    stage.check("sign-in", "/", "#token").await;
    stage.sign_in(scope).await;
    for page in PAGES.iter().filter(|page| page.scopes.contains(&scope)) {
        let path = page.path.replace("{session}", &stage.session);
        stage.check(&format!("{}-{}", page.name, scope.name()), &path, page.ready).await;
    }
}
