//! The Zoom apps.

use askama::Template;

use super::{Layout, assets, rendered};
use crate::model::Product;
use crate::zoom::app::Listed;

/// The page.
#[derive(Template)]
#[template(path = "dashboard/apps.html")]
pub struct Apps {
    pub layout: Layout,
    pub rows: Vec<Row>,
    /// The path of the default app's webhooks.
    pub webhook_path: String,
}

impl Apps {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

const PRODUCTS: [(&str, &str); 5] = [
    ("meeting", "Meetings"),
    ("webinar", "Webinars"),
    ("video_sdk", "Video SDK"),
    ("contact_center", "Contact Center"),
    ("phone", "Phone (experimental)"),
];

/// One app, without its secrets.
pub struct Row {
    name: String,
    source: &'static str,
    is_stored: bool,
    products: String,
    client_id: String,
    webhook_path: String,
    secret_tokens: usize,
    /// Whether its events come over a WebSocket.
    has_event_socket: bool,
    /// None for an app without users.
    install_path: Option<String>,
    redirect_url: String,
}

impl Row {
    pub fn of(listed: &Listed, webhook_path: String, install_path: String) -> Self {
        let app = &listed.app;
        let products: Vec<_> = app.products.iter().copied().map(Product::as_str).collect();
        Self {
            name: app.name.to_string(),
            source: if listed.stored.is_some() { "added here" } else { "in the settings" },
            is_stored: listed.stored.is_some(),
            products: products.join(", "),
            client_id: app.client.id.clone(),
            webhook_path,
            secret_tokens: app.secret_tokens.len(),
            has_event_socket: app.events_url.is_some(),
            install_path: app.has_users().then_some(install_path),
            redirect_url: app.redirect_url.clone(),
        }
    }
}
