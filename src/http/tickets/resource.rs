//! The resources that a ticket can open: paths that a browser requests without a header of its own (pure).

use percent_encoding::percent_decode_str;

use crate::model::SessionId;

/// A resource that a ticket opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// `/api/v1/live`
    LiveAll,
    /// `/api/v1/sdk/sessions/{id}/live`
    Live(SessionId),
    /// `/api/v1/sdk/sessions/{id}/events`
    Events(SessionId),
    /// `/api/v1/sdk/sessions/{id}/recordings/{file}`
    Recording(SessionId, String),
}

impl Resource {
    /// Parses a path of this API without its query. `None` if no ticket opens it.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/api/v1/")?;
        if rest == "live" {
            return Some(Self::LiveAll);
        }
        let (id, rest) = rest.strip_prefix("sdk/sessions/")?.split_once('/')?;
        let id = SessionId::parse(id)?;
        match rest.split_once('/') {
            None if rest == "live" => Some(Self::Live(id)),
            None if rest == "events" => Some(Self::Events(id)),
            // A slash that is encoded stays in the name: axum decodes parts after it has split the path.
            Some(("recordings", file)) if !file.is_empty() && !file.contains('/') => {
                let file = percent_decode_str(file).decode_utf8().ok()?;
                Some(Self::Recording(id, file.into_owned()))
            }
            _ => None,
        }
    }

    /// The session of the resource.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::LiveAll => None,
            Self::Live(id) | Self::Events(id) | Self::Recording(id, _) => Some(*id),
        }
    }

    /// The canonical name: the same for every spelling of the path, and for no other resource.
    pub fn name(&self) -> String {
        match self {
            Self::LiveAll => "live".to_owned(),
            Self::Live(id) => format!("live/{id}"),
            Self::Events(id) => format!("events/{id}"),
            Self::Recording(id, file) => format!("recording/{id}/{file}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01932b5e-0000-7000-8000-000000000000";

    #[test]
    fn the_four_kinds_of_paths_are_read_and_no_other() {
        let session = |rest: &str| Resource::parse(&format!("/api/v1/sdk/sessions/{ID}{rest}"));
        let id = SessionId::parse(ID).unwrap();
        assert_eq!(Resource::parse("/api/v1/live"), Some(Resource::LiveAll));
        assert_eq!(session("/live"), Some(Resource::Live(id)));
        assert_eq!(session("/events"), Some(Resource::Events(id)));
        for rest in ["", "/", "/ledger", "/live/", "/events/x", "/recordings", "/recordings/"] {
            assert_eq!(session(rest), None, "{rest}");
        }
        for rest in ["/recordings/a/b", "/recordings/%ff", "/events?after=1:1"] {
            assert_eq!(session(rest), None, "{rest}");
        }
        for path in
            ["", "/", "/api/v1/sdk/sessions/x/live", "https://x/api/v1/live", "/openapi.json"]
        {
            assert_eq!(Resource::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_file_is_the_same_however_its_name_is_encoded() {
        let name = |file: &str| {
            let path = format!("/api/v1/sdk/sessions/{ID}/recordings/{file}");
            Resource::parse(&path).unwrap().name()
        };
        assert_eq!(name("1-N%C3%BA.wav"), name("1-N%c3%ba.wav"));
        assert_eq!(name("1%2D1.wav"), name("1-1.wav"));
        assert_ne!(name("1-1.wav"), name("1-2.wav"));
        // Another case of the id is the same session.
        let upper = format!("/api/v1/sdk/sessions/{}/live", ID.to_uppercase());
        let lower = format!("/api/v1/sdk/sessions/{ID}/live");
        assert_eq!(Resource::parse(&upper), Resource::parse(&lower));
    }
}
