//! What a substep tells besides the next state: whether it can be trusted, and the forces that it evaluated last.

use crate::math::{Force, Vec3};
use crate::model::Model;
use crate::trace::{Bits, Carry, Mask, Slot, Var, select};

use super::Forward;

/// Whether what was computed can be trusted.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// How many contacts between links were within their margins, at most at once.
    pub needed: Bits,
    /// Whether those were more than there are slots for: then only the deepest pushed.
    pub overflow: Mask,
    /// Whether the constraint solver gave up before it found the exact set of rows.
    pub unsolved: Mask,
}

impl Health {
    /// That of nothing computed yet.
    pub fn sound() -> Self {
        Self {
            needed: Bits::ZERO,
            overflow: Mask::from(false),
            unsolved: Mask::from(false),
        }
    }

    /// That of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            needed: select(self.needed.lt(other.needed), other.needed, self.needed),
            overflow: self.overflow | other.overflow,
            unsolved: self.unsolved | other.unsolved,
        }
    }
}

impl Carry for Health {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.needed.slots(visit);
        self.overflow.slots(visit);
        self.unsolved.slots(visit);
    }
}

/// Forces in a state, besides those that belong to single constraints.
#[derive(Clone, Debug)]
pub struct Forces {
    /// `[nv]` Generalized forces of the actuators.
    pub qfrc_actuator: Vec<Var>,
    /// `[nbody]` Wrench of all contacts on each body about the origin of its tree, world axes.
    pub contact: Vec<Force>,
}

impl Forces {
    /// No forces.
    pub fn none(model: &Model) -> Self {
        Self {
            qfrc_actuator: vec![Var::ZERO; model.nv],
            contact: vec![Force::ZERO; model.nbody],
        }
    }

    /// Those of an evaluation.
    pub fn of(model: &Model, forward: &Forward) -> Self {
        Self {
            qfrc_actuator: forward.qfrc_actuator.clone(),
            contact: (0..model.nbody)
                .map(|body| forward.contact_wrench(model, body, Vec3::ZERO))
                .collect(),
        }
    }
}

impl Carry for Forces {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.qfrc_actuator.slots(visit);
        self.contact.slots(visit);
    }
}
