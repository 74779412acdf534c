//! Two daemons on one database, the simulated Zoom with its meetings, and what became of every line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::balancer::Balancer;
use super::super::entries::{Lines, count_lines, of_kind};
use super::super::postgres;
use super::super::stored::entries_of;
use super::super::zoom::{Problem, Zoom};
use super::network::Wires;
use super::node::Node;

/// The name under which the daemons reach the simulator, through their proxies.
pub(super) const ZOOM_HOST: &str = "rtms.zoom.test";
const LINE_MS: u32 = 500;
/// Longer than a run.
const LINES: u32 = 2_000;
/// How long a stream may take to be joined, stored or ended.
const LIMIT: Duration = Duration::from_secs(120);
/// How many meetings begin at the same time.
const MEETINGS_AT_ONCE: u32 = 20;
/// For how long a daemon that is back must have offered nothing.
const QUIET: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// What ends a meeting.
const STOPPED: u16 = 6;

pub(super) struct Pair {
    pub nodes: [Node; 2],
    /// The id of each daemon since its start.
    ids: [String; 2],
    database_url: String,
    database: PgConnection,
    zoom: Zoom,
    _balancer: JoinSet<()>,
    _folder: TempDir,
}

/// A stream, as the simulator reports it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Reported {
    pub meeting_id: String,
    pub stream_id: String,
    pub media_handshakes: u64,
    longest_absence_ms: u64,
    stop_reason: Option<u16>,
}

#[derive(Debug, Deserialize)]
struct Report {
    streams: Vec<Reported>,
    breaches: u64,
}

/// The simulator's record: each medium's frames, `(at_ms, bytes, is_sent, checksum)`.
#[derive(Debug, Deserialize)]
struct Made {
    media: BTreeMap<String, Vec<(i64, u64, bool, u32)>>,
}

/// Sums over all streams.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub lines: Lines,
    pub sent_and_lost: usize,
    pub silences: Vec<Duration>,
    /// For how long Zoom had no client at most, of each stream that was interrupted.
    pub absences: Vec<Duration>,
    pub handed_over: u64,
}

impl Pair {
    /// Starts both daemons and a simulator with so many meetings, and waits until their streams are joined. The second
    /// daemon's clock is this many seconds ahead.
    pub(super) async fn start(
        wires: Wires,
        duplicates: &str,
        second_clock_s: i32,
        meetings: u32,
    ) -> Result<Self, Problem> {
        let folder = tempfile::tempdir()?;
        let database_url = postgres::fresh_database().await;
        let mut database = PgConnection::connect(&database_url).await?;
        let tls = folder.path().join("tls");
        let tls_dir = tls.display().to_string();
        let balancer = Balancer::bind().await?;
        let webhook_url = balancer.webhook_url()?;
        let simulate = async |meetings: u32| {
            let meetings = meetings.to_string();
            let args = ["--meetings", &meetings, "--duplicates", duplicates];
            let args = [&args[..], &["--tls-dir", &tls_dir, "--tls-host", ZOOM_HOST]].concat();
            Zoom::start(folder.path(), &meeting(), &webhook_url, &args).await
        };
        // Only makes the certificate, which the daemons need at their start.
        drop(simulate(0).await?);
        let ca = tls.join("ca.pem");
        let start = async |name: &str, clock_s| {
            Node::start(&folder.path().join(name), wires, &database_url, &ca, clock_s).await
        };
        let first = start("first", 0).await?;
        let first_id = new_daemon(&mut database, &BTreeSet::new()).await?;
        let second = start("second", second_clock_s).await?;
        let second_id = new_daemon(&mut database, &BTreeSet::from([first_id.clone()])).await?;
        let nodes = [first, second];
        let targets = [0, 1].map(|n: usize| (nodes[n].address, nodes[n].is_well.clone()));
        let balancer = balancer.start(targets);
        let zoom = simulate(meetings.min(MEETINGS_AT_ONCE)).await?;
        let pair = Self {
            nodes,
            ids: [first_id, second_id],
            database_url,
            database,
            zoom,
            _balancer: balancer,
            _folder: folder,
        };
        pair.until_all_joined(meetings.min(MEETINGS_AT_ONCE)).await?;
        pair.open_meetings(meetings.saturating_sub(MEETINGS_AT_ONCE)).await?;
        Ok(pair)
    }

    /// Opens further meetings, and waits until their streams are joined.
    pub(super) async fn open_meetings(&self, count: u32) -> Result<(), Problem> {
        let known = u32::try_from(self.report().await?.len())?;
        for opened in 1..=count {
            self.zoom.post("/meetings", String::new()).await?;
            if opened.is_multiple_of(MEETINGS_AT_ONCE) || opened == count {
                self.until_all_joined(known + opened).await?;
            }
        }
        Ok(())
    }

