//! The task of one program's stream: announces it, answers the program's sockets, and follows the stream's log.

mod announce;
mod flow;
mod outputs;
mod served;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

pub(super) use self::announce::{stop_reason, stopped_event};
use self::served::Served;
use super::Relays;
use super::known::OpenRelay;
use super::socket::Outbox;
use crate::hub::{Followed, Kinds, StreamInfo, Tap};
use crate::model::params::Params;
use crate::model::{Cursor, Medium, RelayGap, Session};
use crate::rtms::server::handshake::Handshake;

/// The most messages of sockets that wait for the task.
const INBOX: usize = 256;

/// What the sockets of a program report.
pub(super) enum Input {
    Handshake {
        socket: u64,
        handshake: Handshake,
        outbox: Outbox,
    },
    Text {
        socket: u64,
        text: String,
    },
    /// The socket has ended; `code` is that of the program's Close frame.
    Lost {
        socket: u64,
        code: Option<u16>,
    },
    /// The program has read everything of the ended stream on this socket.
    Finished {
        socket: u64,
    },
    Missed(Vec<RelayGap>),
    /// Lines or frames were sent that the program has not acknowledged.
    ReceiptDue {
        socket: u64,
    },
}

/// The state of a program.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProgramStatus {
    /// Whether its signaling socket is connected.
    pub is_connected: bool,
    /// Whether media are sent to it.
    pub is_flowing: bool,
    /// What it missed so far.
    #[serde(skip)]
    pub gaps: Arc<[RelayGap]>,
    /// The number of the last entry that it acknowledged.
    pub acknowledged: u64,
}

/// The handle of a program's task.
#[derive(Clone)]
pub(super) struct ProgramHandle {
    pub relay: Arc<OpenRelay>,
    pub inbox: mpsc::Sender<Input>,
    /// Disconnects the program.
    pub stop: CancellationToken,
    /// Notified when another daemon runs the stream.
    pub stream_is_gone: Arc<Notify>,
    status: watch::Receiver<ProgramStatus>,
}

impl ProgramHandle {
    pub(super) fn status(&self) -> ProgramStatus {
        self.status.borrow().clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }
}

/// The frames for a program, one tap for each medium that comes as frames.
pub(super) struct Taps([Option<Arc<Mutex<Tap>>>; 3]);

impl Taps {
    pub(super) fn new(taps: impl Iterator<Item = (Medium, Tap)>) -> Self {
        let mut all = [None, None, None];
        for (medium, tap) in taps {
            // Audio, video and share are the first media.
            all[medium as usize] = Some(Arc::new(Mutex::new(tap)));
        }
        Self(all)
    }
}

/// What a program's task needs.
pub(super) struct ProgramTask {
    pub relays: Relays,
    pub relay: Arc<OpenRelay>,
    pub session: Session,
    pub stream: Arc<StreamInfo>,
    pub params: Params,
    pub taps: Taps,
}

impl ProgramTask {
    /// The handle of the task, and the task.
    pub(super) fn start(
        self,
        stop: CancellationToken,
    ) -> (ProgramHandle, impl Future<Output = ()> + Send) {
        let (inbox, inputs) = mpsc::channel(INBOX);
        let status = watch::Sender::new(ProgramStatus {
            is_connected: false,
            is_flowing: false,
            gaps: Arc::new([]),
            acknowledged: 0,
        });
        let stream_is_gone = Arc::new(Notify::new());
        let handle = ProgramHandle {
            relay: Arc::clone(&self.relay),
            inbox,
            stop: stop.clone(),
            stream_is_gone: Arc::clone(&stream_is_gone),
            status: status.subscribe(),
        };
        (handle, self.run(inputs, status, stop, stream_is_gone))
    }

    async fn run(
        self,
        mut inputs: mpsc::Receiver<Input>,
        status: watch::Sender<ProgramStatus>,
        stop: CancellationToken,
        gone: Arc<Notify>,
    ) {
        let mut served = Served::load(self, status).await;
        let (mut entries, _follower) = served.follow(Cursor::default(), Kinds::default());
        let mut receipts = served.delivered.subscribe();
        while !served.is_over() {
            let deadline = served.deadline();
            tokio::select! {
                // Biased: a stop and a lost socket are seen even while the log is long.
                biased;
                () = stop.cancelled() => break,
                Some(input) = inputs.recv() => served.input(input).await,
                () = sleep_until(deadline) => served.advance().await,
                Ok(()) = receipts.changed() => served.is_changed = true,
                followed = entries.recv(), if served.ending.is_none() => match followed {
                    Some(Followed::Entry { entry, .. }) => served.entry(&entry).await,
                    _ => served.log_is_over().await,
                },
                () = gone.notified() => served.gone(),
            }
            served.carry_out().await;
        }
        served.leave().await;
    }
}
