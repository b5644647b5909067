//! Imperfect sensors, in distribution: draws of many worlds with a fixed seed against the processes that they are.

use manyworlds::env::{Precision, Target, VecEnv};

use crate::random::{CRITICAL, kolmogorov_smirnov, normal_distribution};
use crate::sensing_task::{WIDTH, clock, columns};

/// Time between control steps, s.
const DT: f64 = 0.02;

fn build(term: &str, options: &str, worlds: usize) -> VecEnv {
    let config = format!("max_episode_steps = 100000\n[observation.policy.{term}]\n{options}\n");
    clock(&config)
        .and_then(|builder| {
            let builder = builder.worlds(worlds).seed(11);
            builder.build_on(Target::Host(Precision::Double))
        })
        .unwrap_or_else(|error| panic!("{error}"))
}

fn steps(env: &mut VecEnv, count: usize) {
    let actions = vec![0.0; env.num_envs()];
    for _ in 0..count {
        env.step(&actions).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// All worlds' values of a term in a group.
fn values(env: &VecEnv, group: &str, term: &str) -> Vec<f64> {
    let all = env.get(&format!("obs.{group}")).unwrap();
    let worlds = all.chunks(WIDTH).flat_map(|world| &world[columns(term)]);
    worlds.map(|value| f64::from(*value)).collect()
}

fn field(env: &VecEnv, name: &str) -> Vec<f64> {
    let values = env.get(name).unwrap();
    values.into_iter().map(f64::from).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let center = mean(values);
    mean(
        &values
            .iter()
            .map(|value| (value - center).powi(2))
            .collect::<Vec<_>>(),
    )
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let products: Vec<f64> = a.iter().zip(b).map(|(a, b)| a * b).collect();
    (mean(&products) - mean(a) * mean(b)) / (variance(a) * variance(b)).sqrt()
}

/// Demands a normal distribution with mean 0.
fn demand_normal(what: &str, values: Vec<f64>, deviation: f64) {
    let statistic = kolmogorov_smirnov(values, |x| normal_distribution(x / deviation));
    assert!(statistic < CRITICAL, "{what}: statistic {statistic}");
}

/// Demands a mean of `count` independent values with this deviation, to 4 standard errors.
fn demand_mean(what: &str, found: f64, expected: f64, deviation: f64, count: f64) {
    let allowed = 4.0 * deviation / count.sqrt();
    assert!(
        (found - expected).abs() < allowed,
        "{what}: {found} for {expected} ± {allowed}"
    );
}

#[test]
fn white_noise_is_white() {
    let mut env = build("still", "noise = 0.3", 500);
    steps(&mut env, 1);
    let first = values(&env, "policy", "still");
    demand_normal("noise", first.clone(), 0.3);
    steps(&mut env, 1);
    let second = values(&env, "policy", "still");
    let found = correlation(&first, &second);
    // 4 / √3000.
    assert!(found.abs() < 0.073, "between steps: {found}");
}

#[test]
fn a_bias_is_constant_in_an_episode_and_normal_over_worlds() {
    let mut env = build("still", "bias = 0.7", 500);
    let first = values(&env, "policy", "still");
    demand_normal("bias", first.clone(), 0.7);
    for _ in 0..5 {
        steps(&mut env, 3);
        assert_eq!(values(&env, "policy", "still"), first);
    }
    env.reset(None).unwrap();
    let second = values(&env, "policy", "still");
    demand_normal("bias of the next episode", second.clone(), 0.7);
    let found = correlation(&first, &second);
    assert!(found.abs() < 0.073, "between episodes: {found}");
}

#[test]
fn a_gain_is_relative() {
    let mut env = build("ramp", "gain = 0.02", 2000);
    for _ in 0..2 {
        let (seen, truth) = (
            values(&env, "policy", "ramp"),
            values(&env, "critic", "ramp"),
        );
        let pairs = seen.iter().zip(&truth).filter(|(_, truth)| **truth != 0.0);
        let errors: Vec<f64> = pairs.map(|(seen, truth)| seen / truth - 1.0).collect();
        demand_normal("gain", errors.clone(), 0.02);
        let gains = field(&env, "sensor.policy.ramp.gain");
        // A reading of 1000 as f32.
        assert!(
            errors.len() < gains.len()
                || errors.iter().zip(&gains).all(|(a, b)| (a - b).abs() < 1e-6)
        );
        steps(&mut env, 4);
    }
}

#[test]
fn a_random_walk_spreads_as_time_goes() {
    let mut env = build("still", "drift = 0.4", 300);
    assert!(
        values(&env, "policy", "still")
            .iter()
            .all(|drift| *drift == 0.0)
    );
    let mut now = 0;
    let mut before = Vec::new();
    for until in [1, 50, 200, 800] {
        steps(&mut env, until - now);
        now = until;
        let drift = values(&env, "policy", "still");
        let expected = 0.16 * now as f64 * DT;
        let count = drift.len() as f64;
        // The variance of a normal sample's variance is 2σ⁴/n.
        demand_mean(
            "variance",
            variance(&drift),
            expected,
            expected * 2f64.sqrt(),
            count,
        );
        demand_normal("random walk", drift.clone(), expected.sqrt());
        if now == 800 {
            // Increments of a walk do not depend on where it is.
            let moved: Vec<f64> = drift.iter().zip(&before).map(|(a, b)| a - b).collect();
            assert!(correlation(&moved, &before).abs() < 4.0 / count.sqrt());
        }
        before = drift;
    }
}

#[test]
fn a_drift_with_a_time_constant_is_an_ornstein_uhlenbeck_process() {
    let (q, tau): (f64, f64) = (0.5, 0.4);
    let mut env = build("still", &format!("drift = {q}\ndrift_time = {tau}"), 500);
    let mut past = Vec::new();
    for step in [5, 10, 20, 100, 110] {
        steps(&mut env, step - past.last().map_or(0, |(step, _)| *step));
        let drift = values(&env, "policy", "still");
        let t = step as f64 * DT;
        let expected = q * q * tau / 2.0 * (1.0 - (-2.0 * t / tau).exp());
        let count = drift.len() as f64;
        demand_mean(
            "variance",
            variance(&drift),
            expected,
            expected * 2f64.sqrt(),
            count,
        );
        demand_normal("drift", drift.clone(), expected.sqrt());
        past.push((step, drift));
    }
    let found = correlation(&past[3].1, &past[4].1);
    demand_mean(
        "correlation over 0.2 s",
        found,
        (-0.2 / tau).exp(),
        1.0,
        3000.0,
    );
    // The two ways to the step's deviation agree where they meet, and the slow limit is a random walk.
    for (tau, near) in [(1.99, 2.01), (1e7, 1e9)] {
        let [a, b] = [tau, near].map(|tau| {
            let mut env = build("still", &format!("drift = 0.5\ndrift_time = {tau}"), 2);
            steps(&mut env, 1);
            field(&env, "sensor.policy.still.drift")
        });
        for (a, b) in a.iter().zip(&b) {
            assert!((a / b - 1.0).abs() < 2e-4, "{a} and {b}");
        }
    }
}

#[test]
fn relative_noise_follows_the_running_deviation() {
    // ±3 by turns: mean 0, deviation 3.
    let mut env = build("wave", "relative_noise = 0.05", 2000);
    let first = values(&env, "policy", "wave");
    assert_eq!(first, vec![3.0; 2000], "nothing has moved yet");
    steps(&mut env, 40);
    let variances = field(&env, "sensor.policy.wave.variance");
    assert!(
        variances
            .iter()
            .all(|variance| (variance - 9.0).abs() < 1e-5)
    );
    let errors = |env: &VecEnv| -> Vec<f64> {
        let pairs = values(env, "policy", "wave")
            .into_iter()
            .zip(values(env, "critic", "wave"));
        pairs.map(|(seen, truth)| seen - truth).collect()
    };
    demand_normal("relative noise", errors(&env), 0.15);
    // The next episode goes on with it.
    env.reset(None).unwrap();
    demand_normal("after a reset", errors(&env), 0.15);
    assert_eq!(field(&env, "sensor.policy.wave.samples"), vec![40.0; 2000]);
    // With noise in its own unit: variances add.
    let mut env = build("wave", "relative_noise = 0.05\nnoise = 0.2", 2000);
    steps(&mut env, 40);
    demand_normal("both", errors(&env), 0.25);
}

#[test]
fn samples_are_lost_as_often_as_is_said() {
    const STEPS: usize = 200;
    for (to, zero) in [("hold", false), ("zero", true)] {
        let options = format!("dropout = 0.15\ndropout_to = \"{to}\"\ntogether = 1");
        let mut env = build("ramp", &options, 100);
        let (mut lost, mut both, mut total) = (0.0, 0.0, 0.0);
        let mut last = values(&env, "policy", "ramp");
        assert_eq!(
            last,
            values(&env, "critic", "ramp"),
            "the first is never lost"
        );
        for _ in 0..STEPS {
            steps(&mut env, 1);
            let (now, truth) = (
                values(&env, "policy", "ramp"),
                values(&env, "critic", "ramp"),
            );
            let is_lost: Vec<bool> = now
                .iter()
                .zip(&truth)
                .map(|(now, truth)| now != truth)
                .collect();
            for (i, _) in is_lost.iter().enumerate().filter(|(_, lost)| **lost) {
                assert_eq!(now[i], if zero { 0.0 } else { last[i] });
            }
            lost += is_lost.iter().filter(|lost| **lost).count() as f64;
            both += is_lost.chunks(2).filter(|pair| pair[0] && pair[1]).count() as f64;
            total += is_lost.len() as f64;
            last = now;
        }
        demand_mean("lost", lost / total, 0.15, (0.15f64 * 0.85).sqrt(), total);
        let both_expected = 0.15f64 * 0.15;
        let deviation = (both_expected * (1.0 - both_expected)).sqrt();
        demand_mean(
            "both",
            both / (total / 2.0),
            both_expected,
            deviation,
            total / 2.0,
        );
    }
    // Unless said otherwise a term's values share their fate.
    let mut env = build("ramp", "dropout = 0.5", 100);
    for _ in 0..20 {
        steps(&mut env, 1);
        let (now, truth) = (
            values(&env, "policy", "ramp"),
            values(&env, "critic", "ramp"),
        );
        for (now, truth) in now.chunks(2).zip(truth.chunks(2)) {
            assert_eq!(now[0] == truth[0], now[1] == truth[1]);
        }
    }
}

#[test]
fn readings_freeze_and_thaw_as_often_as_is_said() {
    const WORLDS: usize = 200;
    const STEPS: usize = 2000;
    let (rate, time): (f64, f64) = (0.5, 0.3);
    let options = format!("freeze_rate = {rate}\nfreeze_time = {time}");
    let mut env = build("ramp", &options, WORLDS);
    let mut was_frozen = [false; WORLDS];
    let mut last = values(&env, "policy", "ramp");
    let (mut free_steps, mut frozen_steps, mut begun, mut ended) = (0.0, 0.0, 0.0, 0.0);
    for _ in 0..STEPS {
        steps(&mut env, 1);
        let (now, truth) = (
            values(&env, "policy", "ramp"),
            values(&env, "critic", "ramp"),
        );
        let flags = field(&env, "sensor.policy.ramp.frozen");
        for world in 0..WORLDS {
            let frozen = flags[world] == 1.0;
            let expected = if frozen { &last } else { &truth };
            let both = 2 * world..2 * world + 2;
            assert_eq!(now[both.clone()], expected[both]);
            match was_frozen[world] {
                true => frozen_steps += 1.0,
                false => free_steps += 1.0,
            }
            begun += f64::from(u8::from(frozen && !was_frozen[world]));
            ended += f64::from(u8::from(!frozen && was_frozen[world]));
            was_frozen[world] = frozen;
        }
        last = now;
    }
    // A chain of two states in continuous time, seen every control step.
    let forgets = 1.0 - (-(rate + 1.0 / time) * DT).exp();
    let share = rate * time / (1.0 + rate * time);
    let freezes = share * forgets;
    let thaws = (1.0 - share) * forgets;
    demand_mean(
        "freezing",
        begun / free_steps,
        freezes,
        freezes.sqrt(),
        free_steps,
    );
    demand_mean(
        "thawing",
        ended / frozen_steps,
        thaws,
        thaws.sqrt(),
        frozen_steps,
    );
    // In seconds: how often in free time (to the 1 % that freeze and thaw within a step and are not seen), how long on
    // average (to the step in which a freeze is seen first).
    let per_second = begun / (free_steps * DT);
    assert!(
        (per_second / rate - 1.0).abs() < 0.1,
        "{per_second} freezes per second"
    );
    let duration = frozen_steps / begun * DT;
    assert!(
        (duration / time - 1.0).abs() < 0.1,
        "{duration} s on average"
    );
}
