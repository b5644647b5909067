//! What must hold of a recorded substep whatever MuJoCo says: energy, size, independence of place, and that loaded
//! parameters mean the same as constant ones.

use manyworlds::math::Vec3;
use manyworlds::model::{Integrator, Model};
use manyworlds::rigid::{self, Applied, Parameters, StateFields};
use manyworlds::scene::mjcf;
use manyworlds::tasks::Registry;
use manyworlds::trace::{self, Carry, Field, Graph, HostMemory, Kind, Layout, Slot, Var};

use crate::rigid_common::model;

/// A substep from state to state under controls, and nothing else.
fn bare(
    model: &Model,
    parameters: impl Fn(&Model) -> Parameters,
    layout: &mut Layout,
) -> (Graph, StateFields, Field) {
    let floats = layout.buffer("state", Kind::F32);
    let integers = layout.buffer("bits", Kind::U32);
    let state = StateFields::declare(model, layout, floats, integers);
    let ctrl = layout.field(floats, "ctrl", model.nu);
    let graph = trace::record("substep", layout, || {
        let (now, none) = (state.load(), Applied::none(model));
        let out = rigid::substep(model, &parameters(model), &now, &ctrl.load_all(), &none);
        state.store(&out.state);
    });
    (graph, state, ctrl)
}

fn operations(model: &Model) -> usize {
    bare(model, Parameters::constant, &mut Layout::new())
        .0
        .operations()
        .total
}

/// The kernels' sizes, so that a change that makes one larger is noticed.
#[test]
fn operation_counts() {
    for (name, with_limits, without) in [("ant_tree", 6167, 4314), ("humanoid_tree", 11999, 7986)] {
        let mut model = model(name);
        assert_eq!(
            operations(&model),
            with_limits,
            "{name}, one round of the solver"
        );
        model.opt.flags.limit = false;
        assert_eq!(operations(&model), without, "{name} without limits");
    }
}

/// The same for models with contacts: gymnasium's ant and hopper as the tasks have them, and a humanoid.
#[test]
fn operation_counts_with_contacts() {
    let task = |name: &str| {
        Registry::builtin()
            .load(name)
            .expect("it is built in")
            .model
    };
    let counts = [
        operations(&task("ant")),
        operations(&task("hopper")),
        operations(&model("humanoid_contact")),
    ];
    assert_eq!(counts, [11535, 3354, 41795], "one round of the solver");
}

/// Bodies that are welded together cost as much as one body.
#[test]
fn welded_bodies_are_free() {
    let tail = "<body pos='0.1 0 -0.5'><joint axis='0 1 0'/><geom type='box' size='0.1 0.05 0.02' pos='0.1 0 0'/></body>";
    let compiled = |inside: &str| {
        let geoms = "<geom type='sphere' size='0.1'/>";
        let xml = format!(
            "<mujoco><worldbody><body><freejoint/>{geoms}{inside}</body></worldbody></mujoco>"
        );
        Model::compile(&mjcf::parse("welded.xml", &xml.replace('\'', "\""), ".").unwrap()).unwrap()
    };
    let merged = compiled(&format!(
        "<geom type='box' size='0.1 0.2 0.3' pos='0.3 0 0.1'/>{tail}"
    ));
    let welded = compiled(&format!(
        "<body pos='0.3 0 0.1'><geom type='box' size='0.1 0.2 0.3'/></body>{tail}"
    ));
    // One body keeps its principal axes, several their sum in the link's frame: a few products differ.
    let (merged, welded) = (operations(&merged), operations(&welded));
    assert!(
        welded.abs_diff(merged) < 30,
        "{welded} operations against {merged}"
    );
}

