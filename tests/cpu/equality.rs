//! Equality constraints against MuJoCo's, from states in which they nearly hold and in which they are broken by far:
//! their rows, one step with its forces, and linkages that stay closed.

use std::sync::Arc;

use manyworlds::env::{Physics, Precision, Target};
use manyworlds::math::{Force, Vec3};
use manyworlds::model::Model;
use manyworlds::rigid::{self, Applied, Bodies, Forward, Parameters, StateFields};
use manyworlds::trace::{self, Bits, Field, Graph, HostMemory, Kind, Layout, Real, Var};
use serde_json::Value;

use crate::oracle;
use crate::rigid_common::{errors, model, with_integrator};

const STATES: usize = 600;

/// A recorded substep with what equality constraints do in it.
struct Held {
    graph: Graph,
    layout: Layout,
    state: StateFields,
    inputs: Vec<(&'static str, Field)>,
    outputs: Vec<(&'static str, Field)>,
    /// Per row: constraint, violation, D, aref, force, Jacobian.
    rows: Field,
    converged: Field,
}

/// Records a substep of a model.
fn record(model: &Model) -> Held {
    rigid::check(model).expect("a model of these tests is supported");
    let mut layout = Layout::new();
    let floats = layout.buffer("floats", Kind::F32);
    let integers = layout.buffer("integers", Kind::U32);
    let state = StateFields::declare(model, &mut layout, floats, integers);
    let converged = layout.field(integers, "converged", 1);
    let mut field = |name: &str, components: usize| layout.field(floats, name, components);
    let (ctrl, qfrc) = (field("ctrl", model.nu), field("qfrc_applied", model.nv));
    let xfrc = field("xfrc_applied", 6 * model.nbody);
    let inputs = vec![
        ("qpos", state.qpos),
        ("qvel", state.qvel),
        ("act", state.act),
        ("mocap_pos", state.mocap_pos),
        ("mocap_quat", state.mocap_quat),
        ("ctrl", ctrl),
        ("qfrc", qfrc),
        ("xfrc", xfrc),
    ];
    let mut outputs = vec![
        ("next_qpos", state.qpos),
        ("next_qvel", state.qvel),
        ("next_act", state.act),
    ];
    let told = [
        ("qacc", model.nv),
        ("qfrc_constraint", model.nv),
        ("cfrc_ext", 6 * model.nbody),
        ("cfrc_int", 6 * (model.nbody - 1)),
        ("sensordata", model.nsensordata),
    ];
    outputs.extend(told.map(|(name, width)| (name, field(&format!("out_{name}"), width))));
    let rows = field("rows", 6 * model.neq * (5 + model.nv));
    let graph = trace::record("step", &layout, || {
        let wrench = |body: usize| {
            let numbers = xfrc.slice(6 * body, 6).load_all();
            Force::new(Vec3::from_slice(&numbers[3..]), Vec3::from_slice(&numbers))
        };
        let applied = Applied {
            xfrc: (0..model.nbody).map(wrench).collect(),
            qfrc: qfrc.load_all(),
        };
        let (parameters, now) = (Parameters::constant(model), state.load());
        let out = rigid::substep(model, &parameters, &now, &ctrl.load_all(), &applied);
        let start = &out.start;
        let bodies = Bodies::new(model, &parameters, &start.kinematics, &start.cvel);
        let post = rigid::post_constraint(&bodies, &now, &applied, start);
        let wrenches = |all: &[Force]| -> Vec<Var> {
            let flat = all.iter().enumerate();
            flat.flat_map(|(body, &wrench)| bodies.wrench(body, wrench).to_array())
                .collect()
        };
        for (name, field) in &outputs[3..] {
            field.store_all(&match *name {
                "qacc" => start.qacc.clone(),
                "qfrc_constraint" => start.qfrc_constraint.clone(),
                "cfrc_ext" => wrenches(&post.cfrc_ext),
                // MuJoCo adds up the torques that the world gets about different points.
                "cfrc_int" => wrenches(&post.cfrc_int).split_off(6),
                _ => rigid::sensordata(model, &parameters, &now, &applied, start),
            });
        }
        let flat = told_rows(start);
        rows.slice(0, flat.len()).store_all(&flat);
        state.store(&out.state);
        let flag = trace::select(start.converged, Bits::from(1), Bits::ZERO);
        converged.store_bits(0, flag);
    });
    Held {
        graph,
        layout,
        state,
        inputs,
        outputs,
        rows,
        converged,
    }
}

/// The rows as the oracle prints them.
fn told_rows(forward: &Forward) -> Vec<Var> {
    let mut flat = Vec::new();
    for held in &forward.equalities {
        for row in 0..held.pos.len() {
            flat.push(Var::from(held.id as f64));
            flat.extend([&held.pos, &held.stiffness, &held.aref, &held.force].map(|all| all[row]));
            flat.extend(&held.jacobian[row]);
        }
    }
    flat
}

impl Held {
    fn memory<R: Real>(&self, reference: &Value) -> HostMemory<R> {
        let worlds = reference["qpos"].as_array().expect("states").len();
        let mut memory = HostMemory::<R>::new(&self.layout, worlds);
        for world in 0..worlds {
            for &(name, field) in &self.inputs {
                let values = oracle::floats(&reference[name][world]);
                assert_eq!(values.len(), field.len(), "{name}");
                for (component, value) in values.into_iter().enumerate() {
                    memory.set(field, component, world, value);
                }
            }
            (0..self.state.active.len())
                .for_each(|word| memory.set_bits(self.state.active, word, world, u32::MAX));
        }
        memory
    }

    /// Takes one step from each of the oracle's states.
    fn run<R: Real>(&self, reference: &Value) -> HostMemory<R> {
        let mut memory = self.memory::<R>(reference);
        let worlds = memory.worlds();
        self.graph.interpret(&mut memory, &[], 0..worlds);
        let stuck = |&world: &usize| memory.get_bits(self.converged, 0, world) == 0;
        let stuck = (0..memory.worlds()).filter(stuck).count();
        assert_eq!(stuck, 0, "every solve ends");
        memory
    }

    /// The worst relative error over the states of each column of rows: violation, D, aref, force, Jacobian.
    fn row_errors(&self, memory: &HostMemory<f64>, reference: &Value) -> [f64; 5] {
        let mut worst = [0.0_f64; 5];
        for world in 0..memory.worlds() {
            let expected = reference["rows"][world].as_array().expect("rows");
            let found = memory.row(self.rows, world);
            let width = expected
                .first()
                .map_or(1, |row| row.as_array().map_or(1, Vec::len));
            assert!(
                found[expected.len() * width..].iter().all(|&x| x == 0.0),
                "as many rows"
            );
            let expected: Vec<Vec<f64>> = expected.iter().map(oracle::floats).collect();
            // Forces of rows come from one solve, and are as precise as the largest.
            let force = expected
                .iter()
                .fold(1.0_f64, |most, row| most.max(row[4].abs()));
            for (row, found) in expected.iter().zip(found.chunks(width)) {
                assert_eq!(row[0], found[0], "state {world}: which constraint");
                for (column, (a, b)) in row.iter().zip(found).enumerate().skip(1) {
                    let scale = if column == 4 { force } else { a.abs().max(1.0) };
                    let error = (a - b).abs() / scale;
                    let worst = &mut worst[(column - 1).min(4)];
                    *worst = if error.is_nan() {
                        f64::INFINITY
                    } else {
                        worst.max(error)
                    };
                }
            }
        }
        worst
    }
}

/// Compares a model with MuJoCo.
fn matches_mujoco(name: &str, integrators: &[&str]) {
    matches_within(name, integrators, |_| true);
}

/// The same; in single precision, only the outputs that are chosen by name.
fn matches_within(name: &str, integrators: &[&str], is_sharp: impl Fn(&str) -> bool) {
    let (path, states) = (format!("tests/models/{name}.xml"), STATES.to_string());
    let mut arguments = vec!["--states", &states];
    for integrator in integrators {
        arguments.extend(["--integrator", integrator]);
    }
    arguments.push(&path);
    let Some(references) = oracle::run("equality.py", &arguments) else {
        return;
    };
    let compiled = model(name);
    for reference in references.as_array().expect("a list") {
        let integrator = reference["integrator"].as_str().expect("a name");
        let what = format!("{name} {integrator}");
        let held = record(&with_integrator(&compiled, integrator));
        let exact = held.run::<f64>(reference);
        let worst = held.row_errors(&exact, reference);
        println!("{what}: pos, D, aref, force, J: {worst:.1?}");
        assert!(worst.iter().all(|&worst| worst < 1e-8), "{what}: {worst:?}");
        let single = held.run::<f32>(reference);
        for &(output, field) in &held.outputs {
            let [exact, single] = [
                errors(&exact, field, &reference[output]),
                errors(&single, field, &reference[output]),
            ]
            .map(|mut errors| {
                errors.sort_by(f64::total_cmp);
                errors
            });
            let (worst, median) = (exact[STATES - 1], single[STATES / 2]);
            let rare = single[STATES * 99 / 100];
            let line = format!(
                "{what} {output}: double precision {worst:.1e}; single: median {median:.1e}, 99 % {rare:.1e}"
            );
            println!("{line}");
            assert!(worst < 1e-8, "{line}");
            assert!(
                !is_sharp(output) || (median < 2e-5 && rare < 1e-3),
                "{line}"
            );
        }
    }
}

impl Held {
    /// How far the constraints are broken at the start of the last step.
    fn broken<R: Real>(&self, memory: &HostMemory<R>, world: usize, width: usize) -> f64 {
        let rows = memory.row(self.rows, world);
        let squares = rows.chunks(width).map(|row| row[1] * row[1]);
        squares.sum::<f64>().sqrt()
    }
}

/// Five hundred steps on, a loop is closed as well as MuJoCo keeps it, and is where MuJoCo has it.
fn stays_closed<R: Real>(reference: &Value, held: &Held, width: usize, tolerance: f64) {
    let mut memory = held.memory::<R>(reference);
    let broken = oracle::floats(&reference["broken"]);
    held.graph.interpret(&mut memory, &[], 0..broken.len());
    let mut worst = vec![0.0_f64; broken.len()];
    for _ in 0..500 {
        held.graph.interpret(&mut memory, &[], 0..broken.len());
        for (world, worst) in worst.iter_mut().enumerate() {
            *worst = worst.max(held.broken(&memory, world, width));
        }
    }
    let mut farthest = 0.0_f64;
    for (world, (ours, theirs)) in worst.iter().zip(&broken).enumerate() {
        assert!(
            (ours - theirs).abs() < tolerance * theirs.max(1e-3),
            "state {world}: broken by {ours:e}, in MuJoCo by {theirs:e}"
        );
        let last = oracle::floats(&reference["last_qpos"][world]);
        for (a, b) in last.iter().zip(memory.row(held.state.qpos, world)) {
            assert!(b.is_finite(), "state {world}");
            farthest = farthest.max((a - b).abs());
        }
    }
    let most = broken.iter().fold(0.0_f64, |most, &x| most.max(x));
    println!("broken by {most:e} m at most; positions differ by {farthest:e}");
    assert!(farthest < tolerance, "positions differ by {farthest:e}");
}

#[test]
fn a_four_bar_stays_closed() {
    let arguments = [
        "--states",
        "100",
        "--steps",
        "500",
        "tests/models/four_bar.xml",
    ];
    let Some(references) = oracle::run("equality.py", &arguments) else {
        return;
    };
    let model = model("four_bar");
    let held = record(&model);
    let reference = &references[0];
    stays_closed::<f64>(reference, &held, 5 + model.nv, 1e-7);
    stays_closed::<f32>(reference, &held, 5 + model.nv, 2e-2);
}

/// Closed loops in a plane: one row of the connection has no effect.
#[test]
fn four_bar() {
    matches_mujoco("four_bar", &["Euler", "RK4", "implicitfast"]);
}

#[test]
fn held_bodies() {
    matches_mujoco("held_bodies", &["Euler"]);
}

#[test]
fn gears() {
    matches_mujoco("gears", &["Euler", "implicitfast"]);
}

/// Mocap bodies that hold and push others, and carry a joint.
#[test]
fn dragged() {
    matches_mujoco("dragged", &["Euler", "RK4"]);
}

/// Whoever is welded to a mocap body follows it.
#[test]
fn a_mocap_body_drags() {
    let model = Arc::new(model("dragged"));
    let mut physics = Physics::new(&model, 2, Target::Host(Precision::Double)).expect("worlds");
    let body = |name: &str| model.body_names.id(name).expect("a body");
    let place = |physics: &mut Physics, name: &str, world: usize| {
        let xpos = physics.frames().expect("frames").xpos;
        let first = 3 * (world * model.nbody + body(name));
        [xpos[first], xpos[first + 1], xpos[first + 2]]
    };
    assert_eq!(place(&mut physics, "hand", 1), model.body_pos[body("hand")]);
    let [hand, pusher] = ["hand", "pusher"].map(|name| model.body_pos[body(name)]);
    let lifted = [hand[0], hand[1], hand[2] + 0.4];
    let pos = [hand, pusher, lifted, pusher].concat();
    physics
        .set_mocap(&pos, &[1.0, 0.0, 0.0, 0.0].repeat(4))
        .expect("poses");
    physics.step(1000).expect("steps");
    assert_eq!(place(&mut physics, "hand", 1), lifted);
    let heights = [0, 1].map(|world| place(&mut physics, "gripper", world)[2]);
    let rise = heights[1] - heights[0];
    assert!((rise - 0.4).abs() < 0.01, "the gripper rose by {rise} m");
    assert!(physics.set_mocap(&pos, &[1.0; 4]).is_err());
}

/// All forms with all defaults. Several hold one body in different places: their forces are large and nearly cancel in
/// any sum, which single precision cannot resolve, though accelerations are as precise as elsewhere.
#[test]
fn every_form() {
    let sums = ["qfrc_constraint", "cfrc_ext", "cfrc_int"];
    matches_within("equalities", &["Euler"], |output| !sums.contains(&output));
}

#[test]
fn with_contacts_and_limits() {
    matches_mujoco("closed_walker", &["Euler", "RK4"]);
}

#[test]
fn with_elliptic_cones() {
    matches_mujoco("closed_walker_elliptic", &["Euler"]);
}
