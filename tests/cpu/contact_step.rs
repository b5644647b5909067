//! One step with contacts against MuJoCo's, from states of random-action rollouts: accelerations, constraint forces and
//! every contact's geometry and force.

use manyworlds::model::{Cone, Model};
use manyworlds::scene::mjcf;
use manyworlds::trace::{HostMemory, Real};
use serde_json::Value;

use crate::oracle;
use crate::rigid_common::{CONTACT, Recorded, SINGLE, compare, record, with_integrator};

const ALL: [&str; 3] = ["Euler", "RK4", "implicitfast"];

/// What is compared with MuJoCo, and how well it must agree.
#[derive(Clone, Copy)]
struct Case<'a> {
    /// A model of `tests/models/`, or `gymnasium:NAME`.
    name: &'a str,
    integrators: &'a [&'a str],
    /// The cones and `impratio`, where not the model's own.
    cone: Option<(Cone, f64)>,
    /// Whether states are disturbed so that the last says nothing of the next.
    is_violent: bool,
    states: usize,
    /// The median and the 99th percentile that errors in single precision may have.
    single: [f64; 2],
}

const CASE: Case<'static> = Case {
    name: "",
    integrators: &["Euler"],
    cone: None,
    is_violent: false,
    states: 1000,
    single: SINGLE,
};

/// Compares a model with MuJoCo.
fn matches_mujoco(name: &str, integrators: &[&str]) {
    Case {
        name,
        integrators,
        ..CASE
    }
    .verify();
}

impl Case<'_> {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--states".to_string(), self.states.to_string()];
        for integrator in self.integrators {
            arguments.extend(["--integrator".to_string(), (*integrator).to_string()]);
        }
        if let Some((cone, impratio)) = self.cone {
            let cone = Cone::KEYWORDS.iter().find(|(_, known)| *known == cone);
            arguments.extend(["--cone".to_string(), cone.expect("a cone").0.to_string()]);
            arguments.extend(["--impratio".to_string(), impratio.to_string()]);
        }
        if self.is_violent {
            arguments.push("--violent".to_string());
        }
        arguments.push(match self.name.strip_prefix("gymnasium:") {
            Some(_) => self.name.to_string(),
            None => format!("tests/models/{}.xml", self.name),
        });
        arguments
    }

    fn verify(&self) {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let Some(references) = oracle::run("contact.py", &arguments) else {
            return;
        };
        for reference in references.as_array().expect("a list") {
            self.verify_against(reference);
        }
    }

    fn verify_against(&self, reference: &Value) {
        let file = reference["path"].as_str().expect("a path");
        let scene = mjcf::load(file).expect("the model loads");
        let mut model = Model::compile(&scene).expect("the model compiles");
        if let Some((cone, impratio)) = self.cone {
            (model.opt.cone, model.opt.impratio) = (cone, impratio);
        }
        let integrator = reference["integrator"].as_str().expect("a name");
        let what = format!("{} {:?} {integrator}", self.name, model.opt.cone);
        let touching = oracle::floats(&reference["ncon"]);
        let touching = touching.iter().filter(|&&ncon| ncon > 0.0).count();
        assert!(
            touching > self.states / 3,
            "{what}: contacts in {touching} states only"
        );

        let recorded = record(&with_integrator(&model, integrator));
        let (double, single) = (
            recorded.run::<f64>(reference),
            recorded.run::<f32>(reference),
        );
        recorded.assert_converged(&double);
        recorded.assert_converged(&single);
        rounds(&format!("{what}, from nothing"), &recorded, &double);
        rounds(&format!("{what}, single"), &recorded, &single);
        let mut outputs = recorded.outputs().to_vec();
        outputs.push(("qfrc_constraint", recorded.qfrc_constraint));
        let single = (&single, self.single);
        compare(&what, &outputs, (&double, 1e-8), single, reference);
        contacts(&what, &recorded, &double, reference);
        let mut later = double;
        recorded.graph.interpret(&mut later, &[], 0..self.states);
        rounds(&format!("{what}, a step later"), &recorded, &later);
    }
}

/// Prints how many rounds the solver takes.
fn rounds<R: Real>(what: &str, recorded: &Recorded, memory: &HostMemory<R>) {
    let worlds = memory.worlds();
    let of = |world: usize| memory.get_bits(recorded.iterations, 0, world);
    let sum: u32 = (0..worlds).map(of).sum();
    let most = (0..worlds).map(of).max();
    let mean = f64::from(sum) / worlds as f64;
    println!("{what}: {mean:.2} rounds, at most {}", most.unwrap_or(0));
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

/// Models with elliptic cones instead of their own.
#[test]
fn elliptic() {
    let cone = |impratio: f64| Some((Cone::Elliptic, impratio));
    let ant = Case {
        name: "gymnasium:ant",
        integrators: &ALL,
        cone: cone(1.0),
        states: 500,
        ..CASE
    };
    ant.verify();
    let stiff = Case {
        integrators: &["Euler"],
        cone: cone(10.0),
        ..ant
    };
    stiff.verify();
    for name in ["gymnasium:half_cheetah", "gymnasium:hopper", "sphere_stack"] {
        Case { name, ..stiff }.verify();
    }
    // Light bodies that roll, and an arm that slides, under friction ten times as stiff. Single precision: 4e-6 and 5e-5
    // measured for qacc; 2.1e-3 instead of 5e-5 where no step follows from contacts in their own directions.
    Case {
        name: "contact_kinds",
        ..stiff
    }
    .verify();
}

/// Every contact dimension, with the static world and between links, and `impratio`.
#[test]
fn elliptic_pile() {
    for impratio in [10.0, 1.0] {
        Case {
            name: "elliptic_pile",
            cone: Some((Cone::Elliptic, impratio)),
            states: 500,
            single: PILE,
            ..CASE
        }
        .verify();
    }
}

/// Single precision: 6e-6 measured for qacc, 1.9e-5 for its forces. With `impratio` 10 friction is stiffer by that
/// factor, and a force is what little a contact's acceleration lacks, times the stiffness.
const PILE: [f64; 2] = [3e-5, 1e-3];

/// States that the last does not lead to: every world's solve ends at MuJoCo's answer.
#[test]
fn violent() {
    let case = Case {
        is_violent: true,
        states: 500,
        ..CASE
    };
    for name in ["gymnasium:ant", "elliptic_pile", "contact_kinds"] {
        for cone in [Cone::Pyramidal, Cone::Elliptic] {
            Case {
                name,
                cone: Some((cone, 1.0)),
                ..case
            }
            .verify();
        }
    }
}
