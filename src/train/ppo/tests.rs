//! PPO held to what is known in closed form: ratio 1 and KL 0 at the start, V = 1/(1 − γ) under timeouts, masks.

use super::*;
use crate::train::environment::CRITIC;
use crate::train::problems::{CartPole, Drawn, Forever, Problem};

fn config(worlds: usize) -> Config {
    let mut config = Config {
        worlds,
        ..Config::default()
    };
    config.network.actor = vec![32, 32];
    config.network.critic = vec![32, 32];
    config.ppo.horizon = 16;
    config
}

fn run(
    config: &Config,
    environment: &mut dyn Environment,
    iterations: u64,
) -> (Ppo, Vec<UpdateReport>) {
    let mut ppo = Ppo::new(config, environment.spec(), &environment.device()).unwrap();
    let mut obs = environment.reset(Some(config.seed)).unwrap();
    let reports = (0..iterations)
        .map(|_| {
            let rollout = ppo.collect(environment, &mut obs).unwrap();
            ppo.update(&rollout)
        })
        .collect();
    (ppo, reports)
}

/// Reward 1 forever, and every episode cut after ten steps: a value function that took the cut for an
/// end would stay below 10; the truth is 1 / (1 − γ).
#[test]
fn value_of_reward_one_forever_is_the_geometric_series() {
    for normalize in [true, false] {
        let mut config = config(64);
        config.ppo.gamma = 0.9;
        config.ppo.desired_kl = 0.02;
        config.normalization.value = normalize;
        // Ten steps of at most ten rewards: nothing but bootstrapping reaches beyond.
        let mut environment = Problem::new(Forever, 64, Device::flex());
        let (_, reports) = run(&config, &mut environment, 120);
        let value = reports.last().unwrap().mean_value;
        assert!(
            (value - 10.0).abs() < 0.3,
            "V = {value}, 1/(1-γ) = 10, normalized: {normalize}"
        );
    }
}

/// After a cut the world starts over with another number: bootstrapping from the state after the reset would pull
/// both values towards the mean, 0; the true successors say ±1 / (1 − γ).
#[test]
fn a_cut_is_bootstrapped_from_its_own_successor() {
    let mut config = config(64);
    config.ppo.gamma = 0.9;
    config.ppo.desired_kl = 0.02;
    config.normalization.observation = false;
    let mut environment = Problem::new(Drawn, 64, Device::flex());
    let (ppo, _) = run(&config, &mut environment, 150);
    let seen = Tensor::<2>::from_data([[1.0], [-1.0]], &Device::flex());
    let values = ppo.denormalize(&ppo.predict(seen));
    assert!(
        (values[0] - 10.0).abs() < 0.4 && (values[1] + 10.0).abs() < 0.4,
        "V = {values:?}, expected ±10"
    );
}

/// The policy sees nothing, the critic sees the number: only then can the values differ.
#[test]
fn privileged_observations_reach_the_critic_alone() {
    struct Blind(Problem<Drawn>, Spec);
    fn hide(obs: Observations) -> Result<Observations> {
        let seen = obs.policy()?;
        // Wider than the policy's group, so that a mix-up cannot pass.
        let critic = Tensor::cat(vec![seen.clone(), seen.zeros_like()], 1);
        Ok(Observations::policy_only(seen.zeros_like()).with(CRITIC, critic))
    }
    impl Environment for Blind {
        fn spec(&self) -> &Spec {
            &self.1
        }
        fn num_envs(&self) -> usize {
            self.0.num_envs()
        }
        fn device(&self) -> Device {
            self.0.device()
        }
        fn reset(&mut self, seed: Option<u64>) -> Result<Observations> {
            hide(self.0.reset(seed)?)
        }
        fn step(&mut self, actions: Tensor<2>) -> Result<crate::train::Step> {
            let step = self.0.step(actions)?;
            let (obs, next_obs) = (hide(step.obs)?, hide(step.next_obs)?);
            Ok(crate::train::Step {
                obs,
                next_obs,
                ..step
            })
        }
        fn drain_stats(&mut self) -> Result<crate::train::EpisodeStats> {
            self.0.drain_stats()
        }
        fn snapshot(&mut self) -> Result<Vec<u8>> {
            self.0.snapshot()
        }
        fn restore(&mut self, snapshot: &[u8]) -> Result<Observations> {
            hide(self.0.restore(snapshot)?)
        }
    }
    let problem = Problem::new(Drawn, 64, Device::flex());
    let mut spec = problem.spec().clone();
    let mut group = spec.observations[0].clone();
    group.name = CRITIC.into();
    group.terms.push(group.terms[0].clone());
    spec.observations.push(group);
    let mut config = config(64);
    config.ppo.gamma = 0.9;
    config.ppo.desired_kl = 0.02;
    let (ppo, reports) = run(&config, &mut Blind(problem, spec), 150);
    assert_eq!(ppo.network.actor.layers[0].weight.dims(), [1, 32]);
    assert_eq!(ppo.network.critic.layers[0].weight.dims(), [2, 32]);
    let seen = Tensor::<2>::from_data([[1.0, 0.0], [-1.0, 0.0]], &Device::flex());
    let values = ppo.denormalize(&ppo.predict(seen));
    assert!(
        (values[0] - 10.0).abs() < 0.4 && (values[1] + 10.0).abs() < 0.4,
        "V = {values:?}, expected ±10"
    );
    assert!(reports.iter().all(|report| report.first_ratio_error < 1e-4));
}

