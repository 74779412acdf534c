//! Sorts lines by time within a bounded window.

use std::collections::BTreeMap;

use super::lines::Line;

/// How many lines are held back for sorting and correction.
const HELD_LINES: usize = 256;
/// `attribute` of a line that corrects or withdraws an earlier one (section 10.14).
const UPDATE: i64 = 2;
const DELETE: i64 = 3;

/// The newest lines of a transcript, in order of their start.
///
/// Zoom's corrections do not name the line that they correct. It is taken to be the newest line in the window with the
/// same stream, speaker and start. A correction without such a line becomes a line of its own; a deletion without one
/// is dropped.
pub(super) struct Window {
    held: BTreeMap<(i64, u32, u64), Line>,
    applies_corrections: bool,
}

impl Window {
    pub(super) fn new(applies_corrections: bool) -> Self {
        Self { held: BTreeMap::new(), applies_corrections }
    }

    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= HELD_LINES
    }

    pub(super) fn push(&mut self, line: Line) {
        let correction = line.said.attribute.filter(|_| self.applies_corrections);
        match (correction, self.meant_by(&line)) {
            // The earlier line keeps its `seq`, and with it its place.
            (Some(UPDATE), Some(earlier)) => earlier.said = line.said,
            (Some(DELETE), Some(earlier)) => {
                let key = order_key(earlier);
                self.held.remove(&key);
            }
            // There is nothing to delete: the line has left the window already, or never arrived.
            (Some(DELETE), None) => {}
            _ => {
                self.held.insert(order_key(&line), line);
            }
        }
    }

    /// Removes and returns the earliest line.
    pub(super) fn pop(&mut self) -> Option<Line> {
        self.held.pop_first().map(|(_, line)| line)
    }

    /// The line that this correction refers to.
    fn meant_by(&mut self, line: &Line) -> Option<&mut Line> {
        let start_ms = line.said.start_ms;
        // The key begins with the start, so one range holds all candidates of a stream.
        let of_stream = (start_ms, line.ordinal, 0)..=(start_ms, line.ordinal, u64::MAX);
        let mut candidates = self.held.range_mut(of_stream).rev().map(|(_, held)| held);
        candidates.find(|held| held.said.speaker.key() == line.said.speaker.key())
    }
}

fn order_key(line: &Line) -> (i64, u32, u64) {
    (line.said.start_ms, line.ordinal, line.seq)
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::line;
    use super::*;

    fn texts(mut window: Window) -> Vec<String> {
        std::iter::from_fn(|| window.pop()).map(|line| line.said.text).collect()
    }

    fn with(attribute: i64, mut line: Line) -> Line {
        line.said.attribute = Some(attribute);
        line
    }

    #[test]
    fn lines_come_out_in_order_of_their_start() {
        let mut window = Window::new(true);
        for (stream, seq, start_ms) in [(1, 1, 300), (1, 2, 100), (2, 1, 200)] {
            window.push(line(stream, seq, start_ms, &start_ms.to_string()));
        }
        assert_eq!(texts(window), ["100", "200", "300"]);
    }

    #[test]
    fn a_correction_replaces_and_a_deletion_removes_its_line() {
        let mut window = Window::new(true);
        window.push(with(1, line(1, 1, 100, "helo")));
        window.push(with(1, line(1, 2, 200, "oops")));
        window.push(line(2, 1, 100, "the other stream"));
        window.push(with(UPDATE, line(1, 3, 100, "hello")));
        window.push(with(DELETE, line(1, 4, 200, "")));
        assert_eq!(texts(window), ["hello", "the other stream"]);
    }

    #[test]
    fn without_its_line_a_correction_is_kept_and_a_deletion_dropped() {
        let mut window = Window::new(true);
        window.push(with(UPDATE, line(1, 1, 100, "new")));
        window.push(with(DELETE, line(1, 2, 200, "gone")));
        assert_eq!(texts(window), ["new"]);
    }

    #[test]
    fn corrections_are_kept_as_lines_if_they_are_not_applied() {
        let mut window = Window::new(false);
        window.push(line(1, 1, 100, "helo"));
        window.push(with(UPDATE, line(1, 2, 100, "hello")));
        window.push(with(DELETE, line(1, 3, 100, "")));
        assert_eq!(texts(window), ["helo", "hello", ""]);
    }
}
