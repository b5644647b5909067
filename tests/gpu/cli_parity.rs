//! `parity` on the device: every stage in contact, in single precision, within the bounds that the project states.

use std::path::Path;

use serde_json::Value;

use crate::common::gpu;
use crate::oracle;
use crate::program;

/// Models of `tests/models/` that touch a floor, each other and themselves: spheres alone; every kind of sensor; every
/// kind of contact.
const MODELS: [&str; 3] = ["sphere_stack", "sensors", "contact_kinds"];
/// Enough for a 99th percentile that one state does not make.
const STATES: u64 = 300;

#[test]
fn models_in_contact_agree_with_mujoco_on_the_device() {
    if gpu::context().is_none() || oracle::run("parity.py", &["packages", "gymnasium"]).is_none() {
        return;
    }
    let states = STATES.to_string();
    let mut arguments = vec!["parity", "--backend", "gpu", "--json", "--states", &states];
    let paths = MODELS.map(|name| format!("tests/models/{name}.xml"));
    arguments.extend(paths.iter().map(String::as_str));
    let output = program::run_in(Path::new(env!("CARGO_MANIFEST_DIR")), &arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let reports: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(reports.len(), MODELS.len());
    for report in &reports {
        let model = &report["model"];
        assert_eq!(report["states"], STATES, "{model}");
        let touching = report["in_contact"].as_u64().expect("a count");
        assert!(touching > STATES / 3, "{model}: only {touching} in contact");
        assert_eq!(report["unconverged"][1], 0, "{model}");
        let stages = report["stages"].as_array().expect("stages");
        let names: Vec<_> = stages
            .iter()
            .filter_map(|stage| stage["stage"].as_str())
            .collect();
        assert_eq!(names, ["xpos", "xquat", "contacts", "qacc", "sensordata"]);
        for stage in stages {
            let at = |name: &str| stage["gpu"][name].as_f64();
            assert!(
                at("median").is_some_and(|median| median <= 2e-5),
                "{model}: {stage}"
            );
            assert!(
                at("percentile_99").is_some_and(|rare| rare <= 1e-3),
                "{model}: {stage}"
            );
        }
        assert_eq!(report["verdict"], "agrees", "{model}");
    }
}
