//! The OAuth scopes that an app needs, and which of them a token lacks (rtms-protocol.md section 15.6; pure).

use super::app::{App, AutoStart};
use crate::model::{Medium, Product};

/// Starts, stops, pauses and resumes the streams of meetings and webinars (section 14.1).
const CONTROL: &str = "meeting:update:participant_rtms_app_status";
/// The same for engagements (section 14.4).
const CONTROL_ENGAGEMENTS: &str = "contact_center:update:engagement_rtms_app_status";
/// Reads who installs the app (section 15.2).
const IDENTITY: &str = "user:read:user";
/// Read whether a meeting runs, and which meetings of a user run: after a gap in the events of the event socket.
const MEETING: &str = "meeting:read:meeting";
const MEETINGS: &str = "meeting:read:list_meetings";

/// Scopes that an older app has instead: granular, then classic.
const CLASSIC: [(&str, &str); 4] = [
    (CONTROL, "meeting:write"),
    (MEETING, "meeting:read"),
    (MEETINGS, "meeting:read"),
    (IDENTITY, "user:read"),
];
/// What tokens of an account have behind a scope.
const WIDER: [&str; 2] = [":admin", ":master"];

/// What uses a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A medium of a stream: Zoom checks what the user granted.
    Media,
    /// A call of the REST API: Zoom checks the token of the call.
    Rest,
    /// The install: Zoom checks the token of the user who installs.
    Install,
}

/// A scope that an app needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub scope: String,
    pub of: Use,
}

/// The scopes that an app needs for what its settings enable.
pub fn needs(app: &App) -> Vec<Need> {
    let mut needs: Vec<Need> = app.products.iter().flat_map(|it| of_product(app, *it)).collect();
    let mut add = |of, scope: &str| needs.push(Need { scope: scope.to_owned(), of });
    if app.serves(Product::Meeting) || app.serves(Product::Webinar) {
        add(Use::Rest, CONTROL);
    }
    if app.serves(Product::ContactCenter) {
        add(Use::Rest, CONTROL_ENGAGEMENTS);
    }
    // Only an event socket has gaps after which rtmsd asks: Zoom repeats webhooks itself.
    if app.events_url.is_some() && app.serves(Product::Meeting) {
        add(Use::Rest, MEETING);
        if app.policies.auto_start != AutoStart::Off {
            add(Use::Rest, MEETINGS);
        }
    }
    if app.has_users() {
        add(Use::Install, IDENTITY);
    }
    needs
}

fn of_product(app: &App, product: Product) -> Vec<Need> {
    let media = Medium::ALL.into_iter().filter(|medium| app.params.media.contains(*medium));
    let media = |name: &str| media.map(|medium| reads(name, medium)).collect::<Vec<_>>();
    let own = match product {
        Product::Meeting => media("meeting"),
        Product::Webinar => media("webinar"),
        Product::ContactCenter => vec!["contact_center:read:zcc_voice_audio".to_owned()],
        Product::Phone => vec!["phone:read:rtms_session".to_owned()],
        // Its key and secret are enough.
        Product::VideoSdk => Vec::new(),
    };
    let mut needs: Vec<Need> =
        own.into_iter().map(|scope| Need { scope, of: Use::Media }).collect();
    if product == Product::Phone {
        needs.push(Need { scope: "phone:write:rtms_session".to_owned(), of: Use::Rest });
    }
    needs
}

fn reads(product: &str, medium: Medium) -> String {
    let medium = match medium {
        Medium::Share => "screenshare",
        other => other.as_str(),
    };
    format!("{product}:read:{product}_{medium}")
}

/// The needed scopes that are not among the granted ones, which are separated by spaces. Wider scopes, and the classic
/// ones of older apps, count as well.
pub fn missing<'a>(needs: impl IntoIterator<Item = &'a Need>, granted: &str) -> Vec<&'a str> {
    let is_granted = |need: &&Need| granted.split_whitespace().any(|it| covers(it, &need.scope));
    let missing = needs.into_iter().filter(|need| !is_granted(need));
    missing.map(|need| need.scope.as_str()).collect()
}

fn covers(granted: &str, scope: &str) -> bool {
    let own = WIDER.iter().find_map(|wider| granted.strip_suffix(wider)).unwrap_or(granted);
    own == scope || CLASSIC.iter().any(|(new, classic)| *new == scope && *classic == own)
}

#[cfg(test)]
mod tests {
    use super::super::app::tests::app;
    use super::super::event_socket::EventsUrl;
    use super::*;
    use crate::model::MediaSet;
    use crate::rtms::endpoint::Policy;

    fn of(products: &[Product], media: &[Medium]) -> App {
        let mut app = app("acme");
        app.products = products.to_vec();
        app.params.media = media.iter().copied().collect::<MediaSet>();
        app
    }

    fn scopes(app: &App) -> Vec<String> {
        needs(app).into_iter().map(|need| need.scope).collect()
    }

    #[test]
    fn an_event_socket_needs_what_is_asked_after_its_gaps() {
        let zoom = Policy::new(vec![".zoom.us".to_owned()], false);
        let socket = EventsUrl::parse("wss://ws.zoom.us/ws?subscriptionId=1", &zoom).unwrap();
        let mut app = of(&[Product::Meeting], &[Medium::Transcript]);
        app.policies.auto_start = AutoStart::All;
        assert!(!scopes(&app).iter().any(|scope| scope == MEETING || scope == MEETINGS));
        app.events_url = Some(socket);
        for scope in [MEETING, MEETINGS] {
            assert!(scopes(&app).contains(&scope.to_owned()), "{scope}");
        }
        app.policies.auto_start = AutoStart::Off;
        assert!(scopes(&app).contains(&MEETING.to_owned()));
        assert!(!scopes(&app).contains(&MEETINGS.to_owned()), "nothing is started by itself");
    }

    #[test]
    fn every_product_that_is_started_over_rest_needs_its_scope() {
        for (product, scope) in [
            (Product::Meeting, CONTROL),
            (Product::Webinar, CONTROL),
            (Product::ContactCenter, CONTROL_ENGAGEMENTS),
            (Product::Phone, "phone:write:rtms_session"),
        ] {
            let needs = needs(&of(&[product], &[]));
            let rest: Vec<&str> = needs
                .iter()
                .filter(|need| need.of == Use::Rest)
                .map(|need| need.scope.as_str())
                .collect();
            assert_eq!(rest, [scope], "{product:?}");
        }
        assert!(needs(&of(&[Product::VideoSdk], &Medium::ALL)).is_empty());
    }

    #[test]
    fn what_is_missing_is_named_and_wider_and_classic_scopes_count() {
        let needs = needs(&of(&[Product::Meeting], &[Medium::Audio, Medium::Chat]));
        let all = ["meeting:read:meeting_audio", "meeting:read:meeting_chat", CONTROL, IDENTITY];
        assert_eq!(missing(&needs, ""), all);
        assert_eq!(missing(&needs, &all.join(" ")), [""; 0]);
        assert_eq!(missing(&needs, &all.join(":admin ")), [""; 0]);
        let older = "meeting:read:meeting_audio meeting:read:meeting_chat meeting:write user:read";
        assert_eq!(missing(&needs, older), [""; 0]);
        let cut = "meeting:read:meeting_audio meeting:read:meeting_chats user:read:user";
        assert_eq!(missing(&needs, cut), ["meeting:read:meeting_chat", CONTROL]);
    }
}
