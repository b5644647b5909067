//! Domain randomization: every world draws its own physics, from ranges that are device data.
//!
//! A randomization is a list of [`Entry`]s: target (a field, and names in it) × distribution × operation × timing. It is
//! written as `[randomize.NAME]` in a configuration ([`configure`] lists the keys) or with [`Entry`]'s methods. Draws
//! lie in the world's state, so they are seen, saved and restored like it; the distributions' numbers are parameters
//! that all worlds share, so a curriculum changes them between steps. What no entry names stays a constant in the
//! kernel.
//!
//! What follows from a randomized number is computed in the same kernel: frames and the joint-space inertia always are,
//! and a body's inertia keeps its shape when `body_mass` changes.
//!
//! Order of application: masses (with their inertias), then all others in the order of the entries.

mod adr;
mod boundary;
mod config;
mod curriculum;
mod distribution;
mod entry;
mod targets;

use std::collections::HashSet;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::math::functions::exp;
use crate::math::{Force, Quat, Rng, Vec3};
use crate::model::Model;
use crate::rigid::{Applied, Parameters, State};
use crate::trace::{Bits, Mask, Var, select, stage, when};

pub use adr::{Adr, AutomaticRanges, Growth, Metric};
use boundary::Boundaries;
pub use boundary::{Boundary, Side};
pub use config::{configure, configure_adr};
pub use curriculum::{Curriculum, Measured, Numbers, Performance};
pub use distribution::{Argument, Distribution, Family};
pub use entry::{Entry, Operation, Per, Timing};
pub use targets::fields;
use targets::{Place, Target};

/// A randomization of one model: entries with what they mean there, and the places of their draws.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Randomization {
    entries: Vec<Resolved>,
    /// Number of draws of all entries.
    draws: usize,
    /// The edges of their ranges that move.
    boundaries: Boundaries,
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

/// Draws of a world, some of them new.
pub struct Drawn {
    /// `[len]` All of them.
    pub draws: Vec<Var>,
    /// The boundary at which the world is: 0 for none, else 1 + its place in [`Randomization::boundaries`].
    pub boundary: Bits,
    /// `[entries]` Where those of an entry have just been made.
    made: Vec<Mask>,
}

impl Drawn {
    /// Whether any has just been made.
    pub fn any(&self) -> Mask {
        self.made
            .iter()
            .fold(Mask::from(false), |any, made| any | *made)
    }
}

/// Where draws take their numbers from.
pub trait Source {
    /// The value of a parameter of the task.
    fn number(&self, key: &str) -> Var;

    /// Random numbers for a purpose, at this time in this world.
    fn rng(&self, purpose: &str) -> Rng;

