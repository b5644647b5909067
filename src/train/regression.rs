//! Regression: a perceptron with one output that is fitted to pairs of inputs and targets, by least squares.
//!
//! Inputs and targets are standardized for Adam; in what comes out that is folded into the first and the last layer, so
//! its inputs and its output are in the units of the data.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::Serialize;

use super::config::Activation;
use super::network::{Mlp, MlpInit};
use super::optimizer::FlatAdam;
use super::random::{Purpose, Stream};
use crate::error::{Error, Result};

/// Pairs of inputs and targets.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// `[pair][input]`
    pub inputs: Vec<Vec<f64>>,
    /// `[pair]`
    pub targets: Vec<f64>,
}

/// The activation of hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// x / (1 + |x|)
    Softsign,
    /// The hyperbolic tangent.
    Tanh,
    /// x, or eˣ − 1 below 0.
    Elu,
}

/// How to fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Their activation.
    pub curve: Curve,
    /// How often each pair is seen.
    pub epochs: usize,
    /// Pairs in a minibatch.
    pub batch: usize,
    /// Adam's step at first; it falls to 0 along half a cosine.
    pub learning_rate: f64,
    /// Decides the first weights and the order of the pairs.
    pub seed: u64,
}

/// One layer: y = W x + b.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// `[output][input]`
    pub weights: Vec<Vec<f64>>,
    /// `[output]`
    pub bias: Vec<f64>,
}

/// How well a perceptron does on pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// How many pairs.
    pub samples: usize,
    /// Coefficient of determination: 1 − (mean squared error) / (variance of the targets).
    pub r2: f64,
    /// Mean absolute error, in units of the target.
    pub mae: f64,
    /// Root of the mean squared error, likewise.
    pub rmse: f64,
}

/// What a fit came to.
#[derive(Clone, Debug)]
pub struct Fit {
    /// From the input to the output.
    pub layers: Vec<Affine>,
    /// On the pairs that it was fitted to.
    pub train: Quality,
    /// On the others.
    pub validation: Quality,
}

#[derive(Module, Debug)]
struct Perceptron {
    layers: Vec<Linear>,
}

impl Perceptron {
    fn forward(&self, mut x: Tensor<2>, curve: Curve) -> Tensor<2> {
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if index + 1 < self.layers.len() {
                x = match curve {
                    Curve::Softsign => x.clone() / (x.abs() + 1.0),
                    Curve::Tanh => activation::tanh(x),
                    Curve::Elu => activation::elu(x, 1.0),
                };
            }
        }
        x
    }
}

/// Fits a perceptron to `train` and says how well it does there and on `validation`; `progress` gets the number of
/// epochs done and the mean squared error of the last, in units of the targets' variance.
///
/// # Errors
/// Fewer than two pairs, inputs of unequal lengths, numbers that are not finite, targets that are all the same, or
/// settings that make no sense.
pub fn fit(
    train: &Pairs,
    validation: &Pairs,
    settings: &Settings,
    mut progress: impl FnMut(usize, f64),
) -> Result<Fit> {
    check(train, settings).map_err(|error| error.context("training pairs"))?;
    check(validation, settings).map_err(|error| error.context("validation pairs"))?;
    let width = train.inputs[0].len();
    if validation.inputs[0].len() != width {
        return Err(Error::invalid("validation inputs have another length"));
    }
    let column = |i: usize| scale(train.inputs.iter().map(move |row| row[i]));
    let scales: Vec<[f64; 2]> = (0..width).map(column).collect();
    let target = scale(train.targets.iter().copied());

    let device = Device::flex().autodiff();
    let mut network = start(width, settings, &device);
    let mut adam = FlatAdam::new(1e-8, 10.0);
    let count = train.targets.len();
    let batches = count.div_ceil(settings.batch);
    let standard = |value: f64, [mean, deviation]: [f64; 2]| ((value - mean) / deviation) as f32;
    for epoch in 0..settings.epochs {
        let order = Stream::new(settings.seed, Purpose::Shuffle, epoch as u64).permutation(count);
        let mut errors = Vec::with_capacity(batches);
        for (batch, order) in order.chunks(settings.batch).enumerate() {
            let rows = order.iter().map(|pair| *pair as usize);
            let inputs = rows.clone().flat_map(|pair| {
                let row = train.inputs[pair].iter().zip(&scales);
                row.map(|(value, scale)| standard(*value, *scale))
            });
            let targets = rows.map(|pair| standard(train.targets[pair], target));
            let tensor = |values: Vec<f32>, width: usize| {
                Tensor::<2>::from_data(TensorData::new(values, [order.len(), width]), &device)
            };
            let predicted = network.forward(tensor(inputs.collect(), width), settings.curve);
            let error = (predicted - tensor(targets.collect(), 1)).square().mean();
            errors.push(error.clone().inner());
            let done = (epoch * batches + batch) as f64 / (settings.epochs * batches) as f64;
            let rate = 0.5 * settings.learning_rate * (1.0 + (std::f64::consts::PI * done).cos());
            network = adam.step(rate, network, error.backward()).0;
        }
        let errors: Vec<f64> = Tensor::cat(errors, 0).into_data().iter::<f64>().collect();
        progress(epoch + 1, errors.iter().sum::<f64>() / errors.len() as f64);
    }
    let layers = fold(layers(&network), &scales, target);
    let finite = |affine: &Affine| {
        let mut numbers = affine.weights.iter().flatten().chain(&affine.bias);
        numbers.all(|number| number.is_finite())
    };
    if !layers.iter().all(finite) {
        return Err(
            Error::invalid("the weights did not stay finite").hint("lower the learning rate")
        );
    }
    Ok(Fit {
        train: quality(&layers, settings.curve, train),
        validation: quality(&layers, settings.curve, validation),
        layers,
    })
}

