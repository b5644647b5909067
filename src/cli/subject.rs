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
        /// What the reader skipped, a line each.
        warnings: Vec<String>,
    },
}

impl Subject {
    /// Finds what `text` names: a file where it looks like one, or is one and no task is called that; else a task.
    pub(super) fn find(text: &str, registry: &Registry) -> Result<Self> {
        let path = Path::new(text);
        let looks_like_a_file = path.extension().is_some() || path.components().count() > 1;
        if looks_like_a_file || (registry.entry(text).is_err() && path.exists()) {
            return Self::file(path);
        }
        let definition = Box::new(registry.load(text)?);
        Ok(Self::Task {
            definition,
            mjcf: registry.entry(text)?.model,
        })
    }

    /// The model in a file.
    pub(super) fn file(path: &Path) -> Result<Self> {
        let (model, warnings) = load_model(path)?;
        Ok(Self::Model {
            path: path.to_owned(),
            model,
            warnings,
        })
    }

    /// Says what of the model has no effect.
    pub(super) fn warn(&self) {
        if let Self::Model { warnings, .. } = self {
            for warning in warnings {
                note!("warning: {warning}");
            }
        }
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

    /// What the device would run for a step: a control step of the task, for each kernel with the variants of the model
    /// that it steps; or the model's substeps. No device is needed.
    pub(super) fn into_graphs(self) -> Result<Vec<(Vec<String>, Graph)>> {
        let host = Target::Host(Precision::Single);
        let definition = match self {
            Self::Task { definition, .. } => *definition,
            Self::Model { model, .. } => {
                let graph = Physics::new(&model, 1, host)?.graph().clone();
                return Ok(vec![(Vec::new(), graph)]);
            }
        };
        // Enough for small shares, too.
        let worlds = 100 * definition.variants()?.len();
        let env = VecEnv::builder(definition).worlds(worlds).build_on(host)?;
        let graphs = env.step_graphs().map(|(graph, worlds)| {
            let mut names: Vec<String> = worlds
                .filter_map(|world| env.variants().name_of(world).map(str::to_owned))
                .collect();
            names.dedup();
            names.retain(|name| !name.is_empty());
            (names, graph.clone())
        });
        Ok(graphs.collect())
    }

    /// The same with settings of its task.
    ///
    /// # Errors
    /// A key or a value is wrong, or a model is given settings.
    pub(super) fn with(mut self, settings: &[String]) -> Result<Self> {
        match &mut self {
            Self::Task { definition, .. } => {
                definition.set_all(settings.iter().map(String::as_str))?;
            }
            Self::Model { .. } if settings.is_empty() => {}
            Self::Model { path, .. } => {
                return Err(Error::invalid("a model has no settings")
                    .context(path.display())
                    .hint("key=value is for tasks"));
            }
        }
        Ok(self)
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

/// Pairs of geoms that MuJoCo would test for contact, by its rules (Computation, Collision, Selection).
pub(super) fn contact_pairs(model: &Model) -> usize {
    if !model.opt.flags.contact || !model.opt.flags.constraint {
        return 0;
    }
    let weld = |body: usize| model.body_weldid[body];
    let parent = |body: usize| weld(model.body_parentid[weld(body)]);
    let related = |a: usize, b: usize| {
        // The world is nobody's parent here: what stands on it must not fall through it.
        let child =
            (weld(b) != 0 && parent(a) == weld(b)) || (weld(a) != 0 && parent(b) == weld(a));
        model.opt.flags.filterparent && child
    };
    let excluded = |a: usize, b: usize| model.exclude_bodies.contains(&[a.min(b), a.max(b)]);
    let may_touch = |g: usize, h: usize| {
        let (a, b) = (model.geom_bodyid[g], model.geom_bodyid[h]);
        let affine = model.geom_contype[g] & model.geom_conaffinity[h] != 0
            || model.geom_contype[h] & model.geom_conaffinity[g] != 0;
        affine && weld(a) != weld(b) && !related(a, b) && !excluded(a, b)
    };
    let dynamic =
        (0..model.ngeom).map(|g| (g + 1..model.ngeom).filter(|h| may_touch(g, *h)).count());
    dynamic.sum::<usize>() + model.npair
}

/// Reads and compiles a model; also what the reader skipped.
fn load_model(path: &Path) -> Result<(Arc<Model>, Vec<String>)> {
    if path.is_dir() {
        return Err(Error::invalid("is a folder")
            .context(path.display())
            .hint("name an MJCF file in it"));
    }
    let scene = mjcf::load(path)?;
    let model = Model::compile(&scene).map_err(|error| error.context(path.display()))?;
    Ok((Arc::new(model), scene.warnings))
}

/// Opens the graphics device and says which one it is.
pub(super) fn open_device() -> Result<Context> {
    let context = Context::new(&Options::default())?;
    note!("device: {}", context.info());
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(body: &str, more: &str) -> usize {
        let text = format!("<mujoco><worldbody>{body}</worldbody>{more}</mujoco>");
        let scene = mjcf::parse("test.xml", &text, ".").unwrap_or_else(|error| panic!("{error}"));
        contact_pairs(&Model::compile(&scene).unwrap_or_else(|error| panic!("{error}")))
    }

    #[test]
    fn pairs_that_could_touch_are_counted_by_mujocos_rules() {
        let floor = r#"<geom type="plane" size="1 1 1"/>"#;
        let ball = r#"<body name="a"><freejoint/><geom size="1"/></body>"#;
        assert_eq!(pairs(&format!("{floor}{ball}"), ""), 1);
        let other = r#"<body name="b"><freejoint/><geom size="1"/></body>"#;
        assert_eq!(pairs(&format!("{floor}{ball}{other}"), ""), 3);
        let exclude = r#"<contact><exclude body1="b" body2="a"/></contact>"#;
        assert_eq!(pairs(&format!("{floor}{ball}{other}"), exclude), 2);
        let off = r#"<option><flag contact="disable"/></option>"#;
        assert_eq!(pairs(&format!("{floor}{ball}{other}"), off), 0);
        // Parent and child do not touch, grandparent and grandchild do.
        let joint = r#"<joint type="hinge"/><geom size="1"/>"#;
        let chain = format!(
            "<body><freejoint/><geom size=\"1\"/><body>{joint}<body>{joint}</body></body></body>"
        );
        assert_eq!(pairs(&chain, ""), 1);
        let ghost = r#"<body><freejoint/><geom size="1" contype="0" conaffinity="0"/></body>"#;
        assert_eq!(pairs(&format!("{floor}{ghost}"), ""), 0);
    }
}