    /// Whether this is the world's first episode since its random numbers were seeded.
    fn begins(&self) -> Mask;
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
        Ok(Self {
            entries: resolved,
            draws: count,
            boundaries: Boundaries::default(),
        })
    }

    /// Whether nothing is drawn.
    pub fn is_empty(&self) -> bool {
        self.draws == 0
    }

    /// How many numbers a world draws.
    pub fn len(&self) -> usize {
        self.draws
    }

    /// `[len]` What each draw is: the entry, and what it changes.
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

    /// Draws for an episode that begins. `old` are those of the episode before; what is drawn once for each world is kept
    /// from there, except where the world's random numbers begin.
    pub fn begin(&self, source: &dyn Source, old: &[Var]) -> Drawn {
        // A draw that is left to chance and not made does nothing.
        let mut kept = old.to_vec();
        for resolved in &self.entries {
            if resolved.entry.probability.is_some() {
                let anew = match resolved.entry.timing {
                    Timing::Startup => source.begins(),
                    _ => Mask::from(true),
                };
                let neutral = Var::from(resolved.entry.operation.neutral());
                for draw in &mut kept[resolved.range()] {
                    *draw = select(anew, neutral, *draw);
                }
            }
        }
        let boundary = self.choose_boundary(source);
        let mut drawn = self.redraw(source, &kept, boundary, |entry| match entry.timing {
            Timing::Startup => source.begins(),
            _ => Mask::from(true),
        });
        // What was drawn at startup disturbs every beginning, and what is drawn in every step the step.
        for (resolved, made) in self.entries.iter().zip(&mut drawn.made) {
            match resolved.entry.timing {
                Timing::Startup => *made = Mask::from(true),
                Timing::Step => *made = Mask::from(false),
                Timing::Reset | Timing::Interval(_) => {}
            }
        }
        drawn
    }

    /// Draws for the intervals that begin at a control step of an episode, except in some worlds. `control_dt` in s.
    pub fn interval(
        &self,
        source: &dyn Source,
        (old, boundary): (&[Var], Bits),
        (step, control_dt): (Bits, f64),
        except: Mask,
    ) -> Drawn {
        self.redraw(source, old, boundary, |entry| match entry.timing {
            Timing::Interval(_) => {
                let seconds = source.number(&format!("randomize.{}.interval", entry.name));
                let steps = (seconds * (1.0 / control_dt)).round().max(1.0).to_bits();
                step.ne(0) & (step % steps).eq(0) & !except
            }
            _ => Mask::from(false),
        })
    }

    /// Draws for a control step: what has `decay` decays, what has timing `step` is drawn.
    pub fn step(
        &self,
        source: &dyn Source,
        (old, boundary): (&[Var], Bits),
        control_dt: f64,
    ) -> Drawn {
        let mut faded = old.to_vec();
        for resolved in &self.entries {
            if let Some(rate) = &resolved.entry.decay {
                let rate = self.argument(source, old, rate, || resolved.key("decay"));
                let kept = exp(-(rate.max(0.0) * control_dt));
                let neutral = resolved.entry.operation.neutral();
                for draw in &mut faded[resolved.range()] {
                    *draw = neutral + (*draw - neutral) * kept;
                }
            }
        }
        self.redraw(source, &faded, boundary, |entry| {
            Mask::from(entry.timing == Timing::Step)
        })
    }

    /// Draws of the entries that are due, in their order: an entry may read what one above has just drawn.
    fn redraw(
        &self,
        source: &dyn Source,
        old: &[Var],
        boundary: Bits,
        due: impl Fn(&Entry) -> Mask,
    ) -> Drawn {
        let mut drawn = Drawn {
            draws: old.to_vec(),
            boundary,
            made: Vec::with_capacity(self.entries.len()),
        };
        for (index, resolved) in self.entries.iter().enumerate() {
            let made = self.made(source, resolved, &drawn.draws, due(&resolved.entry));
            let own = resolved.of(&drawn.draws).to_vec();
            let new = match made.as_constant() {
                Some(true) => self.draw(source, index, &drawn),
                Some(false) => own,
                None => when(made, own, |_| self.draw(source, index, &drawn)),
            };
            drawn.draws[resolved.range()].copy_from_slice(&new);
            drawn.made.push(made);
        }
        drawn
    }

    /// Whether a draw that is due is made.
    fn made(&self, source: &dyn Source, resolved: &Resolved, draws: &[Var], due: Mask) -> Mask {
        match &resolved.entry.probability {
            Some(probability) if due.as_constant() != Some(false) => {
                let p = self.argument(source, draws, probability, || resolved.key("probability"));
                due & source.rng(&resolved.key("probability")).bernoulli(p)
            }
            _ => due,
        }
    }

    /// The draws of the entry at `index`, which may read what those above have drawn.
    fn draw(&self, source: &dyn Source, index: usize, above: &Drawn) -> Vec<Var> {
        let resolved = &self.entries[index];
        let Resolved { entry, .. } = resolved;
        let arguments = entry.distribution.arguments.iter().enumerate();
        let arguments: Vec<Var> = arguments
            .map(|(index, argument)| {
                self.argument(source, &above.draws, argument, || entry.argument_key(index))
            })
            .collect();
        let purpose = entry.group.as_ref().unwrap_or(&entry.name);
        let mut rng = source.rng(&format!("randomize.{purpose}"));
        let draw = |_| {
            let u = distribution::inside(&mut rng);
            let draw = entry.distribution.quantile(&arguments, u);
            self.hold(index, above.boundary, &arguments, draw)
        };
        (0..resolved.draws).map(draw).collect()
    }

    fn argument(
        &self,
        source: &dyn Source,
        draws: &[Var],
        argument: &Argument,
        key: impl Fn() -> String,
    ) -> Var {
        match argument {
            Argument::Number(_) => source.number(&key()),
            Argument::Drawn(name) => {
                let range = self.draws_of(name).filter(|range| !range.is_empty());
                range.map_or(Var::ZERO, |range| draws[range.start])
            }
        }
    }

    /// The numbers of the physics in a world with these draws. `base` are the model's.
    pub fn physics(&self, model: &Model, base: &Parameters, draws: &[Var]) -> Parameters {
        let mut numbers = base.clone();
        if self.is_empty() {
            return numbers;
        }
        stage("randomize", || {
            let is_mass = |place: &Place| {
                matches!(
                    place,
                    Place::Number {
                        field: "body_mass",
                        ..
                    }
                )
            };
            self.each(draws, |operation, place, draw| {
                if is_mass(place) {
                    change(&mut numbers, operation, place, draw);
                }
            });
            for body in 1..model.nbody {
                let (mass, was) = (numbers.body_mass[body], model.body_mass[body]);
                if mass.as_constant().is_none() {
                    let grown = numbers.body_inertia[body] * (mass / was);
                    numbers.body_inertia[body] = grown;
                }
            }
            self.each(draws, |operation, place, draw| {
                if !is_mass(place) {
                    change(&mut numbers, operation, place, draw);
                }
            });
            bound(model, &mut numbers);
        });
        numbers
    }

    /// Changes a state by the draws that have just been made.
    pub fn disturb(&self, state: &mut State, drawn: &Drawn) {
        for (resolved, made) in self.entries.iter().zip(&drawn.made) {
            for target in &resolved.targets {
                let (numbers, i) = match target.place {
                    Place::Position(i) => (&mut state.qpos, i),
                    Place::Velocity(i) => (&mut state.qvel, i),
                    _ => continue,
                };
                let draw = resolved.of(&drawn.draws)[target.draw];
                numbers[i] = select(
                    *made,
                    operate(resolved.entry.operation, numbers[i], draw),
                    numbers[i],
                );
            }
        }
    }

    /// Adds the forces that are drawn.
    pub fn push(&self, physics: &Parameters, applied: &mut Applied, draws: &[Var]) {
        self.each(draws, |_, place, draw| match *place {
            Place::Force { body, component } => applied.xfrc[body] += wrench(component, draw),
            Place::Acceleration { body, component } => {
                applied.xfrc[body] += wrench(component, draw * physics.body_mass[body]);
            }
            _ => {}
        });
    }

    /// The value of a task's parameter in a world with these draws. `shared` is that of all worlds.
    pub fn param(&self, key: &str, shared: Var, draws: &[Var]) -> Var {
        let mut value = shared;
        self.each(draws, |operation, place, draw| {
            if matches!(place, Place::Param(known) if known == key) {
                value = operate(operation, value, draw);
            }
        });
        value
    }

    fn each(&self, draws: &[Var], mut visit: impl FnMut(Operation, &Place, Var)) {
        for resolved in &self.entries {
            for target in &resolved.targets {
                visit(
                    resolved.entry.operation,
                    &target.place,
                    resolved.of(draws)[target.draw],
                );
            }
        }
    }
}

