//! Tests that need no GPU, as one program: it links the library once.

#[path = "../common/oracle.rs"]
mod oracle;

mod functions;
mod rigid_common;
mod rigid_dump_tmp;
mod rigid_step;
mod random;
mod tasks;
