//! Follow velocity commands on four legs, on flat ground: terms of legged_gym (Rudin et al., Learning to Walk in
//! Minutes Using Massively Parallel Deep Reinforcement Learning, 2022; `legged_robot.py`), on a model of our own. There
//! is more for following and less for a level trunk than there: with its weights, standing still is where learning ends.
//! - action: offsets of 12 joint targets from a stance, in units of 0.25 rad, every 0.02 s (4 physics steps); PD control
//!   with P = 20 N·m/rad, D = 0.5 N·m·s/rad;
//! - command: velocity along x and y (m/s) and yaw rate (rad/s) in the trunk's frame, new every 10 s; one whose planar
//!   part is below 0.2 m/s means standing;
//! - observation, group `policy`: what a robot measures (angular velocity, gravity's direction, joints) with noise, the
//!   command, the last action; group `critic`: the same without noise, and velocity, height, and the feet's contacts;
//! - reward: following the command, less the terms below, each per second;
//! - ends when the trunk touches the ground or tips over.

use crate::error::Result;
use crate::math::{Quat, Rng, Vec3, functions};
use crate::model::Model;
use crate::tasks::locomotion::{indicator, sum_of_squares};
use crate::tasks::{Ctrl, Init, Spec, Table, Task, TaskState, Terms, World};
use crate::trace::{Mask, Var, select};

/// See the module's description.
pub(super) struct Quadruped;

const LEGS: [&str; 4] = ["front_left", "front_right", "rear_left", "rear_right"];

/// Joint positions at rest: hip, thigh, calf of each leg, rad.
const STANCE: [[f64; 3]; 4] = [
    [0.1, 0.8, -1.5],
    [-0.1, 0.8, -1.5],
    [0.1, 1.0, -1.5],
    [-0.1, 1.0, -1.5],
];

/// Height of the trunk's origin with straight springs, m: where episodes begin.
const HEIGHT: f64 = 0.34;

/// Names and sizes of what both groups see.
const SENSED: [(&str, usize); 6] = [
    ("angular_velocity", 3),
    ("gravity", 3),
    ("command", 3),
    ("joint_positions", 12),
    ("joint_velocities", 12),
    ("action", 12),
];

/// What only the critic sees.
const PRIVILEGED: [(&str, usize); 4] = [
    ("velocity", 3),
    ("height", 1),
    ("foot_contacts", 4),
    ("air_time", 4),
];

fn stance() -> impl Iterator<Item = f64> {
    STANCE.into_iter().flatten()
}

/// The command, zero where it is too slow to be followed.
fn command(w: &World) -> [Var; 3] {
    let values = [0, 1, 2].map(|i| w.command("velocity")[i]);
    let moves = speed(values).gt(w.param("command_threshold"));
    values.map(|value| select(moves, value, Var::ZERO))
}

/// Planar part of a command, m/s.
fn speed([x, y, _]: [Var; 3]) -> Var {
    (x.square() + y.square()).sqrt()
}

/// Whether each foot pressed on the ground in any substep. A foot is its calf's only part that can touch.
fn foot_contacts(w: &World) -> [Mask; 4] {
    let threshold = w.param("contact_threshold");
    LEGS.map(|leg| w.contact(&format!("{leg}_calf")).max.gt(threshold))
}

