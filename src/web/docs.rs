//! The page with the API reference.

use std::sync::LazyLock;

use askama::Template;

const STYLE: &str = include_str!("docs.css");

/// The page's Content-Security-Policy, which allows only its own inline style.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> =
    LazyLock::new(|| super::content_security_policy(STYLE));

/// The page with every operation and every schema.
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
    /// The scope that a token needs; none if no token is needed.
    pub scope: Option<&'static str>,
    pub summary: &'static str,
    pub query: Vec<(&'static str, &'static str)>,
    /// The schema of the request body.
    pub body: Option<&'static str>,
    /// The status, its meaning, and the schema of `data`.
    pub answers: Vec<(u16, &'static str, Option<&'static str>)>,
}

/// A named JSON schema as text.
pub struct Schema {
    pub name: String,
    pub text: String,
}

impl Page {
    pub fn new(about: String, operations: Vec<Documented>, schemas: Vec<Schema>) -> Self {
        Self { about, operations, schemas, style: STYLE }
    }

    pub fn html(&self) -> String {
        // As in `web.rs`: no function that fails is called.
        self.render().expect("rendering texts cannot fail")
    }
}
