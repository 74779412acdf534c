//! Which daemon takes a stream that no daemon runs (pure). Every daemon decides from the same rows in the same way, so
//! that they agree without a coordinator. Where they do not, because one has newer rows, the claim decides.

/// From this share of the machine's CPU time on, what a daemon's streams cost counts beside their number.
const BUSY_FROM: f64 = 0.5;
/// A daemon that is notified of a stream keeps it unless another is lighter by this share and by this many streams: the
/// other daemon finds a stream that is left to it only at its next look.
const KEEPS_SHARE: f64 = 0.1;
const KEEPS_STREAMS: f64 = 2.0;

/// A daemon, as a place for streams.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Capacity {
    pub node: String,
    pub streams: usize,
    /// How many streams it runs at most; 0 while it takes none.
    pub max_streams: usize,
    /// The share of its machine's CPU time that it uses, 0 to 1.
    pub busy: f64,
    /// How many streams it ran when `busy` was measured.
    pub measured_streams: usize,
}

impl Capacity {
    pub(super) fn has_room(&self) -> bool {
        self.streams < self.max_streams
    }

    /// Its load with one stream more; 1 is full.
    fn next_load(&self) -> f64 {
        let streams = (self.streams + 1) as f64;
        let by_number = streams / self.max_streams.max(1) as f64;
        if self.busy < BUSY_FROM || self.measured_streams == 0 {
            return by_number;
        }
        by_number.max(self.busy * streams / self.measured_streams as f64)
    }
}

/// The daemons that share the store, with this one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cluster {
    pub own: Capacity,
    pub others: Vec<Capacity>,
}

impl Cluster {
    /// Gives a stream to the daemon that has the least load with it, and returns whether that is this one; `None` if no
    /// daemon has room.
    pub(super) fn place(&mut self) -> Option<bool> {
        let all = std::iter::once(&mut self.own).chain(&mut self.others);
        let lightest = lightest(all)?;
        lightest.streams += 1;
        let chosen = lightest.node.clone();
        Some(chosen == self.own.node)
    }

    /// Gives a stream to the lightest of the other daemons; false if none has room.
    pub(super) fn place_elsewhere(&mut self) -> bool {
        let lightest = lightest(&mut self.others);
        lightest.is_some_and(|daemon| {
            daemon.streams += 1;
            true
        })
    }

    /// Whether this daemon keeps a stream that it was notified of, unless another is lighter by a margin. Counts the
    /// stream where it goes.
    pub(super) fn keeps(&mut self) -> bool {
        if let Some(other) = lightest(&mut self.others)
            && (!self.own.has_room() || self.own.next_load() > with_margin(other))
        {
            other.streams += 1;
            return false;
        }
        self.own.streams += 1;
        true
    }
}

fn lightest<'a>(daemons: impl IntoIterator<Item = &'a mut Capacity>) -> Option<&'a mut Capacity> {
    daemons.into_iter().filter(|daemon| daemon.has_room()).min_by(|one, other| {
        // By id between equals, so that every daemon chooses the same.
        let by_load = one.next_load().total_cmp(&other.next_load());
        by_load.then_with(|| one.node.cmp(&other.node))
    })
}

fn with_margin(other: &Capacity) -> f64 {
    let load = other.next_load();
    let one_stream = load / (other.streams + 1) as f64;
    (load * (1.0 + KEEPS_SHARE)).max(load + KEEPS_STREAMS * one_stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(node: &str, streams: usize, max_streams: usize) -> Capacity {
        let (node, measured_streams) = (node.to_owned(), streams);
        Capacity { node, streams, max_streams, busy: 0.0, measured_streams }
    }

    fn busy(busy: f64, daemon: Capacity) -> Capacity {
        Capacity { busy, ..daemon }
    }

    /// How many of so many streams go to the first daemon, as each daemon sees it.
    fn placed(first: &Capacity, second: &Capacity, streams: usize) -> usize {
        let mut views = [(first, second), (second, first)]
            .map(|(own, other)| Cluster { own: own.clone(), others: vec![other.clone()] });
        let mut to_first = 0;
        for _ in 0..streams {
            let [here, there] = views.each_mut().map(Cluster::place);
            assert_eq!(here, there.map(|is_own| !is_own), "both daemons agree");
            to_first += usize::from(here == Some(true));
        }
        to_first
    }

    #[test]
    fn streams_level_the_daemons_by_their_share_of_what_they_may_run() {
        assert_eq!(placed(&daemon("a", 0, 100), &daemon("b", 0, 100), 20), 10);
        assert_eq!(placed(&daemon("a", 10, 100), &daemon("b", 0, 100), 20), 5);
        assert_eq!(placed(&daemon("a", 0, 300), &daemon("b", 0, 100), 20), 15);
    }

    #[test]
    fn a_full_or_overloaded_daemon_gets_none_and_none_get_what_has_no_place() {
        assert_eq!(placed(&daemon("a", 3, 5), &daemon("b", 40, 40), 9), 2);
        assert_eq!(placed(&daemon("a", 3, 0), &daemon("b", 30, 40), 9), 0);
        let mut full = Cluster { own: daemon("a", 1, 1), others: vec![daemon("b", 2, 2)] };
        assert_eq!(full.place(), None);
    }

    #[test]
    fn from_half_of_the_cpu_time_on_the_measured_cost_counts() {
        let (a, b) = (daemon("a", 100, 1000), daemon("b", 100, 1000));
        assert_eq!(placed(&busy(0.4, a.clone()), &busy(0.1, b.clone()), 20), 10);
        // Of a's streams each costs 0.006, of b's 0.003 of a machine.
        let to_a = placed(&busy(0.8, a.clone()), &busy(0.5, b.clone()), 20);
        assert_eq!(to_a, 0);
        let to_a = placed(&busy(0.6, a), &busy(0.55, b), 40);
        assert!((14..18).contains(&to_a), "{to_a}");
    }

    #[test]
    fn the_notified_daemon_keeps_a_stream_unless_another_is_lighter_by_a_margin() {
        let keeps = |own: usize, other: usize| {
            let (own, other) = (daemon("b", own, 100), daemon("a", other, 100));
            Cluster { own, others: vec![other] }.keeps()
        };
        assert!(keeps(0, 0));
        assert!(keeps(2, 0));
        assert!(!keeps(3, 0));
        assert!(keeps(54, 50));
        assert!(!keeps(57, 50));
        assert!(keeps(1, 9));
    }

    #[test]
    fn what_a_daemon_left_counts_for_the_other_until_the_next_report() {
        let mut cluster = Cluster { own: daemon("a", 0, 100), others: vec![daemon("b", 0, 100)] };
        let kept = (0..20).filter(|_| cluster.keeps()).count();
        assert!((9..13).contains(&kept), "{kept}");
    }

    #[test]
    fn a_daemon_keeps_what_no_other_has_room_for() {
        let mut alone = Cluster { own: daemon("a", 5, 0), others: vec![] };
        assert!(alone.keeps());
        let mut full = Cluster { own: daemon("a", 5, 5), others: vec![daemon("b", 2, 2)] };
        assert!(full.keeps());
    }
}
