//! What a task sees of a world and does to it, by name, against MuJoCo.

use manyworlds::env::{Precision, Start, Target, VecEnv};
use manyworlds::error::Result;
use manyworlds::math::{Rng, Vec3};
use manyworlds::model::Model;
use manyworlds::tasks::{
    Ctrl, Definition, Init, Spec, Table, Task, TaskState, Terms, World, shaping,
};
use manyworlds::trace::Var;

use crate::oracle;

/// A free body with an arm of two links, none of whose frames are aligned.
const ARM: &str = r#"
<mujoco model="arm">
  <option timestep="0.002"/>
  <worldbody>
    <body name="base" pos="0 0 1">
      <freejoint name="root"/>
      <geom type="box" size="0.2 0.1 0.05" pos="0.02 0.01 0" mass="3" contype="0" conaffinity="0"/>
      <body name="upper" pos="0.2 0.1 0.05" euler="10 20 30">
        <joint name="shoulder" type="hinge" axis="0 1 0.5" pos="0.01 0 0.02" damping="0.1"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0.1" size="0.03" mass="1" contype="0" conaffinity="0"/>
        <site name="mid" pos="0.1 0.02 0.03" euler="0 40 0"/>
        <body name="lower" pos="0.3 0 0.1">
          <joint name="elbow" type="slide" axis="1 0 1" range="-1 1"/>
          <geom type="sphere" size="0.05" pos="0.1 0 0" mass="0.5" contype="0" conaffinity="0"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position name="hold" joint="shoulder" kp="20" kv="2" forcerange="-15 15"/>
    <motor name="push" joint="elbow" gear="3" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>"#;

/// Observes everything that [`World`] gives by name.
struct Probe;

const TERMS: [(&str, usize); 12] = [
    ("position", 3),
    ("orientation", 4),
    ("velocity", 3),
    ("angular_velocity", 3),
    ("velocity_in_body", 3),
    ("angular_velocity_in_body", 3),
    ("com", 3),
    ("subtree_com", 3),
    ("site_position", 3),
    ("site_orientation", 4),
    ("site_velocity", 3),
    ("force", 1),
];

impl Task for Probe {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        let spec = Spec::new(0.002, 10).own("ctrl", 1).reward("nothing", 0.0);
        Ok(TERMS
            .iter()
            .fold(spec, |spec, (name, dim)| spec.observe("policy", name, *dim)))
    }

    fn terms(&self, w: &World, s: &TaskState, t: &mut Terms) {
        let (link, site) = (w.link("upper"), w.site("mid"));
        t.observe("position", link.position.to_array());
        t.observe("orientation", link.orientation.to_array());
        t.observe("velocity", link.velocity.to_array());
        t.observe("angular_velocity", link.angular_velocity.to_array());
        t.observe("velocity_in_body", link.velocity_in_body().to_array());
        t.observe(
            "angular_velocity_in_body",
            link.angular_velocity_in_body().to_array(),
        );
        t.observe("com", w.link_com("upper").to_array());
        t.observe("subtree_com", w.subtree_com("upper").to_array());
        t.observe("site_position", site.position.to_array());
        t.observe("site_orientation", site.orientation.to_array());
        t.observe("site_velocity", site.velocity.to_array());
        t.observe("force", [w.actuator_force("hold", s.scalar("ctrl"))]);
        t.reward("nothing", 0.0);
    }

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}
}

