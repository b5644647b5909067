//! Automatic domain randomization on worlds: who is held at which boundary, what is drawn there, what is measured, and
//! what is remembered.

use manyworlds::env::{Precision, Snapshot, Target, VecEnv};
use manyworlds::error::Result;
use manyworlds::randomize::{Curriculum, Measured, Numbers};
use manyworlds::tasks::{Definition, Registry, Table};

/// A cartpole with entries of every kind that automatic domain randomization moves, and one that it leaves alone.
const RANDOMIZED: &str = r#"
[randomize.mass]                       # draws for the cart and for the pole
field = "body_mass"
scale.uniform = [0.8, 1.3]
adr = { limits = [0.5, 2.0], step = 0.1 }
[randomize.gain]                       # only grows upwards
field = "actuator_gainprm"
components = 0
scale.log_uniform = [0.7, 1.5]
adr = { limits = [0.7, 3.0], step = 0.1 }
[randomize.damping]
field = "dof_damping"
scale.truncated_normal = [1.0, 0.3, 0.6, 1.4]
adr = { limits = [0.1, 4.0], step = 0.1 }
[randomize.push]
field = "qvel"
add.normal = [0.0, 0.1]
[randomize.adr]
metric = "length"
low = 3
high = 4
episodes = 20
boundary_share = 0.3
"#;

/// The keys of the edges in the order of the boundaries, and the draws of their entries.
const EDGES: [(&str, std::ops::Range<usize>); 5] = [
    ("randomize.mass.scale.uniform[0]", 0..2),
    ("randomize.mass.scale.uniform[1]", 0..2),
    ("randomize.gain.scale.log_uniform[1]", 2..3),
    ("randomize.damping.scale.truncated_normal[2]", 3..5),
    ("randomize.damping.scale.truncated_normal[3]", 3..5),
];
const DRAWS: usize = 7;

fn cartpole(randomize: &str) -> Definition {
    let mut definition = Registry::builtin().load("cartpole").expect("is built in");
    let more: Table = randomize.parse().expect("is TOML");
    definition.config.extend(more);
    definition
}

fn build(definition: Definition, worlds: usize) -> VecEnv {
    let builder = VecEnv::builder(definition).worlds(worlds).seed(3);
    builder
        .build_on(Target::Host(Precision::Single))
        .expect("the task builds")
}

/// The same without automatic domain randomization.
fn plain() -> String {
    let lines = RANDOMIZED
        .lines()
        .filter(|line| !line.starts_with("adr = "));
    let text: Vec<&str> = lines.collect();
    let text = text.join("\n");
    text.split("[randomize.adr]")
        .next()
        .unwrap_or_default()
        .into()
}

/// A count of `n` tries with probability `p`, within 4.5 standard deviations.
fn assert_share(count: usize, n: usize, p: f64) {
    let (mean, deviation) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
    let off = (count as f64 - mean).abs() / deviation;
    assert!(
        off < 4.5,
        "{count} of {n}: {off:.1} standard deviations from {mean}"
    );
}

