//! Device memory laid out as `trace` says: one buffer per buffer of the layout, one row of all worlds per scalar.
//!
//! A buffer is `[row][world]` with a stride between rows that is the number of worlds, rounded up so that every row
//! begins where the device allows a binding to begin. Who allocates is left to an [`Allocate`]: plain wgpu buffers here,
//! burn's memory where tensors are to share it.

use std::any::Any;
use std::fmt;
use std::ops::Range;

use super::commands::Tools;
use super::context::Context;
use super::kernel::{Binding, Kernel};
use super::launch::Launch;
use super::readback::Readback;
use super::recorder::Recorder;
use crate::error::{Error, Result};
use crate::trace::{Buffer, Field, Kind, Layout};

/// Device memory from somewhere.
pub struct Allocation {
    /// The buffer that the memory is in, usable as storage and for copies both ways.
    pub buffer: wgpu::Buffer,
    /// First byte, a multiple of the device's `min_storage_buffer_offset_alignment`.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Whatever must live for as long as the memory is in use.
    pub keep_alive: Box<dyn Any + Send>,
}

/// Gives out device memory. [`Context`] gives plain wgpu buffers.
pub trait Allocate {
    /// Memory of `bytes` bytes, a multiple of 4; what is in it does not matter.
    ///
    /// # Errors
    /// The device is out of memory, or refuses a buffer of this size.
    fn allocate(&self, label: &str, bytes: u64) -> Result<Allocation>;
}

impl Allocate for Context {
    fn allocate(&self, label: &str, bytes: u64) -> Result<Allocation> {
        let buffer = self.caught(|| {
            self.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_SRC
                    | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })?;
        Ok(Allocation {
            buffer,
            offset: 0,
            size: bytes,
            keep_alive: Box::new(()),
        })
    }
}

/// What a buffer's scalars are on the host: `f32` or `u32`.
pub trait Scalar: bytemuck::Pod + sealed::Sealed {
    /// The kind of buffer that holds it.
    const KIND: Kind;
}

impl Scalar for f32 {
    const KIND: Kind = Kind::F32;
}

impl Scalar for u32 {
    const KIND: Kind = Kind::U32;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// Bits that a test or a debug build fills memory with that nobody should read: a NaN as f32, a huge number as u32.
pub const POISON: u32 = 0x7fc0_dead;

/// The smallest stride: whole workgroups, and the coarsest alignment in use (256 bytes).
const STRIDE_UNIT: u32 = 64;

/// The memory of a number of worlds.
///
/// Values on the host are in the device's order, `[component][world]`, for the worlds asked for.
pub struct Arenas {
    context: Context,
    layout: Layout,
    worlds: u32,
    stride: u32,
    allocations: Vec<Allocation>,
    pub(super) tools: Tools,
}

impl Arenas {
    /// Allocates every buffer of `layout` for `worlds` worlds, filled with zeros.
    ///
    /// # Errors
    /// No world, or more than the device can bind or index (the error says how many fit); or the allocation fails.
    pub fn new(
        context: &Context,
        layout: &Layout,
        worlds: u32,
        allocate: &dyn Allocate,
    ) -> Result<Self> {
        if worlds == 0 {
            return Err(Error::invalid("0 worlds").hint("at least one is needed"));
        }
        let limits = &context.info().limits;
        let unit = stride_unit(limits);
        let stride = worlds.checked_next_multiple_of(unit).unwrap_or(u32::MAX);
        for buffer in layout.buffers() {
            check_size(buffer, worlds, stride, limits)
                .map_err(|error| error.context(&context.info().adapter))?;
        }
        let allocations = layout
            .buffers()
            .iter()
            .map(|buffer| allocate.allocate(&buffer.name, bytes_of(buffer, stride)))
            .collect::<Result<Vec<_>>>()?;
        let arenas = Self {
            context: context.clone(),
            layout: layout.clone(),
            worlds,
            stride,
            allocations,
            tools: Tools::default(),
        };
        let mut recorder = Recorder::new(context);
        for buffer in 0..arenas.allocations.len() {
            recorder.clear(&arenas.binding(buffer));
        }
        recorder.submit()?;
        Ok(arenas)
    }

