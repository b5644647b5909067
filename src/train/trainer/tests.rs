//! Runs that are resumed, spoilt, refused, started from others; evaluated and exported.

use super::*;
use crate::train::evaluate::evaluate;
use crate::train::export::{export, import};
use crate::train::layers::Origin;
use crate::train::policy::Policy;
use crate::train::problems::{CartPole, Problem};
use crate::train::testing::TestDir;
use burn::tensor::{Device, Tensor};

fn config(iterations: u64) -> Config {
    let mut config = Config {
        worlds: 16,
        ..Config::default()
    };
    config.network.actor = vec![16, 16];
    config.network.critic = vec![16];
    config.ppo.horizon = 8;
    config.steps = iterations * config.batch() as u64;
    config.log.checkpoint_interval = 2;
    config
}

fn options(dir: &TestDir, start: Start) -> Options {
    Options {
        out: dir.path().join("run"),
        start,
        quiet: true,
    }
}

fn problem() -> Problem<CartPole> {
    Problem::new(CartPole, 16, Device::flex())
}

/// Rows without the columns that a clock decides.
fn rows(run: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let timed: Vec<bool> = text
        .lines()
        .next()
        .unwrap()
        .split(',')
        .map(|name| name.starts_with("time/") || name == "seconds" || name == "steps_per_s")
        .collect();
    let keep = |line: &str| {
        line.split(',')
            .zip(&timed)
            .filter(|(_, timed)| !**timed)
            .map(|(cell, _)| cell.to_owned())
            .collect()
    };
    text.lines().map(keep).collect()
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_bit_for_bit() {
    let (whole, parts) = (TestDir::new("whole"), TestDir::new("parts"));
    train(&mut problem(), &config(6), &options(&whole, Start::Fresh)).unwrap();

    train(&mut problem(), &config(4), &options(&parts, Start::Fresh)).unwrap();
    // Another process: a new environment, and a new learner, know nothing but the files.
    let outcome = train(&mut problem(), &config(6), &options(&parts, Start::Resume)).unwrap();
    assert_eq!((outcome.iterations, outcome.interrupted), (6, false));

    let (a, b) = (whole.path().join("run"), parts.path().join("run"));
    assert_eq!(rows(&a), rows(&b));
    assert_eq!(rows(&a).len(), 7);
    let weights = |run: &Path| {
        let policy = Policy::load(run, &Device::flex()).unwrap();
        policy
            .network
            .layers
            .iter()
            .map(|layer| layer.weight.val().into_data())
            .collect::<Vec<_>>()
    };
    assert_eq!(weights(&a), weights(&b));
    for file in ["config.toml", "metrics.csv", "curves.png", "spec.json"] {
        assert!(a.join(file).is_file(), "{file}");
    }
    let mut checkpoints: Vec<_> = std::fs::read_dir(a.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    checkpoints.sort();
    assert_eq!(
        checkpoints,
        ["iteration_000002", "iteration_000004", "iteration_000006"]
    );
}

#[test]
fn resuming_refuses_changes_and_fresh_runs_refuse_old_folders() {
    let dir = TestDir::new("refuse");
    train(&mut problem(), &config(2), &options(&dir, Start::Fresh)).unwrap();
    let error = train(&mut problem(), &config(2), &options(&dir, Start::Fresh)).unwrap_err();
    assert!(error.to_string().contains("--resume"), "{error}");

    let mut layers = resume_layers(&dir.path().join("run")).unwrap();
    layers.set("ppo.gamma=0.5", Origin::CommandLine).unwrap();
    let changed = Config::from_layers(&layers).unwrap();
    let error = train(&mut problem(), &changed, &options(&dir, Start::Resume)).unwrap_err();
    assert!(
        error.to_string().contains("ppo.gamma = 0.99 became 0.5"),
        "{error}"
    );

    let error = checkpoint::latest(dir.path()).unwrap_err();
    assert!(error.to_string().contains("no checkpoint"), "{error}");
}

/// Every state of the folder that a kill can leave behind, made by hand: the run goes on as if nothing had happened.
#[test]
fn whatever_a_kill_leaves_behind_is_gone_on_with() {
    let whole = TestDir::new("kept");
    train(&mut problem(), &config(4), &options(&whole, Start::Fresh)).unwrap();
    let expected = rows(&whole.path().join("run"));
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 4] = [
        ("rows after the checkpoint, half a row", |run| {
            let text = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
            let row = text.lines().nth(2).unwrap();
            let more = format!("{text}{}\n4,5", row.replacen('2', "3", 1));
            std::fs::write(run.join("metrics.csv"), more).unwrap();
        }),
        ("half-written and half-removed checkpoints", |run| {
            for name in [".writing-1", ".removing-iteration_000001"] {
                let half = run.join("checkpoints").join(name);
                std::fs::create_dir_all(&half).unwrap();
                std::fs::write(half.join("state.npz"), b"half").unwrap();
            }
        }),
        ("half-written files", |run| {
            for name in [".config.toml.1.partial", ".curves.png.1.partial"] {
                std::fs::write(run.join(name), b"half").unwrap();
            }
        }),
        ("an evaluation of an earlier end", |run| {
            std::fs::write(run.join(EVALUATION_FILE), b"{}").unwrap();
        }),
    ];
    for (name, spoil) in spoil {
        let dir = TestDir::new("spoilt");
        train(&mut problem(), &config(2), &options(&dir, Start::Fresh)).unwrap();
        let run = dir.path().join("run");
        spoil(&run);
        train(&mut problem(), &config(4), &options(&dir, Start::Resume)).unwrap();
        assert_eq!(rows(&run), expected, "{name}");
        let left = std::fs::read_dir(&run).unwrap();
        let left = left.chain(std::fs::read_dir(run.join("checkpoints")).unwrap());
        for entry in left {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with('.') || name == ".lock", "{name} is left");
        }
        assert!(!run.join(EVALUATION_FILE).exists());
    }
}

