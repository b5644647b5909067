//! What a task reads about contacts and from sensors, over control steps in contact, against MuJoCo.

use manyworlds::env::{Autoreset, Precision, Start, Target, VecEnv};
use manyworlds::error::Result;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::tasks::{
    ContactForce, Definition, Init, Spec, Table, Task, TaskState, Terms, World,
};
use manyworlds::trace::Var;

use crate::oracle;

/// A finger that presses a ball against the floor and a wall, and a box that leans on the ball.
const FINGER: &str = r#"
<mujoco model="finger">
  <option timestep="0.002"/>
  <worldbody>
    <geom name="floor" type="plane" size="2 2 1"/>
    <geom name="wall" type="plane" size="2 2 1" pos="-0.11 0 0" zaxis="1 0 0.2"/>
    <body name="ball" pos="0 0 0.1">
      <freejoint/>
      <geom name="ball" size="0.1" mass="0.5"/>
      <site name="core" size="0.2" euler="10 20 30"/>
    </body>
    <body name="brick" pos="0 0.16 0.08">
      <freejoint/>
      <geom name="brick" type="box" size="0.05 0.06 0.08" mass="0.3"/>
    </body>
    <body name="finger" pos="0.3 0 0.3">
      <joint name="knuckle" axis="0 1 0" damping="0.05"/>
      <geom name="finger" type="capsule" fromto="0 0 0 -0.12 0 -0.1" size="0.03" mass="0.2"/>
      <body name="tip" pos="-0.12 0 -0.1">
        <joint name="tip" axis="0 1 0" damping="0.02" stiffness="0.5"/>
        <geom name="tip" type="capsule" fromto="0 0 0 -0.1 0 -0.04" size="0.025" mass="0.1"/>
        <site name="pad" type="sphere" pos="-0.1 0 -0.04" size="0.05"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="bend" joint="knuckle" ctrllimited="true" ctrlrange="-1 1"/>
    <motor name="curl" joint="tip" gear="0.3" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
  <sensor>
    <gyro name="gyro" site="core"/>
    <accelerometer name="acceleration" site="core" cutoff="30"/>
    <touch name="touch" site="pad"/>
    <force name="load" site="pad"/>
    <jointpos name="angle" joint="knuckle"/>
    <actuatorfrc name="effort" actuator="curl"/>
    <framepos name="place" objtype="site" objname="pad" reftype="site" refname="core"/>
  </sensor>
</mujoco>"#;

const GEOMS: [[&str; 2]; 3] = [["ball", "floor"], ["wall", "ball"], ["tip", "ball"]];
const LINKS: [[&str; 2]; 3] = [["ball", "world"], ["ball", "tip"], ["brick", "ball"]];
const LINK: [&str; 2] = ["ball", "tip"];
const SENSORS: [(&str, usize); 7] = [
    ("gyro", 3),
    ("acceleration", 3),
    ("touch", 1),
    ("load", 3),
    ("angle", 1),
    ("effort", 1),
    ("place", 3),
];
const SENSORDATA: usize = 15;
const REQUESTS: usize = GEOMS.len() + LINKS.len() + LINK.len();
const SUBSTEPS: usize = 5;

/// Observes all of the above.
struct Probe;

impl Task for Probe {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.002 * SUBSTEPS as f64, 10)
            .observe("policy", "forces", 4 * REQUESTS)
            .observe("policy", "sensors", SENSORDATA)
            .observe("policy", "evaluated", SENSORDATA)
            .reward("nothing", 0.0))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let geoms = GEOMS.map(|[a, b]| w.geom_contact(a, b));
        let links = LINKS.map(|[a, b]| w.contact_between(a, b));
        let all = [&geoms[..], &links, &LINK.map(|name| w.contact(name))].concat();
        let numbers =
            |ContactForce { force, max }: &ContactForce| [&force.to_array()[..], &[*max]].concat();
        t.observe("forces", all.iter().flat_map(numbers).collect::<Vec<_>>());
        let read = |name: &str| w.sensor(name);
        t.observe("sensors", SENSORS.map(|(name, _)| read(name)).concat());
        let then = w.evaluated();
        t.observe(
            "evaluated",
            SENSORS.map(|(name, _)| then.sensor(name)).concat(),
        );
        t.reward("nothing", 0.0);
    }

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}
}

fn build(task: impl Task + 'static, worlds: usize) -> Result<VecEnv> {
    VecEnv::builder(Definition::new("probe", Box::new(task), FINGER, "")?)
        .worlds(worlds)
        .autoreset(Autoreset::Disabled)
        .build_on(Target::Host(Precision::Double))
}

