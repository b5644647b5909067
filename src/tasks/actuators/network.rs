//! A law that was learned from measurements: a perceptron from the last errors of position and velocities to the torque
//! (Hwangbo et al., Learning agile and dynamic motor skills for legged robots, 2019; `ActuatorNetMLP` of Isaac Lab).
//!
//! One network serves all joints of its model. Its weights lie in a table on the device, and loops over joints and units
//! read them: unrolled, 12 legs' joints with three layers of 32 would be tens of thousands of lines of WGSL.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Inputs;
use crate::error::{Error, Result};
use crate::math::functions::{exp, tanh};
use crate::trace::{Bits, Carry, Field, Mask, Var, repeat, select};

/// What the first key of a file says.
const FORMAT: &str = "manyworlds actuator network 1";

/// Larger networks than this are a mistake.
const MAX_WIDTH: usize = 256;

/// A perceptron from the errors of position at several times before now, newest first as `lags` says, and then as many
/// velocities, to a torque. SI units at both ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    format: String,
    /// Time between two samples of the history, s.
    pub interval: f64,
    /// Which samples it looks at, in intervals before now, ascending.
    pub lags: Vec<usize>,
    /// Of the hidden layers.
    pub activation: Curve,
    /// From the input to the output.
    pub layers: Vec<Layer>,
    /// What fitting it came to; not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<serde_json::Value>,
}

/// One layer: y = W x + b.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// `[output][input]`
    pub weights: Vec<Vec<f64>>,
    /// `[output]`
    pub bias: Vec<f64>,
}

/// The activation of hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curve {
    /// x / (1 + |x|)
    Softsign,
    /// The hyperbolic tangent.
    Tanh,
    /// x, or eˣ − 1 below 0.
    Elu,
}

impl Curve {
    fn of(self, x: Var) -> Var {
        match self {
            Curve::Softsign => x / (1.0 + x.abs()),
            Curve::Tanh => tanh(x),
            Curve::Elu => select(x.gt(0.0), x, exp(x.min(0.0)) - 1.0),
        }
    }
}

impl Network {
    /// A network of these parts, checked.
    ///
    /// # Errors
    /// Shapes that do not fit each other, lags that are not ascending, or numbers that are not finite.
    pub fn new(
        interval: f64,
        lags: Vec<usize>,
        activation: Curve,
        layers: Vec<Layer>,
    ) -> Result<Self> {
        let network = Self {
            format: FORMAT.into(),
            interval,
            lags,
            activation,
            layers,
            fit: None,
        };
        network.check()?;
        Ok(network)
    }

    /// Reads a file of `manyworlds actuator-net fit`.
    ///
    /// # Errors
    /// It cannot be read, or does not hold such a network.
    pub fn load(path: &Path) -> Result<Self> {
        let place = |error: Error| error.context(path.display());
        let text = std::fs::read_to_string(path).map_err(|error| {
            place(Error::from(error)).hint("`manyworlds actuator-net fit` writes such files")
        })?;
        let network: Self = serde_json::from_str(&text).map_err(|error| {
            place(Error::invalid(format!("no actuator network: {error}")))
                .hint("`manyworlds actuator-net fit` writes them")
        })?;
        network.check().map_err(place)?;
        Ok(network)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// A number that JSON cannot hold, which a checked network does not have.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::invalid)
    }

