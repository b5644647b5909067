//! Tests that need no GPU, as one program: it links the library once.

#[path = "../common/oracle.rs"]
mod oracle;

mod broken_mjcf;
mod functions;
mod model;
mod model_fields;
mod random;
