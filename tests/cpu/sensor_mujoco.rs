//! Sensors, accelerations and wrenches of bodies, and sums over subtrees against MuJoCo's, from random states.

use std::sync::Arc;

use manyworlds::env::{Physics, Precision, Target};
use manyworlds::math::{Force, Vec3};
use manyworlds::model::{Cone, Model, Sensor};
use manyworlds::rigid::{self, Applied, Bodies, Parameters, StateFields};
use manyworlds::trace::{self, Field, Graph, HostMemory, Kind, Layout, Real};
use serde_json::Value;

use crate::oracle;
use crate::rigid_common::{errors, model};

/// A recorded [`rigid::forward`] with everything that follows from it in memory.
struct Sensed {
    graph: Graph,
    layout: Layout,
    state: StateFields,
    inputs: Vec<(&'static str, Field)>,
    outputs: Vec<(&'static str, Field)>,
}

/// Records what a model senses.
fn record(model: &Model) -> Sensed {
    rigid::check(model).expect("a model of these tests is supported");
    rigid::check_sensors(model).expect("its sensors are supported");
    let mut layout = Layout::new();
    let floats = layout.buffer("floats", Kind::F32);
    let integers = layout.buffer("integers", Kind::U32);
    let state = StateFields::declare(model, &mut layout, floats, integers);
    let mut field = |name: &str, components: usize| layout.field(floats, name, components);
    let ctrl = field("ctrl", model.nu);
    let qfrc = field("qfrc_applied", model.nv);
    let xfrc = field("xfrc_applied", 6 * model.nbody);
    let inputs = vec![
        ("qpos", state.qpos),
        ("qvel", state.qvel),
        ("act", state.act),
        ("time", state.time),
        ("ctrl", ctrl),
        ("qfrc", qfrc),
        ("xfrc", xfrc),
    ];
    let outputs = [
        ("sensordata", model.nsensordata),
        ("cacc", 6 * model.nbody),
        ("cfrc_ext", 6 * model.nbody),
        ("cfrc_int", 6 * model.nbody),
        ("cinert", 10 * model.nbody),
        ("cvel", 6 * model.nbody),
        ("subtree_com", 3 * model.nbody),
        ("subtree_linvel", 3 * model.nbody),
        ("subtree_angmom", 3 * model.nbody),
    ]
    .map(|(name, components)| (name, field(&format!("out_{name}"), components)))
    .to_vec();
    let graph = trace::record("sense", &layout, || {
        let wrench = |body: usize| {
            let numbers = xfrc.slice(6 * body, 6).load_all();
            Force::new(Vec3::from_slice(&numbers[3..]), Vec3::from_slice(&numbers))
        };
        let applied = Applied {
            xfrc: (0..model.nbody).map(wrench).collect(),
            qfrc: qfrc.load_all(),
        };
        let (parameters, now) = (Parameters::constant(model), state.load());
        let forward = rigid::forward(model, &parameters, &now, &ctrl.load_all(), &applied);
        let bodies = Bodies::new(model, &parameters, &forward.kinematics, &forward.cvel);
        let post = rigid::post_constraint(&bodies, &now, &applied, &forward);
        for (name, field) in &outputs {
            if *name == "sensordata" {
                let data = rigid::sensordata(model, &parameters, &now, &applied, &forward);
                field.store_all(&data);
                continue;
            }
            let width = field.len() / model.nbody;
            for body in 0..model.nbody {
                let numbers = match *name {
                    "cacc" => bodies.cacc(body, post.cacc[body]).to_array().to_vec(),
                    "cfrc_ext" => bodies.wrench(body, post.cfrc_ext[body]).to_array().to_vec(),
                    "cfrc_int" => bodies.wrench(body, post.cfrc_int[body]).to_array().to_vec(),
                    "cinert" => bodies.cinert(body).to_vec(),
                    "cvel" => bodies.cvel(body).to_array().to_vec(),
                    "subtree_com" => bodies.subtree_com(body).to_array().to_vec(),
                    "subtree_linvel" => bodies.subtree_linvel(body).to_array().to_vec(),
                    _ => bodies.subtree_angmom(body).to_array().to_vec(),
                };
                field.slice(width * body, width).store_all(&numbers);
            }
        }
    });
    Sensed {
        graph,
        layout,
        state,
        inputs,
        outputs,
    }
}

impl Sensed {
    /// Senses in each of the oracle's states.
    fn run<R: Real>(&self, reference: &Value) -> HostMemory<R> {
        let worlds = reference["qpos"].as_array().expect("states").len();
        let mut memory = HostMemory::<R>::new(&self.layout, worlds);
        for &(name, field) in &self.inputs {
            for world in 0..worlds {
                let values = oracle::floats(&reference[name][world]);
                assert_eq!(values.len(), field.len(), "{name}");
                for (component, value) in values.into_iter().enumerate() {
                    memory.set(field, component, world, value);
                }
            }
        }
        for world in 0..worlds {
            (0..self.state.active.len())
                .for_each(|word| memory.set_bits(self.state.active, word, world, u32::MAX));
        }
        self.graph.interpret(&mut memory, &[], 0..worlds);
        memory
    }
}

/// MuJoCo adds up the torques that the world gets about different points; only its forces mean something.
fn without_the_worlds_torque<R: Real>(reference: &Value, memory: &mut HostMemory<R>, field: Field) {
    for world in 0..memory.worlds() {
        let expected = oracle::floats(&reference[world]);
        (0..3).for_each(|k| memory.set(field, k, world, expected[k]));
    }
}

/// The component that differs most.
fn farthest(expected: &Value, found: &[f64]) -> usize {
    let expected = oracle::floats(expected);
    let distance = |k: usize| (expected[k] - found[k]).abs();
    (0..found.len())
        .max_by(|&a, &b| distance(a).total_cmp(&distance(b)))
        .unwrap_or(0)
}

/// Compares everything; returns how many contacts there were.
fn compare(names: &[&str], flags: &[&str]) -> Option<Vec<u64>> {
    let paths: Vec<String> = names
        .iter()
        .map(|name| format!("tests/models/{name}.xml"))
        .collect();
    let args: Vec<&str> = flags
        .iter()
        .copied()
        .chain(paths.iter().map(String::as_str))
        .collect();
    let reference = oracle::run("sensors.py", &args)?;
    let mut contacts = Vec::new();
    for (name, reference) in names.iter().zip(reference.as_array().expect("models")) {
        let mut model = model(name);
        if flags.contains(&"--elliptic") {
            model.opt.cone = Cone::Elliptic;
        }
        let sensed = record(&model);
        let mut exact = sensed.run::<f64>(reference);
        let mut single = sensed.run::<f32>(reference);
        for &(quantity, field) in &sensed.outputs {
            if quantity == "cfrc_int" {
                without_the_worlds_torque(&reference[quantity], &mut exact, field);
                without_the_worlds_torque(&reference[quantity], &mut single, field);
            }
            let worst = errors(&exact, field, &reference[quantity]);
            let (world, worst) = worst
                .into_iter()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .expect("worlds");
            assert!(
                worst <= 1e-8,
                "{name} {quantity}: error {worst:e} in f64, world {world}, component {}",
                farthest(&reference[quantity][world], &exact.row(field, world))
            );
            let mut rounded = errors(&single, field, &reference[quantity]);
            rounded.sort_by(f64::total_cmp);
            let median = rounded.get(rounded.len() / 2).copied().unwrap_or(0.0);
            eprintln!("{name} {quantity}: f64 {worst:.1e}, f32 median {median:.1e}");
            // The project's bound for accelerations in f32; forces and sensors follow from them.
            assert!(
                median <= 2e-5,
                "{name} {quantity}: median {median:e} in f32"
            );
        }
        let ncon = reference["ncon"].as_array().expect("counts");
        contacts.push(ncon.iter().filter_map(Value::as_u64).sum());
    }
    Some(contacts)
}

#[test]
fn sensors_match_mujoco() {
    compare(&["sensors"], &[]);
}

#[test]
fn sensors_match_mujoco_in_contact() {
    if let Some(contacts) = compare(&["sensors"], &["--near"]) {
        assert!(contacts[0] > 300, "{} contacts prove little", contacts[0]);
    }
}

/// Touch sensors and what bodies get from contacts, with elliptic cones.
#[test]
fn sensors_match_mujoco_with_elliptic_cones() {
    if let Some(contacts) = compare(&["sensors"], &["--near", "--elliptic"]) {
        assert!(contacts[0] > 300, "{} contacts prove little", contacts[0]);
    }
}

#[test]
fn wrenches_and_subtrees_match_mujoco() {
    compare(&["ball_chain", "humanoid_tree", "ant_tree", "swimmer"], &[]);
}

/// What [`Physics`] reads is of the present state, after a step too.
#[test]
fn physics_reads_its_sensors() {
    let model = Arc::new(model("sensors"));
    let mut physics = Physics::new(&model, 2, Target::Host(Precision::Double)).expect("worlds");
    let hip = model.sensor_adr[model
        .sensor_type
        .iter()
        .position(|kind| *kind == Sensor::JointPos)
        .expect("a sensor of the hip")];
    let clock = model.nsensordata - 2;
    let joint = model.jnt_names.id("hip").expect("the hip");
    physics.set_ctrl(&[0.5; 8]).expect("controls");
    for steps in 0..3 {
        let data = physics.sensordata().expect("sensors");
        let qpos = physics.read(physics.fields().state.qpos).expect("qpos");
        assert_eq!(data.len(), 2 * model.nsensordata);
        for world in 0..2 {
            let row = &data[world * model.nsensordata..][..model.nsensordata];
            let expected = qpos[world * model.nq + model.jnt_qposadr[joint]];
            assert!((row[hip] - expected).abs() < 1e-12);
            let time = f64::from(steps) * model.opt.timestep;
            assert!((row[clock] - time).abs() < 1e-12);
        }
        physics.step(1).expect("a step");
    }
}
