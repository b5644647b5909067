//! Rigid bodies in generalized coordinates, with MuJoCo's semantics (3.17), over recorded scalars.
//!
//! One file per stage; [`substep`] is the recipe. A stage reads the [`Model`]'s structure (which body hangs on which)
//! while it is recorded, and its numbers from [`Parameters`], where constants fold away. SI units, world axes,
//! quaternions w-x-y-z; positions and spatial quantities are relative to the origin of their kinematic tree, see
//! [`Kinematics`].
//!
//! ```text
//! qpos ─ kinematics ─ inertia ─┐
//! qvel ─ velocity ─ bias ──────┤
//! passive, applied ────────────┼─ solve (constraint rows) ─ qacc ─ integrate ─ state
//! ctrl, act ─ actuation ───────┘
//! ```
//!
//! What is not read is not printed: a caller takes from [`Forward`] what it needs, and pays for that only.

mod actuation;
mod applied;
mod articulated;
mod bias;
pub mod collision;
mod cone;
mod constraint;
mod contact;
mod coupling;
mod elliptic;
mod equality;
mod external;
mod family;
mod free_body;
mod guest;
mod inertia;
mod integrate;
mod kinematics;
mod newton;
mod parameters;
mod passive;
mod placement;
mod report;
mod roll;
mod sensor;
mod slots;
mod solve;
mod state;
mod subtree;
mod touch;
mod tree;
mod variation;
mod velocity;
mod weights;

use crate::math::{Force, Motion, Vec3};
use crate::model::Model;
use crate::trace::{Bits, Mask, Var, stage};

use actuation::{Actuation, Lever};
use articulated::JointBlocks;
use contact::Contacts;
use inertia::LinkInertia;
use placement::Fixed;
use solve::{Problem, Rounds};
use tree::Tree;
use velocity::Velocity;

pub use contact::{Contact, count as contact_count};
pub use equality::Equality;
pub use external::{PostConstraint, post_constraint};
pub use guest::{Spot, each_spot};
pub use kinematics::{Frame, Kinematics};
pub use parameters::{Element, Parameters};
pub use report::{Forces, Health};
pub use sensor::{check_sensors, sensordata};
pub use state::{Applied, State, StateFields};
pub use subtree::Bodies;
pub use tree::check;
pub use variation::{Number, differences};
pub use weights::inverse_weights;

/// A substep's results.
#[derive(Clone, Debug)]
pub struct Substep {
    /// The state after the time step.
    pub state: State,
    /// Everything at the start of the time step. Use [`forward`] for the state after it.
    pub start: Forward,
    /// The state in which forces were evaluated last: the start of the time step, or `rk4`'s fourth stage. [`forward`]
    /// there gives what `mj_step` leaves in `mjData`.
    pub evaluated: State,
    /// Whether all its evaluations can be trusted.
    pub health: Health,
    /// Forces in `evaluated`, where that is not the start.
    forces: Option<Forces>,
}

impl Substep {
    /// Forces in [`Substep::evaluated`]. Recorded where this is called, unless they were on the way.
    pub fn forces(&self, model: &Model) -> Forces {
        match &self.forces {
            Some(forces) => forces.clone(),
            None => Forces::of(model, &self.start),
        }
    }
}

/// Everything that follows from a state and its inputs, before time advances (`mj_forward`).
#[derive(Clone, Debug)]
pub struct Forward {
    /// Frames.
    pub kinematics: Kinematics,
    /// `[nbody]` Velocity of each body about the origin of its tree.
    pub cvel: Vec<Motion>,
    /// `[nv]` Accelerations.
    pub qacc: Vec<Var>,
    /// `[nv]` All forces but the constraints', less the bias.
    pub qfrc_smooth: Vec<Var>,
    /// `[nv]` Forces of the actuators.
    pub qfrc_actuator: Vec<Var>,
    /// `[nv]` Forces of the constraints.
    pub qfrc_constraint: Vec<Var>,
    /// `[nu]` Force of each actuator before its transmission.
    pub actuator_force: Vec<Var>,
    /// `[na]` Rates of the activations, 1/s.
    pub act_dot: Vec<Var>,
    /// The equality constraints that are not constantly off, in the model's order; not those between objects that cannot
    /// move against each other.
    pub equalities: Vec<Equality>,
    /// How many contacts between links are within their margins.
    pub needed: Bits,
    /// Whether those are more than there are slots for: then only the deepest push.
    pub overflow: Mask,
    /// Rows that push, see [`State::active`].
    pub active: Vec<Bits>,
    /// Whether the constraint solver found the exact set of rows within its rounds.
    pub converged: Mask,
    /// How many rounds it took: one where the set of the last substep is confirmed at once, none without constraints.
    pub iterations: Bits,

