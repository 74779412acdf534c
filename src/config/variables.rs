//! The table of all settings: names, defaults, help. `.env.example` and `docs/configuration.md` are written from it.

mod outputs;
mod server;
mod streams;
mod zoom;

#[cfg(test)]
mod tests;

/// Settings that belong together, under one heading.
#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    pub variables: &'static [Variable],
}

/// One setting.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    /// Other accepted names, from Zoom's samples, its SDK and MeetMind.
    pub aliases: &'static [&'static str],
    /// The default as it would be written; empty for none.
    pub default: &'static str,
    pub about: &'static str,
    /// Whether the daemon does not start without it.
    pub is_required: bool,
    /// Whether it is a credential that Zoom issued: printable ASCII.
    pub is_credential: bool,
    pub secrecy: Secrecy,
}

/// What of a value people may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    All,
    /// A URL without the user, the password and the query that it may have.
    UrlOnly,
    Nothing,
}

impl Variable {
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn credential(self) -> Self {
        Self { is_credential: true, ..self }
    }

    const fn secret(self) -> Self {
        Self { secrecy: Secrecy::Nothing, ..self }
    }

    const fn url(self) -> Self {
        Self { secrecy: Secrecy::UrlOnly, ..self }
    }

    const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }
}

const fn variable(name: &'static str, default: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        aliases: &[],
        default,
        about,
        is_required: false,
        is_credential: false,
        secrecy: Secrecy::All,
    }
}

/// Every setting, in the order of the documents.
pub const SECTIONS: [Section; 21] = [
    Section {
        title: "Your Zoom app (marketplace.zoom.us, Manage, your app)",
        variables: zoom::APP,
    },
    Section { title: "A Video SDK app beside it", variables: zoom::VIDEO_SDK },
    Section { title: "Further Zoom apps", variables: zoom::FURTHER },
    Section { title: "Zoom Phone (experimental)", variables: zoom::EXPERIMENTAL },
    Section { title: "Installing (OAuth)", variables: zoom::INSTALL },
    Section { title: "Access to the REST API", variables: server::API },
    Section { title: "Dashboard", variables: server::DASHBOARD },
    Section { title: "HTTP", variables: server::HTTP },
    Section { title: "Live subscribers and forwards", variables: outputs::LIVE },
    Section { title: "Store and retention", variables: server::STORE },
    Section { title: "Streams", variables: streams::STREAMS },
    Section { title: "Media", variables: streams::MEDIA },
    Section { title: "Starting and stopping streams", variables: streams::CONTROL },
    Section { title: "Recordings", variables: outputs::RECORDINGS },
    Section { title: "Captures", variables: outputs::CAPTURE },
    Section { title: "NATS", variables: outputs::NATS },
    Section { title: "Outgoing webhooks", variables: outputs::WEBHOOKS },
    Section { title: "Existing RTMS programs (relays)", variables: outputs::RELAYS },
    Section { title: "Outgoing connections", variables: server::NETWORK },
    Section { title: "Logs", variables: server::LOGS },
    Section { title: "Traces (OpenTelemetry)", variables: server::TRACES },
];

/// Every setting.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    SECTIONS.iter().flat_map(|section| section.variables)
}

/// The setting with this name or alias.
pub(super) fn variable_named(name: &str) -> Option<&'static Variable> {
    variables().find(|variable| variable.names().any(|own| own == name))
}

/// A setting by its name.
///
/// # Panics
/// When the table does not list it; a test reads every setting.
pub(super) fn find_variable(name: &str) -> &'static Variable {
    variables().find(|variable| variable.name == name).expect("every setting is in the table")
}
