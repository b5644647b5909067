//! Copies chosen worlds between two sets of arenas with the same layout, on the device: shaders/gpu/gather.wgsl.

use std::sync::{Mutex, PoisonError};

use super::arena::{Allocate, Arenas};
use super::context::Context;
use super::kernel::{Binding, Kernel};
use super::launch::Launch;
use super::recorder::Recorder;
use super::shader;
use crate::error::{Error, Result};
use crate::trace::Field;

/// Which worlds go where: copy k reads world `sources[k]` and writes world `targets[k]`. No target is there twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// The worlds that are read.
    pub sources: Vec<u32>,
    /// The worlds that are written, as many.
    pub targets: Vec<u32>,
}

/// The kernel that copies worlds, and the device's list of which.
pub struct Gather {
    kernel: Kernel,
    list: Mutex<Option<Binding>>,
}

/// Rows that a thread copies.
const BLOCK: u32 = 16;

impl Gather {
    /// Compiles the kernel.
    ///
    /// # Errors
    /// The device failed.
    pub fn new(context: &Context) -> Result<Self> {
        let source = shader::LIBRARY.compose("gpu/gather")?;
        let uniforms = ["row", "rows", "from_stride"];
        Ok(Self {
            kernel: Kernel::new(context, "gpu/gather", &source, &uniforms)?,
            list: Mutex::new(None),
        })
    }

    /// Copies these rows of some worlds of `from` to worlds of `to`, which are other arenas of the same layout on the
    /// same device. Sent, not waited for.
    ///
    /// # Errors
    /// The arenas do not match, a world is not there, or the device failed.
    pub fn copy(&self, from: &Arenas, to: &Arenas, copies: &Copies, rows: &[Field]) -> Result<()> {
        let context = to.context();
        if from.layout() != to.layout() || !from.context().is_same(context) {
            return Err(Error::invalid(
                "worlds go between arenas of the same layout on the same device",
            ));
        }
        let count = check(copies, from.worlds(), to.worlds())?;
        if count == 0 {
            return Ok(());
        }
        let mut recorder = Recorder::new(context);
        let in_order = |worlds: &[u32]| worlds.iter().zip(0..).all(|(world, k)| *world == k);
        let whole = count == from.worlds() && count == to.worlds();
        if whole && in_order(&copies.sources) && in_order(&copies.targets) {
            // All worlds, each to its own place: plain copies of memory.
            for field in rows {
                recorder.copy(&from.rows(*field)?, &to.rows(*field)?)?;
            }
            return recorder.submit().map(drop);
        }
        let list = self.upload(context, copies)?;
        let mut bound = Vec::new();
        for field in rows {
            from.rows(*field)?;
            let buffer = field.buffer as usize;
            let bindings = [from.binding(buffer), list.clone(), to.binding(buffer)];
            let values = [
                ("row", field.row),
                ("rows", field.components),
                ("from_stride", from.stride()),
            ];
            let blocks = field.components.div_ceil(BLOCK);
            let threads = count.checked_mul(blocks).ok_or_else(|| {
                Error::invalid(format!("{count} worlds of {} rows", field.components))
                    .hint("copy them in parts")
            })?;
            let launch = Launch::new(0..count, to.stride()).threads(threads);
            recorder.dispatch(&self.kernel, &bindings, &launch.uniforms(&values))?;
            bound.push(bindings);
        }
        recorder.submit()?;
        // A remembered bind group would keep the memory of a state that is dropped.
        bound
            .iter()
            .for_each(|bindings| self.kernel.forget(bindings));
        Ok(())
    }

    /// Puts the list where the kernel reads it. What was sent before has its own copy in the queue's order.
    fn upload(&self, context: &Context, copies: &Copies) -> Result<Binding> {
        let words: Vec<u32> = [&copies.sources[..], &copies.targets].concat();
        let bytes = 4 * words.len() as u64;
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = list.as_ref().is_some_and(|list| list.size >= bytes);
        if !fits {
            let allocation = context.allocate("worlds to copy", bytes)?;
            *list = Some(Binding::whole(&allocation.buffer));
        }
        let binding = list.clone().expect("it was just made");
        context.count_upload(bytes);
        context.caught(|| {
            let data = bytemuck::cast_slice(&words);
            context.queue().write_buffer(&binding.buffer, 0, data);
        })?;
        Ok(binding)
    }
}

/// The number of copies, all of which are between worlds that are there.
fn check(copies: &Copies, sources: u32, targets: u32) -> Result<u32> {
    if copies.sources.len() != copies.targets.len() {
        let (read, written) = (copies.sources.len(), copies.targets.len());
        return Err(Error::invalid(format!(
            "{read} worlds to read and {written} to write"
        )));
    }
    for (worlds, count) in [(&copies.sources, sources), (&copies.targets, targets)] {
        if let Some(world) = worlds.iter().find(|world| **world >= count) {
            return Err(Error::invalid(format!("world {world} of {count}")));
        }
    }
    Ok(copies.sources.len() as u32)
}
