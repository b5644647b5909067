//! Run forward in the vertical plane: gymnasium's `HalfCheetah-v5`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "run forward in the vertical plane (gymnasium HalfCheetah-v5)",
    make: || Box::new(task::HalfCheetah),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
