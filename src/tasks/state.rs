//! What a task keeps per world between control steps: its own quantities and histories.

use std::rc::Rc;

use super::recording::Recording;
use crate::error::{Error, unknown};
use crate::trace::{Carry, Slot, Var};

/// A task's own quantities and histories in one world, by the names that its [`Spec`](super::Spec) declared.
///
/// Both are zero when an episode begins, before [`Task::reset`](super::Task::reset) fills them.
#[derive(Clone)]
pub struct TaskState {
    recording: Rc<Recording>,
    /// In the order of `spec.own`.
    pub(crate) own: Vec<Vec<Var>>,
    /// In the order of `spec.histories`; newest entry first.
    pub(crate) histories: Vec<Vec<Vec<Var>>>,
}

impl TaskState {
    /// Everything zero.
    pub(crate) fn zero(recording: &Rc<Recording>) -> Self {
        let zeros = |count: usize| vec![Var::from(0.0); count];
        let spec = &recording.spec;
        Self {
            recording: Rc::clone(recording),
            own: spec.own.iter().map(|own| zeros(own.dim)).collect(),
            histories: spec
                .histories
                .iter()
                .map(|history| vec![zeros(history.dim); history.length])
                .collect(),
        }
    }

    /// The values of an own quantity.
    pub fn get(&self, name: &str) -> &[Var] {
        self.own_index(name).map_or(&[], |index| &self.own[index])
    }

    /// The value of an own quantity of one component.
    pub fn scalar(&self, name: &str) -> Var {
        match self.get(name) {
            [value] => *value,
            values => {
                let message = format!("own quantity `{name}` has {} components", values.len());
                self.recording
                    .fault(Error::invalid(message).hint("TaskState::get gives them all"));
                Var::from(0.0)
            }
        }
    }

    /// Changes an own quantity.
    pub fn set(&mut self, name: &str, values: impl AsRef<[Var]>) {
        if let Some(index) = self.own_index(name) {
            let values = values.as_ref();
            let dim = self.own[index].len();
            if self.fits("own quantity", name, dim, values) {
                self.own[index] = values.to_vec();
            }
        }
    }

    /// Adds the newest entry of a history; the oldest falls off.
    pub fn push(&mut self, name: &str, entry: impl AsRef<[Var]>) {
        if let Some((index, dim)) = self.history_index(name)
            && self.fits("history", name, dim, entry.as_ref())
        {
            let history = &mut self.histories[index];
            history.rotate_right(1);
            history[0] = entry.as_ref().to_vec();
        }
    }

    /// Makes every entry of a history the same: what [`Task::reset`](super::Task::reset) does so that an episode does
    /// not begin with a jump.
    pub fn fill(&mut self, name: &str, entry: impl AsRef<[Var]>) {
        if let Some((index, dim)) = self.history_index(name)
            && self.fits("history", name, dim, entry.as_ref())
        {
            self.histories[index].fill(entry.as_ref().to_vec());
        }
    }

    /// The entries of a history, newest first.
    pub fn history(&self, name: &str) -> &[Vec<Var>] {
        self.history_index(name)
            .map_or(&[], |(index, _)| &self.histories[index])
    }

    fn own_index(&self, name: &str) -> Option<usize> {
        let spec = &self.recording.spec;
        let found = spec.own.iter().position(|own| own.name == name);
        if found.is_none() {
            self.recording.fault(unknown(
                "own quantity",
                name,
                spec.own.iter().map(|own| own.name.as_str()),
            ));
        }
        found
    }

    fn history_index(&self, name: &str) -> Option<(usize, usize)> {
        let spec = &self.recording.spec;
        let found = spec
            .histories
            .iter()
            .position(|history| history.name == name);
        if found.is_none() {
            self.recording.fault(unknown(
                "history",
                name,
                spec.histories.iter().map(|h| h.name.as_str()),
            ));
        }
        found.map(|index| (index, spec.histories[index].dim))
    }

    fn fits(&self, what: &str, name: &str, dim: usize, values: &[Var]) -> bool {
        if values.len() != dim {
            let message = format!(
                "{what} `{name}` gets {} values and was declared with {dim}",
                values.len()
            );
            self.recording.fault(Error::invalid(message));
        }
        values.len() == dim
    }
}

impl Carry for TaskState {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.own.slots(visit);
        self.histories.slots(visit);
    }
}
