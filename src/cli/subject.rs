//! What a command is about: a task of the registry, or a model file.

use std::path::Path;
use std::sync::Arc;

use super::output::note;
use crate::env::{Physics, Precision, Target, VecEnv};
use crate::error::{Error, Result};
use crate::gpu::{Context, Options};
use crate::model::Model;
use crate::scene::mjcf;
use crate::tasks::{Definition, Registry};
use crate::trace::Graph;

/// A task, or a model without one.
pub(super) enum Subject {
    /// A task of the registry.
    Task(Box<Definition>),
    /// A model from a file.
    Model(Arc<Model>),
}

impl Subject {
    /// Finds what `text` names: a file where it looks like one or is there, else a task.
    pub(super) fn find(text: &str, registry: &Registry) -> Result<Self> {
        let path = Path::new(text);
        let looks_like_a_file = path.extension().is_some() || path.components().count() > 1;
        if looks_like_a_file || path.is_file() {
            return Ok(Self::Model(load_model(path)?));
        }
        Ok(Self::Task(Box::new(registry.load(text)?)))
    }

    /// The model.
    pub(super) fn model(&self) -> &Model {
        match self {
            Self::Task(definition) => &definition.model,
            Self::Model(model) => model,
        }
    }

    /// What the device would run for a step: a control step of the task, or the model's substeps.
    ///
    /// It is recorded without a device; tasks are consumed by it.
    pub(super) fn into_graph(self) -> Result<Graph> {
        let host = Target::Host(Precision::Single);
        match self {
            Self::Task(definition) => {
                Ok(VecEnv::builder(*definition).build_on(host)?.step_graph().clone())
            }
            Self::Model(model) => Ok(Physics::new(&model, 1, host)?.graph().clone()),
        }
    }
}

/// Reads and compiles a model; what the reader skipped is said.
pub(super) fn load_model(path: &Path) -> Result<Arc<Model>> {
    if path.is_dir() {
        return Err(Error::invalid("is a folder").context(path.display()).hint("name an MJCF file in it"));
    }
    let scene = mjcf::load(path)?;
    for warning in &scene.warnings {
        note!("warning: {warning}");
    }
    let model = Model::compile(&scene).map_err(|error| error.context(path.display()))?;
    Ok(Arc::new(model))
}

/// Opens the graphics device and says which one it is.
pub(super) fn open_device() -> Result<Context> {
    let context = Context::new(&Options::default())?;
    note!("device: {}", context.info());
    Ok(context)
}
