//! What the recording of a task's functions shares: the model, the declarations, the parameter table, and faults.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::params::Params;
use super::spec::Spec;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::rigid;
use crate::trace::{Field, Var};

/// The context in which a task's functions are recorded. One per kernel.
pub(crate) struct Recording {
    pub model: Arc<Model>,
    pub physics: rigid::Parameters,
    pub spec: Arc<Spec>,
    /// Names and places of the values in `table`.
    pub params: Params,
    /// The values of `params`, shared by all worlds.
    pub table: Field,
    /// Whether the task looked at the previous action, so that it must be kept.
    pub reads_last_action: Cell<bool>,
    /// What the task got wrong. A task's functions return no `Result`: the first fault ends the build instead.
    faults: RefCell<Vec<Error>>,
}

impl Recording {
    pub(crate) fn new(model: &Arc<Model>, spec: &Arc<Spec>, params: &Params, table: Field) -> Self {
        Self {
            physics: rigid::Parameters::constant(model),
            model: Arc::clone(model),
            spec: Arc::clone(spec),
            params: params.clone(),
            table,
            reads_last_action: Cell::new(false),
            faults: RefCell::default(),
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

    /// A parameter's value as it is when the kernel runs.
    pub(crate) fn param(&self, key: &str) -> Var {
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
