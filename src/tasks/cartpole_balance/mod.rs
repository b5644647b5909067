//! Balance a pole on a cart: gymnasium's `InvertedPendulum-v5`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "balance a pole on a cart (gymnasium InvertedPendulum-v5)",
    make: || Box::new(task::CartpoleBalance),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
