//! The crate's tasks against the environments whose rules they follow: same starts, same actions.

use manyworlds::env::{Autoreset, Precision, Start, Target, VecEnv};
use manyworlds::tasks::Registry;
use serde_json::Value;

use crate::oracle;

/// Host arrays are `f32`, and the physics in double precision agrees with MuJoCo far better: half an ULP of the value,
/// with room for a few more where the value was rounded on the way in.
const TOLERANCE: f64 = 5e-7;

fn numbers(value: &Value) -> Vec<f64> {
    oracle::floats(value)
}

fn singles(value: &Value) -> Vec<f32> {
    numbers(value)
        .into_iter()
        .map(|number| number as f32)
        .collect()
}

/// Runs the oracle's episodes as worlds of one batch, and compares observations, rewards and ends.
fn follow(task: &str, reference: &Value) -> usize {
    let episodes = reference["qpos"]
        .as_array()
        .expect("starts of episodes")
        .len();
    let definition = Registry::builtin()
        .load(task)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut env = VecEnv::builder(definition)
        .worlds(episodes)
        .autoreset(Autoreset::Disabled)
        .build_on(Target::Host(Precision::Double))
        .unwrap_or_else(|error| panic!("{error}"));
    let (qpos, qvel) = (singles(&reference["qpos"]), singles(&reference["qvel"]));
    let start = env
        .reset_where(
            &vec![true; episodes],
            Start::State {
                qpos: &qpos,
                qvel: &qvel,
            },
        )
        .unwrap();
    compare(
        "start",
        &start.policy().read().unwrap(),
        &numbers(&reference["start"]),
    );

    let mut ended = 0;
    let steps = reference["action"].as_array().expect("steps");
    for (step, action) in steps.iter().enumerate() {
        let seen = env.step(&singles(action)).unwrap().read().unwrap();
        let width = seen.obs[0].len() / episodes;
        for episode in 0..episodes {
            let expected = &reference["obs"][step][episode];
            if expected.is_null() {
                assert!(
                    !seen.valid[episode],
                    "episode {episode} goes on after its end, in step {step}"
                );
                continue;
            }
            let place = format!("step {step} of episode {episode}");
            compare(
                &place,
                &seen.next_obs[0][episode * width..(episode + 1) * width],
                &numbers(expected),
            );
            let reward = reference["reward"][step][episode]
                .as_f64()
                .expect("a reward");
            compare(&place, &[seen.reward[episode]], &[reward]);
            let terminated = reference["terminated"][step][episode]
                .as_bool()
                .expect("an end");
            assert_eq!(seen.terminated[episode], terminated, "{place}");
            ended += usize::from(terminated);
        }
    }
    ended
}

fn compare(place: &str, seen: &[f32], expected: &[f64]) {
    assert_eq!(seen.len(), expected.len(), "{place}");
    for (i, (seen, expected)) in seen.iter().zip(expected).enumerate() {
        let error = (f64::from(*seen) - expected).abs() / expected.abs().max(1.0);
        assert!(
            error <= TOLERANCE,
            "{place}, number {i}: {seen} for {expected}"
        );
    }
}

#[test]
fn cartpole_is_gymnasiums_inverted_pendulum() {
    let Some(reference) = oracle::run(
        "task_rollout.py",
        &["inverted_pendulum", "--episodes", "12"],
    ) else {
        return;
    };
    let ended = follow("cartpole", &reference);
    assert!(
        (3..12).contains(&ended),
        "{ended} of 12 episodes ended: both kinds are part of the test"
    );
}

#[test]
fn cartpole_swingup_is_the_control_suites() {
    let Some(reference) = oracle::run("task_rollout.py", &["cartpole_swingup", "--steps", "150"])
    else {
        return;
    };
    assert_eq!(follow("cartpole_swingup", &reference), 0);
}

/// Mean, standard deviation, smallest and largest of a column.
fn moments(values: impl Iterator<Item = f32> + Clone) -> [f64; 4] {
    let count = values.clone().count() as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / count;
    let variance = values
        .clone()
        .map(|value| (f64::from(value) - mean).powi(2))
        .sum::<f64>()
        / count;
    let bound = |pick: fn(f64, f64) -> f64| {
        values
            .clone()
            .map(f64::from)
            .reduce(pick)
            .unwrap_or(f64::NAN)
    };
    [mean, variance.sqrt(), bound(f64::min), bound(f64::max)]
}

#[test]
fn episodes_begin_as_gymnasium_and_the_control_suite_say() {
    let build = |task: &str| {
        let definition = Registry::builtin().load(task).unwrap();
        VecEnv::builder(definition)
            .worlds(1000)
            .build_on(Target::Host(Precision::Single))
            .unwrap()
    };
    let column = |values: &[f32], i: usize, width: usize| {
        moments(
            values
                .chunks(width)
                .map(|row| row[i])
                .collect::<Vec<_>>()
                .into_iter(),
        )
    };
    // Uniform in ±0.01: deviation 0.01/√3. Standard errors over 1,000 worlds: 1.8e-4 and 8e-5; four of each.
    let env = build("cartpole");
    for field in ["qpos", "qvel"] {
        for i in 0..2 {
            let [mean, deviation, low, high] = column(&env.get(field).unwrap(), i, 2);
            assert!(
                mean.abs() < 8e-4 && (deviation - 0.01 / 3_f64.sqrt()).abs() < 4e-4,
                "{field}[{i}]: {mean}, {deviation}"
            );
            assert!(
                low >= -0.01 && high <= 0.01 && high - low > 0.019,
                "{field}[{i}] in [{low}, {high}]"
            );
        }
    }
    // Normal with deviation 0.01. Standard errors: 3.2e-4 and 2.2e-4; four of each.
    let env = build("cartpole_swingup");
    for (field, i, expected) in [
        ("qpos", 0, 0.0),
        ("qpos", 1, std::f64::consts::PI),
        ("qvel", 0, 0.0),
        ("qvel", 1, 0.0),
    ] {
        let [mean, deviation, ..] = column(&env.get(field).unwrap(), i, 2);
        assert!(
            (mean - expected).abs() < 1.3e-3 && (deviation - 0.01).abs() < 9e-4,
            "{field}[{i}]: {mean}, {deviation}"
        );
    }
}
