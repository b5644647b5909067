//! From a task and `key=value`s to a learner's configuration, in which every value knows who said it.
//!
//! Two sets of keys meet: the learner's (`worlds`, `ppo.gamma`) and the task's (`reward.alive.weight`), which stand
//! under `task` in the configuration. On the command line the task's are written with that prefix or without.

use toml::{Table, Value};

use crate::error::{Error, Result, near_matches};
use crate::tasks::Definition;
use crate::train::{Config, Layers, Origin};

/// The configuration of a new run, and the task as it is configured there.
///
/// Later layers win: the learner's defaults and the task's own numbers; what the task asks of the learner (`[train]` in
/// its `task.toml`); the command line's `assignments`.
pub(super) fn fresh(definition: &mut Definition, assignments: &[String]) -> Result<Layers> {
    let task_keys = definition.spec()?.keys();
    let before = definition.config.clone();
    let mut own = Vec::new();
    for assignment in assignments {
        let (key, value) = split(assignment)?;
        if let Some(key) = task_key(key, &task_keys) {
            own.push(format!("{key}={value}"));
        }
    }
    // The task checks the values.
    definition.set_all(own.iter().map(String::as_str))?;
    let mut layers = Config::layers(underlay(&before, &definition.config))?;
    layers
        .merge(&definition.train, Origin::Task)
        .map_err(|error| error.context(format!("{}/task.toml: [train]", definition.name)))?;
    assign(&mut layers, &task_keys, assignments)?;
    Ok(layers)
}

/// The configuration of a saved run with `assignments` over it. The learner decides which of them a run survives.
pub(super) fn resumed(
    mut layers: Layers,
    definition: &Definition,
    assignments: &[String],
) -> Result<Layers> {
    assign(&mut layers, &definition.spec()?.keys(), assignments)?;
    Ok(layers)
}

fn assign(layers: &mut Layers, task_keys: &[String], assignments: &[String]) -> Result<()> {
    let known: Vec<String> = layers
        .entries()
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    for assignment in assignments {
        let (key, value) = split(assignment)?;
        let full = match task_key(key, task_keys) {
            Some(key) => format!("task.{key}"),
            None => key.to_owned(),
        };
        let leaves = leaves(&full, value);
        let inside = format!("{full}.");
        let is_known = known.contains(&full) || known.iter().any(|key| key.starts_with(&inside));
        // An empty table, as of a variant that changes nothing, has no keys; the task has checked it.
        let changes_nothing = leaves.is_empty() && task_key(key, task_keys).is_some();
        if !is_known && !changes_nothing {
            return Err(unknown(key, &known, task_keys));
        }
        for (key, value) in leaves {
            layers.set(&format!("{key}={value}"), Origin::CommandLine)?;
        }
    }
    Ok(())
}

/// The keys and values that an inline table stands for; anything else is one value.
fn leaves(key: &str, value: &str) -> Vec<(String, String)> {
    match format!("value = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut t| t.remove("value"))
    {
        Some(Value::Table(table)) => {
            let inner = table.iter();
            inner
                .flat_map(|(part, value)| leaves(&format!("{key}.{part}"), &value.to_string()))
                .collect()
        }
        _ => vec![(key.to_owned(), value.to_owned())],
    }
}

fn split(assignment: &str) -> Result<(&str, &str)> {
    let parts = assignment
        .split_once('=')
        .map(|(key, value)| (key.trim(), value.trim()));
    parts.filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
        Error::invalid(format!("`{assignment}` is not of the form key=value"))
            .hint("for example ppo.gamma=0.99")
    })
}

/// The task's own name of a key, if it has one.
fn task_key<'k>(key: &'k str, task_keys: &[String]) -> Option<&'k str> {
    // Of tables that grow the task alone knows the keys, and patterns fit whatever it has.
    let grows = |key: &str| {
        let tables = ["actuator.", "randomize.", "variants."];
        tables.iter().any(|table| key.starts_with(table)) || key.contains(['*', '?'])
    };
    let known = |key: &str| task_keys.iter().any(|known| known == key) || grows(key);
    if known(key) {
        return Some(key);
    }
    key.strip_prefix("task.").filter(|key| known(key))
}

fn unknown(key: &str, learner: &[String], task: &[String]) -> Error {
    let own = learner.iter().filter(|key| !key.starts_with("task."));
    let names: Vec<&str> = own.chain(task).map(String::as_str).collect();
    // The right name without its table, `gamma` for `ppo.gamma`, is nearer than any typing error.
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let mut near: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| last(name) == last(key))
        .take(3)
        .collect();
    if near.is_empty() {
        near = near_matches(key, names);
    }
    Error::invalid(format!("unknown key `{key}`")).hint(match near.as_slice() {
        [] => "train TASK --show-config prints every key".to_owned(),
        near => format!("did you mean `{}`?", near.join("` or `")),
    })
}

