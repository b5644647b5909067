//! Run forward in the vertical plane, with the rules of gymnasium's `HalfCheetah-v5`
//! (`envs/mujoco/half_cheetah_v5.py`):
//! - observation `[z, pitch, six joints]`, then all velocities;
//! - action: controls of six motors, in ±1, every 0.05 s (5 physics steps);
//! - reward: velocity along x over the control step, − 0.1 |action|²;
//! - nothing terminates;
//! - start: every position perturbed uniformly by ±0.1, every velocity by Gaussian noise of 0.1.

use crate::error::Result;
use crate::math::Rng;
use crate::model::Model;
use crate::tasks::locomotion::sum_of_squares;
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};

/// See the module's description.
pub(super) struct HalfCheetah;

impl Task for HalfCheetah {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.05, 1000)
            .observe("policy", "position", 8)
            .observe("policy", "velocity", 9)
            .reward("forward", 1.0)
            .reward("control", -0.1)
            .param("reset.noise", 0.1))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let x = w.qpos()[0];
        t.observe("position", &w.qpos()[1..]);
        t.observe("velocity", w.qvel());
        t.reward("forward", (x - w.before().qpos()[0]) / w.control_dt());
        t.reward("control", sum_of_squares(w.action()));
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let noise = init.param("reset.noise");
        init.perturb_qpos(rng, -noise, noise);
        init.perturb_qvel_normal(rng, noise);
    }
}
