//! How sensors are declared: in files, in Rust and on the command line; what mistakes are told, and what it costs.

use manyworlds::env::{Precision, Target, VecEnv};
use manyworlds::error::Result;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::tasks::{Init, Lost, Registry, Sensor, Spec, Table, Task, TaskState, Terms, World};

use crate::sensing_task::clock;

/// Lines of configuration for one term of the group `policy`.
fn sensor(term: &str, options: &str) -> String {
    format!("[observation.policy.{term}]\n{options}\n")
}

fn build(config: &str) -> VecEnv {
    clock(config)
        .and_then(|builder| builder.build_on(Target::Host(Precision::Double)))
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_is_not_configured_is_not_kept() {
    let env = build("");
    assert!(env.get("sensor.policy.ramp.past").is_err());
    let kernel = |config: &str| build(config).step_graph().operations().total;
    let [none, noise, bias] = ["", "noise = 0.1", "noise = 0.1\nbias = 0.1"]
        .map(|options| kernel(&sensor("ramp", options)));
    assert!(none < noise && noise < bias, "{none} {noise} {bias}");
    let error = build("").params().set("observation.policy.ramp.bias", 1.0);
    assert!(error.is_err(), "what was absent cannot be set");
}

/// Operations that README.md speaks of: those of the quadruped's control step, and more for the sensors of a robot.
#[test]
fn a_robot_s_sensors_cost_what_is_said() {
    let kernel = |options: &[&str]| {
        let mut definition = Registry::builtin().load("quadruped").unwrap();
        for option in options {
            let assignment = format!("observation.policy.{option}");
            definition
                .set(&assignment)
                .unwrap_or_else(|error| panic!("{error}"));
        }
        let host = Target::Host(Precision::Single);
        let env = VecEnv::builder(definition).build_on(host).unwrap();
        env.step_graph().operations().total
    };
    let plain = kernel(&[]);
    let imu = ["angular_velocity", "gravity"];
    let encoders = ["joint_positions", "joint_velocities"];
    let each = |terms: [&str; 2], options: &[&str]| -> Vec<String> {
        let keys = options.iter();
        keys.flat_map(|option| terms.map(|term| format!("{term}.{option}")))
            .collect()
    };
    let sets = [
        ("bias", each(imu, &["bias=0.02"])),
        ("delay", each(imu, &["delay=0.015", "max_delay=0.04"])),
        ("drift", each(imu, &["drift=0.01", "drift_time=100"])),
        ("dropout", each(encoders, &["dropout=0.01"])),
        ("resolution", each(encoders, &["resolution=0.001"])),
        ("freeze", each(imu, &["freeze_rate=0.2", "freeze_time=1"])),
    ];
    let count = |options: &[String]| {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        kernel(&options)
    };
    for (name, options) in &sets {
        println!("{name}: {} operations", count(options) - plain);
    }
    let all: Vec<String> = sets.into_iter().flat_map(|(_, options)| options).collect();
    let added = count(&all) - plain;
    println!("all: {added} operations, without them {plain}");
    // The physics is most of the kernel, and runs four times.
    assert!((1500..3300).contains(&added), "{added}");
}

/// The example in README.md is one that can be copied.
#[test]
fn the_readme_s_sensors_are_true() {
    let readme = include_str!("../../README.md");
    let section = readme.split("## Imperfect sensors").nth(1).unwrap();
    let toml = section.split("```toml\n").nth(1).unwrap();
    let toml = toml.split("```").next().unwrap();
    let mut definition = Registry::builtin().load("quadruped").unwrap();
    let mut spec = definition.spec().unwrap();
    spec.configure(&toml.parse().unwrap()).unwrap();
    let key = "observation.policy.gravity.delay";
    assert_eq!(spec.parameters().get(key).unwrap(), 0.015);
    // And builds.
    definition.task = Box::new(Declared(spec));
    definition.config.clear();
    assert!(definition.spec().is_ok());
}

#[test]
fn mistakes_are_told_in_one_line() {
    let cases = [
        (
            "noise = -0.1",
            "observation.policy.ramp: noise: is -0.1 (it takes a number of at least 0)",
        ),
        ("rate = 0", "rate: is 0 (it takes a number above 0)"),
        (
            "delay = 0.1\nmax_delay = 0.05",
            "delay: is 0.1 (max_delay allows up to 0.06 s)",
        ),
        (
            "delay = 60",
            "delay: is 60 (it takes seconds, from 0 to 250 control steps, 5.000 s)",
        ),
        (
            "dropout = 1.1",
            "dropout: is 1.1 (it takes a number from 0 to 1)",
        ),
        ("dropout_to = \"last\"", "it takes \"hold\" or \"zero\""),
        ("random_phase = 1", "it takes true or false"),
        ("random_phase = true", "(give rate with it)"),
        (
            "dropout = 0.1\ntogether = 3",
            "it must divide the term's 2 values",
        ),
        (
            "bias = \"a\"",
            "`observation.policy.ramp.bias` is \"a\" (it takes a finite number)",
        ),
        ("freeze_time = nan", "it takes a finite number"),
        (
            "resoluton = 0.1",
            "did you mean `observation.policy.ramp.resolution`",
        ),
    ];
    for (options, expected) in cases {
        let definition = clock(&sensor("ramp", options));
        let built =
            definition.and_then(|builder| builder.build_on(Target::Host(Precision::Double)));
        let error = built
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(expected), "{options}: {error:?}");
        assert!(!error.contains('\n'));
    }
}

