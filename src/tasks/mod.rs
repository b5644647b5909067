//! Tasks: what a batch of worlds is for, as ordinary Rust over recorded scalars.
//!
//! A [`Task`] declares names and sizes once ([`Spec`]), and its other functions are recorded into the control step's
//! kernel by `env/`, which decides their order:
//!
//! actuate and substeps → update → terms → (when done) reset → commands → observation.
//!
//! One folder per task: `model.xml`, `task.rs`, `task.toml`. A [`Registry`] maps names to tasks; a user's crate adds
//! its own.
//!
//! ```
//! use manyworlds::error::Result;
//! use manyworlds::math::Rng;
//! use manyworlds::model::Model;
//! use manyworlds::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};
//!
//! struct Hold;
//!
//! impl Task for Hold {
//!     fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
//!         Ok(Spec::new(0.02, 500).observe("policy", "angle", 1).reward("upright", 1.0).termination("fallen"))
//!     }
//!     fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
//!         let angle = w.joint_position("hinge");
//!         t.observe("angle", [angle]);
//!         t.reward("upright", 1.0 - angle.square());
//!         t.terminate("fallen", angle.abs().gt(0.5));
//!     }
//!     fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
//!         init.perturb(rng, 0.05);
//!     }
//! }
//! ```

pub mod actuators;
mod ant;
mod ant_isaac;
mod cartpole_balance;
mod cartpole_swingup;
mod cheetah_run;
mod config;
mod forces;
mod half_cheetah;
mod hopper;
mod humanoid;
mod init;
mod locomotion;
mod moment;
mod moved;
mod params;
mod quadruped;
pub(crate) mod recording;
mod registry;
mod sensing;
pub mod shaping;
mod spec;
mod state;
mod stats;
mod terms;
pub mod variants;
mod walker2d;
mod walker_walk;
mod world;

pub use actuators::{Actuator, Latency, Law, Target};
pub use forces::ContactForce;
pub use init::Init;
pub use moment::{Link, Moment, Site};
pub use params::Params;
pub use registry::{Definition, Entry, Registry};
pub use sensing::{Lost, Sensor, SensorFields};
pub use spec::{
    Action, Command, Group, History, ObservationTerm, Own, RewardTerm, Spec, TerminationTerm,
};
pub use state::TaskState;
pub use stats::{Cause, Quarantine, Stats, Warning};
pub use terms::Terms;
pub use toml::Table;
pub use variants::Variant;
pub use world::{Ctrl, JointState, World};

pub(crate) use forces::ContactForces;
pub(crate) use sensing::{Instant, Look, Memory};
pub(crate) use terms::check;
pub(crate) use world::{Episode, Key, Past};

use crate::error::Result;
use crate::math::Rng;
use crate::model::Model;
use crate::trace::Var;

/// A task: goals, terms and beginnings, recorded once for one model.
///
/// `spec` and `on_iteration` run on the host. The others are recorded: they must not depend on anything but their
/// arguments and the task's own fields, and may run more than once per build.
pub trait Task: Send {
    /// Declares names, sizes and default numbers; `config` is the task's `task.toml`, whose numbers override the
    /// defaults afterwards. Options that change the structure stand in its table `task`.
    ///
    /// # Errors
    /// The task's own: an option that makes no sense, a model that does not fit.
    fn spec(&self, model: &Model, config: &Table) -> Result<Spec>;

    /// Turns the action into controls and forces, in every substep. By default actuator i gets component i. Where an
    /// [actuator model](actuators) stands for an actuator, its control is what the model is told.
    fn actuate(&self, w: &World, action: &[Var], c: &mut Ctrl) {
        let _ = w;
        c.set_all(action);
    }

    /// Changes the task's own state, once per control step, after the physics and before [`Task::terms`].
    fn update(&self, w: &World, s: &mut TaskState) {
        let _ = (w, s);
    }

    /// Feeds every declared term.
    fn terms(&self, w: &World, s: &TaskState, t: &mut Terms);

    /// Begins an episode: `init` starts at the model's `qpos0`, at rest, and `s` at zero.
    fn reset(&self, init: &mut Init, s: &mut TaskState, rng: &mut Rng);

    /// Changes parameters between rollouts, on the host: a curriculum.
    fn on_iteration(&mut self, stats: &Stats, p: &mut Params) {
        let _ = (stats, p);
    }
}