/// Held worlds draw the edge, to the bit; all else is to the bit what is drawn without automatic domain randomization.
#[test]
fn boundary_worlds_draw_the_edge_and_nothing_else_changes() {
    let worlds = 8192;
    let mut env = build(cartpole(RANDOMIZED), worlds);
    let mut without = build(cartpole(&plain()), worlds);
    let found = env.spec().randomization().boundaries();
    let keys: Vec<&str> = found.iter().map(|boundary| boundary.key.as_str()).collect();
    assert_eq!(keys, EDGES.clone().map(|(key, _)| key));
    let mut before = Vec::new();
    for _ in 0..3 {
        env.reset(None).unwrap();
        without.reset(None).unwrap();
        let boundary = env.get_bits("boundary").unwrap();
        let (draws, normal) = (
            env.get("randomized").unwrap(),
            without.get("randomized").unwrap(),
        );
        // Beyond the draws lies what follows from them.
        let stride = draws.len() / worlds;
        assert!(stride >= DRAWS);
        let edges = EDGES
            .clone()
            .map(|(key, _)| env.params().get(key).unwrap() as f32);
        for world in 0..worlds {
            let held = (boundary[world] as usize).checked_sub(1);
            for draw in 0..DRAWS {
                let (own, other) = (draws[stride * world + draw], normal[stride * world + draw]);
                let expected = match held {
                    Some(at) if EDGES[at].1.contains(&draw) => edges[at],
                    _ => other,
                };
                assert_eq!(
                    own.to_bits(),
                    expected.to_bits(),
                    "world {world}, draw {draw}"
                );
            }
        }
        assert_share(boundary.iter().filter(|at| **at > 0).count(), worlds, 0.3);
        for code in 1..=EDGES.len() as u32 {
            let count = boundary.iter().filter(|at| **at == code).count();
            assert_share(count, worlds, 0.3 / EDGES.len() as f64);
        }
        assert_ne!(boundary, before, "another choice in every episode");
        before = boundary;
    }
    // The share is a number like any other.
    env.params()
        .set("randomize.adr.boundary_share", 0.0)
        .unwrap();
    env.reset(None).unwrap();
    assert!(env.get_bits("boundary").unwrap().iter().all(|at| *at == 0));
}

#[test]
fn what_is_not_configured_is_not_there() {
    let env = build(cartpole(&plain()), 1);
    assert!(env.spec().randomization().boundaries().is_empty());
    assert!(env.get_bits("boundary").unwrap().is_empty());
    assert!(!env.step_graph().wgsl().contains("boundary"));
}

/// Steps without acting.
fn step(env: &mut VecEnv, steps: usize) {
    let actions = vec![0.0; env.num_envs()];
    for _ in 0..steps {
        env.step(&actions).unwrap();
    }
}

/// Every episode that ended is counted once, where it was; an edge that moved does not count those from before.
#[test]
fn episodes_are_measured_where_they_were() {
    let worlds = 600;
    let text = format!(
        "max_episode_steps = 5\n{}",
        RANDOMIZED.replace("\"length\"", "\"return\"")
    );
    let mut definition = cartpole("");
    definition.config.remove("max_episode_steps");
    definition.config.extend(text.parse::<Table>().unwrap());
    let mut env = build(definition, worlds);
    let count = |boundary: &[u32], code: usize| {
        boundary.iter().filter(|at| **at == code as u32).count() as u64
    };
    let boundary = env.get_bits("boundary").unwrap();
    step(&mut env, 4);
    let before_move = env.params().get("randomize.mass.scale.uniform[1]").unwrap();
    step(&mut env, 1);
    let measured = env.drain_stats().unwrap().measured;
    assert_eq!(measured.all.episodes, count(&boundary, 0));
    for (index, found) in measured.boundaries.iter().enumerate() {
        assert_eq!(
            found.episodes,
            count(&boundary, index + 1),
            "boundary {index}"
        );
        assert_eq!(found.mean(), Some(5.0));
    }
    assert_eq!(
        env.drain_stats().unwrap().measured.all.episodes,
        0,
        "drained"
    );

    // In the midst of the next episodes the pole's heaviest mass changes.
    step(&mut env, 2);
    let boundary = env.get_bits("boundary").unwrap();
    env.params()
        .set("randomize.mass.scale.uniform[1]", before_move + 0.1)
        .unwrap();
    step(&mut env, 3);
    let measured = env.drain_stats().unwrap().measured;
    assert!(count(&boundary, 2) > 10);
    let expected = [1, 2, 3, 4, 5].map(|code| if code == 2 { 0 } else { count(&boundary, code) });
    let found: Vec<u64> = measured
        .boundaries
        .iter()
        .map(|found| found.episodes)
        .collect();
    assert_eq!(found, expected);
    step(&mut env, 5);
    assert!(env.drain_stats().unwrap().measured.boundaries[1].episodes > 10);
}

