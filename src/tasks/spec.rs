//! What a task declares once, on the host: groups of observation terms, actions, rewards, commands, own state, numbers.
//!
//! A [`Spec`] names things and gives their sizes. The numbers in it are defaults that `task.toml` overrides, see
//! `config.rs`.

use std::sync::Arc;

use super::actuators::{Actuator, Drives};
use super::sensing::Sensor;
use crate::error::{Error, Result, unknown};
use crate::model::Model;
use crate::randomize::{Adr, Entry, Randomization};

/// The observation term that shows what was drawn.
pub(crate) const RANDOMIZED: &str = "randomized";

/// The observation term that shows which variant of the model a world has.
pub(crate) const VARIANT: &str = "variant";

/// One component of the action.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Its name: the actuator's, unless the task says otherwise.
    pub name: String,
    /// The smallest value that has an effect of its own; −∞ if there is none.
    pub low: f64,
    /// The largest value that has an effect of its own; +∞ if there is none.
    pub high: f64,
}

/// A named term of an observation group.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservationTerm {
    /// The name that [`Terms::observe`](super::Terms::observe) feeds.
    pub name: String,
    /// Number of values.
    pub dim: usize,
    /// Factor, if it is adjustable.
    pub scale: Option<f64>,
    /// How the reading falls short of the truth.
    pub sensor: Sensor,
    /// Bounds applied after the sensor and before the scale, if they are adjustable.
    pub clip: Option<[f64; 2]>,
}

/// What one reader of observations sees: `policy`, or `critic` with privileged terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// Its terms, in the order of their values.
    pub terms: Vec<ObservationTerm>,
}

impl Group {
    /// Number of values of all terms.
    pub fn dim(&self) -> usize {
        self.terms.iter().map(|term| term.dim).sum()
    }
}

/// A named reward term and the weight it starts with.
#[derive(Clone, Debug, PartialEq)]
pub struct RewardTerm {
    /// The name that [`Terms::reward`](super::Terms::reward) feeds.
    pub name: String,
    /// Factor of the term in the reward.
    pub weight: f64,
}

/// A named condition that ends the episode.
#[derive(Clone, Debug, PartialEq)]
pub struct TerminationTerm {
    /// The name that [`Terms::terminate`](super::Terms::terminate) feeds.
    pub name: String,
    /// Whether it counts, if that is adjustable.
    pub enabled: Option<f64>,
}

/// Something the agent is told to do: values drawn uniformly from ranges, again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The name that [`World::command`](super::World::command) takes.
    pub name: String,
    /// Lower bounds, one per component.
    pub low: Vec<f64>,
    /// Upper bounds, one per component.
    pub high: Vec<f64>,
    /// Time between samples within an episode, s; 0 keeps the value for the whole episode.
    pub interval: f64,
}

/// A named quantity of the task's own, kept per world from one control step to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The name that [`TaskState::get`](super::TaskState::get) takes.
    pub name: String,
    /// Number of values.
    pub dim: usize,
}

/// The last values of a named quantity, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The name that [`TaskState::push`](super::TaskState::push) takes.
    pub name: String,
    /// Number of values in one entry.
    pub dim: usize,
    /// Number of entries.
    pub length: usize,
}

/// The variants of a task's model, see [`variants`](super::variants).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variants {
    /// Their names; none where worlds have the task's own model.
    pub names: Vec<String>,
    /// The observation group that sees which one a world has, as its last term.
    pub observer: Option<String>,
}

/// Everything a task declares. Built with the chained methods below.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Time between two actions, s; an integer multiple of the model's timestep.
    pub control_dt: f64,
    /// Control steps after which an episode is truncated.
    pub max_episode_steps: u32,
    /// The action's components; empty stands for the model's actuators with their control ranges.
    pub actions: Vec<Action>,
    /// Observation groups.
    pub groups: Vec<Group>,
    /// Reward terms.
    pub rewards: Vec<RewardTerm>,
    /// Termination terms.
    pub terminations: Vec<TerminationTerm>,
    /// Commands.
    pub commands: Vec<Command>,
    /// The task's own per-world quantities.
    pub own: Vec<Own>,
    /// History buffers.
    pub histories: Vec<History>,
    /// Actuator models.
    pub actuators: Vec<Actuator>,
    /// The task's own numbers: key and value.
    pub params: Vec<(String, f64)>,
    /// Keys that the task reads itself from the table `task`.
    pub options: Vec<String>,
    /// What differs from world to world.
    pub randomize: Vec<Entry>,
    /// What moves the ranges of entries that allow it.
    pub adr: Option<Adr>,
    /// The observation group that sees what was drawn, as its last term `randomized`; made of the terms of `policy` if
    /// there is none of that name.
    pub randomized_group: Option<String>,
    /// The variants of the model.
    pub(crate) variants: Variants,
    /// `randomize` in the task's model.
    pub(crate) randomization: Arc<Randomization>,
    /// Groups and terms of sensors that no term was declared for.
    misplaced: Vec<[String; 2]>,
}

