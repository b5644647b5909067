//! Variants of a task's model: other bodies for groups of worlds behind one environment.
//!
//! In `task.toml` a variant is the model with other attributes, or another model:
//!
//! ```toml
//! [variants]
//! observe = "critic"                  # the group that sees which variant it is, as `variant`, one number for each
//!
//! [variants.short]
//! share = 2                           # of the worlds, relative to the others'; 1 unless given
//! geom.thigh.size = [0.05, 0.15]      # MJCF's attributes, by tag and name
//! body.shin.pos = [0, 0, -0.3]
//! geom.foot = { type = "sphere", fromto = "", size = 0.04 }   # "": without this attribute
//! option.gravity = [0, 0, -3.7]       # of an element without a name
//!
//! [variants.three_fingers]
//! model = "three_fingers.xml"         # one of the task's models, or a file
//! ```
//!
//! All variants share the task: its actions, observations, rewards and numbers. Variants that are alike but for numbers
//! of the physics are stepped by one kernel, which reads these numbers from a table; others by kernels of their own.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use toml::{Table, Value};

use super::registry::Source;
use super::spec::{Group, Spec};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::scene::mjcf::{self, Edit};

/// Most variants of a task.
const MOST: usize = 4096;

/// One of the models that worlds of an environment may have.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its part of the worlds, relative to the others'.
    pub share: f64,
    /// The compiled model.
    pub model: Model,
    /// What the task declares for it: as for every other, but for what follows from the model.
    pub spec: Spec,
}

/// What `task.toml` says of a variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Declared {
    pub name: String,
    pub share: f64,
    model: Option<String>,
    pub edits: Vec<Edit>,
}

/// The table `variants`: the variants in its order, and the group that sees them.
pub(super) fn declared(config: &Table) -> Result<(Vec<Declared>, Option<String>)> {
    let Some(table) = config.get("variants") else {
        return Ok((Vec::new(), None));
    };
    let place = |error: Error, name: &str| error.context(format!("task.toml: variants{name}"));
    let table = table
        .as_table()
        .ok_or_else(|| place(Error::invalid("it is no table"), ""))?;
    let mut observer = None;
    let mut variants = Vec::new();
    for (name, value) in table {
        let said = match value {
            Value::Table(said) => one(name, said),
            Value::String(group) if name == "observe" => {
                observer = Some(group.clone());
                continue;
            }
            _ => Err(Error::invalid(format!("it is {value}"))
                .hint("a variant is a table of its shares, model and attributes")),
        };
        variants.push(said.map_err(|error| place(error, &format!(".{name}")))?);
    }
    if variants.len() > MOST {
        let cause = Error::invalid(format!("{} of them", variants.len()));
        return Err(place(cause.hint(format!("at most {MOST}")), ""));
    }
    Ok((variants, observer))
}

fn one(name: &str, said: &Table) -> Result<Declared> {
    let mut variant = Declared {
        name: name.into(),
        share: 1.0,
        ..Declared::default()
    };
    for (key, value) in said {
        match (key.as_str(), value) {
            ("share", value) => variant.share = share(value)?,
            ("model", Value::String(model)) => variant.model = Some(model.clone()),
            (tag, Value::Table(elements)) => {
                for (key, value) in elements {
                    let edit = |name: Option<&String>, attribute: &str, value: &Value| Edit {
                        tag: tag.into(),
                        name: name.cloned(),
                        attribute: attribute.into(),
                        value: text(value),
                    };
                    match value {
                        Value::Table(attributes) => {
                            let of_element = attributes.iter();
                            let edits =
                                of_element.map(|(attr, value)| edit(Some(key), attr, value));
                            variant.edits.extend(edits);
                        }
                        value => variant.edits.push(edit(None, key, value)),
                    }
                }
            }
            _ => {
                let error = Error::invalid(format!("`{key}` is {value}"));
                return Err(
                    error.hint("say share, model, or TAG.NAME.ATTRIBUTE, as geom.ball.size")
                );
            }
        }
    }
    Ok(variant)
}

fn share(value: &Value) -> Result<f64> {
    let number = match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    };
    number.ok_or_else(|| Error::invalid(format!("`share` is {value}")).hint("it takes a number"))
}

/// A value as an attribute has it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

/// MJCF, what it is called in errors, and where it looks for files.
pub(super) struct Text<'a> {
    pub label: &'a str,
    pub text: Cow<'a, str>,
    pub folder: &'a Path,
}

