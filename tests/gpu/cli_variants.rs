//! A task with variants of its model, as a user trains and looks at it.
#![cfg(feature = "learn")]

use serde_json::Value;

use crate::common::gpu;
use crate::program::{self, Folder};

const SETTINGS: [&str; 5] = [
    "variants.own={}",
    "variants.heavy.geom.pole.density=4000",
    "variants.long={share=2,geom={pole={fromto=[0,0,0,0.001,0,0.9]}}}",
    "variants.ball={geom={pole={type=\"sphere\",fromto=\"\",pos=[0,0,0.5],size=0.1}}}",
    "variants.observe=critic",
];

#[test]
fn variants_are_trained_evaluated_and_resumed() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-variants");
    let run = |arguments: &[&str]| {
        let output = program::run_in(folder.path(), arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, errors)
    };
    let (output, errors) = run(&[&["info", "cartpole", "--json"], &SETTINGS[..]].concat());
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let names = |kernel: &Value| kernel["variants"].as_array().map_or(0, Vec::len);
    assert_eq!(names(&report["kernel"]), 3, "{report}");
    assert_eq!(names(&report["other_kernels"][0]), 1, "{report}");

    let start = [
        "train", "cartpole", "--worlds", "80", "--steps", "40960", "--out", "whole",
    ];
    let (output, errors) = run(&[&start, &SETTINGS[..]].concat());
    assert!(output.status.success(), "{errors}");
    let (output, errors) = run(&["eval", "whole", "--episodes", "10", "--json"]);
    assert!(output.status.success(), "{errors}");
    let results: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let told = |results: &Value| -> Vec<(String, u64)> {
        let variants = results["variants"].as_array().expect("variants");
        let of_one = |variant: &Value| {
            let name = variant["name"].as_str().unwrap().to_owned();
            (name, variant["episodes"].as_u64().unwrap())
        };
        variants.iter().map(of_one).collect()
    };
    let expected = [("own", 2), ("heavy", 2), ("long", 4), ("ball", 2)];
    assert_eq!(
        told(&results),
        expected.map(|(name, count)| (name.to_owned(), count))
    );

    // The same policy among others.
    let others = [
        "variants.own.share=0",
        "variants.long.share=0",
        "variants.heavy.share=0",
    ];
    let (output, errors) =
        run(&[&["eval", "whole", "--episodes", "3", "--json"], &others[..]].concat());
    assert!(output.status.success(), "{errors}");
    let results: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told(&results), [("ball".to_owned(), 3)]);

    // A run that is stopped and resumed is the run that was not.
    let half = [
        "train", "cartpole", "--worlds", "80", "--steps", "20480", "--out", "half",
    ];
    let (output, errors) = run(&[&half, &SETTINGS[..]].concat());
    assert!(output.status.success(), "{errors}");
    let (output, errors) = run(&["train", "cartpole", "--resume", "half", "--steps", "40960"]);
    assert!(output.status.success(), "{errors}");
    let returns = |name: &str| -> Vec<String> {
        let path = folder.path().join(name).join("metrics.csv");
        let text = std::fs::read_to_string(path).expect("metrics");
        let mut lines = text.lines();
        let head = lines
            .next()
            .expect("names")
            .split(',')
            .position(|name| name == "return");
        let column = head.expect("a return");
        lines
            .map(|line| line.split(',').nth(column).expect("a value").to_owned())
            .collect()
    };
    assert_eq!(returns("half"), returns("whole"));

    let (output, errors) = run(&["train", "cartpole", "variants.a.geom.pool.size=1"]);
    assert!(!output.status.success());
    assert!(errors.contains("did you mean `pole`"), "{errors}");
}
