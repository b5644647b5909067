//! Randomized physics against MuJoCo: a model whose numbers are drawn steps as MuJoCo's does after the same numbers were
//! changed in its `mjModel` and `mj_setConst` computed what follows. The oracle finds by itself what an entry means.

use manyworlds::math::{Rng, random};
use manyworlds::model::Model;
use manyworlds::randomize::{self, Entry, Randomization, Source};
use manyworlds::rigid::Parameters;
use manyworlds::trace::{self, Bits, HostMemory, Mask, Var};
use serde_json::json;

use crate::oracle;
use crate::rigid_common::{Errors, Recorded, SINGLE, model, record_with};

const STATES: usize = 40;

/// Draws of world i from stream i.
struct Streams<'a> {
    model: &'a Model,
    base: Parameters,
    numbers: Vec<(String, f64)>,
}

impl Source for Streams<'_> {
    fn number(&self, key: &str) -> Var {
        let found = self.numbers.iter().find(|(known, _)| known == key);
        Var::from(found.unwrap_or_else(|| panic!("no number {key}")).1)
    }

    fn physics(&self) -> (&Model, &Parameters) {
        (self.model, &self.base)
    }

    fn rng(&self, purpose: &str) -> Rng {
        let key = random::Key {
            seed: [Bits::from(1), Bits::ZERO],
            stream: trace::world(),
            episode: Bits::ZERO,
            step: Bits::ZERO,
        };
        Rng::new(key, purpose)
    }

    fn begins(&self) -> Mask {
        Mask::from(true)
    }
}

fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let table = text.parse().expect("the test's entries are TOML");
    randomize::configure(&mut entries, &table).expect("the test's entries are right");
    entries
}

/// A substep of randomized worlds, and their randomization.
fn recorded(model: &Model, entries: &[Entry]) -> (Recorded, Randomization) {
    let randomization = Randomization::new(entries, model, &[]).expect("the entries fit the model");
    let recorded = record_with(model, randomization.len(), |field| {
        let source = Streams {
            model,
            base: Parameters::constant(model),
            numbers: entries.iter().flat_map(Entry::parameters).collect(),
        };
        let old = vec![Var::ZERO; randomization.len()];
        let drawn = randomization.begin(&source, &old);
        field.store_all(&drawn.draws);
        randomization.physics(model, &source.base, &drawn.draws)
    });
    (recorded, randomization)
}

/// Compares a step of `STATES` worlds, each with its own draws, with MuJoCo's.
fn check(name: &str, text: &str, limit: f64) {
    let (mut model, entries) = (model(name), entries(text));
    // Larger, bent bodies touch each other more often than the model's own.
    model.max_contact_points = Some(16);
    let (recorded, randomization) = recorded(&model, &entries);
    // What the worlds draw does not depend on their states.
    let mut memory = HostMemory::<f64>::new(&recorded.layout, STATES);
    recorded.graph.interpret(&mut memory, &[], 0..STATES);
    let draws: Vec<Vec<f64>> = (0..STATES)
        .map(|world| memory.row(recorded.draws, world)[..randomization.draws()].to_vec())
        .collect();
    let described: Vec<_> = entries
        .iter()
        .map(|entry| {
            json!({
                "field": entry.field, "names": entry.names, "components": entry.components,
                "operation": entry.operation.name(), "per": entry.per.name(),
            })
        })
        .collect();
    let given = json!({
        "model": format!("tests/models/{name}.xml"), "states": STATES, "seed": 3,
        "entries": described, "draws": draws, "count": randomization.draws(),
    });
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default().replace("::", "-");
    let file = std::env::temp_dir().join(format!("{test}-{}.json", std::process::id()));
    std::fs::write(&file, given.to_string()).expect("the description is written");
    let reference = oracle::run("randomized.py", &[file.to_str().expect("a path in UTF-8")]);
    std::fs::remove_file(&file).expect("the description is removed");
    let Some(reference) = reference else { return };
    let double = recorded.run::<f64>(&reference);
    let single = recorded.run::<f32>(&reference);
    recorded.assert_converged(&double);
    for (output, field) in recorded.outputs() {
        let what = format!("{name} {output}");
        Errors::new(what.clone(), &double, field, &reference[output]).assert_double(limit);
        Errors::new(what, &single, field, &reference[output])
            .assert_single([SINGLE[0], 10.0 * SINGLE[1]]);
    }
}

