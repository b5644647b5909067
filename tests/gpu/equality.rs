//! Equality constraints that are switched while worlds run: on the device against MuJoCo, and by a task, each world for
//! itself.

use std::path::Path;
use std::sync::Arc;

use manyworlds::env::{Autoreset, Physics, Target, VecEnv};
use manyworlds::error::Result;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::scene::mjcf;
use manyworlds::tasks::{Ctrl, Definition, Init, Spec, Table, Task, TaskState, Terms, World};
use manyworlds::trace::{Var, select};
use serde_json::Value;

use crate::common::gpu;
use crate::env_support::{bits, everywhere};
use crate::oracle;

/// `|Δ|∞ / max(1, |reference|∞)` in every world, sorted.
fn errors(found: &[f64], expected: &[f64], width: usize) -> Vec<f64> {
    let pairs = found.chunks(width).zip(expected.chunks(width));
    let error = |(found, expected): (&[f64], &[f64])| {
        let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let scale = expected.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
        differences.fold(0.0, f64::max) / scale
    };
    let mut errors: Vec<f64> = pairs.map(error).collect();
    errors.sort_by(f64::total_cmp);
    errors
}

/// One step from states near those that the constraints ask for, with random ones of them on.
fn steps_like_mujoco(target: Target<'_>, name: &str) {
    const STATES: usize = 400;
    let path = format!("tests/models/{name}.xml");
    let states = (2 * STATES).to_string();
    let arguments = ["--states", &states, "--switch", &path];
    let Some(reference) = oracle::run("equality.py", &arguments) else {
        return;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let scene = mjcf::load(path).expect("the model loads");
    let model = Arc::new(Model::compile(&scene).expect("the model compiles"));
    // Of the second half of the states there are forces from outside.
    let rows = |name: &str| {
        let all = reference[0][name].as_array().expect("states");
        Value::from(all[..STATES].to_vec())
    };
    let numbers = |name: &str| oracle::floats(&rows(name));
    let flags = rows("eq_active");
    let flags = flags.as_array().expect("states").iter();
    let flags = flags.flat_map(|state| state.as_array().expect("flags"));
    let active: Vec<bool> = flags.map(|flag| flag.as_bool().expect("a flag")).collect();

    let mut physics = Physics::new(&model, STATES, target).expect("worlds");
    physics
        .set_state(&numbers("qpos"), &numbers("qvel"), &numbers("act"))
        .expect("states");
    let mocap = [numbers("mocap_pos"), numbers("mocap_quat")];
    physics.set_mocap(&mocap[0], &mocap[1]).expect("poses");
    physics.set_ctrl(&numbers("ctrl")).expect("controls");
    physics.set_eq_active(&active).expect("flags");
    physics.step(1).expect("a step");
    assert_eq!(physics.eq_active().expect("flags"), active);
    let state = physics.fields().state;
    for (output, field) in [("next_qpos", state.qpos), ("next_qvel", state.qvel)] {
        let found = physics.read(field).expect("numbers");
        let errors = errors(&found, &numbers(output), field.len());
        let (median, rare) = (errors[STATES / 2], errors[STATES * 99 / 100]);
        let line = format!("{name} {output}: median {median:.1e}, 99 % {rare:.1e}");
        println!("{line}");
        assert!(median < 2e-5 && rare < 1e-3, "{line}");
    }
}

#[test]
fn switched_constraints_step_like_mujoco() {
    let Some(context) = gpu::context() else {
        return;
    };
    for name in ["equalities", "four_bar", "held_bodies", "closed_walker"] {
        steps_like_mujoco(Target::Gpu(&context), name);
    }
}

/// A cup in a hand. It can also be tied to the world.
const MODEL: &str = r#"
<mujoco model="crane">
  <option timestep="0.002"/>
  <worldbody>
    <body name="hand" pos="0 0 5">
      <joint name="rail" type="slide" axis="1 0 0" damping="5"/>
      <geom type="box" size="0.1 0.1 0.02" mass="1" contype="0" conaffinity="0"/>
    </body>
    <body name="cup" pos="0 0 4.8">
      <freejoint name="cup"/>
      <geom type="sphere" size="0.05" mass="0.1" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <equality>
    <weld name="grasp" body1="hand" body2="cup"/>
    <connect name="tie" body1="cup" anchor="0 0 0" active="false"/>
  </equality>
  <actuator><motor name="push" joint="rail"/></actuator>
  <sensor><actuatorfrc name="effort" actuator="push"/></sensor>
</mujoco>
"#;

/// Pushes the hand while it holds the cup, and lets go where its second action exceeds a threshold. `weld` is what it
/// thinks the weld is called.
struct Crane {
    weld: &'static str,
    control_dt: f64,
}

impl Task for Crane {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(self.control_dt, 20)
            .action("push", -1.0, 1.0)
            .action("let_go", -1.0, 1.0)
            .observe("policy", "height", 1)
            .observe("policy", "held", 1)
            .observe("policy", "effort", 1)
            .reward("held", 1.0)
            .param("threshold", 0.5)
            .param("tied", 0.0))
    }

    fn actuate(&self, w: &World, action: &[Var], c: &mut Ctrl) {
        let held = w.eq_active(self.weld);
        c.set("push", select(held, action[0], Var::ZERO));
        let lets_go = action[1].gt(w.param("threshold"));
        c.set_eq_active(self.weld, held & !lets_go);
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let held = select(w.eq_active("grasp"), Var::from(1.0), Var::from(0.0));
        t.observe("height", [w.joint("cup").qpos[2]]);
        t.observe("held", [held]);
        t.observe("effort", w.sensor("effort"));
        t.reward("held", held);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let tied = init.param("tied");
        init.set_eq_active("tie", rng.uniform().lt(tied));
    }
}

