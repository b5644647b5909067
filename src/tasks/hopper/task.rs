//! Hop forward on one leg, with the rules of gymnasium's `Hopper-v5` (`envs/mujoco/hopper_v5.py`):
//! - observation `[z, pitch, three joints]`, then all velocities clipped to ±10;
//! - action: controls of three motors with gear 200, in ±1, every 0.008 s (4 physics steps);
//! - reward: velocity along x over the control step, + 1 while healthy, − 0.001 |action|²;
//! - healthy: z > 0.7, |pitch| < 0.2, everything else but x within ±100; the episode ends where it is not;
//! - start: every position and velocity perturbed uniformly by ±0.005.

use crate::error::Result;
use crate::math::Rng;
use crate::model::Model;
use crate::tasks::locomotion::{indicator, inside, sum_of_squares};
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};
use crate::trace::{Mask, Var};

/// See the module's description.
pub(super) struct Hopper;

impl Task for Hopper {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.008, 1000)
            .observe("policy", "position", 5)
            .observe("policy", "velocity", 6)
            .reward("forward", 1.0)
            .reward("healthy", 1.0)
            .reward("control", -1e-3)
            .termination("unhealthy")
            .param("healthy.z", 0.7)
            .param("healthy.angle", 0.2)
            .param("healthy.state", 100.0)
            .param("reset.noise", 5e-3))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let (qpos, qvel) = (w.qpos(), w.qvel());
        let clipped: Vec<Var> = qvel.iter().map(|v| v.clamp(-10.0, 10.0)).collect();
        t.observe("position", &qpos[1..]);
        t.observe("velocity", clipped);

        let (angle, state) = (w.param("healthy.angle"), w.param("healthy.state"));
        let bounded = qpos[2..]
            .iter()
            .chain(qvel)
            .map(|&x| inside(x, -state, state))
            .fold(Mask::from(true), |all, one| all & one);
        let healthy = bounded & qpos[1].gt(w.param("healthy.z")) & inside(qpos[2], -angle, angle);

        let velocity = (qpos[0] - w.before().qpos()[0]) / w.control_dt();
        t.reward("forward", velocity);
        t.reward("healthy", indicator(healthy));
        t.reward("control", sum_of_squares(w.action()));
        t.terminate("unhealthy", !healthy);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let noise = init.param("reset.noise");
        init.perturb(rng, noise);
    }
}