fn environment(task: impl Task + 'static, model: &str, worlds: usize) -> VecEnv {
    let definition = Definition::new("probe", Box::new(task), model, "");
    let builder =
        VecEnv::builder(definition.unwrap_or_else(|error| panic!("{error}"))).worlds(worlds);
    let env = builder.build_on(Target::Host(Precision::Double));
    env.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn names_give_what_mujoco_has() {
    let file = std::env::temp_dir().join(format!("manyworlds-arm-{}.xml", std::process::id()));
    std::fs::write(&file, ARM).expect("the temporary folder can be written");
    let path = file.to_str().expect("a path in UTF-8");
    let reference = oracle::run("world_view.py", &[path, "upper", "mid", "hold"]);
    std::fs::remove_file(&file).expect("it was written above");
    let Some(reference) = reference else { return };

    let states = reference["qpos"].as_array().expect("states").len();
    let mut env = environment(Probe, ARM, states);
    let singles = |name: &str| -> Vec<f32> {
        oracle::floats(&reference[name])
            .into_iter()
            .map(|number| number as f32)
            .collect()
    };
    let (qpos, qvel) = (singles("qpos"), singles("qvel"));
    env.reset_where(
        &vec![true; states],
        Start::State {
            qpos: &qpos,
            qvel: &qvel,
        },
    )
    .unwrap();
    let ctrl: Vec<f32> = singles("ctrl")
        .chunks(2)
        .map(|controls| controls[0])
        .collect();
    env.set("own.ctrl", None, &ctrl).unwrap();
    let seen = env.forward().unwrap().policy().read().unwrap();

    let width: usize = TERMS.iter().map(|(_, dim)| dim).sum();
    for (state, seen) in seen.chunks(width).enumerate() {
        let mut at = 0;
        for (name, dim) in TERMS {
            let expected = oracle::floats(&reference[name][state]);
            let seen = &seen[at..at + dim];
            // A quaternion and its negative are the same rotation.
            let sign = if name.ends_with("orientation") {
                let dot: f64 = seen
                    .iter()
                    .zip(&expected)
                    .map(|(a, b)| f64::from(*a) * b)
                    .sum();
                dot.signum()
            } else {
                1.0
            };
            for (seen, expected) in seen.iter().zip(expected) {
                // Read as f32: half an ULP.
                let error = (sign * f64::from(*seen) - expected).abs() / expected.abs().max(1.0);
                assert!(
                    error < 2e-7,
                    "{name} in state {state}: {seen} for {expected}"
                );
            }
            at += dim;
        }
    }
}

/// Pushes a mass in one of the ways that [`Ctrl`] offers.
#[derive(Clone, Copy, Debug)]
enum Push {
    Actuator,
    All,
    Joint,
    Link,
}

/// 2 kg on a rail without gravity along it.
const MASS: &str = r#"
<mujoco model="mass">
  <option timestep="0.01" gravity="0 0 0"/>
  <worldbody>
    <body name="mass">
      <joint name="rail" type="slide" axis="1 0 0"/>
      <geom type="sphere" size="0.1" mass="2"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="rail" gear="4"/></actuator>
</mujoco>"#;

impl Task for Push {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.03, 10)
            .action("force", -1.0, 1.0)
            .observe("policy", "v", 1)
            .reward("near", 1.0))
    }

    fn actuate(&self, _w: &World, action: &[Var], c: &mut Ctrl) {
        match self {
            Push::Actuator => c.set("push", 0.25 * action[0]),
            Push::All => c.set_all(&[0.25 * action[0]]),
            Push::Joint => c.joint_force("rail", action[0]),
            Push::Link => c.link_force("mass", Vec3::new(action[0], 0.0, 0.0), Vec3::ZERO),
        }
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let v = w.joint_velocity("rail");
        t.observe("v", [v]);
        t.reward(
            "near",
            shaping::tolerance(v, [0.0, 0.01], 1.0, 0.5, shaping::Sigmoid::Linear),
        );
    }

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}
}

#[test]
fn forces_accelerate_as_newton_says() {
    for push in [Push::Actuator, Push::All, Push::Joint, Push::Link] {
        let mut env = environment(push, MASS, 2);
        let seen = env.step(&[1.0, -3.0]).unwrap().read().unwrap();
        // Three steps of 0.01 s at F/m, exact in semi-implicit Euler; read as f32, 2e-9 off at most.
        for (seen, force) in seen.obs[0].iter().zip([1.0, -3.0]) {
            assert!(
                (f64::from(*seen) - force / 2.0 * 0.03).abs() < 3e-9,
                "{push:?}: {seen}"
            );
        }
        // 0.015 m/s is 0.005 outside of the bounds, 0.045 m/s the other way 0.045: half of it is lost per 1 m/s.
        for (seen, expected) in seen
            .reward
            .iter()
            .zip([1.0 - 0.5 * 0.005, 1.0 - 0.5 * 0.045])
        {
            assert!(
                (f64::from(*seen) - expected).abs() < 1e-7,
                "{push:?}: {seen} for {expected}"
            );
        }
    }
}

/// Starts where a keyframe says, and observes a mocap body.
struct Held;

impl Task for Held {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        let spec = Spec::new(0.002, 10).reward("nothing", 0.0);
        let spec = spec.observe("policy", "slide", 1);
        Ok(spec
            .observe("policy", "position", 3)
            .observe("policy", "orientation", 4))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let hand = w.link("hand");
        t.observe("slide", [w.joint_position("slide")]);
        t.observe("position", hand.position.to_array());
        t.observe("orientation", hand.orientation.to_array());
        t.reward("nothing", 0.0);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {
        init.keyframe("held");
    }
}

/// As `mj_resetDataKeyframe` does; a quaternion may have any length.
#[test]
fn keyframes_put_mocap_bodies() {
    const MODEL: &str = r#"
<mujoco model="held">
  <worldbody>
    <body name="hand" mocap="true" pos="1 2 3"><geom size="0.1" contype="0" conaffinity="0"/></body>
    <body><joint name="slide" type="slide"/><geom size="0.1" contype="0" conaffinity="0"/></body>
  </worldbody>
  <keyframe><key name="held" qpos="0.25" mpos="0.5 -1 2" mquat="0 0 2 0"/></keyframe>
</mujoco>"#;
    let mut env = environment(Held, MODEL, 2);
    let seen = env.reset(None).unwrap().policy().read().unwrap();
    let expected = [0.25, 0.5, -1.0, 2.0, 0.0, 0.0, 1.0, 0.0];
    assert_eq!(seen, expected.repeat(2));
}
