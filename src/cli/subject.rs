//! What a command is about: a task of the registry, or a model file.

use std::fs;
use std::path::{Path, PathBuf};
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
    Task {
        /// The task, its model and its configuration.
        definition: Box<Definition>,
        /// The model as MJCF text.
        mjcf: &'static str,
    },
    /// A model from a file.
    Model {
        /// The file.
        path: PathBuf,
        /// What it holds.
        model: Arc<Model>,
    },
}

impl Subject {
    /// Finds what `text` names: a file where it looks like one or is there, else a task.
    pub(super) fn find(text: &str, registry: &Registry) -> Result<Self> {
        let path = Path::new(text);
        let looks_like_a_file = path.extension().is_some() || path.components().count() > 1;
        if looks_like_a_file || path.exists() {
            return Ok(Self::Model {
                path: path.to_owned(),
                model: load_model(path)?,
            });
        }
        let definition = Box::new(registry.load(text)?);
        Ok(Self::Task {
            definition,
            mjcf: registry.entry(text)?.model,
        })
    }

    /// The task's name, or the file's.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Task { definition, .. } => definition.name.clone(),
            Self::Model { path, .. } => path.display().to_string(),
        }
    }

    /// The model.
    pub(super) fn model(&self) -> &Model {
        match self {
            Self::Task { definition, .. } => &definition.model,
            Self::Model { model, .. } => model,
        }
    }

    /// The model as a file, for other programs.
    pub(super) fn model_file(&self) -> Result<ModelFile> {
        match self {
            Self::Task { definition, mjcf } => ModelFile::temporary(&definition.name, mjcf),
            Self::Model { path, .. } => Ok(ModelFile {
                path: path.clone(),
                temporary: false,
            }),
        }
    }

    /// What the device would run for a step: a control step of the task, or the model's substeps. No device is needed.
    pub(super) fn into_graph(self) -> Result<Graph> {
        let host = Target::Host(Precision::Single);
        match self {
            Self::Task { definition, .. } => Ok(VecEnv::builder(*definition)
                .build_on(host)?
                .step_graph()
                .clone()),
            Self::Model { model, .. } => Ok(Physics::new(&model, 1, host)?.graph().clone()),
        }
    }
}

/// A model's file; one that was written for the purpose is removed when this is dropped.
pub(super) struct ModelFile {
    path: PathBuf,
    temporary: bool,
}

impl ModelFile {
    /// A file that holds `mjcf` for a while.
    pub(super) fn temporary(name: &str, mjcf: &str) -> Result<Self> {
        let path =
            std::env::temp_dir().join(format!("manyworlds-{}-{name}.xml", std::process::id()));
        fs::write(&path, mjcf).map_err(|error| Error::io(error).context(path.display()))?;
        Ok(Self {
            path,
            temporary: true,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        if self.temporary {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Reads and compiles a model; what the reader skipped is said.
pub(super) fn load_model(path: &Path) -> Result<Arc<Model>> {
    if path.is_dir() {
        return Err(Error::invalid("is a folder")
            .context(path.display())
            .hint("name an MJCF file in it"));
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
