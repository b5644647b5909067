//! Run forward on four legs: Isaac Gym's `Ant`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "run forward on four legs (Isaac Gym Ant)",
    make: || Box::new(task::AntIsaac),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
