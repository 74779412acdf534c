//! The page at `/`.

use askama::Template;

use super::STYLE;

/// The start page: what the daemon is, whether it is ready, and the next steps.
#[derive(Template)]
#[template(path = "home.html")]
pub struct Home {
    /// Why the daemon is not ready; `None` if it is ready.
    pub not_ready: Option<&'static str>,
    pub version: &'static str,
    pub webhook_path: String,
    pub install_path: &'static str,
}

impl Home {
    pub fn html(&self) -> String {
        self.render().expect("rendering texts cannot fail")
    }

    fn style(&self) -> &'static str {
        STYLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(not_ready: Option<&'static str>) -> String {
        let webhook_path = "/webhook".to_owned();
        Home { not_ready, version: "1.2.3", webhook_path, install_path: "/install" }.html()
    }

    #[test]
    fn the_page_shows_readiness_and_the_next_steps() {
        let html = home(None);
        for part in [
            "is ready",
            "1.2.3",
            "/webhook",
            "href=\"/install\"",
            "href=\"/docs\"",
            "href=\"/health/ready\"",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        let html = home(Some("The store cannot be reached."));
        assert!(html.contains("is not ready") && html.contains("The store cannot be reached."));
    }

    #[test]
    fn the_page_links_to_no_other_host_and_has_the_style_that_its_policy_allows() {
        let html = home(None);
        assert!(!html.contains("//") && !html.contains("<script"), "{html}");
        assert!(html.contains(STYLE));
    }
}