fn check(pairs: &Pairs, settings: &Settings) -> Result<()> {
    if settings.epochs == 0 || settings.batch == 0 || settings.hidden.contains(&0) {
        return Err(Error::invalid(
            "0 epochs, pairs in a batch, or units in a layer",
        ));
    }
    if !(settings.learning_rate > 0.0 && settings.learning_rate.is_finite()) {
        return Err(Error::invalid("the learning rate is no positive number"));
    }
    if pairs.targets.len() < 2 || pairs.inputs.len() != pairs.targets.len() {
        return Err(Error::invalid(format!("{} of them", pairs.targets.len()))
            .hint("at least 2 are needed"));
    }
    let width = pairs.inputs[0].len();
    if width == 0 || pairs.inputs.iter().any(|row| row.len() != width) {
        return Err(Error::invalid("inputs of unequal lengths"));
    }
    let mut numbers = pairs.inputs.iter().flatten().chain(&pairs.targets);
    if !numbers.all(|number| (*number as f32).is_finite()) {
        return Err(Error::invalid("a number is not finite"));
    }
    let first = pairs.targets[0];
    if pairs.targets.iter().all(|target| *target == first) {
        return Err(Error::invalid(format!("all targets are {first}"))
            .hint("there is nothing to learn from them"));
    }
    Ok(())
}

/// Mean and deviation; 1 for the deviation of what does not vary.
fn scale(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    // Rounding leaves a little variance in a column of equal numbers.
    let varies = variance.sqrt() > 1e-9 * mean.abs().max(1e-30);
    [mean, if varies { variance.sqrt() } else { 1.0 }]
}

fn start(width: usize, settings: &Settings, device: &Device) -> Perceptron {
    let widths = [&[width], settings.hidden.as_slice(), &[1]].concat();
    let shape = MlpInit {
        activation: Activation::Linear,
        output_gain: 1.0,
        seed: settings.seed,
        first_stream: 0,
    };
    Perceptron {
        layers: Mlp::new(&widths, shape, device).layers,
    }
}

/// The numbers of a network; burn's weights are `[input][output]`.
fn layers(network: &Perceptron) -> Vec<Affine> {
    let layer = |layer: &Linear| {
        let [inputs, outputs] = layer.weight.dims();
        let weights: Vec<f64> = layer.weight.val().into_data().iter::<f64>().collect();
        let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
        Affine {
            weights: (0..outputs)
                .map(|o| (0..inputs).map(|i| weights[i * outputs + o]).collect())
                .collect(),
            bias: bias.map_or_else(|| vec![0.0; outputs], |bias| bias.iter::<f64>().collect()),
        }
    };
    network.layers.iter().map(layer).collect()
}

/// W (x − m) / s + b = (W / s) x + (b − (W / s) m) in the first layer, t + d (W x + b) in the last.
fn fold(mut layers: Vec<Affine>, scales: &[[f64; 2]], [mean, deviation]: [f64; 2]) -> Vec<Affine> {
    if let Some(first) = layers.first_mut() {
        for (row, bias) in first.weights.iter_mut().zip(&mut first.bias) {
            for (weight, [mean, deviation]) in row.iter_mut().zip(scales) {
                *weight /= deviation;
                *bias -= *weight * mean;
            }
        }
    }
    if let Some(last) = layers.last_mut() {
        let rows = last.weights.iter_mut().flatten();
        rows.for_each(|weight| *weight *= deviation);
        last.bias
            .iter_mut()
            .for_each(|bias| *bias = mean + deviation * *bias);
    }
    layers
}