    async fn until_all_joined(&self, streams: u32) -> Result<(), Problem> {
        let began = Instant::now();
        loop {
            let report = self.report().await?;
            let is_joined = report.iter().all(|one| one.media_handshakes > 0);
            if report.len() == streams as usize && is_joined {
                return Ok(());
            }
            in_time(began, "meetings are not joined")?;
            sleep(POLL_INTERVAL).await;
        }
    }

    pub(super) async fn report(&self) -> Result<Vec<Reported>, Problem> {
        Ok(self.zoom.get::<Report>("/report").await?.streams)
    }

    /// How many streams each daemon runs.
    pub(super) async fn spread(&mut self) -> Result<[usize; 2], Problem> {
        Ok([self.streams_of(0).await?.len(), self.streams_of(1).await?.len()])
    }

    /// The streams that a daemon has leased.
    pub(super) async fn streams_of(&mut self, index: usize) -> Result<Vec<String>, Problem> {
        let query = "SELECT stream_id FROM streams WHERE owner = $1 AND ended_at_ms IS NULL";
        let query = sqlx::query_scalar(query).bind(&self.ids[index]);
        Ok(query.fetch_all(&mut self.database).await?)
    }

    /// Waits until each of `streams` has completed a further media handshake, and returns when that was.
    pub(super) async fn until_joined(
        &mut self,
        streams: &[String],
        before: &BTreeMap<String, u64>,
        began: Instant,
    ) -> Result<Vec<Duration>, Problem> {
        let mut waiting: BTreeSet<&String> = streams.iter().collect();
        let mut joined = Vec::new();
        while !waiting.is_empty() {
            let report = self.report().await?;
            let at = began.elapsed();
            for one in report {
                let is_joined = before.get(&one.stream_id) < Some(&one.media_handshakes);
                if is_joined && waiting.remove(&one.stream_id) {
                    joined.push(at);
                }
            }
            in_time(began, "streams are not joined again")?;
            sleep(POLL_INTERVAL).await;
        }
        Ok(joined)
    }

    /// Waits for the end of a daemon that was asked to stop, and starts it again.
    pub(super) async fn restart(&mut self, index: usize) -> Result<(), Problem> {
        let known = BTreeSet::from(self.ids.clone());
        self.nodes[index].restart().await?;
        self.ids[index] = new_daemon(&mut self.database, &known).await?;
        Ok(())
    }

    /// Has Postgres crash, recover and start again.
    pub(super) async fn restart_postgres(&mut self) -> Result<(), Problem> {
        let programs = postgres::programs().ok_or("pg_ctl is not installed")?;
        let mut command = tokio::process::Command::from(postgres::unprivileged_shell());
        let restart = "\"$1/pg_ctl\" --pgdata \"$2/data\" --log \"$2/log\" --mode immediate --silent --wait restart";
        command.args(["-c", restart, "sh"]).arg(programs).arg(postgres::socket_folder());
        if !command.current_dir("/").status().await?.success() {
            return Err("Postgres cannot be restarted".into());
        }
        self.database = PgConnection::connect(&self.database_url).await?;
        Ok(())
    }

    /// Waits until further entries of each of these streams are stored, and returns when that was.
    pub(super) async fn until_stored(
        &mut self,
        streams: &[String],
        began: Instant,
    ) -> Result<Vec<Duration>, Problem> {
        let last = "SELECT streams.stream_id, COALESCE(MAX(entries.seq), 0)
                      FROM streams LEFT JOIN entries ON entries.stream_id = streams.stream_id
                     WHERE streams.stream_id = ANY($1) GROUP BY streams.stream_id";
        let query = || sqlx::query_as(last).bind(streams);
        let before: Vec<(String, i64)> = query().fetch_all(&mut self.database).await?;
        let before: BTreeMap<_, _> = before.into_iter().collect();
        let mut stored = BTreeMap::new();
        while stored.len() < before.len() {
            let now: Vec<(String, i64)> = query().fetch_all(&mut self.database).await?;
            for (stream_id, seq) in now {
                if seq > before[&stream_id] {
                    stored.entry(stream_id).or_insert(began.elapsed());
                }
            }
            in_time(began, "streams are not stored again")?;
            sleep(POLL_INTERVAL).await;
        }
        Ok(stored.into_values().collect())
    }

