//! From the tables `[randomize.NAME]` of a configuration to entries.
//!
//! | key in `[randomize.NAME]` | meaning |
//! |---|---|
//! | `field` | what changes, one of [`fields`](super::fields); without it the draw is a number for others to read |
//! | `names` | a name or a list of names of bodies, joints, geoms, …; `*` is any characters, `?` one; all if not given |
//! | `components` | a component or a list of components of each row (x, y, z are 0, 1, 2), of a joint's for numbers of joints; all if not given |
//! | `scale.FAMILY`, `add.FAMILY`, `set.FAMILY` | what a draw does, and from which distribution (without `field`: `FAMILY`) |
//! | `timing` | `"startup"`, `"reset"` (if not given), `"interval"` (with `interval`, s), `"step"` |
//! | `per` | a draw for each `"number"` (if not given), for each `"element"`, or one for the `"world"` |
//! | `group` | entries of one group share their uniform numbers |
//! | `probability` | of making a draw that is due |
//! | `decay` | rate at which the draw decays between draws, towards what changes nothing, 1/s |
//! | `optional` | whether it may find nothing to change |
//! | `adr` | `{ limits = [lowest, highest], step = … }`: how far [`Adr`] may take the range, and how fast |
//!
//! | family | arguments |
//! |---|---|
//! | `constant` | value |
//! | `uniform`, `log_uniform` | `[low, high]` |
//! | `normal` | `[mean, deviation]` |
//! | `truncated_normal` | `[mean, deviation, low, high]` |
//! | `exponential` | rate or `[rate, start]` |
//! | `categorical` | `[values…]` or `[[values…], [weights…]]` |
//!
//! | key in `[randomize.adr]` | meaning |
//! |---|---|
//! | `metric` | what is measured at the edges of ranges: `"return"` (if not given), `"length"`, `"reward.NAME"` |
//! | `low`, `high` | an edge moves inwards where the mean is at most `low`, outwards where it is at least `high` |
//! | `episodes` | so many at an edge before it may move; 256 if not given |
//! | `boundary_share` | the share of episodes that are at an edge; 0.4 if not given |
//!
//! An argument, `probability` or `decay` may be the name of another entry, which stands further up: its draw is meant.

use toml::{Table, Value};

use super::adr::{Adr, Growth, Metric};
use super::distribution::{Argument, Distribution, Family};
use super::entry::{Entry, Operation, Per, Timing};
use crate::error::{Error, Result, unknown};

/// The keys of an entry beside its distribution.
const KEYS: [&str; 11] = [
    "field",
    "names",
    "components",
    "timing",
    "interval",
    "per",
    "group",
    "probability",
    "decay",
    "optional",
    "adr",
];

/// The keys of `[randomize.adr]`.
const ADR_KEYS: [&str; 5] = ["metric", "low", "high", "episodes", "boundary_share"];

/// Adds the entries of the table `randomize` to those that a task declares, or changes these where they have the same
/// name.
///
/// # Errors
/// An unknown key or name (the hint names close ones), a value of the wrong type, an entry without a distribution.
pub fn configure(entries: &mut Vec<Entry>, table: &Table) -> Result<()> {
    for (name, value) in table {
        let place = |error: Error| error.context(format!("randomize.{name}"));
        let Value::Table(table) = value else {
            let error = Error::invalid(format!("`{value}` is no table"));
            return Err(place(
                error.hint(format!("write [randomize.{name}] and its keys below")),
            ));
        };
        match entries.iter_mut().find(|entry| entry.name == *name) {
            Some(entry) => update(entry, table).map_err(place)?,
            None => entries.push(read(name, table).map_err(place)?),
        }
    }
    Ok(())
}

