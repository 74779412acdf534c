//! The table that is printed: a row a figure, a column a receiver, and the daemon's part of the SDK's cost.

use crate::Args;
use crate::receiver::Receiver;
use crate::round::Round;

/// A receiver and its rounds.
pub(crate) struct Column {
    pub(crate) receiver: Receiver,
    pub(crate) rounds: Vec<Round>,
}

type Figure = fn(&Round) -> Option<f64>;

/// Name, how many decimals, and the figure. Less is better in each.
const FIGURES: [(&str, usize, Figure); 14] = [
    ("all live after, s", 1, |round| round.live_after.map(|after| after.as_secs_f64())),
    ("CPU a message, µs", 1, |round| Some(round.cpu_us_a_message)),
    ("memory a stream, kB", 0, |round| Some(round.kb_a_stream)),
    ("memory a further stream, kB", 0, |round| Some(round.kb_a_further_stream)),
    ("keep-alive answered, p50, ms", 1, |round| Some(round.keep_alive_ms(0.5))),
    ("keep-alive answered, p99, ms", 1, |round| Some(round.keep_alive_ms(0.99))),
    ("keep-alive answered, last, ms", 1, |round| Some(round.keep_alive_ms(1.0))),
    ("messages lost", 0, |round| round.received.map(|got| round.sent.abs_diff(got) as f64)),
    ("CPU a delivered frame, µs", 1, |round| Some(round.subscribers.as_ref()?.cpu_us_a_frame)),
    ("frame to consumer, p50, ms", 2, |round| round.subscribers.as_ref()?.latency_ms(0.5)),
    ("frame to consumer, p99, ms", 2, |round| round.subscribers.as_ref()?.latency_ms(0.99)),
    ("CPU a relayed frame, µs", 1, |round| Some(round.programs.as_ref()?.cpu_us_a_frame)),
    ("CPU a bare write, µs", 1, |round| Some(round.programs.as_ref()?.bare_us_a_frame)),
    ("memory a program, kB", 0, |round| Some(round.programs.as_ref()?.kb_a_program)),
];

/// Medians of the rounds, and in brackets the smallest and the largest value.
pub(crate) fn print(args: &Args, columns: &[Column]) {
    println!("\n{} streams, {} rounds of {} s", args.streams, args.rounds, args.seconds);
    print!("{:<30}", "");
    columns.iter().for_each(|column| print!("{:>24}", column.receiver.name()));
    println!("{:>14}", "rtmsd / SDK");
    for (name, decimals, figure) in FIGURES {
        let cells: Vec<_> = columns.iter().map(|column| Cell::of(column, figure)).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        print!("{name:<30}");
        for cell in &cells {
            print!("{:>24}", cell.as_ref().map_or_else(String::new, |cell| cell.text(decimals)));
        }
        println!("{:>14}", ratio(columns, figure));
    }
}

/// What one round of a receiver gave, for people who wait.
pub(crate) fn print_round(receiver: &Receiver, round: &Round, streams: u32) {
    println!(
        "{}: {} of {streams} live ({} webhooks failed), {:.0} messages a second, {:.1} µs a message, {:.0} kB a stream, {:.0} kB a further one, {} breaches",
        receiver.name(),
        round.live,
        round.failed_webhooks,
        round.messages_a_second,
        round.cpu_us_a_message,
        round.kb_a_stream,
        round.kb_a_further_stream,
        round.breaches,
    );
    if let Some(subscribers) = &round.subscribers {
        println!(
            "    {} consumers, {:.0} frames a second delivered",
            subscribers.count, subscribers.delivered_a_second
        );
    }
    if let Some(programs) = &round.programs {
        println!(
            "    {} programs a stream, {:.0} frames a second relayed",
            programs.count, programs.relayed_a_second
        );
    }
}

struct Cell {
    least: f64,
    median: f64,
    most: f64,
}

impl Cell {
    /// Nothing if a round has no such figure.
    fn of(column: &Column, figure: Figure) -> Option<Self> {
        let mut values: Vec<f64> = column.rounds.iter().map(figure).collect::<Option<_>>()?;
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        Some(Self { least, median: values[values.len() / 2], most })
    }

    fn text(&self, decimals: usize) -> String {
        let Self { least, median, most } = self;
        if least == most {
            return format!("{median:.decimals$}");
        }
        format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
    }
}

/// The daemon's median beside the SDK's: `1/6.3`.
fn ratio(columns: &[Column], figure: Figure) -> String {
    let median = |wanted: fn(&Receiver) -> bool| {
        let column = columns.iter().find(|column| wanted(&column.receiver))?;
        Some(Cell::of(column, figure)?.median)
    };
    let daemon = median(|receiver| matches!(receiver, Receiver::Daemon(_)));
    let sdk = median(|receiver| matches!(receiver, Receiver::Sdk(_)));
    match (daemon, sdk) {
        (Some(daemon), Some(sdk)) if daemon > 0.0 => format!("1/{:.1}", sdk / daemon),
        _ => String::new(),
    }
}
