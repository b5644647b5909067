//! A framework author's own loop: `VecEnv` as the simulator behind a learner that is not ours.
//!
//! The learner is the cross-entropy method (Rubinstein and Kroese, The Cross-Entropy Method, 2004, chapter 4) on a
//! linear policy: draw candidates from a Gaussian, run each in a world of its own, keep the best, fit the Gaussian to
//! them. All candidates run at once, one in each world.
//!
//! `cargo run --release --no-default-features --example embed_vecenv`

use manyworlds::env::{Autoreset, VecEnv};
use manyworlds::error::Result;
use manyworlds::gpu::{Context, Options};
use manyworlds::math::random::{HostKey, HostRng};
use manyworlds::tasks::Registry;

const CANDIDATES: usize = 512;
const ELITE: usize = 32;
const GENERATIONS: u32 = 5;

pub(crate) fn main() -> Result<()> {
    let context = Context::new(&Options::default())?;
    let task = Registry::builtin().load("cartpole")?;
    // A world whose pole fell stands still: its return stays what it was.
    let mut env = VecEnv::builder(task)
        .worlds(CANDIDATES)
        .autoreset(Autoreset::Disabled)
        .build(&context)?;
    let width = env.observation_spec("policy")?.dim();

    let mut mean = vec![0.0; width];
    let mut deviation = vec![3.0; width];
    let mut rng = HostRng::new(
        HostKey {
            seed: 0,
            stream: 0,
            episode: 0,
            step: 0,
        },
        "candidates",
    );
    let mut best = 0.0;
    for generation in 0..GENERATIONS {
        let candidates: Vec<Vec<f64>> = (0..CANDIDATES)
            .map(|_| {
                mean.iter()
                    .zip(&deviation)
                    .map(|(mean, deviation)| mean + deviation * rng.normal())
                    .collect()
            })
            .collect();
        let returns = episodes(&mut env, &candidates)?;

        let mut order: Vec<usize> = (0..CANDIDATES).collect();
        order.sort_by(|a, b| returns[*b].total_cmp(&returns[*a]));
        let elite: Vec<&Vec<f64>> = order[..ELITE]
            .iter()
            .map(|index| &candidates[*index])
            .collect();
        for i in 0..width {
            let column = || elite.iter().map(|candidate| candidate[i]);
            mean[i] = column().sum::<f64>() / ELITE as f64;
            let variance =
                column().map(|value| (value - mean[i]).powi(2)).sum::<f64>() / ELITE as f64;
            // A little extra keeps the search from settling too early.
            deviation[i] = variance.sqrt() + 0.3 / f64::from(generation + 1);
        }
        best = returns[order[0]];
        println!(
            "generation {generation}: best return {best}, elite from {}",
            returns[order[ELITE - 1]]
        );
    }

    let stats = env.drain_stats()?;
    println!(
        "{} episodes, {} of them fell",
        stats.episodes, stats.terminated
    );
    assert_eq!(
        best,
        f64::from(env.max_episode_steps()),
        "a linear policy balances the pole for a whole episode"
    );
    assert!(stats.quarantines.is_empty());
    env.close()
}

/// Runs one episode of each candidate `action = candidate · observation`; their returns.
fn episodes(env: &mut VecEnv, candidates: &[Vec<f64>]) -> Result<Vec<f64>> {
    let mut observations = env.reset(None)?.policy().read()?;
    let mut returns = vec![0.0; candidates.len()];
    for _ in 0..env.max_episode_steps() {
        let worlds = observations.chunks(candidates[0].len()).zip(candidates);
        let actions: Vec<f32> = worlds
            .map(|(seen, candidate)| {
                seen.iter()
                    .zip(candidate)
                    .map(|(x, k)| f64::from(*x) * k)
                    .sum::<f64>() as f32
            })
            .collect();
        let step = env.step(&actions)?.read()?;
        returns
            .iter_mut()
            .zip(&step.reward)
            .for_each(|(sum, reward)| *sum += f64::from(*reward));
        if !step.valid.contains(&true) {
            break;
        }
        observations = step.obs.into_iter().next().expect("the group `policy`");
    }
    Ok(returns)
}
