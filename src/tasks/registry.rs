//! From a task's name to the task, its model and its configuration.

use std::collections::BTreeMap;

use toml::Table;

use super::spec::{Spec, Variants};
use super::variants::{self, Variant};
use super::{
    Task, ant, ant_isaac, cartpole_balance, cartpole_swingup, cheetah_run, half_cheetah, hopper,
    humanoid, quadruped, walker_walk, walker2d,
};
use crate::error::{Error, Result, unknown};
use crate::model::Model;
use crate::scene::mjcf;

/// How a registered task is made.
#[derive(Clone, Copy)]
pub struct Entry {
    /// One line for listings.
    pub about: &'static str,
    /// Makes the task.
    pub make: fn() -> Box<dyn Task>,
    /// The model, as MJCF text.
    pub model: &'static str,
    /// The configuration, as the text of `task.toml`.
    pub config: &'static str,
    /// Other MJCF texts by file name: what `model` of a [variant](super::variants) may name.
    pub models: &'static [(&'static str, &'static str)],
}

/// Where a definition's models come from.
#[derive(Clone)]
pub(super) struct Source {
    /// What the model's text is called in errors.
    pub label: String,
    /// The model as MJCF.
    pub text: String,
    /// Other models, by name.
    pub models: &'static [(&'static str, &'static str)],
}

/// Tasks by name. A user's crate starts from [`Registry::builtin`] and adds its own.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<String, Entry>,
}

impl Registry {
    /// A registry without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tasks that come with this crate.
    pub fn builtin() -> Self {
        let entries = [
            ("ant", ant::ENTRY),
            ("ant_isaac", ant_isaac::ENTRY),
            ("cartpole", cartpole_balance::ENTRY),
            ("cartpole_swingup", cartpole_swingup::ENTRY),
            ("cheetah_run", cheetah_run::ENTRY),
            ("half_cheetah", half_cheetah::ENTRY),
            ("hopper", hopper::ENTRY),
            ("humanoid", humanoid::ENTRY),
            ("quadruped", quadruped::ENTRY),
            ("walker2d", walker2d::ENTRY),
            ("walker_walk", walker_walk::ENTRY),
        ];
        let mut registry = Self::new();
        for (name, entry) in entries {
            registry.register(name, entry);
        }
        registry
    }

    /// Adds a task, or replaces the one of that name.
    pub fn register(&mut self, name: &str, entry: Entry) {
        self.entries.insert(name.into(), entry);
    }

    /// The names with their one-line descriptions, in alphabetical order.
    pub fn list(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.about))
    }

    /// Makes a task ready to be built into an environment.
    ///
    /// # Errors
    /// The name is unknown (the hint names close ones), or the entry's model or configuration is wrong.
    pub fn load(&self, name: &str) -> Result<Definition> {
        let entry = self.entry(name)?;
        let mut definition = Definition::new(name, (entry.make)(), entry.model, entry.config)?;
        if let Some(source) = &mut definition.source {
            source.models = entry.models;
        }
        Ok(definition)
    }

    /// What was registered under a name.
    ///
    /// # Errors
    /// The name is unknown; the hint names close ones.
    pub fn entry(&self, name: &str) -> Result<&Entry> {
        let known = || self.entries.keys().map(String::as_str);
        self.entries
            .get(name)
            .ok_or_else(|| unknown("task", name, known()))
    }
}

/// A task with its compiled model and its configuration: what an environment is built from.
pub struct Definition {
    /// The task's name.
    pub name: String,
    /// The task.
    pub task: Box<dyn Task>,
    /// Its compiled model.
    pub model: Model,
    /// Its configuration, as in `task.toml` without the table `train`.
    pub config: Table,
    /// The table `train` of `task.toml`: what the task asks of a learner. Environments do not look at it.
    pub train: Table,
    /// What variants are made from; none where the model was given compiled.
    source: Option<Source>,
    /// Variants that are given as models: name, share, model.
    given: Vec<(String, f64, Model)>,
}

impl Definition {
    /// A task with a model given as MJCF text and a configuration given as the text of `task.toml`.
    ///
    /// # Errors
    /// The model or the configuration does not parse or compile.
    pub fn new(name: &str, task: Box<dyn Task>, model: &str, config: &str) -> Result<Self> {
        let label = format!("{name}/model.xml");
        let scene = mjcf::parse(&label, model, ".")?;
        let compiled = Model::compile(&scene).map_err(|error| error.context(&label))?;
        let mut definition = Self::from_model(name, task, compiled, config)?;
        definition.source = Some(Source {
            label,
            text: model.to_string(),
            models: &[],
        });
        Ok(definition)
    }

