//! The tasks with legs against gymnasium and the DeepMind Control Suite: the same control steps from the same states.
//!
//! Contacts make trajectories diverge, so every control step starts from a state of the reference.

use manyworlds::env::{Autoreset, Precision, Start, Target, VecEnv};
use manyworlds::tasks::Registry;
use serde_json::Value;

use crate::oracle;

fn singles(value: &Value) -> Vec<f32> {
    oracle::floats(value)
        .into_iter()
        .map(|number| number as f32)
        .collect()
}

fn build(task: &str, worlds: usize, precision: Precision) -> VecEnv {
    let definition = Registry::builtin()
        .load(task)
        .unwrap_or_else(|error| panic!("{error}"));
    VecEnv::builder(definition)
        .worlds(worlds)
        .autoreset(Autoreset::Disabled)
        .build_on(Target::Host(precision))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The largest error of a row of numbers, relative to the larger of 1 and the expected number, and where it is.
fn worst(seen: &[f32], expected: &[f64]) -> (f64, usize) {
    assert_eq!(seen.len(), expected.len());
    let errors = seen
        .iter()
        .zip(expected)
        .map(|(seen, expected)| (f64::from(*seen) - expected).abs() / expected.abs().max(1.0));
    errors
        .enumerate()
        .fold((0.0, 0), |worst, (i, error)| match error > worst.0 {
            true => (error, i),
            false => worst,
        })
}

/// Takes every step of the reference in a world of its own, and returns how many had contacts and how many ended.
///
/// Observations and rewards are `f32` and the physics in double precision agrees with MuJoCo far better: half an ULP of
/// the value, with room for a few more where sums were rounded on the way.
fn follow(task: &str, arguments: &[&str]) -> Option<(usize, usize)> {
    const TOLERANCE: f64 = 5e-7;
    let arguments: Vec<&str> = [&[task], arguments].concat();
    let reference = oracle::run("task_steps.py", &arguments)?;
    let states = reference["qpos"].as_array().expect("states").len();
    let mut env = build(task, states, Precision::Double);
    let (qpos, qvel) = (singles(&reference["qpos"]), singles(&reference["qvel"]));
    let start = Start::State {
        qpos: &qpos,
        qvel: &qvel,
    };
    let start = env.reset_where(&vec![true; states], start).unwrap();
    let start = start.policy().read().unwrap();
    let step = env
        .step(&singles(&reference["action"]))
        .unwrap()
        .read()
        .unwrap();
    let width = start.len() / states;
    let (mut touching, mut ended) = (0, 0);
    for state in 0..states {
        let row = state * width..(state + 1) * width;
        let expected = |name: &str| oracle::floats(&reference[name][state]);
        let place = format!("{task}, state {state}");
        let (error, at) = worst(&start[row.clone()], &expected("start"));
        assert!(
            error <= TOLERANCE,
            "{place}: {error:.1e} at start, number {at}"
        );
        let (error, at) = worst(&step.next_obs[0][row], &expected("obs"));
        assert!(
            error <= TOLERANCE,
            "{place}: {error:.1e} in observation {at}"
        );
        let reward = reference["reward"][state].as_f64().expect("a reward");
        let (error, _) = worst(&step.reward[state..=state], &[reward]);
        assert!(
            error <= TOLERANCE,
            "{place}: reward {} for {reward}",
            step.reward[state]
        );
        let terminated = reference["terminated"][state].as_bool().expect("an end");
        assert_eq!(step.terminated[state], terminated, "{place}");
        touching += usize::from(reference["contacts"][state].as_u64() != Some(0));
        ended += usize::from(terminated);
    }
    Some((touching, ended))
}

/// In the air there are no contacts, and everything else of a task is seen.
#[test]
fn airborne_steps_are_the_reference_s() {
    for task in TASKS {
        let Some((touching, _)) = follow(task, &["--airborne", "--states", "40"]) else {
            return;
        };
        // The humanoid's own parts still touch each other.
        assert!(
            touching == 0 || task == "humanoid",
            "{task} is lifted by 10 m"
        );
    }
}

/// Random actions over episodes that fall, hop and slide.
#[test]
fn steps_with_contacts_are_the_reference_s() {
    for task in TASKS {
        let Some((touching, ended)) = follow(task, &["--states", "200"]) else {
            return;
        };
        assert!(
            touching > 50,
            "{task}: {touching} of 200 steps touch something"
        );
        let terminates = ["hopper", "walker2d", "ant", "humanoid"].contains(&task);
        assert_eq!(
            ended > 0,
            terminates,
            "{task}: {ended} steps end an episode"
        );
    }
}

const TASKS: [&str; 7] = [
    "hopper",
    "half_cheetah",
    "walker2d",
    "ant",
    "humanoid",
    "cheetah_run",
    "walker_walk",
];

#[test]
fn models_have_the_parameters_of_the_packages() {
    let models = [
        ("hopper", "gymnasium:hopper.xml"),
        ("half_cheetah", "gymnasium:half_cheetah.xml"),
        ("walker2d", "gymnasium:walker2d_v5.xml"),
        ("ant", "gymnasium:ant.xml"),
        ("humanoid", "gymnasium:humanoid.xml"),
        ("cheetah_run", "dm_control:cheetah.xml"),
        ("walker_walk", "dm_control:walker.xml"),
    ];
    for (task, source) in models {
        let ours = format!("src/tasks/{task}/model.xml");
        let Some(differences) = oracle::run("task_models.py", &[&ours, source]) else {
            return;
        };
        let differences = differences.as_object().expect("arrays by name");
        assert!(differences.len() > 50, "{task}");
        for (array, difference) in differences {
            // Angles are written in other ways: a few roundings of numbers near 1.
            let small = difference
                .as_f64()
                .is_some_and(|difference| difference < 1e-12);
            assert!(small, "{task}: {array} differs by {difference}");
        }
    }
}

/// A second of zero action: the quadruped lands on its feet and stands.
#[test]
fn the_quadruped_stands_in_its_stance() {
    let worlds = 4;
    let mut env = build("quadruped", worlds, Precision::Double);
    env.params().set("reset.velocity", 0.0).unwrap();
    env.reset(Some(1)).unwrap();
    let actions = vec![0.0; 12 * worlds];
    for _ in 0..50 {
        let step = env.step(&actions).unwrap().read().unwrap();
        assert_eq!(step.obs[0].len(), 45 * worlds);
        assert!(step.terminated.iter().all(|terminated| !terminated));
    }
    let step = env.last_step().read().unwrap();
    for critic in step.obs[1].chunks(57) {
        let (height, contacts) = (critic[48], &critic[49..53]);
        assert!((0.22..0.33).contains(&height), "{height} m high");
        assert_eq!(contacts, [1.0; 4], "on all feet");
    }
}

/// Isaac Gym's ant at rest on its feet: what its observation says of it, number by number where the rules give it.
#[test]
fn the_ant_of_isaac_gym_observes_sixty_numbers() {
    let mut env = build("ant_isaac", 2, Precision::Double);
    let action = [0.5, -0.5, 0.25, 0.0, 0.0, 0.0, 1.0, -1.0];
    let actions = [action, action].concat();
    for _ in 0..60 {
        env.step(&actions).unwrap();
    }
    let qpos = env.get("qpos").unwrap();
    let qvel = env.get("qvel").unwrap();
    let step = env.last_step().read().unwrap();
    let (seen, qpos, qvel) = (&step.next_obs[0][..60], &qpos[..15], &qvel[..14]);
    assert_eq!(step.next_obs[0].len(), 120);
    assert!((seen[0] - qpos[2]).abs() < 1e-6, "height");
    let (low, high) = ((-40_f32).to_radians(), 40_f32.to_radians());
    let scaled = (2.0 * qpos[7] - high - low) / (high - low);
    assert!((seen[12] - scaled).abs() < 1e-5, "first hip");
    assert!((seen[20] - 0.2 * qvel[6]).abs() < 1e-5, "its velocity");
    assert_eq!(seen[52..], action, "action");
    // The feet carry what the torso does not.
    assert!(
        seen[28..52].iter().any(|force| *force != 0.0),
        "a foot is on the ground"
    );
}
