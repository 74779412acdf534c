//! Zoom's answers to the signaling and media handshakes (rtms-protocol.md sections 6.2 and 6.4).

use serde_json::Value;

use super::codes::status;
use super::incoming::Malformed;
use super::reader::{Fields, Reader};

/// The answer to a handshake (sections 6.2 and 6.4).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HandshakeAnswer {
    /// 0 is success (section 10.3).
    pub status_code: i64,
    /// Zoom's explanation of a refusal, for logs. Empty if Zoom gives none.
    pub reason: String,
    /// The media URLs by key. Only message 2 has them.
    urls: Vec<(String, String)>,
    /// The parameters that Zoom grants, by medium. Only message 4 has them.
    pub media_params: Value,
}

impl HandshakeAnswer {
    /// The media URL under the first of these keys that exists.
    pub fn media_url(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| {
            let (_, url) = self.urls.iter().find(|(name, _)| name == key)?;
            Some(url.as_str())
        })
    }

    /// Whether any media URL could be read.
    pub fn has_urls(&self) -> bool {
        !self.urls.is_empty()
    }

    /// Reads an answer. A refusal needs only its status; an acceptance with unreadable URLs is malformed.
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Result<Self, Malformed> {
        let status_code = reader.code(fields, "status_code");
        let status_code = status_code.ok_or_else(|| reader.without("status_code"))?;
        let server = reader.object(fields, "media_server").unwrap_or_default();
        let has_urls = server.raw("server_urls").is_some();
        let urls = reader.object(&server, "server_urls");
        // Only for an acceptance: Zoom sends `server_urls: null` with a refusal (rtms-protocol.md section
        // 23.5).
        if status_code == status::OK && has_urls && urls.is_none() {
            return Err(reader.without("server_urls"));
        }
        Ok(Self {
            status_code,
            reason: reason_text(&reader.value(fields, "reason")),
            urls: urls.map(|urls| read_urls(reader, &urls)).unwrap_or_default(),
            media_params: reader.value(fields, "media_params"),
        })
    }
}

fn read_urls(reader: &mut Reader, urls: &Fields<'_>) -> Vec<(String, String)> {
    let mut read = Vec::new();
    for (name, raw) in urls.iter().filter(|(_, raw)| raw.get() != "null") {
        match serde_json::from_str::<String>(raw.get()) {
            Ok(url) if url.is_empty() => {}
            Ok(url) => read.push((name.to_owned(), url)),
            Err(_) => reader.lose_member("server_urls"),
        }
    }
    read
}

/// A string as it is, anything else as JSON: Zoom's mock server sends reasons that are not strings.
fn reason_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
