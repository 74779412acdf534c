//! The trace of a stream from its claim to its first frame: a span for each dial and each handshake.

use tracing::{Span, info_span};

use crate::model::StreamId;
use crate::rtms::LinkId;
use crate::rtms::endpoint::Endpoint;
use crate::rtms::stream::Input;
use crate::telemetry::{TRACES, join_span};

/// The spans that have not ended. Nothing is kept where nothing is traced, and after the first frame.
pub(super) struct JoinTrace {
    whole: Span,
    /// The dial or the handshake of each link.
    links: Vec<(LinkId, Span)>,
}

impl JoinTrace {
    pub(super) fn begin(stream_id: &StreamId) -> Option<Self> {
        let whole = join_span(stream_id);
        (!whole.is_disabled()).then_some(Self { whole, links: Vec::new() })
    }

    pub(super) fn dials(&mut self, id: LinkId, endpoint: &Endpoint) {
        let span = info_span!(
            target: TRACES, parent: &self.whole, "rtms.dial", otel.kind = "client",
            link = id.as_str(), server.address = %endpoint, "error.type" = tracing::field::Empty,
        );
        self.replace(id, Some(span));
    }

    /// Follows what happens on the links.
    pub(super) fn note(&mut self, input: &Input) {
        match input {
            Input::Opened(id) => self.opened(*id),
            // What a link brings first is the answer to its handshake.
            Input::Received(id, _) | Input::TooLarge(id, _) => self.replace(*id, None),
            Input::Lost(id, _) => self.lost(*id),
            _ => {}
        }
    }

    fn opened(&mut self, id: LinkId) {
        let span = info_span!(
            target: TRACES, parent: &self.whole, "rtms.handshake", otel.kind = "client",
            link = id.as_str(), "error.type" = tracing::field::Empty,
        );
        self.replace(id, Some(span));
    }

    fn lost(&mut self, id: LinkId) {
        if let Some((_, span)) = self.links.iter().find(|(known, _)| *known == id) {
            span.record("error.type", "link_lost");
        }
        self.replace(id, None);
    }

    /// Ends a link's span, and begins another one.
    fn replace(&mut self, id: LinkId, span: Option<Span>) {
        self.links.retain(|(known, _)| *known != id);
        self.links.extend(span.map(|span| (id, span)));
    }
}
