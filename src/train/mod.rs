//! Learning a policy from a batch of worlds.
//!
//! [`Environment`] is what is learned from, [`Config`] says how.

pub mod config;
pub mod environment;
pub mod layers;
pub mod network;

pub use config::Config;
pub use environment::{Environment, EpisodeStats, Observations, Spec, Step};
