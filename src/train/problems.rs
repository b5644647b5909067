//! Analytic environments for tests: small enough to know the answer.

use burn::tensor::{Device, Tensor, TensorData};

use super::environment::{
    ActionTerm, Environment, EpisodeStats, ObservationGroup, ObservationTerm, Observations, POLICY,
    Spec, Step,
};
use crate::error::Result;
use crate::train::random::{Purpose, Stream};

/// The dynamics of one world with a state of a few numbers.
pub(crate) trait Dynamics {
    /// State and observation width.
    const DIM: usize;
    /// Steps until truncation.
    const LIMIT: usize;
    /// A starting state from four uniform numbers in [0, 1).
    fn start(&self, uniform: [f64; 4]) -> Vec<f64>;
    /// The next state, the reward, and whether the task ended.
    fn advance(&self, state: &[f64], action: f64) -> (Vec<f64>, f64, bool);
}

/// A batch of analytic worlds with one action.
pub(crate) struct Problem<D> {
    dynamics: D,
    device: Device,
    spec: Spec,
    seed: u64,
    states: Vec<Vec<f64>>,
    lengths: Vec<usize>,
    returns: Vec<f64>,
    episodes: Vec<u64>,
    stats: EpisodeStats,
    /// Worlds whose transitions are marked as not valid.
    pub(crate) invalid: Vec<usize>,
}

impl<D: Dynamics> Problem<D> {
    pub(crate) fn new(dynamics: D, worlds: usize, device: Device) -> Self {
        let term = ObservationTerm {
            name: "state".into(),
            dim: D::DIM,
            scale: 1.0,
        };
        let spec = Spec {
            task: "problem".into(),
            observations: vec![ObservationGroup {
                name: POLICY.into(),
                terms: vec![term],
            }],
            actions: vec![ActionTerm {
                name: "force".into(),
                scale: 1.0,
                offset: 0.0,
            }],
            control_dt: 0.02,
            max_episode_steps: Some(D::LIMIT),
            ..Spec::default()
        };
        Self {
            dynamics,
            device,
            spec,
            seed: 0,
            states: vec![Vec::new(); worlds],
            lengths: vec![0; worlds],
            returns: vec![0.0; worlds],
            episodes: vec![0; worlds],
            stats: EpisodeStats::default(),
            invalid: Vec::new(),
        }
    }

    fn restart(&mut self, world: usize) {
        let stream = Stream::new(
            self.seed ^ (world as u64) << 20,
            Purpose::Exploration,
            self.episodes[world],
        );
        // Normal numbers folded into [0, 1): good enough to start from.
        let normals = stream.normals(4);
        let uniform = std::array::from_fn(|i| f64::from(normals[i]).rem_euclid(1.0));
        self.states[world] = self.dynamics.start(uniform);
        self.lengths[world] = 0;
        self.returns[world] = 0.0;
        self.episodes[world] += 1;
    }

    fn observe(&self, states: &[Vec<f64>]) -> Observations {
        let values: Vec<f32> = states.iter().flatten().map(|v| *v as f32).collect();
        Observations::policy_only(Tensor::from_data(
            TensorData::new(values, [states.len(), D::DIM]),
            &self.device,
        ))
    }

    fn tensor(&self, values: Vec<f32>) -> Tensor<1> {
        let count = values.len();
        Tensor::from_data(TensorData::new(values, [count]), &self.device)
    }
}

impl<D: Dynamics> Environment for Problem<D> {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn num_envs(&self) -> usize {
        self.states.len()
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Observations> {
        if let Some(seed) = seed {
            self.seed = seed;
            self.episodes.fill(0);
        }
        (0..self.states.len()).for_each(|world| self.restart(world));
        Ok(self.observe(&self.states))
    }

    fn step(&mut self, actions: Tensor<2>) -> Result<Step> {
        let actions: Vec<f64> = actions.into_data().iter::<f64>().collect();
        let worlds = self.states.len();
        let (mut reward, mut terminated, mut truncated) =
            (vec![0.0; worlds], vec![0.0; worlds], vec![0.0; worlds]);
        let mut successors = Vec::with_capacity(worlds);
        for (world, action) in actions.into_iter().enumerate() {
            let (state, r, ended) = self.dynamics.advance(&self.states[world], action);
            self.states[world] = state.clone();
            successors.push(state);
            self.lengths[world] += 1;
            self.returns[world] += r;
            reward[world] = r as f32;
            if ended {
                terminated[world] = 1.0;
            } else if self.lengths[world] >= D::LIMIT {
                truncated[world] = 1.0;
            }
            if terminated[world] + truncated[world] > 0.0 {
                let n = self.stats.count as f64;
                self.stats.mean_return =
                    (self.stats.mean_return * n + self.returns[world]) / (n + 1.0);
                self.stats.mean_length =
                    (self.stats.mean_length * n + self.lengths[world] as f64) / (n + 1.0);
                self.stats.count += 1;
                self.restart(world);
            }
        }
        let valid = (0..worlds)
            .map(|world| {
                if self.invalid.contains(&world) {
                    0.0
                } else {
                    1.0
                }
            })
            .collect();
        Ok(Step {
            obs: self.observe(&self.states),
            next_obs: self.observe(&successors),
            reward: self.tensor(reward),
            terminated: self.tensor(terminated),
            truncated: self.tensor(truncated),
            valid: self.tensor(valid),
        })
    }