/// `after` with the values of `before` where it has them, as numbers of `after`'s type.
fn underlay(before: &Table, after: &Table) -> Table {
    let value = |(key, after): (&String, &Value)| {
        let value = match (before.get(key), after) {
            (Some(Value::Table(before)), Value::Table(after)) => {
                Value::Table(underlay(before, after))
            }
            (Some(before), after) if before.is_table() == after.is_table() => like(before, after),
            (_, after) => after.clone(),
        };
        (key.clone(), value)
    };
    after.iter().map(value).collect()
}

/// `value`, as a float where `model` is one.
fn like(value: &Value, model: &Value) -> Value {
    match (value, model) {
        (Value::Integer(value), Value::Float(_)) => Value::Float(*value as f64),
        (Value::Array(values), Value::Array(models)) if models.iter().any(Value::is_float) => {
            let float = Value::Float(0.0);
            Value::Array(values.iter().map(|value| like(value, &float)).collect())
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Registry;

    fn layers(assignments: &[&str]) -> Result<(Layers, Definition)> {
        let mut definition = Registry::builtin().load("cartpole")?;
        let assignments: Vec<String> = assignments.iter().map(|text| (*text).to_owned()).collect();
        Ok((fresh(&mut definition, &assignments)?, definition))
    }

    fn entry(layers: &Layers, key: &str) -> (String, Origin) {
        let entries = layers.entries();
        let entry = entries
            .iter()
            .find(|entry| entry.key == key)
            .expect("the key is there");
        (entry.value.to_string(), entry.origin)
    }

    #[test]
    fn an_inline_table_is_all_its_keys() {
        let (layers, definition) =
            layers(&["randomize.mass={field=\"body_mass\",scale={uniform=[0.5,2.0]}}"]).unwrap();
        let origin = entry(&layers, "task.randomize.mass.field").1;
        assert_eq!(origin, Origin::CommandLine);
        let config = Config::from_layers(&layers).unwrap();
        assert_eq!(config.task["randomize"], definition.config["randomize"]);
        assert_eq!(definition.spec().unwrap().randomization().draws(), 2);
    }

    #[test]
    fn a_variant_that_changes_nothing_is_an_empty_table() {
        let set = ["variants.own={}", "variants.heavy={geom={pole={mass=2}}}"];
        let (layers, definition) = layers(&set).unwrap();
        let config = Config::from_layers(&layers).unwrap();
        assert_eq!(config.task["variants"], definition.config["variants"]);
        assert_eq!(definition.variants().unwrap().len(), 2);
    }

    #[test]
    fn a_switch_takes_the_place_of_a_table() {
        let mut definition = Registry::builtin().load("cartpole").expect("is built in");
        let text = "[randomize.gain]\nuniform = [1, 2]\nadr = { limits = [0, 3], step = 1 }\n\
                    [randomize.adr]\nlow = 1\nhigh = 2\n";
        definition
            .config
            .extend(text.parse::<Table>().expect("is TOML"));
        let with = |definition: &Definition| {
            definition
                .spec()
                .unwrap()
                .randomization()
                .boundaries()
                .len()
        };
        assert_eq!(with(&definition), 2);
        let layers = fresh(&mut definition, &["randomize.adr=false".into()]).unwrap();
        assert_eq!(with(&definition), 0);
        let config = Config::from_layers(&layers).unwrap();
        assert_eq!(config.task["randomize"], definition.config["randomize"]);
    }

    #[test]
    fn both_sets_of_keys_are_set_and_know_their_origin() {
        let (layers, definition) = layers(&[
            "ppo.gamma=0.5",
            "reward.alive.weight=2.5",
            "task.reset.noise=1",
        ])
        .unwrap();
        assert_eq!(
            entry(&layers, "ppo.gamma"),
            ("0.5".into(), Origin::CommandLine)
        );
        assert_eq!(
            entry(&layers, "task.reward.alive.weight"),
            ("2.5".into(), Origin::CommandLine)
        );
        assert_eq!(entry(&layers, "task.limit.angle").1, Origin::Default);
        let config = Config::from_layers(&layers).unwrap();
        assert_eq!(config.task["reset"]["noise"].as_float(), Some(1.0));
        assert_eq!(
            definition
                .spec()
                .unwrap()
                .parameters()
                .get("reward.alive.weight")
                .unwrap(),
            2.5
        );
    }

    #[test]
    fn keys_that_the_task_file_does_not_mention_can_be_set() {
        let (layers, _) = layers(&["observation.policy.qpos.noise=0.1"]).unwrap();
        let key = "task.observation.policy.qpos.noise";
        assert_eq!(entry(&layers, key), ("0.1".into(), Origin::CommandLine));
    }

    #[test]
    fn wrong_keys_and_values_are_refused_with_a_near_match() {
        let error = |assignment: &str| layers(&[assignment]).err().expect(assignment).to_string();
        assert!(error("gamma=0.5").contains("did you mean `ppo.gamma`"));
        assert!(error("reward.alife.weight=1").contains("`reward.alive.weight`"));
        assert!(error("ppo.gamam=1").contains("`ppo.gamma`"));
        assert!(error("ppo.gamma").contains("key=value"));
        assert!(error("ppo.gamma=high").contains("float"));
        assert!(error("reward.alive.weight=high").contains("reward.alive.weight"));
        assert!(error("ppo=1").contains("is a table"));
    }
}
