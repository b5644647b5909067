//! A dense layer, `activation(x · w + b)`, as one differentiable operation.
//!
//! Composed of burn's own operations, a layer is four nodes forward and six backward, each a pass
//! over memory. As one node, it is a matrix product and one pass forward, and one pass and two products
//! backward; the derivative follows from the output, so that nothing else is kept. On the CPU the
//! pass is vectorized ([`super::lanes`]); on other backends it is burn's operations.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;

use super::lanes;
use crate::train::config::Activation;

/// `activation(x · w + b)` with `x` `[N, in]`, `w` `[in, out]`, `b` `[out]`; differentiable in all three.
pub fn dense(x: Tensor<2>, w: Tensor<2>, b: Tensor<1>, activation: Activation) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as DenseOps>::dense(
        x.into_dispatch(),
        w.into_dispatch(),
        b.into_dispatch(),
        activation,
    ))
}

/// The layer on each backend.
#[backend_extension(Flex, Cube: cfg(feature = "learn"), Autodiff)]
pub trait DenseOps: Backend {
    /// `y = activation(x · w + b)`.
    fn dense(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let columns = b.shape().num_elements();
        let b = Self::float_reshape(b, Shape::new([1, columns]));
        let z = Self::float_add(Self::float_matmul(x, w), b);
        match activation {
            // elu(x) = max(x, 0) + exp(min(x, 0)) - 1
            Activation::Elu => {
                let positive = Self::relu(z.clone());
                let negative = Self::float_exp(Self::float_clamp_max(z, 0.0.into()));
                Self::float_add(positive, Self::float_sub_scalar(negative, 1.0.into()))
            }
            Activation::Tanh => Self::float_tanh(z),
            Activation::Relu => Self::relu(z),
            Activation::Linear => z,
        }
    }

    /// `(dz, db)` from the layer's output `y` and the gradient `dy` of that output:
    /// `dz = dy · activation'`, and `db` is its sum over rows.
    fn dense_gradient(
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let columns = y.shape()[1];
        let dz = match activation {
            // elu' = min(y, 0) + 1
            Activation::Elu => {
                let slope =
                    Self::float_add_scalar(Self::float_clamp_max(y, 0.0.into()), 1.0.into());
                Self::float_mul(dy, slope)
            }
            Activation::Tanh => {
                let square = Self::float_mul(y.clone(), y);
                Self::float_sub(dy.clone(), Self::float_mul(dy, square))
            }
            Activation::Relu => Self::relu_backward(y, dy),
            Activation::Linear => dy,
        };
        let db = Self::float_reshape(Self::float_sum_dim(dz.clone(), 0), Shape::new([columns]));
        (dz, db)
    }
}

#[cfg(feature = "learn")]
impl DenseOps for burn_cubecl::CubeBackend {}

impl DenseOps for Flex {
    fn dense(x: FlexTensor, w: FlexTensor, b: FlexTensor, activation: Activation) -> FlexTensor {
        let b = b.to_contiguous();
        let columns = b.layout().num_elements();
        let mut z = Self::float_matmul(x, w);
        let start = b.layout().start_offset();
        lanes::bias_activation(
            z.storage_mut(),
            &b.storage::<f32>()[start..start + columns],
            activation,
        );
        z
    }

    fn dense_gradient(
        y: FlexTensor,
        dy: FlexTensor,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor) {
        let columns = y.layout().shape()[1];
        let y = y.to_contiguous();
        // A broadcast gradient, or a view into a larger one, is copied; the usual one is written in
        // place, for which no second handle may be alive.
        let whole = dy.is_contiguous()
            && dy.layout().start_offset() == 0
            && dy.storage::<f32>().len() == dy.layout().num_elements();
        let mut dy = if whole {
            dy
        } else {
            FlexTensor::from_data(dy.into_data())
        };
        let (start, count) = (y.layout().start_offset(), y.layout().num_elements());
        let y = &y.storage::<f32>()[start..start + count];
        let sums = lanes::activation_gradient(y, dy.storage_mut(), columns, activation);
        (
            dy,
            FlexTensor::from_data(burn::tensor::TensorData::new(sums, [columns])),
        )
    }
}

#[derive(Debug)]
struct DenseBackward;

#[derive(Clone, Debug)]
struct DenseState<B: Backend> {
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    y: FloatTensor<B>,
    activation: Activation,
}

impl<B: DenseOps> Backward<B, 3> for DenseBackward {
    type State = DenseState<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let DenseState {
            x,
            w,
            y,
            activation,
        } = ops.state;
        let [node_x, node_w, node_b] = ops.parents;
        let dy = grads.consume::<B>(&ops.node);
        let (dz, db) = B::dense_gradient(y, dy, activation);
        if let Some(node) = node_b {
            grads.register::<B>(node.id, db);
        }
        if let Some(node) = node_w {
            grads.register::<B>(node.id, B::float_matmul(B::float_transpose(x), dz.clone()));
        }
        if let Some(node) = node_x {
            grads.register::<B>(node.id, B::float_matmul(dz, B::float_transpose(w)));
        }
    }
}

impl<B: DenseOps, C: CheckpointStrategy> DenseOps for Autodiff<B, C> {
    fn dense(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let ((x, node_x), (w, node_w), (b, node_b)) =
            (x.into_parts(), w.into_parts(), b.into_parts());
        match DenseBackward
            .prepare::<C>([node_x, node_w, node_b])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let y = B::dense(x.clone(), w.clone(), b, activation);
                prep.finish(
                    DenseState {
                        x,
                        w,
                        y: y.clone(),
                        activation,
                    },
                    y,
                )
            }
            OpsKind::UnTracked(prep) => prep.finish(B::dense(x, w, b, activation)),
        }
    }
}
