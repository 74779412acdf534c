//! The errors of other modules as errors of the API.

use std::sync::Arc;

use super::ApiError;
use crate::control::ControlError;
use crate::events::ReceiveError;
use crate::sinks::relays::RelayError;
use crate::sinks::webhooks::EndpointError;
use crate::store::StoreError;
use crate::zoom::app::AppError;

impl From<ReceiveError> for ApiError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::OtherApp => Self::OtherApp,
            ReceiveError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Store(error) => error.into(),
            AppError::Unknown => Self::UnknownApp,
            other => Self::App(Arc::new(other)),
        }
    }
}

impl From<EndpointError> for ApiError {
    fn from(error: EndpointError) -> Self {
        match error {
            EndpointError::Store(error) => error.into(),
            other => Self::Endpoint(Arc::new(other)),
        }
    }
}

impl From<RelayError> for ApiError {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::Store(error) => error.into(),
            other => Self::Relay(Arc::new(other)),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::UnknownSession => Self::UnknownSession,
            ControlError::Store(error) => error.into(),
            other => Self::Control(Arc::new(other)),
        }
    }
}
