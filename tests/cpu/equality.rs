//! Equality constraints against MuJoCo's, from states in which they nearly hold and in which they are broken by far:
//! their rows, one step with its forces, linkages that stay closed, and constraints that are switched on and off.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use manyworlds::env::{Physics, Precision, Target};
use manyworlds::math::{Force, Vec3};
use manyworlds::model::Model;
use manyworlds::rigid::{self, Applied, Bodies, Forward, Parameters, StateFields};
use manyworlds::trace::{self, Bits, Field, Graph, HostMemory, Kind, Layout, Real, Var};
use ndarray::{ArrayD, Axis};
use ndarray_npy::NpzReader;
use serde_json::Value;

use crate::oracle;
use crate::program::{Folder, run_in};
use crate::rigid_common::{errors, model, with_integrator};

const STATES: usize = 600;

/// A recorded substep with what equality constraints do in it.
struct Held {
    graph: Graph,
    layout: Layout,
    state: StateFields,
    inputs: Vec<(&'static str, Field)>,
    outputs: Vec<(&'static str, Field)>,
    /// Per row: constraint, violation, D, aref, force, Jacobian; `width` numbers in all.
    rows: Field,
    width: usize,
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
        width: 5 + model.nv,
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
            let active = reference["eq_active"][world].as_array().expect("flags");
            for (id, active) in active.iter().enumerate() {
                let active = active.as_bool().expect("a flag");
                memory.set_bits(self.state.eq_active, id, world, active.into());
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
            // MuJoCo has no rows of constraints that are off; ours are of no stiffness.
            let rows = found.chunks(self.width).filter(|row| row[2] != 0.0);
            assert_eq!(rows.clone().count(), expected.len(), "as many rows");
            let expected: Vec<Vec<f64>> = expected.iter().map(oracle::floats).collect();
            // Forces of rows come from one solve, and are as precise as the largest.
            let force = expected
                .iter()
                .fold(1.0_f64, |most, row| most.max(row[4].abs()));
            for (row, found) in expected.iter().zip(rows) {
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
    compare(name, integrators, &[]);
}

/// Compares a model with MuJoCo where random ones of its constraints hold in each state, whatever the model says.
fn matches_when_switched(name: &str, integrators: &[&str]) {
    compare(name, integrators, &["--switch"]);
}

fn compare(name: &str, integrators: &[&str], options: &[&str]) {
    let (path, states) = (format!("tests/models/{name}.xml"), STATES.to_string());
    let mut arguments = [&["--states", &states], options].concat();
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
        let what = [&[name, integrator], options].concat().join(" ");
        let held = record(&with_integrator(&compiled, integrator));
        let exact = held.run::<f64>(reference);
        let worst = held.row_errors(&exact, reference);
        println!("{what}: pos, D, aref, force, J: {worst:?}");
        assert!(worst.iter().all(|&worst| worst < 1e-9), "{what}: {worst:?}");
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
            assert!(worst < 1e-9, "{line}");
            assert!(median < 2e-5 && rare < 1e-3, "{line}");
        }
    }
}

impl Held {
    /// How far the constraints are broken at the start of the last step.
    fn broken<R: Real>(&self, memory: &HostMemory<R>, world: usize) -> f64 {
        let rows = memory.row(self.rows, world);
        let squares = rows.chunks(self.width).map(|row| row[1] * row[1]);
        squares.sum::<f64>().sqrt()
    }
}

/// Five hundred steps on, a loop is closed as well as MuJoCo keeps it, and is where MuJoCo has it.
fn stays_closed<R: Real>(reference: &Value, held: &Held, tolerance: f64) {
    let mut memory = held.memory::<R>(reference);
    let broken = oracle::floats(&reference["broken"]);
    held.graph.interpret(&mut memory, &[], 0..broken.len());
    let mut worst = vec![0.0_f64; broken.len()];
    for _ in 0..500 {
        held.graph.interpret(&mut memory, &[], 0..broken.len());
        for (world, worst) in worst.iter_mut().enumerate() {
            *worst = worst.max(held.broken(&memory, world));
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
    stays_closed::<f64>(reference, &held, 1e-7);
    stays_closed::<f32>(reference, &held, 2e-2);
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

/// All forms with all defaults, several against each other.
#[test]
fn every_form() {
    matches_mujoco("equalities", &["Euler"]);
}

#[test]
fn with_contacts_and_limits() {
    matches_mujoco("closed_walker", &["Euler", "RK4"]);
}

#[test]
fn with_elliptic_cones() {
    matches_mujoco("closed_walker_elliptic", &["Euler"]);
}

/// Every form on and off, alone and together.
#[test]
fn switched_forms() {
    matches_when_switched("equalities", &["Euler", "RK4"]);
}

#[test]
fn switched_loops() {
    matches_when_switched("four_bar", &["Euler", "implicitfast"]);
}

#[test]
fn switched_welds() {
    matches_when_switched("held_bodies", &["Euler"]);
    matches_when_switched("dragged", &["Euler"]);
}

#[test]
fn switched_gears() {
    matches_when_switched("gears", &["Euler"]);
}

#[test]
fn switched_with_contacts() {
    matches_when_switched("closed_walker", &["Euler"]);
    matches_when_switched("closed_walker_elliptic", &["Euler"]);
}

/// A weld is let go on the way, and others are taken up: what follows is what MuJoCo does.
#[test]
fn switches_on_the_way() {
    const STEPS: usize = 400;
    let switches = [
        (100, "to_world", false),
        (150, "loose", true),
        (250, "pin", false),
        (300, "to_world", true),
    ];
    let steps = STEPS.to_string();
    let mut arguments: Vec<String> = vec!["--steps".into(), steps];
    for (step, name, active) in switches {
        let active = u32::from(active).to_string();
        arguments.extend(["--switch".into(), step.to_string(), name.into(), active]);
    }
    arguments.push("tests/models/held_bodies.xml".into());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(reference) = oracle::run("eq_active.py", &arguments) else {
        return;
    };
    let model = Arc::new(model("held_bodies"));
    let mut physics = Physics::new(&model, 2, Target::Host(Precision::Double)).expect("worlds");
    // The other world is as the model says, for all that happens beside it.
    let mut active = model.eq_active0.repeat(2);
    assert_eq!(physics.eq_active().expect("flags"), active);
    let mut worst = [0.0_f64; 2];
    for step in 0..=STEPS {
        let expected = oracle::floats(&reference["qpos"][step]);
        let found = physics
            .read(physics.fields().state.qpos)
            .expect("positions");
        for (worst, found) in worst.iter_mut().zip(found.chunks(model.nq)) {
            let errors = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            *worst = errors.fold(*worst, f64::max);
        }
        for (_, name, on) in switches.iter().filter(|(when, ..)| *when == step) {
            active[model.eq_names.id(name).expect("a constraint")] = *on;
            physics.set_eq_active(&active).expect("flags");
        }
        physics.step(1).expect("a step");
    }
    println!(
        "positions differ by {:e} m, without switches by {:e} m",
        worst[0], worst[1]
    );
    assert!(worst[0] < 1e-8, "positions differ by {:e}", worst[0]);
    assert!(worst[1] > 0.1, "what is let go falls");
    assert_eq!(physics.eq_active().expect("flags"), active);
    physics.reset().expect("a reset");
    assert_eq!(
        physics.eq_active().expect("flags"),
        model.eq_active0.repeat(2)
    );
    let error = physics.set_eq_active(&[true; 3]).expect_err("a length");
    assert!(
        error.to_string().starts_with("eq_active: 3 values"),
        "{error}"
    );
}

/// `rollout` begins with the constraints that an archive says, and records which hold.
#[test]
fn rollouts_begin_with_constraints_switched() {
    let switch = [
        "--switch", "0", "to_world", "0", "--switch", "0", "loose", "1",
    ];
    let model = model("held_bodies");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/held_bodies.xml");
    let arguments = [
        &["--steps", "60"],
        &switch[..],
        &["tests/models/held_bodies.xml"],
    ]
    .concat();
    let Some(reference) = oracle::run("eq_active.py", &arguments) else {
        return;
    };
    let folder = Folder::new("eq-active");
    let mut active = model.eq_active0.repeat(2);
    for (name, on) in [("to_world", false), ("loose", true)] {
        active[model.neq + model.eq_names.id(name).expect("a constraint")] = on;
    }
    let array = ArrayD::from_shape_vec(vec![2, model.neq], active.clone()).expect("two worlds");
    folder.write_arrays("init.npz", &[("eq_active", array)]);
    let model_file = path.to_str().expect("a path");
    let command = [
        "rollout",
        model_file,
        "--backend",
        "host",
        "--init",
        "init.npz",
        "--steps",
        "60",
        "--every",
        "20",
    ];
    let output = run_in(
        folder.path(),
        &[&command[..], &["--out", "out.npz"]].concat(),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let file = File::open(folder.path().join("out.npz")).expect("the record was written");
    let mut record = NpzReader::new(file).expect("the record is an archive");
    let flags: ArrayD<bool> = record.by_name("eq_active").expect("flags");
    assert_eq!(flags.shape(), [4, 2, model.neq]);
    assert_eq!(flags.into_iter().collect::<Vec<_>>(), active.repeat(4));
    let qpos: ArrayD<f64> = record.by_name("qpos").expect("positions");
    let expected = oracle::floats(&reference["qpos"][60]);
    let last = qpos.index_axis(Axis(0), 3);
    let off = |world: usize| {
        let found = last.index_axis(Axis(0), world);
        let pairs = found.iter().zip(&expected);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    assert!(off(1) < 1e-8, "{:e}", off(1));
    assert!(off(0) > 0.01, "the other world is as the model says");
}
