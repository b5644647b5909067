//! What a task declares once, on the host: groups of observation terms, actions, rewards, commands, own state, numbers.
//!
//! A [`Spec`] names things and gives their sizes. The numbers in it are defaults that `task.toml` overrides
//! ([`Spec::configure`]) and that become *parameters*: values in a table on the device, addressed by the same dotted
//! key, so `env.params().set("reward.upright.weight", 2.0)` needs no rebuild.
//!
//! | key in `task.toml` and in [`Params`] | meaning |
//! |---|---|
//! | `control_dt`, `max_episode_steps` | structure: fixed when the environment is built |
//! | `observation.GROUP.TERM.scale` / `.noise` / `.clip` | applied as `scale · clip(value + noise · ξ)`, ξ standard normal |
//! | `reward.TERM.weight` | the reward is the sum of weight · term |
//! | `termination.TERM.enabled` | 0 switches the term off |
//! | `command.NAME.low` / `.high` / `.interval` | uniform range per component; seconds between samples |
//! | anything declared with [`Spec::param`] | the task's own number |
//! | `task.KEY` | options that the task reads itself in [`Task::spec`](super::Task::spec) |
//!
//! Order of noise, clip and scale as in Isaac Lab's observation manager. A scale, noise, clip or `enabled` that
//! `task.toml` does not mention costs nothing on the device, and then cannot be set later either.

use toml::Table;