#[test]
fn contact_forces_and_sensors_are_mujocos() {
    let file = std::env::temp_dir().join(format!("manyworlds-finger-{}.xml", std::process::id()));
    std::fs::write(&file, FINGER).expect("the temporary folder can be written");
    let path = file.to_str().expect("a path in UTF-8");
    let substeps = SUBSTEPS.to_string();
    let mut arguments = vec![path, "--states", "100", "--substeps", &substeps];
    for (option, pairs) in [("--geoms", GEOMS), ("--links", LINKS)] {
        pairs
            .iter()
            .for_each(|[a, b]| arguments.extend([option, a, b]));
    }
    LINK.iter()
        .for_each(|name| arguments.extend(["--link", name]));
    let reference = oracle::run("task_contacts.py", &arguments);
    std::fs::remove_file(&file).expect("it was written above");
    let Some(reference) = reference else { return };

    let states = reference["qpos"].as_array().expect("states").len();
    let singles = |name: &str| -> Vec<f32> {
        let numbers = oracle::floats(&reference[name]);
        numbers.into_iter().map(|number| number as f32).collect()
    };
    let (qpos, qvel) = (singles("qpos"), singles("qvel"));
    let start = Start::State {
        qpos: &qpos,
        qvel: &qvel,
    };
    let mut env = build(Probe, states).unwrap_or_else(|error| panic!("{error}"));
    env.reset_where(&vec![true; states], start).unwrap();
    let step = env.step(&singles("ctrl")).unwrap().read().unwrap();

    let width = 4 * REQUESTS + 2 * SENSORDATA;
    for (state, seen) in step.next_obs[0].chunks(width).enumerate() {
        let expected = ["forces", "sensordata", "evaluated"]
            .map(|name| oracle::floats(&reference[name][state]));
        for (index, (seen, expected)) in seen.iter().zip(expected.concat()).enumerate() {
            // Observations are f32; the physics agrees far better, but for a solve's tolerance in MuJoCo.
            let error = (f64::from(*seen) - expected).abs() / expected.abs().max(1.0);
            assert!(
                error < 1e-6,
                "state {state}, number {index}: {seen} for {expected}"
            );
        }
    }
    // Each pair is seen: in some substeps of some control step, and not in all.
    let touching = oracle::floats(&reference["touching"]);
    for request in 0..REQUESTS {
        let counts: Vec<f64> = touching
            .iter()
            .skip(request)
            .step_by(REQUESTS)
            .copied()
            .collect();
        let total: f64 = counts.iter().sum();
        println!(
            "request {request}: {total} of {} substeps",
            states * SUBSTEPS
        );
        assert!(
            total > 10.0,
            "request {request} touches in {total} substeps"
        );
    }
}

/// Observes one number.
struct Reading(fn(&World) -> Var);

impl Task for Reading {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.01, 10)
            .observe("policy", "number", 1)
            .reward("nothing", 0.0))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        t.observe("number", [(self.0)(w)]);
        t.reward("nothing", 0.0);
    }

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let cases: [(fn(&World) -> Var, &[&str]); 5] = [
        (|w| w.sensor("giro")[0], &["sensor 'giro'", "'gyro'"]),
        (
            |w| w.geom_contact("bal", "floor").max,
            &["geom 'bal'", "'ball'"],
        ),
        (
            |w| w.contact_between("tip", "bal").max,
            &["body 'bal'", "'ball'"],
        ),
        (
            |w| w.geom_contact("tip", "finger").max,
            &["`tip` and `finger`", "never touch", "contype"],
        ),
        (
            |w| w.contact_between("ball", "ball").max,
            &["`ball` and `ball`", "never touch"],
        ),
    ];
    for (read, parts) in cases {
        let Err(error) = build(Reading(read), 1) else {
            panic!("{parts:?} is not noticed")
        };
        let message = error.to_string();
        assert!(
            parts.iter().all(|part| message.contains(part)) && !message.contains('\n'),
            "{message}"
        );
    }
}

/// A kernel does not pay for forces and sensors that no term reads.
#[test]
fn what_is_not_read_costs_nothing() {
    let operations = |read: fn(&World) -> Var| {
        let env = build(Reading(read), 1).unwrap_or_else(|error| panic!("{error}"));
        let counts = env.step_graph().operations();
        (counts.total, counts.carries)
    };
    let nothing = operations(|w| w.joint_position("knuckle"));
    let ignored = operations(|w| {
        let _ = (
            w.sensor("acceleration"),
            w.geom_contact("ball", "floor"),
            w.evaluated(),
        );
        w.joint_position("knuckle")
    });
    assert_eq!(ignored, nothing);
    // A velocity needs no forces; the forces of a pair are summed in the substeps; an acceleration needs one more solve,
    // two do not need two.
    let gyro = operations(|w| w.sensor("gyro")[0]).0 - nothing.0;
    let pair = operations(|w| w.geom_contact("ball", "floor").max);
    let one = operations(|w| w.sensor("acceleration")[0]).0 - nothing.0;
    let two = operations(|w| w.sensor("acceleration")[0] + w.sensor("load")[0]).0 - nothing.0;
    let evaluated = operations(|w| {
        let then = w.evaluated();
        then.sensor("acceleration")[0] + then.sensor("load")[0]
    });
    let evaluated = evaluated.0 - nothing.0;
    println!(
        "{} operations; gyro {gyro}, pair {}, acceleration {one}, and a force {two}, of the last substep {evaluated}",
        nothing.0,
        pair.0 - nothing.0
    );
    assert!(gyro < 500 && pair.0 - nothing.0 < 500, "{gyro}, {pair:?}");
    assert!(pair.1 > nothing.1, "the pair's maximum is carried");
    assert!(one > 2000 && two < one + one / 2, "{one}, {two}");
}
