//! Planning with the simulator itself: nothing is learned, the best action is looked for, again and again.
//!
//! One world is the robot. Twice in a tenth of a second its state is put into hundreds of worlds on the device, each of
//! which tries another sequence of actions; the plan is their mean, weighted by what they earned (model predictive path
//! integral control: Williams, Aldrich and Theodorou, Model Predictive Path Integral Control: From Theory to Parallel
//! Computation, 2017, algorithm 2). The pole hangs at first, and is swung up and held.
//!
//! `cargo run --release --no-default-features --example planner`

use manyworlds::env::{Randomness, VecEnv, Which};
use manyworlds::error::Result;
use manyworlds::gpu::{Context, Options};
use manyworlds::math::random::{HostKey, HostRng};
use manyworlds::tasks::Registry;

/// Sequences that are tried at once.
const CANDIDATES: usize = 256;
/// Control steps that an action of a plan is held, and after which there is a new plan.
const HOLD: usize = 5;
/// Actions of a plan: 20 · 5 steps of 0.01 s look 1 s ahead.
const HORIZON: usize = 20;
/// Standard deviation of what is tried around the plan.
const NOISE: f64 = 0.6;
/// Returns this far below the best count e times less.
const TEMPERATURE: f64 = 0.3;
/// Plans: 5 s.
const PLANS: u32 = 100;

pub(crate) fn main() -> Result<()> {
    let context = Context::new(&Options::default())?;
    let build = |worlds: usize| {
        let task = Registry::builtin().load("cartpole_swingup")?;
        VecEnv::builder(task).worlds(worlds).seed(4).build(&context)
    };
    let (mut robot, mut worlds) = (build(1)?, build(CANDIDATES)?);
    let mut plan = [0.0; HORIZON];
    let mut earned = Vec::new();
    for round in 0..PLANS {
        improve(&mut plan, &robot, &mut worlds, round)?;
        for _ in 0..HOLD {
            let step = robot.step(&[plan[0] as f32])?;
            earned.extend(step.reward.read()?);
        }
        // What is left of the plan is where the next one starts from.
        plan.rotate_left(1);
        plan[HORIZON - 1] = 0.0;
        if round % 10 == 9 {
            let second = &earned[earned.len() - 10 * HOLD..];
            println!(
                "{:.1} s: mean reward {:.2}",
                earned.len() as f64 * robot.control_dt(),
                second.iter().sum::<f32>() / second.len() as f32
            );
        }
    }
    let held = earned[earned.len() - 100..].iter().sum::<f32>() / 100.0;
    println!(
        "return {:.1} of {} at most; {held:.2} a step in the last second",
        earned.iter().sum::<f32>(),
        earned.len()
    );
    assert!(held > 0.8, "the pole is up, and held");
    robot.close()
}

/// Tries sequences around the plan from the robot's state, and moves the plan to their weighted mean.
fn improve(
    plan: &mut [f64; HORIZON],
    robot: &VecEnv,
    worlds: &mut VecEnv,
    round: u32,
) -> Result<()> {
    let state = robot.get_state(Which::All)?;
    worlds.set_state(Which::All, &state, Randomness::Saved)?;

    let key = HostKey {
        seed: 0,
        stream: 0,
        episode: round,
        step: 0,
    };
    let mut rng = HostRng::new(key, "candidates");
    let mut tried =
        |scale: f64| plan.map(|action| (action + scale * rng.normal()).clamp(-1.0, 1.0));
    // The plan itself is one of them.
    let candidates: Vec<[f64; HORIZON]> = (0..CANDIDATES)
        .map(|k| tried(if k == 0 { 0.0 } else { NOISE }))
        .collect();
    for knot in 0..HORIZON {
        let actions: Vec<f32> = candidates.iter().map(|c| c[knot] as f32).collect();
        for _ in 0..HOLD {
            worlds.step(&actions)?;
        }
    }
    // The worlds have added up what they earned; nothing else is read.
    let returns = worlds.get("episode_return")?;
    let best = returns.iter().copied().fold(f32::MIN, f32::max);
    let weight = |earned: &f32| (f64::from(earned - best) / TEMPERATURE).exp();
    let total: f64 = returns.iter().map(weight).sum();
    for (knot, action) in plan.iter_mut().enumerate() {
        let weighted = returns.iter().zip(&candidates);
        *action = weighted
            .map(|(earned, c)| weight(earned) * c[knot])
            .sum::<f64>()
            / total;
    }
    Ok(())
}
