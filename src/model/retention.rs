//! How long each kind of data is kept, and from when on the data of each app is expired (pure).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{AppName, ms};

/// How long one kind of data is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// No time limit.
    #[default]
    Forever,
    /// This long.
    For(Duration),
    /// Never stored, only published live.
    Nothing,
}

/// How long each kind of data is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// A stream's log, counted from the stream's end. With [`Keep::Nothing`] only entries without personal data are
    /// stored, and they stay.
    pub entries: Keep,
    /// Recordings, counted from their upload. With [`Keep::Nothing`] nothing is recorded.
    pub media: Keep,
    /// The bodies of received webhooks, counted from their arrival, and the log of outgoing ones.
    pub deliveries: Keep,
    /// Sessions and their streams with their figures, counted from their last change. Never deleted before their other data.
    pub sessions: Keep,
    /// The audit trail.
    pub audit: Keep,
}

const HOUR_S: u64 = 60 * 60;
const DAY_S: u64 = 24 * HOUR_S;
/// How long the digest of a webhook is kept if its body is not.
const KEEP_DIGEST: Duration = Duration::from_secs(DAY_S);

impl Keep {
    /// Data from before this time is deleted; `None` if no stored data expires.
    pub fn cutoff_ms(self, now_ms: i64) -> Option<i64> {
        let Self::For(keep) = self else { return None };
        Some(now_ms.saturating_sub(ms(keep)))
    }
}

/// As the settings write it: `forever`, `zero`, `30d` or `12h`.
impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::Nothing => f.write_str("zero"),
            Self::For(time) if time.as_secs() % DAY_S == 0 => {
                write!(f, "{}d", time.as_secs() / DAY_S)
            }
            Self::For(time) => write!(f, "{}h", time.as_secs() / HOUR_S),
        }
    }
}

impl Retention {
    /// Received webhooks are remembered until they are older than this.
    pub fn deliveries_before_ms(&self, now_ms: i64) -> Option<i64> {
        match self.deliveries {
            Keep::Nothing => Keep::For(KEEP_DIGEST).cutoff_ms(now_ms),
            keep => keep.cutoff_ms(now_ms),
        }
    }
}

/// The times before which data of one kind is deleted, by app. Unix milliseconds; `None` if none is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cutoffs {
    apps: BTreeMap<AppName, Option<i64>>,
    /// That of every other app, and of data that concerns no single app.
    others: Option<i64>,
}

impl Cutoffs {
    /// One time for all data.
    pub fn all(before_ms: i64) -> Self {
        Self { others: Some(before_ms), ..Self::default() }
    }

    /// The times of these apps, and that of the others.
    pub fn new(
        apps: impl IntoIterator<Item = (AppName, Option<i64>)>,
        others: Option<i64>,
    ) -> Self {
        Self { apps: apps.into_iter().collect(), others }
    }

    /// The time of an app's data; without an app, of data that concerns no single one.
    pub fn of(&self, app: Option<&AppName>) -> Option<i64> {
        app.and_then(|app| self.apps.get(app)).copied().unwrap_or(self.others)
    }

    /// The latest of all: younger data is not deleted, of whatever app. `None` if no data is.
    pub fn latest(&self) -> Option<i64> {
        self.apps.values().copied().chain([self.others]).flatten().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_webhook_is_recognized_although_its_body_is_not_stored() {
        let zero = Retention { deliveries: Keep::Nothing, ..Retention::default() };
        let now_ms = 1_800_000_000_000;
        assert_eq!(Keep::Nothing.cutoff_ms(now_ms), None);
        assert_eq!(zero.deliveries_before_ms(now_ms), Some(now_ms - 86_400_000));
        assert_eq!(Keep::Forever.cutoff_ms(now_ms), None);
    }

    #[test]
    fn a_time_is_written_in_days_if_it_can_be() {
        let texts = [1, 24, 36, 48].map(|hours| Keep::For(Duration::from_secs(hours * HOUR_S)));
        assert_eq!(texts.map(|keep| keep.to_string()), ["1h", "1d", "36h", "2d"]);
        assert_eq!(
            [Keep::Forever, Keep::Nothing].map(|keep| keep.to_string()),
            ["forever", "zero"]
        );
    }

    #[test]
    fn an_app_that_is_not_known_has_the_time_of_the_others() {
        let [a, b, c] = ["a", "b", "c"].map(|name| AppName::parse(name).unwrap());
        let cutoffs = Cutoffs::new([(a.clone(), Some(5)), (b.clone(), None)], Some(3));
        assert_eq!([&a, &b, &c].map(|app| cutoffs.of(Some(app))), [Some(5), None, Some(3)]);
        assert_eq!((cutoffs.of(None), cutoffs.latest()), (Some(3), Some(5)));
        assert_eq!(Cutoffs::new([(a, None)], None).latest(), None);
    }
}