    /// A task with a compiled model.
    ///
    /// # Errors
    /// The configuration does not parse.
    pub fn from_model(name: &str, task: Box<dyn Task>, model: Model, config: &str) -> Result<Self> {
        let file = || format!("{name}/task.toml");
        let mut config: Table = config.parse().map_err(|error: toml::de::Error| {
            Error::invalid(error.message())
                .context(place(config, &error))
                .context(file())
        })?;
        let train = match config.remove("train") {
            None => Table::new(),
            Some(toml::Value::Table(train)) => train,
            Some(_) => return Err(Error::invalid("`train` is no table").context(file())),
        };
        Ok(Self {
            name: name.into(),
            task,
            model,
            config,
            train,
            source: None,
            given: Vec::new(),
        })
    }

    /// Adds a [variant](super::variants) that is given as a compiled model: for bodies that a program makes. Its part of
    /// the worlds is `share`, relative to the other variants'.
    #[must_use]
    pub fn variant(mut self, name: &str, share: f64, model: Model) -> Self {
        self.given.push((name.into(), share, model));
        self
    }

    /// Overrides one key of the configuration: `reward.upright.weight=2`.
    ///
    /// # Errors
    /// There is no `=`, the value is no TOML value, or the key is not one of [`Spec::keys`].
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        self.set_all([assignment])
    }

    /// [`Definition::set`] for keys that make sense only together, such as those of a new actuator model. A word that is no
    /// TOML value is a string.
    ///
    /// # Errors
    /// As [`Definition::set`]; then nothing changed.
    pub fn set_all<'a>(
        &mut self,
        assignments: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Result<()> {
        let place = |assignment: &str| format!("`{assignment}`");
        let mut changed = self.config.clone();
        for assignment in assignments.clone() {
            assign(&mut changed, assignment).map_err(|error| error.context(place(assignment)))?;
        }
        if let Err(error) = self.resolve(&changed) {
            // Whose mistake it is, if it is the mistake of one.
            let guilty = assignments.into_iter().find(|assignment| {
                let mut alone = self.config.clone();
                let alone = assign(&mut alone, assignment).and_then(|()| self.resolve(&alone));
                alone.is_err_and(|alone| alone == error)
            });
            return Err(match guilty {
                Some(assignment) => error.context(place(assignment)),
                None => error,
            });
        }
        self.config = changed;
        Ok(())
    }

    /// Gives all worlds the [variant](super::variants) of this name. What steps them does not depend on it.
    ///
    /// # Errors
    /// There is no such variant; the hint names close ones.
    pub fn only_variant(&mut self, name: &str) -> Result<()> {
        let names: Vec<String> = self
            .variants()?
            .into_iter()
            .map(|variant| variant.name)
            .collect();
        if !names.iter().any(|known| known == name) {
            return Err(unknown("variant", name, names.iter().map(String::as_str)));
        }
        for (known, share, _) in &mut self.given {
            *share = f64::from(u8::from(known == name));
        }
        variants::share_out(&mut self.config, name);
        Ok(())
    }

    /// The MJCF of a variant, includes and changes in place; of the task's own model where `variant` is empty.
    ///
    /// # Errors
    /// There is no such variant, or it was given as a compiled model.
    pub fn mjcf(&self, variant: &str) -> Result<String> {
        let (mut declared, _) = variants::declared(&self.config)?;
        declared.retain(|declared| declared.name == variant);
        let own = variants::Declared::default();
        let (text, edits) = match declared.first().or(variant.is_empty().then_some(&own)) {
            Some(declared) => (
                declared.text(self.source.as_ref())?,
                declared.edits.as_slice(),
            ),
            None => {
                let error = Error::invalid(format!("variant `{variant}` has no MJCF"));
                return Err(error.hint("it was given as a compiled model"));
            }
        };
        mjcf::edited(text.label, &text.text, text.folder, edits)
    }

    /// What the task declares, with the configuration's numbers, checked against the model.
    ///
    /// # Errors
    /// An unknown key, a wrong value, or a declaration that does not fit the model.
    pub fn spec(&self) -> Result<Spec> {
        self.resolve(&self.config)
            .map_err(|error| error.context(format!("task {}", self.name)))
    }

    /// The models that worlds may have, each with what the task declares for it; the task's own model where there are no
    /// variants.
    ///
    /// # Errors
    /// As [`Definition::spec`]; two variants of one name, a share that is no number from 0 on, no share above 0, a model
    /// that does not compile, or variants that do not act, observe and earn alike.
    pub fn variants(&self) -> Result<Vec<Variant>> {
        self.all_variants(&self.config)
            .map_err(|error| error.context(format!("task {}", self.name)))
    }

    /// What is declared for the model of the first variant, with the others checked.
    fn resolve(&self, config: &Table) -> Result<Spec> {
        let mut variants = self.all_variants(config)?;
        Ok(variants.swap_remove(0).spec)
    }

    fn all_variants(&self, config: &Table) -> Result<Vec<Variant>> {
        let (declared, observer) = variants::declared(config)?;
        let mut models: Vec<(String, f64, Model)> = self.given.clone();
        for declared in declared {
            let model = declared.compile(self.source.as_ref())?;
            models.push((declared.name, declared.share, model));
        }
        if models.is_empty() {
            let spec = self.declare(&self.model, config, Variants::default())?;
            return Ok(vec![Variant {
                name: String::new(),
                share: 1.0,
                model: self.model.clone(),
                spec,
            }]);
        }
        let shown = Variants {
            names: models.iter().map(|(name, ..)| name.clone()).collect(),
            observer,
        };
        let variants = models.into_iter().map(|(name, share, model)| {
            let spec = self.declare(&model, config, shown.clone());
            let spec = spec.map_err(|error| error.context(format!("variants.{name}")))?;
            Ok(Variant {
                name,
                share,
                model,
                spec,
            })
        });
        let variants: Vec<Variant> = variants.collect::<Result<_>>()?;
        variants::check(&variants)?;
        Ok(variants)
    }

    /// What the task declares for a model.
    fn declare(&self, model: &Model, config: &Table, variants: Variants) -> Result<Spec> {
        let mut spec = self.task.spec(model, config)?;
        spec.variants = variants;
        spec.configure(config)?;
        spec.finish(model)
    }
}