impl Declared {
    /// The model that its attributes change.
    pub(super) fn text<'a>(&'a self, source: Option<&'a Source>) -> Result<Text<'a>> {
        let here = Path::new(".");
        let Some(name) = &self.model else {
            let source = source.ok_or_else(|| {
                let error = Error::invalid("the task was given a compiled model");
                self.place(error.hint("give variants as models, too"))
            })?;
            return Ok(Text {
                label: &source.label,
                text: Cow::Borrowed(&source.text),
                folder: here,
            });
        };
        let own = source.map_or(&[][..], |source| source.models);
        if let Some((label, text)) = own.iter().find(|(own, _)| own == name) {
            return Ok(Text {
                label,
                text: Cow::Borrowed(text),
                folder: here,
            });
        }
        let path = Path::new(name);
        let text = fs::read_to_string(path);
        Ok(Text {
            label: name,
            text: Cow::Owned(text.map_err(|error| self.place(Error::io(error).context(name)))?),
            folder: path.parent().unwrap_or(here),
        })
    }

    /// The variant's model.
    pub(super) fn compile(&self, source: Option<&Source>) -> Result<Model> {
        let text = self.text(source)?;
        mjcf::parse_edited(text.label, &text.text, text.folder, &self.edits)
            .and_then(|scene| Model::compile(&scene))
            .map_err(|error| self.place(error))
    }

    fn place(&self, error: Error) -> Error {
        error.context(format!("variants.{}", self.name))
    }
}

/// Gives all worlds to one of the variants of a configuration.
pub(super) fn share_out(config: &mut Table, name: &str) {
    let Some(Value::Table(variants)) = config.get_mut("variants") else {
        return;
    };
    for (known, said) in variants {
        if let Value::Table(said) = said {
            let share = if known == name { 1.0 } else { 0.0 };
            said.insert("share".into(), Value::Float(share));
        }
    }
}

/// Whether worlds of all variants can stand behind one environment.
pub(super) fn check(variants: &[Variant]) -> Result<()> {
    for (index, variant) in variants.iter().enumerate() {
        let (name, share) = (&variant.name, variant.share);
        if name.is_empty() {
            return Err(Error::invalid("a variant without a name"));
        }
        if variants[..index].iter().any(|other| other.name == *name) {
            return Err(Error::invalid(format!("two variants are named `{name}`")));
        }
        if !(0.0..=1e9).contains(&share) {
            let error = Error::invalid(format!("the share of variant `{name}` is {share}"));
            return Err(error.hint("it takes a number from 0 to 1e9"));
        }
        if let Some(cause) = disagreement(&variants[0].spec, &variant.spec) {
            let first = &variants[0].name;
            let error = Error::invalid(format!("variants `{first}` and `{name}`: {cause}"));
            return Err(error.hint("all variants of a task act, observe and are rewarded alike"));
        }
    }
    match variants.iter().any(|variant| variant.share > 0.0) {
        true => Ok(()),
        false => Err(Error::invalid("no variant has a share of the worlds")
            .hint("give one of them a share above 0")),
    }
}

/// In what two declarations differ that must not.
fn disagreement(a: &Spec, b: &Spec) -> Option<String> {
    let groups = |spec: &Spec| -> Vec<Vec<(String, usize)>> {
        let terms = |group: &Group| {
            let terms = group.terms.iter();
            terms
                .map(|term| (format!("{}.{}", group.name, term.name), term.dim))
                .collect()
        };
        spec.groups.iter().map(terms).collect()
    };
    let (terms, others) = (groups(a).concat(), groups(b).concat());
    if let Some(((name, dim), (other, wide))) = terms
        .iter()
        .zip(&others)
        .find(|(term, other)| term != other)
    {
        return Some(match name == other {
            true => format!("observation `{name}` has {dim} values and {wide}"),
            false => format!("observation `{name}` stands where the other has `{other}`"),
        });
    }
    if a.actions.len() != b.actions.len() {
        return Some(format!(
            "{} actions and {}",
            a.actions.len(),
            b.actions.len()
        ));
    }
    if let Some((one, two)) = a
        .actions
        .iter()
        .zip(&b.actions)
        .find(|(one, two)| one != two)
    {
        return Some(format!(
            "action `{}` from {} to {}, and `{}` from {} to {}",
            one.name, one.low, one.high, two.name, two.low, two.high
        ));
    }
    let (numbers, theirs) = (a.parameters(), b.parameters());
    if let Some((key, other)) = numbers
        .keys()
        .zip(theirs.keys())
        .find(|(key, other)| key != other)
    {
        return Some(format!(
            "one has the parameter `{key}`, the other `{other}`"
        ));
    }
    let rest = |spec: &Spec| {
        let mut rest = spec.clone();
        rest.randomization = Arc::default();
        rest
    };
    (rest(a) != rest(b) || numbers != theirs).then(|| "they declare different numbers".to_string())
}
