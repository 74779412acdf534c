//! One run: the processes start, faults hit every stream, the streams recover, and the accounts are compared.

pub(crate) mod account;
mod faults;
mod processes;
#[path = "../support/zoom.rs"]
pub(crate) mod zoom;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, RwLock};
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::account::{Ledger, Made, Totals, compare};
use self::faults::Faults;
use self::processes::{Daemon, meeting};
use self::zoom::{Problem, Zoom};

/// For every stream to be live again: a silent link is given up after 65 s.
const LIVE_LIMIT: Duration = Duration::from_secs(150);
/// How long a stream must be live until everything that was sent has arrived.
const SETTLE: Duration = Duration::from_secs(3);
/// No fault sends a webhook so soon before a kill: Zoom repeats one that was not answered after five minutes, which is
/// longer than a stream waits.
const WEBHOOKS_ARRIVE: Duration = Duration::from_millis(500);
/// A run of at least this length has time for a link that falls silent.
const LONG_SECONDS: u64 = 60;
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const MAX_LISTED: usize = 20;

pub(crate) struct Plan {
    pub streams: u32,
    pub seconds: u64,
    pub kills: u32,
    pub seed: u64,
}

/// The figures of a run.
pub(crate) struct Figures {
    streams: u32,
    faults: BTreeMap<&'static str, u64>,
    kills: u32,
    live_after: Duration,
    lost_links: u64,
    totals: Totals,
}

#[derive(Debug, Deserialize)]
struct Report {
    streams: Vec<Reported>,
    breaches: u64,
}

#[derive(Debug, Deserialize)]
struct Reported {
    meeting_id: String,
    stream_id: String,
    stop_reason: Option<u16>,
    lost_links: u64,
}

#[derive(Debug, Deserialize)]
struct StreamLedger {
    stream_id: String,
    status: String,
    media: Vec<Ledger>,
}

/// # Errors
/// When a stream is not live afterwards, when the accounts differ, or when the daemon broke the protocol.
pub(crate) async fn run(plan: &Plan) -> Result<Figures, Problem> {
    let folder = tempfile::tempdir()?;
    let mut daemon = Daemon::start(folder.path()).await?;
    let (webhook_url, meetings) = (daemon.webhook_url(), plan.streams.to_string());
    let args = ["--meetings", meetings.as_str()];
    let zoom = Arc::new(Zoom::start(folder.path(), &meeting(), &webhook_url, &args).await?);
    wait_for(&daemon, "live", plan.streams).await?;
    let faults = plague(plan, &zoom, &mut daemon).await?;
    let calm = Instant::now();
    wait_for(&daemon, "live", plan.streams).await?;
    let live_after = calm.elapsed();
    sleep(SETTLE).await;
    wait_for(&daemon, "live", plan.streams).await?;
    let report: Report = zoom.get("/report").await?;
    for stream in &report.streams {
        if let Some(reason) = stream.stop_reason {
            return Err(format!("{} ended with reason {reason}", stream.stream_id).into());
        }
        zoom.perform(&stream.meeting_id, "stop", &json!({"reason": 6})).await?;
    }
    let ended = wait_for(&daemon, "ended", plan.streams).await?;
    let totals = compare_all(&zoom, &ended).await?;
    let report: Report = zoom.get("/report").await?;
    if report.breaches > 0 {
        return Err(format!("the daemon broke the protocol {} times", report.breaches).into());
    }
    let lost_links = report.streams.iter().map(|stream| stream.lost_links).sum();
    let (streams, kills) = (plan.streams, plan.kills);
    Ok(Figures { streams, faults, kills, live_after, lost_links, totals })
}

/// Faults on every stream at once, and kills between them.
async fn plague(
    plan: &Plan,
    zoom: &Arc<Zoom>,
    daemon: &mut Daemon,
) -> Result<BTreeMap<&'static str, u64>, Problem> {
    let until = Instant::now() + Duration::from_secs(plan.seconds);
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let calm = Arc::new(RwLock::new(()));
    let report: Report = zoom.get("/report").await?;
    let mut victims = JoinSet::new();
    for (index, stream) in (0..).zip(report.streams) {
        let faults = Faults::new(plan.seed.wrapping_add(index), plan.seconds >= LONG_SECONDS);
        let victim = Victim { zoom: zoom.clone(), meeting: stream.meeting_id, calm: calm.clone() };
        victims.spawn(victim.suffer(faults, until, counts.clone()));
    }
    for _ in 0..plan.kills {
        sleep(Duration::from_secs(plan.seconds) / (plan.kills + 1)).await;
        let _nobody_else = calm.write().await;
        sleep(WEBHOOKS_ARRIVE).await;
        daemon.restart().await?;
    }
    while let Some(done) = victims.join_next().await {
        done??;
    }
    let counts = counts.lock().await;
    Ok(counts.clone())
}

