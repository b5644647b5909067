//! One step with contacts against MuJoCo's, from states of random-action rollouts: accelerations, constraint forces and
//! every contact's geometry and force.

use manyworlds::model::Model;
use manyworlds::scene::mjcf;
use manyworlds::trace::HostMemory;
use serde_json::Value;

use crate::oracle;
use crate::rigid_common::{CONTACT, Recorded, compare, record, with_integrator};

const STATES: usize = 1000;
const ALL: [&str; 3] = ["Euler", "RK4", "implicitfast"];

/// Compares a model, of `tests/models/` or `gymnasium:NAME`, with MuJoCo.
fn matches_mujoco(name: &str, integrators: &[&str]) {
    let path = match name.strip_prefix("gymnasium:") {
        Some(_) => name.to_string(),
        None => format!("tests/models/{name}.xml"),
    };
    let states = STATES.to_string();
    let mut arguments = vec!["--states", &states];
    for integrator in integrators {
        arguments.extend(["--integrator", integrator]);
    }
    arguments.push(&path);
    let Some(references) = oracle::run("contact.py", &arguments) else {
        return;
    };
    for reference in references.as_array().expect("a list") {
        let file = reference["path"].as_str().expect("a path");
        let scene = mjcf::load(file).expect("the model loads");
        let model = Model::compile(&scene).expect("the model compiles");
        let integrator = reference["integrator"].as_str().expect("a name");
        let what = format!("{name} {integrator}");
        let touching = oracle::floats(&reference["ncon"]);
        let touching = touching.iter().filter(|&&ncon| ncon > 0.0).count();
        assert!(
            touching > STATES / 3,
            "{what}: contacts in {touching} states only"
        );

        let recorded = record(&with_integrator(&model, integrator));
        let (double, single) = (
            recorded.run::<f64>(reference),
            recorded.run::<f32>(reference),
        );
        recorded.assert_converged(&double);
        recorded.assert_converged(&single);
        let mut outputs = recorded.outputs().to_vec();
        outputs.push(("qfrc_constraint", recorded.qfrc_constraint));
        compare(&what, &outputs, (&double, 1e-8), &single, reference);
        contacts(&what, &recorded, &double, reference);
    }
}

/// Every contact that MuJoCo lists, in any order, and no other.
fn contacts(what: &str, recorded: &Recorded, memory: &HostMemory<f64>, reference: &Value) {
    for world in 0..memory.worlds() {
        let all = memory.row(recorded.contacts, world);
        let mut found: Vec<&[f64]> = all
            .chunks(CONTACT)
            .filter(|contact| contact[0] != 0.0)
            .map(|contact| &contact[1..])
            .collect();
        let listed = reference["contacts"][world].as_array().expect("a list");
        let ncon = memory.get_bits(recorded.ncon, 0, world) as usize;
        assert_eq!(
            [found.len(), ncon],
            [listed.len(); 2],
            "{what}: contacts of state {world}"
        );
        for expected in listed {
            let expected = oracle::floats(expected);
            let scale = |x: f64| x.abs().max(1.0);
            let same = |contact: &&[f64]| {
                let pairs = contact.iter().zip(&expected);
                pairs.clone().count() == expected.len()
                    && pairs
                        .into_iter()
                        .all(|(a, b)| (a - b).abs() < 1e-7 * scale(*b))
            };
            let at = found.iter().position(same);
            let Some(at) = at else {
                panic!("{what}: state {world}: no contact {expected:?} among {found:?}");
            };
            found.swap_remove(at);
        }
    }
}

#[test]
fn ant() {
    matches_mujoco("gymnasium:ant", &ALL);
}

#[test]
fn half_cheetah() {
    matches_mujoco("gymnasium:half_cheetah", &ALL);
}

/// Contacts between links of one branch, without and with friction.
#[test]
fn hopper() {
    matches_mujoco("gymnasium:hopper", &["Euler"]);
}

#[test]
fn walker2d() {
    matches_mujoco("gymnasium:walker2d", &["Euler"]);
}

/// Many more possible contacts between links than slots.
#[test]
fn humanoid() {
    matches_mujoco("humanoid_contact", &["Euler", "RK4"]);
}

/// Things that roll metres away from one another: a distance keeps its precision only near the origin it is taken from.
#[test]
fn contact_kinds() {
    matches_mujoco("contact_kinds", &ALL);
}

#[test]
fn sphere_stack() {
    matches_mujoco("sphere_stack", &["Euler"]);
}
