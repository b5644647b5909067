//! Automatic domain randomization while a policy learns: ranges grow as far as it can follow, it still does its task, and
//! a resumed run grows the same ranges.

use std::fs;
use std::path::Path;

use manyworlds::env::VecEnv;
use manyworlds::gpu::Context;
use manyworlds::tasks::{Registry, Table};
use manyworlds::train::layers::Origin;
use manyworlds::train::worlds::{Learner, Worlds};
use manyworlds::train::{Config, Options, Outcome, Policy, Start, evaluate, train};

use crate::common::gpu;

/// Balancing for 6 s. A motor without gain balances nothing: the lower edge of its range cannot stay at its limit.
const TASK: &str = r#"
max_episode_steps = 150
[randomize.gain]
field = "actuator_gainprm"
components = 0
scale.uniform = [1, 1]
adr = { limits = [0, 2], step = 0.2 }
[randomize.mass]
field = "body_mass"
names = "pole"
scale.uniform = [1, 1]
adr = { limits = [0.4, 1.6], step = 0.1 }
[randomize.adr]
metric = "return"
low = 75
high = 130
episodes = 16
"#;

const ITERATIONS: usize = 80;

fn config() -> Config {
    let mut layers = Config::layers(Table::new()).expect("the defaults form a table");
    let steps = format!("steps={}", ITERATIONS * 512 * 32);
    let interval = format!("log.checkpoint_interval={}", ITERATIONS / 2);
    let assignments = [
        "worlds=512",
        "ppo.horizon=32",
        "network.actor=[64,64]",
        "network.critic=[64,64]",
        &steps,
        &interval,
    ];
    for assignment in assignments {
        layers
            .set(assignment, Origin::CommandLine)
            .expect("the keys exist");
    }
    Config::from_layers(&layers).expect("the values are in range")
}

fn worlds(context: &Context, count: usize) -> Worlds {
    let mut definition = Registry::builtin()
        .load("cartpole")
        .expect("a built-in task");
    definition.config.remove("max_episode_steps");
    definition
        .config
        .extend(TASK.parse::<Table>().expect("is TOML"));
    let builder = VecEnv::builder(definition).worlds(count);
    Worlds::new(builder, context, &Learner::processor()).expect("the task builds")
}

fn run(context: &Context, out: &Path, start: Start) -> Outcome {
    let config = config();
    let options = Options {
        out: out.to_owned(),
        start,
        quiet: true,
    };
    train(&mut worlds(context, config.worlds), &config, &options).expect("training succeeds")
}

/// A column of the metrics, by iteration; empty cells are no numbers.
fn column(run: &Path, name: &str) -> Vec<f64> {
    let text = fs::read_to_string(run.join("metrics.csv")).expect("training writes it");
    let header = text.lines().next().unwrap_or_default();
    let index = header
        .split(',')
        .position(|cell| cell == format!("metric/adr/{name}"))
        .unwrap_or_else(|| panic!("no column {name} in {header}"));
    let cells = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(index).unwrap_or_default());
    cells.map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
}

#[test]
fn ranges_grow_while_a_policy_learns_and_a_resumed_run_grows_the_same() {
    let Some(context) = gpu::context() else {
        return;
    };
    let dir = std::env::temp_dir().join(format!("manyworlds-adr-{}", std::process::id()));
    let (whole, parts) = (dir.join("whole"), dir.join("parts"));
    let outcome = run(&context, &whole, Start::Fresh);
    println!("{outcome:?}");
    let names = [
        "gain/low",
        "gain/high",
        "mass/low",
        "mass/high",
        "entropy",
        "performance",
    ];
    for name in names {
        let values = column(&whole, name);
        let shown: Vec<String> = values
            .iter()
            .step_by(10)
            .chain(values.last())
            .map(|value| format!("{value:.2}"))
            .collect();
        println!("{name}: {}", shown.join(" "));
    }
    let last = |name: &str| column(&whole, name).last().copied().unwrap_or(f64::NAN);
    let [gain, mass] =
        ["gain", "mass"].map(|name| ["low", "high"].map(|side| last(&format!("{name}/{side}"))));
    assert!(gain[0] < 0.75, "{gain:?}");
    let low = column(&whole, "gain/low");
    let returns = low.windows(2).any(|pair| pair[0] == 0.0 && pair[1] > 0.0);
    assert!(returns, "an edge at which the policy fails: {low:?}");
    assert!(gain[1] > 1.25 && gain[1] <= 2.0, "{gain:?}");
    assert!(mass[0] < 0.75 && mass[1] > 1.25, "{mass:?}");
    let entropy = column(&whole, "entropy");
    assert!(entropy[ITERATIONS - 1] > entropy[0] + 1.0, "{entropy:?}");

    // The policy balances in all of it: evaluated on the ranges that have grown, with nobody at their edges.
    let policy = Policy::load(&whole, &Learner::processor().device()).expect("it was saved");
    let mut judged = worlds(&context, 200);
    let params = judged.env_mut().params();
    let [gain_key, mass_key] =
        ["gain", "mass"].map(|name| format!("randomize.{name}.scale.uniform"));
    for (key, range) in [(gain_key, gain), (mass_key, mass)] {
        for (side, edge) in range.into_iter().enumerate() {
            params.set(&format!("{key}[{side}]"), edge).expect("exists");
        }
    }
    params
        .set("randomize.adr.boundary_share", 0.0)
        .expect("exists");
    let report = evaluate(&mut judged, &policy, 400, 99, None).expect("episodes end");
    println!("on the grown ranges: mean return {}", report.mean_return);
    assert!(report.mean_return > 130.0, "{}", report.mean_return);

    // From the checkpoint in the middle, in another environment.
    for folder in ["", "checkpoints/iteration_000040"] {
        fs::create_dir_all(parts.join(folder)).expect("the folder is writable");
        for entry in fs::read_dir(whole.join(folder)).expect("it was written") {
            let path = entry.expect("it is readable").path();
            if path.is_file() {
                let name = path.file_name().expect("files have names");
                fs::copy(&path, parts.join(folder).join(name)).expect("it is copied");
            }
        }
    }
    run(&context, &parts, Start::Resume);
    for name in names {
        let [one, other] =
            [&whole, &parts].map(|run| column(run, name).into_iter().map(f64::to_bits).collect());
        let (one, other): (Vec<u64>, Vec<u64>) = (one, other);
        assert_eq!(one, other, "{name}");
    }
    let worlds = |run: &Path| {
        let path = run.join(format!(
            "checkpoints/iteration_{ITERATIONS:06}/environment.bin"
        ));
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    assert!(worlds(&whole) == worlds(&parts), "the worlds differ");
    fs::remove_dir_all(&dir).expect("the folder was just written");
}
