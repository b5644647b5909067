//! Learning goes on among worlds that go wrong: faults of every kind in every field, while PPO trains.

use burn::tensor::{Device, Tensor};
use manyworlds::env::VecEnv;
use manyworlds::error::Result;
use manyworlds::tasks::Registry;
use manyworlds::train::{
    Config, Environment, EpisodeStats, Learner, Observations, Options, Spec, Start, Step, Worlds,
    train,
};

use crate::common::gpu;

const WORLDS: usize = 128;

/// Worlds in which something breaks in every step.
struct Breaking {
    worlds: Worlds,
    steps: usize,
    quarantined: f64,
}

impl Breaking {
    /// Writes a fault into one world.
    fn break_one(&mut self) -> Result<()> {
        let fields = ["qpos", "qvel", "time", "episode_return", "episode_length"];
        let values = [f32::NAN, f32::INFINITY, -1e30, f32::MAX];
        let (field, value) = (fields[self.steps % 5], values[self.steps % 4]);
        let env = self.worlds.env_mut();
        let mut numbers = env.get(field)?;
        let at = (self.steps * 31) % numbers.len();
        numbers[at] = value;
        env.set(field, None, &numbers)
    }
}

impl Environment for Breaking {
    fn spec(&self) -> &Spec {
        self.worlds.spec()
    }

    fn num_envs(&self) -> usize {
        self.worlds.num_envs()
    }

    fn device(&self) -> Device {
        self.worlds.device()
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Observations> {
        self.worlds.reset(seed)
    }

    fn step(&mut self, actions: Tensor<2>) -> Result<Step> {
        self.break_one()?;
        self.steps += 1;
        let step = self.worlds.step(actions)?;
        for tensor in [step.obs.policy()?, step.next_obs.policy()?] {
            let largest = tensor.abs().max().into_scalar::<f32>();
            assert!(largest <= 1e10, "step {}: {largest}", self.steps);
        }
        let invalid = self.num_envs() as f32 - step.valid.clone().sum().into_scalar::<f32>();
        assert_eq!(invalid, 1.0, "step {}", self.steps);
        Ok(step)
    }

    fn drain_stats(&mut self) -> Result<EpisodeStats> {
        let stats = self.worlds.drain_stats()?;
        self.quarantined += stats.metrics["quarantined"];
        Ok(stats)
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        self.worlds.snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<Observations> {
        self.worlds.restore(snapshot)
    }
}

#[test]
fn training_goes_on_among_faults() {
    let Some(context) = gpu::context() else {
        return;
    };
    let mut config = Config {
        worlds: WORLDS,
        ..Config::default()
    };
    (config.network.actor, config.network.critic) = (vec![32, 32], vec![32, 32]);
    let iterations = 30;
    config.steps = iterations * config.batch() as u64;
    let definition = Registry::builtin().load("cartpole").unwrap();
    let builder = VecEnv::builder(definition).worlds(WORLDS);
    let mut breaking = Breaking {
        worlds: Worlds::new(builder, &context, &Learner::processor()).unwrap(),
        steps: 0,
        quarantined: 0.0,
    };
    let out = std::env::temp_dir().join(format!("manyworlds-faults-{}", std::process::id()));
    let options = Options {
        out: out.clone(),
        start: Start::Fresh,
        quiet: true,
    };
    // The trainer stops at the first loss that is not finite.
    let outcome = train(&mut breaking, &config, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.iterations, iterations);
    assert_eq!(breaking.quarantined as usize, breaking.steps);
    let text = std::fs::read_to_string(out.join("metrics.csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let at = names.iter().position(|name| *name == "return").unwrap();
    let returns: Vec<f64> = lines.filter_map(|row| row[at].parse().ok()).collect();
    let (first, last) = (returns[0], returns[returns.len() - 1]);
    assert!(last > 2.0 * first, "it learns: {first} to {last}");
    std::fs::remove_dir_all(out).unwrap();
}