/// Puts `key=value` into a table.
fn assign(config: &mut Table, assignment: &str) -> Result<()> {
    let (key, value) = assignment
        .split_once('=')
        .ok_or_else(|| Error::invalid("there is no `=`").hint("write key=value"))?;
    let (key, value) = (key.trim(), value.trim());
    let letter = |c: char| c.is_ascii_alphanumeric() || "_-*?./".contains(c);
    let line = format!("value = {value}").parse::<Table>();
    let mut leaf = match line {
        Ok(line) => line.get("value").cloned(),
        Err(_) if !value.is_empty() && value.chars().all(letter) => {
            Some(toml::Value::String(value.into()))
        }
        Err(error) => return Err(Error::invalid(error.message())),
    };
    let mut table = config;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            if let Some(value) = leaf.take() {
                table.insert(part.into(), value);
            }
            break;
        }
        let inner = table
            .entry(part)
            .or_insert_with(|| toml::Value::Table(Table::new()));
        table = inner
            .as_table_mut()
            .ok_or_else(|| Error::invalid(format!("`{part}` in `{key}` is no table")))?;
    }
    Ok(())
}

/// The line of a TOML error.
fn place(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| {
        text[..span.start.min(text.len())].matches('\n').count() + 1
    });
    format!("line {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_task_names_its_neighbour() {
        let error = Registry::builtin()
            .load("cartpol")
            .err()
            .expect("no such task")
            .to_string();
        assert!(error.contains("did you mean `cartpole`"), "{error}");
    }

    #[test]
    fn every_builtin_task_declares_something_that_fits_its_model() {
        let registry = Registry::builtin();
        for (name, about) in registry.list() {
            let definition = registry
                .load(name)
                .unwrap_or_else(|error| panic!("{error}"));
            let spec = definition.spec().unwrap_or_else(|error| panic!("{error}"));
            assert!(
                !about.is_empty() && !spec.actions.is_empty() && !spec.rewards.is_empty(),
                "{name}"
            );
        }
    }

    #[test]
    fn an_assignment_changes_one_key_and_a_typo_changes_none() {
        let mut definition = Registry::builtin().load("cartpole").unwrap();
        definition.set("reward.alive.weight = 3").unwrap();
        assert_eq!(
            definition
                .spec()
                .unwrap()
                .parameters()
                .get("reward.alive.weight")
                .unwrap(),
            3.0
        );
        let before = definition.config.clone();
        let error = definition
            .set("reward.alife.weight=3")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("did you mean `reward.alive.weight`"),
            "{error}"
        );
        assert!(definition.set("reward.alive.weight").is_err());
        assert!(definition.set("reward.alive.weight=[").is_err());
        assert_eq!(definition.config, before);
    }

    #[test]
    fn what_the_learner_is_told_stands_apart() {
        let task = || (Registry::builtin().entries["cartpole"].make)();
        let text = "control_dt = 0.04\n[train]\nworlds = 64\nppo.gamma = 0.9";
        let definition = Definition::from_model("x", task(), Model::default(), text).unwrap();
        assert_eq!(definition.train["ppo"]["gamma"].as_float(), Some(0.9));
        assert_eq!(definition.config.keys().collect::<Vec<_>>(), ["control_dt"]);
        assert!(Definition::from_model("x", task(), Model::default(), "train = 1").is_err());
    }

    #[test]
    fn a_syntax_error_in_the_configuration_names_its_line() {
        let task = || (Registry::builtin().entries["cartpole"].make)();
        let error = Definition::from_model("x", task(), Model::default(), "a = 1\nb = = 2")
            .err()
            .expect("no toml");
        assert!(
            error.to_string().starts_with("x/task.toml: line 2"),
            "{error}"
        );
    }
}