fn crane(target: Target<'_>, worlds: usize, config: &str) -> VecEnv {
    let task = Box::new(Crane {
        weld: "grasp",
        control_dt: 0.02,
    });
    VecEnv::builder(Definition::new("crane", task, MODEL, config).expect("the task is right"))
        .worlds(worlds)
        .seed(5)
        .autoreset(Autoreset::SameStep)
        .build_on(target)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Actions that let go in some worlds.
fn letting_go(env: &VecEnv, which: &[usize]) -> Vec<f32> {
    let of_world = |world| [0.3, if which.contains(&world) { 1.0 } else { 0.0 }];
    (0..env.num_envs()).flat_map(of_world).collect()
}

/// Every number that a world carries along or gives out.
fn everything(env: &VecEnv) -> Vec<Vec<u32>> {
    let mut all = vec![Vec::new(); env.num_envs()];
    let floats = ["qpos", "qvel", "time", "obs.policy", "reward"].map(|name| {
        let values = env.get(name).expect("a field of floats");
        bits(&values)
    });
    let integers = ["eq_active", "active"].map(|name| env.get_bits(name).expect("integers"));
    for values in floats.iter().chain(&integers) {
        let width = values.len() / all.len();
        for (world, values) in all.iter_mut().zip(values.chunks(width.max(1))) {
            world.extend(values);
        }
    }
    all
}

fn held(env: &VecEnv) -> Vec<u32> {
    let bits = env.get_bits("eq_active").expect("flags");
    bits.chunks(2).map(|world| world[0]).collect()
}

/// A task lets go in some worlds. There the cup falls freely, the others do not notice, and an episode later it is held
/// again.
#[test]
fn a_task_lets_go_in_the_worlds_that_ask_for_it() {
    const WORLDS: usize = 70;
    let released = [0, 3, 37, 69];
    everywhere(|target| {
        let (mut env, mut other) = (crane(target, WORLDS, ""), crane(target, WORLDS, ""));
        let height = |env: &VecEnv, world: usize| env.get("obs.policy").unwrap()[3 * world];
        let calm = letting_go(&env, &[]);
        for env in [&mut env, &mut other] {
            for _ in 0..9 {
                env.step(&calm).unwrap();
            }
            assert_eq!(held(env), [1; WORLDS]);
        }
        let before = env.snapshot(None).unwrap();
        let start = height(&env, 0);
        assert!((start - 4.8).abs() < 1e-3, "the weld holds it: {start}");

        env.step(&letting_go(&env, &released)).unwrap();
        other.step(&calm).unwrap();
        let expected: Vec<u32> = (0..WORLDS)
            .map(|w| u32::from(!released.contains(&w)))
            .collect();
        assert_eq!(held(&env), expected);
        let rewards = env.get("reward").unwrap();
        assert!(rewards.iter().zip(&expected).all(|(a, b)| *a == *b as f32));
        for _ in 0..9 {
            // What is let go stays so.
            env.step(&calm).unwrap();
            other.step(&calm).unwrap();
        }
        assert_eq!(held(&env), expected);
        let (ours, theirs) = (everything(&env), everything(&other));
        let fallen: Vec<f32> = (0..WORLDS).map(|world| height(&env, world)).collect();
        for world in 0..WORLDS {
            let is_same = ours[world] == theirs[world];
            assert_eq!(is_same, expected[world] == 1, "world {world}");
        }
        // 100 timesteps of free fall, velocities first.
        let fall = 9.81 * 0.002f32.powi(2) * (100.0 * 101.0 / 2.0);
        for world in released {
            let fallen = start - height(&env, world);
            // The weld swung by less than a millimetre when it was let go.
            assert!(
                (fallen - fall).abs() < 3e-3,
                "{fallen} m instead of {fall} m"
            );
        }

        // With the 20th step every episode ends, and the next begins as the model says.
        env.step(&calm).unwrap();
        assert_eq!(held(&env), [1; WORLDS]);

        env.restore(None, &before).unwrap();
        assert_eq!(held(&env), [1; WORLDS]);
        let mask: Vec<bool> = (0..WORLDS).map(|world| released.contains(&world)).collect();
        env.set_bits("eq_active", Some(&mask), &[0; 2 * WORLDS])
            .unwrap();
        assert_eq!(held(&env), expected);
        for _ in 0..10 {
            env.step(&calm).unwrap();
        }
        let heights: Vec<f32> = (0..WORLDS).map(|world| height(&env, world)).collect();
        assert_eq!(heights, fallen, "switched from outside, it falls alike");
    });
}

/// A task says which constraints hold where an episode begins, by its world's random numbers.
#[test]
fn episodes_begin_with_constraints_of_their_own() {
    everywhere(|target| {
        let env = crane(target, 64, "tied = 0.5");
        let active = env.get_bits("eq_active").unwrap();
        let tied: Vec<u32> = active.chunks(2).map(|world| world[1]).collect();
        let count = tied.iter().sum::<u32>();
        assert!(
            tied.iter().all(|&bit| bit <= 1) && (16..48).contains(&count),
            "{tied:?}"
        );
        assert_eq!(held(&env), [1; 64]);
        let env = crane(target, 64, "tied = 0.0");
        assert_eq!(env.get_bits("eq_active").unwrap(), [1, 0].repeat(64));
    });
}

/// Controls are those that the task gave before it switched: that is what sensors go by, too.
#[test]
fn controls_follow_from_what_was_held_before() {
    everywhere(|target| {
        let task = Box::new(Crane {
            weld: "grasp",
            control_dt: 0.002,
        });
        let definition = Definition::new("crane", task, MODEL, "").expect("the task is right");
        let mut env = VecEnv::builder(definition).build_on(target).unwrap();
        let mut efforts = Vec::new();
        for let_go in [0.0, 1.0, 0.0] {
            env.step(&[0.25, let_go]).unwrap();
            efforts.push(env.get("obs.policy").unwrap()[2]);
        }
        assert_eq!(efforts, [0.25, 0.25, 0.0]);
    });
}

/// A constraint that the model does not have ends the build, with those that it has.
#[test]
fn unknown_constraints_are_named() {
    let task = Box::new(Crane {
        weld: "grsp",
        control_dt: 0.02,
    });
    let definition = Definition::new("crane", task, MODEL, "").expect("the task is right");
    let built = VecEnv::builder(definition).build_on(Target::Host(Default::default()));
    let error = built.err().expect("a fault").to_string();
    assert!(error.contains("grsp") && error.contains("grasp"), "{error}");
    assert!(!error.contains('\n'), "{error}");
}
