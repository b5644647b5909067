//! Walk forward on two legs: gymnasium's `Humanoid-v5`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "walk forward on two legs (gymnasium Humanoid-v5)",
    make: || Box::new(task::Humanoid),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
