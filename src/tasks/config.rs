//! From `task.toml` to the numbers of a [`Spec`], and from there to parameters.
//!
//! Parameters are values in a table on the device, addressed by the same dotted key as in the file, so
//! `env.params().set("reward.upright.weight", 2.0)` needs no rebuild.
//!
//! | key in `task.toml` and in [`Params`] | meaning |
//! |---|---|
//! | `control_dt`, `max_episode_steps` | structure: fixed when the environment is built |
//! | `observation.GROUP.TERM.…` | of every group and term whose name fits: `*` is any characters, `?` is one |
//! | `observation.GROUP.TERM.scale` / `.noise` / `.clip` | applied as `scale · clip(value + noise · ξ)`, ξ standard normal |
//! | … `.delay` / `.max_delay` | age of what is read, s, interpolated between control steps; the largest that can be set later (structure) |
//! | … `.gain` / `.bias` | standard deviations of a relative error and of an offset, drawn once per episode and value |
//! | … `.drift` / `.drift_time` | an offset that wanders, in the value's unit per √s; the time in which it returns, s (unless given, never) |
//! | … `.relative_noise` | white noise, in units of the value's running standard deviation in its world |
//! | … `.resolution` | readings are multiples of it |
//! | … `.rate` / `.random_phase` | samples per second, held in between; whether their phase is drawn per episode (structure) |
//! | … `.dropout` / `.dropout_to` | probability that a sample is lost; replaced by `"hold"` (the last) or `"zero"` (structure) |
//! | … `.freeze_rate` / `.freeze_time` | how often per second a reading freezes, for how long on average, s |
//! | … `.occlusion` | whether the term heeds [`Terms::occlude`](super::Terms::occlude) (structure) |
//! | … `.together` | how many consecutive values get lost and freeze together; all unless given (structure) |
//! | `reward.TERM.weight` | the reward is the sum of weight · term |
//! | `termination.TERM.enabled` | 0 switches the term off |
//! | `command.NAME.low` / `.high` / `.interval` | uniform range per component; seconds between samples |
//! | `actuator.NAME.KEY` | an actuator model, new or the task's own; its keys stand in [`actuators`](super::actuators) |
//! | anything declared with [`Spec::param`] | the task's own number |
//! | `randomize.NAME.…` | what differs from world to world, see [`randomize::configure`] |
//! | `randomize.preset` | the name of a preset, or of a file, or a list of them: they come first |
//! | `randomize.adr` | automatic domain randomization, see [`randomize::configure`] |
//! | `randomize.observe` | the observation group that sees what was drawn, as its last term `randomized` |
//! | `variants.NAME.…` | other bodies for groups of worlds, see [`variants`](super::variants) |
//! | `task.KEY` | options that the task reads itself in [`Task::spec`](super::Task::spec) |
//!
//! The stages of a sensor and their order stand in `sensing/mod.rs`. Order of noise, clip and scale as in Isaac Lab's
//! observation manager. A scale, clip, number of a sensor or `enabled` that
//! `task.toml` does not mention costs nothing on the device, and then cannot be set later either.

use toml::{Table, Value};

use super::actuators::{self, Actuator};
use super::params::Params;
use super::sensing::{Lost, Sensor};
use super::spec::{ObservationTerm, Spec};
use crate::error::{Error, Result, unknown};
use crate::randomize::{self, Adr, matches};

impl Spec {
    /// Overrides the numbers with those of a `task.toml`.
    ///
    /// # Errors
    /// An unknown key (the hint names close ones), or a value of the wrong type or length.
    pub fn configure(&mut self, config: &Table) -> Result<()> {
        if let Some(table) = config.get("randomize") {
            self.configure_randomization(table)
                .map_err(|error| error.context("task.toml"))?;
        }
        let elsewhere = ["randomize", "variants"];
        let others = config
            .iter()
            .filter(|(key, _)| !elsewhere.contains(&key.as_str()));
        let others: Table = others
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for (key, value) in flatten(&others) {
            self.set(&key, &value)
                .map_err(|error| error.context("task.toml"))?;
        }
        Ok(())
    }

    /// What a preset says beneath a configuration: patterns that fit nothing are passed over.
    fn build_on(&mut self, preset: &Table) -> Result<()> {
        for (key, value) in preset.iter().filter(|(key, _)| *key != "randomize") {
            let table = Table::from_iter([(key.clone(), value.clone())]);
            for (key, value) in flatten(&table) {
                let parts: Vec<&str> = key.split('.').collect();
                let fits = match parts.as_slice() {
                    ["observation", group, term, _] => self.terms(group, term).next().is_some(),
                    _ => true,
                };
                if fits {
                    self.set(&key, &value)?;
                }
            }
        }
        match preset.get("randomize") {
            Some(table) => self.configure_randomization(table),
            None => Ok(()),
        }
    }

