//! What a direct-current motor can do, and friction in its gear.
//!
//! Behind a gear of ratio N, a motor with resistance R and torque constant K (in N·m/A, and the same in V·s/rad) on the
//! share u of its supply voltage V carries the current I = (u V − K N q̇) / R and gives the joint τ = N K I. With
//! u = ±1 that is a line through the stall torque τ₀ = N K V / R at rest, of slope −τ₀ / ω₀ with the no-load speed
//! ω₀ = V / (K N): what is left of the torque at a speed. A limit of the current is one of the torque, N K I_max.
//!
//! Those three numbers (τ₀, ω₀, limit) are `saturation_effort`, `velocity_limit` and `effort_limit` of Isaac Lab's
//! `DCMotor`, whose torque this is. A motor that runs faster than ω₀ brakes.

use super::Inputs;
use super::servo::limited;
use crate::trace::Var;

/// Smallest divisor: a number that is changed to 0 at run time must not make infinities.
const SMALL: f64 = 1e-9;

/// The line of torque over speed, at the joint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Motor {
    /// Torque at rest on full voltage, τ₀.
    pub stall: Var,
    /// What is lost of it per speed, τ₀ / ω₀.
    pub slope: Var,
    /// The most torque whatever the speed.
    pub limit: Option<Var>,
}

impl Motor {
    /// As the numbers say.
    pub(super) fn new(now: &Inputs<'_>) -> Self {
        let number = |key: &str| now.number(key);
        let least = |key: &str| number(key).map_or(Var::from(SMALL), |value| value.max(SMALL));
        let effort = number("effort_limit");
        if number("saturation_effort").is_some() {
            let stall = least("saturation_effort");
            return Self {
                stall,
                slope: stall / least("velocity_limit"),
                limit: effort,
            };
        }
        // N·m at the joint per ampere.
        let constant = match number("gear_ratio") {
            Some(ratio) => ratio * least("torque_constant"),
            None => least("torque_constant"),
        };
        let resistance = least("resistance");
        let current = number("current_limit").map(|current| current * constant);
        Self {
            stall: constant * least("voltage") / resistance,
            slope: constant.square() / resistance,
            limit: match (current, effort) {
                (Some(current), Some(effort)) => Some(current.min(effort)),
                (one, other) => one.or(other),
            },
        }
    }

    /// The torque on a share of the supply voltage, −1 to 1.
    pub(super) fn on_duty(&self, duty: Var, velocity: Var) -> Var {
        let duty = duty.clamp(-1.0, 1.0);
        limited(self.stall * duty - self.slope * velocity, self.limit)
    }

    /// As much of a wanted torque as the voltage and the limit allow, under current control.
    pub(super) fn towards(&self, effort: Var, velocity: Var) -> Var {
        let lost = self.slope * velocity;
        let high = limited(self.stall - lost, self.limit);
        let low = limited(-self.stall - lost, self.limit);
        effort.clamp(low, high)
    }
}

/// Speed below which Coulomb friction is proportional to it, rad/s or m/s, unless `friction.velocity` says otherwise:
/// a force that jumps with the sign of a velocity would make it chatter.
const FULL_FRICTION: f64 = 0.1;

/// Coulomb and viscous friction between motor and joint, as an effort against the velocity.
pub(super) fn friction(now: &Inputs<'_>, velocity: Var) -> Var {
    let coulomb = now.number("friction.coulomb").map_or(Var::ZERO, |coulomb| {
        let full = now.number("friction.velocity");
        let full = full.map_or(Var::from(FULL_FRICTION), |full| full.max(SMALL));
        coulomb * (velocity / full).clamp(-1.0, 1.0)
    });
    let viscous = now.number("friction.viscous");
    coulomb + viscous.map_or(Var::ZERO, |viscous| viscous * velocity)
}
