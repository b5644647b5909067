//! Policies in other worlds, as a user sweeps them.
#![cfg(feature = "learn")]

use serde_json::Value;

use crate::common::gpu;
use crate::program::{self, Folder};

/// The pole's mass is all that a policy without hidden layers and training feels here; actions stay small.
const GRID: &str = "[randomize.mass]\nfield = \"body_mass\"\nnames = \"pole*\"\nper = \"world\"\n\
                    scale.categorical = [0.5, 1.0, 4.0]\n\
                    [randomize.gain]\nfield = \"actuator_gear\"\nper = \"world\"\ncomponents = 0\n\
                    scale.categorical = [0.0, 1.0]\n";

#[test]
fn returns_are_told_by_value_and_policy() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-sweep");
    let run = |arguments: &[&str]| {
        let output = program::run_in(folder.path(), arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, errors)
    };
    for (name, randomize) in [("plain", "[]"), ("random", "[\"legged\"]")] {
        // A run that was trained with a preset is swept without it.
        let preset = match name {
            "plain" => "seed=1".to_owned(),
            _ => format!("randomize.preset={randomize}"),
        };
        let (output, errors) = run(&[
            "train", "cartpole", "--worlds", "64", "--steps", "40960", "--out", name, &preset,
        ]);
        assert!(output.status.success(), "{name}: {errors}");
    }
    folder.write("grid.toml", GRID);
    let sweep = [
        "sweep",
        "a=plain",
        "b=random",
        "--over",
        "grid.toml",
        "--episodes",
        "40",
    ];
    let (output, errors) = run(&[&sweep[..], &["--json", "--out", "sweep.png"]].concat());
    assert!(output.status.success(), "{errors}");
    let axes: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let names: Vec<&str> = axes
        .as_array()
        .unwrap()
        .iter()
        .map(|axis| axis["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["mass", "gain", "all together"]);
    let cells = &axes[1]["policies"][0][1];
    assert_eq!(
        (cells[0]["value"].as_f64(), cells[1]["value"].as_f64()),
        (Some(0.0), Some(1.0))
    );
    let episodes = |cell: &Value| cell["episodes"].as_u64().unwrap();
    assert_eq!(episodes(&cells[0]) + episodes(&cells[1]), 80);
    // Without a motor nobody balances a pole.
    let mean = |cell: &Value| cell["mean"].as_f64().unwrap();
    assert!(mean(&cells[0]) < mean(&cells[1]), "{cells}");
    assert!(folder.path().join("sweep.png").is_file());

    folder.write("empty.toml", "x = 1\n");
    let (output, errors) = run(&["sweep", "plain", "--over", "empty.toml"]);
    assert!(!output.status.success());
    assert!(
        errors.contains("empty.toml: no table [randomize.NAME]"),
        "{errors}"
    );
    folder.write(
        "uniform.toml",
        "[randomize.x]\nfield = \"body_mass\"\nscale.uniform = [1, 2]\n",
    );
    let (_, errors) = run(&["sweep", "plain", "--over", "uniform.toml"]);
    assert!(
        errors.contains("randomize.x: no values (say them as in scale.categorical"),
        "{errors}"
    );
}

#[test]
fn a_policy_is_evaluated_with_other_settings() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-eval-settings");
    let succeeds = |arguments: &[&str]| {
        let output = program::run_in(folder.path(), arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        output
    };
    succeeds(&[
        "train", "cartpole", "--worlds", "64", "--steps", "4096", "--out", "run",
    ]);
    let mean = |more: &[&str]| {
        let output = succeeds(&[&["eval", "run", "--episodes", "16", "--json"][..], more].concat());
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        report["mean_length"].as_f64().expect("a length")
    };
    assert_eq!(mean(&["max_episode_steps=5"]), 5.0);
    let heavy = "randomize.gain={field=\"actuator_gear\",components=0,scale.constant=0.0}";
    assert_ne!(mean(&[heavy]), mean(&[]));
}
