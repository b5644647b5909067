//! Tests that need no GPU, as one program: it links the library once.

#[path = "../common/oracle.rs"]
mod oracle;
#[path = "../common/program.rs"]
mod program;

mod cli_input;
mod functions;
mod random;
mod rigid_common;
mod rigid_dump_tmp;
mod rigid_step;
mod task_world;
mod tasks;
mod scripts;
mod tidy;