    touching: Contacts,
    transmission: Vec<Lever>,
    force_vel: Vec<Var>,
    inertia: Vec<LinkInertia>,
    armature: JointBlocks,
    is_unconstrained: bool,
}

impl Forward {
    /// `[nu]` Lengths of the actuators.
    pub fn actuator_length(&self, actuator: usize) -> Var {
        self.transmission[actuator].length
    }

    /// `[nu]` Velocities of the actuators.
    pub fn actuator_velocity(&self, actuator: usize) -> Var {
        self.transmission[actuator].velocity
    }

    /// How many contacts MuJoCo lists (`ncon`).
    pub fn ncon(&self) -> Bits {
        self.touching.detected
    }

    /// The wrench of all contacts on a body, about a point given relative to the origin of its tree, world axes.
    pub fn contact_wrench(&self, model: &Model, body: usize, about: Vec3) -> Force {
        let origin = self.kinematics.origin[body];
        self.touching.wrench(model, body, origin + about)
    }

    /// Every point where geoms may touch, in a fixed order; those that do not exist are far apart.
    pub fn contacts(&self) -> &[Contact] {
        &self.touching.all
    }

    /// Whether it can be trusted.
    pub fn health(&self) -> Health {
        Health {
            needed: self.needed,
            overflow: self.overflow,
            unsolved: !self.converged,
        }
    }

    /// Velocity of a body's frame: angular, and linear of the frame's own position, world axes.
    pub fn velocity(&self, body: usize) -> Motion {
        let cvel = self.cvel[body];
        Motion {
            lin: cvel.at(self.kinematics.offset[body]),
            ..cvel
        }
    }
}

/// Advances a world by one time step (`mj_step`).
///
/// `ctrl` is `[nu]`. See [`check`] for what a model must not ask for.
///
/// # Panics
/// When a slice does not have the model's shape.
pub fn substep(
    model: &Model,
    parameters: &Parameters,
    state: &State,
    ctrl: &[Var],
    applied: &Applied,
) -> Substep {
    let tree = Tree::new(model);
    let cx = Context::new(model, parameters, &tree);
    let inputs = Inputs { ctrl, applied };
    let start = forward_with(&cx, state, &inputs);
    stage("integrate", || {
        integrate::integrate(&cx, state, &inputs, start)
    })
}

/// Everything at a state, without advancing it (`mj_forward`).
///
/// # Panics
/// When a slice does not have the model's shape.
pub fn forward(
    model: &Model,
    parameters: &Parameters,
    state: &State,
    ctrl: &[Var],
    applied: &Applied,
) -> Forward {
    let tree = Tree::new(model);
    forward_with(
        &Context::new(model, parameters, &tree),
        state,
        &Inputs { ctrl, applied },
    )
}

/// Frames and velocities at a state: the part of [`forward`] that needs no inputs. The velocities are `cvel`, `[nbody]`.
pub fn motion(model: &Model, parameters: &Parameters, state: &State) -> (Kinematics, Vec<Motion>) {
    let tree = Tree::new(model);
    let cx = Context::new(model, parameters, &tree);
    let kinematics = stage("kinematics", || kinematics::kinematics(&cx, state));
    let velocity = stage("velocity", || {
        velocity::velocity(&cx, &kinematics, &state.qvel)
    });
    (kinematics, of_bodies(&cx, &velocity.cvel))
}

/// `[nbody]` The motions of the links (`[links]`) that bodies belong to; none for bodies fixed in the world.
fn of_bodies(cx: &Context<'_>, links: &[Motion]) -> Vec<Motion> {
    cx.tree
        .body_link
        .iter()
        .map(|link| link.map_or(Motion::ZERO, |link| links[link]))
        .collect()
}

