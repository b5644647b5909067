//! Physics without a task: the device against the host, and what a batch is made of.

use std::sync::Arc;

use manyworlds::env::{Physics, Precision, Target};
use manyworlds::model::Model;
use manyworlds::tasks::{Cause, Registry};

use crate::env_support::{actions, everywhere, on_device};

fn model(task: &str) -> Arc<Model> {
    Arc::new(
        Registry::builtin()
            .load(task)
            .expect("the task is built in")
            .model,
    )
}

/// Different states in 5 worlds, then 4 times 5 substeps under different controls.
fn run(model: &Arc<Model>, target: Target<'_>) -> Physics {
    let mut physics = Physics::new(model, 5, target).unwrap_or_else(|error| panic!("{error}"));
    let numbers = |count: usize, salt: u32| -> Vec<f64> {
        actions(0..5, salt, count)
            .into_iter()
            .map(|value| 0.3 * f64::from(value))
            .collect()
    };
    physics
        .set_state(&numbers(model.nq, 1), &numbers(model.nv, 2), &[])
        .unwrap();
    for step in 0..4 {
        physics.set_ctrl(&numbers(model.nu, 10 + step)).unwrap();
        physics.step(5).unwrap();
    }
    physics
}

#[test]
fn the_device_follows_the_reference() {
    on_device(|context| {
        for task in ["cartpole", "cartpole_swingup"] {
            let model = model(task);
            let (mut device, mut host) = (
                run(&model, Target::Gpu(context)),
                run(&model, Target::Host(Precision::Double)),
            );
            let state = host.fields().state;
            for field in [state.qpos, state.qvel, state.time] {
                for (seen, expected) in device
                    .read(field)
                    .unwrap()
                    .iter()
                    .zip(host.read(field).unwrap())
                {
                    // 20 steps, each adding some ULPs (6e-8) of velocities that reach 10.
                    let error = (seen - expected).abs() / expected.abs().max(1.0);
                    assert!(error < 2e-5, "{task}: {seen} for {expected}");
                }
            }
            let (seen, expected) = (device.frames().unwrap(), host.frames().unwrap());
            assert_eq!(seen.status, [0; 5]);
            let pairs = seen
                .xpos
                .iter()
                .zip(&expected.xpos)
                .chain(seen.xquat.iter().zip(&expected.xquat));
            for (seen, expected) in pairs {
                assert!(
                    (seen - expected).abs() < 2e-5,
                    "{task}: {seen} for {expected}"
                );
            }
        }
    });
}

#[test]
fn substeps_in_one_launch_equal_launches_of_one() {
    everywhere(|target| {
        let model = model("cartpole");
        let mut together = Physics::new(&model, 3, target).unwrap();
        let mut apart = Physics::new(&model, 3, target).unwrap();
        for physics in [&mut together, &mut apart] {
            physics
                .set_state(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], &[0.0; 6], &[])
                .unwrap();
            physics.set_ctrl(&[1.0, -1.0, 0.5]).unwrap();
        }
        together.step(6).unwrap();
        (0..6).for_each(|_| apart.step(1).unwrap());
        let state = together.fields().state;
        for field in [state.qpos, state.qvel, state.time] {
            assert_eq!(together.read(field).unwrap(), apart.read(field).unwrap());
        }
    });
}

#[test]
fn frames_are_those_of_the_state_and_say_when_it_is_unsound() {
    everywhere(|target| {
        let mut physics = Physics::new(&model("cartpole_swingup"), 3, target).unwrap();
        let quarter = std::f64::consts::FRAC_PI_2;
        physics
            .set_state(&[0.5, 0.0, -0.5, quarter, f64::NAN, 0.0], &[0.0; 6], &[])
            .unwrap();
        let frames = physics.frames().unwrap();
        assert_eq!(frames.status, [0, 0, Cause::State.bit()]);
        // [world][body][component]: the pole hangs on the cart, 1 m up.
        let pole = |world: usize| &frames.xpos[world * 9 + 6..world * 9 + 9];
        assert_eq!(pole(0), [0.5, 0.0, 1.0]);
        assert_eq!(pole(1), [-0.5, 0.0, 1.0]);
        let turned = &frames.xquat[12 + 8..12 + 12];
        let half = 0.5_f64.sqrt();
        for (seen, expected) in turned.iter().zip([half, 0.0, half, 0.0]) {
            assert!((seen - expected).abs() < 1e-6, "{turned:?}");
        }
        physics.reset().unwrap();
        assert_eq!(physics.frames().unwrap().status, [0; 3]);
    });
}

#[test]
fn wrong_lengths_are_refused() {
    let model = model("cartpole");
    let host = Target::Host(Precision::Double);
    let mut physics = Physics::new(&model, 2, host).unwrap();
    let error = physics.set_ctrl(&[0.0; 3]).unwrap_err().to_string();
    assert!(
        error.contains("ctrl") && error.contains("2 worlds × 1 components"),
        "{error}"
    );
    assert!(physics.set_state(&[0.0; 4], &[0.0; 3], &[]).is_err());
    assert!(Physics::new(&model, 0, host).is_err());
}
