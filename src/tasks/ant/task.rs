//! Walk forward on four legs, with the rules of gymnasium's `Ant-v5` (`envs/mujoco/ant_v5.py`):
//! - observation: `qpos` but x and y, `qvel`, and the external wrench on every body (`cfrc_ext`) clipped to ±1;
//! - action: controls of eight motors with gear 150, in ±1, every 0.05 s (5 physics steps);
//! - reward: velocity of the torso along x over the control step, + 1 while healthy, − 0.5 |action|²,
//!   − 0.0005 |clipped wrenches|²;
//! - healthy: 0.2 ≤ z ≤ 1; the episode ends where it is not;
//! - start: every position perturbed uniformly by ±0.1, every velocity by Gaussian noise of 0.1.
//!
//! Wrenches and the torso's place are those of the state in which forces were evaluated last, as in gymnasium.

use crate::error::Result;
use crate::math::Rng;
use crate::model::Model;
use crate::tasks::locomotion::{Difference, indicator, sum_of_squares};
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};
use crate::trace::Var;

/// See the module's description.
pub(super) struct Ant;

impl Task for Ant {
    fn spec(&self, model: &Model, _config: &Table) -> Result<Spec> {
        let spec = Spec::new(0.05, 1000)
            .observe("policy", "position", 13)
            .observe("policy", "velocity", 14)
            .observe("policy", "external_wrenches", 6 * (model.nbody - 1))
            .reward("forward", 1.0)
            .reward("healthy", 1.0)
            .reward("control", -0.5)
            .reward("contact", -5e-4)
            .termination("unhealthy")
            .param("healthy.low", 0.2)
            .param("healthy.high", 1.0)
            .param("reset.noise", 0.1);
        Ok(Difference::declare(spec))
    }

    fn update(&self, w: &World, s: &mut TaskState) {
        Difference::update(w, s, |moment| moment.link("torso").position.x);
    }

    fn terms(&self, w: &World, s: &TaskState, t: &mut Terms) {
        let wrenches = w.evaluated().cfrc_ext();
        let clipped: Vec<Var> = wrenches[1..]
            .iter()
            .flat_map(|wrench| [wrench.ang.to_array(), wrench.lin.to_array()].concat())
            .map(|value| value.clamp(-1.0, 1.0))
            .collect();
        t.observe("position", &w.qpos()[2..]);
        t.observe("velocity", w.qvel());
        t.observe("external_wrenches", &clipped);

        let z = w.qpos()[2];
        let healthy = z.ge(w.param("healthy.low")) & z.le(w.param("healthy.high"));
        t.reward("forward", Difference::velocity(s));
        t.reward("healthy", indicator(healthy));
        t.reward("control", sum_of_squares(w.action()));
        t.reward("contact", sum_of_squares(&clipped));
        t.terminate("unhealthy", !healthy);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let noise = init.param("reset.noise");
        init.perturb_qpos(rng, -noise, noise);
        init.perturb_qvel_normal(rng, noise);
    }
}
