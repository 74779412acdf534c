//! `POST /api/v1/sdk/sessions`, `…/{id}/rtms/start|stop|pause|resume`, `GET …/{id}/timeline`.

mod new_session;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::AppState;
use super::audit::note_refusal;
use super::auth::Caller;
use super::envelope::{rfc3339, success, success_as};
use super::error::ApiError;
use super::extract::InPath;
use super::idempotency::AboutSession;
use super::view::SessionView;
use crate::control::{ControlError, Refusal, RequestOptions, Requested, TimelineEvent};
use crate::model::{
    Action, AppName, AuditRow, InstallationId, MediaParams, MediaPlan, Metadata, Product, Session,
    SessionId, SessionStatus,
};
use crate::store::Made;
use crate::zoom::app::App;

/// Creates a session (201), or returns the existing one (200).
pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    // The row's subject is empty: the id is known only when the store has created or found the session.
    let act = caller.trail.act((state.now_ms)(), "session.create", "");
    let made = make_session(&state, &caller, &body, &act).await?;
    let data = json!({ "session": SessionView::of(&made.session) });
    let mut response = match made.is_new {
        true => success_as(StatusCode::CREATED, "session created", data),
        false => success("session already exists", data),
    };
    // The path does not name the session, so the idempotency layer learns it from here.
    response.extensions_mut().insert(AboutSession(made.session.id));
    Ok(response)
}

async fn make_session(
    state: &AppState,
    caller: &Caller,
    body: &[u8],
    act: &AuditRow,
) -> Result<Made, ApiError> {
    let new_session::Wanted { app, mut new, media } = new_session::parse_session(body)?;
    let app = app_for(state, caller, app.as_ref(), new.product)?;
    new.app = app.name.clone();
    let named = new.installation_id.as_deref().and_then(InstallationId::parse);
    // Only an id that is named can be checked here; an installation that is chosen later is checked by the control.
    if named.is_some_and(|id| !caller.may_use(id)) {
        return Err(ApiError::InstallationNotAllowed);
    }
    new.media = media.map(|media| resolve_media(state, &app, &media)).transpose()?;
    Ok(state.control.create(&new, act).await?)
}

/// The app of a new session: the named one, else the one of the caller's that starts sessions of the product. Another's
/// is refused like an unknown one.
fn app_for(
    state: &AppState,
    caller: &Caller,
    named: Option<&AppName>,
    product: Option<Product>,
) -> Result<Arc<App>, ApiError> {
    // Without a product it is a meeting or a webinar.
    let product = product.unwrap_or(Product::Meeting);
    let Some(name) = named else {
        let problem = "must name an app: several apps serve this product, or none does";
        let app = state.apps.for_product(product, &caller.apps);
        return app.ok_or(ApiError::InvalidValue { name: "app", problem });
    };
    let app = state.apps.get(name).filter(|app| caller.apps.includes(&app.name));
    let app = app.ok_or(ApiError::UnknownApp)?;
    match app.serves(product) {
        true => Ok(app),
        false => Err(ApiError::InvalidValue { name: "app", problem: "must serve the product" }),
    }
}

pub(super) async fn start(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let asked = new_session::parse_start(&body)?;
    let media = match asked.media {
        None => None,
        Some(media) => {
            let app = state.control.app_of(id).await?;
            Some(resolve_media(&state, &app, &media)?)
        }
    };
    let allowed = caller.installations.as_deref();
    let options =
        RequestOptions { media: media.as_ref(), installation_id: asked.installation_id, allowed };
    request_action(&state, id, Action::Start, options, &caller).await
}

fn resolve_media(state: &AppState, app: &App, media: &MediaParams) -> Result<MediaPlan, ApiError> {
    state.control.resolve_media(app, media).map_err(ApiError::Media)
}

pub(super) async fn stop(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let options = options_of(&body, &caller)?;
    request_action(&state, id, Action::Stop, options, &caller).await
}

pub(super) async fn pause(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let options = options_of(&body, &caller)?;
    request_action(&state, id, Action::Pause, options, &caller).await
}

