//! Experiments with contacts whose outcome is known: rest, a stack, slip on a ramp, on the host in double precision,
//! beside MuJoCo's trajectories.

use std::sync::Arc;

use manyworlds::env::{Physics, Precision, Target};
use manyworlds::model::Model;
use manyworlds::scene::mjcf;
use serde_json::Value;

use crate::oracle;
use crate::program::Folder;

/// A model from MJCF in memory.
pub(crate) fn compile(xml: &str) -> Arc<Model> {
    let scene = mjcf::parse("scene.xml", xml, ".").unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Model::compile(&scene).unwrap_or_else(|error| panic!("{error}")))
}

/// Worlds on the host, each at the model's first keyframe, or at rest without one.
pub(crate) fn host(model: &Arc<Model>, worlds: usize, precision: Precision) -> Physics {
    let mut physics = Physics::new(model, worlds, Target::Host(precision))
        .unwrap_or_else(|error| panic!("{error}"));
    if let (Some(qpos), Some(qvel)) = (model.key_qpos.first(), model.key_qvel.first()) {
        let (qpos, qvel) = (qpos.repeat(worlds), qvel.repeat(worlds));
        physics.set_state(&qpos, &qvel, &[]).expect("it fits");
    }
    physics
}

/// `qpos` and `qvel` of all worlds.
pub(crate) fn state(physics: &Physics) -> [Vec<f64>; 2] {
    let fields = physics.fields().state;
    [fields.qpos, fields.qvel].map(|field| physics.read(field).expect("the host reads"))
}

/// What MuJoCo does with each model.
fn trajectories(models: &[String], steps: u32, every: u32) -> Option<Value> {
    let folder = Folder::new("scenes");
    let names: Vec<String> = (0..models.len())
        .map(|index| format!("{index}.xml"))
        .collect();
    let paths: Vec<String> = names
        .iter()
        .zip(models)
        .map(|(name, xml)| {
            folder.write(name, xml);
            folder.path().join(name).display().to_string()
        })
        .collect();
    let (steps, every) = (steps.to_string(), every.to_string());
    let mut arguments = vec!["--steps", &steps, "--every", &every];
    arguments.extend(paths.iter().map(String::as_str));
    oracle::run("trajectory.py", &arguments)
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(
        0.0,
        |worst: f64, d| if d.is_nan() { f64::NAN } else { worst.max(d) },
    )
}

/// Steps a model as the oracle did, and returns the largest difference of states and how deep the last one is.
fn follow(xml: &str, reference: &Value, every: u32) -> (f64, Vec<[Vec<f64>; 2]>) {
    let mut physics = host(&compile(xml), 1, Precision::Double);
    let moments = reference["qpos"].as_array().expect("moments").len();
    let (mut worst, mut states) = (0.0f64, Vec::new());
    for moment in 0..moments {
        if moment > 0 {
            physics.step(every).expect("the host steps");
        }
        let [qpos, qvel] = state(&physics);
        for (name, values) in [("qpos", &qpos), ("qvel", &qvel)] {
            let expected = oracle::floats(&reference[name][moment]);
            worst = worst.max(largest_difference(values, &expected));
        }
        states.push([qpos, qvel]);
    }
    (worst, states)
}

/// A box, turned about the vertical, at rest on a plane or on a box that is fixed.
fn resting(on: &str) -> String {
    format!(
        r#"<mujoco><option timestep="0.002"/><worldbody><geom {on}/>
        <body pos="0.03 -0.02 0.0998" euler="0 0 17"><freejoint/><geom type="box" size="0.2 0.15 0.1" mass="3"/></body>
        </worldbody></mujoco>"#
    )
}

