//! Swing a pole up and balance it: the DeepMind Control Suite's `cartpole swingup`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "swing a pole up on a cart and hold it there (dm_control cartpole swingup)",
    make: || Box::new(task::CartpoleSwingup),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
