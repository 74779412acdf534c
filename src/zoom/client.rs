//! The one HTTP client for Zoom.

use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::ClientConfig;

/// Follows no redirects: a token goes where it was meant to go.
pub fn client(tls: ClientConfig) -> reqwest::Result<Client> {
    Client::builder().tls_backend_preconfigured(tls).redirect(Policy::none()).build()
}
