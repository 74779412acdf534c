//! The demo's output: example requests, the stored meeting, and the location of its files.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::cli::entry_line::entry_line;
use crate::hub::Hub;
use crate::model::{
    Cursor, Entry, RecordedFile, RecordingStatus, Session, SessionStatus, one_line,
};
use crate::simulator::Simulator;
use crate::stdio;
use crate::store::{SessionPage, Store};

/// How long to wait for a live entry before polling the store.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Entries read from the store at a time.
const PAGE: u32 = 200;
/// How many times the store is polled for the finished recording, which usually takes one or two seconds.
const STORED_POLLS: u32 = 40;
/// The most file names that are printed: a recording can have many pictures.
const MAX_NAMES: usize = 20;

/// Prints the demo's meeting on the terminal.
pub(super) struct Show {
    store: Store,
    hub: Arc<Hub>,
    /// The folder of recordings.
    recordings: PathBuf,
    started_ms: i64,
}

/// Prints addresses, the token, example requests, and a link that signs in to the dashboard with `code`.
pub(super) fn print_banner(
    address: SocketAddr,
    token: &str,
    code: &str,
    data_dir: &Path,
) -> io::Result<()> {
    stdio::write(format!(
        "rtmsd demo: the daemon and a simulated Zoom, on this machine only.\n\n  \
         listening   http://{address}\n  \
         API token   {token}\n  \
         data        {}\n\n\
         The dashboard, signed in (the link works once, for 30 minutes):\n\n  \
         http://{address}/dashboard/enter?code={code}\n\n\
         Try these requests in another terminal:\n\n  \
         curl -s http://{address}/health/ready\n  \
         curl -s -H 'Authorization: Bearer {token}' http://{address}/api/v1/sdk/sessions\n\n\
         In a browser:\n\n  \
         http://{address}/                                  # the dashboard; sign in with the API token\n  \
         http://{address}/docs                              # API reference\n  \
         http://{address}/api/v1/zoom/oauth/install         # install the app, with the simulated Zoom's consent page\n\n\
         The meeting begins. Ctrl-C ends the demo.\n\n",
        data_dir.display()
    ))
}

/// Prints example requests for the meeting and for the simulated Zoom.
fn session_banner(
    address: SocketAddr,
    token: &str,
    session: &Session,
    simulator: &Simulator,
) -> io::Result<()> {
    let base = format!("http://{address}/api/v1/sdk/sessions/{}", session.id);
    let id = session.id;
    let auth = format!("-H 'Authorization: Bearer {token}'");
    stdio::write(format!(
        "  curl -s {auth} {base}\n  \
         curl -s {auth} '{base}/transcript?format=txt'     # or json, vtt, srt\n  \
         curl -sN {auth} {base}/events                     # live, as server-sent events\n  \
         curl -s {auth} {base}/recordings                  # files, when the meeting is over\n  \
         websocat -H='Authorization: Bearer {token}' 'ws://{address}/api/v1/sdk/sessions/{id}/live?media=transcript,audio' # live, with audio\n  \
         curl -s {auth} {base}/timeline                    # events and gaps\n  \
         curl -s {auth} -X POST {base}/rtms/pause          # or resume, stop, start\n\n"
    ))?;
    // The simulator lists a meeting from its announcement to its end.
    let Some(meeting) = simulator.live_meetings().into_iter().next() else { return Ok(()) };
    let meeting = format!("{}/meetings/{meeting}", simulator.control_url());
    stdio::write(format!(
        "Cause a failure of Zoom or of the network, and see how the daemon reports it:\n\n  \
         curl -s -X POST {meeting}/cut -d '{{\"link\":\"audio\",\"how\":\"reset\"}}'     # or signaling, media, transcript\n  \
         curl -s -X POST {meeting}/fail_over\n  \
         curl -s {auth} {base}/ledger                      # what was lost, and why\n\n"
    ))
}

