//! A task whose every number can be foretold, and the places where environments run.

use manyworlds::env::{Autoreset, Builder, Precision, Target, VecEnv};
use manyworlds::error::Result;
use manyworlds::gpu::Context;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::tasks::{Definition, Init, Registry, Spec, Table, Task, TaskState, Terms, World};
use manyworlds::trace::Var;

/// Counts its control steps. World i's episodes last as many steps as the `stop` parameter says; the reward of a step
/// is its number, plus the action.
pub(crate) struct Counting;

/// A mass on a rail, 0.005 s a step.
const MODEL: &str = r#"
<mujoco model="counting">
  <option timestep="0.005"/>
  <worldbody>
    <body name="mass">
      <joint name="rail" type="slide" axis="1 0 0"/>
      <geom name="mass" type="sphere" size="0.1" mass="2"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="rail" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"#;

impl Task for Counting {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.02, 10)
            .observe("policy", "count", 1)
            .observe("policy", "position", 1)
            .observe("critic", "count", 1)
            .observe("critic", "target", 1)
            .observe("critic", "last_action", 1)
            .observe("critic", "before", 2)
            .reward("count", 1.0)
            .reward("action", 1.0)
            .termination("stop")
            .command("target", &[[-1.0, 1.0]], 0.1)
            .own("count", 1)
            .history("before", 1, 2)
            .param("stop", 1e6)
            .param("start", 0.0))
    }

    fn update(&self, _w: &World, s: &mut TaskState) {
        let count = s.scalar("count");
        s.push("before", [count]);
        s.set("count", [count + 1.0]);
    }

    fn terms(&self, w: &World, s: &TaskState, t: &mut Terms) {
        let count = s.scalar("count");
        t.observe("count", [count]);
        t.observe("position", [w.joint_position("rail")]);
        t.observe("target", w.command("target"));
        t.observe("last_action", w.last_action());
        t.observe("before", s.history("before").concat());
        t.reward("count", count);
        t.reward("action", w.action()[0]);
        t.terminate("stop", count.ge(w.param("stop")));
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let start = init.param("start");
        let position: Var = rng.range(-start, start);
        init.set_position("rail", [position]);
    }
}

/// A builder for the counting task with some lines of configuration.
pub(crate) fn counting(config: &str) -> Builder {
    VecEnv::builder(
        Definition::new("counting", Box::new(Counting), MODEL, config)
            .expect("the test's task is right"),
    )
}

/// A builder for one of the crate's tasks.
pub(crate) fn builtin(name: &str) -> Builder {
    VecEnv::builder(
        Registry::builtin()
            .load(name)
            .expect("the task is built in"),
    )
}

/// The host in single precision, and the device where there is one.
pub(crate) fn everywhere(test: impl Fn(Target<'_>)) {
    test(Target::Host(Precision::Single));
    if let Some(context) = crate::common::gpu::context() {
        test(Target::Gpu(&context));
    }
}

/// The device, where there is one.
pub(crate) fn on_device(test: impl Fn(&Context)) {
    if let Some(context) = crate::common::gpu::context() {
        test(&context);
    }
}

/// An environment of the counting task.
pub(crate) fn counting_env(
    target: Target<'_>,
    worlds: usize,
    mode: Autoreset,
    config: &str,
) -> VecEnv {
    counting(config)
        .worlds(worlds)
        .autoreset(mode)
        .build_on(target)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Actions that differ between worlds and steps, and repeat for the same world and step.
pub(crate) fn actions(streams: impl Iterator<Item = u32>, step: u32, per_world: usize) -> Vec<f32> {
    let one = |stream: u32, component: u32| {
        let mixed = (stream.wrapping_mul(0x9E37_79B9) ^ step.wrapping_mul(0x85EB_CA6B))
            .wrapping_add(component * 77);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2C1B_3C6D);
        (mixed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    streams
        .flat_map(|stream| (0..per_world as u32).map(move |component| one(stream, component)))
        .collect()
}

/// The bits of floats: equality that tells NaNs and zeros apart.
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// FNV-1a over bits.
pub(crate) fn hash(values: impl IntoIterator<Item = u32>) -> u64 {
    let bytes = values.into_iter().flat_map(u32::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