/// The first minibatch sees the policy that acted: ratio 1 and KL 0, also when networks, statistics and deviation moved.
#[test]
fn the_first_minibatch_has_ratio_one_and_kl_zero() {
    let config = config(32);
    let mut environment = Problem::new(CartPole, 32, Device::flex());
    let (_, reports) = run(&config, &mut environment, 5);
    for (i, report) in reports.iter().enumerate() {
        // Rounding of sums of a few products in f32, in another order.
        assert!(
            report.first_ratio_error < 1e-4,
            "iteration {i}: {}",
            report.first_ratio_error
        );
        assert!(
            report.first_kl.abs() < 1e-7,
            "iteration {i}: {}",
            report.first_kl
        );
    }
    assert!(
        reports.iter().all(|report| report.kl > 1e-5),
        "and the later ones move"
    );
}

#[test]
fn a_run_repeats_bit_for_bit_and_depends_on_the_seed() {
    let weights = |seed| {
        let config = Config { seed, ..config(32) };
        let (ppo, reports) = run(&config, &mut Problem::new(CartPole, 32, Device::flex()), 3);
        (
            ppo.network.actor.layers[0].weight.val().into_data(),
            reports[2].kl,
        )
    };
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
}

/// A world that does not count changes nothing: neither its own samples nor the statistics.
#[test]
fn masked_worlds_are_not_learned_from() {
    struct Poisoned(Problem<CartPole>);
    impl Environment for Poisoned {
        fn spec(&self) -> &Spec {
            self.0.spec()
        }
        fn num_envs(&self) -> usize {
            self.0.num_envs()
        }
        fn device(&self) -> Device {
            self.0.device()
        }
        fn reset(&mut self, seed: Option<u64>) -> Result<Observations> {
            self.0.reset(seed)
        }
        fn step(&mut self, actions: Tensor<2>) -> Result<crate::train::Step> {
            let mut step = self.0.step(actions)?;
            // Absurd rewards where the world does not count.
            step.reward = step.reward + (step.valid.clone() - 1.0) * 1e6;
            Ok(step)
        }
        fn drain_stats(&mut self) -> Result<crate::train::EpisodeStats> {
            self.0.drain_stats()
        }
        fn snapshot(&mut self) -> Result<Vec<u8>> {
            self.0.snapshot()
        }
        fn restore(&mut self, snapshot: &[u8]) -> Result<Observations> {
            self.0.restore(snapshot)
        }
    }
    let config = config(16);
    let result = |poison: bool| {
        let mut problem = Problem::new(CartPole, 16, Device::flex());
        problem.invalid = vec![3, 7];
        let mut poisoned = Poisoned(problem);
        let environment: &mut dyn Environment = if poison {
            &mut poisoned
        } else {
            &mut poisoned.0
        };
        let (ppo, reports) = run(&config, environment, 2);
        (
            ppo.network.critic.layers[0].weight.val().into_data(),
            ppo.value_moments.clone(),
            reports[1].valid,
        )
    };
    let (clean, poisoned) = (result(false), result(true));
    assert_eq!(clean, poisoned);
    assert_eq!(clean.2, 14.0 / 16.0);
}

/// Rescaling the critic's last layer keeps its predictions while the statistics move.
#[test]
fn new_value_statistics_leave_predictions_alone() {
    let config = config(16);
    let mut environment = Problem::new(CartPole, 16, Device::flex());
    let (mut ppo, _) = run(&config, &mut environment, 2);
    let obs = environment.reset(Some(9)).unwrap().critic().unwrap();
    let before = ppo.denormalize(&ppo.predict(obs.clone()));
    let returns: Vec<f32> = (0..500).map(|i| 100.0 + i as f32).collect();
    ppo.learn_values(&returns, &vec![1.0; 500]);
    let after = ppo.denormalize(&ppo.predict(obs));
    for (a, b) in before.iter().zip(after) {
        assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn the_learning_rate_follows_the_divergence() {
    let ppo = super::super::config::PpoConfig::default();
    assert_eq!(adapt(1e-3, 0.021, &ppo), 1e-3 / 1.5);
    assert_eq!(adapt(1e-3, 0.004, &ppo), 1.5e-3);
    assert_eq!(adapt(1e-3, 0.01, &ppo), 1e-3);
    assert_eq!(adapt(9e-3, 0.0, &ppo), 1e-2);
    assert_eq!(adapt(1.2e-5, 1.0, &ppo), 1e-5);
}

#[test]
fn schedules_reach_zero_and_resume() {
    for schedule in [Schedule::Linear, Schedule::Cosine] {
        let mut config = config(16);
        config.ppo.schedule = schedule;
        config.steps = 5 * 16 * 16;
        let mut environment = Problem::new(CartPole, 16, Device::flex());
        let (mut ppo, reports) = run(&config, &mut environment, 5);
        let rates: Vec<f64> = reports.iter().map(|report| report.learning_rate).collect();
        assert_eq!(rates[0], config.ppo.learning_rate);
        assert!(
            rates.windows(2).all(|pair| pair[1] < pair[0]) && rates[4] < 0.3 * rates[0],
            "{rates:?}"
        );
        ppo.set_iteration(3).unwrap();
        let mut obs = environment.reset(None).unwrap();
        let rollout = ppo.collect(&mut environment, &mut obs).unwrap();
        assert_eq!(ppo.update(&rollout).learning_rate, rates[3], "{schedule:?}");
    }
}
