//! Tests that need no GPU, as one program: it links the library once.

#[path = "../common/oracle.rs"]
mod oracle;

mod functions;
mod random;
mod rigid_common;
mod rigid_math;
mod rigid_properties;
mod rigid_random;
mod rigid_step;