/// Reads the table `randomize.adr`, over what a preset says.
///
/// # Errors
/// An unknown key (the hint names close ones), a value of the wrong type, or no thresholds.
pub fn configure_adr(adr: &mut Option<Adr>, value: &Value) -> Result<()> {
    let table = value.as_table().ok_or_else(|| {
        wrong(
            "adr",
            value,
            "write [randomize.adr] and its keys below; `adr` is no entry's name",
        )
    })?;
    if let Some(key) = table.keys().find(|key| !ADR_KEYS.contains(&key.as_str())) {
        return Err(unknown("key", key, ADR_KEYS));
    }
    let given = |key: &str, old: Option<f64>| match (table.get(key), old) {
        (Some(value), _) => number(key, value),
        (None, Some(old)) => Ok(old),
        (None, None) => Err(Error::invalid(format!("no `{key}`"))
            .hint("say when edges move, as in low = 200, high = 800")),
    };
    let old = adr.as_ref();
    let low = given("low", old.map(|adr| adr.low))?;
    let high = given("high", old.map(|adr| adr.high))?;
    let mut new = Adr {
        low,
        high,
        ..old.cloned().unwrap_or(Adr::new(Metric::Return, low, high))
    };
    if let Some(metric) = table.get("metric") {
        new.metric = Metric::parse(&text("metric", metric)?)?;
    }
    if let Some(episodes) = table.get("episodes") {
        let count = index("episodes", episodes)?;
        new.episodes = u32::try_from(count)
            .map_err(|_| wrong("episodes", episodes, "it takes whole numbers from 1"))?;
    }
    new.boundary_share = given("boundary_share", Some(new.boundary_share))?;
    new.check()?;
    *adr = Some(new);
    Ok(())
}

/// How far a range may go, over what a preset says.
fn growth(old: Option<Growth>, value: &Value) -> Result<Growth> {
    let example = "as in adr = { limits = [0.5, 2.0], step = 0.05 }";
    let table = value
        .as_table()
        .ok_or_else(|| wrong("adr", value, example))?;
    if let Some(key) = table
        .keys()
        .find(|key| !["limits", "step"].contains(&key.as_str()))
    {
        return Err(unknown("key", key, ["limits", "step"]));
    }
    let missing = |key: &str| Error::invalid(format!("no `{key}`")).hint(example);
    let limits = match (table.get("limits"), old) {
        (Some(value), _) => {
            let limits = list(value, |item| number("limits", item))?;
            <[f64; 2]>::try_from(limits).map_err(|_| wrong("limits", value, example))?
        }
        (None, Some(old)) => old.limits,
        (None, None) => return Err(missing("limits")),
    };
    let step = match (table.get("step"), old) {
        (Some(value), _) => positive("step", value)?,
        (None, Some(old)) => old.step,
        (None, None) => return Err(missing("step")),
    };
    Ok(Growth { limits, step })
}

impl Entry {
    /// What stands in a configuration under `key`, if that is where the numbers of the distribution are; `number` gives
    /// those that are adjustable, by their own keys.
    pub(crate) fn said(&self, key: &str, number: impl Fn(&str) -> Option<f64>) -> Option<Value> {
        if key != self.place() {
            return None;
        }
        let arguments = &self.distribution.arguments;
        let said = arguments.iter().enumerate();
        let said = said.map(|(index, argument)| match argument {
            Argument::Number(own) => number(&self.argument_key(index)).unwrap_or(*own).into(),
            Argument::Drawn(name) => name.clone().into(),
        });
        let mut said: Vec<Value> = said.collect();
        Some(match self.distribution.family {
            Family::Categorical => {
                let weights = said.split_off(arguments.len() / 2);
                vec![Value::Array(said), Value::Array(weights)].into()
            }
            _ if said.len() == 1 => said.remove(0),
            _ => said.into(),
        })
    }
}

/// An entry of its own.
fn read(name: &str, table: &Table) -> Result<Entry> {
    if name.is_empty() || name.contains(['.', '[', ']', '=']) {
        return Err(Error::invalid(
            "a name has no dots, brackets or equals signs",
        ));
    }
    let mut entry = match table.get("field") {
        Some(_) => Entry::set(name, ""),
        None => Entry::free(name),
    };
    entry.distribution.arguments.clear();
    update(&mut entry, table)?;
    if entry.distribution.arguments.is_empty() {
        let example = match entry.field {
            Some(_) => "scale.uniform = [0.8, 1.2]",
            None => "uniform = [0.8, 1.2]",
        };
        return Err(Error::invalid("no distribution").hint(format!("say which, as in {example}")));
    }
    Ok(entry)
}

