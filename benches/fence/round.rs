//! One round: streams are opened in both of Zoom's modes, daemons and connections fail and recover, the streams are
//! stopped, and everything is compared.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tempfile::TempDir;
use tokio::time::sleep;

use super::account::{Ledger, Made, Totals, compare};
use super::entries::{Lines, count_lines, of_kind};
use super::faults::Fault;
use super::pair::Pair;
use super::reader::Reader;
use super::stored::entries_of;
use super::zoom::{Problem, Zoom};

const LINE_MS: u32 = 100;
/// Longer than a round.
const LINES: u32 = 5_000;
/// For every stream to be live, and stored up to now: a silent link is given up after 65 s, and a lease after 9 s.
const LIVE_LIMIT: Duration = Duration::from_secs(180);
const END_LIMIT: Duration = Duration::from_secs(90);
/// For how long everything must be well before a round ends.
const CALM: Duration = Duration::from_secs(4);
/// The most lines that may be on their way while everything is well.
const LATE_LINES: usize = 3_000 / LINE_MS as usize;
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const STOPPED: u16 = 6;

/// What Zoom does with a second connection to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    Refuse,
    Kick,
}

/// What the rounds came to.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub rounds: u64,
    pub faults: BTreeMap<&'static str, u64>,
    modes: BTreeMap<Mode, Sums>,
    pub breaches: Vec<String>,
}

/// Sums over the streams of one mode.
#[derive(Debug, Default)]
struct Sums {
    streams: u64,
    takeovers: u64,
    refusals: u64,
    lines: Lines,
    handed_over: u64,
    frames: Totals,
    live_entries: usize,
    ended_by_zoom: u64,
}

