//! Runs a capture through the state machine again, without sockets, clock or store: the same messages at the same times
//! make the same log.

use std::collections::VecDeque;
use std::io::Read;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;

use crate::capture::body::Body;
use crate::capture::event::{Event, Header, Record, Run};
use crate::capture::reader::{CaptureError, Reader};
use crate::hub::{DetachedLog, Feed};
use crate::model::{
    Entry, EntryBody, Instance, Medium, MediumAccount, StopReason, StreamRecord, Tally,
};
use crate::rtms::endpoint::Policy;
use crate::rtms::message::encode;
use crate::rtms::stream::{HangUp, Input, Output, Setup, Stream};
use crate::rtms::{Lane, LinkId};
use crate::secret::Secret;

/// The most differences that are described; the others are counted.
const MAX_DIFFERENCES: usize = 10;
/// The most actions that wait to be compared.
const MAX_DONE: usize = 1_000;

/// What a check found, beside the entries.
#[derive(Debug, Default, Serialize)]
pub struct Checked {
    /// The events in the file.
    pub events: u64,
    /// The entries that they make.
    pub entries: u64,
    /// How often a daemon ran the stream.
    pub runs: u64,
    /// The events that the file says are missing.
    pub cut: u64,
    /// Whether the file ends in the middle of a block.
    pub is_truncated: bool,
    /// How often this version did something else than the daemon that made the file.
    pub difference_count: u64,
    /// The first of them.
    pub differences: Vec<String>,
    /// The ledger at the end.
    #[serde(skip)]
    pub ledger: Vec<MediumAccount>,
    /// What was received, by medium.
    #[serde(skip)]
    pub tally: Tally,
}

/// Reads a capture to its end and passes every entry on as it is made.
///
/// # Errors
/// The file cannot be read.
pub fn check_capture<R: Read>(
    reader: &mut Reader<R>,
    mut entry: impl FnMut(&Entry),
) -> Result<Checked, CaptureError> {
    let (header, mut checked, mut run) = (reader.header().clone(), Checked::default(), None);
    while let Some(record) = reader.next_record()? {
        checked.events += 1;
        let line = reader.line_number();
        let problem = |problem: String| CaptureError::Line { line, problem };
        match &record.event {
            Event::Run(begin) => {
                close(run.take(), &mut checked, &mut entry);
                checked.runs += 1;
                run = Some(Running::begin(&header, &record, begin).map_err(problem)?);
            }
            Event::Cut { events, .. } => checked.cut += events,
            Event::Webhook { .. } | Event::Rest { .. } | Event::Left {} => {}
            _ => {
                let Some(run) = &mut run else {
                    return Err(problem("an event before the first run".to_owned()));
                };
                run.apply(line, &record, &mut checked).map_err(problem)?;
            }
        }
        if let Some(run) = &mut run {
            run.pass_on(&mut checked, &mut entry);
        }
    }
    close(run, &mut checked, &mut entry);
    checked.is_truncated = reader.is_truncated();
    Ok(checked)
}

fn close(run: Option<Running>, checked: &mut Checked, entry: &mut impl FnMut(&Entry)) {
    let Some(mut run) = run else { return };
    run.pass_on(checked, entry);
    checked.ledger = run.ledger.take().unwrap_or_else(|| run.feed.accounts());
    checked.tally = *run.feed.tally();
}

/// One run of the stream.
struct Running {
    stream: Stream,
    policy: Policy,
    feed: Feed,
    log: DetachedLog,
    /// The ledger as the daemon wrote it last.
    ledger: Option<Vec<MediumAccount>>,
    /// The entries that are not passed on yet.
    ready: Vec<Entry>,
    /// When the run began, here and in the file.
    began: Instant,
    began_t: u64,
    /// What the state machine did and the file has not shown yet.
    done: VecDeque<String>,
    is_over: bool,
}

