//! The pages that people see: one plain form, filled with text, whole in one answer.

/// The API's reference.
pub mod docs;
/// The page at `/`.
pub mod home;

use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("web/page.css");

/// What a page may load: its own style, and nothing from anywhere.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> =
    LazyLock::new(|| content_security_policy(STYLE));

/// For a page with this style in it, and nothing else to load.
fn content_security_policy(style: &str) -> String {
    let style = STANDARD.encode(Sha256::digest(style));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// A page that says how something went, and what to do next.
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
    pub href: &'static str,
}

impl Page {
    /// It went well.
    pub fn good(heading: &'static str, paragraphs: Vec<String>) -> Self {
        Self::new("good", "✓", heading, paragraphs)
    }

    /// It did not, and nobody did anything wrong.
    pub fn neutral(heading: &'static str, paragraphs: Vec<String>) -> Self {
        Self::new("neutral", "i", heading, paragraphs)
    }

    /// It failed.
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

    pub fn with_action(self, label: &'static str, href: &'static str) -> Self {
        Self { action: Some(Action { label, href }), ..self }
    }

    /// Names and values, below the text.
    pub fn with_facts(self, facts: Vec<(&'static str, String)>) -> Self {
        Self { facts, ..self }
    }

    pub fn html(&self) -> String {
        self.render().expect("texts become HTML without fail")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zoom_says_of_a_user_is_text_and_not_html() {
        let page = Page::good("Done", vec!["<b>Ana</b>".into()])
            .with_facts(vec![("Name", "<script>alert(1)</script>".into())]);
        let html = page.html();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.contains("Ana"));
    }

    #[test]
    fn a_page_names_no_other_host() {
        let html = Page::bad("No", vec![]).with_action("Again", "/again").html();
        assert!(!html.contains("//"), "{html}");
    }

    #[test]
    fn the_policy_allows_the_style_that_the_page_has() {
        let html = Page::neutral("Hm", vec![]).html();
        let (_, rest) = html.split_once("<style>").unwrap();
        let (style, _) = rest.split_once("</style>").unwrap();
        let hash = STANDARD.encode(Sha256::digest(style));
        assert!(CONTENT_SECURITY_POLICY.contains(&hash));
    }
}
