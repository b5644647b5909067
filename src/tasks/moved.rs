//! Numbers that changed, back into a configuration: what training reached, as `task.toml` would have said it.

use toml::{Table, Value};

use super::params::Params;
use super::registry::Definition;
use super::spec::Spec;
use crate::error::{Error, Result};

impl Definition {
    /// Configures other values of the adjustable numbers, so that an environment begins with them;
    /// [`Definition::set`] changes them again. `values` are those of [`Params::values`] in an environment of this task as it
    /// is configured now. Gives the keys of `task.toml` that changed, with what stands there now.
    ///
    /// # Errors
    /// Another number of values, or one that no configuration can say; then nothing changed.
    pub fn set_parameters(&mut self, values: &[f64]) -> Result<Vec<(String, Value)>> {
        let spec = self.spec()?;
        let old = spec.parameters();
        if values.len() != old.len() {
            let error = Error::invalid(format!("{} numbers", values.len()));
            return Err(error.hint(format!("task {} has {}", self.name, old.len())));
        }
        let mut new = old.clone();
        let mut said: Vec<&str> = Vec::new();
        for ((key, old), value) in old.keys().zip(old.values()).zip(values) {
            if old != value {
                new.set(key, *value)?;
                let (whole, _) = key.split_once('[').unwrap_or((key, ""));
                if !said.contains(&whole) {
                    said.push(whole);
                }
            }
        }
        let said: Vec<(String, Value)> = said
            .into_iter()
            .map(|key| (key.to_owned(), say(&spec, &new, key)))
            .collect();
        let mut config = self.config.clone();
        for (key, value) in &said {
            place(&mut config, key, value.clone())?;
        }
        let before = std::mem::replace(&mut self.config, config);
        let read = self.spec().and_then(|spec| check(&new, &spec.parameters()));
        if read.is_err() {
            self.config = before;
        }
        read.map(|()| said)
    }
}

/// What a configuration says under a key, with these numbers.
fn say(spec: &Spec, params: &Params, key: &str) -> Value {
    let value = |key: &str| params.get(key).ok();
    let entries = spec.randomize.iter();
    if let Some(said) = entries.filter_map(|entry| entry.said(key, value)).next() {
        return said;
    }
    match value(key) {
        Some(single) => number(single),
        None => {
            let items = (0..).map_while(|index| value(&format!("{key}[{index}]")));
            Value::Array(items.map(number).collect())
        }
    }
}

/// A number as TOML: whole ones as integers, which stand for floats, too.
fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => Value::Integer(value as i64),
        false => Value::Float(value),
    }
}

/// Puts a value under a dotted key.
fn place(config: &mut Table, key: &str, value: Value) -> Result<()> {
    let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut table = config;
    for part in tables.split('.').filter(|part| !part.is_empty()) {
        let inner = table.entry(part).or_insert_with(|| Table::new().into());
        table = inner
            .as_table_mut()
            .ok_or_else(|| Error::invalid(format!("`{part}` in `{key}` is no table")))?;
    }
    table.insert(last.into(), value);
    Ok(())
}

/// Whether a configuration says what was wanted: there may be keys that it reads otherwise, or not at all.
fn check(wanted: &Params, read: &Params) -> Result<()> {
    for (key, value) in wanted.keys().zip(wanted.values()) {
        if read.get(key)? != *value {
            let error = Error::invalid(format!("`{key}` had become {value}"));
            return Err(error.hint("no configuration can say that"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Registry;

    fn definition(text: &str) -> Definition {
        let mut definition = Registry::builtin().load("cartpole").expect("is built in");
        let more: Table = text.parse().expect("is TOML");
        definition.config.extend(more);
        definition
    }

    /// What an environment's parameters are after some changed.
    fn after(definition: &Definition, changes: &[(&str, f64)]) -> Vec<f64> {
        let mut params = definition.spec().expect("is right").parameters();
        for (key, value) in changes {
            params.set(key, *value).expect("exists");
        }
        params.values().to_vec()
    }

    #[test]
    fn numbers_are_said_where_they_were_said() {
        let text = "[randomize.base]\nuniform = [0.5, 1.5]\n\
            [randomize.mass]\nfield = \"body_mass\"\nscale.truncated_normal = [\"base\", 0.1, 0.9, 1.1]\n\
            adr = { limits = [0.5, 2], step = 0.1 }\n\
            [randomize.gravity]\nfield = \"gravity\"\ncomponents = 2\nset.categorical = [[-9.81, -1.6], [1, 2]]\n\
            [randomize.gain]\nfield = \"actuator_gainprm\"\ncomponents = 0\nscale.constant = 1\n\
            timing = \"interval\"\ninterval = 2\n\
            [randomize.adr]\nlow = 1\nhigh = 2\n";
        let mut reached = definition(text);
        let changes = [
            ("reward.alive.weight", 3.0),
            ("randomize.mass.scale.truncated_normal[3]", 1.3),
            ("randomize.gravity.set.categorical[2]", 0.0),
            ("randomize.gain.scale.constant", 0.25),
            ("randomize.gain.interval", 5.0),
            ("randomize.adr.episodes", 100.0),
        ];
        let values = after(&reached, &changes);
        let said = reached.set_parameters(&values).unwrap();
        let said: Vec<String> = said.iter().map(|(key, v)| format!("{key} = {v}")).collect();
        assert_eq!(
            said,
            [
                "reward.alive.weight = 3",
                "randomize.mass.scale.truncated_normal = [\"base\", 0.1, 0.9, 1.3]",
                "randomize.gravity.set.categorical = [[-9.81, -1.6], [0.0, 2.0]]",
                "randomize.gain.scale.constant = 0.25",
                "randomize.gain.interval = 5",
                "randomize.adr.episodes = 100",
            ]
        );
        assert_eq!(reached.spec().unwrap().parameters().values(), values);
        // What is said later wins.
        let explicit = "randomize.mass.scale.truncated_normal=[1, 0.1, 0.8, 1.2]";
        reached.set(explicit).unwrap();
        let params = reached.spec().unwrap().parameters();
        let edge = params.get("randomize.mass.scale.truncated_normal[3]");
        assert_eq!(edge.unwrap(), 1.2);
    }

    #[test]
    fn nothing_changes_where_nothing_moved_or_the_numbers_do_not_fit() {
        let mut same = definition("[randomize.gain]\nuniform = [1, 2]");
        let config = same.config.clone();
        let values = after(&same, &[]);
        assert_eq!(same.set_parameters(&values).unwrap(), []);
        let error = same.set_parameters(&values[1..]).unwrap_err().to_string();
        assert!(error.contains("task cartpole has"), "{error}");
        // A range whose edges have crossed.
        let crossed = after(&same, &[("randomize.gain.uniform[0]", 3.0)]);
        assert!(same.set_parameters(&crossed).is_err());
        assert_eq!(same.config, config);
    }
}
