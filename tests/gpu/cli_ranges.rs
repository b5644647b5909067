//! A run whose ranges moved, evaluated: where they ended, where they began, and where the user says.
#![cfg(feature = "learn")]

use serde_json::Value;

use crate::common::gpu;
use crate::program::{self, Folder};

/// Any episode is long enough: all edges move outwards by a step whenever they are looked at, up to their limits.
const SETTINGS: [&str; 3] = [
    "randomize.gain={field=\"actuator_gainprm\",components=0,scale.uniform=[1,1],adr={limits=[0.3,1],step=0.3}}",
    "randomize.mass={field=\"body_mass\",names=\"pole\",scale.uniform=[1,1],adr={limits=[1,9],step=8}}",
    "randomize.adr={metric=\"length\",low=-2,high=-1,episodes=1}",
];

#[test]
fn a_policy_is_evaluated_in_the_ranges_that_its_training_reached() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-ranges");
    let run = |arguments: &[&str]| {
        let output = program::run_in(folder.path(), arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        (output.stdout, errors)
    };
    let small = [
        "train",
        "cartpole",
        "--out",
        "run",
        "worlds=64",
        "network.actor=[16]",
        "network.critic=[16]",
        "ppo.horizon=64",
        "steps=16384",
        "log.checkpoint_interval=2",
    ];
    let (_, errors) = run(&[&small[..], &SETTINGS].concat());
    let moved = "as training had moved them (--ranges initial: as they began): \
                 randomize.gain.scale.uniform = [0.3, 1], randomize.mass.scale.uniform = [1, 9]";
    assert!(errors.contains(moved), "{errors}");

    let eval = |run_or_checkpoint: &str, more: &[&str]| {
        let (output, errors) = run(&[
            &["eval", run_or_checkpoint, "--episodes", "32", "--json"],
            more,
        ]
        .concat());
        let report: Value = serde_json::from_slice(&output).expect("JSON");
        (report["returns"].clone(), errors)
    };
    let (reached, errors) = eval("run", &[]);
    assert!(errors.contains(moved), "{errors}");
    let (initial, errors) = eval("run", &["--ranges", "initial"]);
    assert!(!errors.contains("moved"), "{errors}");
    assert_ne!(reached, initial);
    // What training reached is what says the same in so many words; and words win.
    let words = |gain: &str, mass: &str| {
        [
            format!("randomize.gain.scale.uniform={gain}"),
            format!("randomize.mass.scale.uniform={mass}"),
        ]
    };
    for (from, [gain, mass], expected) in [
        ("initial", words("[0.3,1]", "[1,9]"), &reached),
        ("reached", words("[1,1]", "[1,1]"), &initial),
    ] {
        let (found, _) = eval("run", &["--ranges", from, &gain, &mass]);
        assert_eq!(found, *expected, "{from}");
    }
    // An earlier checkpoint had come less far.
    let early = "run/checkpoints/iteration_000002";
    let (free, errors) = eval(early, &[]);
    let line = |errors: &str| {
        errors
            .lines()
            .find(|line| line.contains("moved them"))
            .map(str::to_owned)
    };
    assert_ne!(line(&errors), Some(moved.to_owned()), "{errors}");
    // Nobody was at an edge, unless the user wants it as in training.
    let (held, _) = eval(early, &["randomize.adr.boundary_share=1"]);
    assert_ne!(held, free);
    let (none, _) = eval(early, &["randomize.adr.boundary_share=0"]);
    assert_eq!(none, free);
}