/// What all stages read.
struct Context<'a> {
    model: &'a Model,
    parameters: &'a Parameters,
    tree: &'a Tree,
    /// `[nbody]` See [`placement`].
    placement: Vec<Fixed>,
}

impl<'a> Context<'a> {
    fn new(model: &'a Model, parameters: &'a Parameters, tree: &'a Tree) -> Self {
        Self {
            model,
            parameters,
            tree,
            placement: placement::placement(model, tree, parameters),
        }
    }
}

/// What acts on a world during a substep.
struct Inputs<'a> {
    ctrl: &'a [Var],
    applied: &'a Applied,
}

/// Everything that does not depend on constraints.
struct Smooth {
    kinematics: Kinematics,
    inertia: Vec<LinkInertia>,
    velocity: Velocity,
    actuation: Actuation,
    armature: JointBlocks,
    qfrc_smooth: Vec<Var>,
}

impl Smooth {
    fn problem(&self, rounds: Rounds) -> Problem<'_> {
        Problem {
            kinematics: &self.kinematics,
            inertia: &self.inertia,
            cvel: &self.velocity.cvel,
            armature: &self.armature,
            tau: &self.qfrc_smooth,
            rounds,
        }
    }
}

fn smooth(cx: &Context<'_>, state: &State, inputs: &Inputs<'_>) -> Smooth {
    let kinematics = stage("kinematics", || kinematics::kinematics(cx, state));
    let inertia = stage("inertia", || inertia::inertia(cx, &kinematics));
    let velocity = stage("velocity", || {
        velocity::velocity(cx, &kinematics, &state.qvel)
    });
    let passive = stage("passive", || {
        passive::passive(cx, &kinematics, &velocity, state)
    });
    let gravcomp = passive.gravcomp.as_deref();
    let actuation = stage("actuation", || {
        actuation::actuation(cx, &kinematics, state, inputs.ctrl, gravcomp)
    });
    let wrenches = stage("applied", || {
        applied::wrenches(cx, &kinematics, inputs.applied, &passive.wrenches)
    });
    let bias = stage("bias", || {
        bias::bias(cx, &kinematics, &inertia, &velocity, &wrenches)
    });
    let qfrc_smooth = stage("smooth", || {
        let forces = [&passive.total(cx), &actuation.qfrc, &inputs.applied.qfrc];
        let total = |dof: usize| forces.iter().map(|force| force[dof]).sum::<Var>() - bias[dof];
        (0..cx.model.nv).map(total).collect()
    });
    let armature = JointBlocks::from_diagonal(cx.model, &cx.parameters.dof_armature);
    Smooth {
        kinematics,
        inertia,
        velocity,
        actuation,
        armature,
        qfrc_smooth,
    }
}

fn forward_with(cx: &Context<'_>, state: &State, inputs: &Inputs<'_>) -> Forward {
    assert_eq!(
        inputs.ctrl.len(),
        cx.model.nu,
        "ctrl has one number per actuator"
    );
    let smooth = smooth(cx, state, inputs);
    let constraints = stage("constraint", || {
        constraint::constraint(cx, &smooth.kinematics, state)
    });
    let solution = stage("solve", || {
        smooth
            .problem(Rounds::DEFAULT)
            .solve(cx, &constraints, &state.active)
    });

    Forward {
        cvel: of_bodies(cx, &smooth.velocity.cvel),
        qacc: solution.qacc,
        qfrc_smooth: smooth.qfrc_smooth,
        qfrc_actuator: smooth.actuation.qfrc,
        qfrc_constraint: solution.qfrc_constraint,
        actuator_force: smooth.actuation.force,
        act_dot: smooth.actuation.act_dot,
        touching: contact::contacts(cx, &smooth.kinematics, &constraints, &solution.forces),
        equalities: equality::told(&constraints.equalities, solution.equalities),
        needed: constraints.slots.needed,
        overflow: constraints.slots.overflow,
        active: solution.active,
        converged: solution.converged,
        iterations: solution.iterations,
        transmission: smooth.actuation.transmission,
        force_vel: smooth.actuation.force_vel,
        kinematics: smooth.kinematics,
        inertia: smooth.inertia,
        armature: smooth.armature,
        is_unconstrained: constraints.is_empty(),
    }
}