/// The output of a perceptron, in double precision.
pub fn predict(layers: &[Affine], curve: Curve, inputs: &[f64]) -> f64 {
    let mut x = inputs.to_vec();
    for (index, layer) in layers.iter().enumerate() {
        let units = layer.weights.iter().zip(&layer.bias);
        let sums =
            units.map(|(row, bias)| bias + row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>());
        x = match (index + 1 < layers.len(), curve) {
            (false, _) => sums.collect(),
            (_, Curve::Softsign) => sums.map(|y| y / (1.0 + y.abs())).collect(),
            (_, Curve::Tanh) => sums.map(f64::tanh).collect(),
            (_, Curve::Elu) => sums.map(|y| if y > 0.0 { y } else { y.exp_m1() }).collect(),
        };
    }
    x.first().copied().unwrap_or(0.0)
}

fn quality(layers: &[Affine], curve: Curve, pairs: &Pairs) -> Quality {
    let samples = pairs.targets.len();
    let count = samples as f64;
    let [_, deviation] = scale(pairs.targets.iter().copied());
    let predictions = pairs.inputs.iter().map(|row| predict(layers, curve, row));
    let errors: Vec<f64> = predictions
        .zip(&pairs.targets)
        .map(|(predicted, target)| predicted - target)
        .collect();
    let squared = errors.iter().map(|error| error * error).sum::<f64>() / count;
    Quality {
        samples,
        r2: 1.0 - squared / deviation.powi(2),
        mae: errors.iter().map(|error| error.abs()).sum::<f64>() / count,
        rmse: squared.sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(curve: Curve) -> Settings {
        Settings {
            hidden: vec![32, 32],
            curve,
            epochs: 60,
            batch: 256,
            learning_rate: 5e-3,
            seed: 1,
        }
    }

    /// y = 30 tanh(x₀) + 0.01 x₁, with a second input in the hundreds and a third that does not vary.
    fn pairs(from: usize, count: usize) -> Pairs {
        let input = |i: usize| {
            let t = i as f64;
            vec![
                2.0 * (0.37 * t).sin(),
                500.0 + 300.0 * (0.11 * t).cos(),
                7.0,
            ]
        };
        let inputs: Vec<Vec<f64>> = (from..from + count).map(input).collect();
        let target = |x: &Vec<f64>| 30.0 * x[0].tanh() + 0.01 * x[1];
        Pairs {
            targets: inputs.iter().map(target).collect(),
            inputs,
        }
    }

    #[test]
    fn a_smooth_law_is_learned_with_every_activation() {
        for curve in [Curve::Softsign, Curve::Tanh, Curve::Elu] {
            let (train, validation) = (pairs(0, 3000), pairs(3000, 500));
            let mut last = (0, f64::INFINITY);
            let fit = fit(&train, &validation, &settings(curve), |epoch, error| {
                last = (epoch, error);
            })
            .unwrap();
            assert_eq!(last.0, 60);
            assert!(fit.validation.r2 > 0.995, "{curve:?}: {:?}", fit.validation);
            // What the training saw in its own units is what the folded layers do.
            assert!(
                (1.0 - fit.train.r2 - last.1).abs() < 1e-3,
                "{last:?} {:?}",
                fit.train
            );
            let again = super::fit(&train, &validation, &settings(curve), |_, _| {}).unwrap();
            assert_eq!(fit.layers, again.layers, "the seed decides everything");
        }
    }

    #[test]
    fn bad_pairs_and_settings_are_refused() {
        let good = pairs(0, 100);
        let refused = |train: &Pairs, settings: &Settings| {
            fit(train, &good, settings, |_, _| {})
                .unwrap_err()
                .to_string()
        };
        let fine = settings(Curve::Tanh);
        let mut same = good.clone();
        same.targets.fill(3.0);
        assert!(refused(&same, &fine).contains("all targets are 3"));
        let mut infinite = good.clone();
        infinite.inputs[4][1] = f64::INFINITY;
        assert!(refused(&infinite, &fine).contains("not finite"));
        let mut ragged = good.clone();
        ragged.inputs[4].pop();
        assert!(refused(&ragged, &fine).contains("unequal"));
        assert!(refused(&Pairs::default(), &fine).contains("at least 2"));
        let none = Settings {
            epochs: 0,
            ..fine.clone()
        };
        assert!(refused(&good, &none).contains("0 epochs"));
        let nan = Settings {
            learning_rate: f64::NAN,
            ..fine
        };
        assert!(refused(&good, &nan).contains("learning rate"));
    }
}
