//! Layered configuration tables: defaults, then a task's table, then `key=value` overrides.
//!
//! Every leaf has a dotted key, a value and the layer it came from. The defaults say which keys
//! exist and what types they have: a later layer can neither add a key nor change a type.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

use crate::error::{Error, Result, near_matches};

/// Which layer a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The program's (or the task's own key's) default.
    Default,
    /// The task's settings for the learner.
    Task,
    /// The command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Task => "task",
            Self::CommandLine => "command line",
        })
    }
}

/// A table whose every leaf knows its default and its origin.
#[derive(Clone, Debug)]
pub struct Layers {
    defaults: Table,
    table: Table,
    origins: BTreeMap<String, Origin>,
}

/// One line of [`Layers::entries`].
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The dotted key.
    pub key: String,
    /// What holds.
    pub value: Value,
    /// What would hold without any layer.
    pub default: Value,
    /// Who said so.
    pub origin: Origin,
}

impl Layers {
    /// Starts from a table of defaults.
    pub fn new(defaults: Table) -> Self {
        Self {
            table: defaults.clone(),
            defaults,
            origins: BTreeMap::new(),
        }
    }

    /// What holds now.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Lays a whole table over what is there.
    pub fn merge(&mut self, layer: &Table, origin: Origin) -> Result<()> {
        let mut leaves = Vec::new();
        collect_leaves(layer, "", &mut leaves);
        for (key, value) in leaves {
            self.put(&key, value, origin)?;
        }
        Ok(())
    }

    /// Lays one `dotted.key=value` over what is there; the value is TOML, and a bare word is a string.
    pub fn set(&mut self, assignment: &str, origin: Origin) -> Result<()> {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(
                Error::invalid(format!("'{assignment}' is not of the form key=value"))
                    .hint("for example ppo.gamma=0.99"),
            );
        };
        self.put(key.trim(), parse_value(text.trim()), origin)
    }

    /// Every leaf in the order of the defaults.
    pub fn entries(&self) -> Vec<Entry> {
        let mut leaves = Vec::new();
        collect_leaves(&self.defaults, "", &mut leaves);
        leaves
            .into_iter()
            .map(|(key, default)| Entry {
                value: lookup(&self.table, &key)
                    .cloned()
                    .unwrap_or_else(|| default.clone()),
                origin: self.origins.get(&key).copied().unwrap_or(Origin::Default),
                key,
                default,
            })
            .collect()
    }

    /// The table `--show-config` prints: key, value, default and origin, aligned.
    pub fn show(&self) -> String {
        let rows: Vec<[String; 4]> = self
            .entries()
            .into_iter()
            .map(|entry| {
                [
                    entry.key,
                    entry.value.to_string(),
                    entry.default.to_string(),
                    entry.origin.to_string(),
                ]
            })
            .collect();
        let header = ["key", "value", "default", "origin"].map(str::to_owned);
        let mut widths = [0; 3];
        for row in std::iter::once(&header).chain(&rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.len());
            }
        }
        let mut text = String::new();
        for [key, value, default, origin] in std::iter::once(header).chain(rows) {
            let [a, b, c] = widths;
            text += &format!("{key:<a$}  {value:<b$}  {default:<c$}  {origin}\n");
        }
        text
    }

    fn put(&mut self, key: &str, value: Value, origin: Origin) -> Result<()> {
        let Some(default) = lookup(&self.defaults, key) else {
            return Err(self.unknown(key));
        };
        let value = fit(default, value).map_err(|error| error.context(key))?;
        // The table starts as the defaults and keeps their keys, so the slot is there.
        if let Some(slot) = lookup_mut(&mut self.table, key) {
            *slot = value;
        }
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    fn unknown(&self, key: &str) -> Error {
        let entries = self.entries();
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let inside: Vec<&str> = keys
            .iter()
            .copied()
            .filter(|name| name.starts_with(&format!("{key}.")))
            .collect();
        if !inside.is_empty() {
            return Error::invalid(format!("'{key}' is a table, not a value"))
                .hint(format!("its keys are: {}", inside.join(", ")));
        }
        let mut near = near_matches(key, keys.iter().copied());
        // The right name without its table: `gamma` for `ppo.gamma`.
        let last = key.rsplit('.').next().unwrap_or(key);
        near.extend(
            keys.iter()
                .filter(|name| name.rsplit('.').next() == Some(last)),
        );
        near.sort_unstable();
        near.dedup();
        Error::invalid(format!("unknown key '{key}'")).hint(if near.is_empty() {
            "train --show-config prints every key".to_owned()
        } else {
            format!("did you mean {}?", near.join(" or "))
        })
    }
}