impl Running {
    fn begin(header: &Header, record: &Record, run: &Run) -> Result<Self, String> {
        let setup = setup(header, run)?;
        let endpoint =
            run.policy.endpoint(&run.url).map_err(|error| format!("the URL of the run {error}"))?;
        let (media, began) = (setup.params.media, Instant::now());
        let stored = stream_record(header, &setup.instance, run);
        let (log, mut feed) = DetachedLog::new(stored, run.last_seq, media);
        feed.set_clock(Some(record.at_ms));
        if run.last_seq > 0 || run.is_taken_over {
            feed.picked_up(run.is_taken_over);
        }
        let mut stream = Stream::new(began, run.seed, setup, endpoint);
        if run.is_taken_over {
            stream.contested();
        }
        let (done, ready) = (VecDeque::new(), Vec::new());
        let (began_t, policy) = (record.t, run.policy.clone());
        let mut running = Self {
            stream,
            policy,
            feed,
            log,
            ledger: None,
            ready,
            began,
            began_t,
            done,
            is_over: false,
        };
        running.perform(record.at_ms);
        Ok(running)
    }

    fn apply(&mut self, line: u64, record: &Record, checked: &mut Checked) -> Result<(), String> {
        let now = self.began + Duration::from_nanos(record.t.saturating_sub(self.began_t));
        self.feed.set_clock(Some(record.at_ms));
        match &record.event {
            Event::Contested {} => self.stream.contested(),
            Event::Timer {} => self.stream.handle_timeout(now),
            Event::Figures {} => {
                self.feed.settle_ledger();
                self.ledger = Some(self.feed.accounts());
            }
            Event::Finished {} => self.feed.close_log(),
            Event::Ended { outcome, stop_reason, detail } => {
                let (outcome, reason) = (outcome.as_str().into(), *stop_reason);
                self.ready.extend(self.log.take());
                let body = EntryBody::Ended { outcome, reason, detail: detail.clone() };
                self.ready.push(self.log.number(record.at_ms, body));
            }
            Event::Dial { link, .. } => self.compare(line, format!("dials {link}"), checked),
            Event::HangUp { link, politely } => {
                self.compare(line, hang_up(link, *politely), checked);
            }
            Event::Out { link, body } => {
                self.compare(line, sends(link, &message_of(body)?), checked);
            }
            event => {
                let input = self.input(event)?;
                self.stream.handle(now, input);
            }
        }
        self.perform(record.at_ms);
        Ok(())
    }

    fn input(&self, event: &Event) -> Result<Input, String> {
        Ok(match event {
            Event::Opened { link } => Input::Opened(link_id(link)?),
            Event::In { link, body } => Input::Received(link_id(link)?, message_of(body)?.into()),
            Event::TooLarge { link, body } => {
                Input::TooLarge(link_id(link)?, message_of(body)?.into())
            }
            Event::Lost { link, how } => Input::Lost(link_id(link)?, how.reason()),
            Event::Moved { url } => {
                let endpoint = self.policy.endpoint(url);
                Input::Moved(endpoint.map_err(|error| format!("the new URL {error}"))?)
            }
            Event::Interrupted {} => Input::Interrupted,
            Event::Stopped { reason } => Input::Stopped { reason: *reason },
            Event::PinVideo { user_id } => Input::PinVideo(*user_id),
            Event::Close {} => Input::Close,
            other => return Err(format!("an event in the wrong place: {other:?}")),
        })
    }

