//! Commands on whole arenas: running a recorded kernel on some worlds, filling and copying fields on the device.

use std::ops::Range;
use std::sync::OnceLock;

use super::arena::{Arenas, Scalar};
use super::context::Context;
use super::kernel::Kernel;
use super::launch::Launch;
use super::recorder::Recorder;
use super::shader;
use crate::error::{Error, Result};
use crate::trace::Field;

impl Recorder {
    /// Runs a kernel of the arenas' layout on some worlds. `uniforms` are the kernel's run-time values by name.
    ///
    /// # Errors
    /// The kernel is of another layout, the worlds are not there, or a value is missing or unknown.
    pub fn run(
        &mut self,
        kernel: &Kernel,
        arenas: &Arenas,
        worlds: Range<u32>,
        uniforms: &[(&str, u32)],
    ) -> Result<&mut Self> {
        arenas
            .check_worlds(&worlds)
            .map_err(|error| error.context(format!("kernel {}", kernel.label())))?;
        let launch = Launch::new(worlds, arenas.stride());
        self.dispatch(
            kernel,
            &arenas.bindings(kernel)?,
            &launch.uniforms(uniforms),
        )
    }

    /// Sets all components of a field, in some worlds, to a value.
    ///
    /// # Errors
    /// The field is not of the arenas' layout, its kind is another, or the worlds are not there.
    pub fn fill_field<T: Scalar>(
        &mut self,
        arenas: &Arenas,
        field: Field,
        worlds: Range<u32>,
        value: T,
    ) -> Result<&mut Self> {
        arenas.parts::<T>(field, worlds.clone())?;
        // A table is one row of as many "worlds" as it has scalars.
        let (launch, row, rows) = match field.per_world {
            true => (
                Launch::new(worlds, arenas.stride()),
                field.row,
                field.components,
            ),
            false => (
                Launch::new(field.row..field.row + field.components, 0),
                0,
                1,
            ),
        };
        let values = [
            ("row", row),
            ("rows", rows),
            ("value", bytemuck::cast(value)),
        ];
        let whole = [arenas.binding(field.buffer as usize)];
        self.dispatch(
            arenas.tools.fill(arenas.context())?,
            &whole,
            &launch.uniforms(&values),
        )
    }

    /// Copies a field, all worlds of it, on the device: within arenas, or to others with as many worlds.
    ///
    /// # Errors
    /// A field is not of its arenas' layout, the two differ in kind or size, or they overlap.
    pub fn copy_field(
        &mut self,
        from: (&Arenas, Field),
        to: (&Arenas, Field),
    ) -> Result<&mut Self> {
        let ((source, read), (target, written)) = (from, to);
        let (from, to) = (source.rows(read)?, target.rows(written)?);
        if read.kind != written.kind || from.size != to.size || source.worlds() != target.worlds() {
            return Err(Error::invalid(format!(
                "`{}` ({} {:?}, {} worlds) and `{}` ({} {:?}, {} worlds) do not match",
                source.name(read),
                read.components,
                read.kind,
                source.worlds(),
                target.name(written),
                written.components,
                written.kind,
                target.worlds()
            )));
        }
        if from.buffer != to.buffer {
            return self.copy(&from, &to);
        }
        if from.offset < to.offset + to.size && to.offset < from.offset + from.size {
            let message = format!(
                "`{}` and `{}` overlap",
                source.name(read),
                target.name(written)
            );
            return Err(Error::invalid(message));
        }
        // The copy command refuses a buffer as both source and target: a kernel does it, on the buffer bound once.
        let whole = source.binding(read.buffer as usize);
        if whole != target.binding(written.buffer as usize) {
            return Err(Error::unsupported(
                "a copy between two arenas in one buffer",
            ));
        }
        let stride = if read.per_world { source.stride() } else { 1 };
        let values = [
            ("from", read.row),
            ("to", written.row),
            ("rows", read.components),
        ];
        let launch = Launch::new(0..stride, stride);
        self.dispatch(
            source.tools.copy(source.context())?,
            &[whole],
            &launch.uniforms(&values),
        )
    }
}

/// The hand-written kernels behind the commands, each compiled when it is first needed.
#[derive(Default)]
pub(super) struct Tools {
    fill: OnceLock<Kernel>,
    copy: OnceLock<Kernel>,
}

impl Tools {
    /// Sets rows to a value.
    pub(super) fn fill(&self, context: &Context) -> Result<&Kernel> {
        tool(&self.fill, context, "gpu/fill", &["row", "rows", "value"])
    }

    /// Copies rows within a buffer.
    pub(super) fn copy(&self, context: &Context) -> Result<&Kernel> {
        tool(&self.copy, context, "gpu/copy", &["from", "to", "rows"])
    }
}

fn tool<'a>(
    kernel: &'a OnceLock<Kernel>,
    context: &Context,
    name: &str,
    uniforms: &[&str],
) -> Result<&'a Kernel> {
    if let Some(kernel) = kernel.get() {
        return Ok(kernel);
    }
    let compiled = Kernel::new(context, name, &shader::LIBRARY.compose(name)?, uniforms)?;
    Ok(kernel.get_or_init(|| compiled))
}