#[derive(Debug, Deserialize)]
struct Report {
    streams: Vec<Reported>,
    breaches: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct Reported {
    meeting_id: String,
    stream_id: String,
    stop_reason: Option<u16>,
    refusals: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct StreamLedger {
    media: Vec<Ledger>,
}

/// One stream, and live consumers of it at both daemons.
struct Watched {
    zoom: usize,
    mode: Mode,
    stream_id: String,
    meeting_id: String,
    session_id: String,
    readers: [Reader; 2],
    ended_by_zoom: bool,
}

pub(crate) struct Round {
    zooms: Vec<Zoom>,
    watched: Vec<Watched>,
    _folder: TempDir,
}

impl Round {
    pub(crate) async fn open(pair: &mut Pair) -> Result<Self, Problem> {
        let mut round =
            Self { zooms: Vec::new(), watched: Vec::new(), _folder: tempfile::tempdir()? };
        for (zoom, mode) in [Mode::Refuse, Mode::Kick].into_iter().enumerate() {
            let (url, streams) = (&pair.webhook_url, pair.streams.to_string());
            let args = ["--meetings", &streams, "--duplicates", mode.as_str()];
            let started = Zoom::start(round._folder.path(), &meeting(mode), url, &args).await?;
            round.zooms.push(started);
            let report: Report = eventually("every stream is announced", async || {
                let report: Report = round.zooms[zoom].get("/report").await?;
                Ok((report.streams.len().to_string() == streams).then_some(report))
            })
            .await?;
            for Reported { meeting_id, stream_id, .. } in report.streams {
                let session_id = eventually("a stream is known", async || {
                    session_of(&mut pair.database, &stream_id).await
                })
                .await?;
                let follow = |n: usize| Reader::follow(pair.nodes[n].address, &session_id);
                let readers = [follow(0)?, follow(1)?];
                round.watched.push(Watched {
                    zoom,
                    mode,
                    stream_id,
                    meeting_id,
                    session_id,
                    readers,
                    ended_by_zoom: false,
                });
            }
        }
        round.calm(pair).await?;
        Ok(round)
    }

    /// Lets the faults happen, and accounts for everything.
    pub(crate) async fn play(
        mut self,
        pair: &mut Pair,
        faults: &[Vec<Fault>; 2],
        figures: &mut Figures,
    ) -> Result<(), Problem> {
        let [first, second] = &mut pair.nodes;
        let (first, second) = tokio::join!(first.suffer(&faults[0]), second.suffer(&faults[1]));
        first.and(second)?;
        if let Err(problem) = self.calm(pair).await {
            figures.breaches.push(problem.to_string());
        }
        for watched in self.watched.iter().filter(|watched| !watched.ended_by_zoom) {
            let zoom = &self.zooms[watched.zoom];
            zoom.perform(&watched.meeting_id, "stop", &json!({"reason": STOPPED})).await?;
        }
        for watched in self.watched {
            let zoom = &self.zooms[watched.zoom];
            let (stream_id, mode) = (watched.stream_id.clone(), watched.mode);
            let sums = figures.modes.entry(mode).or_default();
            if let Err(problem) = watched.settle(zoom, pair, sums).await {
                figures.breaches.push(format!("{mode:?}, {stream_id}: {problem}"));
            }
        }
        for zoom in &self.zooms {
            let report: Report = zoom.get("/report").await?;
            if report.breaches > 0 {
                let count = report.breaches;
                figures.breaches.push(format!("the daemons broke the protocol {count} times"));
            }
        }
        Ok(())
    }

    /// Waits until both daemons are ready and every stream that Zoom has not ended is live and stored up to now.
    async fn calm(&mut self, pair: &mut Pair) -> Result<(), Problem> {
        let (give_up_at, mut calm_since) = (Instant::now() + LIVE_LIMIT, None);
        loop {
            match self.missing(pair).await? {
                None if calm_since.get_or_insert_with(Instant::now).elapsed() >= CALM => {
                    return Ok(());
                }
                None => {}
                Some(what) if Instant::now() >= give_up_at => return Err(what.into()),
                Some(_) => calm_since = None,
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// What is not well yet.
    async fn missing(&mut self, pair: &mut Pair) -> Result<Option<String>, Problem> {
        if !(pair.nodes[0].is_ready().await && pair.nodes[1].is_ready().await) {
            return Ok(Some("a daemon does not become ready again".to_owned()));
        }
        for watched in &mut self.watched {
            let Watched { stream_id, mode, .. } = watched;
            let zoom = &self.zooms[watched.zoom];
            let report: Report = zoom.get("/report").await?;
            let stream = report.streams.into_iter().find(|stream| stream.stream_id == *stream_id);
            watched.ended_by_zoom = stream.is_some_and(|stream| stream.stop_reason.is_some());
            if watched.ended_by_zoom {
                continue;
            }
            let made: Made = zoom.get(&format!("/streams/{stream_id}/frames")).await?;
            let sent = made.media.get("transcript").map_or(0, Vec::len);
            let stored = entries_of(&mut pair.database, stream_id).await?;
            if of_kind(&stored, "ended").next().is_some() {
                return Err(
                    format!("{mode:?}, {stream_id} has ended, and Zoom has not ended it").into()
                );
            }
            let last = of_kind(&stored, "transcript").filter_map(number).max().unwrap_or(0);
            if sent < 10 || last + LATE_LINES < sent {
                return Ok(Some(format!(
                    "{mode:?}, {stream_id}: of {sent} lines the last stored one is {last}"
                )));
            }
            if has_offers(&mut pair.database, stream_id).await? {
                return Ok(Some(format!(
                    "{mode:?}, {stream_id} does not take what was handed over"
                )));
            }
        }
        Ok(None)
    }
}

impl Watched {
    /// Compares the log of an ended stream with what Zoom sent, with both consumers, and with the ledger.
    async fn settle(self, zoom: &Zoom, pair: &mut Pair, sums: &mut Sums) -> Result<(), Problem> {
        let [first, second] = self.readers;
        let live = [first.over(END_LIMIT).await?, second.over(END_LIMIT).await?];
        let stored = entries_of(&mut pair.database, &self.stream_id).await?;
        for entries in &live {
            same(&stored, entries)?;
            sums.live_entries += entries.len();
        }
        let ends: Vec<_> = of_kind(&stored, "ended").collect();
        let [end] = ends.as_slice() else {
            return Err(format!("it ended {} times", ends.len()).into());
        };
        if end["outcome"] != "stopped" && !self.ended_by_zoom {
            return Err(format!("it ended as {}", end["outcome"]).into());
        }
        let made: Made = zoom.get(&format!("/streams/{}/frames", self.stream_id)).await?;
        sums.add_lines(count_lines(&stored, &made.media["transcript"])?);
        let streams: Vec<StreamLedger> = pair.nodes[0].ledger(&self.session_id).await?;
        for ledger in streams.iter().flat_map(|stream| &stream.media) {
            let compared = compare(ledger, &made);
            sums.frames.add(&compared.map_err(|problem| format!("{}: {problem}", ledger.medium))?);
        }
        let report: Report = zoom.get("/report").await?;
        let stream = report.streams.into_iter().find(|stream| stream.stream_id == self.stream_id);
        sums.refusals += stream.map_or(0, |stream| stream.refusals.values().sum());
        sums.streams += 1;
        sums.takeovers += of_kind(&stored, "picked_up").count() as u64;
        let handed_over =
            of_kind(&stored, "handed_over").filter_map(|entry| entry["count"].as_u64());
        sums.handed_over += handed_over.sum::<u64>();
        sums.ended_by_zoom += u64::from(self.ended_by_zoom);
        Ok(())
    }
}

/// Asserts that a consumer received what is stored: each number once, in order, with the same content.
fn same(stored: &[Value], received: &[Value]) -> Result<(), String> {
    for (n, (stored, received)) in stored.iter().zip(received).enumerate() {
        let fields = stored.as_object().into_iter().flatten();
        if let Some((name, value)) =
            fields.into_iter().find(|(name, value)| received[*name] != **value)
        {
            let other = &received[name.as_str()];
            return Err(format!(
                "entry {}: {name} is stored as {value}, and was published as {other}",
                n + 1
            ));
        }
    }
    match stored.len() == received.len() {
        true => Ok(()),
        false => {
            Err(format!("{} entries are stored, {} were published", stored.len(), received.len()))
        }
    }
}

fn number(line: &Value) -> Option<usize> {
    line["text"].as_str()?.strip_prefix("line ")?.parse().ok()
}

async fn session_of(
    database: &mut PgConnection,
    stream_id: &str,
) -> Result<Option<String>, Problem> {
    let query = sqlx::query_scalar("SELECT session_id FROM streams WHERE stream_id = $1");
    Ok(query.bind(stream_id).fetch_optional(database).await?)
}

async fn has_offers(database: &mut PgConnection, stream_id: &str) -> Result<bool, Problem> {
    let query = "SELECT EXISTS (SELECT 1 FROM handovers WHERE stream_id = $1 AND body IS NOT NULL)";
    Ok(sqlx::query_scalar(query).bind(stream_id).fetch_one(database).await?)
}

async fn eventually<T>(
    what: &str,
    mut find: impl AsyncFnMut() -> Result<Option<T>, Problem>,
) -> Result<T, Problem> {
    let give_up_at = Instant::now() + END_LIMIT;
    while Instant::now() < give_up_at {
        if let Some(found) = find().await? {
            return Ok(found);
        }
        sleep(POLL_INTERVAL).await;
    }
    Err(format!("never happened: {what}").into())
}

/// Ana says a line every 100 ms.
fn meeting(mode: Mode) -> Value {
    let mut timeline = vec![json!({"at_ms": 0, "join": "ana"})];
    timeline.extend((0..LINES).map(|n| {
        let say = json!({"who": "ana", "text": format!("line {n}"), "duration_ms": LINE_MS});
        json!({"at_ms": n * LINE_MS, "say": say})
    }));
    json!({
        "title": "Fence", "meeting_id": mode.meeting_id(), "account_id": "acc-1", "host": "u-ana",
        "people": [{"key": "ana", "user_id": 16_778_240, "name": "Ana"}],
        "timeline": timeline,
        "end": {"at_ms": LINES * LINE_MS, "stop_reason": STOPPED}
    })
}

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Kick => "kick",
        }
    }

    fn meeting_id(self) -> &'static str {
        match self {
            Self::Refuse => "91000000000",
            Self::Kick => "92000000000",
        }
    }
}

impl Figures {
    pub(crate) fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        for (mode, sums) in other.modes {
            self.modes.entry(mode).or_default().add(&sums);
        }
        self.breaches.extend(other.breaches);
    }
}

