//! The scripts of `tests/oracle/` that people run by hand do what they say.

use std::fs;
use std::path::PathBuf;

use ndarray::{Array1, Array2, ArrayD};
use ndarray_npy::NpzWriter;
use serde_json::json;

use crate::oracle;

/// A folder for one test's files, removed when the test passes.
fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("manyworlds-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A linear feedback that balances gymnasium's pendulum, written as a policy of two layers with every part of the format
/// in use: term scales, normalization, an activation that cancels (x = relu(x) − relu(−x)), action scale and offset.
#[test]
fn an_exported_policy_acts_in_gymnasium() {
    let folder = scratch("gym-eval");
    // Newtons for metres, radians and their rates; the scales of the terms, the statistics of the scaled terms.
    let gain: [f64; 4] = [0.6, 12.0, 1.2, 2.0];
    let term_scale = [2.0, 2.0, 0.5, 0.5];
    let mean = [0.1, -0.2, 0.3, 0.4];
    let scale = [1.5, 2.0, 3.0, 4.0];
    let (action_scale, action_offset) = (2.0, -0.1);

    let weight: Vec<f64> = (0..4)
        .map(|i| gain[i] / (term_scale[i] * scale[i] * action_scale))
        .collect();
    let bias: f64 = (0..4)
        .map(|i| gain[i] * mean[i] / (term_scale[i] * action_scale))
        .sum();
    let file = fs::File::create(folder.join("policy.npz")).unwrap();
    let mut arrays = NpzWriter::new(file);
    let mut add = |name: &str, array: ArrayD<f64>| {
        arrays.add_array(name, &array.mapv(|x| x as f32)).unwrap();
    };
    add("obs_mean", Array1::from_iter(mean).into_dyn());
    add("obs_scale", Array1::from_iter(scale).into_dyn());
    add(
        "weight_0",
        Array2::from_shape_fn((4, 2), |(i, j)| [weight[i], -weight[i]][j]).into_dyn(),
    );
    add("bias_0", Array1::from_iter([bias, -bias]).into_dyn());
    add(
        "weight_1",
        Array2::from_shape_fn((2, 1), |(i, _)| [1.0, -1.0][i]).into_dyn(),
    );
    add(
        "bias_1",
        Array1::from_iter([-action_offset / action_scale]).into_dyn(),
    );
    add("log_std", Array1::from_iter([0.0]).into_dyn());
    arrays.finish().unwrap();
    let mut policy = json!({
        "format": "manyworlds-policy-1",
        "task": "inverted_pendulum",
        "arrays": "policy.npz",
        "control_dt": 0.04,
        "observation": {
            "dim": 4,
            "terms": [
                { "name": "position", "dim": 2, "scale": 2.0 },
                { "name": "velocity", "dim": 2, "scale": 0.5 },
            ],
            "clip": null,
        },
        "actions": [{ "name": "slide", "scale": action_scale, "offset": action_offset }],
        "network": { "layers": 2, "activation": "relu" },
        "details": {},
    });
    let path = folder.join("policy.json");
    let mut mean_return = |scale: f64| {
        policy["actions"][0]["scale"] = json!(scale);
        fs::write(&path, policy.to_string()).unwrap();
        let args = [path.to_str().unwrap(), "--episodes", "3", "--seed", "1"];
        Some(
            oracle::run("gym_eval.py", &args)?["mean_return"]
                .as_f64()
                .unwrap(),
        )
    };
    if let (Some(right), Some(wrong)) = (mean_return(action_scale), mean_return(-action_scale)) {
        // 1,000 steps of reward 1 is all that an episode has.
        assert_eq!(right, 1000.0);
        assert!(wrong < 50.0, "{wrong}");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// A policy that does nothing, in dm_control: episodes of the right length and reward, begun as there and as here.
#[test]
fn an_exported_policy_acts_in_dm_control() {
    let folder = scratch("dm-eval");
    let mut arrays = NpzWriter::new(fs::File::create(folder.join("policy.npz")).unwrap());
    let zeros = |shape: &[usize]| ArrayD::<f32>::zeros(shape);
    arrays.add_array("obs_mean", &zeros(&[17])).unwrap();
    arrays
        .add_array("obs_scale", &(zeros(&[17]) + 1.0))
        .unwrap();
    arrays.add_array("weight_0", &zeros(&[17, 6])).unwrap();
    arrays.add_array("bias_0", &zeros(&[6])).unwrap();
    arrays.finish().unwrap();
    let action = json!({ "name": "motor", "scale": 1.0, "offset": 0.0 });
    let policy = json!({
        "format": "manyworlds-policy-1",
        "task": "cheetah_run",
        "arrays": "policy.npz",
        "control_dt": 0.01,
        "observation": { "dim": 17, "terms": [{ "name": "state", "dim": 17, "scale": 1.0 }], "clip": null },
        "actions": vec![action; 6],
        "network": { "layers": 1, "activation": "linear" },
    });
    let path = folder.join("policy.json");
    fs::write(&path, policy.to_string()).unwrap();
    let arguments = [path.to_str().unwrap(), "--episodes", "1", "--unsettled"];
    let reports: Vec<_> = [3, 4]
        .iter()
        .filter_map(|count| oracle::run("gym_eval.py", &arguments[..*count]))
        .collect();
    if let [settled, unsettled] = reports.as_slice() {
        assert_eq!(settled["mean_length"], json!(1000.0));
        assert_eq!(unsettled["mean_length"], json!(1000.0));
        let earned = |report: &serde_json::Value| report["mean_return"].as_f64().unwrap();
        // Who lies still after settling earns nothing; a fall moves the centre of mass a little.
        assert!(earned(settled) < 1.0, "{}", earned(settled));
        let fall = earned(unsettled);
        assert!(earned(settled) < fall && fall < 50.0, "{fall}");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// The worlds that `examples/mujoco_worlds.rs` learns from are gymnasium's.
#[test]
fn worlds_in_a_pipe_are_gymnasiums() {
    for env in ["Hopper-v5", "HalfCheetah-v5", "Walker2d-v5"] {
        let Some(report) = oracle::run("worlds.py", &[env, "4", "--threads", "1", "--check"])
        else {
            return;
        };
        let largest = report["largest"].as_f64().unwrap();
        // The same operations of the same program: rounding of sums at most.
        assert!(largest < 1e-12, "{env}: {largest}");
    }
}

#[test]
fn the_speed_of_mujoco_is_measured() {
    let folder = scratch("rollout-bench");
    let model = folder.join("box.xml");
    fs::write(
        &model,
        "<mujoco><worldbody><geom type='plane' size='5 5 1'/>\
         <body pos='0 0 0.2'><freejoint/><geom type='box' size='.1 .1 .1'/></body></worldbody></mujoco>",
    )
    .unwrap();
    let args = [
        model.to_str().unwrap(),
        "--worlds",
        "4",
        "--steps",
        "50",
        "--repeats",
        "3",
    ];
    if let Some(report) = oracle::run("mujoco_rollout_bench.py", &args) {
        let speed = |figure: &str| report["steps_per_second"][figure].as_f64().unwrap();
        assert!(
            0.0 < speed("min")
                && speed("min") <= speed("median")
                && speed("median") <= speed("max")
        );
        assert!(report["steps_per_cpu_second"]["median"].as_f64().unwrap() > 0.0);
        assert_eq!(report["unstable"], json!(false));
        assert_eq!(report["nv"], json!(6));
    }
    fs::remove_dir_all(folder).unwrap();
}