    fn drain_stats(&mut self) -> Result<EpisodeStats> {
        Ok(std::mem::take(&mut self.stats))
    }

    fn set_episode_steps(&mut self, elapsed: &[u32]) -> Result<()> {
        self.lengths = elapsed.iter().map(|steps| *steps as usize).collect();
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        let mut numbers = vec![f64::from_bits(self.seed)];
        numbers.extend([
            self.stats.count as f64,
            self.stats.mean_return,
            self.stats.mean_length,
        ]);
        for world in 0..self.states.len() {
            numbers.extend([
                self.lengths[world] as f64,
                self.returns[world],
                self.episodes[world] as f64,
            ]);
            numbers.extend(&self.states[world]);
        }
        Ok(numbers.iter().flat_map(|n| n.to_le_bytes()).collect())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<Observations> {
        let mut numbers = snapshot
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().unwrap_or_default()));
        let mut next = || numbers.next().unwrap_or_default();
        self.seed = next().to_bits();
        self.stats = EpisodeStats {
            count: next() as u64,
            mean_return: next(),
            mean_length: next(),
            ..EpisodeStats::default()
        };
        for world in 0..self.states.len() {
            (
                self.lengths[world],
                self.returns[world],
                self.episodes[world],
            ) = (next() as usize, next(), next() as u64);
            self.states[world] = (0..D::DIM).map(|_| next()).collect();
        }
        Ok(self.observe(&self.states))
    }
}

/// Reward 1 in every step, nothing ever terminates, episodes are cut after ten steps; the observation is constant.
pub(crate) struct Forever;

impl Dynamics for Forever {
    const DIM: usize = 1;
    const LIMIT: usize = 10;

    fn start(&self, _: [f64; 4]) -> Vec<f64> {
        vec![1.0]
    }

    fn advance(&self, state: &[f64], _: f64) -> (Vec<f64>, f64, bool) {
        (state.to_vec(), 1.0, false)
    }
}

/// Every episode has a number of its own, 1 or -1, which is seen and earned in every step until it is cut.
pub(crate) struct Drawn;

impl Dynamics for Drawn {
    const DIM: usize = 1;
    const LIMIT: usize = 5;

    fn start(&self, uniform: [f64; 4]) -> Vec<f64> {
        vec![if uniform[0] < 0.5 { -1.0 } else { 1.0 }]
    }

    fn advance(&self, state: &[f64], _: f64) -> (Vec<f64>, f64, bool) {
        (state.to_vec(), state[0], false)
    }
}

/// A pole of length 1.2 m on a cart, hinge at the cart: gymnasium's InvertedPendulum-v5 in its rewards and limits.
pub(crate) struct CartPole;

impl Dynamics for CartPole {
    const DIM: usize = 4;
    const LIMIT: usize = 1000;

    fn start(&self, uniform: [f64; 4]) -> Vec<f64> {
        uniform.iter().map(|u| (u - 0.5) * 0.02).collect()
    }

    /// Two substeps of 0.02 s of the textbook equations (Barto, Sutton and Anderson, 1983), force = 100 · action.
    fn advance(&self, state: &[f64], action: f64) -> (Vec<f64>, f64, bool) {
        let [mut x, mut angle, mut v, mut w] = [state[0], state[1], state[2], state[3]];
        let (cart, pole, half, gravity, dt) = (10.5, 5.0, 0.3, 9.81, 0.02);
        let force = 100.0 * action.clamp(-3.0, 3.0);
        for _ in 0..2 {
            let (sin, cos) = angle.sin_cos();
            let push = (force + pole * half * w * w * sin) / (cart + pole);
            let turn = (gravity * sin - cos * push)
                / (half * (4.0 / 3.0 - pole * cos * cos / (cart + pole)));
            let speed_up = push - pole * half * turn * cos / (cart + pole);
            v += dt * speed_up;
            w += dt * turn;
            x = (x + dt * v).clamp(-1.0, 1.0);
            angle += dt * w;
        }
        (vec![x, angle, v, w], 1.0, angle.abs() > 0.2)
    }
}
