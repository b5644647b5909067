//! Swing a pole up and balance it, with the rules of the DeepMind Control Suite's `cartpole swingup` (Tassa et al.,
//! 2018; dm_control `suite/cartpole.py`):
//! - observation `[x, cos θ, sin θ, ẋ, θ̇]`, θ from upright;
//! - action: the control of a motor with gear 10, in ±1, every 0.01 s (one physics step), 10 s per episode;
//! - reward: upright · centered · small control · slow, each in [0, 1], their product;
//! - the pole starts hanging, the cart in the middle, each with Gaussian noise of 0.01 in position and velocity;
//! - nothing terminates.

use std::f64::consts::PI;

use crate::error::Result;
use crate::math::{Rng, functions};
use crate::model::Model;
use crate::tasks::shaping::{Sigmoid, tolerance};
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};

/// See the module's description.
pub(super) struct CartpoleSwingup;

impl Task for CartpoleSwingup {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.01, 1000)
            .observe("policy", "position", 3)
            .observe("policy", "velocity", 2)
            .reward("swingup", 1.0)
            .param("reset.noise", 0.01))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let position = w.joint_position("slider");
        let (sin, cos) = functions::sin_cos(w.joint_position("hinge"));
        t.observe("position", [position, cos, sin]);
        t.observe("velocity", w.qvel());

        // A factor f in [0, 1] that may only take away so much stands as (a + f)/(a + 1).
        let upright = (cos + 1.0) / 2.0;
        let centered = (1.0 + tolerance(position, [0.0, 0.0], 2.0, 0.1, Sigmoid::Gaussian)) / 2.0;
        let control = w.action()[0].clamp(-1.0, 1.0);
        let small_control =
            (4.0 + tolerance(control, [0.0, 0.0], 1.0, 0.0, Sigmoid::Quadratic)) / 5.0;
        let slow = tolerance(
            w.joint_velocity("hinge"),
            [0.0, 0.0],
            5.0,
            0.1,
            Sigmoid::Gaussian,
        );
        let slow = (1.0 + slow) / 2.0;
        t.reward("swingup", upright * small_control * slow * centered);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let noise = init.param("reset.noise");
        let slider = noise * rng.normal();
        let hinge = PI + noise * rng.normal();
        init.set_position("slider", [slider]);
        init.set_position("hinge", [hinge]);
        init.perturb_qvel_normal(rng, noise);
    }
}
