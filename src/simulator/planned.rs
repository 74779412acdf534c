//! Faults that are planned for the next times that something happens.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::lock;

/// Planned faults, in order for each target; each applies a number of times. At most `MAX` wait at one time; further
/// ones are ignored.
pub(super) struct Planned<Target, Fault, const MAX: usize>(Mutex<VecDeque<(Target, u32, Fault)>>);

impl<Target, Fault, const MAX: usize> Default for Planned<Target, Fault, MAX> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Target, Fault: Copy, const MAX: usize> Planned<Target, Fault, MAX> {
    /// Plans a fault for the next `count` times of this target, after the faults that are already planned.
    pub(super) fn plan(&self, target: Target, count: u32, fault: Fault) {
        let mut planned = lock(&self.0);
        if count > 0 && planned.len() < MAX {
            planned.push_back((target, count, fault));
        }
    }

    /// Drops every planned fault.
    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Takes the first planned fault, whatever its target, if it is one of these.
    pub(super) fn next_if(&self, is_one: impl Fn(Fault) -> bool) -> bool {
        let mut planned = lock(&self.0);
        let is_next = planned.front().is_some_and(|(.., fault)| is_one(*fault));
        if is_next && let Some((_, left, _)) = planned.front_mut() {
            *left -= 1;
            if *left == 0 {
                planned.pop_front();
            }
        }
        is_next
    }

    /// Takes the next planned fault whose target matches.
    pub(super) fn next(&self, matches: impl Fn(&Target) -> bool) -> Option<Fault> {
        let mut planned = lock(&self.0);
        let index = planned.iter().position(|(target, ..)| matches(target))?;
        let (_, left, fault) = &mut planned[index];
        let fault = *fault;
        *left -= 1;
        if *left == 0 {
            planned.remove(index);
        }
        Some(fault)
    }
}