impl Spec {
    /// A task that acts every `control_dt` seconds for at most `max_episode_steps` actions.
    pub fn new(control_dt: f64, max_episode_steps: u32) -> Self {
        Self {
            control_dt,
            max_episode_steps,
            actions: Vec::new(),
            groups: Vec::new(),
            rewards: Vec::new(),
            terminations: Vec::new(),
            commands: Vec::new(),
            own: Vec::new(),
            histories: Vec::new(),
            actuators: Vec::new(),
            params: Vec::new(),
            options: Vec::new(),
            randomize: Vec::new(),
            adr: None,
            randomized_group: None,
            variants: Variants::default(),
            randomization: Arc::default(),
            misplaced: Vec::new(),
        }
    }

    /// Adds an action component with the bounds of its useful range.
    #[must_use]
    pub fn action(mut self, name: &str, low: f64, high: f64) -> Self {
        self.actions.push(Action {
            name: name.into(),
            low,
            high,
        });
        self
    }

    /// Adds a term of `dim` values to an observation group; the first use of a group's name adds the group.
    #[must_use]
    pub fn observe(mut self, group: &str, term: &str, dim: usize) -> Self {
        let term = ObservationTerm {
            name: term.into(),
            dim,
            scale: None,
            sensor: Sensor::new(),
            clip: None,
        };
        match self.groups.iter_mut().find(|known| known.name == group) {
            Some(known) => known.terms.push(term),
            None => self.groups.push(Group {
                name: group.into(),
                terms: vec![term],
            }),
        }
        self
    }

    /// Gives a declared observation term a sensor, in place of the one before; `task.toml` overrides single numbers.
    #[must_use]
    pub fn sensor(mut self, group: &str, term: &str, sensor: Sensor) -> Self {
        let groups = self.groups.iter_mut().filter(|known| known.name == group);
        let found = groups
            .flat_map(|known| &mut known.terms)
            .find(|known| known.name == term);
        match found {
            Some(term) => term.sensor = sensor,
            None => self.misplaced.push([group.into(), term.into()]),
        }
        self
    }

    /// Adds a reward term.
    #[must_use]
    pub fn reward(mut self, name: &str, weight: f64) -> Self {
        self.rewards.push(RewardTerm {
            name: name.into(),
            weight,
        });
        self
    }

    /// Adds a termination term.
    #[must_use]
    pub fn termination(mut self, name: &str) -> Self {
        self.terminations.push(TerminationTerm {
            name: name.into(),
            enabled: None,
        });
        self
    }

    /// Adds a command drawn from `ranges` (low, high per component) every `interval` seconds; 0: once per episode.
    #[must_use]
    pub fn command(mut self, name: &str, ranges: &[[f64; 2]], interval: f64) -> Self {
        let (low, high) = ranges.iter().map(|[low, high]| (*low, *high)).unzip();
        self.commands.push(Command {
            name: name.into(),
            low,
            high,
            interval,
        });
        self
    }

    /// Adds a quantity of the task's own, zero at first.
    #[must_use]
    pub fn own(mut self, name: &str, dim: usize) -> Self {
        self.own.push(Own {
            name: name.into(),
            dim,
        });
        self
    }

    /// Adds a history of the last `length` entries of `dim` values.
    #[must_use]
    pub fn history(mut self, name: &str, dim: usize, length: usize) -> Self {
        self.histories.push(History {
            name: name.into(),
            dim,
            length,
        });
        self
    }

    /// Puts a model between the controls of some actuators and the forces at their joints, see
    /// [`actuators`](super::actuators).
    #[must_use]
    pub fn actuator(mut self, model: Actuator) -> Self {
        self.actuators.push(model);
        self
    }

