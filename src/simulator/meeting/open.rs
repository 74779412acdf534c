//! Opens meetings: their identity, their tasks, and the time at which they begin.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Meeting;
use crate::clock;
use crate::simulator::control::ControlError;
use crate::simulator::event::MeetingIdentity;
use crate::simulator::quirk::Quirks;
use crate::simulator::script::Ending;
use crate::simulator::settings::Settings;
use crate::simulator::shared::{HandshakeFaults, ScriptClock, Shared};
use crate::simulator::state::SimulatorState;

/// How far in the past a fast meeting may begin: five minutes, the usual tolerance of clients (section 11).
const MAX_HEAD_START_MS: i64 = 5 * 60 * 1000;
/// The length of a meeting's inbox. A full inbox stops reading from the meeting's sockets.
const INBOX: usize = 256;

/// Opens the next meeting, which plays in a task for each operator of each app, and returns its meeting number.
pub(in crate::simulator) fn open_meeting(
    state: &Arc<SimulatorState>,
) -> Result<String, ControlError> {
    let index = state.directory.next_meeting()?;
    // The factor keeps the sequences of neighbouring seeds and meetings apart.
    let seed = state.settings.seed.wrapping_mul(0x9e37).wrapping_add(index);
    let mut rng = StdRng::seed_from_u64(seed);
    let identity = random_identity(&state.settings, index, &mut rng);
    let meeting_id = identity.meeting_id.clone();
    // The first task continues the sequence of the identity, as if it were the only one.
    let mut first_rng = Some(rng);
    let product = state.settings.script.product;
    for app in state.apps.iter().filter(|app| app.settings.has_streams(product)) {
        for (place, operator_id) in state.settings.operators().into_iter().enumerate() {
            // Of its own, because the stream ids of all tasks differ.
            let own_seed = seed ^ (((app.index as u64) << 48) | ((place as u64) << 32));
            let rng = first_rng.take().unwrap_or_else(|| StdRng::seed_from_u64(own_seed));
            let (mailbox, deliver_all) = app.webhook_sender.mailbox();
            // A second task: a slow endpoint must not hold up the meeting.
            state.plays.spawn(deliver_all);
            let shared = Shared {
                state: state.clone(),
                app: app.clone(),
                operator_id,
                is_first_operator: place == 0,
                identity: identity.clone(),
                clock: ScriptClock::new(Instant::now(), 0, state.settings.speed),
                mailbox,
                quirks: Arc::new(Quirks::of(&state.settings.all_quirks())),
                handshake_faults: HandshakeFaults::default(),
            };
            state.plays.spawn(play_meeting(shared, rng));
        }
    }
    Ok(meeting_id)
}

fn random_identity(settings: &Settings, index: u64, rng: &mut StdRng) -> MeetingIdentity {
    let script = &settings.script;
    let mut instance_id = BASE64_STANDARD.encode(rng.random::<[u8; 16]>());
    if index % 2 == 1 {
        // Some of Zoom's ids begin with a slash, which clients must encode twice in REST paths (section 4).
        instance_id.replace_range(..1, "/");
    }
    MeetingIdentity {
        product: script.product,
        instance_id,
        meeting_id: (script.meeting_id + index).to_string(),
        account_id: script.account_id.clone(),
        host_id: script.host.clone(),
        topic: script.title.clone(),
    }
}

/// How far in the past a meeting begins that is faster than real time. Without it, timestamps would lie in the
/// future, which clients reject. It is bounded because clients also reject timestamps that are too old.
fn head_start_ms(settings: &Settings) -> i64 {
    let gained = 1.0 - 1.0 / settings.speed.max(1.0);
    match settings.script.ending {
        Ending::At { at_ms, .. } => ((f64::from(at_ms) * gained) as i64).min(MAX_HEAD_START_MS),
        // Endless meetings get ahead of real time in any case, only later.
        Ending::Again { .. } if gained > 0.0 => MAX_HEAD_START_MS,
        Ending::Again { .. } => 0,
    }
}

/// Waits for the URL validation and plays the meeting to its end.
async fn play_meeting(mut shared: Shared, rng: StdRng) {
    let state = shared.state.clone();
    // All apps, so that they see the same meeting at the same time.
    tokio::select! {
        () = state.stop.cancelled() => return,
        () = state.apps.validated() => {}
    }
    let (sender, inbox) = mpsc::channel(INBOX);
    let began_unix_ms = clock::now_ms() - head_start_ms(&state.settings);
    shared.clock = ScriptClock::new(Instant::now(), began_unix_ms, state.settings.speed);
    let shared = Arc::new(shared);
    // Before the first webhook: a client may answer it at once with a REST call for this meeting.
    state.directory.add_meeting(&shared, sender.clone());
    Meeting::new(shared.clone(), sender, rng).run(inbox).await;
    state.directory.remove_meeting(&shared);
}
