//! Stand up and walk in the vertical plane, with the rules of the DeepMind Control Suite's `walker walk` (Tassa et al.,
//! 2018; dm_control `suite/walker.py`):
//! - observation: x and z of every body's x axis, height of the torso, all velocities;
//! - action: controls of six motors, in ±1, every 0.025 s (10 physics steps), 25 s per episode;
//! - reward: standing (height above 1.2 m, upright) times moving (centre of mass faster than 1 m/s);
//! - nothing terminates;
//! - start: every limited joint uniformly within its range, the torso turned anyhow.

use std::f64::consts::PI;

use crate::error::Result;
use crate::math::{Rng, Vec3};
use crate::model::Model;
use crate::tasks::shaping::{Sigmoid, tolerance};
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};

/// See the module's description.
pub(super) struct WalkerWalk;

/// m
const STAND_HEIGHT: f64 = 1.2;
/// m/s
const WALK_SPEED: f64 = 1.0;

const BODIES: [&str; 7] = [
    "torso",
    "right_thigh",
    "right_leg",
    "right_foot",
    "left_thigh",
    "left_leg",
    "left_foot",
];

impl Task for WalkerWalk {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.025, 1000)
            .observe("policy", "orientations", 2 * BODIES.len())
            .observe("policy", "height", 1)
            .observe("policy", "velocity", 9)
            .reward("walk", 1.0))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        // Elements xx and xz of a body's matrix: the world's x in the body's x and z.
        let orientations = BODIES.map(|name| {
            let x = w.link(name).to_body(Vec3::new(1.0, 0.0, 0.0));
            [x.x, x.z]
        });
        let torso = w.link("torso");
        let height = torso.position.z;
        t.observe("orientations", orientations.concat());
        t.observe("height", [height]);
        t.observe("velocity", w.qvel());

        let above = |speed: f64| [speed, f64::INFINITY];
        let standing = tolerance(
            height,
            above(STAND_HEIGHT),
            STAND_HEIGHT / 2.0,
            0.1,
            Sigmoid::Gaussian,
        );
        let upright = (1.0 + torso.up().z) / 2.0;
        let stand = (3.0 * standing + upright) / 4.0;
        let speed = w.subtree_velocity("torso").x;
        let moving = tolerance(
            speed,
            above(WALK_SPEED),
            WALK_SPEED / 2.0,
            0.5,
            Sigmoid::Linear,
        );
        t.reward("walk", stand * (5.0 * moving + 1.0) / 6.0);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        init.spread_limited_joints(rng);
        let angle = rng.range(-PI, PI);
        init.set_position("rooty", [angle]);
    }
}
