//! A task of your own in one file: a model, what it observes and is rewarded for, and how episodes begin.
//!
//! A puck slides on a table towards a target that jumps every two seconds. Everything below runs on the device, in
//! 1,024 worlds at once; the numbers in `TASK` change without a rebuild.
//!
//! `cargo run --release --no-default-features --example custom_task`

use manyworlds::env::VecEnv;
use manyworlds::error::Result;
use manyworlds::gpu::{Context, Options};
use manyworlds::math::{Rng, functions};
use manyworlds::model::Model;
use manyworlds::tasks::{Entry, Init, Registry, Spec, Table, Task, TaskState, Terms, World};
use manyworlds::trace::Var;

const MODEL: &str = r#"
<mujoco model="puck">
  <option timestep="0.005"/>
  <worldbody>
    <body name="puck">
      <joint name="x" type="slide" axis="1 0 0" damping="0.5"/>
      <joint name="y" type="slide" axis="0 1 0" damping="0.5"/>
      <geom name="puck" type="cylinder" size="0.05 0.02" mass="1" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator>
    <motor name="push_x" joint="x" gear="10" ctrllimited="true" ctrlrange="-1 1"/>
    <motor name="push_y" joint="y" gear="10" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>"#;

const TASK: &str = r#"
max_episode_steps = 400
[reward.near]
weight = 1.0
[reward.effort]
weight = -0.01
[command.target]       # m
low = [-1.0, -1.0]
high = [1.0, 1.0]
interval = 2.0         # s
"#;

struct Puck;

impl Task for Puck {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.02, 400)
            .observe("policy", "to_target", 2)
            .observe("policy", "velocity", 2)
            .command("target", &[[-1.0, 1.0]; 2], 2.0)
            .reward("near", 1.0)
            .reward("effort", 0.0)
            .termination("off_the_table"))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let (position, target) = (w.qpos(), w.command("target"));
        let offset = [target[0] - position[0], target[1] - position[1]];
        let distance = offset[0].square() + offset[1].square();
        t.observe("to_target", offset);
        t.observe("velocity", w.qvel());
        t.reward("near", functions::exp(-10.0 * distance));
        t.reward("effort", w.action().iter().map(|action| action.square()).sum::<Var>());
        t.terminate("off_the_table", position[0].abs().max(position[1].abs()).gt(1.5));
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        init.perturb_qpos(rng, -1.0, 1.0);
    }
}

fn main() -> Result<()> {
    let mut registry = Registry::builtin();
    let about = "push a puck to a jumping target";
    registry.register("puck", Entry { about, make: || Box::new(Puck), model: MODEL, config: TASK });

    let context = Context::new(&Options::default())?;
    let mut env = VecEnv::builder(registry.load("puck")?).worlds(1024).build(&context)?;
    for _ in 0..env.max_episode_steps() {
        // A spring and a damper towards the target; a learner would find something like it.
        let seen = env.observations().policy().read()?;
        let push = |world: &[f32]| [2.0 * world[0] - 0.7 * world[2], 2.0 * world[1] - 0.7 * world[3]];
        let actions: Vec<f32> = seen.chunks(4).flat_map(push).collect();
        env.step(&actions)?;
    }
    let stats = env.drain_stats()?;
    println!("{} episodes, mean return {:.1}, by term {:?}", stats.episodes, stats.mean_return, stats.terms);
    assert_eq!((stats.episodes, stats.terminated), (1024, 0), "every world stayed on the table");
    assert!(stats.mean_return > 240.0, "the puck is near its target most of the time");
    env.close()
}
