//! The graphics device: contexts, memory, kernels and their launches. No physics here.
//!
//! ```no_run
//! use manyworlds::gpu::{Binding, Context, Kernel, Launch, Options, Recorder, shader};
//!
//! # fn example(buffer: wgpu::Buffer) -> manyworlds::error::Result<()> {
//! let context = Context::new(&Options::default())?;
//! let source = shader::LIBRARY.compose("gpu/fill")?;
//! let kernel = Kernel::new(&context, "fill", &source, &["row", "rows", "value"])?;
//! let mut recorder = Recorder::new(&context);
//! let launch = Launch::new(0..4096, 4096);
//! recorder.dispatch(
//!     &kernel,
//!     &[Binding::whole(&buffer)],
//!     &launch.uniforms(&[("row", 0), ("rows", 3), ("value", 1.5_f32.to_bits())]),
//! )?;
//! recorder.submit()?.wait()?;
//! # Ok(())
//! # }
//! ```

mod arena;
mod commands;
mod context;
mod environment;
mod gather;
mod kernel;
mod launch;
mod pipeline_cache;
mod readback;
mod recorder;
pub mod shader;
mod timestamps;
mod wgsl;

pub use arena::{Allocate, Allocation, Arenas, POISON, Scalar};
pub use context::{Context, Info, Options, Transfers};
pub use environment::cache_dir;
pub use gather::{Copies, Gather};
pub use kernel::{Binding, CompileTime, Kernel};
pub use launch::Launch;
pub use readback::Readback;
pub use recorder::{Recorder, Submission};
pub use wgsl::{BufferInterface, Interface};
