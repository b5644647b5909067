//! `parity` on the host: what agrees is found to agree, and what does not is found out.

use serde_json::Value;

use crate::oracle;
use crate::program::{self, Folder};

/// A ball on a floor and a pendulum that touches nothing.
const MODEL: &str = r#"<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1"/>
    <body pos="0 0 0.1">
      <freejoint/>
      <geom size="0.1" mass="1"/>
      <site name="skin" size="0.11"/>
    </body>
    <body pos="3 0 2">
      <joint name="hinge" axis="0 1 0" damping="0.1"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.05" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator><motor joint="hinge" ctrllimited="true" ctrlrange="-2 2"/></actuator>
  <sensor><touch site="skin"/><jointvel joint="hinge"/></sensor>
</mujoco>"#;

/// The only report of a run with `--json`; none without an oracle.
fn report(folder: &Folder, arguments: &[&str]) -> Option<Value> {
    // Skips where there is no MuJoCo, loudly.
    oracle::run("parity.py", &["packages", "gymnasium"])?;
    let parity = ["parity", "--backend", "host", "--json", "--states", "100"];
    let output = program::run_in(folder.path(), &[&parity, arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let mut reports: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(reports.len(), 1);
    reports.pop()
}

fn errors<'r>(report: &'r Value, stage: &str) -> &'r Value {
    let stages = report["stages"].as_array().expect("stages");
    let found = stages.iter().find(|found| found["stage"] == stage);
    &found.expect("the stage is there")["host"]
}

#[test]
fn a_model_in_contact_agrees_with_mujoco() {
    let folder = Folder::new("cli-parity");
    folder.write("model.xml", MODEL);
    let Some(report) = report(&folder, &["model.xml"]) else {
        return;
    };
    assert_eq!(report["verdict"], "agrees", "{report}");
    assert_eq!(report["states"], 100);
    assert!(report["in_contact"].as_u64() > Some(20), "{report}");
    for stage in ["xpos", "xquat", "contacts", "qacc", "sensordata"] {
        let max = errors(&report, stage)["max"].as_f64();
        assert!(max.is_some_and(|max| max <= 1e-8), "{stage}: {report}");
    }
}

/// A ball that turns and slides with its lowest point at the height of the floor: whether it touches is up to the last
/// bit of MuJoCo's own rounding, and either of its answers is right.
#[test]
fn undecided_contacts_are_no_disagreement() {
    let folder = Folder::new("cli-parity-undecided");
    folder.write(
        "model.xml",
        r#"<mujoco>
          <worldbody>
            <geom type="plane" size="5 5 1"/>
            <body>
              <joint type="slide" axis="1 0 0"/>
              <joint axis="0 0 1"/>
              <geom pos="0 0 0.5" size="0.5"/>
            </body>
          </worldbody>
        </mujoco>"#,
    );
    let Some(report) = report(&folder, &["model.xml"]) else {
        return;
    };
    assert_eq!(report["undecided"], 100, "{report}");
    assert!(report["in_contact"].as_u64() > Some(5), "{report}");
    assert_eq!(report["verdict"], "agrees", "{report}");
}

/// Recorded states of another model of the same sizes are states like any others; of other sizes they are refused.
#[test]
fn recorded_states_are_taken() {
    let folder = Folder::new("cli-parity-recorded");
    folder.write("model.xml", MODEL);
    let mut qpos = ndarray::ArrayD::<f64>::zeros(vec![4, 3, 8]);
    for (i, mut state) in qpos.rows_mut().into_iter().enumerate() {
        state[2] = 0.09 + 0.01 * i as f64;
        state[3] = 1.0;
        state[7] = i as f64;
    }
    let qvel = ndarray::ArrayD::<f64>::from_elem(vec![4, 3, 7], 0.5);
    folder.write_arrays("states.npz", &[("qpos", qpos), ("qvel", qvel)]);
    let Some(report) = report(&folder, &["model.xml", "--from", "states.npz"]) else {
        return;
    };
    assert_eq!(report["states"], 12);
    // Heights of 0.09 and, at the rounded distance of zero, perhaps 0.1 are in the floor.
    assert!((1..=2).contains(&report["in_contact"].as_u64().expect("a count")));
    assert_eq!(report["verdict"], "agrees", "{report}");

    folder.write_npz("wrong.npz", &[("qpos", &[4, 3, 5]), ("qvel", &[4, 3, 7])]);
    let output = program::run_in(
        folder.path(),
        &[
            "parity",
            "model.xml",
            "--backend",
            "host",
            "--from",
            "wrong.npz",
        ],
    );
    let told = String::from_utf8_lossy(&output.stderr);
    let last = told.trim_end().lines().last().unwrap_or_default();
    assert!(
        !output.status.success() && last.starts_with("error: "),
        "{told}"
    );
    assert!(last.contains("wrong.npz"), "{told}");
}

/// Contacts of convex shapes in which MuJoCo's iterations end early are measured, not excused: the states agree with what
/// MuJoCo computes from ours.
#[test]
fn contacts_that_differ_are_explained() {
    let folder = Folder::new("cli-parity-explained");
    let model =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/convex_pile.xml");
    let Some(report) = report(&folder, &[model.to_str().expect("a path in UTF-8")]) else {
        return;
    };
    let explanation = &report["explanation"];
    let count = |name: &str| explanation[name].as_u64().expect("a count");
    assert!(count("states") > 20, "{report}");
    assert_eq!(count("explained"), count("states"), "{report}");
    assert_eq!(report["verdict"], "agrees", "{report}");
}

/// A contact that is none explains nothing.
#[test]
fn wrong_contacts_are_not_explained() {
    let folder = Folder::new("cli-parity-wrong");
    let model =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/convex_pile.xml");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, states, ours, out) = (
        model.display().to_string(),
        path("states.npz"),
        path("ours.npz"),
        path("out.npz"),
    );
    let asked = oracle::run("parity.py", &["states", &model, &states, "--states", "1"]);
    if asked.is_none() {
        return;
    }
    let array = |shape: &[usize], values: &[f64]| {
        ndarray::ArrayD::from_shape_vec(shape.to_vec(), values.to_vec()).expect("it fits")
    };
    folder.write_arrays(
        "ours.npz",
        &[
            ("state", array(&[1], &[0.0])),
            ("ncon", array(&[1], &[1.0])),
            ("geom", array(&[1, 1, 2], &[5.0, 6.0])),
            ("dist", array(&[1, 1], &[-0.01])),
            ("pos", array(&[1, 1, 3], &[0.0, 0.0, 1.0])),
            ("normal", array(&[1, 1, 3], &[0.0, 0.0, 1.0])),
            ("tangent", array(&[1, 1, 3], &[1.0, 0.0, 0.0])),
        ],
    );
    let told = oracle::run("parity.py", &["explain", &model, &states, &ours, &out]);
    assert_eq!(told.expect("it answered before")["explained"], 0);
}
