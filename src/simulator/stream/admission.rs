//! Accepts or refuses the handshakes of a stream's sockets.

use tokio::time::Instant;

use super::Stream;
use super::media::Admission;
use crate::rtms::server::handshake::{Handshake, HandshakeKind, Route};
use crate::rtms::server::refusal::Refusal;
use crate::simulator::socket::Outbox;
use crate::simulator::{signature, wire};

/// An accepted handshake.
enum Admitted {
    Signaling { buffer_data: bool },
    Media(Box<Admission>),
}

impl Stream {
    /// Accepts or refuses the handshake of a socket.
    pub(in crate::simulator) fn handle_handshake(
        &mut self,
        now: Instant,
        socket: u64,
        handshake: Handshake,
        outbox: Outbox,
    ) {
        // Before the check for duplicates: what the server no longer holds must not refuse the client.
        self.zombies.retain(|zombie| zombie.until > now);
        self.expire_dead_links(now);
        let Some(outbox) = self.apply_fault(&handshake, outbox) else { return };
        match self.check_handshake(&handshake) {
            Ok(Admitted::Signaling { buffer_data }) => {
                self.accept_signaling(now, self.link(now, socket, outbox), buffer_data);
            }
            Ok(Admitted::Media(admission)) => {
                self.accept_media(self.link(now, socket, outbox), *admission);
            }
            Err(refusal) => {
                self.report().refused(refusal);
                outbox.send(wire::handshake_refused(handshake.answer, refusal));
                self.after_refusal(outbox);
            }
        }
    }

    fn check_handshake(&mut self, handshake: &Handshake) -> Result<Admitted, Refusal> {
        // First: only an authenticated client may learn which connections exist.
        self.authenticate(handshake)?;
        match &handshake.kind {
            HandshakeKind::Signaling { buffer_data } => {
                self.check_signaling()?;
                Ok(Admitted::Signaling { buffer_data: *buffer_data })
            }
            HandshakeKind::Media { media_type, media_params } => self
                .check_media(handshake.route, *media_type, media_params)
                .map(|admission| Admitted::Media(admission.into())),
        }
    }

    /// Checks stream and signature. Fails with refusal 2 or 3.
    fn authenticate(&self, handshake: &Handshake) -> Result<(), Refusal> {
        // After a failover the URL of the old server is invalid (section 3.6, case A).
        let stale = matches!(handshake.route, Route::Signaling(n) if n != self.server);
        if stale || handshake.instance_id != self.shared.identity.instance_id {
            return Err(Refusal::STREAM_ID);
        }
        let app = &self.shared.app.settings;
        let expected = signature::handshake(
            &app.client_id,
            app.client_secret.expose(),
            &handshake.instance_id,
            &self.id,
        );
        // Not constant-time: the secrets of a simulator need no protection.
        if handshake.signature == expected { Ok(()) } else { Err(Refusal::SIGNATURE) }
    }
}
