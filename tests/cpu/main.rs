//! Tests that need no GPU, as one program: it links the library once.

#[path = "../common/oracle.rs"]
mod oracle;
#[path = "../common/program.rs"]
mod program;
#[path = "../common/sensing_task.rs"]
mod sensing_task;

mod actuators;
mod adr;
mod broken_mjcf;
mod cli_input;
mod cli_parity;
mod collision_candidates;
mod collision_convex;
mod collision_pairs;
mod contact_step;
mod convex_step;
mod equality;
mod functions;
mod fuzz;
mod model;
mod model_fields;
mod random;
mod randomize_draws;
mod randomize_physics;
mod rigid_common;
mod rigid_math;
mod rigid_properties;
mod rigid_random;
mod rigid_step;
mod scene_overflow;
mod scene_symmetry;
mod scenes;
mod scripts;
mod sensing;
mod sensing_config;
mod sensing_statistics;
mod sensor_mujoco;
mod task_contacts;
mod task_locomotion;
mod task_world;
mod tasks;
mod tidy;
#[cfg(feature = "learn")]
mod train_policy;
mod wgsl_hash;
