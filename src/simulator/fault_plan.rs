//! Planned failures of OAuth and REST calls, and a count of all answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;

use super::control::{ApiFault, Call};
use super::lock;
use super::oauth::TokenError;
use super::planned::Planned;
use super::report::CallReport;
use super::rest::ApiError;
use crate::clock;

/// How long `ApiFault::Hang` holds a call: longer than any client waits.
const HANG: Duration = Duration::from_secs(120);
/// The periods of the two rate limits of section 14.5: calls a second and calls a day.
const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 24 * 3_600 * SECOND_MS;
/// The most planned failures, each with its count.
const MAX_PLANNED: usize = 1_000;

/// Closes the connection that carried a request, without an answer.
#[derive(Clone, Default)]
pub(super) struct HangUp(pub CancellationToken);

/// The planned failures, in order for each kind of call, and how the calls were answered.
#[derive(Default)]
pub(super) struct FaultPlan {
    pub planned: Planned<Call, ApiFault, MAX_PLANNED>,
    calls: Mutex<CallReport>,
}

impl FaultPlan {
    fn next(&self, call: Call) -> Option<ApiFault> {
        self.planned.next(|of| *of == call)
    }

    pub(super) fn report(&self) -> CallReport {
        lock(&self.calls).clone()
    }
}

/// Middleware of every call that can fail by plan.
pub(super) async fn apply_faults(
    State((fault_plan, call)): State<(Arc<FaultPlan>, Call)>,
    request: Request,
    next: Next,
) -> Response {
    let hang_up = request.extensions().get::<HangUp>().cloned().unwrap_or_default();
    let response = match fault_plan.next(call) {
        None => next.run(request).await,
        Some(ApiFault::Drop) => return hang_up_unanswered(&fault_plan, call, hang_up).await,
        Some(ApiFault::Hang) => {
            tokio::time::sleep(HANG).await;
            return hang_up_unanswered(&fault_plan, call, hang_up).await;
        }
        Some(ApiFault::LoseAnswer) => {
            // The call takes effect; only its answer is lost.
            next.run(request).await;
            return hang_up_unanswered(&fault_plan, call, hang_up).await;
        }
        Some(fault) => faulty_response(call, fault),
    };
    let mut report = lock(&fault_plan.calls);
    let answers = report.answers.entry(call.as_str()).or_default();
    *answers.entry(response.status().as_u16()).or_default() += 1;
    response
}

async fn hang_up_unanswered(fault_plan: &FaultPlan, call: Call, hang_up: HangUp) -> Response {
    *lock(&fault_plan.calls).unanswered.entry(call.as_str()).or_default() += 1;
    // `serve_connection` drops this future together with the connection, so it never needs to return.
    hang_up.0.cancel();
    std::future::pending().await
}

fn faulty_response(call: Call, fault: ApiFault) -> Response {
    let error = |status, code, message| ApiError::new(status, code, message).into_response();
    match fault {
        ApiFault::RateLimit => rate_limited("QPS", reset_at(clock::now_ms())),
        ApiFault::DailyLimit => rate_limited("Daily-limit", next_midnight(clock::now_ms())),
        ApiFault::InvalidToken if call == Call::Token => TokenError::TOKEN.into_response(),
        ApiFault::InvalidToken => ApiError::invalid_token().into_response(),
        ApiFault::MissingScope => ApiError::missing_scope(&["(planned)"]).into_response(),
        ApiFault::NotAuthorized => ApiError::app_not_authorized().into_response(),
        ApiFault::NotHost => ApiError::not_a_host().into_response(),
        ApiFault::NotEligible => {
            error(StatusCode::FORBIDDEN, 2310, "This account is not eligible for RTMS.")
        }
        ApiFault::NotStarted => error(StatusCode::BAD_REQUEST, 3000, "Meeting has not started."),
        ApiFault::NoMeeting => ApiError::no_meeting("(planned)").into_response(),
        ApiFault::ServerError => {
            error(StatusCode::INTERNAL_SERVER_ERROR, 500, "Internal server error.")
        }
        // Not JSON: this answer imitates a proxy in front of Zoom.
        ApiFault::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "<html>503 Service Unavailable</html>")
                .into_response()
        }
        ApiFault::Drop | ApiFault::Hang | ApiFault::LoseAnswer => {
            unreachable!("apply_faults leaves these calls unanswered")
        }
    }
}

type Reset = (HeaderName, String);

/// The header of a limit per second: Unix seconds (section 14.5).
fn reset_at(now_ms: i64) -> Reset {
    // Rounded up: at the named second the limit must be over.
    (HeaderName::from_static("x-ratelimit-reset"), ((now_ms + SECOND_MS) / 1000 + 1).to_string())
}

/// The header of a daily limit: an ISO 8601 date instead of the seconds of HTTP (section 14.5).
fn next_midnight(now_ms: i64) -> Reset {
    let date = jiff::Timestamp::from_millisecond((now_ms / DAY_MS + 1) * DAY_MS);
    (header::RETRY_AFTER, date.unwrap_or_default().to_string())
}

fn rate_limited(kind: &'static str, (name, value): Reset) -> Response {
    let message = "You have reached the maximum rate limit for this API.";
    let mut response = ApiError::new(StatusCode::TOO_MANY_REQUESTS, 429, message).into_response();
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-category", HeaderValue::from_static("Light"));
    headers.insert("x-ratelimit-type", HeaderValue::from_static(kind));
    headers.insert("x-ratelimit-limit", HeaderValue::from_static("80"));
    headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
    headers.insert(name, HeaderValue::try_from(value).expect("digits and dates are ASCII"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planned_failures_apply_in_order_and_only_to_their_kind_of_call() {
        let faults = FaultPlan::default();
        faults.planned.plan(Call::Status, 2, ApiFault::NotStarted);
        faults.planned.plan(Call::Token, 1, ApiFault::Drop);
        faults.planned.plan(Call::Status, 1, ApiFault::RateLimit);
        assert_eq!(faults.next(Call::User), None);
        let next = || faults.next(Call::Status);
        assert_eq!(next(), Some(ApiFault::NotStarted));
        assert_eq!(next(), Some(ApiFault::NotStarted));
        assert_eq!(next(), Some(ApiFault::RateLimit));
        assert_eq!(next(), None);
        assert_eq!(faults.next(Call::Token), Some(ApiFault::Drop));
    }

    #[test]
    fn a_daily_limit_names_midnight_as_an_iso_date() {
        let (_, date) = next_midnight(1_732_313_171_881);
        assert_eq!(date, "2024-11-23T00:00:00Z");
    }
}