/// A world far from the origin moves, in single precision, exactly as one at the origin.
#[test]
fn place_does_not_matter() {
    let model = model("humanoid_tree");
    let mut layout = Layout::new();
    let (graph, state, ctrl) = bare(&model, Parameters::constant, &mut layout);
    let mut memory = HostMemory::<f32>::new(&layout, 2);
    for (world, place) in [0.0, 1e5].into_iter().enumerate() {
        for (i, &q) in model.qpos0.iter().enumerate() {
            let bent = if i < 7 { 0.0 } else { 0.1 * (i as f64).sin() };
            memory.set(state.qpos, i, world, if i < 3 { place } else { q + bent });
        }
        (0..model.nv).for_each(|i| memory.set(state.qvel, i, world, (i as f64).cos()));
        (0..model.nu).for_each(|i| memory.set(ctrl, i, world, 0.3));
    }
    graph.interpret(&mut memory, &[], 0..2);
    assert_eq!(memory.row(state.qvel, 0), memory.row(state.qvel, 1));
    assert_eq!(
        memory.row(state.qpos, 0)[3..],
        memory.row(state.qpos, 1)[3..]
    );
}

/// Parameters that are loaded from memory give what constants give, on every model.
#[test]
fn loaded_parameters_equal_constants() {
    for name in ["ant_tree", "ball_chain", "actuators", "swimmer"] {
        let model = model(name);
        let mut numbers = Vec::new();
        let mut constants = Parameters::constant(&model);
        constants.slots(&mut |slot| match slot {
            Slot::Var(x) => numbers.push(x.as_constant().expect("constant")),
            _ => panic!("parameters are floats"),
        });

        let mut layout = Layout::new();
        let (graph, state, _) = bare(&model, Parameters::constant, &mut layout);
        let mut memory = HostMemory::<f64>::new(&layout, 1);
        start(&model, state, &mut memory);
        graph.interpret(&mut memory, &[], 0..1);
        let expected = memory.row(state.qvel, 0);

        let mut layout = Layout::new();
        let floats = layout.buffer("parameters", Kind::F32);
        let stored = layout.field(floats, "parameters", numbers.len());
        let loaded = |model: &Model| {
            let mut parameters = Parameters::constant(model);
            let mut next = 0;
            parameters.slots(&mut |slot| {
                if let Slot::Var(x) = slot {
                    *x = stored.load(next);
                    next += 1;
                }
            });
            parameters
        };
        let (graph, state, _) = bare(&model, loaded, &mut layout);
        let mut found = HostMemory::<f64>::new(&layout, 1);
        start(&model, state, &mut found);
        numbers
            .iter()
            .enumerate()
            .for_each(|(i, &x)| found.set(stored, i, 0, x));
        graph.interpret(&mut found, &[], 0..1);

        for (a, b) in expected.iter().zip(found.row(state.qvel, 0)) {
            assert!(
                (a - b).abs() < 1e-10 * a.abs().max(1.0),
                "{name}: {a} is not {b}"
            );
        }
    }
}

/// A state with everything bent and moving.
fn start(model: &Model, state: StateFields, memory: &mut HostMemory<f64>) {
    for (i, &q) in model.qpos0.iter().enumerate() {
        memory.set(state.qpos, i, 0, q + 0.4 * (i as f64).sin());
    }
    (0..model.nv).for_each(|i| memory.set(state.qvel, i, 0, (1.0 + i as f64).cos()));
    (0..model.na).for_each(|i| memory.set(state.act, i, 0, 0.2));
}

/// Kinetic and potential energy of all bodies.
fn energy(model: &Model, parameters: &Parameters, now: &rigid::Forward) -> Var {
    let of = |body: usize| {
        let frame = now.kinematics.inertial(parameters, body);
        let moving = now.cvel[body];
        let spin = frame.mat.transposed_mul(moving.ang);
        let [a, b, c] = parameters.body_inertia[body].to_array();
        let turning = a * spin.x.square() + b * spin.y.square() + c * spin.z.square();
        let mass = parameters.body_mass[body];
        let height = parameters.gravity.dot(Vec3::ZERO - frame.pos);
        0.5 * (turning + mass * moving.at(frame.offset).norm_squared()) + mass * height
    };
    (1..model.nbody).map(of).sum()
}

