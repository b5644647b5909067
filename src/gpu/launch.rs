//! What a kernel is told when it is launched, and the uniform buffers that carry it.
//!
//! Every launch of a submission has a slot in a uniform buffer, bound with a dynamic offset, so that bind groups do not
//! change from step to step. Launches with the same parameters share a slot, and a buffer whose contents would not
//! change is not written again: a loop of equal steps uploads nothing.

use std::ops::Range;

use super::kernel::Kernel;
use crate::error::{Error, Result, near_matches};
use crate::trace::MAX_UNIFORMS;

/// The size of [`Parameters`], and of `Launch` in shaders/gpu/launch.wgsl.
pub(super) const SIZE: u64 = size_of::<Parameters>() as u64;

/// Which worlds a kernel works on, and the values that it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch<'a> {
    worlds: Range<u32>,
    stride: u32,
    uniforms: &'a [(&'a str, u32)],
    extent: Extent,
}

/// How many threads run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Worlds,
    Threads(u32),
    Groups(u32),
}

impl<'a> Launch<'a> {
    /// One thread for each of `worlds`, in buffers whose rows are `stride` values apart.
    pub fn new(worlds: Range<u32>, stride: u32) -> Self {
        Self {
            worlds,
            stride,
            uniforms: &[],
            extent: Extent::Worlds,
        }
    }

    /// Values by name; every name that the kernel has must be there. An f32 goes as its bits.
    #[must_use]
    pub fn uniforms(mut self, values: &'a [(&'a str, u32)]) -> Self {
        self.uniforms = values;
        self
    }

    /// So many threads, in place of one per world: for kernels over pairs or particles.
    #[must_use]
    pub fn threads(mut self, threads: u32) -> Self {
        self.extent = Extent::Threads(threads);
        self
    }

    /// So many workgroups, in place of one thread per world: for kernels with a workgroup per world.
    #[must_use]
    pub fn groups(mut self, groups: u32) -> Self {
        self.extent = Extent::Groups(groups);
        self
    }

    /// The words for the device.
    ///
    /// # Errors
    /// A value that the kernel has no name for, or a name of the kernel without a value.
    pub(super) fn parameters(&self, kernel: &Kernel) -> Result<Parameters> {
        let mut values = [0; MAX_UNIFORMS];
        let names = kernel.uniforms();
        for (slot, name) in names.iter().enumerate() {
            let given = self.uniforms.iter().find(|(given, _)| given == name);
            values[slot] = given.map(|(_, value)| *value).ok_or_else(|| {
                Error::invalid(format!("the launch gives no value for `{name}`"))
                    .context(kernel.label())
            })?;
        }
        for (given, _) in self.uniforms {
            if !names.iter().any(|name| name == given) {
                let error = Error::invalid(format!("the kernel has no value named `{given}`"))
                    .context(kernel.label());
                let near = near_matches(given, names.iter().map(String::as_str));
                return Err(match near.first() {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error,
                });
            }
        }
        Ok(Parameters {
            first_world: self.worlds.start,
            worlds: self.worlds.end.saturating_sub(self.worlds.start),
            stride: self.stride,
            pad: 0,
            values,
        })
    }

    /// Workgroups per dimension, of workgroups with `size` threads, when a dimension holds at most `most`.
    ///
    /// A long launch goes into two dimensions: thread (x, y) has the number x + y · (groups in x) · (group's threads).
    ///
    /// # Errors
    /// More than fit into two dimensions, or numbers that do not fit into 32 bits.
    pub(super) fn workgroups(&self, size: u32, most: u32) -> Result<[u32; 2]> {
        let groups = match self.extent {
            Extent::Worlds => self
                .worlds
                .end
                .saturating_sub(self.worlds.start)
                .div_ceil(size),
            Extent::Threads(threads) => threads.div_ceil(size),
            Extent::Groups(groups) => groups,
        };
        let rows = groups.div_ceil(most).max(1);
        let columns = groups.div_ceil(rows);
        if rows > most || u64::from(rows) * u64::from(columns) * u64::from(size) > 1 << 32 {
            return Err(Error::invalid(format!(
                "a launch of {groups} workgroups of {size} threads is too long"
            )));
        }
        Ok([columns, rows])
    }
}

/// `Launch` in shaders/gpu/launch.wgsl, word for word.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    pub(super) first_world: u32,
    pub(super) worlds: u32,
    pub(super) stride: u32,
    pub(super) pad: u32,
    pub(super) values: [u32; MAX_UNIFORMS],
}