pub(super) async fn resume(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let options = options_of(&body, &caller)?;
    request_action(&state, id, Action::Resume, options, &caller).await
}

fn options_of<'a>(body: &[u8], caller: &'a Caller) -> Result<RequestOptions<'a>, ApiError> {
    let installation_id = new_session::parse_installation(body)?;
    let allowed = caller.installations.as_deref();
    Ok(RequestOptions { installation_id, allowed, ..RequestOptions::default() })
}

/// 202 when Zoom accepted the request, 200 when no request was needed.
async fn request_action(
    state: &Arc<AppState>,
    id: SessionId,
    action: Action,
    options: RequestOptions<'_>,
    caller: &Caller,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), audit_name(action), &id.to_string());
    match state.control.request(id, action, options, &act).await {
        Ok(requested) => Ok(accepted_response(action, &requested)),
        Err(ControlError::Refused(refusal, session)) if is_done(refusal) => {
            // A 200, but no action at Zoom: the audit trail shows why.
            note_refusal(state, &caller.trail, refusal.as_str()).await;
            let data = json!({ "session": Brief::of(&session, session.status), "zoom": null, "chosen": null });
            Ok(success(&refusal.to_string(), data))
        }
        Err(error) => {
            // A request to Zoom has its outcome in the audit trail already.
            if matches!(error, ControlError::Zoom(_) | ControlError::Token(_)) {
                caller.trail.set_noted();
            }
            Err(error.into())
        }
    }
}

fn audit_name(action: Action) -> &'static str {
    match action {
        Action::Start => "rtms.start",
        Action::Stop => "rtms.stop",
        Action::Pause => "rtms.pause",
        Action::Resume => "rtms.resume",
    }
}

fn is_done(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::AlreadyLive
            | Refusal::AlreadyRequested
            | Refusal::AlreadyPaused
            | Refusal::PlanDropped
    )
}

fn accepted_response(action: Action, requested: &Requested) -> Response {
    let session = &requested.session;
    let status = match action {
        // The session was read before the start; the store has this status by now.
        Action::Start => SessionStatus::RtmsStartRequested,
        _ => session.status,
    };
    let zoom = ZoomView {
        action,
        meeting_id: session.target(),
        zoom_status_code: requested.accepted.status,
        zoom_response: requested.accepted.body.as_ref(),
    };
    let message = format!("Zoom RTMS {} requested", action.as_str());
    let data =
        json!({ "session": Brief::of(session, status), "zoom": zoom, "chosen": requested.chosen });
    success_as(StatusCode::ACCEPTED, &message, data)
}

/// A session as it appears in the answers to actions.
#[derive(Serialize)]
struct Brief<'a> {
    id: SessionId,
    platform: &'static str,
    meeting_id: Option<&'a str>,
    status: SessionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
}

impl<'a> Brief<'a> {
    fn of(session: &'a Session, status: SessionStatus) -> Self {
        Self {
            id: session.id,
            platform: "zoom",
            meeting_id: session.target(),
            status,
            metadata: session.metadata.as_ref(),
        }
    }
}

/// The request to Zoom and its answer.
#[derive(Serialize)]
struct ZoomView<'a> {
    action: Action,
    meeting_id: Option<&'a str>,
    zoom_status_code: u16,
    zoom_response: Option<&'a Value>,
}

/// Lists the events of a session in order, and the expected ones that are missing.
pub(super) async fn timeline(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    let timeline = state.control.timeline(id).await?.ok_or(ApiError::UnknownSession)?;
    let moments: Vec<_> = timeline.moments.iter().map(MomentView::of).collect();
    let session = SessionView::of(&timeline.session);
    let data = json!({ "session": session, "moments": moments, "missing": timeline.missing });
    Ok(success("timeline", data))
}

#[derive(Serialize)]
struct MomentView<'a> {
    at: Option<String>,
    #[serde(flatten)]
    moment: &'a TimelineEvent,
}

impl<'a> MomentView<'a> {
    fn of(moment: &'a TimelineEvent) -> Self {
        Self { at: rfc3339(moment.at_ms), moment }
    }
}
