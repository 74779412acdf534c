//! What Zoom's REST API says of meetings: whether one runs, and which of a user's run.

use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;

use super::{Api, CallError, encode_segment, read_answer};
use crate::json;
use crate::model::Chosen;
use crate::zoom::app::App;
use crate::zoom::client::{ZoomApi, request_failure};
use crate::zoom::error::{Problem, ZoomError};
use crate::zoom::token::{Granted, Wanted};

/// Zoom's code for a meeting that does not exist or is over (section 14.1).
const NO_MEETING: i64 = 3001;
/// The most meetings of one user that are read. A user can host a few at once.
const MAX_MEETINGS: usize = 100;

/// Whether a meeting runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeetingState {
    /// It runs; with the UUID of what runs under its number, if Zoom says it.
    Running(Option<String>),
    Over,
}

/// A meeting that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveMeeting {
    pub uuid: String,
    pub number: Option<String>,
    pub host_id: Option<String>,
}

#[derive(Deserialize)]
struct Meeting {
    #[serde(default, deserialize_with = "json::or_none")]
    uuid: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    id: Option<json::Number>,
    #[serde(default, deserialize_with = "json::or_none")]
    host_id: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    status: Option<String>,
}

#[derive(Deserialize)]
struct Meetings {
    #[serde(default)]
    meetings: Vec<serde_json::Value>,
}

impl Api {
    /// Whether the meeting with this number runs. None if Zoom does not say.
    ///
    /// # Errors
    /// There is no token, or Zoom refused or did not answer: the token needs the scope `meeting:read:meeting`.
    pub async fn meeting(
        &self,
        app: &Arc<App>,
        chosen: &Chosen,
        number: &str,
    ) -> Result<Option<MeetingState>, CallError> {
        let path = format!("/v2/meetings/{}", encode_segment(number));
        let answer = self.read::<Meeting>(&chosen.wanted(&app.name), &path).await;
        match answer {
            Ok(meeting) => Ok(match meeting.status.as_deref() {
                Some("started") => Some(MeetingState::Running(meeting.uuid)),
                Some("waiting" | "ended") => Some(MeetingState::Over),
                _ => None,
            }),
            Err(CallError::Zoom(error)) if is_no_meeting(&error) => Ok(Some(MeetingState::Over)),
            Err(error) => Err(error),
        }
    }

    /// The meetings that a user hosts now. `user` is a Zoom user id, or `me` for the owner of the token.
    ///
    /// # Errors
    /// There is no token, or Zoom refused or did not answer: the token needs the scope `meeting:read:list_meetings`.
    pub async fn live_meetings(
        &self,
        wanted: &Wanted,
        user: &str,
    ) -> Result<Vec<LiveMeeting>, CallError> {
        let user = encode_segment(user);
        let path = format!("/v2/users/{user}/meetings?type=live&page_size={MAX_MEETINGS}");
        let list = self.read::<Meetings>(wanted, &path).await?;
        let live = list.meetings.into_iter().take(MAX_MEETINGS).filter_map(|meeting| {
            let meeting = Meeting::deserialize(meeting).ok()?;
            Some(LiveMeeting {
                uuid: meeting.uuid?,
                number: meeting.id.and_then(json::Number::exact).map(|id| id.to_string()),
                host_id: meeting.host_id,
            })
        });
        Ok(live.collect())
    }

    /// Reads a resource, once more with another token if Zoom rejects the first.
    async fn read<T: serde::de::DeserializeOwned>(
        &self,
        wanted: &Wanted,
        path: &str,
    ) -> Result<T, CallError> {
        let granted = self.tokens.token(wanted).await?;
        match self.read_with(&granted, path).await {
            Err(error) if error.problem == Problem::TokenRejected => {
                let other = self.tokens.replace(&granted).await?;
                Ok(self.read_with(&other, path).await?)
            }
            done => Ok(done?),
        }
    }

    async fn read_with<T: serde::de::DeserializeOwned>(
        &self,
        granted: &Granted,
        path: &str,
    ) -> Result<T, ZoomError> {
        let url = format!("{}{path}", granted.api_base_url);
        let token = granted.access_token.expose();
        let request = self.client.request(Method::GET, &url).bearer_auth(token);
        let sent = self.client.start(&granted.app.name, ZoomApi::Rest, request).await;
        let answer = sent.map_err(|error| {
            let cause = request_failure(&error);
            tracing::debug!(%cause, "a question to Zoom got no answer; it counts as unknown");
            ZoomError::no_answer()
        })?;
        let body = read_answer(answer).await?.body.unwrap_or_default();
        T::deserialize(body).map_err(|_| ZoomError::no_answer())
    }
}

fn is_no_meeting(error: &ZoomError) -> bool {
    error.answer.as_ref().is_some_and(|answer| answer.code == Some(NO_MEETING))
}