    fn check(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::invalid(message));
        if self.format != FORMAT {
            return wrong(format!("the format is `{}`, not `{FORMAT}`", self.format));
        }
        if !(self.interval.is_finite() && self.interval > 0.0) {
            return wrong(format!("the interval is {} s", self.interval));
        }
        if self.lags.is_empty() || !self.lags.is_sorted_by(|a, b| a < b) {
            return wrong(format!("the lags {:?} are not ascending", self.lags));
        }
        let mut width = 2 * self.lags.len();
        for (index, layer) in self.layers.iter().enumerate() {
            let (rows, biases) = (layer.weights.len(), layer.bias.len());
            let fits = rows == biases && layer.weights.iter().all(|row| row.len() == width);
            if rows == 0 || rows > MAX_WIDTH || !fits {
                return wrong(format!(
                    "layer {index} has {rows} rows of weights and {biases} biases, for {width} inputs"
                ));
            }
            let mut numbers = layer.weights.iter().flatten().chain(&layer.bias);
            if !numbers.all(|number| (*number as f32).is_finite()) {
                return wrong(format!("layer {index} has a number that is not finite"));
            }
            width = rows;
        }
        match (self.layers.len(), width) {
            (0, _) => wrong("it has no layers".into()),
            (_, 1) => Ok(()),
            (_, outputs) => wrong(format!("it has {outputs} outputs, and a torque is one")),
        }
    }

    /// Physics steps between two samples.
    pub(super) fn stride(&self, timestep: f64) -> Result<usize> {
        let ratio = self.interval / timestep;
        let depth = ratio * self.lags.last().map_or(0.0, |lag| *lag as f64);
        if ratio.round() < 1.0 || (ratio - ratio.round()).abs() > 1e-6 * ratio || depth > 256.0 {
            let interval = self.interval;
            return Err(Error::invalid(format!(
                "the network looks back every {interval} s, and the timestep is {timestep} s"
            ))
            .hint(
                "the interval must be a multiple of the timestep, and at most 256 of them back",
            ));
        }
        Ok(ratio.round() as usize)
    }

    /// How many samples before now are kept.
    pub(super) fn depth(&self, stride: usize) -> usize {
        self.lags.last().map_or(0, |lag| lag * stride)
    }

    /// All numbers in the order of the table: for each layer, for each unit, its bias and its weights.
    pub(super) fn table(&self) -> Vec<f64> {
        let units = self
            .layers
            .iter()
            .flat_map(|layer| layer.bias.iter().zip(&layer.weights));
        units
            .flat_map(|(bias, weights)| std::iter::once(*bias).chain(weights.iter().copied()))
            .collect()
    }

    /// What each joint's network looks at, `[axis][error per lag, velocity per lag]`, from `[axis]` errors and
    /// velocities; `memory`, `[axis][error, velocity][sample]`, moves on. An episode begins with the first sample
    /// everywhere.
    pub(super) fn history(
        &self,
        now: &Inputs<'_>,
        stride: usize,
        samples: [&[Var]; 2],
        memory: &mut Vec<Var>,
    ) -> Vec<Vec<Var>> {
        let depth = self.depth(stride);
        let mut moved = Vec::with_capacity(memory.len());
        let mut features = Vec::new();
        for axis in 0..samples[0].len() {
            let mut seen = Vec::with_capacity(2 * self.lags.len());
            for (kind, sample) in samples.map(|samples| samples[axis]).into_iter().enumerate() {
                let start = (2 * axis + kind) * depth;
                let past = memory[start..start + depth].to_vec();
                let past = select(now.first, vec![sample; depth], past);
                seen.extend(self.lags.iter().map(|lag| match lag {
                    0 => sample,
                    _ => past[lag * stride - 1],
                }));
                let kept = std::iter::once(sample).chain(past).take(depth);
                moved.extend(kept);
            }
            features.push(seen);
        }
        *memory = moved;
        features
    }

    /// `[axis]` Torques, from what each joint's network looks at.
    pub(super) fn efforts(&self, table: Field, features: Vec<Vec<Var>>) -> Vec<Var> {
        let axes = features.len();
        let start = (features, vec![Var::ZERO; axes]);
        let (_, efforts) = turns(axes, start, |(mut features, mut efforts), _| {
            efforts[0] = self.effort(table, &features[0]);
            efforts.rotate_left(1);
            features.rotate_left(1);
            (features, efforts)
        });
        efforts
    }

    /// The torque of one joint.
    fn effort(&self, table: Field, features: &[Var]) -> Var {
        let mut values = features.to_vec();
        let mut first = 0;
        for (index, layer) in self.layers.iter().enumerate() {
            let (inputs, outputs) = (values, layer.bias.len());
            let width = inputs.len() as u32 + 1;
            let hidden = index + 1 < self.layers.len();
            values = turns(outputs, vec![Var::ZERO; outputs], |mut out, unit| {
                let at = unit * width + first;
                let mut sum = table.load_at(at);
                for (input, x) in inputs.iter().enumerate() {
                    sum += table.load_at(at + (input as u32 + 1)) * *x;
                }
                out[0] = if hidden { self.activation.of(sum) } else { sum };
                out.rotate_left(1);
                out
            });
            first += outputs as u32 * width;
        }
        values[0]
    }
}

/// A loop in which every turn takes the front of a queue to its back: after as many turns as it is long, it is where it
/// was. Recorded scalars have no index that is known when the kernel runs.
fn turns<C: Carry>(count: usize, start: C, body: impl Fn(C, Bits) -> C) -> C {
    if count == 1 {
        return body(start, Bits::ZERO);
    }
    repeat(count as u32, start, |_| Mask::from(true), body)
}
