//! The bridge between the simulator's arenas and burn's tensors.
//!
//! On one device. burn cannot adopt a foreign buffer, so burn allocates and we bind: a [`Bridge`] has burn join our
//! wgpu device and gives out arenas from burn's persistent pool, where each tensor has a buffer of its own. A field of
//! an arena is `[component][world]`; burn sees `[world, component]` through [`Bridge::view`], the same memory with
//! other strides. Nothing is copied and nothing visits the host.
//!
//! Order. burn queues its operations and submits them later; our submissions are immediate. So [`Bridge::flush`] comes
//! before any submission of ours that reads what burn computed, or overwrites what burn has still to read. Nothing is
//! needed the other way.
//!
//! Two handles are kept for as long as an arena lives: burn's managed resource pins the memory, and a clone of the
//! tensor keeps burn from computing in place, in our memory.

use std::any::Any;

use burn::tensor::wgpu::WgpuSetup;
use burn::tensor::{Device, Tensor};
use burn_cubecl::Cube;
use burn_cubecl::cubecl::wgpu::{AutoCompiler, WgpuResource, WgpuServer};
use burn_cubecl::cubecl::zspace::metadata::Metadata;
use burn_cubecl::tensor::CubeTensor;

use crate::error::{Error, Result};
use crate::gpu::{Allocate, Allocation, Arenas, Context};
use crate::trace::{Field, Kind};

/// burn on the same device as our kernels.
///
/// Make one per [`Context`]: burn does not notice when it joins a device twice, and tensors of two bridges do not mix.
#[derive(Clone, Debug)]
pub struct Bridge {
    context: Context,
    device: Device,
}

impl Bridge {
    /// Has burn join the context's device.
    ///
    /// # Errors
    /// When burn refuses the device.
    pub fn new(context: &Context) -> Result<Self> {
        let setup = WgpuSetup {
            instance: context.instance().clone(),
            adapter: context.adapter().clone(),
            device: context.device().clone(),
            queue: context.queue().clone(),
            backend: context.info().backend,
        };
        let joined = Device::wgpu_options().setup(setup).init();
        let device = joined.map_err(|error| {
            Error::device(format!("burn cannot join the device: {error}"))
                .context(&context.info().adapter)
        })?;
        context.watch_errors(); // burn put its own handler, which panics, in the place of ours
        Ok(Self {
            context: context.clone(),
            device,
        })
    }

    /// burn's handle on the device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The device as our kernels use it.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Submits what burn has queued on this thread.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn flush(&self) -> Result<()> {
        self.device
            .flush()
            .map_err(|error| Error::device(format!("burn: {error:?}")))
    }

    /// A float field as a `[worlds, components]` tensor over the arena's own memory: a view, never a copy.
    ///
    /// The next kernel that writes the field changes what the view shows. Keep `view.clone().mul_scalar(1.0)`, or a
    /// slot of a rollout, of what must last.
    ///
    /// # Errors
    /// When the field is not of floats, or its arena was not allocated by a bridge.
    pub fn view(&self, arenas: &Arenas, field: Field) -> Result<Tensor<2>> {
        if field.kind != Kind::F32 || !field.per_world {
            return Err(Error::invalid(
                "only a per-world field of floats can be seen as a tensor",
            ));
        }
        let keep_alive = arenas.allocation(field.buffer as usize).keep_alive.as_ref();
        let Some(shared) = (keep_alive as &dyn Any).downcast_ref::<SharedBuffer>() else {
            return Err(Error::invalid("the arenas were not allocated by a bridge")
                .hint("build the environment with the bridge as its allocator"));
        };
        let (stride, row) = (arenas.stride() as usize, field.row as usize);
        let shape = [arenas.worlds() as usize, field.len()];
        let mut primitive = primitive(&shared.tensor)?;
        // burn's own slicing would copy where the worlds end off an aligned address; a stride needs no alignment.
        primitive.handle = primitive
            .handle
            .offset_start((row * stride * size_of::<f32>()) as u64);
        *primitive.meta = Metadata::new(shape, [1, stride]);
        Ok(Tensor::from_primitive::<Cube>(primitive))
    }

    /// The memory behind a tensor of this device, bindable in our kernels; the tensor is laid out in rows.
    ///
    /// Bind it `read_write` even if it is only read: it may share a buffer with another tensor.
    ///
    /// # Errors
    /// When the tensor lives on another device or belongs to an autodiff graph (take its `inner()` first).
    pub fn buffer<const D: usize>(&self, tensor: &Tensor<D>) -> Result<SharedBuffer> {
        let count: usize = tensor.dims().iter().product();
        SharedBuffer::new(tensor.clone().reshape([count]))
    }
}

impl Allocate for Bridge {
    fn allocate(&self, label: &str, bytes: u64) -> Result<Allocation> {
        let scalars = bytes.div_ceil(4) as usize;
        let tensor = self
            .device
            .memory_persistent_allocations((), |()| Tensor::<1>::zeros([scalars], &self.device));
        let shared = SharedBuffer::new(tensor).map_err(|error| error.context(label))?;
        self.flush()?; // the zeros are written before any kernel of ours writes
        Ok(Allocation {
            buffer: shared.resource.buffer.clone(),
            offset: shared.resource.offset,
            size: bytes,
            keep_alive: Box::new(shared),
        })
    }
}

/// A tensor and its memory: holding it keeps the memory where it is, and keeps burn from computing in it.
pub struct SharedBuffer {
    tensor: Tensor<1>,
    resource: WgpuResource,
    /// burn's own handle on the memory, of a type it does not name.
    _pin: Box<dyn Any + Send>,
}

impl SharedBuffer {
    fn new(tensor: Tensor<1>) -> Result<Self> {
        let primitive = primitive(&tensor)?;
        if !primitive.is_contiguous() {
            return Err(Error::invalid(
                "a tensor whose memory is not in order cannot be bound",
            ));
        }
        let managed = primitive
            .client
            .get_resource::<WgpuServer<AutoCompiler>>(primitive.handle.clone())
            .map_err(|error| Error::device(format!("burn's memory: {error:?}")))?;
        Ok(Self {
            tensor,
            resource: managed.resource().clone(),
            _pin: Box::new(managed),
        })
    }

    /// The wgpu buffer.
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.resource.buffer
    }

    /// Where the tensor begins in the buffer, in bytes.
    pub fn offset(&self) -> u64 {
        self.resource.offset
    }

    /// The tensor's size in bytes.
    pub fn size(&self) -> u64 {
        self.resource.size
    }
}

/// burn's own handle on a tensor of our device.
fn primitive(tensor: &Tensor<1>) -> Result<CubeTensor> {
    tensor
        .clone()
        .try_into_primitive::<Cube>()
        .map_err(|error| {
            Error::invalid(format!(
                "a tensor that does not lie on the simulator's device: {error:?}"
            ))
            .hint("move it with to_device, and take `inner()` of an autodiff tensor")
        })
}