/// An undamped double pendulum keeps its energy to the fourth order of the time step.
#[test]
fn rk4_keeps_energy() {
    let drift = |timestep: f64| {
        let mut model = model("double_pendulum");
        model.opt.integrator = Integrator::Rk4;
        model.opt.timestep = timestep;
        let mut layout = Layout::new();
        let (step, state, _) = bare(&model, Parameters::constant, &mut layout);
        let floats = layout.buffer("diagnostics", Kind::F32);
        let total = layout.field(floats, "energy", 1);
        let measure = trace::record("energy", &layout, || {
            let parameters = Parameters::constant(&model);
            let now = rigid::forward(
                &model,
                &parameters,
                &state.load(),
                &[],
                &Applied::none(&model),
            );
            total.store(0, energy(&model, &parameters, &now));
        });
        let mut memory = HostMemory::<f64>::new(&layout, 1);
        memory.set(state.qpos, 0, 0, 2.0);
        memory.set(state.qpos, 1, 0, -1.0);
        let measured = |memory: &mut HostMemory<f64>| {
            measure.interpret(memory, &[], 0..1);
            memory.get(total, 0, 0)
        };
        let before = measured(&mut memory);
        (0..(5.0 / timestep) as usize).for_each(|_| step.interpret(&mut memory, &[], 0..1));
        assert!(memory.get(state.qvel, 0, 0).abs() > 0.1, "it moves");
        ((measured(&mut memory) - before) / before).abs()
    };
    let (coarse, fine) = (drift(0.004), drift(0.002));
    assert!(fine < 1e-7, "relative drift {fine:e} over 5 s");
    // The drift is of the fifth order: halving the step divides it by about 32.
    assert!(coarse / fine > 12.0, "{coarse:e} and {fine:e}");
}

/// What cannot be simulated is refused before anything is recorded, in one line that says what to do.
#[test]
fn unsupported_models_are_refused() {
    let refusal = |option: &str| {
        let xml = format!("<mujoco><option {option}/><worldbody/></mujoco>");
        let scene = mjcf::parse("option.xml", &xml, ".").expect("the option is known");
        let model = Model::compile(&scene).expect("the model compiles");
        rigid::check(&model).expect_err("it is refused").to_string()
    };
    for (option, what) in [
        ("integrator=\"implicit\"", "integrator `implicit`"),
        ("integrator=\"implicitfast\" density=\"1.2\"", "fluid"),
    ] {
        let message = refusal(option);
        assert!(
            message.contains(what) && message.contains("use "),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
    }
}

/// Geoms have numbers of 14 bits in the kernels.
#[test]
fn more_geoms_than_have_numbers_are_refused() {
    let count = |geoms: usize| {
        let replicate = format!("<replicate count=\"{geoms}\"><geom size=\"1\"/></replicate>");
        let xml = format!("<mujoco><worldbody>{replicate}</worldbody></mujoco>");
        let scene = mjcf::parse("geoms.xml", &xml, ".").expect("it is good");
        rigid::check(&Model::compile(&scene).expect("it compiles"))
    };
    count(16_383).expect("all have numbers");
    let error = count(16_384).expect_err("one has none").to_string();
    assert_eq!(error, "16384 geoms (at most 16383 are supported)");
}

/// The printed kernels are valid WGSL that needs no optional capability.
#[test]
fn kernels_are_valid() {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    for name in [
        "cartpole",
        "ant_tree",
        "humanoid_tree",
        "ball_chain",
        "actuators",
        "swimmer",
    ] {
        for integrator in [Integrator::Euler, Integrator::Rk4, Integrator::ImplicitFast] {
            let mut model = model(name);
            model.opt.integrator = integrator;
            if rigid::check(&model).is_err() {
                continue;
            }
            let (graph, ..) = bare(&model, Parameters::constant, &mut Layout::new());
            let module = naga::front::wgsl::parse_str(&graph.wgsl()).expect("the kernel parses");
            let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
            validator.validate(&module).expect("the kernel is valid");
        }
    }
}