    /// Adds a number of the task's own, adjustable at run time under its dotted key.
    #[must_use]
    pub fn param(mut self, key: &str, value: f64) -> Self {
        self.params.push((key.into(), value));
        self
    }

    /// Accepts `task.KEY` in `task.toml`: an option that the task reads itself.
    #[must_use]
    pub fn option(mut self, key: &str) -> Self {
        self.options.push(key.into());
        self
    }

    /// Adds something that differs from world to world.
    #[must_use]
    pub fn randomize(mut self, entry: Entry) -> Self {
        self.randomize.push(entry);
        self
    }

    /// Lets automatic domain randomization move the ranges of the entries that allow it.
    #[must_use]
    pub fn adr(mut self, adr: Adr) -> Self {
        self.adr = Some(adr);
        self
    }

    /// What differs from world to world, in the task's model; empty before the task is made ready.
    pub fn randomization(&self) -> &Randomization {
        &self.randomization
    }

    /// The group of that name.
    ///
    /// # Errors
    /// There is none; the hint names close ones.
    pub fn group(&self, name: &str) -> Result<(usize, &Group)> {
        let found = self
            .groups
            .iter()
            .enumerate()
            .find(|(_, group)| group.name == name);
        found.ok_or_else(|| {
            unknown(
                "observation group",
                name,
                self.groups.iter().map(|group| group.name.as_str()),
            )
        })
    }

    /// Fills in what follows from the model, and checks the whole.
    ///
    /// # Errors
    /// `control_dt` is no integer multiple of the timestep, an episode of no steps, no observations, a name twice, a
    /// group that is empty, or a sensor that cannot be.
    pub(crate) fn finish(mut self, model: &Model) -> Result<Self> {
        self.substeps(model)?;
        if self.max_episode_steps == 0 {
            return Err(
                Error::invalid("max_episode_steps is 0").hint("give at least 1 control step")
            );
        }
        if self.actions.is_empty() {
            self.actions = (0..model.nu).map(|id| actuator(model, id)).collect();
        }
        if self.groups.iter().all(|group| group.name != "policy") {
            return Err(Error::invalid("the task has no observation group `policy`")
                .hint("declare its terms with Spec::observe(\"policy\", …)"));
        }
        let named = |what: &str, names: Vec<&str>| match duplicate(&names) {
            Some(name) => Err(Error::invalid(format!("two {what} are named `{name}`"))),
            None => Ok(()),
        };
        for group in &self.groups {
            named(
                "terms of one observation group",
                group.terms.iter().map(|term| term.name.as_str()).collect(),
            )?;
        }
        named(
            "actions",
            self.actions
                .iter()
                .map(|action| action.name.as_str())
                .collect(),
        )?;
        named(
            "reward terms",
            self.rewards.iter().map(|term| term.name.as_str()).collect(),
        )?;
        named(
            "termination terms",
            self.terminations
                .iter()
                .map(|term| term.name.as_str())
                .collect(),
        )?;
        named(
            "commands",
            self.commands
                .iter()
                .map(|command| command.name.as_str())
                .collect(),
        )?;
        let own = self.own.iter().map(|own| own.name.as_str());
        named(
            "own quantities or histories",
            own.chain(self.histories.iter().map(|h| h.name.as_str()))
                .collect(),
        )?;
        named(
            "parameters",
            self.params.iter().map(|(key, _)| key.as_str()).collect(),
        )?;
        self.finish_sensors()?;
        named(
            "actuator models",
            self.actuators.iter().map(|a| a.name.as_str()).collect(),
        )?;
        Drives::new(&self.actuators, self.control_dt, model)?;
        for history in &self.histories {
            if history.length == 0 {
                return Err(Error::invalid(format!(
                    "history `{}` has no entries",
                    history.name
                )));
            }
        }
        for command in &self.commands {
            if command
                .low
                .iter()
                .zip(&command.high)
                .any(|(low, high)| low > high)
            {
                return Err(Error::invalid(format!(
                    "command `{}`: a lower bound is above its upper bound",
                    command.name
                )));
            }
        }
        self.resolve_randomization(model)?;
        Ok(self)
    }

