//! One step of every integrator against MuJoCo's, from 1,000 random states of each model: beyond joint limits, far
//! from the world's origin, under forces from outside.

use serde_json::Value;

use crate::oracle;
use crate::rigid_common::{SINGLE, compare, model, record, with_integrator};

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

        let (double, single) = (
            recorded.run::<f64>(reference),
            recorded.run::<f32>(reference),
        );
        recorded.assert_converged(&double);
        recorded.assert_converged(&single);
        let what = format!("{name} {integrator}");
        let outputs = recorded.outputs();
        compare(
            &what,
            &outputs,
            (&double, 1e-9),
            (&single, SINGLE),
            reference,
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
