//! Tests that need a graphics adapter; Mesa's software driver is one.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/oracle.rs"]
mod oracle;
#[path = "../common/program.rs"]
mod program;
#[path = "../common/sensing_task.rs"]
mod sensing_task;

mod actuators;
mod cli_bad_worlds;
mod cli_parity;
mod cli_ranges;
mod cli_run;
mod cli_seeds;
mod cli_sweep;
mod cli_variants;
mod collision_device;
mod env_autoreset;
mod env_bad_worlds;
mod env_determinism;
mod env_faults;
mod env_interface;
mod env_overflow;
mod env_physics;
mod env_quarantine;
mod env_state;
mod env_support;
mod env_variants;
mod equality;
mod examples;
mod gpu_arena;
mod gpu_context;
mod gpu_kernel;
mod math_device;
mod randomize_device;
mod rigid_device;
mod scene_device;
mod sensing_device;
#[cfg(feature = "learn")]
mod tensor_bridge;
mod trace_device;
#[cfg(feature = "learn")]
mod train_adr;
#[cfg(feature = "learn")]
mod train_cartpole;
#[cfg(feature = "learn")]
mod train_device;
#[cfg(feature = "learn")]
mod train_faults;
mod train_kill;