impl Task for Quadruped {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        let mut spec = Spec::new(0.02, 1000);
        for (name, dim) in SENSED {
            spec = spec
                .observe("policy", name, dim)
                .observe("critic", name, dim);
        }
        for (name, dim) in PRIVILEGED {
            spec = spec.observe("critic", name, dim);
        }
        for leg in LEGS {
            for joint in ["hip", "thigh", "calf"] {
                spec = spec.action(&format!("{leg}_{joint}"), f64::NEG_INFINITY, f64::INFINITY);
            }
        }
        Ok(spec
            .command("velocity", &[[-1.0, 1.0], [-0.5, 0.5], [-1.0, 1.0]], 10.0)
            .own("air_time", 4)
            .own("landed_after", 4)
            .own("old_velocities", 12)
            .reward("track_velocity", 3.0)
            .reward("track_yaw_rate", 1.5)
            .reward("vertical_velocity", -1.0)
            .reward("roll_pitch_rate", -0.05)
            .reward("tilt", -1.0)
            .reward("height", -20.0)
            .reward("torque", -2e-4)
            .reward("acceleration", -2.5e-7)
            .reward("action_rate", -0.01)
            .reward("air_time", 1.0)
            .reward("thigh_contact", -1.0)
            .reward("stand_still", -0.5)
            .termination("fallen")
            .param("action_scale", 0.25)
            .param("tracking_width", 0.25)
            .param("command_threshold", 0.2)
            .param("contact_threshold", 1.0)
            .param("step_time", 0.1)
            .param("stand_height", 0.26)
            .param("reset.joint", 0.1)
            .param("reset.velocity", 0.5))
    }

    fn actuate(&self, _w: &World, action: &[Var], c: &mut Ctrl) {
        let scale = c.param("action_scale");
        let targets: Vec<Var> = stance()
            .zip(action)
            .map(|(rest, offset)| rest + scale * *offset)
            .collect();
        c.set_all(&targets);
    }

    fn update(&self, w: &World, s: &mut TaskState) {
        // How long each foot was in the air; kept for the reward in the step in which it lands.
        let contacts = foot_contacts(w);
        let grown: Vec<Var> = s
            .get("air_time")
            .iter()
            .map(|time| *time + w.control_dt())
            .collect();
        let in_air = |foot: usize| select(contacts[foot], Var::ZERO, grown[foot]);
        let first = |foot: usize| contacts[foot] & grown[foot].gt(1.5 * w.control_dt());
        let landed = |foot: usize| select(first(foot), grown[foot], Var::ZERO);
        let (air_time, landed_after) = ([0, 1, 2, 3].map(in_air), [0, 1, 2, 3].map(landed));
        s.set("air_time", air_time);
        s.set("landed_after", landed_after);
        s.set("old_velocities", &w.before().qvel()[6..]);
    }

    fn terms(&self, w: &World, s: &TaskState, t: &mut Terms) {
        let (trunk, dt) = (w.link("trunk"), w.control_dt());
        let (velocity, rate) = (trunk.velocity_in_body(), trunk.angular_velocity_in_body());
        let gravity = trunk.gravity_in_body();
        let command = command(w);
        let joints = &w.qpos()[7..];
        let offsets: Vec<Var> = joints
            .iter()
            .zip(stance())
            .map(|(q, rest)| *q - rest)
            .collect();
        let velocities = &w.qvel()[6..];
        let contacts = foot_contacts(w);
        t.observe("angular_velocity", rate.to_array());
        t.observe("gravity", gravity.to_array());
        t.observe("command", command);
        t.observe("joint_positions", &offsets);
        t.observe("joint_velocities", velocities);
        t.observe("action", w.action());
        t.observe("velocity", velocity.to_array());
        t.observe("height", [trunk.position.z]);
        t.observe("foot_contacts", contacts.map(indicator));
        t.observe("air_time", s.get("air_time"));

        let moves = indicator(speed(command).gt(0.0));
        let width = w.param("tracking_width");
        let follow = |error: Var| dt * functions::exp(-error / width);
        let planar = (command[0] - velocity.x).square() + (command[1] - velocity.y).square();
        t.reward("track_velocity", follow(planar));
        t.reward("track_yaw_rate", follow((command[2] - rate.z).square()));
        t.reward("vertical_velocity", dt * velocity.z.square());
        t.reward("roll_pitch_rate", dt * (rate.x.square() + rate.y.square()));
        t.reward("tilt", dt * (gravity.x.square() + gravity.y.square()));
        t.reward(
            "height",
            dt * (trunk.position.z - w.param("stand_height"))
                .min(0.0)
                .square(),
        );
        t.reward("torque", dt * sum_of_squares(w.evaluated().qfrc_actuator()));
        let accelerations: Vec<Var> = velocities
            .iter()
            .zip(s.get("old_velocities"))
            .map(|(now, before)| (*now - *before) / dt)
            .collect();
        t.reward("acceleration", dt * sum_of_squares(&accelerations));
        let changes: Vec<Var> = w
            .action()
            .iter()
            .zip(w.last_action())
            .map(|(now, before)| *now - *before)
            .collect();
        t.reward("action_rate", dt * sum_of_squares(&changes));
        // Paid once per landing, for steps that are longer than `step_time`; not per second.
        let step_time = w.param("step_time");
        let steps: Var = s
            .get("landed_after")
            .iter()
            .map(|time| select(time.gt(0.0), *time - step_time, Var::ZERO))
            .sum();
        t.reward("air_time", moves * steps);
        let threshold = w.param("contact_threshold");
        let thighs: Var = LEGS
            .iter()
            .map(|leg| indicator(w.contact(&format!("{leg}_thigh")).max.gt(threshold)))
            .sum();
        t.reward("thigh_contact", dt * thighs);
        let away: Var = offsets.iter().map(|offset| offset.abs()).sum();
        t.reward("stand_still", dt * (1.0 - moves) * away);

        let fallen = w.contact("trunk").max.gt(threshold) | gravity.z.gt(-0.3);
        t.terminate("fallen", fallen);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let (spread, velocity) = (init.param("reset.joint"), init.param("reset.velocity"));
        for (leg, rest) in LEGS.into_iter().zip(STANCE) {
            for (joint, rest) in ["hip", "thigh", "calf"].into_iter().zip(rest) {
                let start = rest + rng.range(-spread, spread);
                init.set_position(&format!("{leg}_{joint}"), [start]);
            }
        }
        // Turned anyhow about the vertical, and pushed.
        let yaw = rng.range(-std::f64::consts::PI, std::f64::consts::PI);
        let (sin, cos) = functions::sin_cos(0.5 * yaw);
        let turned = Quat::new(cos, 0.0, 0.0, sin).to_array();
        let place = Vec3::new(0.0, 0.0, HEIGHT).to_array();
        init.set_position("root", [place.as_slice(), &turned].concat());
        let push: Vec<Var> = (0..6).map(|_| rng.range(-velocity, velocity)).collect();
        init.set_velocity("root", push);
    }
}
