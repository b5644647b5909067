//! Walk forward on two legs in the vertical plane: gymnasium's `Walker2d-v5`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "walk forward on two legs in the vertical plane (gymnasium Walker2d-v5)",
    make: || Box::new(task::Walker2d),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