impl Resolved {
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

fn operate(operation: Operation, value: Var, draw: Var) -> Var {
    match operation {
        Operation::Set => draw,
        Operation::Add => value + draw,
        Operation::Scale => value * draw,
    }
}

fn change(numbers: &mut Parameters, operation: Operation, place: &Place, draw: Var) {
    match *place {
        Place::Number {
            field,
            row,
            component,
        } => {
            if let Some(number) = numbers.number(field, row, component) {
                *number = operate(operation, *number, draw);
            }
        }
        Place::PositionGain(actuator) => {
            let gain = operate(operation, numbers.actuator_gainprm[actuator][0], draw);
            numbers.actuator_gainprm[actuator][0] = gain;
            numbers.actuator_biasprm[actuator][1] = -gain;
        }
        Place::Rotation {
            field,
            row,
            component,
        } => {
            let mut axis = [Var::ZERO; 3];
            axis[component] = Var::ONE;
            let mut quat = [Var::ZERO; 4];
            for (k, part) in quat.iter_mut().enumerate() {
                *part = numbers
                    .number(field, row, k)
                    .map_or(Var::ZERO, |part| *part);
            }
            let turned = Quat::from_slice(&quat)
                .integrate(Vec3::from(axis), draw)
                .to_array();
            for (k, part) in turned.into_iter().enumerate() {
                if let Some(number) = numbers.number(field, row, k) {
                    *number = part;
                }
            }
        }
        Place::Free
        | Place::Position(_)
        | Place::Velocity(_)
        | Place::Force { .. }
        | Place::Acceleration { .. }
        | Place::Param(_) => {}
    }
}

/// Holds numbers that were drawn where the model makes sense: masses, inertias, sizes and the time step at a thousandth of
/// the model's at least; armature, damping, friction loss and friction at 0; ranges of joints wider than twice their margin.
fn bound(model: &Model, numbers: &mut Parameters) {
    let positive = [
        ("body_mass", 1),
        ("body_inertia", 3),
        ("geom_size", 3),
        ("timestep", 1),
    ];
    let not_negative = [
        ("dof_armature", 1),
        ("dof_damping", 1),
        ("dof_frictionloss", 1),
        ("geom_friction", 3),
    ];
    let least = |value: f64| 1e-3 * value;
    let limits = positive
        .into_iter()
        .zip([true; 4])
        .chain(not_negative.into_iter().zip([false; 4]));
    for ((field, components), is_positive) in limits {
        let mut row = 0;
        while numbers.number(field, row, 0).is_some() {
            for component in 0..components {
                let lowest = match is_positive {
                    true => Parameters::value(model, field, row, component).map_or(0.0, least),
                    false => 0.0,
                };
                if let Some(number) = numbers.number(field, row, component) {
                    if number.as_constant().is_none() {
                        *number = number.max(lowest);
                    }
                }
            }
            row += 1;
        }
    }
    for (range, margin) in numbers.jnt_range.iter_mut().zip(&numbers.jnt_margin) {
        if range.iter().any(|side| side.as_constant().is_none()) {
            range[1] = range[1].max(range[0] + 2.0 * *margin + 1e-6);
        }
    }
}

/// A force (component 0 to 2) or a torque (3 to 5) along an axis.
fn wrench(component: usize, value: Var) -> Force {
    let mut parts = [Vec3::ZERO.to_array(); 2];
    parts[component / 3][component % 3] = value;
    let [force, torque] = parts.map(Vec3::from);
    Force::new(torque, force)
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
