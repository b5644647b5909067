//! Mathematics over recorded scalars: vectors, quaternions, spatial algebra, functions of known accuracy, and
//! counter-based random numbers.

pub mod functions;
pub mod random;
