//! One step of every integrator against MuJoCo's, from 1,000 random states of each model: beyond joint limits, far
//! from the world's origin, under forces from outside.

use manyworlds::trace::{HostMemory, Real};
use serde_json::Value;

use crate::oracle;
use crate::rigid_common::{Recorded, errors, model, record, with_integrator};

const STATES: usize = 1000;

/// The integrators that are supported.
const ALL: [&str; 3] = ["Euler", "RK4", "implicitfast"];

/// The oracle's steps with some integrators.
fn references(path: &str, integrators: &[&str]) -> Option<Value> {
    let states = STATES.to_string();
    let mut arguments = vec!["--states", &states];
    for integrator in integrators {
        arguments.extend(["--integrator", integrator]);
    }
    arguments.push(path);
    oracle::run("step.py", &arguments)
}

/// Compares every output in every world.
fn check<R: Real>(
    recorded: &Recorded,
    memory: &HostMemory<R>,
    reference: &Value,
    verify: impl Fn(&str, Vec<f64>),
) {
    let unconverged =
        (0..memory.worlds()).filter(|&world| memory.get_bits(recorded.converged, 0, world) == 0);
    assert_eq!(unconverged.count(), 0, "every solve is exact");
    for (name, field) in recorded.outputs() {
        let mut worst = errors(memory, field, &reference[name]);
        worst.sort_by(f64::total_cmp);
        verify(name, worst);
    }
}

fn matches_mujoco(name: &str, integrators: &[&str]) {
    let model = model(name);
    let Some(references) = references(&format!("tests/models/{name}.xml"), integrators) else {
        return;
    };
    for reference in references.as_array().expect("a list") {
        let integrator = reference["integrator"].as_str().expect("a name");
        let recorded = record(&with_integrator(&model, integrator));
        let limited = model.jnt_limited.iter().any(|&limited| limited);
        let active = oracle::floats(&reference["nefc"])
            .iter()
            .filter(|&&rows| rows > 0.0)
            .count();
        assert!(
            !limited || active > STATES / 10,
            "{name}: limits are active in {active} states only"
        );

        check(
            &recorded,
            &recorded.run::<f64>(reference),
            reference,
            |output, errors| {
                let worst = errors[STATES - 1];
                assert!(
                    worst < 1e-9,
                    "{name} {integrator} {output}: error {worst:e} in double precision"
                );
            },
        );
        check(
            &recorded,
            &recorded.run::<f32>(reference),
            reference,
            |output, errors| {
                let (median, rare) = (errors[STATES / 2], errors[STATES * 99 / 100]);
                let what = format!(
                    "{name} {integrator} {output}: median {median:.1e}, 99 % {rare:.1e} in single precision"
                );
                println!("{what}");
                assert!(median < 2e-5 && rare < 1e-3, "{what}");
            },
        );
    }
}

#[test]
fn pendulum() {
    matches_mujoco("pendulum", &ALL);
}

#[test]
fn double_pendulum() {
    matches_mujoco("double_pendulum", &ALL);
}

#[test]
fn cartpole() {
    matches_mujoco("cartpole", &ALL);
}

#[test]
fn ant_tree() {
    matches_mujoco("ant_tree", &ALL);
}

#[test]
fn humanoid_tree() {
    matches_mujoco("humanoid_tree", &ALL);
}

/// Ball joints with limits, springs and offsets, welded bodies, free bodies with springs and without children.
#[test]
fn ball_chain() {
    matches_mujoco("ball_chain", &ALL);
}

/// Every kind of gain, bias, activation and transmission.
#[test]
fn actuators() {
    matches_mujoco("actuators", &ALL);
}

/// Drag of a medium with density and viscosity, in a wind.
#[test]
fn swimmer() {
    matches_mujoco("swimmer", &["Euler", "RK4"]);
}
