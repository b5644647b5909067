//! What learning costs on the CPU: the network 48-256-128-8 at batch 4,096, as frameworks are compared with, and one
//! whole iteration of PPO on worlds that cost nothing, with where its time goes.
//!
//! ```text
//! cargo bench --bench learner
//! ```

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use criterion::Criterion;
use manyworlds::error::Result;
use manyworlds::train::config::Activation;
use manyworlds::train::environment::{ActionTerm, ObservationGroup, ObservationTerm};
use manyworlds::train::network::{Mlp, MlpInit};
use manyworlds::train::optimizer::FlatAdam;
use manyworlds::train::ppo::Ppo;
use manyworlds::train::random::{Purpose, Stream};
use manyworlds::train::{Config, Environment, EpisodeStats, Observations, Spec, Step, process};

const BATCH: usize = 4096;
const OBSERVATIONS: usize = 48;
const ACTIONS: usize = 8;

fn noise(rows: usize, columns: usize, stream: u64, device: &Device) -> Tensor<2> {
    let values = Stream::new(1, Purpose::Exploration, stream).normals(rows * columns);
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Worlds that always look the same: only the learner costs time.
struct Still {
    spec: Spec,
    obs: Tensor<2>,
    reward: Tensor<1>,
    zero: Tensor<1>,
    one: Tensor<1>,
}

impl Still {
    fn new(worlds: usize, device: &Device) -> Self {
        let term = |name: &str, dim| ObservationTerm {
            name: name.into(),
            dim,
            scale: 1.0,
        };
        let action = |i: usize| ActionTerm {
            name: format!("joint_{i}"),
            scale: 1.0,
            offset: 0.0,
        };
        let spec = Spec {
            task: "still".into(),
            observations: vec![ObservationGroup {
                name: "policy".into(),
                terms: vec![term("noise", OBSERVATIONS)],
            }],
            actions: (0..ACTIONS).map(action).collect(),
            control_dt: 0.02,
            ..Spec::default()
        };
        Self {
            spec,
            obs: noise(worlds, OBSERVATIONS, 0, device),
            reward: noise(worlds, 1, 1, device).reshape([worlds]),
            zero: Tensor::zeros([worlds], device),
            one: Tensor::ones([worlds], device),
        }
    }
}

impl Environment for Still {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn num_envs(&self) -> usize {
        self.obs.dims()[0]
    }

    fn device(&self) -> Device {
        self.obs.device()
    }

    fn reset(&mut self, _: Option<u64>) -> Result<Observations> {
        Ok(Observations::policy_only(self.obs.clone()))
    }

    fn step(&mut self, _: Tensor<2>) -> Result<Step> {
        Ok(Step {
            obs: Observations::policy_only(self.obs.clone()),
            next_obs: Observations::policy_only(self.obs.clone()),
            reward: self.reward.clone(),
            terminated: self.zero.clone(),
            truncated: self.zero.clone(),
            valid: self.one.clone(),
        })
    }

    fn drain_stats(&mut self) -> Result<EpisodeStats> {
        Ok(EpisodeStats::default())
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _: &[u8]) -> Result<Observations> {
        self.reset(None)
    }
}

fn network(criterion: &mut Criterion) {
    let device = Device::flex();
    let init = MlpInit {
        activation: Activation::Tanh,
        output_gain: 1.0,
        seed: 1,
        first_stream: 0,
    };
    let mut net = Mlp::new(
        &[OBSERVATIONS, 256, 128, ACTIONS],
        init,
        &device.clone().autodiff(),
    );
    let x = noise(BATCH, OBSERVATIONS, 2, &device);
    let y = noise(BATCH, ACTIONS, 3, &device).autodiff();

    let frozen = net.valid();
    criterion.bench_function("forward", |b| b.iter(|| frozen.forward(x.clone())));
    let loss = |net: &Mlp| (net.forward(x.clone().autodiff()) * y.clone()).mean();
    criterion.bench_function("forward and backward", |b| b.iter(|| loss(&net).backward()));
    let mut adam = FlatAdam::new(1e-8, 1.0);
    criterion.bench_function("forward, backward and Adam", |b| {
        b.iter(|| {
            let gradients = loss(&net).backward();
            net = adam.step(1e-3, net.clone(), gradients).0;
        });
    });
}

fn iteration(criterion: &mut Criterion) {
    let config = Config {
        worlds: BATCH,
        ..Config::default()
    };
    let mut environment = Still::new(BATCH, &Device::flex());
    let mut ppo =
        Ppo::new(&config, &environment.spec, &Device::flex()).expect("the defaults are valid");
    let mut obs = environment.reset(None).expect("it always succeeds");
    let mut iterate = || {
        let rollout = ppo
            .collect(&mut environment, &mut obs)
            .expect("it always succeeds");
        (rollout.inference, ppo.update(&rollout).times)
    };
    let (inference, times) = iterate();
    println!(
        "one iteration of {BATCH} worlds × {} steps, {} epochs × {} minibatches: inference {:.0} ms, values, advantages and \
         copies {:.0} ms, forward and loss {:.0} ms, backward {:.0} ms, clipping and Adam {:.0} ms",
        config.ppo.horizon,
        config.ppo.epochs,
        config.ppo.minibatches,
        inference.as_secs_f64() * 1e3,
        times.prepare.as_secs_f64() * 1e3,
        times.forward.as_secs_f64() * 1e3,
        times.backward.as_secs_f64() * 1e3,
        times.optimizer.as_secs_f64() * 1e3,
    );
    criterion.bench_function("PPO iteration", |b| b.iter(&mut iterate));
}

fn main() {
    process::keep_freed_memory();
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    network(&mut criterion);
    iteration(&mut criterion);
    criterion.final_summary();
}
