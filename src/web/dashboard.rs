//! The pages of the dashboard: data in, HTML out.

// The Zoom apps.
pub mod apps;
// The audit trail.
pub mod audit;
// What was received over time.
pub mod bands;
// Outgoing webhooks.
pub mod endpoints;
// What is wrong with the daemon.
pub mod health;
// Who has installed the app.
pub mod installations;
// Statuses in words and colours.
pub mod marks;
// What Zoom sent.
pub mod received;
// Recorded files with their players.
pub mod recordings;
// One session.
pub mod session;
// The list of sessions.
pub mod sessions;
// API tokens.
pub mod tokens;

use askama::Template;

use super::assets;

/// The Content-Security-Policy of every page: its own files and addresses, no inline script or style.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// The parts of the dashboard, in the order of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Sessions,
    Installations,
    Received,
    Endpoints,
    Health,
    Tokens,
    Apps,
    Audit,
    Api,
}

impl Section {
    const ALL: [Self; 9] = [
        Self::Sessions,
        Self::Installations,
        Self::Received,
        Self::Endpoints,
        Self::Health,
        Self::Tokens,
        Self::Apps,
        Self::Audit,
        Self::Api,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Sessions => "Sessions",
            Self::Installations => "Installations",
            Self::Received => "Zoom’s webhooks",
            Self::Endpoints => "Outgoing webhooks",
            Self::Health => "Health",
            Self::Tokens => "Tokens",
            Self::Apps => "Apps",
            Self::Audit => "Audit",
            Self::Api => "API",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Sessions => "/",
            Self::Installations => "/dashboard/installations",
            Self::Received => "/dashboard/webhooks",
            Self::Endpoints => "/dashboard/endpoints",
            Self::Health => "/dashboard/health",
            Self::Tokens => "/dashboard/tokens",
            Self::Apps => "/dashboard/apps",
            Self::Audit => "/dashboard/audit",
            Self::Api => "/docs",
        }
    }

    /// Whether only a token with `admin` may see it.
    fn is_for_admins(self) -> bool {
        let admin = [
            Self::Installations,
            Self::Endpoints,
            Self::Health,
            Self::Tokens,
            Self::Apps,
            Self::Audit,
        ];
        admin.contains(&self)
    }
}

/// What is around the content of every page.
#[derive(Debug, Clone)]
pub struct Layout {
    pub title: String,
    pub section: Section,
    /// The name of the token that the person is signed in with.
    pub token: String,
    /// What changes must carry.
    pub csrf: String,
    pub may_control: bool,
    pub is_admin: bool,
}

impl Layout {
    /// The sections that the token may see.
    fn sections(&self) -> impl Iterator<Item = Section> {
        let is_admin = self.is_admin;
        Section::ALL.into_iter().filter(move |section| is_admin || !section.is_for_admins())
    }

    /// What the token may do, in a word.
    fn scope(&self) -> &'static str {
        match (self.is_admin, self.may_control) {
            (true, _) => "admin",
            (false, true) => "control",
            (false, false) => "read",
        }
    }
}

/// The sign-in, with the state of the daemon and the next steps.
#[derive(Template)]
#[template(path = "dashboard/sign_in.html")]
pub struct SignIn {
    /// Why the daemon is not ready; `None` if it is ready.
    pub not_ready: Option<&'static str>,
    /// Why the last try was refused.
    pub refused: Option<String>,
    /// The page to show after the sign-in.
    pub target: String,
    /// Where the tokens are.
    pub source: String,
    pub version: &'static str,
    pub webhook_path: String,
    pub install_path: &'static str,
}

/// A page with nothing but its title.
#[derive(Template)]
#[template(path = "dashboard/plain.html")]
pub struct Plain {
    pub layout: Layout,
}

/// A page that asks for an address again.
#[derive(Template)]
#[template(path = "dashboard/again.html")]
struct Again<'a> {
    path: &'a str,
}

/// The page that asks for this path again, from an address of ours.
pub fn again(path: &str) -> String {
    rendered(&Again { path })
}

/// A page that signs in with the code of a link.
#[derive(Template)]
#[template(path = "dashboard/enter.html")]
struct Enter<'a> {
    code: &'a str,
}

/// The page that signs in with this code.
pub fn enter(code: &str) -> String {
    rendered(&Enter { code })
}

impl SignIn {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

impl Plain {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

fn rendered(template: &impl Template) -> String {
    // The templates call no function that fails, and a `String` takes every write.
    template.render().expect("rendering texts cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn layout(is_admin: bool) -> Layout {
        Layout {
            title: "<Title>".to_owned(),
            section: Section::Health,
            token: "<script>x</script>".to_owned(),
            csrf: "\"><b>".to_owned(),
            may_control: false,
            is_admin,
        }
    }

    #[test]
    fn texts_are_escaped_and_nothing_is_inline() {
        let html = Plain { layout: layout(true) }.html();
        assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
        assert!(!html.contains("style=") && !html.contains("<style") && !html.contains("onclick"));
        assert!(!html.contains("://"), "no other host: {html}");
    }

    #[test]
    fn a_token_sees_the_sections_that_it_may_open() {
        let html = Plain { layout: layout(false) }.html();
        assert!(html.contains("/dashboard/webhooks") && !html.contains("/dashboard/endpoints"));
        let html = Plain { layout: layout(true) }.html();
        assert!(html.contains("/dashboard/endpoints"));
        assert!(html.contains("aria-current=\"page\""));
    }
}
