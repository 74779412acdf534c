//! The doctor of a running daemon: one run at a time, and the last report for a while.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Report, Settings, run};

/// How long a report is shown.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// Callers within this time after a run get its report: somebody who presses a button twice starts one run.
const FRESH: Duration = Duration::from_secs(5);

/// Runs the checks for a daemon. Cheap to clone.
#[derive(Clone)]
pub struct Doctor(Arc<Inner>);

struct Inner {
    settings: Settings,
    /// Held during a run.
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Option<(Instant, Arc<Report>)>>,
}

impl Doctor {
    pub fn new(settings: Settings) -> Self {
        let (turn, last) = (tokio::sync::Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { settings, turn, last }))
    }

    /// Runs every check. A caller that comes during a run gets the report of that run.
    pub async fn run(&self) -> Arc<Report> {
        let _turn = self.0.turn.lock().await;
        if let Some(report) = self.within(FRESH) {
            return report;
        }
        let report = Arc::new(run(&self.0.settings).await);
        *self.0.last.lock().expect("no holder of this lock panics") =
            Some((Instant::now(), Arc::clone(&report)));
        report
    }

    /// The last report, unless it is old.
    pub fn last(&self) -> Option<Arc<Report>> {
        self.within(KEPT)
    }

    /// Whether the checks run now.
    pub fn is_running(&self) -> bool {
        self.0.turn.try_lock().is_err()
    }

    fn within(&self, age: Duration) -> Option<Arc<Report>> {
        let last = self.0.last.lock().expect("no holder of this lock panics");
        last.as_ref().filter(|(at, _)| at.elapsed() < age).map(|(_, report)| Arc::clone(report))
    }
}
