//! Several seeds as a user trains them: one run each, gone on with where they were stopped, and compared.
#![cfg(feature = "learn")]

use std::process::Output;

use serde_json::Value;

use crate::common::gpu;
use crate::program::{self, Folder};

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    program::run_in(folder.path(), arguments)
}

/// Runs the program, where it must succeed.
fn succeeds(folder: &Folder, arguments: &[&str]) -> Output {
    let output = run(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    output
}

const SMALL: [&str; 6] = [
    "train",
    "cartpole",
    "--worlds",
    "32",
    "network.actor=[16]",
    "network.critic=[16]",
];

fn evaluation(folder: &Folder, run: &str) -> Value {
    let path = folder.path().join(run).join("evaluation.json");
    serde_json::from_slice(&std::fs::read(path).expect("the run is evaluated")).expect("JSON")
}

#[test]
fn seeds_are_trained_one_after_another_resumed_and_compared() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-seeds");
    let train = |more: &[&str]| succeeds(&folder, &[&SMALL[..], more].concat());
    train(&["--seeds", "0..1", "--out", "group", "--steps", "3072"]);
    // A seed alone gives the run that it gives among others.
    train(&["--seed", "1", "--out", "alone", "--steps", "3072"]);
    assert_eq!(
        evaluation(&folder, "group/seed_1"),
        evaluation(&folder, "alone")
    );
    assert_ne!(
        evaluation(&folder, "group/seed_0"),
        evaluation(&folder, "group/seed_1")
    );

    // Seed 1 is as far as it should be, seed 0 has been stopped halfway, seed 2 has not begun.
    std::fs::remove_dir_all(folder.path().join("group/seed_0")).expect("seed 0");
    train(&["--seed", "0", "--out", "group/seed_0", "--steps", "1536"]);
    std::fs::remove_file(folder.path().join("group/seed_0/evaluation.json")).expect("evaluated");
    let resumed = succeeds(
        &folder,
        &[
            "train", "cartpole", "--seeds", "0..2", "--resume", "group", "--steps", "3072",
        ],
    );
    let told = String::from_utf8_lossy(&resumed.stderr);
    assert!(told.contains("seed 1: done already"), "{told}");
    assert!(!told.contains("seed 0: done already"), "{told}");
    train(&["--seeds", "0,2", "--out", "whole", "--steps", "3072"]);
    for seed in ["seed_0", "seed_2"] {
        let [parts, whole] =
            ["group", "whole"].map(|group| evaluation(&folder, &format!("{group}/{seed}")));
        assert_eq!(parts, whole, "{seed}");
    }
    let summary = String::from_utf8_lossy(&resumed.stdout);
    assert!(summary.contains("interquartile mean"), "{summary}");

    let report = succeeds(
        &folder,
        &[
            "compare",
            "all=group",
            "two=whole",
            "--out",
            "compare.png",
            "--json",
        ],
    );
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON alone");
    assert_eq!(report["scores"], "evaluation");
    let group = &report["groups"][0];
    assert_eq!(group["label"], "all");
    let runs = group["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 3);
    assert_eq!(
        runs[1]["score"],
        evaluation(&folder, "group/seed_1")["mean_return"]
    );
    let number = |value: &Value| value.as_f64().expect("a number");
    let value = number(&group["interquartile_mean"]);
    assert!(number(&group["interval"]["low"]) <= value);
    assert!(value <= number(&group["interval"]["high"]));
    let difference = value - number(&report["groups"][1]["interquartile_mean"]);
    assert!((number(&report["difference"]["value"]) - difference).abs() < 1e-9);
    let image = std::fs::read(folder.path().join("compare.png")).expect("a plot");
    assert!(image.starts_with(b"\x89PNG") && image.len() > 10_000);

    for (wrong, part) in [
        (
            &["train", "cartpole", "--seeds", "0..1", "--out", "group"][..],
            "--resume",
        ),
        (
            &["train", "cartpole", "--seeds", "0", "--resume", "alone"],
            "seed_",
        ),
        (&["train", "cartpole", "--seeds", "1,1"], "twice"),
        (&["train", "cartpole", "--seeds", "3..1"], "range"),
        (&["compare", "nowhere"], "no such folder"),
        (&["compare", "group", "--out", "compare.pdf"], "PNG"),
        (&["compare", "."], "no run here"),
    ] {
        let output = run(&folder, wrong);
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.trim_end().lines().last().unwrap_or_default();
        assert!(
            !output.status.success() && last.starts_with("error: ") && last.contains(part),
            "{wrong:?}: {errors}"
        );
    }
}
