//! Counts the unreadable parts of a stream's messages by kind.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most kinds that are counted. The reasons are rtmsd's own words, but `msg_type` comes from the peer,
/// which could make the map grow.
const MAX_KINDS: usize = 64;

/// One kind of unreadable part. Records where in a message it was, never its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unreadable {
    /// The message's type; 0 if it cannot be read.
    pub msg_type: u16,
    /// What the message carried.
    pub lost: Lost,
    /// The missing or malformed field, or `not_json`, `no_msg_type` or `too_large`.
    pub reason: Cow<'static, str>,
}

/// How much of the message was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// The whole message, because a required part cannot be read.
    Message,
    /// One field, which counts as absent.
    Field,
    /// One member of a list.
    Member,
}

impl Unreadable {
    /// A kind of unreadable message whose reason is a fixed text.
    pub const fn new(msg_type: u16, lost: Lost, reason: &'static str) -> Self {
        Self { msg_type, lost, reason: Cow::Borrowed(reason) }
    }
}

/// How often and when first each kind was received. In JSON a list of kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnreadableMessages(BTreeMap<Unreadable, Seen>);

/// The count of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    count: u64,
    /// Unix milliseconds.
    first_ms: Option<i64>,
}

impl UnreadableMessages {
    /// Counts one unreadable part. A new kind beyond the bound is not counted.
    pub fn add(&mut self, kind: Unreadable) {
        self.add_many(kind, Seen { count: 1, first_ms: None });
    }

    /// Adds the counts of `others` to these.
    pub fn add_all(&mut self, others: Self) {
        for (kind, seen) in others.0 {
            self.add_many(kind, seen);
        }
    }

    /// Sets `now_ms` as the first time of the kinds that have none yet.
    #[must_use]
    pub fn seen_at(mut self, now_ms: i64) -> Self {
        for seen in self.0.values_mut() {
            seen.first_ms.get_or_insert(now_ms);
        }
        self
    }

    /// Whether nothing unreadable was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The counted kinds, each once.
    pub fn kinds(&self) -> impl Iterator<Item = &Unreadable> {
        self.0.keys()
    }

    /// How many unreadable parts of this kind were counted.
    pub fn count(&self, kind: &Unreadable) -> u64 {
        self.0.get(kind).map_or(0, |seen| seen.count)
    }

    /// The count over all kinds.
    pub fn total(&self) -> u64 {
        self.0.values().map(|seen| seen.count).sum()
    }

    /// Each kind with its count and the time when it was first received, in Unix milliseconds.
    pub fn iter(&self) -> impl Iterator<Item = (&Unreadable, u64, Option<i64>)> {
        self.0.iter().map(|(kind, seen)| (kind, seen.count, seen.first_ms))
    }

    fn add_many(&mut self, kind: Unreadable, new: Seen) {
        if self.0.len() < MAX_KINDS || self.0.contains_key(&kind) {
            let seen = self.0.entry(kind).or_default();
            seen.count += new.count;
            seen.first_ms = seen.first_ms.or(new.first_ms);
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Counted {
    #[serde(flatten)]
    kind: Unreadable,
    #[serde(flatten)]
    seen: Seen,
}

impl Serialize for UnreadableMessages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counted = self.0.iter().map(|(kind, seen)| Counted { kind: kind.clone(), seen: *seen });
        serializer.collect_seq(counted)
    }
}

impl<'de> Deserialize<'de> for UnreadableMessages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counted = Vec::<Counted>::deserialize(deserializer)?;
        Ok(Self(counted.into_iter().map(|one| (one.kind, one.seen)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_DATA: Unreadable = Unreadable::new(14, Lost::Message, "data");

    #[test]
    fn kinds_are_counted_and_read_back() {
        let mut all = UnreadableMessages::default();
        all.add(NO_DATA);
        all.add(NO_DATA);
        all.add(Unreadable::new(6, Lost::Member, "participants"));
        let mut all = all.seen_at(5);
        all.add(NO_DATA);
        let json = serde_json::to_value(&all).unwrap();
        let expected = serde_json::json!([
            { "msg_type": 6, "lost": "member", "reason": "participants", "count": 1, "first_ms": 5 },
            { "msg_type": 14, "lost": "message", "reason": "data", "count": 3, "first_ms": 5 },
        ]);
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<UnreadableMessages>(json).unwrap(), all);
        let mut twice = all.clone();
        twice.add_all(all);
        assert_eq!((twice.count(&NO_DATA), twice.total()), (6, 8));
    }

    #[test]
    fn kinds_have_a_bound_and_the_known_ones_are_counted_beyond_it() {
        let mut all = UnreadableMessages::default();
        for msg_type in 0..1_000 {
            all.add(Unreadable::new(msg_type, Lost::Message, "data"));
        }
        assert_eq!(all.total(), 64);
        all.add(Unreadable::new(0, Lost::Message, "data"));
        assert_eq!(all.total(), 65);
    }
}
