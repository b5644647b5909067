//! A task whose observations are known functions of time, for sensors to get wrong.

use manyworlds::env::{Builder, VecEnv};
use manyworlds::error::Result;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::tasks::{Definition, Init, Spec, Table, Task, TaskState, Terms, World};
use manyworlds::trace::{Var, select};

/// Counts its control steps, k. The group `critic` sees the same terms as `policy`.
struct Clock;

/// Terms and their sizes: (k², 1000 − 3k); six zeros; ±3, by turns; the command; a position; and k again, hidden from
/// sensors while 3 ≤ k < 7 in its first component, while 5 ≤ k < 6 in its second.
pub(crate) const TERMS: [(&str, usize); 6] = [
    ("ramp", 2),
    ("still", 6),
    ("wave", 1),
    ("target", 1),
    ("position", 1),
    ("hidden", 2),
];

/// Values in a group.
pub(crate) const WIDTH: usize = 13;

/// The components of a term in a group.
pub(crate) fn columns(term: &str) -> std::ops::Range<usize> {
    let mut start = 0;
    for (name, dim) in TERMS {
        if name == term {
            return start..start + dim;
        }
        start += dim;
    }
    panic!("the clock has no term `{term}`")
}

const MODEL: &str = r#"
<mujoco model="clock">
  <option timestep="0.02" gravity="0 0 0"/>
  <worldbody>
    <body name="mass">
      <joint name="rail" type="slide" axis="1 0 0"/>
      <geom type="sphere" size="0.1" mass="2" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="rail"/></actuator>
</mujoco>"#;

impl Task for Clock {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        let spec = Spec::new(0.02, 1000)
            .reward("alive", 1.0)
            .command("target", &[[-1.0, 1.0]], 0.1)
            .own("count", 1);
        Ok(TERMS.iter().fold(spec, |spec, (name, dim)| {
            spec.observe("policy", name, *dim)
                .observe("critic", name, *dim)
        }))
    }

    fn update(&self, _w: &World, s: &mut TaskState) {
        let count = s.scalar("count");
        s.set("count", [count + 1.0]);
    }

    fn terms(&self, w: &World, s: &TaskState, t: &mut Terms) {
        let k = s.scalar("count");
        let is_even = (0.5 * k).floor().eq(0.5 * k);
        t.observe("ramp", [k.square(), 1000.0 - 3.0 * k]);
        t.observe("still", [Var::from(0.0); 6]);
        t.observe("wave", [select(is_even, Var::from(3.0), Var::from(-3.0))]);
        t.observe("target", w.command("target"));
        t.observe("position", [w.joint_position("rail")]);
        t.observe("hidden", [k, k]);
        t.occlude("hidden", [k.ge(3.0) & k.lt(7.0), k.ge(5.0) & k.lt(6.0)]);
        t.reward("alive", 1.0);
    }

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}
}

/// A builder for the task with some lines of configuration.
pub(crate) fn clock(config: &str) -> Result<Builder> {
    Ok(VecEnv::builder(Definition::new(
        "clock",
        Box::new(Clock),
        MODEL,
        config,
    )?))
}

/// Every stage of every kind, on different terms.
pub(crate) const EVERYTHING: &str = r#"
max_episode_steps = 12
[observation.policy.ramp]
delay = 0.027
max_delay = 0.06
gain = 0.01
bias = 2.0
noise = 0.5
resolution = 0.25
scale = 0.1
clip = [-100, 2000]
[observation.policy.still]
bias = 0.3
drift = 0.2
noise = 0.1
dropout = 0.2
together = 2
freeze_rate = 4.0
freeze_time = 0.1
[observation.policy.wave]
relative_noise = 0.05
rate = 12.5
random_phase = true
drift = 0.1
drift_time = 0.5
[observation.policy.target]
delay = 0.04
dropout = 0.3
dropout_to = "zero"
[observation.policy.hidden]
occlusion = true
noise = 0.01
"#;