impl Sums {
    fn add_lines(&mut self, lines: Lines) {
        self.lines.sent += lines.sent;
        self.lines.stored += lines.stored;
        self.lines.in_gaps += lines.in_gaps;
    }

    fn add(&mut self, other: &Self) {
        self.streams += other.streams;
        self.takeovers += other.takeovers;
        self.refusals += other.refusals;
        self.add_lines(other.lines);
        self.handed_over += other.handed_over;
        self.frames.add(&other.frames);
        self.live_entries += other.live_entries;
        self.ended_by_zoom += other.ended_by_zoom;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rounds                 {}", self.rounds)?;
        writeln!(f, "faults                 {:?}", self.faults)?;
        writeln!(
            f,
            "{:<36} {:>12} {:>12}",
            "a second connection to a stream", "is refused", "replaces"
        )?;
        let empty = Sums::default();
        let of = |mode| self.modes.get(&mode).unwrap_or(&empty);
        let mut row = |name: &str, value: &dyn Fn(&Sums) -> u64| {
            writeln!(f, "{name:<36} {:>12} {:>12}", value(of(Mode::Refuse)), value(of(Mode::Kick)))
        };
        row("streams", &|sums| sums.streams)?;
        row("taken over", &|sums| sums.takeovers)?;
        row("refused handshakes", &|sums| sums.refusals)?;
        row("lines sent", &|sums| sums.lines.sent as u64)?;
        row("lines stored", &|sums| sums.lines.stored as u64)?;
        row("  of these handed over", &|sums| sums.handed_over)?;
        row("lines in gaps", &|sums| sums.lines.in_gaps as u64)?;
        row("frames and lines sent", &|sums| sums.frames.sent.frames)?;
        row("  received", &|sums| sums.frames.received.frames)?;
        row("  lost, all in gaps", &|sums| sums.frames.lost)?;
        row("  unsent, all in gaps", &|sums| sums.frames.unsent)?;
        row("entries compared, live and stored", &|sums| sums.live_entries as u64)?;
        row("ended by Zoom", &|sums| sums.ended_by_zoom)?;
        write!(f, "breaches               {}", self.breaches.len())
    }
}