    /// The context that the memory belongs to.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What is where.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The number of worlds.
    pub fn worlds(&self) -> u32 {
        self.worlds
    }

    /// Scalars from one row to the next.
    pub fn stride(&self) -> u32 {
        self.stride
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.layout
            .buffers()
            .iter()
            .map(|buffer| bytes_of(buffer, self.stride))
            .sum()
    }

    /// The memory of a buffer, by its index in the layout, as the allocator gave it.
    ///
    /// # Panics
    /// The layout has no such buffer.
    pub fn allocation(&self, buffer: usize) -> &Allocation {
        &self.allocations[buffer]
    }

    /// A whole buffer, by its index in the layout.
    ///
    /// # Panics
    /// The layout has no such buffer.
    pub fn binding(&self, buffer: usize) -> Binding {
        let allocation = &self.allocations[buffer];
        Binding {
            buffer: allocation.buffer.clone(),
            offset: allocation.offset,
            size: bytes_of(&self.layout.buffers()[buffer], self.stride),
        }
    }

    /// The rows of a field, all worlds with the padding behind them: `components · stride` scalars.
    ///
    /// # Errors
    /// The field is not of this layout.
    pub fn rows(&self, field: Field) -> Result<Binding> {
        self.check_field(field)?;
        let stride = if field.per_world { self.stride } else { 1 };
        let allocation = &self.allocations[field.buffer as usize];
        Ok(Binding {
            buffer: allocation.buffer.clone(),
            offset: allocation.offset + scalars(field.row, stride),
            size: scalars(field.components, stride),
        })
    }

    /// The buffers that a kernel binds, in its order.
    ///
    /// # Errors
    /// The kernel was made for another layout.
    pub fn bindings(&self, kernel: &Kernel) -> Result<Vec<Binding>> {
        let bound = |wanted: &super::wgsl::BufferInterface| {
            let index = wanted.binding as usize - 1;
            match self.layout.buffers().get(index) {
                Some(buffer) if buffer.name == wanted.name => Ok(self.binding(index)),
                other => Err(Error::invalid(format!(
                    "it binds `{}` as buffer {index}; the layout has {} there",
                    wanted.name,
                    other.map_or("nothing".to_owned(), |buffer| format!("`{}`", buffer.name)),
                ))
                .context(format!("kernel {}", kernel.label()))),
            }
        };
        kernel.interface().buffers.iter().map(bound).collect()
    }

    /// Writes a field of some worlds: `[component][world]`. Seen by everything submitted from here on.
    ///
    /// # Errors
    /// The field is not of this layout, its kind is another, the worlds are not there, or the number of values is wrong.
    pub fn write_field<T: Scalar>(
        &self,
        field: Field,
        worlds: Range<u32>,
        values: &[T],
    ) -> Result<()> {
        let parts = self.parts::<T>(field, worlds)?;
        let expected: u64 = parts.iter().map(|part| part.size).sum();
        let mut rest: &[u8] = bytemuck::cast_slice(values);
        if rest.len() as u64 != expected {
            let message = format!(
                "{} values are given where {} go",
                values.len(),
                expected / 4
            );
            return Err(Error::invalid(message).context(self.name(field)));
        }
        self.context.count_upload(expected);
        self.context.caught(|| {
            for part in &parts {
                let (row, behind) = rest.split_at(part.size as usize);
                self.context
                    .queue()
                    .write_buffer(&part.buffer, part.offset, row);
                rest = behind;
            }
        })
    }

    /// Writes a field of a table, which all worlds share.
    ///
    /// # Errors
    /// As [`Arenas::write_field`].
    pub fn write_table<T: Scalar>(&self, field: Field, values: &[T]) -> Result<()> {
        self.write_field(self.table(field)?, 0..1, values)
    }

