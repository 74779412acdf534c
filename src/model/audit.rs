use serde_json::Value;

/// One act that somebody may have to account for: who did what to whom, and how it ended. Holds no secret and
/// nothing that was said in a meeting.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    pub at_ms: i64,
    /// The name of an API token, `zoom` for a webhook, `browser` for somebody at our pages, `rtmsd` for the daemon.
    pub actor: String,
    /// What was done, such as `installation.delete`.
    pub action: &'static str,
    /// The id of what it was done to.
    pub subject: String,
    /// `ok`, or the code of an error.
    pub outcome: String,
    /// Counts and names, a JSON object.
    pub detail: Value,
}
