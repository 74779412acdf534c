//! A browser that is signed in, without the browser.

use crate::http::server::Server;
use crate::support::client::Answer;

pub(crate) const HTML: (&str, &str) = ("accept", "text/html");
pub(crate) const LOCAL: (&str, &str) = ("origin", "http://localhost");
pub(crate) const CSRF: &str = "rtmsd-csrf";
const SESSIONS: &str = "/api/v1/sdk/sessions";

pub(crate) async fn form(
    server: &Server,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    server.post_to(path, body.as_bytes(), &[headers, &kind].concat()).await
}

pub(crate) fn token_form(token: &str) -> String {
    let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    format!("token={token}")
}

pub(crate) async fn sign_in(server: &Server, token: &str, headers: &[(&str, &str)]) -> Answer {
    form(server, "/dashboard/sign-in", &token_form(token), headers).await
}

/// The cookie of a signed-in browser.
pub(crate) struct Browser {
    pub cookie: String,
}

impl Browser {
    pub(crate) async fn open(server: &Server, token: &str) -> Self {
        let answer = sign_in(server, token, &[LOCAL]).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        Self::of(&answer)
    }

    pub(crate) fn of(answer: &Answer) -> Self {
        let set = answer.header("set-cookie").expect("a cookie");
        Self { cookie: set.split(';').next().unwrap().to_owned() }
    }

    pub(crate) async fn get(&self, server: &Server, path: &str) -> Answer {
        self.get_with(server, path, &[HTML]).await
    }

    pub(crate) async fn get_with(
        &self,
        server: &Server,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        server.request("GET", path, &[&[("cookie", &*self.cookie)], headers].concat()).await
    }

    /// The status of a call of the REST API.
    pub(crate) async fn sessions(&self, server: &Server) -> u16 {
        self.get_with(server, SESSIONS, &[]).await.status
    }

    /// The value in the pages of this session.
    pub(crate) async fn csrf(&self, server: &Server) -> String {
        let page = self.get(server, "/").await;
        let (_, rest) = page.text().split_once("<meta name=\"csrf\" content=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}