/// The dotted keys whose values differ between two tables, with both values; `-` where one has no such key.
pub fn differences(old: &Table, new: &Table) -> Vec<(String, String, String)> {
    let flat = |table: &Table| {
        let mut leaves = Vec::new();
        collect_leaves(table, "", &mut leaves);
        leaves.into_iter().collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (flat(old), flat(new));
    let show = |value: Option<&Value>| value.map_or_else(|| "-".to_owned(), Value::to_string);
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| (key.clone(), show(old.get(key)), show(new.get(key))))
        .collect()
}

fn collect_leaves(table: &Table, prefix: &str, leaves: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Table(inner) => collect_leaves(inner, &key, leaves),
            leaf => leaves.push((key, leaf.clone())),
        }
    }
}

fn lookup<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (head, rest) = key
        .split_once('.')
        .map_or((key, None), |(head, rest)| (head, Some(rest)));
    match (table.get(head)?, rest) {
        (Value::Table(inner), Some(rest)) => lookup(inner, rest),
        (Value::Table(_), None) | (_, Some(_)) => None,
        (leaf, None) => Some(leaf),
    }
}

fn lookup_mut<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    let (head, rest) = key
        .split_once('.')
        .map_or((key, None), |(head, rest)| (head, Some(rest)));
    match (table.get_mut(head)?, rest) {
        (Value::Table(inner), Some(rest)) => lookup_mut(inner, rest),
        (Value::Table(_), None) | (_, Some(_)) => None,
        (leaf, None) => Some(leaf),
    }
}

/// `value` as the type of `default`: an integer stands for a float, and `1e6` or `1_000` for an integer; items of an array
/// as the [`pattern`] of the default's.
fn fit(default: &Value, value: Value) -> Result<Value> {
    match (default, value) {
        (Value::Float(_), Value::Integer(integer)) => Ok(Value::Float(integer as f64)),
        (Value::Integer(_), Value::Float(float)) if float.fract() == 0.0 && float.abs() < 9e15 => {
            Ok(Value::Integer(float as i64))
        }
        (Value::Array(old), Value::Array(new)) => match pattern(old) {
            Some(pattern) => new
                .into_iter()
                .map(|item| fit(&pattern, item))
                .collect::<Result<Vec<_>>>()
                .map(Value::Array),
            None => Ok(Value::Array(new)),
        },
        (default, value) if default.same_type(&value) => Ok(value),
        (default, value) => Err(Error::invalid(format!(
            "{value} is of type {}, and this key takes {}",
            value.type_str(),
            default.type_str()
        ))),
    }
}

/// What the items of an array are like: numbers are floats where one of them is, and what one inner array takes all do.
/// Nothing for an empty array, and for one of different types, such as names and numbers: whoever reads it checks it.
fn pattern(items: &[Value]) -> Option<Value> {
    let is_number = |item: &Value| item.is_integer() || item.is_float();
    let first = items.first()?;
    if let (true, Some(float)) = (
        items.iter().all(is_number),
        items.iter().find(|item| item.is_float()),
    ) {
        return Some(float.clone());
    }
    if !items.iter().all(|item| item.same_type(first)) {
        return None;
    }
    let inner = items.iter().filter_map(Value::as_array);
    Some(match first {
        Value::Array(_) => Value::Array(inner.flatten().cloned().collect()),
        _ => first.clone(),
    })
}

