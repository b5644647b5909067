//! A task of your own in one file: a model, what it observes and is rewarded for, and how episodes begin.
//!
//! A puck slides on a table towards a target that jumps every two seconds, in 1,024 worlds at once.
//! `cargo run --release --no-default-features --example custom_task`

use manyworlds::env::VecEnv;
use manyworlds::error::Result;
use manyworlds::gpu::{Context, Options};
use manyworlds::math::{Rng, functions};
use manyworlds::model::Model;
use manyworlds::tasks::{Entry, Init, Registry, Spec, Table, Task, TaskState, Terms, World};

const MODEL: &str = r#"
<mujoco model="puck">
  <option timestep="0.005"/>
  <worldbody>
    <body name="puck">
      <joint name="x" type="slide" axis="1 0 0" damping="0.5"/>
      <joint name="y" type="slide" axis="0 1 0" damping="0.5"/>
      <geom type="cylinder" size="0.05 0.02" mass="1" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator>
    <motor name="push_x" joint="x" gear="10" ctrllimited="true" ctrlrange="-1 1"/>
    <motor name="push_y" joint="y" gear="10" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>"#;

// Overrides what `spec` declares; `env.params().set("reward.effort.weight", …)` changes it later.
const TASK: &str = r#"
reward.effort.weight = -0.01
command.target.interval = 2.0 # s
"#;

struct Puck;

impl Task for Puck {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.02, 400)
            .observe("policy", "to_target", 2)
            .observe("policy", "velocity", 2)
            .command("target", &[[-1.0, 1.0]; 2], 1.0)
            .reward("near", 1.0)
            .reward("effort", 0.0)
            .termination("off_the_table"))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let ([x, y], target) = ([w.qpos()[0], w.qpos()[1]], w.command("target"));
        let offset = [target[0] - x, target[1] - y];
        let distance_squared = offset[0].square() + offset[1].square();
        t.observe("to_target", offset);
        t.observe("velocity", w.qvel());
        t.reward("near", functions::exp(-10.0 * distance_squared));
        t.reward("effort", w.action()[0].square() + w.action()[1].square());
        t.terminate("off_the_table", x.abs().max(y.abs()).gt(1.5));
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        init.perturb_qpos(rng, -1.0, 1.0);
    }
}

pub(crate) fn main() -> Result<()> {
    let mut registry = Registry::builtin();
    let entry = Entry {
        about: "push a puck to a jumping target",
        make: || Box::new(Puck),
        model: MODEL,
        config: TASK,
        models: &[],
    };
    registry.register("puck", entry);
    let context = Context::new(&Options::default())?;
    let builder = VecEnv::builder(registry.load("puck")?).worlds(1024);
    let mut env = builder.build(&context)?;
    for _ in 0..env.max_episode_steps() {
        let seen = env.observations().policy().read()?;
        // A spring and a damper towards the target; a learner would find something like it.
        let push = |w: &[f32]| [2.0 * w[0] - 0.7 * w[2], 2.0 * w[1] - 0.7 * w[3]];
        let actions: Vec<f32> = seen.chunks(4).flat_map(push).collect();
        env.step(&actions)?;
    }
    let stats = env.drain_stats()?;
    println!(
        "mean return {:.1}, by term {:?}",
        stats.mean_return, stats.terms
    );
    assert_eq!(
        (stats.episodes, stats.terminated),
        (1024, 0),
        "every puck stayed on the table"
    );
    assert!(
        stats.mean_return > 240.0,
        "the puck is near its target most of the time"
    );
    env.close()
}
