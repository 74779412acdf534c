//! The pages with the API reference: an interactive one, and a plain one for browsers without scripts.

use std::sync::LazyLock;

use askama::Template;

use super::assets;

/// The Content-Security-Policy of the interactive page. Its pictures are part of its style sheet.
pub const REFERENCE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The interactive page.
#[derive(Template)]
#[template(path = "reference.html")]
pub struct Reference {
    /// What changes must carry that are made with the dashboard's cookie; none for a browser that is not signed in.
    pub csrf: Option<String>,
}

impl Reference {
    pub fn html(&self) -> String {
        self.render().expect("rendering texts cannot fail")
    }
}

const STYLE: &str = include_str!("docs.css");

/// The Content-Security-Policy of the plain page, which allows only its own inline style.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> =
    LazyLock::new(|| super::content_security_policy(STYLE));

/// The plain page with every operation and every schema.
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

/// The parts of a text, and whether each is code, which the text has between backticks.
fn parts(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.split('`').enumerate().map(|(index, part)| (part, index % 2 == 1))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_between_backticks_is_shown_as_code() {
        let page = Page::new("Send `<a>` or `b`.".into(), vec![], vec![]).html();
        assert!(page.contains("Send <code>&#60;a&#62;</code> or <code>b</code>."), "{page}");
        assert!(!page.contains('`'));
    }
}
