//! Run forward in the vertical plane, with the rules of the DeepMind Control Suite's `cheetah run` (Tassa et al., 2018;
//! dm_control `suite/cheetah.py`):
//! - observation `[z, pitch, six joints]`, then all velocities;
//! - action: controls of six motors, in ±1, every 0.01 s (one physics step), 10 s per episode;
//! - reward: velocity of the centre of mass along x over 10 m/s, within [0, 1];
//! - nothing terminates;
//! - start: every limited joint uniformly within its range. The suite then lets the cheetah settle on the floor for
//!   2 s before the episode begins; here the fall is part of the episode.

use crate::error::Result;
use crate::math::Rng;
use crate::model::Model;
use crate::tasks::shaping::{Sigmoid, tolerance};
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};

/// See the module's description.
pub(super) struct CheetahRun;

/// m/s
const SPEED: f64 = 10.0;

impl Task for CheetahRun {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.01, 1000)
            .observe("policy", "position", 8)
            .observe("policy", "velocity", 9)
            .reward("run", 1.0))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let speed = w.subtree_velocity("torso").x;
        let run = tolerance(speed, [SPEED, f64::INFINITY], SPEED, 0.0, Sigmoid::Linear);
        t.observe("position", &w.qpos()[1..]);
        t.observe("velocity", w.qvel());
        t.reward("run", run);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        init.spread_limited_joints(rng);
    }
}
