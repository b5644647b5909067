//! Domain randomization: every world draws its own physics, from ranges that are device data.
//!
//! A randomization is a list of [`Entry`]s: target (a field, and names in it) × distribution × operation × timing. It is
//! written as `[randomize.NAME]` in a configuration ([`configure`] lists the keys) or with [`Entry`]'s methods. Draws
//! lie in the world's state, so they are seen, saved and restored like it; the distributions' numbers are parameters
//! that all worlds share, so a curriculum changes them between steps. What no entry names stays a constant in the
//! kernel.
//!
//! What follows from a randomized number is computed in the same kernel, as if the model had been compiled with it:
//! frames and the joint-space inertia; mass, centre of mass and inertia of a body that is made of geoms, from their sizes
//! and places; a body's inertia, which keeps its shape when `body_mass` changes; inverse weights, on which the softness of
//! constraints depends.
//!
//! Order of application: geoms, masses, then all others, each in the order of the entries.

mod apply;
mod config;
mod distribution;
mod draw;
mod entry;
mod shape;
mod targets;

use std::collections::HashSet;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::trace::Var;

pub use config::configure;
pub use distribution::{Argument, Distribution, Family};
pub use draw::{Drawn, Source};
pub use entry::{Entry, Operation, Per, Timing};
use targets::Target;
pub use targets::fields;
pub(crate) use targets::matches;

/// A randomization of one model: entries with what they mean there, and the places of their draws.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Randomization {
    entries: Vec<Resolved>,
    /// Number of draws of all entries.
    draws: usize,
    /// What follows from the draws and is kept beside them, because it takes long to compute and changes with them only.
    derived: Vec<Derived>,
}

/// A number of the physics that follows from others.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Derived {
    /// A component of `body_invweight0`.
    BodyWeight { body: usize, component: usize },
    /// `dof_invweight0`.
    DofWeight(usize),
}

#[derive(Clone, Debug, PartialEq)]
struct Resolved {
    entry: Entry,
    targets: Vec<Target>,
    /// Its draws among all.
    first: usize,
    draws: usize,
}

impl Resolved {
    fn of<'v>(&self, draws: &'v [Var]) -> &'v [Var] {
        &draws[self.range()]
    }

    fn range(&self) -> Range<usize> {
        self.first..self.first + self.draws
    }
}

impl Randomization {
    /// Finds what entries mean in a model. `params` are the keys of the task's parameters.
    ///
    /// # Errors
    /// An unknown field or name (with close ones), two entries of one name, an argument that no entry above draws, or an
    /// entry that would change nothing.
    pub fn new(entries: &[Entry], model: &Model, params: &[String]) -> Result<Self> {
        let mut resolved: Vec<Resolved> = Vec::new();
        let mut names = HashSet::new();
        let mut count = 0;
        for entry in entries {
            let place = |error: Error| error.context(format!("randomize.{}", entry.name));
            if !names.insert(entry.name.as_str()) {
                return Err(place(Error::invalid("two entries have this name")));
            }
            for name in entry.read_names() {
                check_read(name, &resolved).map_err(place)?;
            }
            let (targets, draws) = targets::resolve(entry, model, params).map_err(place)?;
            resolved.push(Resolved {
                entry: entry.clone(),
                targets,
                first: count,
                draws,
            });
            count += draws;
        }
        let derived = match resolved.iter().any(Resolved::weighs) {
            true => derived(model),
            false => Vec::new(),
        };
        Ok(Self {
            entries: resolved,
            draws: count,
            derived,
        })
    }

    /// Whether nothing is drawn.
    pub fn is_empty(&self) -> bool {
        self.draws == 0
    }

    /// How many numbers a world keeps: its draws, then what follows from them.
    pub fn len(&self) -> usize {
        self.draws + self.derived.len()
    }

    /// How many numbers a world draws.
    pub fn draws(&self) -> usize {
        self.draws
    }

