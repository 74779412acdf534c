//! The person at the browser.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::auth::{Caller, SignedIn};
use crate::http::error::ApiError;
use crate::web::dashboard::{Layout, Section};

/// The person who looks at a page; for handlers behind the gate.
pub(in crate::http) struct Viewer {
    pub(super) caller: Caller,
    /// What changes must carry; empty for a request with a token instead of the cookie.
    csrf: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>().cloned().ok_or(ApiError::Unauthenticated)?;
        let signed_in = parts.extensions.get::<SignedIn>();
        let csrf = signed_in.map(|signed_in| signed_in.csrf.clone()).unwrap_or_default();
        Ok(Self { caller, csrf })
    }
}

impl Viewer {
    /// What is around the content of every page.
    pub(super) fn layout(&self, section: Section, title: &str) -> Layout {
        Layout {
            title: title.to_owned(),
            section,
            token: self.caller.name.to_string(),
            csrf: self.csrf.clone(),
            may_control: self.caller.may_control,
            is_admin: self.caller.is_admin,
        }
    }
}