/// Slots in one uniform buffer: at the coarsest alignment, 256 bytes, it has the 64 KiB that WebGPU guarantees.
const SLOTS: usize = 256;

/// Where a launch's parameters are: the buffer's number and the offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) buffer: usize,
    pub(super) offset: u32,
}

/// Distance of two slots.
pub(super) fn slot_size(limits: &wgpu::Limits) -> usize {
    (SIZE as usize).next_multiple_of(limits.min_uniform_buffer_offset_alignment as usize)
}

pub(super) fn slot(number: usize, slot_size: usize) -> Slot {
    Slot {
        buffer: number / SLOTS,
        offset: (number % SLOTS * slot_size) as u32,
    }
}

/// A context's uniform buffers of launch parameters.
#[derive(Default)]
pub(super) struct LaunchBuffers {
    buffers: Vec<(wgpu::Buffer, Vec<Parameters>)>,
}

impl LaunchBuffers {
    /// The buffer of a number; they are made as they are needed.
    pub(super) fn buffer(&mut self, device: &wgpu::Device, number: usize) -> &wgpu::Buffer {
        while self.buffers.len() <= number {
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("launch parameters"),
                size: (SLOTS * slot_size(&device.limits())) as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            self.buffers.push((buffer, Vec::new()));
        }
        &self.buffers[number].0
    }

    /// Has the next submission find `parameters` in its slots.
    pub(super) fn write(
        &mut self,
        queue: &wgpu::Queue,
        parameters: &[Parameters],
        slot_size: usize,
    ) {
        for ((buffer, written), parameters) in self.buffers.iter_mut().zip(parameters.chunks(SLOTS))
        {
            if written.starts_with(parameters) {
                continue;
            }
            let mut bytes = vec![0; parameters.len() * slot_size];
            for (slot, parameters) in bytes.chunks_exact_mut(slot_size).zip(parameters) {
                slot[..SIZE as usize].copy_from_slice(bytemuck::bytes_of(parameters));
            }
            queue.write_buffer(buffer, 0, &bytes);
            let kept = written.len().min(parameters.len());
            written[..kept].copy_from_slice(&parameters[..kept]);
            written.extend_from_slice(&parameters[kept..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_launches_take_two_dimensions() {
        let groups = |launch: Launch<'_>| launch.workgroups(64, 65_535);
        assert_eq!(groups(Launch::new(0..1, 64)).unwrap(), [1, 1]);
        assert_eq!(groups(Launch::new(64..192, 64)).unwrap(), [2, 1]);
        assert_eq!(
            groups(Launch::new(0..1, 64).groups(65_535)).unwrap(),
            [65_535, 1]
        );
        assert_eq!(
            groups(Launch::new(0..1, 64).groups(65_536)).unwrap(),
            [32_768, 2]
        );
        let [columns, rows] = groups(Launch::new(0..1, 64).threads(10_000_000)).unwrap();
        assert!(columns <= 65_535 && columns * rows >= 10_000_000 / 64);
        assert!(groups(Launch::new(0..1, 64).groups(u32::MAX)).is_err());
    }

    #[test]
    fn the_struct_is_the_shaders() {
        let source = super::super::shader::LIBRARY.compose("gpu/launch").unwrap();
        let interface =
            super::super::wgsl::Interface::of(&source, wgpu::Features::empty(), false).unwrap();
        assert!(
            interface.launch,
            "the size of `Launch` and of `Parameters` differ"
        );
        let module = naga::front::wgsl::parse_str(source.text()).unwrap();
        let members = module
            .types
            .iter()
            .find_map(|(_, ty)| match &ty.inner {
                naga::TypeInner::Struct { members, .. } if ty.name.as_deref() == Some("Launch") => {
                    Some(members)
                }
                _ => None,
            })
            .unwrap();
        let offset = |name: &str| {
            members
                .iter()
                .find(|member| member.name.as_deref() == Some(name))
                .unwrap()
                .offset as usize
        };
        assert_eq!(
            offset("first_world"),
            std::mem::offset_of!(Parameters, first_world)
        );
        assert_eq!(offset("worlds"), std::mem::offset_of!(Parameters, worlds));
        assert_eq!(offset("stride"), std::mem::offset_of!(Parameters, stride));
        assert_eq!(offset("a"), std::mem::offset_of!(Parameters, values));
        assert_eq!(offset("b"), std::mem::offset_of!(Parameters, values) + 16);
    }
}
