//! The policy's and the value function's networks.

mod dense;
mod init;
mod lanes;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};

pub use dense::{DenseOps, dense};

use super::config::{Activation, NetworkConfig};
use super::random::{Purpose, Stream};

/// A multi-layer perceptron: hidden layers with an activation, and a linear output layer.
#[derive(Module, Debug)]
pub struct Mlp {
    /// From the input to the output.
    pub layers: Vec<Linear>,
    #[module(skip)]
    activation: Activation,
}

impl Mlp {
    /// Orthogonal weights (gain √2 in hidden layers, `output_gain` in the last), biases zero.
    ///
    /// `widths` counts the input and the output; `first_stream` numbers the random stream of the first layer.
    pub fn new(widths: &[usize], shape: MlpInit, device: &Device) -> Self {
        let last = widths.len().saturating_sub(2);
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(i, pair)| {
                let (inputs, outputs) = (pair[0], pair[1]);
                let gain = if i == last {
                    shape.output_gain
                } else {
                    std::f64::consts::SQRT_2
                };
                let stream =
                    Stream::new(shape.seed, Purpose::Weights, shape.first_stream + i as u64);
                let weight = init::orthogonal(inputs, outputs, gain, stream);
                Linear {
                    weight: Param::from_data(TensorData::new(weight, [inputs, outputs]), device),
                    bias: Some(Param::from_data(
                        TensorData::new(vec![0.0f32; outputs], [outputs]),
                        device,
                    )),
                }
            })
            .collect();
        Self {
            layers,
            activation: shape.activation,
        }
    }

    /// Of layers that are there already; each has a bias.
    pub fn from_layers(layers: Vec<Linear>, activation: Activation) -> Self {
        Self { layers, activation }
    }

    /// `[N, in]` to `[N, out]`.
    pub fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter().enumerate() {
            let activation = if i == last {
                Activation::Linear
            } else {
                self.activation
            };
            let bias = layer
                .bias
                .as_ref()
                .expect("every layer is built with a bias");
            x = dense(x, layer.weight.val(), bias.val(), activation);
        }
        x
    }

    /// The hidden layers' activation.
    pub fn activation(&self) -> Activation {
        self.activation
    }
}

/// How a perceptron starts.
#[derive(Clone, Copy, Debug)]
pub struct MlpInit {
    /// The hidden layers' activation.
    pub activation: Activation,
    /// Gain of the output layer.
    pub output_gain: f64,
    /// Seed of the weights.
    pub seed: u64,
    /// Number of the first layer's random stream.
    pub first_stream: u64,
}

/// Separate networks for the policy and the value function, and the policy's deviation.
///
/// The policy is a diagonal Gaussian whose mean is the actor's output; its deviation does not depend on the state.
#[derive(Module, Debug)]
pub struct ActorCritic {
    /// Policy observations to mean actions.
    pub actor: Mlp,
    /// Critic observations to the normalized value.
    pub critic: Mlp,
    /// Logarithm of the actions' standard deviation, `[action_dim]`.
    pub log_std: Param<Tensor<1>>,
    #[module(skip)]
    min_log_std: f64,
}

/// The widths at the networks' ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// What the policy sees.
    pub policy: usize,
    /// What the value function sees.
    pub critic: usize,
    /// How many actions there are.
    pub action: usize,
}

impl ActorCritic {
    /// The policy's last layer starts small (gain 0.01), so that the first actions are the noise alone.
    pub fn new(config: &NetworkConfig, dims: Dims, seed: u64, device: &Device) -> Self {
        let widths = |input, hidden: &[usize], output| [&[input], hidden, &[output]].concat();
        let start = |output_gain, first_stream| MlpInit {
            activation: config.activation,
            output_gain,
            seed,
            first_stream,
        };
        let log_std = vec![config.init_std.ln() as f32; dims.action];
        Self {
            actor: Mlp::new(
                &widths(dims.policy, &config.actor, dims.action),
                start(0.01, 0),
                device,
            ),
            critic: Mlp::new(
                &widths(dims.critic, &config.critic, 1),
                start(1.0, 1000),
                device,
            ),
            log_std: Param::from_data(TensorData::new(log_std, [dims.action]), device),
            min_log_std: config.min_std.ln(),
        }
    }

    /// The logarithm of the deviation as it acts, `[1, action_dim]`: never below the configured minimum.
    pub fn log_std(&self) -> Tensor<2> {
        self.log_std.val().clamp_min(self.min_log_std).unsqueeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::activation;

    fn config(activation: Activation) -> NetworkConfig {
        NetworkConfig {
            actor: vec![32, 16],
            critic: vec![8],
            activation,
            ..NetworkConfig::default()
        }
    }

    const DIMS: Dims = Dims {
        policy: 5,
        critic: 7,
        action: 3,
    };

    /// The fused layers and their gradients against burn's own operations and autodiff.
    #[test]
    fn networks_equal_burns_own_layers() {
        for kind in [Activation::Tanh, Activation::Elu, Activation::Relu] {
            let device = Device::flex().autodiff();
            let net = ActorCritic::new(&config(kind), DIMS, 3, &device).actor;
            let x = Stream::new(1, Purpose::Exploration, 0).normals(300 * 5);
            let x = Tensor::<2>::from_data(TensorData::new(x, [300, 5]), &device).require_grad();
            let reference = |x: Tensor<2>| {
                let mut x = x;
                for (i, layer) in net.layers.iter().enumerate() {
                    x = layer.forward(x);
                    x = match kind {
                        _ if i == 2 => x,
                        Activation::Tanh => activation::tanh(x),
                        Activation::Elu => activation::elu(x, 1.0),
                        _ => activation::relu(x),
                    };
                }
                x
            };
            let (ours, theirs) = (net.forward(x.clone()), reference(x.clone()));
            let close = |a: TensorData, b: TensorData| {
                for (a, b) in a.iter::<f32>().zip(b.iter::<f32>()) {
                    assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{kind:?}: {a} {b}");
                }
            };
            close(ours.clone().into_data(), theirs.clone().into_data());
            // A loss whose gradient differs in every element.
            let ours = (ours.clone() * ours).sum().backward();
            let theirs = (theirs.clone() * theirs).sum().backward();
            close(
                x.grad(&ours).unwrap().into_data(),
                x.grad(&theirs).unwrap().into_data(),
            );
            for layer in &net.layers {
                let (w, b) = (layer.weight.val(), layer.bias.as_ref().unwrap().val());
                close(
                    w.grad(&ours).unwrap().into_data(),
                    w.grad(&theirs).unwrap().into_data(),
                );
                close(
                    b.grad(&ours).unwrap().into_data(),
                    b.grad(&theirs).unwrap().into_data(),
                );
            }
        }
    }

    #[test]
    fn the_seed_decides_the_weights() {
        let device = Device::flex();
        let weights = |seed| {
            ActorCritic::new(&config(Activation::Elu), DIMS, seed, &device)
                .actor
                .layers[0]
                .weight
                .val()
                .into_data()
        };
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
    }
}
