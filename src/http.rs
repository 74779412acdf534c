//! HTTP: webhook, REST API, server-sent events, health.
