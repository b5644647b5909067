//! Run forward on four legs, with the rules of Isaac Gym's `Ant` (Makoviychuk et al., Isaac Gym, 2021; IsaacGymEnvs
//! `tasks/ant.py`, `cfg/task/Ant.yaml`), on this crate's physics instead of PhysX:
//! - observation, 60 numbers: height, velocity and angular velocity in the torso's frame, yaw, roll, angle to the target,
//!   cosines of the torso's tilt and of its heading to the target, joint positions scaled to ±1 by their ranges, 0.2 times
//!   joint velocities, 0.1 times force and torque of the contacts on every foot in its frame, the action;
//! - action: controls of eight motors with gear 15, in ±1, every 0.0166 s (2 physics steps);
//! - reward: progress towards a target 1 km ahead (its velocity, m/s), 0.5 alive, up to 0.5 for heading there, 0.1 for
//!   being upright, − 0.005 |action|², − 0.05 Σ |action · scaled joint velocity|, − 0.1 for each joint at its upper
//!   limit; −2 instead of all that where the torso is below 0.31 m, which ends the episode;
//! - start: joints within ±0.2 of the position in their ranges that is closest to 0, velocities within ±0.1.
//!
//! Differences: gravity acts on feet without being felt by their sensors; joints are in the order of legs, one to four,
//! for actions, too. As published, angles are in [0, 2π), and the angle to the target mixes up the axes: it is
//! `atan2(−height, distance) − yaw`.

use std::f64::consts::TAU;

use crate::error::Result;
use crate::math::{Rng, Vec3, functions};
use crate::model::Model;
use crate::tasks::locomotion::{indicator, sum_of_squares};
use crate::tasks::{Init, Spec, Table, Task, TaskState, Terms, World};
use crate::trace::{Var, select};

/// See the module's description.
pub(super) struct AntIsaac;

const JOINTS: [&str; 8] = [
    "hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3", "hip_4", "ankle_4",
];
const FEET: [&str; 4] = [
    "front_left_foot",
    "front_right_foot",
    "left_back_foot",
    "right_back_foot",
];
/// Where the target lies along x, m.
const TARGET: f64 = 1000.0;

/// The same angle in [0, 2π), for one in (−π, π].
fn positive(angle: Var) -> Var {
    select(angle.lt(0.0), angle + TAU, angle)
}

impl Task for AntIsaac {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.0166, 1000)
            .observe("policy", "height", 1)
            .observe("policy", "velocity", 3)
            .observe("policy", "angular_velocity", 3)
            .observe("policy", "angles", 3)
            .observe("policy", "projections", 2)
            .observe("policy", "joint_positions", 8)
            .observe("policy", "joint_velocities", 8)
            .observe("policy", "foot_forces", 24)
            .observe("policy", "action", 8)
            .reward("progress", 1.0)
            .reward("alive", 0.5)
            .reward("heading", 0.5)
            .reward("upright", 0.1)
            .reward("action", -0.005)
            .reward("energy", -0.05)
            .reward("at_limit", -0.1)
            .reward("fallen", -2.0)
            .termination("fallen")
            .param("limit.height", 0.31)
            .param("reset.position", 0.2)
            .param("reset.velocity", 0.1))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let torso = w.link("torso");
        let Vec3 { x, y, z } = torso.position;
        let q = torso.orientation;
        let yaw = positive(functions::atan2(
            2.0 * (q.w * q.z + q.x * q.y),
            q.w.square() + q.x.square() - q.y.square() - q.z.square(),
        ));
        let roll = positive(functions::atan2(
            2.0 * (q.w * q.x + q.y * q.z),
            q.w.square() - q.x.square() - q.y.square() + q.z.square(),
        ));
        let to_target = functions::atan2(-z, TARGET - x) - yaw;
        let up = torso.up().z;
        let ahead = torso.to_world(Vec3::new(1.0, 0.0, 0.0));
        let (direction, _) = Vec3::new(TARGET - x, -y, 0.0).normalize();
        let heading = ahead.dot(direction);
        let scaled = JOINTS.map(|name| {
            let [low, high] = w.joint_limits(name);
            (2.0 * w.joint_position(name) - high - low) / (high - low)
        });
        let velocities = JOINTS.map(|name| 0.2 * w.joint_velocity(name));
        let felt = w.evaluated();
        let forces = FEET.map(|name| {
            let wrench = felt.contact_wrench(name);
            let numbers = [wrench.lin.to_array(), wrench.ang.to_array()].concat();
            numbers
                .into_iter()
                .map(|value| 0.1 * value)
                .collect::<Vec<_>>()
        });
        t.observe("height", [z]);
        t.observe("velocity", torso.velocity_in_body().to_array());
        t.observe(
            "angular_velocity",
            torso.angular_velocity_in_body().to_array(),
        );
        t.observe("angles", [yaw, roll, to_target]);
        t.observe("projections", [up, heading]);
        t.observe("joint_positions", scaled);
        t.observe("joint_velocities", velocities);
        t.observe("foot_forces", forces.concat());
        t.observe("action", w.action());

        let fallen = z.lt(w.param("limit.height"));
        let standing = indicator(!fallen);
        // |a| − |b| = (a − b)·(a + b) / (|a| + |b|): the distances themselves are too large for their difference.
        let before = w.before().link("torso").position;
        let distance = |x: Var, y: Var| Vec3::new(TARGET - x, -y, 0.0).norm();
        let closer =
            (x - before.x) * (2.0 * TARGET - x - before.x) - (y - before.y) * (y + before.y);
        let progress = closer / (distance(x, y) + distance(before.x, before.y)) / w.control_dt();
        let energy: Var = w
            .action()
            .iter()
            .zip(velocities)
            .map(|(action, velocity)| (*action * velocity).abs())
            .sum();
        let at_limit: Var = scaled.iter().map(|q| indicator(q.gt(0.99))).sum();
        t.reward("progress", standing * progress);
        t.reward("alive", standing);
        t.reward("heading", standing * (heading / 0.8).min(1.0));
        t.reward("upright", standing * indicator(up.gt(0.93)));
        t.reward("action", standing * sum_of_squares(w.action()));
        t.reward("energy", standing * energy);
        t.reward("at_limit", standing * at_limit);
        t.reward("fallen", indicator(fallen));
        t.terminate("fallen", fallen);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let (position, velocity) = (init.param("reset.position"), init.param("reset.velocity"));
        for name in JOINTS {
            let [low, high] = init.limits(name);
            let middle = Var::ZERO.max(low).min(high);
            let start = middle + rng.range(-position, position);
            init.set_position(name, [start.max(low).min(high)]);
            let speed = rng.range(-velocity, velocity);
            init.set_velocity(name, [speed]);
        }
    }
}
