//! The table of what was measured.

use std::time::Duration;

use super::client::Answer;

/// One line of it.
pub(crate) struct Row {
    pub what: String,
    pub answers: Vec<Answer>,
    /// How long it took to get all answers.
    pub took: Duration,
    /// Of the daemon, for all answers.
    pub cpu_us: u64,
    /// Of a transcript in each answer; 0 where there are none.
    pub lines: usize,
}

pub(crate) fn print_head() {
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>10} {:>8} {:>8} {:>9} {:>8}",
        "", "a second", "p50 ms", "p99 ms", "1st byte", "p99 ms", "CPU µs", "µs a line", "kB"
    );
}

impl Row {
    pub(crate) fn print(&self) {
        let count = self.answers.len().max(1);
        let first_bytes = sorted_ms(&self.answers, |answer| answer.first_byte);
        let wholes = sorted_ms(&self.answers, |answer| answer.whole);
        let cpu_us = self.cpu_us as f64 / count as f64;
        let of_line = match self.lines {
            0 => String::new(),
            lines => format!("{:.2}", cpu_us / lines as f64),
        };
        let bytes: usize = self.answers.iter().map(|answer| answer.bytes).sum();
        println!(
            "{:<44} {:>8.0} {:>8.2} {:>8.2} {:>10.2} {:>8.2} {:>8.0} {:>9} {:>8.1}",
            self.what,
            count as f64 / self.took.as_secs_f64(),
            percentile(&wholes, 50),
            percentile(&wholes, 99),
            percentile(&first_bytes, 50),
            percentile(&first_bytes, 99),
            cpu_us,
            of_line,
            bytes as f64 / count as f64 / 1000.0,
        );
    }
}

fn sorted_ms(answers: &[Answer], time: impl Fn(&Answer) -> Duration) -> Vec<f64> {
    let mut times: Vec<f64> =
        answers.iter().map(|answer| time(answer).as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}
