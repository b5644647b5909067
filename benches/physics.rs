//! What physics costs: recording and printing a model's kernel (ms), and steps per second against the number of worlds.
//!
//! - `record`: from a compiled model to the graph of its control step, by Rust functions over recorded scalars.
//! - `print`: from the graph to WGSL.
//! - `step`: 20 substeps of every world in one dispatch, submitted and waited for; throughput in world-substeps.
//! - `state`: the ant task, one control step beside saving and restoring all worlds on the device, putting one world into
//!   all, and a snapshot on the host.
//! - `differ`: a control step of the ant in worlds that differ: 0, 1, 5, 20 and all fields randomized, each world and
//!   element by itself; and variants of its torso.
//!
//! ```text
//! cargo bench --bench physics
//! ```

use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use manyworlds::env::{Physics, Precision, Randomness, Target, VecEnv, Which};
use manyworlds::gpu::{Context, Options};
use manyworlds::model::Model;
use manyworlds::randomize;
use manyworlds::scene::mjcf;
use manyworlds::tasks::Registry;

const SUBSTEPS: u32 = 20;

fn model(name: &str) -> Arc<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/models")
        .join(name);
    let scene = mjcf::load(path).expect("the tests' models load");
    Arc::new(Model::compile(&scene).expect("the tests' models compile"))
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let models =
        ["cartpole", "ant_tree", "humanoid_tree"].map(|name| (name, model(&format!("{name}.xml"))));

    let mut group = criterion.benchmark_group("record");
    for (name, model) in &models {
        // On the host nothing is compiled: building is recording.
        let build = || {
            Physics::new(model, 1, Target::Host(Precision::Double)).expect("the model is supported")
        };
        group.bench_function(*name, |b| b.iter(build));
    }
    group.finish();

    let mut group = criterion.benchmark_group("print");
    for (name, model) in &models {
        let physics = Physics::new(model, 1, Target::Host(Precision::Double))
            .expect("the model is supported");
        println!("{name}: {} operations", physics.graph().operations().total);
        group.bench_function(*name, |b| b.iter(|| physics.graph().wgsl()));
    }
    group.finish();

    let context = match Context::new(&Options::default()) {
        Ok(context) => context,
        Err(error) => return println!("no throughput: {error}"),
    };
    println!("{}", context.info());
    let mut group = criterion.benchmark_group("step");
    for (name, model) in &models {
        for worlds in [64, 256, 1024, 4096, 16384] {
            let mut physics = Physics::new(model, worlds, Target::Gpu(&context)).expect("it fits");
            group.throughput(Throughput::Elements(worlds as u64 * u64::from(SUBSTEPS)));
            group.bench_function(BenchmarkId::new(*name, worlds), |b| {
                b.iter(|| {
                    physics.step(SUBSTEPS).expect("the device works");
                    physics.wait().expect("the device works");
                });
            });
        }
    }
    group.finish();
    let mut group = criterion.benchmark_group("state");
    for worlds in [1024, 4096] {
        let task = Registry::builtin().load("ant").expect("it is built in");
        let builder = VecEnv::builder(task).worlds(worlds);
        let mut env = builder.build(&context).expect("it fits");
        let wait = |env: &VecEnv| env.get("done").map(drop).expect("the device works");
        let name = |what: &str| BenchmarkId::new(what.to_owned(), worlds);
        group.bench_function(name("step"), |b| {
            b.iter(|| {
                env.step_in_place().expect("the device works");
                wait(&env);
            });
        });
        let mut all = env.get_state(Which::All).expect("it fits");
        let put = |env: &mut VecEnv, which, state: &_| {
            let put = env.set_state(which, state, Randomness::Saved);
            put.expect("the device works");
            wait(env);
        };
        group.bench_function(name("save and restore"), |b| {
            b.iter(|| {
                let saved = env.get_state_into(Which::All, &mut all);
                saved.expect("the device works");
                put(&mut env, Which::All, &all);
            });
        });
        let backwards: Vec<usize> = (0..worlds).rev().collect();
        group.bench_function(name("permute"), |b| {
            b.iter(|| put(&mut env, Which::Indices(&backwards), &all));
        });
        let one = env.get_state(Which::Indices(&[7])).expect("it fits");
        group.bench_function(name("one into all"), |b| {
            b.iter(|| put(&mut env, Which::All, &one));
        });
        group.bench_function(name("snapshot to the host"), |b| {
            b.iter(|| env.snapshot(None).expect("the device works").to_bytes());
        });
    }
    group.finish();
    differing_worlds(&mut criterion, &context);
}

/// Fields in the order in which they are randomized; all others follow.
const FIRST: [&str; 20] = [
    "body_mass",
    "geom_friction",
    "dof_damping",
    "actuator_gear",
    "gravity",
    "body_inertia",
    "dof_armature",
    "jnt_range",
    "geom_size",
    "actuator_gainprm",
    "body_ipos",
    "body_pos",
    "jnt_stiffness",
    "geom_solref",
    "geom_solimp",
    "jnt_solref",
    "jnt_solimp",
    "actuator_ctrlrange",
    "timestep",
    "qpos0",
];

/// A control step of the ant where worlds differ.
fn differing_worlds(criterion: &mut Criterion, context: &Context) {
    let rest = randomize::fields().map(|(field, ..)| field);
    let rest = rest.filter(|field| *field != "param" && !FIRST.contains(field));
    let fields: Vec<&str> = FIRST.into_iter().chain(rest).collect();
    // By a little, whether the model's number is 0 or not.
    let entry = |field: &&str| {
        let scaled = "scale.uniform=[0.98,1.02]";
        let added = "add.uniform=[-1e-6,1e-6]";
        [("s", scaled), ("a", added)].map(|(name, how)| {
            format!("randomize.{name}_{field}={{field=\"{field}\",{how},optional=true}}")
        })
    };
    let torso = |name: &str, rest: &str| format!("variants.{name}={{geom={{torso={{{rest}}}}}}}");
    let shape = |name: &str, size: &str| torso(name, &format!("type=\"{name}\",size={size}"));
    let plain = || "variants.plain={}".to_owned();
    let masses = vec![
        plain(),
        torso("light", "density=3"),
        torso("heavy", "density=10"),
    ];
    let shapes = vec![
        plain(),
        shape("box", "[0.2,0.2,0.2]"),
        shape("ellipsoid", "[0.25,0.2,0.2]"),
    ];
    let counts = [0, 1, 5, 20, fields.len()];
    let randomized = counts.map(|count| {
        let entries = fields[..count].iter().flat_map(entry).collect();
        (format!("{count} fields"), entries)
    });
    let variants = [
        ("3 masses".to_owned(), masses),
        ("3 shapes".to_owned(), shapes),
    ];
    let mut group = criterion.benchmark_group("differ");
    let worlds = 4096;
    group.throughput(Throughput::Elements(worlds));
    for (name, settings) in randomized.into_iter().chain(variants) {
        let mut task = Registry::builtin().load("ant").expect("it is built in");
        let set = task.set_all(settings.iter().map(String::as_str));
        set.expect("the settings are right");
        let builder = VecEnv::builder(task).worlds(worlds as usize);
        let mut env = builder.build(context).expect("it fits");
        println!("{name}: {} operations", env.operations());
        group.bench_function(name, |b| {
            b.iter(|| {
                env.step_in_place().expect("the device works");
                context.wait().expect("the device works");
            });
        });
    }
    group.finish();
}
