//! The whole path on a real task: train on the device's worlds, resume, evaluate on worlds of its own, export, and act in
//! gymnasium's MuJoCo.

use std::path::Path;

use manyworlds::env::VecEnv;
use manyworlds::gpu::Context;
use manyworlds::tasks::Registry;
use manyworlds::train::layers::Origin;
use manyworlds::train::worlds::{Learner, Worlds};
use manyworlds::train::{Config, Options, Policy, Start, evaluate, export, train};

use crate::common::gpu;
use crate::oracle;

fn config(assignments: &[&str]) -> Config {
    let mut layers = Config::layers(toml::Table::new()).expect("the defaults form a table");
    let common = [
        "worlds=512",
        "ppo.horizon=32",
        "network.actor=[64,64]",
        "network.critic=[64,64]",
    ];
    for assignment in common.iter().chain(assignments) {
        layers
            .set(assignment, Origin::CommandLine)
            .expect("the keys exist");
    }
    Config::from_layers(&layers).expect("the values are in range")
}

fn worlds(context: &Context, count: usize) -> Worlds {
    let definition = Registry::builtin()
        .load("cartpole")
        .expect("a built-in task");
    let builder = VecEnv::builder(definition).worlds(count);
    Worlds::new(builder, context, &Learner::processor()).expect("the task builds")
}

fn run(context: &Context, config: &Config, out: &Path, start: Start) -> manyworlds::train::Outcome {
    let options = Options {
        out: out.to_owned(),
        start,
        quiet: true,
    };
    train(&mut worlds(context, config.worlds), config, &options).expect("training succeeds")
}

#[test]
fn a_policy_learns_to_balance_and_balances_in_mujoco() {
    let Some(context) = gpu::context() else {
        return;
    };
    let dir = std::env::temp_dir().join(format!("manyworlds-cartpole-{}", std::process::id()));
    let config = config(&["steps=4_000_000", "log.target_return=950"]);
    let outcome = run(&context, &config, &dir.join("run"), Start::Fresh);
    println!("{outcome:?}");
    assert!(
        outcome.mean_return.is_some_and(|value| value >= 950.0),
        "{outcome:?}"
    );

    let policy = Policy::load(&dir.join("run"), &Learner::processor().device())
        .expect("a checkpoint was written");
    // 20 worlds, 30 episodes: ten worlds play twice.
    let report = evaluate(&mut worlds(&context, 20), &policy, 30, 99, None).expect("episodes end");
    assert_eq!((report.episodes, report.quarantined), (30, 0));
    assert!(report.mean_return >= 950.0, "{report:?}");

    let [description, _] = export(&policy, &dir.join("policy")).expect("the folder is writable");
    let path = description.to_string_lossy().into_owned();
    let reply = oracle::run(
        "policy.py",
        &[
            &path,
            "--gymnasium",
            "InvertedPendulum-v5",
            "--episodes",
            "3",
        ],
    );
    std::fs::remove_dir_all(&dir).expect("the folder was just written");
    if let Some(reply) = reply {
        let returns = oracle::floats(&reply["returns"]);
        println!("in gymnasium: {returns:?}");
        assert!(returns.iter().all(|value| *value >= 950.0), "{returns:?}");
    }
}

#[test]
fn a_resumed_run_on_the_device_continues_bit_for_bit() {
    let Some(context) = gpu::context() else {
        return;
    };
    let dir = std::env::temp_dir().join(format!("manyworlds-resume-{}", std::process::id()));
    let batch = 512 * 32;
    let steps = |iterations: usize| config(&[&format!("steps={}", iterations * batch)]);
    run(&context, &steps(4), &dir.join("whole"), Start::Fresh);
    run(&context, &steps(2), &dir.join("parts"), Start::Fresh);
    run(&context, &steps(4), &dir.join("parts"), Start::Resume);
    let read = |run: &str, file: &str| {
        let path = dir
            .join(run)
            .join("checkpoints/iteration_000004")
            .join(file);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let same = |file: &str| assert!(read("whole", file) == read("parts", file), "{file} differs");
    same("environment.bin");
    // Names of burn's parameters are drawn anew in each process; weights are compared without them.
    let weights = |run: &str| {
        let policy = Policy::load(&dir.join(run), &Learner::processor().device())
            .expect("a checkpoint was written");
        policy
            .network
            .layers
            .iter()
            .map(|layer| layer.weight.val().into_data())
            .collect::<Vec<_>>()
    };
    assert_eq!(weights("whole"), weights("parts"));
    std::fs::remove_dir_all(&dir).expect("the folder was just written");
}
