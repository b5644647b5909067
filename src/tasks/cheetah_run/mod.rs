//! Run forward in the vertical plane: the DeepMind Control Suite's `cheetah run`.

mod task;

use super::registry::Entry;

/// The registered task.
pub(super) const ENTRY: Entry = Entry {
    about: "run forward in the vertical plane (dm_control cheetah run)",
    make: || Box::new(task::CheetahRun),
    model: include_str!("model.xml"),
    config: include_str!("task.toml"),
    models: &[],
};