/// A metric by the name of a reward term is that term's weighted sum.
#[test]
fn a_reward_term_can_be_the_metric() {
    let mut definition = Registry::builtin().load("hopper").expect("is built in");
    let text = "max_episode_steps = 4\n[randomize.mass]\nfield = \"body_mass\"\nnames = \"torso\"\nscale.uniform = [1, 1]\n\
                adr = { limits = [0.5, 2], step = 0.1 }\n[randomize.adr]\nmetric = \"reward.healthy\"\nlow = 1\nhigh = 2\n";
    definition.config.remove("max_episode_steps");
    definition.config.extend(text.parse::<Table>().unwrap());
    let mut env = build(definition, 50);
    let actions = vec![0.5; 50 * env.action_spec().len()];
    for _ in 0..4 {
        env.step(&actions).unwrap();
    }
    let stats = env.drain_stats().unwrap();
    let mut all = stats.measured.all;
    stats
        .measured
        .boundaries
        .iter()
        .for_each(|found| all.add(*found));
    assert_eq!(all.episodes, stats.episodes);
    let healthy = stats
        .terms
        .iter()
        .find(|(name, _)| name == "healthy")
        .expect("hopper has it")
        .1;
    assert!(healthy != stats.mean_return);
    assert_eq!(all.mean(), Some(healthy));
}

/// The parameters, and the metrics of the curriculum.
type Look = (Vec<f64>, Vec<(String, f64)>);

/// Rollouts of 6 steps of episodes of 5, with the curriculum between them.
fn iterate(env: &mut VecEnv, times: usize) -> Vec<Look> {
    let once = |_| {
        step(env, 6);
        let stats = env.drain_stats().unwrap();
        env.on_iteration(&stats).unwrap();
        (
            env.params().values().to_vec(),
            env.curriculum_metrics().unwrap(),
        )
    };
    (0..times).map(once).collect()
}

/// From a file too, with queues that are half full.
#[test]
fn a_restored_environment_grows_on_bit_for_bit() {
    let text = format!("max_episode_steps = 5\n{RANDOMIZED}");
    let definition = || {
        let mut definition = cartpole("");
        definition.config.remove("max_episode_steps");
        definition.config.extend(text.parse::<Table>().unwrap());
        definition
    };
    let mut env = build(definition(), 100);
    let began = env.params().values().to_vec();
    iterate(&mut env, 11);
    let bytes = env.snapshot(None).unwrap().to_bytes();
    let expected = iterate(&mut env, 25);
    let draws = env.get("randomized").unwrap();

    let mut other = build(definition(), 100);
    iterate(&mut other, 2);
    other
        .restore(None, &Snapshot::from_bytes(&bytes).unwrap())
        .unwrap();
    assert_eq!(iterate(&mut other, 25), expected);
    assert_eq!(other.get("randomized").unwrap(), draws);

    // And it did grow, up to limits: episodes always last 5 ≥ 4 steps.
    let upper = env.params().get("randomize.mass.scale.uniform[1]").unwrap();
    assert!(upper > 1.3 && upper <= 2.0, "{upper}");
    let values = env.params().values();
    assert!(values.iter().zip(&began).filter(|(a, b)| a != b).count() == EDGES.len());
    let names: Vec<&str> = expected[0]
        .1
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "adr/entropy",
            "adr/performance",
            "adr/mass/low",
            "adr/mass/high",
            "adr/gain/high",
            "adr/damping/low",
            "adr/damping/high"
        ]
    );
    // A task without these boundaries has no use for their queues.
    let mut stranger = build(cartpole(&plain()), 100);
    assert!(
        stranger
            .restore(None, &Snapshot::from_bytes(&bytes).unwrap())
            .is_err()
    );
}

