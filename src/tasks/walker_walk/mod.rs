//! Stand up and walk in the vertical plane: the DeepMind Control Suite's `walker walk`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "stand up and walk in the vertical plane (dm_control walker walk)",
    make: || Box::new(task::WalkerWalk),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