fn update(entry: &mut Entry, table: &Table) -> Result<()> {
    let mut seconds = None;
    let mut timing = None;
    // The field first: what a distribution may stand under depends on it.
    if let Some(field) = table.get("field") {
        entry.field = Some(text("field", field)?);
    }
    for (key, value) in table {
        let place = |error: Error| error.context(format!("`{key}`"));
        match key.as_str() {
            "field" => {}
            "names" => entry.names = list(value, |name| text(key, name))?,
            "components" => entry.components = list(value, |number| index(key, number))?,
            "timing" => timing = Some(text(key, value)?),
            "interval" => seconds = Some(positive(key, value)?),
            "per" => entry.per = choice(key, value, &Per::ALL)?,
            "group" => entry.group = Some(text(key, value)?),
            "probability" => entry.probability = Some(argument(value).map_err(place)?),
            "decay" => entry.decay = Some(argument(value).map_err(place)?),
            "optional" => {
                entry.optional = value
                    .as_bool()
                    .ok_or_else(|| wrong(key, value, "it is true or false"))?;
            }
            "adr" => entry.adr = Some(growth(entry.adr, value).map_err(place)?),
            other => draws(entry, other, value)?,
        }
    }
    entry.timing = match (timing.as_deref(), seconds) {
        (None, None) => entry.timing,
        (Some("interval") | None, Some(seconds)) => Timing::Interval(seconds),
        (Some("interval"), None) => {
            return Err(Error::invalid("timing = \"interval\" without `interval`")
                .hint("say after how many seconds, as in interval = 10.0"));
        }
        (Some(other), Some(_)) if TIMINGS.iter().any(|(name, _)| *name == other) => {
            return Err(
                Error::invalid(format!("`interval` with timing = \"{other}\""))
                    .hint("it goes with timing = \"interval\""),
            );
        }
        (Some(other), _) => named("timing", other, &TIMINGS)?,
    };
    Ok(())
}

/// What a draw does and what is drawn: `scale = { uniform = … }`; `uniform = …` for an entry without a field.
fn draws(entry: &mut Entry, key: &str, value: &Value) -> Result<()> {
    let has_field = entry.field.is_some();
    let operation = Operation::ALL.iter().find(|(name, _)| *name == key);
    match operation {
        Some(_) if !has_field => Err(Error::invalid(format!("`{key}` without a field"))
            .hint("say what changes with `field`, or leave out the operation")),
        Some((_, operation)) => {
            let families = value.as_table().filter(|families| families.len() == 1);
            let Some((family, numbers)) = families.and_then(|families| families.iter().next())
            else {
                let hint = "it takes one distribution, as in scale.uniform = [0.8, 1.2]";
                return Err(wrong(key, value, hint));
            };
            entry.operation = *operation;
            entry.distribution = distribution(family, numbers)?;
            Ok(())
        }
        None if !has_field && Family::ALL.iter().any(|(name, _)| *name == key) => {
            entry.distribution = distribution(key, value)?;
            Ok(())
        }
        None => Err(unknown_key(key, has_field)),
    }
}

/// The timings that need no further number.
const TIMINGS: [(&str, Timing); 3] = [
    ("startup", Timing::Startup),
    ("reset", Timing::Reset),
    ("step", Timing::Step),
];

fn distribution(family: &str, value: &Value) -> Result<Distribution> {
    let family = named("distribution", family, &Family::ALL)?;
    let place = |error: Error| error.context(format!("`{}`", family.name()));
    let arguments = match value {
        Value::Array(items) if family == Family::Categorical => {
            let lists: Option<Vec<&Vec<Value>>> = items.iter().map(Value::as_array).collect();
            match lists.as_deref() {
                Some([values, weights]) => {
                    values.iter().chain(weights.iter()).map(argument).collect()
                }
                _ => {
                    let values: Result<Vec<Argument>> = items.iter().map(argument).collect();
                    let equal = vec![Argument::Number(1.0); items.len()];
                    values.map(|values| [values, equal].concat())
                }
            }
        }
        Value::Array(items) => items.iter().map(argument).collect(),
        single => argument(single).map(|argument| vec![argument]),
    };
    arguments
        .and_then(|arguments| Distribution::new(family, arguments))
        .map_err(place)
}

fn argument(value: &Value) -> Result<Argument> {
    match value {
        Value::Float(number) => Ok(Argument::Number(*number)),
        Value::Integer(number) => Ok(Argument::Number(*number as f64)),
        Value::String(name) => Ok(Argument::Drawn(name.clone())),
        other => Err(Error::invalid(format!("`{other}` is no number"))
            .hint("or the name of another entry, in quotes")),
    }
}

/// One thing, or a list of them.
fn list<T>(value: &Value, read: impl Fn(&Value) -> Result<T>) -> Result<Vec<T>> {
    match value {
        Value::Array(items) => items.iter().map(read).collect(),
        single => Ok(vec![read(single)?]),
    }
}

fn text(key: &str, value: &Value) -> Result<String> {
    let text = value.as_str().map(String::from);
    text.ok_or_else(|| wrong(key, value, "it takes a text in quotes"))
}