/// Reaching the target ends a run, also where it was killed before it could say so.
#[test]
fn a_run_that_reached_its_target_does_not_go_on() {
    let dir = TestDir::new("target");
    let mut aiming = config(50);
    aiming.log.target_return = 1.0;
    let outcome = train(&mut problem(), &aiming, &options(&dir, Start::Fresh)).unwrap();
    assert!(outcome.iterations < 50, "{outcome:?}");
    let again = train(&mut problem(), &aiming, &options(&dir, Start::Resume)).unwrap();
    assert_eq!(again.iterations, outcome.iterations);
    assert_eq!(again.mean_return, outcome.mean_return);
}

#[test]
fn a_warm_start_takes_weights_and_statistics_only() {
    let (first, second) = (TestDir::new("first"), TestDir::new("second"));
    train(&mut problem(), &config(2), &options(&first, Start::Fresh)).unwrap();
    let run = first.path().join("run");
    let device = Device::flex();
    let mut ppo = Ppo::new(&config(2), &problem().spec().clone(), &device).unwrap();
    checkpoint::load_policy(&checkpoint::latest(&run).unwrap(), &mut ppo).unwrap();
    assert_eq!(ppo.iteration, 0);
    assert!(ppo.optimizer.state().is_none() && ppo.obs_normalizer.moments().count > 0.0);
    let warm = Start::InitFrom(run.clone());
    let outcome = train(&mut problem(), &config(2), &options(&second, warm)).unwrap();
    assert_eq!(outcome.iterations, 2);

    let mut wider = config(2);
    wider.network.actor = vec![16, 17];
    let third = TestDir::new("third");
    let error = train(
        &mut problem(),
        &wider,
        &options(&third, Start::InitFrom(run)),
    )
    .unwrap_err();
    assert!(error.to_string().contains("widths"), "{error}");
}

/// A folder under construction, or a checkpoint without its last file, is never taken for a checkpoint.
#[test]
fn a_killed_write_is_not_a_checkpoint() {
    let dir = TestDir::new("killed");
    train(&mut problem(), &config(2), &options(&dir, Start::Fresh)).unwrap();
    let run = dir.path().join("run");
    let whole = checkpoint::latest(&run).unwrap();
    std::fs::create_dir_all(run.join("checkpoints/.writing-1")).unwrap();
    std::fs::write(run.join("checkpoints/.writing-1/network.bpk"), b"half").unwrap();
    assert_eq!(checkpoint::latest(&run).unwrap(), whole);
    train(&mut problem(), &config(4), &options(&dir, Start::Resume)).unwrap();
}

#[test]
fn evaluation_and_export_give_the_same_policy() {
    let dir = TestDir::new("export");
    train(&mut problem(), &config(2), &options(&dir, Start::Fresh)).unwrap();
    let policy = Policy::load(&dir.path().join("run"), &Device::flex()).unwrap();
    let reports = [0, 1].map(|_| evaluate(&mut problem(), &policy, 20, 5, None).unwrap());
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0].episodes, 20);

    let [description, numbers] = export(&policy, &dir.path().join("out/policy.npz")).unwrap();
    let imported = import(&description, &Device::flex()).unwrap();
    let report = evaluate(&mut problem(), &imported, 20, 5, None).unwrap();
    assert_eq!(report, reports[0]);
    let description: serde_json::Value =
        serde_json::from_slice(&std::fs::read(description).unwrap()).unwrap();
    assert_eq!(description["network"]["layers"], 3);
    assert_eq!(description["observation"]["terms"][0]["name"], "state");
    // The documented recipe, by hand.
    let mut arrays = crate::train::arrays::Reader::open(&numbers).unwrap();
    let x = [0.3f32, -0.1, 0.7, -1.2];
    let (mean, scale): (Vec<f32>, Vec<f32>) = (
        arrays.vector("obs_mean").unwrap(),
        arrays.vector("obs_scale").unwrap(),
    );
    let x: Vec<f32> = x
        .iter()
        .zip(mean.iter().zip(&scale))
        .map(|(x, (m, s))| ((x - m) * s).clamp(-10.0, 10.0))
        .collect();
    let ours = policy
        .act(Tensor::from_data([[0.3, -0.1, 0.7, -1.2]], &Device::flex()))
        .into_scalar::<f32>();
    let direct = policy
        .network
        .forward(Tensor::<1>::from_floats(x.as_slice(), &Device::flex()).unsqueeze());
    assert!((ours - direct.into_scalar::<f32>()).abs() < 1e-6);
}
