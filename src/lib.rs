//! Thousands of randomized physics worlds, stepped, rendered and learned from on one GPU.
pub mod cli;
pub mod env;
pub mod error;
pub mod files;
pub mod gpu;
pub mod math;
pub mod model;
pub mod randomize;
pub mod rigid;
pub mod scene;
pub mod tasks;
#[cfg(feature = "learn")]
pub mod tensor;
pub mod trace;
#[cfg(feature = "learn")]
pub mod train;

/// Compiles the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