fn index(key: &str, value: &Value) -> Result<usize> {
    let index = value
        .as_integer()
        .and_then(|index| usize::try_from(index).ok());
    index.ok_or_else(|| wrong(key, value, "it takes whole numbers from 0"))
}

fn positive(key: &str, value: &Value) -> Result<f64> {
    let found = number(key, value).ok().filter(|number| *number > 0.0);
    found.ok_or_else(|| wrong(key, value, "it takes a positive number"))
}

fn number(key: &str, value: &Value) -> Result<f64> {
    let number = value
        .as_float()
        .or(value.as_integer().map(|number| number as f64));
    let number = number.filter(|number| number.is_finite());
    number.ok_or_else(|| wrong(key, value, "it takes a number"))
}

fn choice<T: Copy>(key: &str, value: &Value, all: &[(&str, T)]) -> Result<T> {
    named(key, &text(key, value)?, all)
}

fn named<T: Copy>(what: &str, name: &str, all: &[(&str, T)]) -> Result<T> {
    let found = all.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let mut known: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        if what == "timing" {
            known.push("interval");
        }
        Error::invalid(format!("unknown {what} `{name}`"))
            .hint(format!("it is one of {}", known.join(", ")))
    })
}

fn wrong(key: &str, value: &Value, hint: &str) -> Error {
    Error::invalid(format!("`{key}` is {value}")).hint(hint)
}

