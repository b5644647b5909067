//! Follow velocity commands on four legs, on flat ground.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "follow velocity commands on four legs, on flat ground",
    make: || Box::new(task::Quadruped),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
