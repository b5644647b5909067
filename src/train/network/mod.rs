//! The policy's and the value function's networks.

mod dense;
mod lanes;

pub use dense::{DenseOps, dense};
