//! Walk forward on two legs, with the rules of gymnasium's `Humanoid-v5` (`envs/mujoco/humanoid_v5.py`):
//! - observation: `qpos` but x and y, `qvel`, and of every body its inertia (`cinert`) and velocity (`cvel`), the
//!   actuators' forces, and the external wrench on every body (`cfrc_ext`);
//! - action: controls of 17 motors, in ±0.4, every 0.015 s (5 physics steps);
//! - reward: 1.25 times the velocity of the centre of mass along x over the control step, + 5 while healthy,
//!   − 0.1 |action|², − 5e-7 |wrenches|² but at most 10;
//! - healthy: 1 < z < 2; the episode ends where it is not;
//! - start: every position and velocity perturbed uniformly by ±0.01.
//!
//! What is told of bodies is that of the state in which forces were evaluated last, as in gymnasium.

use crate::error::Result;
use crate::math::Rng;
use crate::model::Model;
use crate::tasks::locomotion::{Difference, indicator, inside, sum_of_squares};
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};
use crate::trace::Var;

/// See the module's description.
pub(super) struct Humanoid;

impl Task for Humanoid {
    fn spec(&self, model: &Model, _config: &Table) -> Result<Spec> {
        let bodies = model.nbody - 1;
        let spec = Spec::new(0.015, 1000)
            .observe("policy", "position", 22)
            .observe("policy", "velocity", 23)
            .observe("policy", "body_inertias", 10 * bodies)
            .observe("policy", "body_velocities", 6 * bodies)
            .observe("policy", "actuator_forces", 17)
            .observe("policy", "external_wrenches", 6 * bodies)
            .reward("forward", 1.25)
            .reward("healthy", 5.0)
            .reward("control", -0.1)
            .reward("contact", -1.0)
            .termination("unhealthy")
            .param("contact.scale", 5e-7)
            .param("contact.limit", 10.0)
            .param("healthy.low", 1.0)
            .param("healthy.high", 2.0)
            .param("reset.noise", 0.01);
        Ok(Difference::declare(spec))
    }

    fn update(&self, w: &World, s: &mut TaskState) {
        Difference::update(w, s, |moment| moment.subtree_com("torso").x);
    }

    fn terms(&self, w: &World, s: &TaskState, t: &mut Terms) {
        let told = w.evaluated();
        let velocities = told.cvel();
        let velocities = velocities[1..]
            .iter()
            .flat_map(|motion| [motion.ang.to_array(), motion.lin.to_array()].concat());
        let wrenches = told.cfrc_ext();
        let wrenches: Vec<Var> = wrenches[1..]
            .iter()
            .flat_map(|wrench| [wrench.ang.to_array(), wrench.lin.to_array()].concat())
            .collect();
        t.observe("position", &w.qpos()[2..]);
        t.observe("velocity", w.qvel());
        t.observe("body_inertias", told.cinert()[1..].concat());
        t.observe("body_velocities", velocities.collect::<Vec<_>>());
        t.observe("actuator_forces", &told.qfrc_actuator()[6..]);
        t.observe("external_wrenches", &wrenches);

        let healthy = inside(w.qpos()[2], w.param("healthy.low"), w.param("healthy.high"));
        let contact = w.param("contact.scale") * sum_of_squares(&wrenches);
        t.reward("forward", Difference::velocity(s));
        t.reward("healthy", indicator(healthy));
        t.reward("control", sum_of_squares(w.action()));
        t.reward("contact", contact.min(w.param("contact.limit")));
        t.terminate("unhealthy", !healthy);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let noise = init.param("reset.noise");
        init.perturb(rng, noise);
    }
}