/// A curriculum of one's own, on the same interface.
#[test]
fn another_curriculum_takes_the_place() {
    struct Count(f64);
    impl Curriculum for Count {
        fn update(&mut self, measured: &Measured, numbers: &mut dyn Numbers) -> Result<()> {
            self.0 += measured.all.episodes as f64;
            numbers.change("reset.noise", 0.01 / (1.0 + self.0))
        }
        fn state(&self) -> Vec<f64> {
            vec![self.0]
        }
        fn restore(&mut self, state: &[f64]) -> Result<()> {
            self.0 = state[0];
            Ok(())
        }
    }
    let env = || {
        let mut definition = cartpole("");
        definition.set("max_episode_steps=5").unwrap();
        let builder = VecEnv::builder(definition)
            .worlds(2)
            .curriculum(Box::new(Count(0.0)));
        builder.build_on(Target::Host(Precision::Single)).unwrap()
    };
    let (mut one, mut other) = (env(), env());
    iterate(&mut one, 3);
    // Three episodes of two worlds in 18 steps.
    assert_eq!(one.params().get("reset.noise").unwrap(), 0.01 / 7.0);
    other.restore(None, &one.snapshot(None).unwrap()).unwrap();
    assert_eq!(iterate(&mut other, 3), iterate(&mut one, 3));
}

#[test]
fn what_cannot_work_is_said_on_one_line() {
    let adr = "[randomize.adr]\nlow = 1\nhigh = 2\n";
    let mass = "[randomize.m]\nfield = \"body_mass\"\n";
    let grown = "adr = { limits = [0.5, 2.0], step = 0.1 }\n";
    let cases = [
        (
            format!("{mass}scale.uniform = [1, 1]\n{grown}"),
            "randomize.m: `adr` without [randomize.adr] (say there",
        ),
        (
            format!("{adr}{mass}scale.normal = [1, 1]\n{grown}"),
            "randomize.m: `adr` of normal, which has no edges (it moves those of uniform, log_uniform",
        ),
        (
            format!(
                "{adr}[randomize.f]\nuniform = [0, 1]\n{mass}scale.uniform = [0, \"f\"]\n{grown}"
            ),
            "randomize.m: `adr` of a range that another entry draws",
        ),
        (
            format!("{adr}{mass}scale.uniform = [1, 1]\ntiming = \"startup\"\n{grown}"),
            "`adr` with timing = \"startup\" (what is drawn once never sees an edge move: use \"reset\")",
        ),
        (
            format!("{adr}{mass}scale.uniform = [1, 1]\nprobability = 0.5\n{grown}"),
            "`adr` with `probability` or `decay` (let it move the range of another entry",
        ),
        (
            format!("{adr}{mass}scale.uniform = [0.4, 1]\n{grown}"),
            "`adr.limits` do not hold the range (the range begins as [0.4, 1], adr = { limits = [0.5, 2]",
        ),
        (
            format!(
                "{adr}{mass}scale.log_uniform = [0.5, 1]\nadr = {{ limits = [0, 2], step = 0.1 }}\n"
            ),
            "`adr.limits` of log_uniform are positive",
        ),
        (
            format!(
                "{adr}{mass}scale.uniform = [1, 1]\nadr = {{ limits = [0, nan], step = 0.1 }}\n"
            ),
            "`limits` is nan (it takes a number)",
        ),
        (
            format!("{adr}metric = \"reward.alife\"\n"),
            "randomize.adr: unknown reward term `alife` (did you mean `alive`?)",
        ),
    ];
    for (text, expected) in cases {
        let mut definition = cartpole("");
        let parsed = text
            .parse::<Table>()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        definition.config.extend(parsed);
        let error = definition.spec().expect_err(&text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains('\n'));
    }
    // Settings that nobody uses do no harm: entries may come later, on the command line.
    let mut definition = cartpole("");
    definition.config.extend(adr.parse::<Table>().unwrap());
    assert!(definition.spec().is_ok());
}
