//! Balance a pole on a cart, with the rules of gymnasium's `InvertedPendulum-v5` (Farama Foundation, gymnasium 1.x,
//! `envs/mujoco/inverted_pendulum_v5.py`):
//! - observation `[qpos, qvel]`: cart m, pole rad, cart m/s, pole rad/s;
//! - action: the control of a motor with gear 100, in ±3 (beyond that the model's control range clamps);
//! - 2 physics steps of 0.02 s per action (frame_skip), 1,000 actions per episode;
//! - reward 1 while the pole is within ±0.2 rad, and the episode ends where it is not;
//! - every number of `qpos` and `qvel` starts uniformly within ±0.01.
//!
//! One difference: where gymnasium terminates on a non-finite observation, the world is quarantined instead (it
//! reports `truncated` with a status, and is not learned from).

use crate::error::Result;
use crate::math::Rng;
use crate::model::Model;
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};
use crate::trace::{Var, select};

/// See the module's description.
pub(super) struct CartpoleBalance;

impl Task for CartpoleBalance {
    fn spec(&self, model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.04, 1000)
            .observe("policy", "qpos", model.nq)
            .observe("policy", "qvel", model.nv)
            .reward("alive", 1.0)
            .termination("fallen")
            .param("reset.noise", 0.01)
            .param("limit.angle", 0.2))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let fallen = w.joint_position("hinge").abs().gt(w.param("limit.angle"));
        t.observe("qpos", w.qpos());
        t.observe("qvel", w.qvel());
        t.reward("alive", select(fallen, Var::from(0.0), Var::from(1.0)));
        t.terminate("fallen", fallen);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        init.perturb(rng, init.param("reset.noise"));
    }
}
