//! The physics on the device against MuJoCo: single steps from random states, and 200 free steps beside a MuJoCo whose
//! state is rounded to f32 after every step.

use std::path::Path;
use std::sync::Arc;

use manyworlds::env::{Physics, Target};
use manyworlds::model::Model;
use manyworlds::scene::mjcf;
use manyworlds::tasks::Registry;
use manyworlds::trace::Field;
use serde_json::Value;

use crate::common::gpu;
use crate::oracle;

const MODELS: [&str; 7] = [
    "pendulum",
    "double_pendulum",
    "cartpole",
    "ant_tree",
    "humanoid_tree",
    "ball_chain",
    "four_bar",
];

fn model(path: &str) -> Arc<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    Arc::new(
        Model::compile(&mjcf::load(path).expect("the model loads")).expect("the model compiles"),
    )
}

/// `|Δ|∞ / max(1, |reference|∞)` in every world, of values `[world][component]`.
fn errors(values: &[f64], reference: &Value) -> Vec<f64> {
    let worlds = reference.as_array().expect("worlds").len();
    let width = values.len() / worlds;
    let world = |world: usize| {
        let expected = oracle::floats(&reference[world]);
        let pairs = values[world * width..(world + 1) * width]
            .iter()
            .zip(&expected);
        let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        difference
            / expected
                .iter()
                .fold(1.0, |largest: f64, x| largest.max(x.abs()))
    };
    (0..worlds).map(world).collect()
}

fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}

#[test]
fn the_device_steps_like_mujoco() {
    let Some(context) = gpu::context() else {
        return;
    };
    let paths = MODELS.map(|name| format!("tests/models/{name}.xml"));
    let arguments: Vec<&str> = paths.iter().map(String::as_str).collect();
    let Some(reference) = oracle::run("rollout.py", &arguments) else {
        return;
    };
    for (index, path) in paths.iter().enumerate() {
        let (reference, model) = (&reference[index], model(path));
        let restarted = &reference["restarted"];
        let numbers = |name: &str| oracle::floats(&restarted[name]);
        let worlds = restarted["qpos"].as_array().expect("states").len();
        let mut physics = Physics::new(&model, worlds, Target::Gpu(&context)).unwrap();
        physics
            .set_state(&numbers("qpos"), &numbers("qvel"), &numbers("act"))
            .unwrap();
        physics.set_ctrl(&numbers("ctrl")).unwrap();
        physics.step(1).unwrap();
        let state = physics.fields().state;
        let read = |field: Field| physics.read(field).unwrap();
        for (name, field) in [
            ("next_qpos", state.qpos),
            ("next_qvel", state.qvel),
            ("next_act", state.act),
        ] {
            if field.is_empty() {
                continue;
            }
            let errors = errors(&read(field), &restarted[name]);
            let [median, high, worst] = [0.5, 0.99, 1.0].map(|part| quantile(errors.clone(), part));
            println!("{path} {name}: median {median:.1e}, 99 % {high:.1e}, maximum {worst:.1e}");
            // f32 rounding of positions of tens of metres and of limit forces with stiffness 1e4 and more.
            assert!(
                median <= 2e-5 && high <= 1e-3,
                "{path} {name}: median {median:e}, 99th percentile {high:e}"
            );
        }

        let free = &reference["free"];
        let worlds = free["ctrl"].as_array().expect("worlds").len();
        let start = |part: usize| -> Vec<f64> {
            (0..worlds)
                .flat_map(|world| oracle::floats(&free["start"][world][part]))
                .collect()
        };
        let mut physics = Physics::new(&model, worlds, Target::Gpu(&context)).unwrap();
        physics
            .set_state(&start(0), &start(1), &vec![0.0; worlds * model.na])
            .unwrap();
        physics.set_ctrl(&oracle::floats(&free["ctrl"])).unwrap();
        let steps = free["qpos"].as_array().expect("steps").len();
        let mut worst = vec![0.0f64; worlds];
        for step in 0..steps {
            physics.step(1).unwrap();
            for (name, field) in [("qpos", state.qpos), ("qvel", state.qvel)] {
                let errors = errors(&physics.read(field).unwrap(), &free[name][step]);
                worst
                    .iter_mut()
                    .zip(errors)
                    .for_each(|(worst, error)| *worst = worst.max(error));
            }
        }
        let rounded = oracle::floats(&free["rounded"][steps - 1]);
        let (ours, theirs) = (quantile(worst, 0.5), quantile(rounded, 0.5));
        println!("{path} after {steps} steps: {ours:.1e}, MuJoCo rounded to f32 {theirs:.1e}");
        // Every operation rounds here, only the state there: a constant factor, but the same growth.
        assert!(
            ours <= 5.0 * theirs + 1e-6,
            "{path}: {ours:e} against {theirs:e}"
        );
    }
}

/// Near a state in which two sets of rows have the same accelerations but for rounding, every world's solver converges.
///
/// The state is one of a random walk where exchanging rows went on for ever; by how much others must be off to be
/// as tied depends on the device's rounding.
#[test]
fn ties_are_solved_on_the_device() {
    const WORLDS: usize = 8192;
    const QPOS: [f32; 9] = [
        -0.148_858_62,
        1.093_016,
        -1.507_236_1,
        -1.619_280_5,
        -0.221_232_71,
        -0.345_062_5,
        -1.500_332_6,
        -0.004_110_627,
        -0.369_600_27,
    ];
    const QVEL: [f32; 9] = [
        0.303_361_06,
        -3.816_913,
        -26.865_217,
        -32.380_68,
        9.372_573,
        -15.142_723,
        -26.753_525,
        -1.793_269_2,
        -7.715_504_6,
    ];
    const CTRL: [f64; 6] = [
        0.860_514_3,
        -0.388_626_25,
        0.510_875_4,
        0.804_099_56,
        -0.867_880_17,
        0.895_225_7,
    ];
    let Some(context) = gpu::context() else {
        return;
    };
    let walker = Registry::builtin()
        .load("walker2d")
        .expect("it is built in");
    let mut physics = Physics::new(&Arc::new(walker.model), WORLDS, Target::Gpu(&context)).unwrap();
    let noise = |i: usize, world: usize| {
        let size = match world {
            0 => 0.0,
            _ => 10f64.powi(-3 - world as i32 % 5),
        };
        1.0 + size * (12.9 * i as f64 + 78.2 * world as f64).sin()
    };
    let qvel = |world| (0..QVEL.len()).map(move |i| f64::from(QVEL[i]) * noise(i, world));
    let qvel: Vec<f64> = (0..WORLDS).flat_map(qvel).collect();
    let qpos = QPOS.map(f64::from).repeat(WORLDS);
    physics.set_state(&qpos, &qvel, &[]).unwrap();
    physics.set_ctrl(&CTRL.repeat(WORLDS)).unwrap();
    physics.step(1).unwrap();
    let rounds = physics.contacts().unwrap().iterations;
    println!("at most {:?} rounds afterwards", rounds.iter().max());
    let status = physics.frames().unwrap().status;
    let failed: Vec<usize> = (0..WORLDS).filter(|&world| status[world] != 0).collect();
    assert!(failed.is_empty(), "{} worlds: {failed:?}", failed.len());
}
