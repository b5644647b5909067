//! What draws do: to the physics, to a state, as forces, to a task's parameters.

use std::collections::BTreeSet;

use super::targets::Place;
use super::{Derived, Drawn, Operation, Randomization, shape};
use crate::math::{Force, Quat, Vec3};
use crate::model::Model;
use crate::rigid::{Applied, Parameters, State};
use crate::trace::{Var, select, stage};

impl Randomization {
    /// The numbers of the physics in a world with these draws. `base` are the model's.
    pub fn physics(&self, model: &Model, base: &Parameters, draws: &[Var]) -> Parameters {
        let mut numbers = self.drawn_physics(model, base, draws);
        for (derived, &value) in self.derived.iter().zip(&draws[self.draws..]) {
            match *derived {
                Derived::BodyWeight { body, component } => {
                    numbers.body_invweight0[body][component] = value
                }
                Derived::DofWeight(dof) => numbers.dof_invweight0[dof] = value,
            }
        }
        numbers
    }

    /// The same without what is kept beside the draws.
    pub(super) fn drawn_physics(
        &self,
        model: &Model,
        base: &Parameters,
        draws: &[Var],
    ) -> Parameters {
        let mut numbers = base.clone();
        if self.is_empty() {
            return numbers;
        }
        stage("randomize", || {
            self.apply(&mut numbers, draws, Phase::Geoms);
            bound(base, &mut numbers);
            shape::compose(model, base, &mut numbers);
            let before = numbers.body_mass.clone();
            let heavier = self.apply(&mut numbers, draws, Phase::Masses);
            bound(base, &mut numbers);
            for body in heavier {
                let growth = numbers.body_mass[body] / before[body];
                numbers.body_inertia[body] = numbers.body_inertia[body] * growth;
                numbers.body_products[body] = numbers.body_products[body] * growth;
            }
            self.apply(&mut numbers, draws, Phase::Others);
            bound(base, &mut numbers);
        });
        numbers
    }

    /// Whether shapes or places of geoms are drawn, from which masses follow.
    pub(crate) fn reshapes(&self) -> bool {
        let places = self.entries.iter().flat_map(|resolved| &resolved.targets);
        places
            .map(|target| target.place.phase())
            .any(|phase| phase == Phase::Geoms)
    }

    /// Applies the draws whose turn it is, and says which rows of the physics they changed.
    fn apply(&self, numbers: &mut Parameters, draws: &[Var], phase: Phase) -> BTreeSet<usize> {
        let mut rows = BTreeSet::new();
        self.each(draws, |operation, place, draw| {
            if place.phase() == phase {
                change(numbers, operation, place, draw);
                if let Place::Number { row, .. } = place {
                    rows.insert(*row);
                }
            }
        });
        rows
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

/// When a draw is applied: what follows from it comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Shapes and places of geoms, of which bodies are made.
    Geoms,
    /// Masses of bodies.
    Masses,
    /// Everything else.
    Others,
}

impl Place {
    fn phase(&self) -> Phase {
        match self {
            Self::Number {
                field: "geom_size" | "geom_pos",
                ..
            }
            | Self::Rotation {
                field: "geom_quat", ..
            } => Phase::Geoms,
            Self::Number {
                field: "body_mass", ..
            } => Phase::Masses,
            _ => Phase::Others,
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
/// what they were (`base`) at least; armature, damping, friction loss and friction at 0; ranges of joints wider than twice their margin.
fn bound(base: &Parameters, numbers: &mut Parameters) {
    let mut base = base.clone();
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
    let limits = positive
        .into_iter()
        .zip([true; 4])
        .chain(not_negative.into_iter().zip([false; 4]));
    for ((field, components), is_positive) in limits {
        let mut row = 0;
        while numbers.number(field, row, 0).is_some() {
            for component in 0..components {
                let before = base
                    .number(field, row, component)
                    .map_or(Var::ZERO, |it| *it);
                let number = numbers.number(field, row, component);
                if let Some(number) = number.filter(|number| !number.same(before)) {
                    let lowest = if is_positive {
                        1e-3 * before
                    } else {
                        Var::ZERO
                    };
                    *number = number.max(lowest);
                }
            }
            row += 1;
        }
    }
    let ranges = numbers.jnt_range.iter_mut().zip(&base.jnt_range);
    for ((range, before), margin) in ranges.zip(&numbers.jnt_margin) {
        if range
            .iter()
            .zip(before)
            .any(|(side, before)| !side.same(*before))
        {
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