/// The places for a box to rest on.
const GROUNDS: [(&str, &str); 2] = [
    ("plane", r#"type="plane" size="2 2 1""#),
    ("box", r#"type="box" size="0.6 0.5 0.3" pos="0 0 -0.3""#),
];

/// 100,000 steps, 200 s, of a box at rest. Once it has sunk in, a force that is wrong by one rounding (1e-16 of its
/// weight) moves it by less than 1e-15 m a step, and the ground's damping takes it back: the bound is generous.
#[test]
fn a_box_at_rest_stays() {
    for (ground, geom) in GROUNDS {
        let mut physics = host(&compile(&resting(geom)), 1, Precision::Double);
        physics.step(1000).expect("the host steps");
        let [settled, _] = state(&physics);
        physics.step(99_000).expect("the host steps");
        let [end, velocity] = state(&physics);
        let drift = largest_difference(&end, &settled);
        let speed = velocity.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        println!("on a {ground}: drift {drift:.1e} in 198 s, speed {speed:.1e}");
        assert!(
            drift < 1e-9 && speed < 1e-9,
            "on a {ground}: {drift:e}, {speed:e}"
        );
        assert!(
            settled[2] > 0.098,
            "on a {ground}: it lies at {}",
            settled[2]
        );
    }
}

/// Five boxes, each a little smaller and 1 mm further than the one below, pressed together by what they will sink in:
/// where surfaces touch without overlapping, rounding would decide which corners do.
fn stack() -> String {
    let body = |i: usize| {
        let (half, place) = (0.1 - 0.004 * i as f64, 0.001 * i as f64);
        let height = 0.0997 + 0.1997 * i as f64;
        format!(
            r#"<body name="{i}" pos="{place} 0 {height}"><freejoint/>
            <geom type="box" size="{half} {half} 0.1" mass="1"/></body>"#
        )
    };
    let bodies: String = (0..5).map(body).collect();
    // Boxes that are not neighbours never touch; leaving them out keeps the recording short.
    let apart =
        |i: usize| (i + 2..5).map(move |j| format!(r#"<exclude body1="{i}" body2="{j}"/>"#));
    let excludes: String = (0..5).flat_map(apart).collect();
    format!(
        r#"<mujoco><option timestep="0.01"/>
        <custom><numeric name="max_contact_points" data="16"/></custom>
        <worldbody><geom type="plane" size="2 2 1"/>{bodies}</worldbody>
        <contact>{excludes}</contact></mujoco>"#
    )
}

/// 10 s of a stack of five boxes, whose 16 contacts between boxes each have a slot.
#[test]
fn a_stack_of_five_boxes_stands() {
    let xml = stack();
    let Some(reference) = trajectories(std::slice::from_ref(&xml), 1000, 250) else {
        return;
    };
    let (error, states) = follow(&xml, &reference[0], 250);
    let ([start, _], [end, _]) = (&states[0], &states[4]);
    let slid = (0..5)
        .flat_map(|i| [7 * i, 7 * i + 1])
        .map(|k| (end[k] - start[k]).abs());
    let slid = slid.fold(0.0, f64::max);
    let depth = reference[0]["depth"][4].as_f64().expect("a number");
    println!("differs from MuJoCo's by {error:.1e}, slid {slid:.1e} m, sunk {depth:.1e} m");
    assert_eq!(reference[0]["ncon"][4], 20, "four corners of each box");
    // Both solve exactly: what is left is rounding over 1000 steps.
    assert!(error < 1e-10, "{error:e} from MuJoCo's stack");
    assert!(slid < 2e-3 && depth < 1e-3, "slid {slid:e}, sunk {depth:e}");
    assert!(end[4 * 7 + 2] > 0.89, "the top is at {}", end[4 * 7 + 2]);
}

/// A block on a ramp.
struct Ramp {
    /// The friction cone, and how far trajectories may be from MuJoCo's.
    cone: (&'static str, f64),
    /// What the block stands on, and its geoms.
    feet: (&'static str, String),
    /// Degrees about y.
    angle: f64,
    friction: f64,
}

impl Ramp {
    fn xml(&self) -> String {
        let (angle, friction) = (self.angle, self.friction);
        let (cone, feet) = (self.cone.0, &self.feet.1);
        format!(
            r#"<mujoco><option timestep="0.002" cone="{cone}"/><worldbody>
            <frame euler="0 {angle} 0"><geom type="plane" size="9 9 1" friction="{friction} 0.005 0.0001"/>
            <body name="block" pos="0 0 0.0999" euler="0 0 20"><freejoint/>{feet}</body></frame>
            </worldbody></mujoco>"#
        )
    }

    /// Checks the speed downhill after 0.5 and after 1 s.
    fn judge(&self, name: &str, [halfway, end]: [f64; 2]) {
        let (sin, cos) = self.angle.to_radians().sin_cos();
        if sin > self.friction * cos {
            // A pyramid is its cone along the tangents, and weaker between them by up to √2; the balls rock.
            let least = 0.9 * 9.81 * (sin - self.friction * cos);
            let most = 1.1 * 9.81 * (sin - self.friction * cos / f64::sqrt(2.0));
            assert!(
                (least..=most).contains(&end),
                "{name}: {end} m/s, not between {least} and {most}"
            );
        } else {
            let creeps = end > 0.0 && end < 0.01 && (end - halfway).abs() < 1e-4;
            assert!(creeps, "{name}: {halfway} m/s, then {end} m/s");
        }
    }
}

/// Ramps around the friction angle (26.6° for 0.5): below it the block creeps, as soft contacts do, above it
/// accelerates, and both as MuJoCo's does.
#[test]
fn slip_on_a_ramp_is_mujocos() {
    const EVERY: u32 = 50;
    // A pyramid is solved exactly, whereas MuJoCo and this version stop near the minimum under an elliptic cone.
    const CONES: [(&str, f64); 2] = [("pyramidal", 1e-10), ("elliptic", 1e-6)];
    const SLOPES: [(f64, f64); 5] = [
        (10.0, 0.5),
        (24.0, 0.5),
        (29.0, 0.5),
        (40.0, 0.5),
        (20.0, 0.2),
    ];
    let ball = |[x, y]: [f64; 2]| {
        format!(r#"<geom size="0.03" pos="{x} {y} -0.07" mass="0.3" friction="0.1 0.005 0.0001"/>"#)
    };
    let balls = [[0.1, 0.1], [0.1, -0.1], [-0.1, 0.1], [-0.1, -0.1]].map(ball);
    let block = r#"<geom type="box" size="0.15 0.1 0.1" mass="2" friction="0.1 0.005 0.0001"/>"#;
    let mut ramps = Vec::new();
    for cone in CONES {
        for feet in [("box", block.to_string()), ("balls", balls.concat())] {
            for (angle, friction) in SLOPES {
                let feet = feet.clone();
                ramps.push(Ramp {
                    cone,
                    feet,
                    angle,
                    friction,
                });
            }
        }
    }
    let models: Vec<String> = ramps.iter().map(Ramp::xml).collect();
    let Some(references) = trajectories(&models, 500, EVERY) else {
        return;
    };
    for (index, ramp) in ramps.iter().enumerate() {
        let name = format!(
            "{}, {}, {}°, friction {}",
            ramp.cone.0, ramp.feet.0, ramp.angle, ramp.friction
        );
        let (error, states) = follow(&models[index], &references[index], EVERY);
        let (sin, cos) = ramp.angle.to_radians().sin_cos();
        let downhill = |[_, velocity]: &[Vec<f64>; 2]| velocity[0] * cos - velocity[2] * sin;
        let speeds = [5, 10].map(|moment| downhill(&states[moment]));
        println!("{name}: {error:.1e} from MuJoCo's; {speeds:.4?} m/s");
        assert!(error < ramp.cone.1, "{name}: {error:e} from MuJoCo's");
        ramp.judge(&name, speeds);
    }
}
