//! Learning a policy from a batch of worlds.
//!
//! [`Environment`] is what is learned from, [`Config`] says how.

pub mod config;
pub mod environment;
pub mod layers;
pub mod network;
pub mod normalize;
pub mod optimizer;
pub mod ppo;
#[cfg(test)]
mod problems;
pub mod random;

pub use config::Config;
pub use environment::{Environment, EpisodeStats, Observations, Spec, Step};
