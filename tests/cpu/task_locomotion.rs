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
        assert_eq!(touching, 0, "{task} is lifted by 10 m");
    }
}

/// Random actions over episodes that fall, hop and slide.
#[test]
fn steps_with_contacts_are_the_reference_s() {
    for task in TASKS {
        let Some((touching, ended)) = follow(task, &["--states", "200"]) else {
            return;
        };
        assert!(touching > 50, "{task}: {touching} of 200 steps touch something");
        let terminates = ["hopper", "walker2d", "ant", "humanoid"].contains(&task);
        assert_eq!(ended > 0, terminates, "{task}: {ended} steps end an episode");
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