    /// The observation terms whose names, and whose groups' names, fit patterns.
    fn terms<'a>(
        &'a mut self,
        group: &'a str,
        term: &'a str,
    ) -> impl Iterator<Item = &'a mut ObservationTerm> {
        let groups = self
            .groups
            .iter_mut()
            .filter(move |known| matches(group, &known.name));
        let terms = groups.flat_map(|group| &mut group.terms);
        terms.filter(move |known| matches(term, &known.name))
    }

    /// The table `randomize`: presets, who sees the draws, and entries.
    fn configure_randomization(&mut self, table: &Value) -> Result<()> {
        let mut entries = table
            .as_table()
            .cloned()
            .ok_or_else(|| Error::invalid("`randomize` is no table"))?;
        let text = |key: &str, value: &Value| {
            let text = value.as_str().map(String::from);
            text.ok_or_else(|| {
                Error::invalid(format!("`randomize.{key}` is {value}"))
                    .hint("it takes a text in quotes")
            })
        };
        if let Some(presets) = entries.remove("preset") {
            let names = match &presets {
                Value::Array(names) => names.iter().map(|name| text("preset", name)).collect(),
                single => text("preset", single).map(|name| vec![name]),
            };
            for name in names? {
                let preset = randomize::preset(&name)?;
                self.build_on(&preset)
                    .map_err(|error| error.context(format!("preset {name}")))?;
            }
        }
        if let Some(adr) = entries.remove("adr") {
            randomize::configure_adr(&mut self.adr, &adr)
                .map_err(|error| error.context("randomize.adr"))?;
        }
        if let Some(group) = entries.remove("observe") {
            self.randomized_group = Some(text("observe", &group)?);
        }
        randomize::configure(&mut self.randomize, &entries)
    }

    /// Sets the number of a key.
    fn set(&mut self, key: &str, value: &Value) -> Result<()> {
        let parts: Vec<&str> = key.split('.').collect();
        let known = match parts.as_slice() {
            ["control_dt"] => {
                self.control_dt = number(key, value)?;
                true
            }
            ["max_episode_steps"] => {
                self.max_episode_steps = count(key, value)?;
                true
            }
            ["observation", group, term, field] => {
                self.set_observation([group, term, field], key, value)?
            }
            ["reward", name, "weight"] => {
                let term = self.rewards.iter_mut().find(|term| term.name == *name);
                assign(term.map(|term| &mut term.weight), || number(key, value))?
            }
            ["termination", name, "enabled"] => {
                let term = self.terminations.iter_mut().find(|term| term.name == *name);
                assign(term.map(|term| &mut term.enabled), || {
                    number(key, value).map(Some)
                })?
            }
            ["command", name, field] => self.set_command(name, field, key, value)?,
            ["actuator", name, ..] if parts.len() > 2 => {
                let rest = parts[2..].join(".");
                let read = |value: &Value| number(key, value);
                actuators::set(&mut self.actuators, [name, &rest], value, read)
                    .map_err(|error| error.context(key))?;
                true
            }
            ["task", option] => self.options.iter().any(|known| known == option),
            _ => false,
        };
        let own = self.params.iter_mut().find(|(known, _)| known == key);
        if known || assign(own.map(|(_, param)| param), || number(key, value))? {
            return Ok(());
        }
        let keys = self.keys();
        Err(unknown("key", key, keys.iter().map(String::as_str)))
    }

    fn set_observation(&mut self, path: [&str; 3], key: &str, value: &Value) -> Result<bool> {
        let [group, name, field] = path;
        let mut known = false;
        for term in self.terms(group, name) {
            known = true;
            match field {
                "scale" => term.scale = Some(number(key, value)?),
                "clip" => {
                    let bounds = numbers(key, value, 2)?;
                    term.clip = Some([bounds[0], bounds[1]]);
                }
                _ => known &= set_sensor(&mut term.sensor, field, key, value)?,
            }
        }
        Ok(known)
    }

    fn set_command(&mut self, name: &str, field: &str, key: &str, value: &Value) -> Result<bool> {
        let command = self
            .commands
            .iter_mut()
            .find(|command| command.name == name);
        let dim = command.as_ref().map_or(0, |command| command.low.len());
        match field {
            "low" => assign(command.map(|command| &mut command.low), || {
                numbers(key, value, dim)
            }),
            "high" => assign(command.map(|command| &mut command.high), || {
                numbers(key, value, dim)
            }),
            "interval" => assign(command.map(|command| &mut command.interval), || {
                number(key, value)
            }),
            _ => Ok(false),
        }
    }

    /// Every key that `task.toml` may hold.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = vec!["control_dt".to_string(), "max_episode_steps".to_string()];
        for group in &self.groups {
            for term in &group.terms {
                let fields = ["scale", "clip"].into_iter().chain(Sensor::options());
                keys.extend(
                    fields.map(|field| format!("observation.{}.{}.{field}", group.name, term.name)),
                );
            }
        }
        keys.extend(
            self.rewards
                .iter()
                .map(|term| format!("reward.{}.weight", term.name)),
        );
        keys.extend(
            self.terminations
                .iter()
                .map(|term| format!("termination.{}.enabled", term.name)),
        );
        for command in &self.commands {
            keys.extend(
                ["low", "high", "interval"]
                    .map(|field| format!("command.{}.{field}", command.name)),
            );
        }
        keys.extend(self.actuators.iter().flat_map(Actuator::keys));
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
                for (number, value) in term.sensor.parameters(self.control_dt) {
                    params.add_within(key(number.name), value, number.range);
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
            params.add(
                format!("command.{}.interval", command.name),
                command.interval,
            );
        }
        for (key, value, range) in self.actuators.iter().flat_map(Actuator::parameters) {
            params.add_within(key, value, range);
        }
        for (key, value) in &self.params {
            params.add(key.clone(), *value);
        }
        for entry in &self.randomize {
            for (key, value) in entry.parameters() {
                params.add(key, value);
            }
        }
        for (key, value) in self.adr.iter().flat_map(Adr::parameters) {
            params.add(key, value);
        }
        params
    }
}

