//! Collecting a rollout: the frozen policy acts, the worlds step, everything is kept on the device.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::Result;
use crate::train::environment::{CRITIC, Environment, Observations};
use crate::train::network::Mlp;
use crate::train::normalize::Normalizer;

/// What the worlds went through in `steps` control steps; tensors are `[T · N, ·]`, time outermost.
#[derive(Debug)]
pub struct Rollout {
    /// How many control steps.
    pub steps: usize,
    /// How many worlds.
    pub worlds: usize,
    /// Policy observations as the environment gave them.
    pub obs: Tensor<2>,
    /// Privileged observations as the environment gave them, where the task has any.
    pub privileged_obs: Option<Tensor<2>>,
    /// Critic observations of the true successors.
    pub successor_obs: Tensor<2>,
    /// What the policy wanted on average.
    pub mean: Tensor<2>,
    /// What was done, unclipped.
    pub actions: Tensor<2>,
    /// The standardized noise in it.
    pub noise: Tensor<2>,
    /// What was earned.
    pub reward: Vec<f32>,
    /// 1 where the task ended.
    pub terminated: Vec<f32>,
    /// 1 where the episode was cut.
    pub truncated: Vec<f32>,
    /// 1 where the transition counts.
    pub valid: Vec<f32>,
    /// Time the environment took.
    pub simulation: Duration,
    /// Time the policy took.
    pub inference: Duration,
}

/// The policy that acts in a rollout: no autodiff, nothing in it changes meanwhile.
#[derive(Debug)]
pub struct Actor<'a> {
    /// Observations to mean actions.
    pub network: &'a Mlp,
    /// Frozen observation statistics.
    pub normalizer: &'a Normalizer,
    /// `[1, A]`
    pub log_std: Tensor<2>,
}

impl Rollout {
    /// Steps all worlds as often as there are rows of standard normal `noise`, `[T · N · A]`, from `obs` on, which then
    /// holds the observations the next rollout starts from.
    pub fn collect(
        environment: &mut dyn Environment,
        actor: &Actor,
        obs: &mut Observations,
        noise: Vec<f32>,
    ) -> Result<Self> {
        let device: Device = environment.device();
        let worlds = environment.num_envs();
        let action_dim = environment.spec().action_dim();
        let steps = noise.len() / (worlds * action_dim);
        let noise = Tensor::<2>::from_data(
            TensorData::new(noise, [steps * worlds, action_dim]),
            &device,
        );
        let deviation = actor.log_std.clone().exp();

        let privileged = obs.has(CRITIC);
        let mut kept: [Vec<Tensor<2>>; 4] = Default::default();
        let mut privileged_obs = Vec::new();
        let mut scalars: Vec<Tensor<1>> = Vec::with_capacity(4 * steps);
        let (mut simulation, mut inference) = (Duration::ZERO, Duration::ZERO);
        for t in 0..steps {
            let start = Instant::now();
            let seen = obs.policy()?;
            let mean = actor.network.forward(actor.normalizer.apply(seen.clone()));
            let noise = noise.clone().narrow(0, t * worlds, worlds);
            let actions = mean.clone() + noise * deviation.clone();
            inference += start.elapsed();

            let start = Instant::now();
            let step = environment.step(actions.clone())?;
            simulation += start.elapsed();

            if privileged {
                privileged_obs.push(obs.critic()?);
            }
            let tensors = [seen, step.next_obs.critic()?, mean, actions];
            for (kept, tensor) in kept.iter_mut().zip(tensors) {
                kept.push(tensor);
            }
            scalars.extend([step.reward, step.terminated, step.truncated, step.valid]);
            *obs = step.obs;
        }
        let start = Instant::now();
        let [obs, successor_obs, mean, actions] = kept.map(|tensors| Tensor::cat(tensors, 0));
        let privileged_obs = privileged.then(|| Tensor::cat(privileged_obs, 0));
        // One read-back for all scalars, `[T, 4, N]`.
        let scalars: Vec<f32> = Tensor::cat(scalars, 0).into_data().iter::<f32>().collect();
        let scalar = |k: usize| {
            scalars
                .chunks(worlds)
                .skip(k)
                .step_by(4)
                .flatten()
                .copied()
                .collect::<Vec<f32>>()
        };
        simulation += start.elapsed();
        Ok(Self {
            steps,
            worlds,
            obs,
            privileged_obs,
            successor_obs,
            mean,
            actions,
            noise,
            reward: scalar(0),
            terminated: scalar(1),
            truncated: scalar(2),
            valid: scalar(3),
            simulation,
            inference,
        })
    }

    /// What the value function saw.
    pub fn critic_obs(&self) -> Tensor<2> {
        self.privileged_obs
            .clone()
            .unwrap_or_else(|| self.obs.clone())
    }
}
