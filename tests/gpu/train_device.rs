//! The learner on the graphics device: layers and gradients as on the CPU, and a whole iteration of PPO.

use burn::tensor::{Device, Tensor, TensorData};
use manyworlds::error::Result;
use manyworlds::tensor::Bridge;
use manyworlds::train::config::Activation;
use manyworlds::train::environment::{ActionTerm, ObservationGroup, ObservationTerm};
use manyworlds::train::network::dense;
use manyworlds::train::ppo::Ppo;
use manyworlds::train::random::{Purpose, Stream};
use manyworlds::train::{Config, Environment, EpisodeStats, Observations, Spec, Step};

use crate::common::gpu;

fn noise<const D: usize>(shape: [usize; D], stream: u64, device: &Device) -> Tensor<D> {
    let values = Stream::new(1, Purpose::Exploration, stream).normals(shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Output and the gradients with respect to input, weight and bias.
fn layer(activation: Activation, device: &Device) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let x = noise([37, 6], 0, &device).require_grad();
    let w = noise([6, 5], 1, &device).require_grad();
    let b = noise([5], 2, &device).require_grad();
    let y = dense(x.clone(), w.clone(), b.clone(), activation);
    let gradients = (y.clone() * noise([37, 5], 3, &device)).sum().backward();
    let slope = |tensor: Option<Tensor<2>>| tensor.expect("it requires a gradient").into_data();
    vec![
        y.into_data(),
        slope(x.grad(&gradients)),
        slope(w.grad(&gradients)),
        slope(b.grad(&gradients).map(Tensor::unsqueeze)),
    ]
    .into_iter()
    .map(|data| data.iter::<f32>().collect())
    .collect()
}

#[test]
fn layers_and_gradients_equal_the_cpus() {
    let Some(context) = gpu::context() else {
        return;
    };
    let bridge = Bridge::new(&context).expect("burn joins the device");
    for activation in [
        Activation::Elu,
        Activation::Tanh,
        Activation::Relu,
        Activation::Linear,
    ] {
        let (device, host) = (
            layer(activation, bridge.device()),
            layer(activation, &Device::flex()),
        );
        for (device, host) in device.iter().zip(&host) {
            assert_eq!(device.len(), host.len());
            for (device, host) in device.iter().zip(host) {
                // The drivers' own tanh and exp are right to 6e-5; gradients sum up to 37 of them.
                assert!(
                    (device - host).abs() < 1e-3 * host.abs().max(1.0),
                    "{activation:?}: {device} {host}"
                );
            }
        }
    }
}

/// The reward is the first action, whatever is seen; the second step of each rollout is cut.
struct Generous {
    spec: Spec,
    device: Device,
    steps: u64,
}

const WORLDS: usize = 64;

impl Generous {
    fn observe(&self) -> Observations {
        Observations::policy_only(noise([WORLDS, 3], self.steps, &self.device))
    }
}

impl Environment for Generous {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn num_envs(&self) -> usize {
        WORLDS
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn reset(&mut self, _: Option<u64>) -> Result<Observations> {
        Ok(self.observe())
    }

    fn step(&mut self, actions: Tensor<2>) -> Result<Step> {
        self.steps += 1;
        let zero = Tensor::<1>::zeros([WORLDS], &self.device);
        let cut = if self.steps % 8 == 2 { 1.0 } else { 0.0 };
        Ok(Step {
            obs: self.observe(),
            next_obs: self.observe(),
            reward: actions.narrow(1, 0, 1).reshape([WORLDS]),
            terminated: zero.clone(),
            truncated: zero.clone() + cut,
            valid: zero + 1.0,
        })
    }

    fn drain_stats(&mut self) -> Result<EpisodeStats> {
        Ok(EpisodeStats::default())
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        Ok(self.steps.to_le_bytes().to_vec())
    }

    fn restore(&mut self, _: &[u8]) -> Result<Observations> {
        Ok(self.observe())
    }
}

#[test]
fn ppo_learns_on_the_device() {
    let Some(context) = gpu::context() else {
        return;
    };
    let bridge = Bridge::new(&context).expect("burn joins the device");
    let action = |name: &str| ActionTerm {
        name: name.into(),
        scale: 1.0,
        offset: 0.0,
    };
    let term = ObservationTerm {
        name: "noise".into(),
        dim: 3,
        scale: 1.0,
    };
    let spec = Spec {
        task: "generous".into(),
        observations: vec![ObservationGroup {
            name: "policy".into(),
            terms: vec![term],
        }],
        actions: vec![action("paid"), action("unpaid")],
        control_dt: 0.02,
        ..Spec::default()
    };
    let mut config = Config {
        worlds: WORLDS,
        ..Config::default()
    };
    config.network.actor = vec![16];
    config.network.critic = vec![16];
    config.ppo.horizon = 8;
    let mut environment = Generous {
        spec,
        device: bridge.device().clone(),
        steps: 0,
    };
    let mut ppo =
        Ppo::new(&config, &environment.spec, bridge.device()).expect("the configuration is valid");
    let mut obs = environment.reset(None).expect("it always succeeds");
    let mut earned = Vec::new();
    for iteration in 0..6 {
        let rollout = ppo
            .collect(&mut environment, &mut obs)
            .expect("it always succeeds");
        earned.push(rollout.reward.iter().sum::<f32>() / rollout.reward.len() as f32);
        let report = ppo.update(&rollout);
        // The rollout's forward pass and the update's use kernels of different shapes.
        assert!(
            report.first_ratio_error < 1e-3,
            "iteration {iteration}: {}",
            report.first_ratio_error
        );
        assert!(
            report.first_kl.abs() < 1e-6,
            "iteration {iteration}: {}",
            report.first_kl
        );
    }
    // Noise of deviation 1 over 512 transitions: a standard error of 0.04.
    assert!(earned[5] > earned[0] + 0.3, "{earned:?}");
}
