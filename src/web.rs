//! The HTML pages for people: one plain layout without scripts and external resources.

// Files that pages load.
pub mod assets;
// The dashboard.
pub mod dashboard;
// The API reference.
pub mod docs;
// The page at `/`.
pub mod home;

use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("web/page.css");

/// The Content-Security-Policy of a page, which allows only its own inline style.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> =
    LazyLock::new(|| content_security_policy(STYLE));

/// A policy that allows only this inline style.
fn content_security_policy(style: &str) -> String {
    // CSP hashes the element's exact text: the template must insert the style without any change.
    let style = STANDARD.encode(Sha256::digest(style));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// A page that shows a result and the next step.
#[derive(Template)]
#[template(path = "page.html")]
pub struct Page {
    tone: &'static str,
    mark: &'static str,
    heading: &'static str,
    paragraphs: Vec<String>,
    action: Option<Action>,
    facts: Vec<(&'static str, String)>,
    style: &'static str,
}

/// A link that looks like a button.
pub struct Action {
    pub label: &'static str,
    pub href: String,
}

impl Page {
    /// A page about a success.
    pub fn good(heading: &'static str, paragraphs: Vec<String>) -> Self {
        Self::new("good", "✓", heading, paragraphs)
    }

    /// A page about something that did not happen, without being an error.
    pub fn neutral(heading: &'static str, paragraphs: Vec<String>) -> Self {
        Self::new("neutral", "i", heading, paragraphs)
    }

    /// A page about a failure.
    pub fn bad(heading: &'static str, paragraphs: Vec<String>) -> Self {
        Self::new("bad", "!", heading, paragraphs)
    }

    fn new(
        tone: &'static str,
        mark: &'static str,
        heading: &'static str,
        paragraphs: Vec<String>,
    ) -> Self {
        Self { tone, mark, heading, paragraphs, action: None, facts: Vec::new(), style: STYLE }
    }

    pub fn with_action(self, label: &'static str, href: impl Into<String>) -> Self {
        Self { action: Some(Action { label, href: href.into() }), ..self }
    }

    /// Adds names and values below the text.
    pub fn with_facts(self, facts: Vec<(&'static str, String)>) -> Self {
        Self { facts, ..self }
    }

    pub fn html(&self) -> String {
        // The templates call no function that fails, and a `String` takes every write.
        self.render().expect("rendering texts cannot fail")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_zoom_is_escaped() {
        let page = Page::good("Done", vec!["<b>Ana</b>".into()])
            .with_facts(vec![("Name", "<script>alert(1)</script>".into())]);
        let html = page.html();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.contains("Ana"));
    }

    #[test]
    fn a_page_refers_to_no_other_host() {
        let html = Page::bad("No", vec![]).with_action("Again", "/again").html();
        assert!(!html.contains("//"), "{html}");
    }

    #[test]
    fn the_policy_allows_the_style_of_the_page() {
        let html = Page::neutral("Hm", vec![]).html();
        let (_, rest) = html.split_once("<style>").unwrap();
        let (style, _) = rest.split_once("</style>").unwrap();
        let hash = STANDARD.encode(Sha256::digest(style));
        assert!(CONTENT_SECURITY_POLICY.contains(&hash));
    }
}
