//! The calls that start, stop, pause and resume streams of every product (sections 14.1, 14.3, 14.4).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::caller::Caller;
use super::error::ApiError;
use crate::clock;
use crate::model::Product;
use crate::simulator::app::App;
use crate::simulator::body::Body;
use crate::simulator::control::{ControlError, MeetingAction};
use crate::simulator::directory::Address;
use crate::simulator::lock;
use crate::simulator::settings::Settings;
use crate::simulator::state::SimulatorState;

/// The scopes of which a token needs one: granular or classic, or the `:admin` variant of either.
const MEETING_SCOPES: [&str; 2] = ["meeting:update:participant_rtms_app_status", "meeting:write"];
const ENGAGEMENT_SCOPES: [&str; 1] = ["contact_center:update:engagement_rtms_app_status"];

const CALL_SCOPES: [&str; 1] = ["phone:write:rtms_session"];

/// The `stop_reason` of an engagement that is stopped over REST (section 10.6).
const MANUAL_API_TRIGGERED: u16 = 25;

#[derive(Deserialize)]
struct StatusUpdate {
    action: String,
    settings: Option<UpdateSettings>,
}

#[derive(Default, Deserialize)]
struct UpdateSettings {
    client_id: Option<String>,
    participant_user_id: Option<String>,
}

type StatusResult = Result<StatusCode, ApiError>;

