//! Routes of the dashboard, which exist unless `DASHBOARD` is off.

use super::{Access, Route};
use crate::http::dashboard::{
    admin as lists, endpoints, gate, health, installations, received, session, sessions, sign_in,
};

/// Routes of pages and of the sign-in.
pub(super) fn routes() -> Vec<Route> {
    let page = |path: &str| Route::new(Access::Page, &format!("/dashboard/{path}"));
    let admin = |path: &str| Route::new(Access::AdminPage, &format!("/dashboard/{path}"));
    let open = |path: &str| Route::new(Access::Open, &format!("/dashboard/{path}"));
    vec![
        Route::new(Access::Open, "/dashboard").shown(gate::to_front_page),
        open("").shown(gate::to_front_page),
        open("{*rest}").shown(gate::unknown),
        open("sign-in").form(sign_in::sign_in),
        open("sign-out").form(sign_in::sign_out),
        open("enter").shown(sign_in::enter_page).form(sign_in::enter),
        page("sessions").shown(sessions::page),
        page("sessions/live").shown(sessions::live),
        page("sessions/{id}").shown(session::page),
        page("sessions/{id}/status").shown(session::status),
        page("sessions/{id}/ledger").shown(session::ledger),
        page("sessions/{id}/timeline").shown(session::timeline),
        page("sessions/{id}/recordings").shown(session::recordings),
        admin("installations").shown(installations::page),
        page("webhooks").shown(received::page),
        page("webhooks/{webhook}").shown(received::show),
        admin("endpoints").shown(endpoints::page),
        admin("endpoints/{id}").shown(endpoints::show),
        admin("tokens").shown(lists::tokens),
        admin("audit").shown(lists::audit),
        admin("apps").shown(lists::apps),
        admin("health").shown(health::page),
    ]
}