/// One stream, which suffers faults.
struct Victim {
    zoom: Arc<Zoom>,
    meeting: String,
    /// Held for writing while the daemon is away.
    calm: Arc<RwLock<()>>,
}

impl Victim {
    async fn suffer(
        self,
        mut faults: Faults,
        until: Instant,
        counts: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    ) -> Result<(), Problem> {
        loop {
            sleep(faults.pause()).await;
            if Instant::now() >= until {
                return Ok(());
            }
            let fault = faults.next();
            let mut has_happened = false;
            for (verb, body) in &fault.calls {
                let _not_now = self.calm.read().await;
                has_happened |= self.zoom.perform(&self.meeting, verb, body).await?;
            }
            if let Some((wait, verb, body)) = &fault.relief {
                sleep(*wait).await;
                self.zoom.perform(&self.meeting, verb, body).await?;
            }
            if has_happened {
                *counts.lock().await.entry(fault.name).or_default() += 1;
            }
        }
    }
}

/// Waits until so many streams have this status, and returns them.
async fn wait_for(daemon: &Daemon, status: &str, count: u32) -> Result<Vec<StreamLedger>, Problem> {
    let give_up_at = Instant::now() + LIVE_LIMIT;
    loop {
        let mut streams: Vec<StreamLedger> = Vec::new();
        for session in daemon.sessions().await? {
            streams.extend(daemon.ledger::<Vec<_>>(&session).await?);
        }
        let others: Vec<_> = streams.iter().filter(|stream| stream.status != status).collect();
        if others.is_empty() && streams.len() == count as usize {
            return Ok(streams);
        }
        if Instant::now() >= give_up_at {
            let others: Vec<_> = others.iter().map(|one| (&one.stream_id, &one.status)).collect();
            return Err(format!("of {count} streams some are not {status}: {others:?}").into());
        }
        sleep(POLL_INTERVAL).await;
    }
}

async fn compare_all(zoom: &Zoom, ended: &[StreamLedger]) -> Result<Totals, Problem> {
    let (mut totals, mut problems) = (Totals::default(), Vec::new());
    for StreamLedger { stream_id, media, .. } in ended {
        let made: Made = zoom.get(&format!("/streams/{stream_id}/frames")).await?;
        for ledger in media {
            match compare(ledger, &made) {
                Ok(compared) => totals.add(&compared),
                Err(problem) => problems.push(format!("{stream_id}, {}: {problem}", ledger.medium)),
            }
        }
    }
    if problems.is_empty() {
        return Ok(totals);
    }
    let count = problems.len();
    problems.truncate(MAX_LISTED);
    Err(format!("{count} accounts differ:\n{}", problems.join("\n")).into())
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { sent, received, received_in_gaps, lost, unsent, gaps, .. } = &self.totals;
        let covered = self.totals.covered_ms as f64 / self.totals.expected_ms as f64 * 100.0;
        writeln!(f, "streams                {}, all live again", self.streams)?;
        writeln!(f, "faults                 {:?}", self.faults)?;
        writeln!(f, "kills of the daemon    {}", self.kills)?;
        writeln!(f, "links lost             {}", self.lost_links)?;
        writeln!(f, "all live after         {:.1} s of peace", self.live_after.as_secs_f64())?;
        writeln!(f, "sent                   {} frames, {} bytes", sent.frames, sent.bytes)?;
        writeln!(f, "received               {} frames, {} bytes", received.frames, received.bytes)?;
        writeln!(f, "  of these in gaps     {}", received_in_gaps.frames)?;
        writeln!(f, "lost, all in gaps      {lost}")?;
        writeln!(f, "unsent, all in gaps    {unsent}")?;
        writeln!(f, "gaps                   {gaps}")?;
        write!(f, "covered                {covered:.2} %")
    }
}
