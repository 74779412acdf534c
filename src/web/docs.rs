//! The API's reference as a page.

use std::sync::LazyLock;

use askama::Template;

const STYLE: &str = include_str!("docs.css");

/// What the page may load: its own style, and nothing from anywhere.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> =
    LazyLock::new(|| super::content_security_policy(STYLE));

/// Every operation and every schema.
#[derive(Template)]
#[template(path = "docs.html")]
pub struct Page {
    about: String,
    operations: Vec<Documented>,
    schemas: Vec<Schema>,
    style: &'static str,
}

/// One method of one path.
pub struct Documented {
    pub tag: &'static str,
    pub method: String,
    pub path: String,
    /// What a token needs; none where no token is needed.
    pub scope: Option<&'static str>,
    pub summary: &'static str,
    pub query: Vec<(&'static str, &'static str)>,
    /// The schema of what is sent.
    pub body: Option<&'static str>,
    /// Status, what it means, and the schema of `data`.
    pub answers: Vec<(u16, &'static str, Option<&'static str>)>,
}

pub struct Schema {
    pub name: String,
    pub text: String,
}

impl Page {
    pub fn new(about: String, operations: Vec<Documented>, schemas: Vec<Schema>) -> Self {
        Self { about, operations, schemas, style: STYLE }
    }

    pub fn html(&self) -> String {
        self.render().expect("texts become HTML without fail")
    }
}