    /// Reads a field of some worlds, `[component][world]`, after everything submitted so far. Waits for the device.
    ///
    /// # Errors
    /// The field is not of this layout, its kind is another, the worlds are not there, or the device fails.
    pub fn read_field<T: Scalar>(&self, field: Field, worlds: Range<u32>) -> Result<Vec<T>> {
        self.begin_read(field, worlds)?.wait()
    }

    /// As [`Arenas::read_field`] without waiting: the values are those of now, and can be fetched or awaited later.
    ///
    /// # Errors
    /// As [`Arenas::read_field`].
    pub fn begin_read<T: Scalar>(&self, field: Field, worlds: Range<u32>) -> Result<Readback<T>> {
        Readback::of(&self.context, &self.parts::<T>(field, worlds)?)
    }

    /// Reads a field of a table.
    ///
    /// # Errors
    /// As [`Arenas::read_field`].
    pub fn read_table<T: Scalar>(&self, field: Field) -> Result<Vec<T>> {
        self.read_field(self.table(field)?, 0..1)
    }

    /// Fills all buffers with [`POISON`].
    ///
    /// # Errors
    /// The device fails.
    pub fn poison(&self) -> Result<()> {
        let mut recorder = Recorder::new(&self.context);
        for (index, buffer) in self.layout.buffers().iter().enumerate() {
            let stride = if buffer.per_world { self.stride } else { 1 };
            let launch = Launch::new(0..stride, stride);
            recorder.dispatch(
                self.tools.fill(&self.context)?,
                &[self.binding(index)],
                &launch.uniforms(&[("row", 0), ("rows", buffer.rows), ("value", POISON)]),
            )?;
        }
        recorder.submit()?;
        Ok(())
    }

    /// Fills all buffers with zeros.
    ///
    /// # Errors
    /// The device fails.
    pub fn zero(&self) -> Result<()> {
        let mut recorder = Recorder::new(&self.context);
        for buffer in 0..self.allocations.len() {
            recorder.clear(&self.binding(buffer));
        }
        recorder.submit()?;
        Ok(())
    }

    /// The bytes of a field of some worlds, row by row; in one piece where nothing lies between them.
    pub(super) fn parts<T: Scalar>(
        &self,
        field: Field,
        worlds: Range<u32>,
    ) -> Result<Vec<Binding>> {
        let rows = self.rows(field)?;
        if field.kind != T::KIND {
            let message = format!("it holds {:?}, and {:?} is asked for", field.kind, T::KIND);
            return Err(Error::invalid(message).context(self.name(field)));
        }
        if !field.per_world {
            return Ok(if worlds == (0..1) {
                vec![rows]
            } else {
                Vec::new()
            });
        }
        self.check_worlds(&worlds)
            .map_err(|error| error.context(self.name(field)))?;
        if worlds.len() == self.stride as usize {
            return Ok(vec![rows]);
        }
        let part = |component: u32| Binding {
            buffer: rows.buffer.clone(),
            offset: rows.offset + scalars(component, self.stride) + scalars(worlds.start, 1),
            size: scalars(worlds.end - worlds.start, 1),
        };
        Ok((0..field.components).map(part).collect())
    }

    fn table(&self, field: Field) -> Result<Field> {
        match field.per_world {
            false => Ok(field),
            true => Err(
                Error::invalid("it has a value per world, and is not a table")
                    .context(self.name(field)),
            ),
        }
    }

    pub(super) fn check_worlds(&self, worlds: &Range<u32>) -> Result<()> {
        if worlds.start > worlds.end || worlds.end > self.worlds {
            let count = self.worlds;
            return Err(Error::invalid(format!("worlds {worlds:?} of {count}")));
        }
        Ok(())
    }

