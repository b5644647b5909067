//! Mathematics over recorded scalars: vectors, quaternions, spatial algebra, functions of known accuracy, and
//! counter-based random numbers.

pub mod functions;
mod normal;
pub mod quaternion;
pub mod random;
pub mod spatial;
pub mod vector;

pub use normal::{normal_cdf, normal_quantile};
pub use quaternion::Quat;
pub use random::{HostRng, Rng};
pub use spatial::{Articulated, Force, Inertia, Motion};
pub use vector::{MIN_VALUE, Mat3, Sym3, Vec3};