#[test]
fn masses_and_what_follows_from_them() {
    let text = "[mass]\nfield = \"body_mass\"\nscale.log_uniform = [0.25, 4]\n\
                [inertia]\nfield = \"body_inertia\"\nper = \"element\"\nscale.uniform = [0.9, 1.1]\n\
                [com]\nfield = \"body_ipos\"\nadd.normal = [0, 0.01]\n\
                [armature]\nfield = \"dof_armature\"\nscale.uniform = [0.5, 2]\n";
    check("humanoid_contact", text, 1e-8);
    check("closed_walker", text, 1e-8);
}

#[test]
fn joints() {
    let text = "[damping]\nfield = \"dof_damping\"\nscale.log_uniform = [0.3, 3]\n\
                [stiffness]\nfield = \"jnt_stiffness\"\nadd.uniform = [0, 5]\n\
                [rest]\nfield = \"qpos_spring\"\nadd.uniform = [-0.1, 0.1]\n\
                [range]\nfield = \"jnt_range\"\nadd.normal = [0, 0.02]\n\
                [anchor]\nfield = \"jnt_pos\"\nadd.uniform = [-0.01, 0.01]\n\
                [hard]\nfield = \"jnt_solref\"\nper = \"element\"\nscale.uniform = [1, 1.5]\n\
                [soft]\nfield = \"jnt_solimp\"\ncomponents = 2\nscale.uniform = [0.5, 2]\n";
    check("humanoid_contact", text, 1e-8);
}

#[test]
fn geometry_and_contact() {
    let text = "[size]\nfield = \"geom_size\"\ncomponents = 0\nscale.uniform = [0.9, 1.1]\n\
                [place]\nfield = \"geom_pos\"\nadd.uniform = [-0.01, 0.01]\n\
                [friction]\nfield = \"geom_friction\"\nscale.uniform = [0.3, 1.5]\n\
                [solref]\nfield = \"geom_solref\"\nper = \"world\"\ncomponents = 0\nscale.uniform = [1, 2]\n\
                [solimp]\nfield = \"geom_solimp\"\ncomponents = [0, 1]\nscale.uniform = [0.9, 1.0]\n\
                [margin]\nfield = \"geom_margin\"\nadd.uniform = [0, 0.01]\n\
                [body]\nfield = \"body_pos\"\nadd.uniform = [-0.02, 0.02]\n\
                [turn]\nfield = \"body_rotation\"\nadd.normal = [0, 0.02]\n";
    check("humanoid_contact", text, 1e-8);
    check("sphere_pile", text, 1e-8);
}

#[test]
fn actuators_and_the_world() {
    let text = "[gravity]\nfield = \"gravity\"\nadd.normal = [0, 0.4]\n\
                [step]\nfield = \"timestep\"\nscale.uniform = [0.5, 1.5]\n\
                [gain]\nfield = \"actuator_gainprm\"\ncomponents = 0\nscale.uniform = [0.5, 2]\n\
                [bias]\nfield = \"actuator_biasprm\"\ncomponents = [1, 2]\nscale.uniform = [0.5, 2]\n\
                [gear]\nfield = \"actuator_gear\"\nscale.uniform = [0.8, 1.2]\n\
                [force]\noptional = true\nfield = \"actuator_forcerange\"\nscale.uniform = [0.5, 1]\n\
                [ctrl]\noptional = true\nfield = \"actuator_ctrlrange\"\nscale.uniform = [0.5, 1]\n\
                [loss]\nfield = \"dof_frictionloss\"\nscale.uniform = [0.5, 4]\noptional = true\n";
    check("actuator_kinds", text, 1e-8);
    check("double_pendulum_servos", text, 1e-8);
}

#[test]
fn bodies_follow_their_geoms() {
    let text = "[size]\nfield = \"geom_size\"\nscale.uniform = [0.7, 1.4]\n\
                [place]\nfield = \"geom_pos\"\nadd.uniform = [-0.02, 0.02]\n\
                [mass]\nfield = \"body_mass\"\nscale.uniform = [0.5, 1.5]\n";
    check("humanoid_contact", text, 1e-8);
    check("elliptic_pile", text, 1e-6);
}
