//! burn's Adam over all parameters as one flat vector.
//!
//! Joining the parameters makes the norm of all gradients one reduction and an update a dozen
//! operations, instead of a dozen per tensor.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{Adam, AdamConfig, AdamState, GradientsParams, Optimizer};
use burn::tensor::{Gradients, Tensor};

/// Adam with the clipping of the global gradient norm.
#[derive(Clone)]
pub struct FlatAdam {
    adam: Adam,
    state: Option<AdamState<1>>,
    max_norm: f64,
}

impl FlatAdam {
    /// Adam with burn's decay rates (0.9, 0.999).
    pub fn new(epsilon: f64, max_norm: f64) -> Self {
        Self {
            adam: AdamConfig::new().with_epsilon(epsilon as f32).build(),
            state: None,
            max_norm,
        }
    }

    /// One update; also returns the norm of the gradients before clipping, `[1]`.
    pub fn step<M: Module>(
        &mut self,
        learning_rate: f64,
        module: M,
        gradients: Gradients,
    ) -> (M, Tensor<1>) {
        let gradients = GradientsParams::from_grads(gradients, &module);
        let mut collect = Collect {
            gradients,
            values: Vec::new(),
            slopes: Vec::new(),
        };
        module.visit(&mut collect);
        let (values, slopes) = (
            Tensor::cat(collect.values, 0),
            Tensor::cat(collect.slopes, 0),
        );
        let norm = slopes.clone().square().sum().sqrt();
        // A factor on the device: reading the norm back would wait for the whole backward pass.
        let factor = (norm.clone() + 1e-6)
            .recip()
            .mul_scalar(self.max_norm)
            .clamp_max(1.0);
        let (values, state) =
            self.adam
                .step(learning_rate, values, slopes * factor, self.state.take());
        self.state = state;
        (module.map(&mut Assign { values, start: 0 }), norm)
    }

    /// First and second moments and the number of updates, where there were any.
    pub fn state(&self) -> Option<&AdamState<1>> {
        self.state.as_ref()
    }

    /// Puts a saved state back.
    pub fn set_state(&mut self, state: Option<AdamState<1>>) {
        self.state = state;
    }
}

/// Joins values and gradients in the order of the module's parameters.
struct Collect {
    gradients: GradientsParams,
    values: Vec<Tensor<1>>,
    slopes: Vec<Tensor<1>>,
}

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().inner();
        let count = value.shape().num_elements();
        let slope = self
            .gradients
            .remove::<D>(param.id)
            .unwrap_or_else(|| value.zeros_like());
        self.values.push(value.reshape([count]));
        self.slopes.push(slope.reshape([count]));
    }
}

/// Deals the joined values out again.
struct Assign {
    values: Tensor<1>,
    start: usize,
}

impl ModuleMapper for Assign {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, old, mapper): (ParamId, Tensor<D>, _) = param.consume();
        let shape = old.shape();
        let range = self.start..self.start + shape.num_elements();
        self.start = range.end;
        let value = self.values.clone().slice([range]).reshape(shape);
        Param::from_mapped_value(id, Tensor::from_inner(value).require_grad(), mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    /// Against burn's own per-tensor optimizer, with and without clipping of the global norm.
    #[test]
    fn equals_burns_optimizer_and_clips_the_global_norm() {
        let device = Device::flex().autodiff();
        let start: Linear = LinearConfig::new(3, 2).init(&device);
        let x = Tensor::<2>::from_data([[1.0, -2.0, 0.5], [0.3, 0.1, 4.0]], &device);
        let loss = |m: &Linear| m.forward(x.clone()).square().sum();

        let (mut ours, mut theirs) = (start.clone(), start.clone());
        let mut flat = FlatAdam::new(1e-8, 1e9);
        let mut reference = AdamConfig::new().with_epsilon(1e-8).init();
        for _ in 0..5 {
            ours = flat.step(1e-2, ours.clone(), loss(&ours).backward()).0;
            let gradients = GradientsParams::from_grads(loss(&theirs).backward(), &theirs);
            theirs = reference.step(1e-2, theirs, gradients);
        }
        assert_eq!(
            ours.weight.val().into_data(),
            theirs.weight.val().into_data()
        );
        assert!(ours.weight.val().is_require_grad());

        // Adam's first moment after one step is 0.1 times the clipped gradient.
        let mut clipped = FlatAdam::new(1e-8, 0.5);
        let (_, norm) = clipped.step(1e-2, start.clone(), loss(&start).backward());
        assert!(
            norm.into_scalar::<f32>() > 0.5,
            "the test needs a gradient to clip"
        );
        let moment = clipped.state().unwrap().momentum.moment_1.clone();
        let clipped_norm = moment.square().sum().sqrt().into_scalar::<f32>() / 0.1;
        assert!((clipped_norm - 0.5).abs() < 1e-4, "{clipped_norm}");
    }
}