/// A key that an entry does not take: what it does take, and families only where there is nothing that they would change.
fn unknown_key(key: &str, has_field: bool) -> Error {
    let operations = Operation::ALL.iter().map(|(name, _)| *name);
    let families = Family::ALL.iter().map(|(name, _)| *name);
    if has_field && families.clone().any(|family| family == key) {
        return Error::invalid(format!("`{key}` without what a draw does to the field"))
            .hint(format!("write scale.{key}, add.{key} or set.{key}"));
    }
    let families = families.filter(|_| !has_field);
    unknown(
        "key",
        key,
        KEYS.into_iter().chain(operations).chain(families),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Result<Vec<Entry>> {
        let mut entries = vec![
            Entry::scale("mass", "body_mass")
                .uniform(0.5, 1.5)
                .expect("is right"),
        ];
        configure(&mut entries, &text.parse::<Table>().expect("is TOML"))?;
        Ok(entries)
    }

    #[test]
    fn a_table_becomes_an_entry() {
        let text = "[rate]\nlog_uniform = [0.001, 0.1]\n[push]\nfield = \"xfrc_applied\"\nnames = [\"trunk\", \"*_calf\"]\n\
                    components = [0, 1]\nset.normal = [0, 3]\ntiming = \"step\"\nprobability = \"rate\"\ndecay = 0.1\n\
                    [mass]\nscale.uniform = [0.9, 1.1]\ntiming = \"interval\"\ninterval = 2\n";
        let entries = entries(text).unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[0].timing, Timing::Interval(2.0));
        assert_eq!(
            entries[0].parameters(),
            [
                ("randomize.mass.scale.uniform[0]".into(), 0.9),
                ("randomize.mass.scale.uniform[1]".into(), 1.1),
                ("randomize.mass.interval".into(), 2.0)
            ]
        );
        assert_eq!(entries[1].field, None);
        let push = &entries[2];
        assert_eq!(
            (push.names.len(), push.components.as_slice()),
            (2, [0, 1].as_slice())
        );
        assert_eq!(push.probability, Some(Argument::Drawn("rate".into())));
        assert_eq!(push.parameters()[2], ("randomize.push.decay".into(), 0.1));
    }

    #[test]
    fn what_is_wrong_is_said_on_one_line() {
        let cases = [
            (
                "[x]\nfield = \"body_mass\"",
                "randomize.x: no distribution (say which, as in scale.uniform = [0.8, 1.2])",
            ),
            (
                "[x]\nfield = \"body_mass\"\nscale.unifrom = [1, 2]",
                "randomize.x: unknown distribution `unifrom` (it is one of constant, uniform",
            ),
            (
                "[x]\nfeild = \"a\"\nuniform = [0, 1]",
                "randomize.x: unknown key `feild` (did you mean `field`?)",
            ),
            (
                "[x]\nscale.uniform = [0, 1]",
                "randomize.x: `scale` without a field",
            ),
            (
                "[x]\nfield = \"body_mass\"\nuniform = [0, 1]",
                "randomize.x: `uniform` without what a draw does to the field (write scale.uniform, add.uniform or",
            ),
            (
                "[x]\nfield = \"body_mass\"\nscale = 2",
                "randomize.x: `scale` is 2 (it takes one distribution",
            ),
            (
                "[x]\nuniform = [0, 1]\ntiming = \"never\"",
                "randomize.x: unknown timing `never` (it is one of startup, reset, step, interval)",
            ),
            (
                "[x]\nuniform = [0, 1]\ntiming = \"interval\"",
                "without `interval`",
            ),
            (
                "[x]\nuniform = [0, 1]\ninterval = 0",
                "`interval` is 0 (it takes a positive number)",
            ),
            (
                "[x]\nuniform = [0, true]",
                "randomize.x: `uniform`: `true` is no number",
            ),
            ("x = 1", "randomize.x: `1` is no table"),
            ("[\"a.b\"]\nuniform = [0, 1]", "a name has no dots"),
        ];
        for (text, expected) in cases {
            let error = entries(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn automatic_ranges_are_read_over_a_preset() {
        let mut adr = None;
        let mut set = |text: &str| {
            let table = Value::Table(text.parse().expect("is TOML"));
            configure_adr(&mut adr, &table).map(|()| adr.clone().expect("was set"))
        };
        let first = set("metric = \"reward.alive\"\nlow = 1\nhigh = 2.5\n").unwrap();
        let expected = Adr::new(Metric::Reward("alive".into()), 1.0, 2.5);
        assert_eq!(first, expected);
        let second = set("high = 3\nepisodes = 10\nboundary_share = 0.5").unwrap();
        assert_eq!((second.high, second.episodes), (3.0, 10));
        assert_eq!((second.boundary_share, second.metric), (0.5, first.metric));

        let text = "[mass]\nadr = { limits = [0.1, 4], step = 1 }";
        let mut entries = entries(text).unwrap();
        let table = "[mass.adr]\nstep = 0.5".parse().unwrap();
        configure(&mut entries, &table).unwrap();
        let growth = Growth {
            limits: [0.1, 4.0],
            step: 0.5,
        };
        assert_eq!(entries[0].adr, Some(growth));
        let keys = entries[0].parameters();
        assert_eq!(keys[2], ("randomize.mass.adr.limits[0]".into(), 0.1));
        assert_eq!(keys[4], ("randomize.mass.adr.step".into(), 0.5));
    }

    #[test]
    fn wrong_automatic_ranges_are_refused() {
        let cases = [
            ("low = 1", "no `high` (say when edges move"),
            ("low = 2\nhigh = 2", "`low` is 2 and `high` 2 ("),
            (
                "low = 1\nhigh = 2\nmetric = \"retrun\"",
                "unknown metric `retrun` (did you mean `return`?)",
            ),
            (
                "low = 1\nhigh = 2\nmetric = \"x\"",
                "unknown metric `x` (known: return, length, reward.NAME)",
            ),
            (
                "low = 1\nhigh = 2\nepisode = 3",
                "unknown key `episode` (did you mean `episodes`?)",
            ),
            ("low = 1\nhigh = 2\nepisodes = 0", "`episodes` is 0"),
            ("low = 1\nhigh = 2\nepisodes = -1", "`episodes` is -1"),
            (
                "low = 1\nhigh = 2\nboundary_share = 1.5",
                "`boundary_share` is 1.5 (it is from 0 to 1)",
            ),
            (
                "low = \"a\"\nhigh = 2",
                "`low` is \"a\" (it takes a number)",
            ),
        ];
        for (text, expected) in cases {
            let table = Value::Table(text.parse().expect("is TOML"));
            let error = configure_adr(&mut None, &table)
                .expect_err(text)
                .to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let cases = [
            (
                "limits = [1, 2]",
                "randomize.mass: `adr`: no `step` (as in adr = {",
            ),
            ("step = 1", "randomize.mass: `adr`: no `limits` (as in"),
            ("limits = [1]\nstep = 1", "`limits` is [1] (as in"),
            (
                "limits = [1, 2]\nstep = 0",
                "`step` is 0 (it takes a positive number)",
            ),
            (
                "limit = [1, 2]\nstep = 1",
                "unknown key `limit` (did you mean `limits`?)",
            ),
        ];
        for (text, expected) in cases {
            let error = entries(&format!("[mass.adr]\n{text}"))
                .expect_err(text)
                .to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = entries("[mass]\nadr = 0.1")
            .expect_err("no table")
            .to_string();
        assert!(error.contains("`adr` is 0.1"), "{error}");
    }
}
