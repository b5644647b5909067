//! Drive a puck to a target on a table without friction, and stop there.
//!
//! - observation: the way to the target (m) and the velocity (m/s), x and y;
//! - action: a force along x and y, in ±1 (times the motors' gear: ±2 N);
//! - reward: how near the target, minus a little for force;
//! - the target moves to another place every few seconds; an episode ends early when the puck leaves the table.
//!
//! What is declared in `spec` is fed by name in `terms`. These functions are called once, to record one kernel for all
//! worlds: `Var` is a number in each of them, and a branch on it is written with `select` or `when`.

use manyworlds::error::Result;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::tasks::{Entry, Init, Spec, Table, Task, TaskState, Terms, World};

/// The task as the registry takes it.
pub const ENTRY: Entry = Entry {
    about: "drive a puck to a moving target",
    make: || Box::new(Puck),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};

struct Puck;

impl Task for Puck {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        // 20 actions a second, at most 200 of them; numbers are defaults that task.toml and key=value override.
        Ok(Spec::new(0.05, 200)
            .observe("policy", "way", 2)
            .observe("policy", "velocity", 2)
            .reward("near", 1.0)
            .reward("force", -0.01)
            .termination("off_the_table")
            .command("target", &[[-0.8, 0.8], [-0.8, 0.8]], 5.0)
            .param("reach", 0.3)
            .param("table", 1.5))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let target = w.command("target");
        let position = [w.joint_position("x"), w.joint_position("y")];
        let way = [target[0] - position[0], target[1] - position[1]];
        t.observe("way", way);
        t.observe("velocity", [w.joint_velocity("x"), w.joint_velocity("y")]);

        // 1 at the target, 1/2 at the distance `reach`.
        let distance_squared = way[0].square() + way[1].square();
        t.reward(
            "near",
            (1.0 + distance_squared / w.param("reach").square()).recip(),
        );
        t.reward("force", w.action()[0].square() + w.action()[1].square());

        let edge = w.param("table");
        t.terminate(
            "off_the_table",
            position[0].abs().gt(edge) | position[1].abs().gt(edge),
        );
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        init.perturb_qpos(rng, -0.5, 0.5);
    }
}
