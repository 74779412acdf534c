//! What the client of a replay has done so far (pure).

use std::collections::{HashMap, HashSet};

use super::plan::Moment;

/// What a replay knows of its client.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// Whether it is ready for media (message 7).
    pub is_ready: bool,
    links: HashMap<String, Link>,
    unwanted: HashSet<String>,
}

/// One link, as the client used it.
#[derive(Debug, Default)]
struct Link {
    /// How many lives the client has taken, by the media type that it asked for.
    taken: HashMap<String, usize>,
    /// For each open socket, when the file ends it; `None` if the client closes it.
    open_until: Vec<Option<Moment>>,
}

impl Client {
    /// The index of the next life of a link for a client that asked for `wanted`.
    pub(super) fn next_life_index(&self, link: &str, wanted: &str) -> usize {
        self.links.get(link).and_then(|link| link.taken.get(wanted)).copied().unwrap_or_default()
    }

    pub(super) fn take_life(&mut self, link: &str, wanted: &str) {
        self.unwanted.remove(link);
        *self.link(link).taken.entry(wanted.to_owned()).or_default() += 1;
    }

    pub(super) fn opened(&mut self, link: &str, end: Option<Moment>) {
        self.link(link).open_until.push(end);
    }

    pub(super) fn closed(&mut self, link: &str, end: Option<Moment>) {
        let open = &mut self.link(link).open_until;
        if let Some(index) = open.iter().position(|other| *other == end) {
            open.swap_remove(index);
        }
    }

    /// Whether the client has not opened this link yet.
    pub(super) fn is_new(&self, link: &str) -> bool {
        !self.links.contains_key(link)
    }

    /// The client does not want this link. If it opens it all the same, it does.
    pub(super) fn give_up(&mut self, link: &str) {
        self.unwanted.insert(link.to_owned());
    }

    /// Whether the client still has to open this life of a link, which Zoom answered at `at`. A socket that the file ends
    /// by `at` does not count as open.
    pub(super) fn is_late_for(&self, link: &str, number: usize, at: Moment) -> bool {
        if self.unwanted.contains(link) {
            return false;
        }
        let Some(link) = self.links.get(link) else { return true };
        let is_open = link.open_until.iter().any(|end| end.is_none_or(|end| end > at));
        !is_open && link.taken.values().all(|taken| *taken <= number)
    }

    fn link(&mut self, link: &str) -> &mut Link {
        self.links.entry(link.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_late_for_its_first_links_and_for_those_that_it_lost() {
        let mut client = Client::default();
        assert!(client.is_late_for("audio", 0, 100));
        client.take_life("audio", "1");
        client.opened("audio", Some(150));
        assert!(!client.is_late_for("audio", 0, 100));
        assert!(!client.is_late_for("audio", 1, 149), "it still has the link");
        assert!(client.is_late_for("audio", 1, 200), "the file has ended that socket by then");
        client.closed("audio", Some(150));
        assert!(client.is_late_for("audio", 1, 200));
        client.take_life("audio", "1");
        assert!(!client.is_late_for("audio", 1, 200));
        assert!(client.is_late_for("chat", 0, 200));
        client.give_up("chat");
        assert!(!client.is_late_for("chat", 0, 200));
        client.take_life("chat", "8");
        assert!(client.is_late_for("chat", 1, 200), "it wants this link after all");
    }
}
