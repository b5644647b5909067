//! Randomization on the device. What it draws is distributed as it is named: a Kolmogorov–Smirnov test over 10⁵ worlds
//! for each family, at 1 % for all of them together (Bonferroni). And a world is the same alone.

use manyworlds::env::VecEnv;
use manyworlds::tasks::Registry;

use crate::common::gpu::context;
use crate::env_support::{actions, bits};

const WORLDS: usize = 100_000;

/// The standard normal distribution's function, by the series Φ(x) = ½ + φ(x) Σ x²ᵏ⁺¹ / (1 · 3 · … · (2k + 1)).
fn normal(x: f64) -> f64 {
    let (mut term, mut sum, mut k) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() && k < 400.0 {
        term *= x * x / (2.0 * k + 1.0);
        sum += term;
        k += 1.0;
    }
    0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

type Distribution = (&'static str, &'static str, fn(f64) -> f64);

/// Entries, with the probability that a draw is at most x.
const CASES: [Distribution; 8] = [
    ("uniform", "uniform = [-2, 5]", |x| (x + 2.0) / 7.0),
    ("log_uniform", "log_uniform = [0.01, 20]", |x| {
        (x / 0.01).ln() / 2000.0_f64.ln()
    }),
    ("normal", "normal = [1, 0.5]", |x| normal((x - 1.0) / 0.5)),
    ("truncated", "truncated_normal = [0, 1, -0.5, 2]", |x| {
        (normal(x) - normal(-0.5)) / (normal(2.0) - normal(-0.5))
    }),
    // Where the normal distribution is nearly over: bounds at 3 and 4 standard deviations.
    ("tail", "truncated_normal = [0, 1, 3, 4]", |x| {
        (normal(x) - normal(3.0)) / (normal(4.0) - normal(3.0))
    }),
    ("exponential", "exponential = 125", |x| {
        1.0 - (-125.0 * x).exp()
    }),
    ("constant", "constant = 0.25", |x| {
        f64::from(u8::from(x >= 0.25))
    }),
    (
        "categorical",
        "categorical = [[-1, 0, 3], [1, 2, 1]]",
        |x| {
            [(-1.0, 0.25), (0.0, 0.5), (3.0, 0.25)]
                .iter()
                .filter(|(value, _)| *value <= x)
                .map(|(_, weight)| weight)
                .sum()
        },
    ),
];

/// The largest difference of the two distribution functions, of steps at their right ends.
fn distance(mut draws: Vec<f64>, is_discrete: bool, probability: fn(f64) -> f64) -> f64 {
    draws.sort_by(f64::total_cmp);
    let n = draws.len() as f64;
    let mut worst: f64 = 0.0;
    for (rank, &x) in draws.iter().enumerate() {
        let is_last = draws.get(rank + 1).is_none_or(|next| *next != x);
        if is_discrete {
            if is_last {
                worst = worst.max((probability(x) - (rank + 1) as f64 / n).abs());
            }
        } else {
            let p = probability(x);
            worst = worst
                .max(p - rank as f64 / n)
                .max((rank + 1) as f64 / n - p);
        }
    }
    worst
}

#[test]
fn draws_are_distributed_as_named() {
    let Some(context) = context() else { return };
    for seed in [1, 2] {
        let mut definition = Registry::builtin()
            .load("cartpole")
            .expect("a built-in task");
        for (name, entry, _) in CASES {
            definition
                .set(&format!("randomize.{name}.{entry}"))
                .expect("an entry");
        }
        let builder = VecEnv::builder(definition).worlds(WORLDS).seed(seed);
        let env = builder.build(&context).expect("an environment");
        let draws = env.get("randomized").expect("draws");
        // P(D > d) ≤ 2 exp(−2 n d²).
        let level = 0.01 / (2 * CASES.len()) as f64;
        let critical = ((2.0 / level).ln() / (2.0 * WORLDS as f64)).sqrt();
        for (index, (name, _, probability)) in CASES.into_iter().enumerate() {
            let column = draws
                .chunks(CASES.len())
                .map(|row| f64::from(row[index]))
                .collect();
            let found = distance(
                column,
                matches!(name, "constant" | "categorical"),
                probability,
            );
            println!("{name}, seed {seed}: D = {found:.5}, critical {critical:.5}");
            assert!(
                found < critical,
                "{name}, seed {seed}: D = {found}, critical {critical}"
            );
        }
    }
}

#[test]
fn a_randomized_world_is_the_same_alone() {
    let Some(context) = context() else { return };
    let build = |worlds: usize, first: u32| {
        let mut definition = Registry::builtin().load("hopper").expect("a built-in task");
        for entry in [
            "mass.field=\"body_mass\"",
            "friction.field=\"geom_friction\"",
            "gear.field=\"actuator_gear\"",
            "push.field=\"qvel\"",
        ] {
            let name = entry.split('.').next().expect("a name");
            let rest = match name {
                "push" => "add.normal = [0, 0.5]\ninterval = 0.2",
                _ => "scale.uniform = [0.5, 1.5]",
            };
            let text = format!(
                "[{name}]\n{}\n{rest}",
                entry.split_once('.').expect("a field").1
            );
            let table: toml::Table = text.parse().expect("TOML");
            let randomize = definition.config.entry("randomize");
            let randomize = randomize.or_insert_with(|| toml::Table::new().into());
            randomize.as_table_mut().expect("a table").extend(table);
        }
        let builder = VecEnv::builder(definition)
            .worlds(worlds)
            .first_stream(first)
            .seed(9);
        builder.build(&context).expect("an environment")
    };
    let (mut many, mut alone) = (build(64, 0), build(1, 37));
    for step in 0..100 {
        let (all, one) = (actions(0..64, step, 3), actions(37..38, step, 3));
        many.step(&all).expect("a step");
        alone.step(&one).expect("a step");
    }
    for field in ["qpos", "qvel", "randomized", "obs.policy", "reward"] {
        let (all, one) = (
            many.get(field).expect("a field"),
            alone.get(field).expect("a field"),
        );
        let width = one.len();
        assert_eq!(bits(&all[37 * width..38 * width]), bits(&one), "{field}");
    }
}
