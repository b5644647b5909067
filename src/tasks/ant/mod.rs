//! Walk forward on four legs: gymnasium's `Ant-v5`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "walk forward on four legs (gymnasium Ant-v5)",
    make: || Box::new(task::Ant),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
