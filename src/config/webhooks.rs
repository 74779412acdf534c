//! The settings of outgoing webhooks, and the endpoints of `WEBHOOKS_OUT`.

use std::sync::Arc;

use serde::Deserialize;

use super::read::Reader;
use crate::model::{AppName, AppScope, EventKind};
use crate::secret::Secret;
use crate::sinks::webhooks::address::AddressPolicy;
use crate::sinks::webhooks::signature::is_secret;
use crate::sinks::webhooks::{ConfiguredEndpoint, MAX_ENDPOINTS};

const MAX_NAME_CHARS: usize = 64;
const FORM: &str = "a JSON array of objects with name, url, secret and, if wanted, events, apps and previous_secret";

/// The settings of outgoing webhooks.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    pub endpoints: Vec<ConfiguredEndpoint>,
    pub policy: Arc<AddressPolicy>,
}

/// One object of `WEBHOOKS_OUT`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    url: String,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    apps: Vec<String>,
    secret: String,
    previous_secret: Option<String>,
}

pub(super) fn read_settings(read: &mut Reader<'_>) -> Option<WebhookSettings> {
    let listed = read.text("WEBHOOKS_ALLOWED_HOSTS");
    let form = "host names, suffixes that begin with a dot, addresses or networks such as 10.0.0.0/8, separated by commas";
    let policy =
        AddressPolicy::parse(&listed).or_else(|| read.wrong("WEBHOOKS_ALLOWED_HOSTS", form));
    let text = read.optional("WEBHOOKS_OUT").unwrap_or_else(|| "[]".to_owned());
    let policy = policy?;
    // serde_json's own message could quote a secret.
    let Ok(written) = serde_json::from_str::<Vec<Written>>(&text) else {
        return read.wrong("WEBHOOKS_OUT", FORM);
    };
    let mut endpoints: Vec<ConfiguredEndpoint> = Vec::with_capacity(written.len());
    let mut is_good = written.len() <= MAX_ENDPOINTS as usize;
    if !is_good {
        read.wrong::<()>("WEBHOOKS_OUT", format!("at most {MAX_ENDPOINTS} endpoints"));
    }
    for (index, written) in written.into_iter().enumerate() {
        match parse_endpoint(written, &policy, &endpoints) {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(problem) => {
                let problem = format!("{FORM}; number {} {problem}", index + 1);
                read.wrong::<()>("WEBHOOKS_OUT", problem);
                is_good = false;
            }
        }
    }
    is_good.then(|| WebhookSettings { endpoints, policy: Arc::new(policy) })
}

/// Reads one endpoint. The error contains no value.
fn parse_endpoint(
    written: Written,
    policy: &AddressPolicy,
    others: &[ConfiguredEndpoint],
) -> Result<ConfiguredEndpoint, String> {
    let Written { name, url, events, apps, secret, previous_secret } = written;
    if name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(format!("needs a name of 1 to {MAX_NAME_CHARS} characters"));
    }
    if others.iter().any(|other| other.name == name) {
        return Err("has the name of an earlier one".to_owned());
    }
    let url = policy.read(&url).map_err(|error| format!("has a url that {error}"))?;
    let kinds: Option<Vec<_>> = events.iter().map(|event| EventKind::parse(event)).collect();
    let events = kinds.ok_or("has an event that does not exist")?;
    let names: Result<Vec<_>, _> = apps.iter().map(|name| AppName::parse(name)).collect();
    let names = names.map_err(|_| "has a name in apps that no Zoom app can have")?;
    let apps = if names.is_empty() { AppScope::All } else { AppScope::Only(names.into()) };
    if !is_secret(&secret) || previous_secret.as_deref().is_some_and(|text| !is_secret(text)) {
        return Err("has a secret that is not whsec_ and 24 to 64 bytes in base64".to_owned());
    }
    let (secret, previous_secret) = (Secret::new(secret), previous_secret.map(Secret::new));
    Ok(ConfiguredEndpoint { name, url: url.into(), events, apps, secret, previous_secret })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mistake;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn read(out: &str, allowed: &str) -> Result<WebhookSettings, Vec<Mistake>> {
        let lookup = |name: &str| match name {
            "WEBHOOKS_OUT" => Some(out.to_owned()),
            "WEBHOOKS_ALLOWED_HOSTS" => Some(allowed.to_owned()),
            _ => None,
        };
        let mut read = Reader::new(&lookup);
        let settings = read_settings(&mut read);
        read.finish(settings).map_err(|errors| errors.0)
    }

    fn written(url: &str, more: &str) -> String {
        format!(r#"[{{"name": "crm", "url": "{url}", "secret": "{SECRET}"{more}}}]"#)
    }

    #[test]
    fn an_endpoint_needs_a_name_a_url_and_a_secret() {
        assert_eq!(read("", "").unwrap().endpoints.len(), 0);
        let more = format!(
            r#", "events": ["session.ended"], "apps": ["acme"], "previous_secret": "{SECRET}""#
        );
        let settings = read(&written("https://example.com", &more), "").unwrap();
        let [endpoint] = settings.endpoints.as_slice() else { panic!("{settings:?}") };
        assert_eq!((&*endpoint.name, &*endpoint.url), ("crm", "https://example.com/"));
        assert_eq!(endpoint.events, [EventKind::SessionEnded]);
        assert_eq!(endpoint.apps, AppScope::Only([AppName::parse("acme").unwrap()].into()));
        assert!(endpoint.previous_secret.is_some());
        assert!(read(&written("http://10.0.0.1/", ""), "10.0.0.0/8").is_ok());
    }

    #[test]
    fn a_mistake_is_reported_without_the_value() {
        let weak = SECRET.replace("MfKQ", "");
        let twice = [&written("https://a.example/", "")[1..]; 2].join(",").replace("],", ",");
        for (out, allowed) in [
            ("{}".to_owned(), ""),
            (written("https://a.example/", r#", "event": []"#), ""),
            (written("https://a.example/", r#", "events": ["hunter2"]"#), ""),
            (written("https://a.example/", r#", "apps": ["Hunter 2"]"#), ""),
            (written("https://a.example/", "").replace(SECRET, &weak), ""),
            (written("https://a.example/", "").replace("crm", " "), ""),
            (written("http://a.example/", ""), ""),
            (written("https://10.0.0.1/", ""), ""),
            (format!("[{twice}"), ""),
            ("[]".to_owned(), "10.0.0.0/64"),
        ] {
            let mistakes = read(&out, allowed).expect_err(&out);
            let said = format!("{mistakes:?}");
            let leaks = [SECRET, &weak, "hunter2", "a.example", "10.0.0.1"];
            assert!(leaks.iter().all(|value| !said.contains(value)), "{said}");
        }
    }
}