fn parse_value(text: &str) -> Value {
    let bare = || Value::String(text.to_owned());
    format!("value = {text}").parse::<Table>().map_or_else(
        |_| bare(),
        |mut table| {
            table
                .remove("value")
                .filter(|_| table.is_empty())
                .unwrap_or_else(bare)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Layers {
        Layers::new(
            "seed = 1\nwords = 'a'\n[ppo]\ngamma = 0.99\nlayers = [64, 64]\n[task]\nreward = { alive = 1.0 }"
                .parse()
                .unwrap(),
        )
    }

    #[test]
    fn layers_override_and_remember_their_origin() {
        let mut layers = layers();
        layers
            .merge(
                &"ppo = { gamma = 0.9, layers = [32] }".parse().unwrap(),
                Origin::Task,
            )
            .unwrap();
        for assignment in [
            "ppo.gamma=1",
            "task.reward.alive = 2.5",
            "words=plain",
            "seed=1e3",
        ] {
            layers.set(assignment, Origin::CommandLine).unwrap();
        }
        let entry = |key: &str| {
            layers
                .entries()
                .into_iter()
                .find(|entry| entry.key == key)
                .unwrap()
        };
        assert_eq!(entry("ppo.gamma").value, Value::Float(1.0));
        assert_eq!(entry("ppo.gamma").default, Value::Float(0.99));
        assert_eq!(entry("ppo.gamma").origin, Origin::CommandLine);
        assert_eq!(entry("ppo.layers").origin, Origin::Task);
        assert_eq!(entry("task.reward.alive").value, Value::Float(2.5));
        assert_eq!(entry("words").value, Value::String("plain".into()));
        assert_eq!(entry("seed").value, Value::Integer(1000));
        assert!(
            layers
                .show()
                .lines()
                .any(|line| line.starts_with("ppo.layers") && line.ends_with("task"))
        );
    }

    #[test]
    fn wrong_keys_and_types_are_errors_with_hints() {
        let mut layers = layers();
        let mut error = |text: &str| {
            layers
                .set(text, Origin::CommandLine)
                .unwrap_err()
                .to_string()
        };
        assert!(error("ppo.gama=1").contains("did you mean ppo.gamma?"));
        assert!(error("gamma=1").contains("ppo.gamma"));
        assert!(error("ppo=1").contains("ppo.layers"));
        assert!(error("ppo.gamma=fast").contains("takes float"));
        assert!(error("seed=0.5").contains("takes integer"));
        assert!(error("ppo.layers=[0.5]").contains("takes integer"));
        assert!(error("seed").contains("key=value"));
    }

    #[test]
    fn arrays_take_what_their_defaults_are_like() {
        let mut layers = Layers::new(
            "range = [0, 0.01]\ncounts = [1, 2]\ndrawn = ['base', 1.0]\nweighted = [[1, 2], [0.5, 0.5]]\nnone = []"
                .parse()
                .unwrap(),
        );
        let mut set = |text: &str| {
            layers.set(text, Origin::CommandLine).map(|()| {
                let key = text.split_once('=').expect("an assignment").0;
                layers.table()[key].to_string()
            })
        };
        for (text, expected) in [
            ("range=[0, 0.01]", "[0.0, 0.01]"),
            ("range=[-1, 1]", "[-1.0, 1.0]"),
            ("counts=[3, 1e3]", "[3, 1000]"),
            ("drawn=['other', 2, 0.5]", "[\"other\", 2, 0.5]"),
            ("weighted=[[0.1, 3], [1, 1]]", "[[0.1, 3.0], [1.0, 1.0]]"),
            ("none=['a', 1]", "[\"a\", 1]"),
        ] {
            assert_eq!(set(text).unwrap(), expected, "{text}");
        }
        for (text, expected) in [
            (
                "range=['a', 1]",
                "\"a\" is of type string, and this key takes float",
            ),
            (
                "counts=[1, 2.5]",
                "2.5 is of type float, and this key takes integer",
            ),
            (
                "weighted=[1, 2]",
                "1 is of type integer, and this key takes array",
            ),
        ] {
            let error = set(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn differences_name_both_values() {
        let (mut old, new) = (layers(), layers());
        assert!(differences(old.table(), new.table()).is_empty());
        old.set("ppo.gamma=0.5", Origin::CommandLine).unwrap();
        assert_eq!(
            differences(old.table(), new.table()),
            [("ppo.gamma".to_owned(), "0.5".to_owned(), "0.99".to_owned())]
        );
    }
}
