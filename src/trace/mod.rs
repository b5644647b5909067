//! Physics and tasks as ordinary Rust over a recorded scalar.
//!
//! A function over [`Var`] (a float), [`Bits`] (an unsigned integer) and [`Mask`] (a truth value) is called once,
//! inside [`record`], for one model. What it does becomes a [`Graph`]: constants are folded in `f64`, common
//! sub-expressions are shared, structure (Rust loops over bodies and joints) is unrolled. The graph is
//!
//! - printed as WGSL, one thread per world ([`Graph::wgsl`]): that is the kernel;
//! - interpreted on the host in `f64`, the reference, or in `f32` with the device's operations
//!   ([`Graph::interpret`]);
//! - counted ([`Graph::operations`]).
//!
//! Rules, all checked while recording, with the stage's label in the message:
//! - loads of a field come before its stores; stores inside [`when`] are conditional; inside [`repeat`] only what is never
//!   loaded is stored;
//! - a value leaves a region through its carry only;
//! - handles stay on their thread and in their recording.
//!
//! Memory is described by a [`Layout`]; see there for addresses.
//!
//! ```
//! use manyworlds::trace::{self, HostMemory, Kind, Layout};
//!
//! let mut layout = Layout::new();
//! let state = layout.buffer("state", Kind::F32);
//! let height = layout.field(state, "height", 1);
//! let graph = trace::record("halve", &layout, || {
//!     height.store(0, 0.5 * height.load(0));
//! });
//! let mut memory = HostMemory::<f64>::new(&layout, 1);
//! memory.set(height, 0, 0, 3.0);
//! graph.interpret(&mut memory, &[], 0..1);
//! assert_eq!(memory.get(height, 0, 0), 1.5);
//! assert!(graph.wgsl().contains("0.5f"));
//! ```

mod external;
mod graph;
mod interpret;
mod layout;
mod operators;
mod record;
mod region;
mod sink;
#[cfg(test)]
mod tests;
mod value;
mod wgsl;

pub use external::{Extern, Scalar, Tables, Twin, Value, call};
pub use graph::{Function, Graph, Operations, Type};
pub use interpret::{HostMemory, Real};
pub use layout::{Buffer, BufferId, Field, Kind, Layout};
pub use record::{Options, record, record_with, stage};
pub use region::{Carry, Slot, repeat, select, when};
pub use value::{Bits, Mask, Var, epsilon, exactly};
pub use wgsl::WORKGROUP_SIZE;

/// Run-time values that a launch can give a kernel.
pub const MAX_UNIFORMS: usize = 8;

/// The index of the world in its buffers.
pub fn world() -> Bits {
    Bits::node(record::intern(graph::Op::World, Type::Bits))
}

/// A run-time value of the launch, the same for every world; at most [`MAX_UNIFORMS`] names in one kernel.
pub fn uniform(name: &str) -> Bits {
    Bits::node(record::uniform(name))
}
