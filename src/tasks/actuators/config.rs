//! From `[actuator.NAME]` of a `task.toml` to an [`Actuator`].

use toml::Value;

use super::declare::{Actuator, Latency, Law, Per, Selection, Target, keys};
use crate::error::{Error, Result, unknown};

/// Sets one key of the model called `name`, which is new if there is none; `number` reads a number.
pub(crate) fn set(
    actuators: &mut Vec<Actuator>,
    [name, key]: [&str; 2],
    value: &Value,
    number: impl Fn(&Value) -> Result<f64>,
) -> Result<()> {
    if !known(key) {
        let all: Vec<String> = keys().map(|key| format!("actuator.{name}.{key}")).collect();
        let all = all.iter().map(String::as_str);
        return Err(unknown("key", &format!("actuator.{name}.{key}"), all));
    }
    let index = actuators.iter().position(|known| known.name == name);
    let index = index.unwrap_or_else(|| {
        actuators.push(Actuator::new(name));
        actuators.len() - 1
    });
    let actuator = &mut actuators[index];
    match key {
        "joints" => actuator.on = Selection::Joints(names(value)?),
        "actuators" => actuator.on = Selection::Actuators(names(value)?),
        "model" => actuator.law = one_of("actuator model", &Law::NAMES, value)?,
        "target" => actuator.target = one_of("target", &Target::NAMES, value)?,
        "file" => actuator.file = Some(text(value)?.into()),
        "latency.max" => ring(actuator).max = number(value)?,
        "latency.per" => ring(actuator).per = one_of("latency.per", &Per::NAMES, value)?,
        "latency.interpolate" => {
            let flag = value.as_bool();
            ring(actuator).interpolate = flag.ok_or_else(|| wrong(value, "true or false"))?;
        }
        _ => actuator.say(key, number(value)?),
    }
    Ok(())
}

fn known(key: &str) -> bool {
    keys().any(|known| known == key)
}

fn ring(actuator: &mut Actuator) -> &mut Latency {
    actuator.latency.get_or_insert_default()
}

fn names(value: &Value) -> Result<Vec<String>> {
    let expected = "a name or an array of names, in which * and ? stand for letters";
    match value {
        Value::String(name) => Ok(vec![name.clone()]),
        Value::Array(names) if !names.is_empty() => {
            let name = |name: &Value| name.as_str().map(str::to_owned);
            let names: Option<Vec<String>> = names.iter().map(name).collect();
            names.ok_or_else(|| wrong(value, expected))
        }
        _ => Err(wrong(value, expected)),
    }
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| wrong(value, "a string"))
}

fn one_of<T: Copy>(what: &str, names: &[(&'static str, T)], value: &Value) -> Result<T> {
    let name = text(value)?;
    let found = names.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        unknown(what, name, known)
    })
}

fn wrong(value: &Value, expected: &str) -> Error {
    Error::invalid(format!("it is {value}")).hint(format!("it takes {expected}"))
}