use super::params::Params;
use crate::error::{Error, Result, near_matches};
use crate::model::Model;

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
    /// Standard deviation of added Gaussian noise in the term's own unit, if it is adjustable.
    pub noise: Option<f64>,
    /// Bounds applied after the noise and before the scale, if they are adjustable.
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
    /// The task's own numbers: key and value.
    pub params: Vec<(String, f64)>,
    /// Keys that the task reads itself from the table `task`.
    pub options: Vec<String>,
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
            params: Vec::new(),
            options: Vec::new(),
        }
    }

    /// Adds an action component with the bounds of its useful range.
    #[must_use]
    pub fn action(mut self, name: &str, low: f64, high: f64) -> Self {
        self.actions.push(Action { name: name.into(), low, high });
        self
    }

    /// Adds a term of `dim` values to an observation group; the first use of a group's name adds the group.
    #[must_use]
    pub fn observe(mut self, group: &str, term: &str, dim: usize) -> Self {
        let term = ObservationTerm { name: term.into(), dim, scale: None, noise: None, clip: None };
        match self.groups.iter_mut().find(|known| known.name == group) {
            Some(known) => known.terms.push(term),
            None => self.groups.push(Group { name: group.into(), terms: vec![term] }),
        }
        self
    }

    /// Adds a reward term.
    #[must_use]
    pub fn reward(mut self, name: &str, weight: f64) -> Self {
        self.rewards.push(RewardTerm { name: name.into(), weight });
        self
    }

    /// Adds a termination term.
    #[must_use]
    pub fn termination(mut self, name: &str) -> Self {
        self.terminations.push(TerminationTerm { name: name.into(), enabled: None });
        self
    }

    /// Adds a command drawn from `ranges` (low, high per component) every `interval` seconds; 0: once per episode.
    #[must_use]
    pub fn command(mut self, name: &str, ranges: &[[f64; 2]], interval: f64) -> Self {
        let (low, high) = ranges.iter().map(|[low, high]| (*low, *high)).unzip();
        self.commands.push(Command { name: name.into(), low, high, interval });
        self
    }

    /// Adds a quantity of the task's own, zero at first.
    #[must_use]
    pub fn own(mut self, name: &str, dim: usize) -> Self {
        self.own.push(Own { name: name.into(), dim });
        self
    }

    /// Adds a history of the last `length` entries of `dim` values.
    #[must_use]
    pub fn history(mut self, name: &str, dim: usize, length: usize) -> Self {
        self.histories.push(History { name: name.into(), dim, length });
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

    /// The group of that name.
    ///
    /// # Errors
    /// There is none; the hint names close ones.
    pub fn group(&self, name: &str) -> Result<(usize, &Group)> {
        let found = self.groups.iter().enumerate().find(|(_, group)| group.name == name);
        found.ok_or_else(|| unknown("observation group", name, self.groups.iter().map(|group| group.name.as_str())))
    }

    /// Overrides the numbers with those of a `task.toml`.
    ///
    /// # Errors
    /// An unknown key (the hint names close ones), or a value of the wrong type or length.
    pub fn configure(&mut self, config: &Table) -> Result<()> {
        for (key, value) in flatten(config) {
            self.set(&key, &value).map_err(|error| error.context("task.toml"))?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &toml::Value) -> Result<()> {
        let number = || scalar(key, value);
        let parts: Vec<&str> = key.split('.').collect();
        let known = match parts.as_slice() {
            ["control_dt"] => Some(self.control_dt = number()?),
            ["max_episode_steps"] => Some(self.max_episode_steps = count(key, value)?),
            ["observation", group, term, field] => {
                let groups = self.groups.iter_mut().filter(|known| known.name == *group);
                let term = groups.flat_map(|group| &mut group.terms).find(|known| known.name == *term);
                match (term, *field) {
                    (Some(term), "scale") => Some(term.scale = Some(number()?)),
                    (Some(term), "noise") => Some(term.noise = Some(number()?)),
                    (Some(term), "clip") => {
                        let bounds = numbers(key, value, 2)?;
                        Some(term.clip = Some([bounds[0], bounds[1]]))
                    }
                    _ => None,
                }
            }
            ["reward", term, "weight"] => match self.rewards.iter_mut().find(|known| known.name == *term) {
                Some(term) => Some(term.weight = number()?),
                None => None,
            },
            ["termination", term, "enabled"] => match self.terminations.iter_mut().find(|known| known.name == *term) {
                Some(term) => Some(term.enabled = Some(number()?)),
                None => None,
            },
            ["command", command, field] => {
                match (self.commands.iter_mut().find(|known| known.name == *command), *field) {
                    (Some(command), "low") => Some(command.low = numbers(key, value, command.low.len())?),
                    (Some(command), "high") => Some(command.high = numbers(key, value, command.high.len())?),
                    (Some(command), "interval") => Some(command.interval = number()?),
                    _ => None,
                }
            }
            ["task", option] if self.options.iter().any(|known| known == option) => Some(()),
            _ => None,
        };
        if known.is_some() {
            return Ok(());
        }
        match self.params.iter_mut().find(|(known, _)| known == key) {
            Some((_, param)) => {
                *param = number()?;
                Ok(())
            }
            None => {
                let keys = self.keys();
                Err(unknown("key", key, keys.iter().map(String::as_str)))
            }
        }
    }

    /// Every key that `task.toml` may hold.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = vec!["control_dt".to_string(), "max_episode_steps".to_string()];
        for group in &self.groups {
            for term in &group.terms {
                let fields = ["scale", "noise", "clip"];
                keys.extend(fields.map(|field| format!("observation.{}.{}.{field}", group.name, term.name)));
            }
        }
        keys.extend(self.rewards.iter().map(|term| format!("reward.{}.weight", term.name)));
        keys.extend(self.terminations.iter().map(|term| format!("termination.{}.enabled", term.name)));
        for command in &self.commands {
            keys.extend(["low", "high", "interval"].map(|field| format!("command.{}.{field}", command.name)));
        }
        keys.extend(self.params.iter().map(|(key, _)| key.clone()));
        keys.extend(self.options.iter().map(|option| format!("task.{option}")));
        keys
    }

    /// The adjustable numbers as they stand, by key; components of vectors are `key[i]`.
    pub fn parameters(&self) -> Params {
        let mut params = Params::default();
        for group in &self.groups {
            for term in &group.terms {
                let key = |field: &str| format!("observation.{}.{}.{field}", group.name, term.name);
                if let Some(scale) = term.scale {
                    params.add(key("scale"), scale);
                }
                if let Some(noise) = term.noise {
                    params.add(key("noise"), noise);
                }
                if let Some([low, high]) = term.clip {
                    params.add(key("clip[0]"), low);
                    params.add(key("clip[1]"), high);
                }
            }
        }
        for term in &self.rewards {
            params.add(format!("reward.{}.weight", term.name), term.weight);
        }
        for term in &self.terminations {
            if let Some(enabled) = term.enabled {
                params.add(format!("termination.{}.enabled", term.name), enabled);
            }
        }
        for command in &self.commands {
            for (i, (low, high)) in command.low.iter().zip(&command.high).enumerate() {
                params.add(format!("command.{}.low[{i}]", command.name), *low);
                params.add(format!("command.{}.high[{i}]", command.name), *high);
            }
            params.add(format!("command.{}.interval", command.name), command.interval);
        }
        for (key, value) in &self.params {
            params.add(key.clone(), *value);
        }
        params
    }

    /// Fills in what follows from the model, and checks the whole.
    ///
    /// # Errors
    /// `control_dt` is no integer multiple of the timestep, an episode of no steps, no observations, a name twice, or
    /// a group that is empty.
    pub(crate) fn finish(mut self, model: &Model) -> Result<Self> {
        self.substeps(model)?;
        if self.max_episode_steps == 0 {
            return Err(Error::invalid("max_episode_steps is 0").hint("give at least 1 control step"));
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
            named("terms of one observation group", group.terms.iter().map(|term| term.name.as_str()).collect())?;
        }
        named("actions", self.actions.iter().map(|action| action.name.as_str()).collect())?;
        named("reward terms", self.rewards.iter().map(|term| term.name.as_str()).collect())?;
        named("termination terms", self.terminations.iter().map(|term| term.name.as_str()).collect())?;
        named("commands", self.commands.iter().map(|command| command.name.as_str()).collect())?;
        let own = self.own.iter().map(|own| own.name.as_str());
        named("own quantities or histories", own.chain(self.histories.iter().map(|h| h.name.as_str())).collect())?;
        named("parameters", self.params.iter().map(|(key, _)| key.as_str()).collect())?;
        for history in &self.histories {
            if history.length == 0 {
                return Err(Error::invalid(format!("history `{}` has no entries", history.name)));
            }
        }
        for command in &self.commands {
            if command.low.iter().zip(&command.high).any(|(low, high)| low > high) {
                return Err(Error::invalid(format!("command `{}`: a lower bound is above its upper bound", command.name)));
            }
        }
        Ok(self)
    }

    /// Physics steps in one control step.
    ///
    /// # Errors
    /// `control_dt` is no positive integer multiple of the model's timestep.
    pub fn substeps(&self, model: &Model) -> Result<u32> {
        let timestep = model.opt.timestep;
        let ratio = self.control_dt / timestep;
        let nearest = ratio.round();
        if !(nearest >= 1.0 && nearest <= 1e6) || (ratio - nearest).abs() > 1e-6 * nearest {
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

/// The leaves of a table with their dotted keys.
fn flatten(table: &Table) -> Vec<(String, toml::Value)> {
    let mut leaves = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                leaves.extend(flatten(inner).into_iter().map(|(rest, leaf)| (format!("{key}.{rest}"), leaf)));
            }
            leaf => leaves.push((key.clone(), leaf.clone())),
        }
    }
    leaves
}