    /// Waits until the daemons have taken everything that one offers to the other.
    pub(super) async fn until_nothing_is_offered(&mut self) -> Result<(), Problem> {
        let began = Instant::now();
        let open = "SELECT COUNT(*) FROM handovers WHERE body IS NOT NULL";
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < QUIET {
            let count: i64 = sqlx::query_scalar(open).fetch_one(&mut self.database).await?;
            if count > 0 {
                quiet_since = Instant::now();
            }
            in_time(began, "what a daemon offers is not taken")?;
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Ends the meetings and accounts for every line.
    pub(super) async fn settle(mut self) -> Result<Settled, Problem> {
        for one in self.report().await? {
            if let Some(reason) = one.stop_reason {
                return Err(format!("Zoom ended {} with reason {reason}", one.stream_id).into());
            }
            self.zoom.perform(&one.meeting_id, "stop", &json!({"reason": STOPPED})).await?;
        }
        self.until_ended().await?;
        let Report { streams, breaches } = self.zoom.get("/report").await?;
        if breaches > 0 {
            return Err(format!("the daemons broke the protocol {breaches} times").into());
        }
        let mut settled = Settled::default();
        for Reported { stream_id, longest_absence_ms, .. } in streams {
            let absence = Some(longest_absence_ms).filter(|ms| *ms > 0);
            settled.absences.extend(absence.map(Duration::from_millis));
            let entries = entries_of(&mut self.database, &stream_id).await?;
            let made: Made = self.zoom.get(&format!("/streams/{stream_id}/frames")).await?;
            let made = made.media.get("transcript").map(Vec::as_slice).unwrap_or_default();
            settled.add(&entries, made).map_err(|problem| format!("{stream_id}: {problem}"))?;
        }
        Ok(settled)
    }

    async fn until_ended(&mut self) -> Result<(), Problem> {
        let (began, open) =
            (Instant::now(), "SELECT COUNT(*) FROM streams WHERE ended_at_ms IS NULL");
        while sqlx::query_scalar::<_, i64>(open).fetch_one(&mut self.database).await? > 0 {
            in_time(began, "streams do not end")?;
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

impl Settled {
    fn add(&mut self, entries: &[Value], made: &[(i64, u64, bool, u32)]) -> Result<(), String> {
        let lines = count_lines(entries, made)?;
        self.lines.sent += lines.sent;
        self.lines.stored += lines.stored;
        self.lines.in_gaps += lines.in_gaps;
        let stored: BTreeSet<usize> = of_kind(entries, "transcript").filter_map(number).collect();
        let joined = stored.first().copied().unwrap_or(0);
        let later = made.iter().enumerate().skip(joined);
        let is_lost = |(n, made): &(usize, &(i64, u64, bool, u32))| made.2 && !stored.contains(n);
        self.sent_and_lost += later.filter(is_lost).count();
        let times: Vec<i64> = stored.iter().map(|n| made[*n].0).collect();
        let silence = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        self.silences.push(Duration::from_millis(u64::try_from(silence).unwrap_or(0)));
        let counts = of_kind(entries, "handed_over").filter_map(|entry| entry["count"].as_u64());
        self.handed_over += counts.sum::<u64>();
        Ok(())
    }
}

fn number(line: &Value) -> Option<usize> {
    line["text"].as_str()?.strip_prefix("line ")?.parse().ok()
}

fn in_time(began: Instant, problem: &str) -> Result<(), Problem> {
    if began.elapsed() < LIMIT { Ok(()) } else { Err(problem.into()) }
}

/// Waits for a daemon that is not among the known ones, and returns its id.
async fn new_daemon(
    database: &mut PgConnection,
    known: &BTreeSet<String>,
) -> Result<String, Problem> {
    let began = Instant::now();
    loop {
        let query = sqlx::query_scalar("SELECT node FROM daemons ORDER BY alive_until_ms DESC");
        let nodes: Vec<String> = query.fetch_all(&mut *database).await?;
        if let Some(node) = nodes.into_iter().find(|node| !known.contains(node)) {
            return Ok(node);
        }
        in_time(began, "a daemon does not report itself")?;
        sleep(POLL_INTERVAL).await;
    }
}

/// Ana says a line every half second.
fn meeting() -> Value {
    let mut timeline = vec![json!({"at_ms": 0, "join": "ana"})];
    timeline.extend((0..LINES).map(|n| {
        let say = json!({"who": "ana", "text": format!("line {n}"), "duration_ms": LINE_MS});
        json!({"at_ms": n * LINE_MS, "say": say})
    }));
    json!({
        "title": "Cluster", "meeting_id": "91000000000", "account_id": "acc-1", "host": "u-ana",
        "people": [{"key": "ana", "user_id": 16_778_240, "name": "Ana"}],
        "timeline": timeline,
        "end": {"at_ms": LINES * LINE_MS, "stop_reason": STOPPED}
    })
}
