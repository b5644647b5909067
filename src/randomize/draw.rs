//! When draws are made, and from what.

use super::distribution;
use super::{Argument, Derived, Entry, Randomization, Resolved, Timing};
use crate::math::Rng;
use crate::math::functions::exp;
use crate::model::Model;
use crate::rigid::{Parameters, inverse_weights};
use crate::trace::{Bits, Mask, Var, select, when};

/// Draws of a world, some of them new.
pub struct Drawn {
    /// `[len]` All of them, and what follows from them.
    pub draws: Vec<Var>,
    /// `[entries]` Where those of an entry have just been made.
    pub(super) made: Vec<Mask>,
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

    /// The model, and its own numbers.
    fn physics(&self) -> (&Model, &Parameters);

    /// Random numbers for a purpose, at this time in this world.
    fn rng(&self, purpose: &str) -> Rng;

    /// Whether this is the world's first episode since its random numbers were seeded.
    fn begins(&self) -> Mask;
}

impl Randomization {
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
        let mut drawn = self.redraw(source, &kept, |entry| match entry.timing {
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
        old: &[Var],
        (step, control_dt): (Bits, f64),
        except: Mask,
    ) -> Drawn {
        self.redraw(source, old, |entry| match entry.timing {
            Timing::Interval(_) => {
                let seconds = source.number(&format!("randomize.{}.interval", entry.name));
                let steps = (seconds * (1.0 / control_dt)).round().max(1.0).to_bits();
                step.ne(0) & (step % steps).eq(0) & !except
            }
            _ => Mask::from(false),
        })
    }

    /// Draws for a control step: what has `decay` decays, what has timing `step` is drawn.
    pub fn step(&self, source: &dyn Source, old: &[Var], control_dt: f64) -> Drawn {
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
        self.redraw(source, &faded, |entry| {
            Mask::from(entry.timing == Timing::Step)
        })
    }

    /// Draws of the entries that are due, in their order: an entry may read what one above has just drawn.
    fn redraw(&self, source: &dyn Source, old: &[Var], due: impl Fn(&Entry) -> Mask) -> Drawn {
        let mut drawn = Drawn {
            draws: old.to_vec(),
            made: Vec::with_capacity(self.entries.len()),
        };
        for resolved in &self.entries {
            let made = self.made(source, resolved, &drawn.draws, due(&resolved.entry));
            let own = resolved.of(&drawn.draws).to_vec();
            let new = match made.as_constant() {
                Some(true) => self.draw(source, resolved, &drawn.draws),
                Some(false) => own,
                None => when(made, own, |_| self.draw(source, resolved, &drawn.draws)),
            };
            drawn.draws[resolved.range()].copy_from_slice(&new);
            drawn.made.push(made);
        }
        self.derive(source, &mut drawn);
        drawn
    }

    /// Computes what follows from draws where any of these has just been made.
    fn derive(&self, source: &dyn Source, drawn: &mut Drawn) {
        if self.derived.is_empty() {
            return;
        }
        let pairs = self.entries.iter().zip(&drawn.made);
        let weighing = pairs.filter(|(resolved, _)| resolved.weighs());
        let due = weighing.fold(Mask::from(false), |any, (_, made)| any | *made);
        let compute = |draws: &[Var]| {
            let (model, base) = source.physics();
            let numbers = self.drawn_physics(model, base, draws);
            let (bodies, dofs) = inverse_weights(model, &numbers);
            let value = |derived: &Derived| match *derived {
                Derived::BodyWeight { body, component } => bodies[body][component],
                Derived::DofWeight(dof) => dofs[dof],
            };
            self.derived.iter().map(value).collect::<Vec<Var>>()
        };
        let old = drawn.draws[self.draws..].to_vec();
        let new = match due.as_constant() {
            Some(true) => compute(&drawn.draws),
            Some(false) => old,
            None => when(due, old, |_| compute(&drawn.draws)),
        };
        drawn.draws[self.draws..].copy_from_slice(&new);
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

    fn draw(&self, source: &dyn Source, resolved: &Resolved, draws: &[Var]) -> Vec<Var> {
        let Resolved { entry, .. } = resolved;
        let arguments = entry.distribution.arguments.iter().enumerate();
        let arguments: Vec<Var> = arguments
            .map(|(index, argument)| {
                self.argument(source, draws, argument, || entry.argument_key(index))
            })
            .collect();
        let purpose = entry.group.as_ref().unwrap_or(&entry.name);
        let mut rng = source.rng(&format!("randomize.{purpose}"));
        let draw = |_| {
            entry
                .distribution
                .quantile(&arguments, distribution::inside(&mut rng))
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
}
