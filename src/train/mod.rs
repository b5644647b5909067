//! Learning a policy from a batch of worlds.
//!
//! [`Environment`] is what is learned from, [`Config`] says how, [`train`] does it, [`Policy`] is what comes out.
//!
//! - [`trainer`]: the loop of rollouts, updates, logs and checkpoints;
//! - [`ppo`]: the algorithm; [`network`], [`normalize`] and [`optimizer`]: its parts;
//! - [`config`] and [`layers`]: every key, its default and its origin;
//! - [`regression`]: perceptrons fitted to pairs, for learned actuator models;
//! - [`statistics`]: what several runs say together;
//! - [`lock`]: one process at a time;
//! - [`checkpoint`], [`evaluate`](mod@evaluate), [`export`](mod@export), [`log`]: what a run leaves behind.
//!
//! Networks, records, schedulers and Adam are burn's. A run repeats bit for bit on one device: sums have a fixed
//! order, random numbers are functions of (seed, purpose, iteration, index), and checkpoints hold the rest.

mod arrays;
pub mod checkpoint;
pub mod config;
pub mod environment;
pub mod evaluate;
pub mod export;
pub mod layers;
pub mod lock;
pub mod log;
pub mod network;
pub mod normalize;
pub mod optimizer;
pub mod policy;
pub mod ppo;
#[cfg(test)]
mod problems;
pub mod process;
pub mod random;
pub mod regression;
pub mod statistics;
#[cfg(test)]
mod testing;
pub mod trainer;
pub mod worlds;

pub use config::Config;
pub use environment::{Environment, EpisodeStats, Observations, Spec, Step};
pub use evaluate::{EvalReport, Recording, evaluate};
pub use export::{export, import};
pub use layers::{Layers, Origin};
pub use policy::Policy;
pub use trainer::{Options, Outcome, Start, resume_layers, train};
pub use worlds::{Learner, Worlds};