/// `PATCH /v2/live_meetings/{meetingId}/rtms_app/status`: meetings and webinars, by their number.
pub(super) async fn update_meeting(
    State(state): State<Arc<SimulatorState>>,
    Path(meeting_id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> StatusResult {
    let caller = Caller::check(&state, &headers, &MEETING_SCOPES)?;
    let products = [Product::Meeting, Product::Webinar];
    update_status(&state, caller, &body, &products, &meeting_id).await
}

/// `PATCH /v2/videosdk/sessions/{sessionId}/rtms_app/status`.
pub(super) async fn update_session(
    State(state): State<Arc<SimulatorState>>,
    Path(session_id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> StatusResult {
    let caller = Caller::check_jwt(&state, &headers)?;
    let meeting_id = find_meeting(&state, &session_id)?;
    update_status(&state, caller, &body, &[Product::VideoSdk], &meeting_id).await
}

/// `PUT /v2/contact_center/{engagementId}/rtms_app/status`.
pub(super) async fn update_engagement(
    State(state): State<Arc<SimulatorState>>,
    Path(engagement_id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> StatusResult {
    let caller = Caller::check(&state, &headers, &ENGAGEMENT_SCOPES)?;
    let meeting_id = find_meeting(&state, &engagement_id)?;
    update_status(&state, caller, &body, &[Product::ContactCenter], &meeting_id).await
}

/// `PATCH /v2/phone/calls/{callId}/rtms_app/status`.
pub(super) async fn update_call(
    State(state): State<Arc<SimulatorState>>,
    Path(call_id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> StatusResult {
    let caller = Caller::check(&state, &headers, &CALL_SCOPES)?;
    let meeting_id = find_meeting(&state, &call_id)?;
    update_status(&state, caller, &body, &[Product::Phone], &meeting_id).await
}

/// The meeting number for an instance id from a path, which axum has already decoded once. Like Zoom, this finds
/// an id with a slash only if it was encoded twice.
fn find_meeting(state: &SimulatorState, id: &str) -> Result<String, ApiError> {
    let decoded = percent_decoded(id).filter(|_| !id.contains('/'));
    let found = decoded.and_then(|id| state.directory.meeting_of_instance(&id));
    found.ok_or_else(|| ApiError::no_meeting(id))
}

/// Performs the call. A success has an empty body; the proof of the effect is the webhook.
async fn update_status(
    state: &SimulatorState,
    caller: Caller,
    body: &[u8],
    products: &[Product],
    meeting_id: &str,
) -> StatusResult {
    let update: StatusUpdate = serde_json::from_slice(body).map_err(|_| {
        ApiError::invalid_field("action", "The body is not a JSON object with an action.")
    })?;
    let settings = update.settings.unwrap_or_default();
    let app = find_app(state, &caller, settings.client_id.as_deref())?;
    // A simulator plays one product, so the path of another one finds nothing.
    if !products.contains(&state.settings.script.product) {
        return Err(ApiError::no_meeting(meeting_id));
    }
    // Also for a stop or a pause: the caller needs the same rights for each action.
    let operator = find_operator(state, &app, caller, settings.participant_user_id)?;
    let address = Address::Operator(app.index, operator.clone());
    let action = meeting_action(&update.action, state, operator)?;
    match state.directory.perform(meeting_id, &address, action).await {
        // Zoom's answer to a stop without a stream is not published. The wanted state holds, so this is a success.
        Ok(()) | Err(ControlError::NoStream | ControlError::NoLink) => Ok(success_status(state)),
        Err(ControlError::NoMeeting) => Err(ApiError::no_meeting(meeting_id)),
        Err(ControlError::Full | ControlError::NobodyThere | ControlError::NoApp) => {
            Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, 429, "Too many streams."))
        }
    }
}

fn success_status(state: &SimulatorState) -> StatusCode {
    StatusCode::from_u16(state.settings.rest_success).unwrap_or(StatusCode::NO_CONTENT)
}

/// The app that the call is about: the named one, or else the token's. Only a token of a Server-to-Server app can act for
/// another app (section 14.2).
fn find_app(
    state: &SimulatorState,
    caller: &Caller,
    client_id: Option<&str>,
) -> Result<Arc<App>, ApiError> {
    let named = match client_id {
        Some(client_id) => {
            Some(state.apps.of_client_id(client_id).ok_or_else(ApiError::app_not_authorized)?)
        }
        None => None,
    };
    let own = match caller {
        Caller::User(app, _) | Caller::Machine(app) => Some(app),
        Caller::Trusted => None,
    };
    if let (Some(named), Some(own)) = (named, own)
        && named.index != own.index
        && !own.settings.is_server_to_server
    {
        return Err(ApiError::app_not_authorized());
    }
    let app = named.or(own).unwrap_or(state.apps.first());
    match app.settings.has_streams(state.settings.script.product) {
        true => Ok(app.clone()),
        false => Err(ApiError::app_not_authorized()),
    }
}

/// The Zoom user who runs the app: the named participant, or else the owner of the token, or for a token without a
/// user the host. That user must have installed the app.
fn find_operator(
    state: &SimulatorState,
    app: &App,
    caller: Caller,
    participant: Option<String>,
) -> Result<String, ApiError> {
    let host = &state.settings.script.host;
    let user_id = match caller {
        Caller::User(_, owner) => participant.unwrap_or(owner),
        Caller::Machine(_) => participant.unwrap_or_else(|| host.clone()),
        Caller::Trusted => return Ok(participant.unwrap_or_else(|| host.clone())),
    };
    if state.user(&user_id).is_none() || (state.settings.hosts_only && user_id != *host) {
        return Err(ApiError::not_a_host());
    }
    // Installed by that user, not only by the caller (section 14.1, preconditions). Nobody installs a Server-to-Server app.
    let is_installed = || lock(&app.grants).has_installed(&user_id, clock::now_ms());
    if !app.settings.is_server_to_server && !is_installed() {
        return Err(ApiError::app_not_authorized());
    }
    Ok(user_id)
}

fn meeting_action(
    action: &str,
    state: &SimulatorState,
    operator: String,
) -> Result<MeetingAction, ApiError> {
    match action {
        "start" => Ok(MeetingAction::StartAs { user_id: operator }),
        "stop" => Ok(MeetingAction::Stop { reason: stop_reason(&state.settings) }),
        "pause" => Ok(MeetingAction::Pause),
        "resume" => Ok(MeetingAction::Resume),
        _ => Err(ApiError::invalid_field("action", "must be start, stop, pause or resume")),
    }
}

fn stop_reason(settings: &Settings) -> u16 {
    match settings.script.product {
        Product::ContactCenter => MANUAL_API_TRIGGERED,
        _ => settings.rest_stop_reason,
    }
}

/// Decodes percent escapes. A plus sign stays as it is: in an instance id it is a base64 character.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (pair, after) = rest.split_at_checked(2)?;
        let mut byte = [0];
        hex::decode_to_slice(pair, &mut byte).ok()?;
        bytes.push(byte[0]);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn escapes_are_decoded_and_a_plus_stays() {
        assert_eq!(percent_decoded("%2Fa%2b+b==").as_deref(), Some("/a++b=="));
        assert_eq!(percent_decoded("%2"), None);
        assert_eq!(percent_decoded("%zz"), None);
        assert_eq!(percent_decoded("%ff"), None);
    }
}