    /// Finds what the randomization means in the model, and shows its draws to whom it is said.
    fn resolve_randomization(&mut self, model: &Model) -> Result<()> {
        let params = self.parameters();
        let keys: Vec<String> = params
            .keys()
            .filter(|key| !key.starts_with("randomize."))
            .map(String::from)
            .collect();
        let rewards: Vec<&str> = self.rewards.iter().map(|term| term.name.as_str()).collect();
        let randomization = Randomization::new(&self.randomize, model, &keys)?;
        self.randomization = Arc::new(randomization.with_adr(self.adr.as_ref(), &rewards)?);
        if let Some(group) = self
            .randomized_group
            .clone()
            .filter(|_| !self.randomization.is_empty())
        {
            self.show(&group, RANDOMIZED, self.randomization.draws())?;
        }
        if let Some(group) = self
            .variants
            .observer
            .clone()
            .filter(|_| !self.variants.names.is_empty())
        {
            self.show(&group, VARIANT, self.variants.names.len())?;
        }
        Ok(())
    }

    /// Adds a term of the simulator's own to a group, which is made of the terms of `policy` if there is none of its name.
    fn show(&mut self, group: &str, term: &str, dim: usize) -> Result<()> {
        if self.groups.iter().all(|known| known.name != *group) {
            let policy = self.group("policy")?.1.terms.iter();
            let terms = policy.map(|term| ObservationTerm {
                sensor: Sensor::default(),
                ..term.clone()
            });
            let terms = terms.collect();
            self.groups.push(Group {
                name: group.into(),
                terms,
            });
        }
        for known in self.groups.iter_mut().filter(|known| known.name == *group) {
            known.terms.push(ObservationTerm {
                name: term.into(),
                dim,
                scale: None,
                sensor: Sensor::default(),
                clip: None,
            });
        }
        Ok(())
    }

    /// Adds what the sensors' options make necessary, and checks them.
    fn finish_sensors(&mut self) -> Result<()> {
        if let Some([group, term]) = self.misplaced.first() {
            let (_, group) = self.group(group)?;
            let known = group.terms.iter().map(|term| term.name.as_str());
            let error = unknown("observation term", term, known);
            return Err(error.context(format!("sensor of group `{}`", group.name)));
        }
        let dt = self.control_dt;
        for group in &mut self.groups {
            for ObservationTerm {
                name, dim, sensor, ..
            } in &mut group.terms
            {
                sensor.complete();
                let place = format!("observation.{}.{name}", group.name);
                sensor
                    .check(*dim, dt)
                    .map_err(|error| error.context(place))?;
            }
        }
        Ok(())
    }

    /// Physics steps in one control step.
    ///
    /// # Errors
    /// `control_dt` is no positive integer multiple of the model's timestep.
    pub fn substeps(&self, model: &Model) -> Result<u32> {
        let timestep = model.opt.timestep;
        let ratio = self.control_dt / timestep;
        let nearest = ratio.round();
        if !(1.0..=1e6).contains(&nearest) || (ratio - nearest).abs() > 1e-6 * nearest {
            let close = (nearest.max(1.0) * timestep * 1e9).round() / 1e9;
            return Err(Error::invalid(format!(
                "control_dt {} s is no integer multiple of the model's timestep {timestep} s",
                self.control_dt
            ))
            .hint(format!("the nearest multiple is {close}")));
        }
        Ok(nearest as u32)
    }
}

/// An actuator as an action component.
fn actuator(model: &Model, id: usize) -> Action {
    let name = match model.actuator_names.name(id) {
        "" => format!("actuator{id}"),
        name => name.to_string(),
    };
    let [low, high] = match model.actuator_ctrllimited[id] {
        true => model.actuator_ctrlrange[id],
        false => [f64::NEG_INFINITY, f64::INFINITY],
    };
    Action { name, low, high }
}

fn duplicate<'a>(names: &[&'a str]) -> Option<&'a str> {
    names
        .iter()
        .enumerate()
        .find(|(i, name)| names[..*i].contains(name))
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_dt_must_be_a_multiple_of_the_timestep() {
        let mut model = Model::default();
        model.opt.timestep = 0.005;
        assert_eq!(Spec::new(0.02, 1).substeps(&model).unwrap(), 4);
        let error = Spec::new(0.012, 1)
            .substeps(&model)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("0.012") && error.contains("nearest multiple is 0.01"),
            "{error}"
        );
        assert!(Spec::new(0.001, 1).substeps(&model).is_err());
        assert!(Spec::new(f64::NAN, 1).substeps(&model).is_err());
    }
}
