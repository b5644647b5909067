//! Walk forward on two legs in the vertical plane, with the rules of gymnasium's `Walker2d-v5`
//! (`envs/mujoco/walker2d_v5.py`):
//! - observation `[z, pitch, six joints]`, then all velocities clipped to ±10;
//! - action: controls of six motors with gear 100, in ±1, every 0.008 s (4 physics steps);
//! - reward: velocity along x over the control step, + 1 while healthy, − 0.001 |action|²;
//! - healthy: 0.8 < z < 2, |pitch| < 1; the episode ends where it is not;
//! - start: every position and velocity perturbed uniformly by ±0.005.

use crate::error::Result;
use crate::math::Rng;
use crate::model::Model;
use crate::tasks::locomotion::{indicator, inside, sum_of_squares};
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};
use crate::trace::Var;

/// See the module's description.
pub(super) struct Walker2d;

impl Task for Walker2d {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.008, 1000)
            .observe("policy", "position", 8)
            .observe("policy", "velocity", 9)
            .reward("forward", 1.0)
            .reward("healthy", 1.0)
            .reward("control", -1e-3)
            .termination("unhealthy")
            .param("healthy.low", 0.8)
            .param("healthy.high", 2.0)
            .param("healthy.angle", 1.0)
            .param("reset.noise", 5e-3))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let qpos = w.qpos();
        let clipped: Vec<Var> = w.qvel().iter().map(|v| v.clamp(-10.0, 10.0)).collect();
        t.observe("position", &qpos[1..]);
        t.observe("velocity", clipped);

        let angle = w.param("healthy.angle");
        let healthy = inside(qpos[1], w.param("healthy.low"), w.param("healthy.high"))
            & inside(qpos[2], -angle, angle);
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