fn scalar(key: &str, value: &toml::Value) -> Result<f64> {
    match value {
        toml::Value::Float(number) if number.is_finite() => Ok(*number),
        toml::Value::Integer(number) => Ok(*number as f64),
        toml::Value::Boolean(flag) => Ok(f64::from(u8::from(*flag))),
        other => Err(Error::invalid(format!("`{key}` is {other}")).hint("it takes a finite number")),
    }
}

fn count(key: &str, value: &toml::Value) -> Result<u32> {
    let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| Error::invalid(format!("`{key}` is {value}")).hint("it takes a positive integer"))
}

fn numbers(key: &str, value: &toml::Value, length: usize) -> Result<Vec<f64>> {
    let items = value.as_array().filter(|items| items.len() == length);
    let items = items.ok_or_else(|| {
        Error::invalid(format!("`{key}` is {value}")).hint(format!("it takes an array of {length} numbers"))
    })?;
    items.iter().map(|item| scalar(key, item)).collect()
}

fn duplicate<'a>(names: &[&'a str]) -> Option<&'a str> {
    names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)).map(|(_, name)| *name)
}

/// An error for a name that is not known, with those that come close.
pub(crate) fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.into_iter().collect();
    let error = Error::invalid(format!("unknown {what} `{name}`"));
    match near_matches(name, known.iter().copied()).as_slice() {
        [] if known.is_empty() => error.hint(format!("the task has no {what}")),
        [] => error.hint(format!("known: {}", known.join(", "))),
        close => error.hint(format!("did you mean `{}`?", close.join("`, `"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec::new(0.04, 1000)
            .observe("policy", "position", 2)
            .observe("critic", "position", 2)
            .reward("upright", 1.0)
            .termination("fallen")
            .command("velocity", &[[-1.0, 1.0], [0.0, 0.5]], 10.0)
            .param("reset.noise", 0.01)
            .option("poles")
    }

    fn configured(text: &str) -> Result<Spec> {
        let mut spec = spec();
        spec.configure(&text.parse::<Table>().expect("the test's toml parses"))?;
        Ok(spec)
    }

    #[test]
    fn a_file_overrides_the_defaults() {
        let text = "max_episode_steps = 500\n[reward.upright]\nweight = 2.5\n[reset]\nnoise = 0.1\n[task]\npoles = 2\n\
                    [observation.policy.position]\nnoise = 0.02\nclip = [-1, 1]\n[command.velocity]\nlow = [-2, 0]\n";
        let spec = configured(text).unwrap();
        assert_eq!(spec.max_episode_steps, 500);
        let params = spec.parameters();
        assert_eq!(params.get("reward.upright.weight").unwrap(), 2.5);
        assert_eq!(params.get("reset.noise").unwrap(), 0.1);
        assert_eq!(params.get("observation.policy.position.clip[0]").unwrap(), -1.0);
        assert_eq!(params.get("command.velocity.low[0]").unwrap(), -2.0);
        assert!(params.get("observation.critic.position.noise").is_err(), "the critic's noise was not declared");
    }

    #[test]
    fn an_unknown_key_names_its_neighbour() {
        let error = configured("[reward.uprihgt]\nweight = 1.0").unwrap_err().to_string();
        assert!(error.starts_with("task.toml: unknown key `reward.uprihgt.weight`"), "{error}");
        assert!(error.contains("did you mean `reward.upright.weight`"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_refused() {
        for text in ["[command.velocity]\nlow = [1]", "[reset]\nnoise = \"a\"", "max_episode_steps = -1", "[reset]\nnoise = nan"] {
            assert!(configured(text).is_err(), "{text}");
        }
    }

    #[test]
    fn control_dt_must_be_a_multiple_of_the_timestep() {
        let mut model = Model::default();
        model.opt.timestep = 0.005;
        assert_eq!(Spec::new(0.02, 1).substeps(&model).unwrap(), 4);
        let error = Spec::new(0.012, 1).substeps(&model).unwrap_err().to_string();
        assert!(error.contains("0.012") && error.contains("nearest multiple is 0.01"), "{error}");
        assert!(Spec::new(0.001, 1).substeps(&model).is_err());
        assert!(Spec::new(f64::NAN, 1).substeps(&model).is_err());
    }
}
