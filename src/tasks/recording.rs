//! What the recording of a task's functions shares: the model, the declarations, the parameter table, and faults.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::params::Params;
use super::spec::Spec;
use super::world::Key;
use crate::error::{Error, Result};
use crate::math::Rng;
use crate::model::Model;
use crate::randomize::Source;
use crate::rigid;
use crate::trace::{Bits, Field, Mask, Var};

/// The context in which a task's functions are recorded. One per kernel, and where worlds draw their own numbers, one
/// for each set of draws ([`Recording::with_draws`]).
#[derive(Clone)]
pub(crate) struct Recording {
    pub model: Arc<Model>,
    /// The numbers of the physics in this world.
    pub physics: Rc<rigid::Parameters>,
    /// Which variant of the model this world has.
    pub variant: Bits,
    /// What this world drew.
    pub draws: Vec<Var>,
    pub spec: Arc<Spec>,
    /// Names and places of the values in `table`.
    pub params: Rc<Params>,
    /// The values of `params`, shared by all worlds.
    pub table: Field,
    /// Whether the task looked at the previous action, so that it must be kept.
    pub reads_last_action: Rc<Cell<bool>>,
    /// What the task got wrong. A task's functions return no `Result`: the first fault ends the build instead.
    faults: Rc<RefCell<Vec<Error>>>,
}

impl Recording {
    pub(crate) fn new(model: &Arc<Model>, spec: &Arc<Spec>, params: &Params, table: Field) -> Self {
        Self {
            physics: Rc::new(rigid::Parameters::constant(model)),
            variant: Bits::ZERO,
            draws: Vec::new(),
            model: Arc::clone(model),
            spec: Arc::clone(spec),
            params: Rc::new(params.clone()),
            table,
            reads_last_action: Rc::default(),
            faults: Rc::default(),
        }
    }

    /// The same in a world with these draws. `self` is without draws: its numbers are the model's.
    pub(crate) fn with_draws(self: &Rc<Self>, draws: &[Var]) -> Rc<Self> {
        if draws.is_empty() {
            return Rc::clone(self);
        }
        let physics = self
            .spec
            .randomization
            .physics(&self.model, &self.physics, draws);
        Rc::new(Self {
            physics: Rc::new(physics),
            draws: draws.to_vec(),
            ..(**self).clone()
        })
    }

    /// Where draws come from, for random numbers of this key and step.
    pub(crate) fn source(&self, key: Key, step: Bits) -> Drawing {
        Drawing {
            recording: self.clone(),
            key,
            step,
            lost: Mask::from(false),
        }
    }

    /// Notes what the task got wrong; recording goes on with a placeholder.
    pub(crate) fn fault(&self, error: Error) {
        self.faults.borrow_mut().push(error);
    }

    /// The value, or the placeholder and a fault.
    pub(crate) fn or_fault<T>(&self, result: Result<T>, placeholder: T) -> T {
        result.unwrap_or_else(|error| {
            self.fault(error);
            placeholder
        })
    }

    /// The equality constraint of that name, or none and a fault.
    pub(crate) fn equality(&self, name: &str) -> Option<usize> {
        self.or_fault(self.model.eq_names.id(name).map(Some), None)
    }

    /// A parameter's value in this world, as it is when the kernel runs.
    pub(crate) fn param(&self, key: &str) -> Var {
        let shared = self.shared_param(key);
        match self.draws.as_slice() {
            [] => shared,
            draws => self.spec.randomization.param(key, shared, draws),
        }
    }

    /// A parameter's value in the table that all worlds share.
    fn shared_param(&self, key: &str) -> Var {
        match self.params.position(key) {
            Ok(position) => self.table.load(position),
            Err(error) => {
                self.fault(error);
                Var::from(0.0)
            }
        }
    }

    /// The first thing that the task got wrong, if any.
    pub(crate) fn first_fault(&self) -> Option<Error> {
        self.faults.borrow().first().cloned()
    }
}

/// Where the draws of a randomization come from.
pub(crate) struct Drawing {
    recording: Recording,
    key: Key,
    step: Bits,
    /// The draws of the episode before cannot be kept: what is drawn once for each world is drawn anew.
    pub lost: Mask,
}

impl Source for Drawing {
    fn number(&self, key: &str) -> Var {
        self.recording.shared_param(key)
    }

    fn physics(&self) -> (&Model, &rigid::Parameters) {
        (&self.recording.model, &self.recording.physics)
    }

    fn rng(&self, purpose: &str) -> Rng {
        self.key.rng(purpose, self.step)
    }

    fn begins(&self) -> Mask {
        self.key.episode.eq(0) | self.lost
    }
}