    fn check_field(&self, field: Field) -> Result<()> {
        let fits = |buffer: &Buffer| {
            buffer.kind == field.kind
                && buffer.per_world == field.per_world
                && u64::from(field.row) + u64::from(field.components) <= u64::from(buffer.rows)
        };
        match self.layout.buffers().get(field.buffer as usize) {
            Some(buffer) if fits(buffer) => Ok(()),
            _ => Err(Error::invalid(format!(
                "{field:?} is not of these arenas' layout"
            ))),
        }
    }

    /// The name of a field, or of the field that it is a part of.
    pub(super) fn name(&self, field: Field) -> &str {
        let holds = |known: &Field| {
            known.buffer == field.buffer
                && (known.row..=known.row + known.components)
                    .contains(&(field.row + field.components))
                && known.row <= field.row
        };
        let found = self.layout.fields().iter().find(|(_, known)| holds(known));
        found.map_or("a field", |(name, _)| name)
    }
}

/// Rows begin at multiples of this many scalars.
fn stride_unit(limits: &wgpu::Limits) -> u32 {
    // Alignments are powers of two, so the larger of the two is a multiple of both.
    STRIDE_UNIT.max(limits.min_storage_buffer_offset_alignment / 4)
}

/// Bytes of `rows` rows of `stride` scalars.
fn scalars(rows: u32, stride: u32) -> u64 {
    u64::from(rows) * u64::from(stride) * 4
}

/// Bytes of a buffer; one without rows still gets one, since nothing cannot be bound.
fn bytes_of(buffer: &Buffer, stride: u32) -> u64 {
    let stride = if buffer.per_world { stride } else { 1 };
    scalars(buffer.rows.max(1), stride)
}

/// Whether the device can bind and index a buffer of this size.
fn check_size(buffer: &Buffer, worlds: u32, stride: u32, limits: &wgpu::Limits) -> Result<()> {
    // A kernel computes addresses in 32 bits.
    let most = limits
        .max_storage_buffer_binding_size
        .min(limits.max_buffer_size)
        .min(u64::from(u32::MAX) * 4);
    let bytes = bytes_of(buffer, stride);
    if bytes <= most {
        return Ok(());
    }
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    let name = &buffer.name;
    if !buffer.per_world {
        let message = format!(
            "the table `{name}` has {} MiB; a binding holds {} MiB",
            mebibytes(bytes),
            most >> 20
        );
        return Err(Error::invalid(message));
    }
    let unit = u64::from(stride_unit(limits));
    let fit = most / scalars(buffer.rows, 1) / unit * unit;
    Err(Error::invalid(format!(
        "buffer `{name}` has {} values per world, {} MiB for {worlds} worlds; a binding holds {} MiB",
        buffer.rows,
        mebibytes(bytes),
        most >> 20
    ))
    .hint(format!("at most {fit} worlds fit")))
}

impl fmt::Debug for Arenas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .layout
            .buffers()
            .iter()
            .map(|buffer| buffer.name.as_str())
            .collect();
        write!(f, "Arenas({} worlds: {})", self.worlds, names.join(", "))
    }
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allocation({} bytes at {})", self.size, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_worlds_say_how_many_fit() {
        let mut layout = Layout::new();
        let state = layout.buffer("state", Kind::F32);
        layout.field(state, "qpos", 100);
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: 128 << 20,
            ..wgpu::Limits::default()
        };
        let check = |worlds: u32| check_size(&layout.buffers()[0], worlds, worlds, &limits);
        // 128 MiB / 400 bytes = 335,544.3 worlds; the last multiple of 64 below is 335,488.
        let error = check(400_000).unwrap_err().to_string();
        assert_eq!(
            error,
            "buffer `state` has 100 values per world, 153 MiB for 400000 worlds; a binding holds 128 MiB \
             (at most 335488 worlds fit)"
        );
        check(335_488).unwrap();
        check(335_488 + 64).unwrap_err();
    }
}