    /// `[draws]` What each draw is: the entry, and what it changes.
    pub fn labels(&self) -> Vec<String> {
        let of_entry = |resolved: &Resolved| -> Vec<String> {
            (0..resolved.draws)
                .map(|draw| {
                    let targets: Vec<&str> = (resolved.targets.iter())
                        .filter(|target| target.draw == draw)
                        .map(|target| target.label.as_str())
                        .collect();
                    match targets.as_slice() {
                        [one] => format!("{}: {one}", resolved.entry.name),
                        many => format!(
                            "{}: {} and {} more",
                            resolved.entry.name,
                            many[0],
                            many.len() - 1
                        ),
                    }
                })
                .collect()
        };
        self.entries.iter().flat_map(of_entry).collect()
    }

    /// The draws of an entry among those of a world; none if there is no such entry.
    pub fn draws_of(&self, name: &str) -> Option<Range<usize>> {
        let found = self
            .entries
            .iter()
            .find(|resolved| resolved.entry.name == name)?;
        Some(found.range())
    }

    /// The names of the entries.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .map(|resolved| resolved.entry.name.as_str())
    }
}

/// What follows from masses: the weights of bodies and degrees of freedom that move.
fn derived(model: &Model) -> Vec<Derived> {
    let moves = |body: &usize| model.body_dofnum[model.body_weldid[*body]] > 0;
    let bodies = (1..model.nbody).filter(moves);
    let of_bodies =
        bodies.flat_map(|body| [0, 1].map(|component| Derived::BodyWeight { body, component }));
    of_bodies
        .chain((0..model.nv).map(Derived::DofWeight))
        .collect()
}

impl Resolved {
    /// Whether inverse weights follow from it.
    fn weighs(&self) -> bool {
        const FIELDS: [&str; 12] = [
            "geom_size",
            "geom_pos",
            "geom_rotation",
            "body_mass",
            "body_inertia",
            "body_ipos",
            "body_pos",
            "body_rotation",
            "jnt_pos",
            "jnt_axis",
            "dof_armature",
            "qpos0",
        ];
        let field = self.entry.field.as_deref();
        !self.targets.is_empty() && field.is_some_and(|field| FIELDS.contains(&field))
    }

    fn key(&self, what: &str) -> String {
        format!("randomize.{}.{what}", self.entry.name)
    }
}

impl Entry {
    /// The entries whose draws it reads.
    fn read_names(&self) -> impl Iterator<Item = &str> {
        let arguments = self.distribution.arguments.iter();
        arguments
            .chain(&self.probability)
            .chain(&self.decay)
            .filter_map(|argument| match argument {
                Argument::Drawn(name) => Some(name.as_str()),
                Argument::Number(_) => None,
            })
    }
}

/// Whether an entry above draws one number under this name.
fn check_read(name: &str, above: &[Resolved]) -> Result<()> {
    match above.iter().find(|resolved| resolved.entry.name == name) {
        Some(resolved) if resolved.draws == 1 => Ok(()),
        Some(resolved) => {
            let cause = Error::invalid(format!("`{name}` draws {} numbers", resolved.draws));
            Err(cause.hint("read an entry that draws one"))
        }
        None => {
            let cause = Error::invalid(format!("no entry above draws `{name}`"));
            Err(cause.hint("an entry that is read stands before those that read it"))
        }
    }
}

/// The text of every preset that comes along, by name.
const PRESETS: [(&str, &str); 3] = [
    ("peng2018", include_str!("presets/peng2018.toml")),
    ("dactyl2018", include_str!("presets/dactyl2018.toml")),
    ("legged", include_str!("presets/legged.toml")),
];

/// A preset by name, or from a file whose name ends with `.toml`: a configuration that others build on.
///
/// # Errors
/// There is no preset of that name (the hint names those there are), or the file cannot be read or is no TOML.
pub fn preset(name: &str) -> Result<toml::Table> {
    let text = match PRESETS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => (*text).to_string(),
        None if name.ends_with(".toml") => {
            std::fs::read_to_string(name).map_err(|error| Error::from(error).context(name))?
        }
        None => {
            let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
            let error = Error::invalid(format!("unknown preset `{name}`"));
            return Err(error.hint(format!(
                "there are {}, and files ending with .toml",
                known.join(", ")
            )));
        }
    };
    let parsed: Result<toml::Table, toml::de::Error> = text.parse();
    parsed.map_err(|error| Error::invalid(error.message()).context(name))
}