impl Show {
    pub(super) fn new(store: Store, hub: Arc<Hub>, recordings: PathBuf, started_ms: i64) -> Self {
        Self { store, hub, recordings, started_ms }
    }

    /// Prints the meeting as it is stored, until it has ended. Fails if it cannot be printed.
    pub(super) async fn run(
        &self,
        address: SocketAddr,
        token: &str,
        simulator: &Simulator,
    ) -> io::Result<()> {
        let session = self.first_session().await;
        session_banner(address, token, &session, simulator)?;
        let mut live = self.hub.subscribe(session.id);
        let mut cursor = Cursor::default();
        loop {
            self.print_new(&session, &mut cursor).await?;
            if self.has_ended(&session).await {
                // Once more: entries may have been stored between the two queries.
                self.print_new(&session, &mut cursor).await?;
                self.print_recording(&session).await?;
                return stdio::write(
                    "\nThe meeting is over. Its data is still available. Ctrl-C ends the demo.\n",
                );
            }
            // The live entry only ends the wait. What is printed comes from the store, complete and in order.
            match &mut live {
                Some(live) => drop(timeout(POLL_INTERVAL, live.entries.recv()).await),
                None => sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Prints the location of the recording as soon as it is stored.
    async fn print_recording(&self, session: &Session) -> io::Result<()> {
        for _ in 0..STORED_POLLS {
            let recordings = self.store.recordings_of(session.id).await.unwrap_or_default();
            let Some(recording) = recordings.first() else { return Ok(()) };
            if recording.status == RecordingStatus::Stored {
                let files = self.store.recorded_files(recording.id).await.unwrap_or_default();
                return self.print_files(&files);
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    fn print_files(&self, files: &[RecordedFile]) -> io::Result<()> {
        let manifest = files.iter().find(|file| file.medium == "manifest");
        let Some(manifest) = manifest else { return Ok(()) };
        let folder =
            self.recordings.join(Path::new(&manifest.path).parent().unwrap_or(Path::new("")));
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        let mut text = format!("\nThe recording is in {}:\n\n", folder.display());
        for file in files.iter().take(MAX_NAMES) {
            text += &format!("  {:>10}  {}\n", file.bytes, one_line(&file.name));
        }
        if files.len() > MAX_NAMES {
            text += &format!("  and {} more: see manifest.json\n", files.len() - MAX_NAMES);
        }
        stdio::write(text)
    }

    async fn first_session(&self) -> Session {
        let newest = SessionPage { limit: 1, ..SessionPage::default() };
        loop {
            let sessions = self.store.sessions(&newest).await.unwrap_or_default();
            // Compared with the start of this run: the data folder may hold the meetings of earlier demos.
            match sessions.into_iter().find(|session| session.updated_at_ms >= self.started_ms) {
                Some(session) => return session,
                None => sleep(POLL_INTERVAL).await,
            }
        }
    }

    async fn has_ended(&self, session: &Session) -> bool {
        let now = self.store.session(session.id).await;
        matches!(now, Ok(Some(session)) if session.status == SessionStatus::Ended)
    }

    async fn print_new(&self, session: &Session, cursor: &mut Cursor) -> io::Result<()> {
        loop {
            let entries = self.store.entries_after(session.id, cursor, &[], PAGE).await;
            let Ok(entries) = entries else { return Ok(()) };
            let mut text = String::new();
            for entry in &entries {
                cursor.advance(entry.stream_ordinal, entry.seq);
                if let Some(line) = entry_line(&entry.body) {
                    text += &format!("{}  {line}\n", self.time(entry));
                }
            }
            stdio::write(text)?;
            if entries.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// The time of an entry in minutes and seconds since the demo started.
    fn time(&self, entry: &Entry) -> String {
        // The clock may have been set back since the start.
        let seconds = (entry.at_ms - self.started_ms).max(0) / 1000;
        format!("{:02}:{:02}", seconds / 60, seconds % 60)
    }
}