/// Sets an option of a sensor; whether there is such an option.
fn set_sensor(sensor: &mut Sensor, field: &str, key: &str, value: &Value) -> Result<bool> {
    match field {
        "max_delay" => sensor.max_delay = Some(number(key, value)?),
        "random_phase" => sensor.random_phase = flag(key, value)?,
        "occlusion" => sensor.occlusion = flag(key, value)?,
        "together" => sensor.together = Some(count(key, value)? as usize),
        "dropout_to" => {
            sensor.dropout_to = match value.as_str() {
                Some("hold") => Lost::Hold,
                Some("zero") => Lost::Zero,
                _ => {
                    let error = Error::invalid(format!("`{key}` is {value}"));
                    return Err(error.hint("it takes \"hold\" or \"zero\""));
                }
            }
        }
        _ => match sensor.number_mut(field) {
            Some(slot) => *slot = Some(number(key, value)?),
            None => return Ok(false),
        },
    }
    Ok(true)
}

/// Assigns where there is something to assign to; whether there was.
fn assign<T>(target: Option<&mut T>, value: impl FnOnce() -> Result<T>) -> Result<bool> {
    match target {
        Some(target) => {
            *target = value()?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// The leaves of a table with their dotted keys.
fn flatten(table: &Table) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                leaves.extend(
                    flatten(inner)
                        .into_iter()
                        .map(|(rest, leaf)| (format!("{key}.{rest}"), leaf)),
                );
            }
            leaf => leaves.push((key.clone(), leaf.clone())),
        }
    }
    leaves
}

fn number(key: &str, value: &Value) -> Result<f64> {
    match value {
        Value::Float(number) if number.is_finite() => Ok(*number),
        Value::Integer(number) => Ok(*number as f64),
        Value::Boolean(flag) => Ok(f64::from(u8::from(*flag))),
        other => {
            Err(Error::invalid(format!("`{key}` is {other}")).hint("it takes a finite number"))
        }
    }
}

fn flag(key: &str, value: &Value) -> Result<bool> {
    value
        .as_bool()
        .ok_or_else(|| Error::invalid(format!("`{key}` is {value}")).hint("it takes true or false"))
}

fn count(key: &str, value: &Value) -> Result<u32> {
    let number = value
        .as_integer()
        .and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| {
        Error::invalid(format!("`{key}` is {value}")).hint("it takes a positive integer")
    })
}

fn numbers(key: &str, value: &Value, length: usize) -> Result<Vec<f64>> {
    let items = value.as_array().filter(|items| items.len() == length);
    let items = items.ok_or_else(|| {
        Error::invalid(format!("`{key}` is {value}"))
            .hint(format!("it takes an array of {length} numbers"))
    })?;
    items.iter().map(|item| number(key, item)).collect()
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
        assert_eq!(
            params.get("observation.policy.position.clip[0]").unwrap(),
            -1.0
        );
        assert_eq!(params.get("command.velocity.low[0]").unwrap(), -2.0);
        assert!(
            params.get("observation.critic.position.noise").is_err(),
            "the critic's noise was not declared"
        );
    }

    #[test]
    fn an_unknown_key_names_its_neighbour() {
        let error = configured("[reward.uprihgt]\nweight = 1.0")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("task.toml: unknown key `reward.uprihgt.weight`"),
            "{error}"
        );
        assert!(
            error.contains("did you mean `reward.upright.weight`"),
            "{error}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_refused() {
        for text in [
            "[command.velocity]\nlow = [1]",
            "[reset]\nnoise = \"a\"",
            "max_episode_steps = -1",
            "[reset]\nnoise = nan",
        ] {
            assert!(configured(text).is_err(), "{text}");
        }
    }
}
