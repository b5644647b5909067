//! Tests that need no GPU, as one program: it links the library once.

#[path = "../common/oracle.rs"]
mod oracle;

mod functions;
mod random;
#[cfg(feature = "learn")]
mod train_policy;
