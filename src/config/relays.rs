//! The settings of relays, and the relays of `RTMS_RELAYS`.

use serde_json::{Map, Value};
use url::Url;

use super::read::Reader;
use super::webhooks::WebhookSettings;
use crate::sinks::relays::{
    AskedRelay, ConfiguredRelay, FIELDS, FieldProblem, MAX_RELAYS, Timings,
};

const FORM: &str = "a JSON array of objects with name, webhook_url, client_id, client_secret, secret_token and, if \
    wanted, media, product, host_ids, metadata, apps and catch_up";

/// The settings of relays.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    pub relays: Vec<ConfiguredRelay>,
    /// The address of `/relay/` for programs, without a trailing slash: `wss://rtmsd.example.com`.
    pub public_url: String,
    /// The most bytes of each medium that wait for one program.
    pub buffer_bytes: usize,
    pub timings: Timings,
}

/// `public_url` is that of the daemon, and `webhooks` decides about webhook URLs.
pub(super) fn read_settings(
    read: &mut Reader<'_>,
    public_url: Option<&str>,
    webhooks: Option<&WebhookSettings>,
) -> Option<RelaySettings> {
    let own_url = read_public_url(read, public_url);
    let buffer_bytes = read.number("RELAY_BUFFER_BYTES", 64 * 1024..=1 << 30);
    let relays = read_relays(read, webhooks);
    Some(RelaySettings {
        relays: relays?,
        public_url: own_url?,
        buffer_bytes: usize::try_from(buffer_bytes?).ok()?,
        timings: Timings::default(),
    })
}

/// `RELAY_PUBLIC_URL`, by default the daemon's with the scheme of WebSockets.
fn read_public_url(read: &mut Reader<'_>, public_url: Option<&str>) -> Option<String> {
    let url = match read.optional("RELAY_PUBLIC_URL") {
        Some(url) => url,
        // Without it there is a mistake already.
        None => match public_url?.split_once("://")? {
            ("https", rest) => format!("wss://{rest}"),
            (_, rest) => format!("ws://{rest}"),
        },
    };
    let form = "a wss:// or ws:// URL without query";
    let parsed = Url::parse(&url).ok();
    let is_good = |url: &Url| {
        matches!(url.scheme(), "wss" | "ws") && url.query().is_none() && url.fragment().is_none()
    };
    match parsed.is_some_and(|url| is_good(&url)) {
        true => Some(url.trim_end_matches('/').to_owned()),
        false => read.wrong("RELAY_PUBLIC_URL", form),
    }
}

fn read_relays(
    read: &mut Reader<'_>,
    webhooks: Option<&WebhookSettings>,
) -> Option<Vec<ConfiguredRelay>> {
    let text = read.optional("RTMS_RELAYS").unwrap_or_else(|| "[]".to_owned());
    // serde_json's own message could quote a secret.
    let Ok(written) = serde_json::from_str::<Vec<Map<String, Value>>>(&text) else {
        return read.wrong("RTMS_RELAYS", FORM);
    };
    let mut relays: Vec<ConfiguredRelay> = Vec::with_capacity(written.len());
    let mut is_good = written.len() <= MAX_RELAYS as usize;
    if !is_good {
        read.wrong::<()>("RTMS_RELAYS", format!("at most {MAX_RELAYS} relays"));
    }
    for (index, written) in written.iter().enumerate() {
        match parse_relay(written, webhooks, &relays) {
            Ok(relay) => relays.push(relay),
            Err(problem) => {
                let problem = format!("{FORM}; number {} {problem}", index + 1);
                read.wrong::<()>("RTMS_RELAYS", problem);
                is_good = false;
            }
        }
    }
    is_good.then_some(relays)
}

/// Reads one relay. The error contains no value.
fn parse_relay(
    written: &Map<String, Value>,
    webhooks: Option<&WebhookSettings>,
    others: &[ConfiguredRelay],
) -> Result<ConfiguredRelay, String> {
    if written.keys().any(|name| !FIELDS.contains(&name.as_str())) {
        return Err("has an unknown field".to_owned());
    }
    let wrong = |FieldProblem { name, problem }| format!("has a field {name} that {problem}");
    let mut asked = AskedRelay::read_new(written).map_err(wrong)?;
    let name = asked.name.clone().unwrap_or_default();
    if others.iter().any(|other| other.name == name) {
        return Err("has the name of an earlier one".to_owned());
    }
    let url = asked.webhook_url.take().unwrap_or_default();
    // Without the policy there is a mistake already.
    asked.webhook_url = match webhooks {
        Some(webhooks) => {
            let url = webhooks.policy.read(&url);
            Some(url.map_err(|error| format!("has a webhook_url that {error}"))?.into())
        }
        None => Some(url),
    };
    Ok(ConfiguredRelay { name, asked })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mistake;
    use crate::config::webhooks;

    fn read(variables: &[(&str, &str)]) -> Result<RelaySettings, Vec<Mistake>> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let mut read = Reader::new(&lookup);
        let webhooks = webhooks::read_settings(&mut read);
        let settings =
            read_settings(&mut read, Some("https://rtmsd.example.com"), webhooks.as_ref());
        read.finish(settings).map_err(|errors| errors.0)
    }

    const ONE: &str = r#"[{"name": "notes", "webhook_url": "https://notes.example/zoom",
        "client_id": "id", "client_secret": "hunter2", "secret_token": "hunter3", "catch_up": true}]"#;

    #[test]
    fn the_url_of_sockets_follows_that_of_the_daemon() {
        assert_eq!(read(&[]).unwrap().public_url, "wss://rtmsd.example.com");
        let own = read(&[("RELAY_PUBLIC_URL", "ws://10.0.0.1:3000/zoom/")]).unwrap();
        assert_eq!(own.public_url, "ws://10.0.0.1:3000/zoom");
        for bad in ["https://a.example", "wss://a.example?x", "a"] {
            assert!(read(&[("RELAY_PUBLIC_URL", bad)]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_relay_is_described_as_over_the_api() {
        let settings = read(&[("RTMS_RELAYS", ONE)]).unwrap();
        let [relay] = settings.relays.as_slice() else { panic!("{settings:?}") };
        assert_eq!((&*relay.name, relay.asked.catch_up), ("notes", Some(true)));
        assert!(read(&[]).unwrap().relays.is_empty());
    }

    #[test]
    fn a_mistake_is_reported_without_the_value() {
        for wrong in [
            "{}".to_owned(),
            ONE.replace("\"name\"", "\"nom\""),
            ONE.replace("https://notes.example", "http://notes.example"),
            ONE.replace("hunter2", ""),
            format!("[{0}, {0}]", &ONE[1..ONE.len() - 1]),
        ] {
            let mistakes = read(&[("RTMS_RELAYS", &wrong)]).expect_err(&wrong);
            let said = format!("{mistakes:?}");
            let leaks = ["hunter2", "hunter3", "notes.example"];
            assert!(leaks.iter().all(|value| !said.contains(value)), "{said}");
        }
    }
}