#[test]
fn sensors_are_declared_in_rust_too() {
    let spec = |spec: Spec| {
        let mut definition = Registry::builtin().load("quadruped").unwrap();
        definition.task = Box::new(Declared(spec));
        definition.config.clear();
        definition.spec()
    };
    let base = || {
        Spec::new(0.02, 10)
            .observe("policy", "gravity", 3)
            .reward("nothing", 0.0)
    };
    let good = Sensor::new()
        .delay(0.02)
        .noise(0.1)
        .dropout(0.1)
        .dropout_to(Lost::Zero);
    let declared = spec(base().sensor("policy", "gravity", good)).unwrap();
    let params = declared.parameters();
    assert_eq!(
        params.get("observation.policy.gravity.delay").unwrap(),
        0.02
    );
    assert_eq!(params.get("observation.policy.gravity.noise").unwrap(), 0.1);
    let wrong = [
        (
            base().sensor("policy", "gravty", Sensor::new()),
            "sensor of group `policy`: unknown observation term `gravty` (did you mean `gravity`?)",
        ),
        (
            base().sensor("polcy", "gravity", Sensor::new()),
            "unknown observation group `polcy` (did you mean `policy`?)",
        ),
        (
            base().sensor("policy", "gravity", Sensor::new().bias(f64::NAN)),
            "observation.policy.gravity: bias: is NaN",
        ),
        (
            base().sensor("policy", "gravity", Sensor::new().freeze(0.2, 0.0)),
            "freeze_time: is 0",
        ),
    ];
    for (wrong, expected) in wrong {
        let error = spec(wrong).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A task that declares what it is told to.
struct Declared(Spec);

impl Task for Declared {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(self.0.clone())
    }

    fn terms(&self, _w: &World, _s: &TaskState, _t: &mut Terms) {}

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}
}

/// `--set` and files alike: keys of sensors are keys of the task.
#[test]
fn assignments_reach_sensors() {
    let mut definition = Registry::builtin().load("quadruped").unwrap();
    definition
        .set("observation.policy.gravity.delay = 0.01")
        .unwrap();
    let params = definition.spec().unwrap().parameters();
    assert_eq!(
        params.get("observation.policy.gravity.delay").unwrap(),
        0.01
    );
    assert_eq!(
        params.get("observation.policy.gravity.noise").unwrap(),
        0.025
    );
    let error = definition
        .set("observation.policy.gravity.dealy = 0.01")
        .unwrap_err();
    assert!(error.to_string().contains("did you mean"), "{error}");
}