    fn perform(&mut self, at_ms: i64) {
        while let Some(output) = self.stream.poll().filter(|_| !self.is_over) {
            match output {
                Output::Dial(id, _) => self.done.push_back(format!("dials {}", id.as_str())),
                Output::HangUp(id, how) => {
                    self.done.push_back(hang_up(id.as_str(), how == HangUp::Politely));
                }
                Output::Send(id, message) => {
                    let text = Bytes::from(encode(message, at_ms));
                    self.done.push_back(sends(id.as_str(), &text));
                }
                Output::Frame(frame) => self.feed.frame(&frame),
                Output::Note { at_ms, body } => self.feed.note(at_ms, body),
                Output::Ledger(change) => self.feed.change(change),
                Output::Finished(end) => {
                    if end.stop_reason.is_some_and(StopReason::is_revoked) {
                        self.feed.revoked();
                    }
                    self.feed.end();
                    self.is_over = true;
                }
                Output::LeftToOwner => self.is_over = true,
            }
        }
        // Where events are missing in the file, nothing takes them out.
        let excess = self.done.len().saturating_sub(MAX_DONE);
        self.done.drain(..excess);
        self.ready.extend(self.log.take());
    }

    fn pass_on(&mut self, checked: &mut Checked, entry: &mut impl FnMut(&Entry)) {
        for ready in self.ready.drain(..) {
            checked.entries += 1;
            entry(&ready);
        }
    }

    /// Compares what the daemon did with what the state machine does now.
    fn compare(&mut self, line: u64, then: String, checked: &mut Checked) {
        let Some(at) = self.done.iter().position(|now| *now == then) else {
            return checked
                .differ(format!("line {line}: the daemon {then}, this version does not"));
        };
        for now in self.done.drain(..=at).take(at) {
            checked.differ(format!("line {line}: this version {now}, the daemon does not"));
        }
    }
}

impl Checked {
    fn differ(&mut self, difference: String) {
        self.difference_count += 1;
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(difference);
        }
    }
}

fn hang_up(link: &str, politely: bool) -> String {
    format!("hangs up {link} {}", if politely { "with a Close frame" } else { "silently" })
}

/// Names a sent message by its type: its text has the time of sending and the signature.
fn sends(link: &str, text: &[u8]) -> String {
    let message: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    format!("sends message {} on {link}", message["msg_type"])
}

fn message_of(body: &Body) -> Result<Vec<u8>, String> {
    body.bytes().ok_or_else(|| "its message cannot be read".to_owned())
}

fn link_id(name: &str) -> Result<LinkId, String> {
    let link = match name {
        "signaling" => Some(LinkId::Signaling),
        "all" => Some(LinkId::Media(Lane::All)),
        medium => Medium::parse(medium).map(|medium| LinkId::Media(Lane::Only(medium))),
    };
    link.ok_or_else(|| "its link is neither signaling, all nor a medium".to_owned())
}

fn setup(header: &Header, run: &Run) -> Result<Setup, String> {
    let instance = Instance::new(header.product, header.id_key, &header.instance_id)
        .map_err(|error| format!("instance_id of the header {error}"))?;
    Ok(Setup {
        stream_id: header.stream_id.clone(),
        instance,
        // It is not in the file, and nothing here checks it.
        signature: Secret::new(String::new()),
        params: run.media.params.clone(),
        policy: run.policy.clone(),
        timings: run.timings.clone(),
    })
}

/// The row of the stream when the run began, as far as its log depends on it.
fn stream_record(header: &Header, instance: &Instance, run: &Run) -> StreamRecord {
    let stored = run.stored.clone();
    StreamRecord {
        stream_id: header.stream_id.clone(),
        session_id: header.session_id,
        app: header.app.clone(),
        ordinal: header.ordinal,
        instance: instance.clone(),
        server_urls: run.url.clone(),
        event_ts_ms: stored.event_ts_ms,
        generation: 1,
        epoch: 1,
        interrupts: 0,
        status: stored.status,
        stop_seen_at_ms: None,
        stop_reason: None,
        outcome: None,
        first_packet_ms: stored.first_packet_ms,
        tally: stored.tally,
        unknown_messages: stored.unknown_messages.into_iter().collect(),
        unreadable_messages: stored.unreadable_messages,
        media: None,
        effective: None,
        video_user_id: None,
        ledger: stored.ledger,
        created_at_ms: stored.created_at_ms,
        ended_at_ms: None,
    }
}
