//! Hop forward on one leg: gymnasium's `Hopper-v5`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "hop forward on one leg (gymnasium Hopper-v5)",
    make: || Box::new(task::Hopper),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
