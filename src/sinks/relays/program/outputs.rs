//! Carries out the outputs of a program's state machine.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ProgramStatus;
use super::served::Served;
use crate::model::{Medium, Participant};
use crate::rtms::message::event_type;
use crate::rtms::server::program::Output;
use crate::sinks::relays::socket::Command;
use crate::sinks::relays::wire;

/// How long a program may take to close its media sockets after the end of the stream.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

impl Served {
    /// Carries out the outputs that are queued.
    pub(super) async fn carry_out(&mut self) {
        while let Some(output) = self.program.output() {
            match output {
                Output::Send(socket, text) => self.command(socket, Command::Send(text)),
                Output::Flow(socket) => self.flow(socket).await,
                Output::Hold(socket) => self.command(socket, Command::Hold),
                Output::Close(socket) => self.close(socket, Duration::ZERO),
                Output::CloseLater(socket) => self.close(socket, CLOSE_PATIENCE),
                Output::Drop(socket) => drop(self.sockets.remove(&socket)),
                Output::Subscribed(events) => self.send_roster(&events),
                // Requested below, while video flows.
                Output::Video(_) => {}
                Output::Interrupted => self.notify_of_interruption().await,
                Output::Left => self.notify_of_leaving().await,
            }
        }
        self.request_chosen_video().await;
        self.publish_status();
    }

    /// Sends a command to a socket. If the program does not read, the socket is dropped.
    pub(super) fn command(&mut self, socket: u64, command: Command) {
        if self.sockets.get(&socket).is_some_and(|outbox| !outbox.send(command)) {
            self.sockets.remove(&socket);
        }
    }

    fn close(&mut self, socket: u64, patience: Duration) {
        if let Some(outbox) = self.sockets.remove(&socket) {
            outbox.close(patience);
        }
    }

    fn publish_status(&mut self) {
        let now_ms = self.now_ms();
        let acknowledged = self.delivered.borrow().seen(self.task.stream.ordinal);
        self.is_changed |= self.row.acknowledged != acknowledged;
        self.row.acknowledged = acknowledged;
        let (is_connected, is_flowing) = (self.program.is_connected(), self.program.is_flowing());
        self.note_pictures_that_stop(now_ms);
        if !self.program.subscriptions().eq(self.row.subscriptions.iter().copied()) {
            self.row.subscriptions = self.program.subscriptions().collect();
            self.is_changed = true;
        }
        self.announcements.connected(is_connected);
        self.status.send_if_modified(|status| {
            let is_news = status.is_connected != is_connected
                || status.is_flowing != is_flowing
                || status.acknowledged != acknowledged
                || *status.gaps != *self.row.gaps;
            let gaps = self.row.gaps.clone().into();
            *status = ProgramStatus { is_connected, is_flowing, gaps, acknowledged };
            is_news
        });
    }

    /// Sends the present participants to a program that has just subscribed to joins (section 3.2).
    fn send_roster(&mut self, events: &[u64]) {
        if !events.contains(&u64::from(event_type::PARTICIPANT_JOIN)) {
            return;
        }
        let stream = &self.task.stream;
        let running = self.task.relays.inner().hub.running(stream.session_id);
        let own = running.into_iter().find(|(other, _)| other.stream_id == stream.stream_id);
        let people: Vec<Participant> = own
            .into_iter()
            .flat_map(|(_, people)| people)
            .filter(|person| person.joined_ms.is_some() && person.left_ms.is_none())
            .filter_map(|person| {
                let (user_id, user_name) = (person.speaker.number()?, person.speaker.name.clone());
                Some(Participant { user_id, user_name })
            })
            .collect();
        if !people.is_empty() {
            let (event_type, text) = wire::roster(&people, self.now_ms());
            self.program.event(event_type, || text);
        }
    }

    /// Requests the video that the program chose while it can receive it: one that is away leaves it to the others.
    async fn request_chosen_video(&mut self) {
        let chosen = self.program.video_of();
        self.video_of.store(chosen.unwrap_or(0), Ordering::Relaxed);
        let wanted = chosen.filter(|_| self.program.flows(Medium::Video));
        if wanted != self.claimed_video {
            self.choose_video(wanted).await;
        }
    }

    pub(super) async fn choose_video(&mut self, user_id: Option<u32>) {
        self.claimed_video = user_id;
        let (relays, stream) = (&self.task.relays, &self.task.stream);
        let newest = relays.choose_video(self.task.relay.relay.id, &stream.stream_id, user_id);
        if let Some(newest) = newest {
            relays.request_video(stream.session_id, newest).await;
        }
    }
}
