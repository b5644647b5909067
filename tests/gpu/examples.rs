//! The examples, run: each ends by asserting its final state.

use crate::common::gpu;

#[path = "../../examples/custom_task.rs"]
mod custom_task;
#[path = "../../examples/embed_vecenv.rs"]
mod embed_vecenv;
#[path = "../../examples/planner.rs"]
mod planner;
#[path = "../../examples/trace_hello.rs"]
mod trace_hello;

#[test]
fn trace_hello_runs() {
    trace_hello::main();
}

#[test]
fn embed_vecenv_runs() {
    if gpu::context().is_some() {
        embed_vecenv::main().unwrap();
    }
}

#[test]
fn custom_task_runs() {
    if gpu::context().is_some() {
        custom_task::main().unwrap();
    }
}

#[test]
fn planner_runs() {
    if gpu::context().is_some() {
        planner::main().unwrap();
    }
}
