//! What contacts must keep: momentum, energy that does not grow, and independence of place and direction.

use std::cell::{Cell, RefCell};
use std::f64::consts::{FRAC_PI_2, TAU};

use manyworlds::env::Precision;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::scenes::{compile, host, state};

type Vec3 = [f64; 3];
type Quat = [f64; 4];

fn cross([a, b, c]: Vec3, [x, y, z]: Vec3) -> Vec3 {
    [b * z - c * y, c * x - a * z, a * y - b * x]
}

fn add(a: Vec3, b: Vec3) -> Vec3 {
    std::array::from_fn(|k| a[k] + b[k])
}

fn scaled(a: Vec3, factor: f64) -> Vec3 {
    a.map(|x| x * factor)
}

fn squared(a: Vec3) -> f64 {
    a.iter().map(|x| x * x).sum()
}

fn product([a, b, c, d]: Quat, [w, x, y, z]: Quat) -> Quat {
    [
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    ]
}

/// A vector turned by a unit quaternion: `v + 2 w (u × v) + 2 u × (u × v)`.
fn turned([w, x, y, z]: Quat, v: Vec3) -> Vec3 {
    let u = [x, y, z];
    let once = cross(u, v);
    let twice = cross(u, once);
    std::array::from_fn(|k| v[k] + 2.0 * (w * once[k] + twice[k]))
}

fn three(values: &[f64]) -> Vec3 {
    std::array::from_fn(|k| values[k])
}

fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Mass, and moment of inertia about every axis: of two balls and two cubes. Other shapes would precess, and a time
/// step that is not exact about that changes their angular momentum without any contact.
const BODIES: [(f64, f64); 4] = [
    (1.0, 0.4 * 0.01),
    (2.0, 2.0 * 0.4 * 0.01),
    (1.5, 1.5 * 0.4 * 0.01),
    (0.7, 0.7 * 0.4 * 0.01),
];

/// Linear momentum, angular momentum about the origin, and kinetic energy.
fn momenta(qpos: &[f64], qvel: &[f64]) -> (Vec3, Vec3, f64) {
    let (mut linear, mut angular, mut energy) = ([0.0; 3], [0.0; 3], 0.0);
    for (body, (mass, inertia)) in BODIES.into_iter().enumerate() {
        let (q, v) = (&qpos[7 * body..], &qvel[6 * body..]);
        let (place, velocity, spin) = (three(q), three(v), three(&v[3..]));
        let momentum = scaled(velocity, mass);
        let orientation = std::array::from_fn(|k| q[3 + k]);
        linear = add(linear, momentum);
        angular = add(angular, cross(place, momentum));
        angular = add(angular, scaled(turned(orientation, spin), inertia));
        energy += 0.5 * (mass * squared(velocity) + inertia * squared(spin));
    }
    (linear, angular, energy)
}

/// Four bodies without gravity that fly at each other: what they do to each other changes neither momentum, and a
/// passive reference only takes energy.
#[test]
fn free_collisions_keep_momentum() {
    const WORLDS: usize = 8;
    let geoms = [
        r#"type="sphere" size="0.1""#,
        r#"type="sphere" size="0.1""#,
        r#"type="box" size="0.1 0.1 0.1""#,
        r#"type="box" size="0.1 0.1 0.1""#,
    ];
    let bodies: String = geoms
        .iter()
        .zip(BODIES)
        .map(|(geom, (mass, moment))| {
            format!(
                r#"<body><freejoint/><geom {geom}/>
                <inertial pos="0 0 0" mass="{mass}" diaginertia="{moment} {moment} {moment}"/></body>"#
            )
        })
        .collect();
    for contact in [
        r#"condim="1""#,
        r#"condim="3" friction="0.8""#,
        r#"condim="6" friction="0.8 0.01 0.01" solref="-3000 -30""#,
    ] {
        let xml = format!(
            r#"<mujoco><option timestep="0.002" gravity="0 0 0"/>
            <default><geom {contact}/></default><worldbody>{bodies}</worldbody></mujoco>"#
        );
        let mut physics = host(&compile(&xml), WORLDS, Precision::Double);
        // From the corners of a square towards its centre, each world a little differently.
        let (mut qpos, mut qvel) = (Vec::new(), Vec::new());
        for world in 0..WORLDS {
            for body in 0..4 {
                let noise = |k: usize| f64::sin((7 * world + 13 * body + 29 * k) as f64);
                let (sin, cos) = (FRAC_PI_2 * (body as f64 + 0.1 * noise(0))).sin_cos();
                qpos.extend([0.3 * cos, 0.3 * sin, 0.05 * noise(1)]);
                let turn: Quat = [1.0, noise(2), noise(3), noise(4)];
                let norm = turn.iter().map(|x| x * x).sum::<f64>().sqrt();
                qpos.extend(turn.map(|x| x / norm));
                qvel.extend([-cos, -sin, 0.2 * noise(5)]);
                qvel.extend([6, 7, 8].map(|k| 2.0 * noise(k)));
            }
        }
        physics.set_state(&qpos, &qvel, &[]).expect("it fits");
        let rows = |qpos: &[f64], qvel: &[f64]| -> Vec<_> {
            let worlds = qpos.chunks(28).zip(qvel.chunks(24));
            worlds.map(|(qpos, qvel)| momenta(qpos, qvel)).collect()
        };
        let start = rows(&qpos, &qvel);
        let (mut worst, mut lost) = (0.0f64, 0.0f64);
        for _ in 0..30 {
            physics.step(10).expect("the host steps");
            let [qpos, qvel] = state(&physics);
            for (now, start) in rows(&qpos, &qvel).iter().zip(&start) {
                let differences = [
                    add(now.0, scaled(start.0, -1.0)),
                    add(now.1, scaled(start.1, -1.0)),
                ];
                worst = differences
                    .iter()
                    .flatten()
                    .fold(worst, |worst, d| worst.max(d.abs()));
                let left = now.2 / start.2;
                assert!(left < 1.0 + 1e-12, "{contact}: energy grew to {left}");
                lost = lost.max(1.0 - left);
            }
        }
        println!(
            "{contact}: momenta change by {worst:.1e}, at most {lost:.2} of the energy is lost"
        );
        // 2e-15 measured: a few roundings of numbers of size 1.
        assert!(worst < 1e-13, "{contact}: a momentum changed by {worst:e}");
        assert!(lost > 0.1, "{contact}: nothing collided");
    }
}

/// A ball, a capsule and a box that fall onto each other and onto a floor, the whole scene moved.
fn heap((cone, condim): (&str, u32), [x, y, z]: Vec3, turn: Quat) -> String {
    let [w, i, j, k] = turn;
    let [gx, gy, gz] = turned(turn, [0.0, 0.0, -9.81]);
    format!(
        r#"<mujoco><option timestep="0.002" gravity="{gx} {gy} {gz}" cone="{cone}"/>
        <default><geom condim="{condim}"/></default><worldbody>
        <geom type="plane" size="5 5 1" pos="{x} {y} {z}" quat="{w} {i} {j} {k}"/>
        <body><freejoint/><geom size="0.1" mass="1"/></body>
        <body><freejoint/><geom type="capsule" size="0.05 0.15" mass="0.8"/></body>
        <body><freejoint/><geom type="box" size="0.12 0.1 0.08" mass="1.5"/></body>
        </worldbody></mujoco>"#
    )
}

/// Where the heap's bodies start, and how they move.
fn heap_start() -> [Vec<f64>; 2] {
    let qpos = [
        [0.02, 0.01, 0.32, 1.0, 0.0, 0.0, 0.0],
        [0.15, 0.05, 0.12, 0.64, 0.48, 0.6, 0.0],
        [-0.02, 0.0, 0.12, 0.96, 0.0, 0.28, 0.0],
    ];
    let qvel = [
        [0.1, 0.0, -1.0, 1.0, 2.0, 0.0],
        [-0.5, 0.0, -0.3, 0.0, 1.0, -1.0],
        [0.3, 0.2, -0.5, -1.0, 0.5, 1.0],
    ];
    [qpos.concat(), qvel.concat()]
}

/// A state of free bodies after the whole is turned about the origin and moved.
fn moved([qpos, qvel]: &[Vec<f64>; 2], place: Vec3, turn: Quat) -> [Vec<f64>; 2] {
    let (mut out_q, mut out_v) = (Vec::new(), Vec::new());
    for (q, v) in qpos.chunks(7).zip(qvel.chunks(6)) {
        out_q.extend(add(turned(turn, three(q)), place));
        out_q.extend(product(turn, std::array::from_fn(|k| q[3 + k])));
        out_v.extend(turned(turn, three(v)));
        // The angular velocity is in the body's own frame.
        out_v.extend(&v[3..]);
    }
    [out_q, out_v]
}

/// The largest difference of two states of free bodies; a quaternion and its negative are the same.
fn difference(a: &[Vec<f64>; 2], b: &[Vec<f64>; 2]) -> f64 {
    let mut worst = 0.0f64;
    for (a, b) in a[0].chunks(7).zip(b[0].chunks(7)) {
        let same: f64 = (3..7).map(|k| a[k] * b[k]).sum();
        let sign = same.signum();
        for k in 0..7 {
            let factor = if k < 3 { 1.0 } else { sign };
            worst = worst.max((a[k] * factor - b[k]).abs());
        }
    }
    a[1].iter()
        .zip(&b[1])
        .fold(worst, |worst, (a, b)| worst.max((a - b).abs()))
}

/// 0.2 s of one world from a state.
fn run(xml: &str, precision: Precision, [qpos, qvel]: &[Vec<f64>; 2]) -> [Vec<f64>; 2] {
    let mut physics = host(&compile(xml), 1, precision);
    physics.set_state(qpos, qvel, &[]).expect("it fits");
    physics.step(100).expect("the host steps");
    state(&physics)
}

fn unit(turn: [f64; 4]) -> Quat {
    let norm = turn.iter().map(|x| x * x).sum::<f64>().sqrt();
    turn.map(|x| x / norm)
}

/// Turning and moving a whole scene, floor and gravity included, turns and moves what happens: without friction, and
/// under an elliptic cone. The edges of friction pyramids point along tangents that MuJoCo derives from the world's axes.
/// The bounds are for double and for single precision, where collisions magnify roundings of 1e-7.
#[test]
fn a_scene_that_is_turned_and_moved_does_the_same() {
    const CONES: [((&str, u32), [f64; 2]); 2] = [
        (("pyramidal", 1), [1e-10, 1e-3]),
        (("elliptic", 3), [1e-10, 1e-2]),
    ];
    let still = [1.0, 0.0, 0.0, 0.0];
    let start = heap_start();
    let precisions = [Precision::Double, Precision::Single];
    for (cone, bounds) in CONES {
        let unmoved = heap(cone, [0.0; 3], still);
        let references = precisions.map(|precision| run(&unmoved, precision, &start));
        assert!(difference(&references[0], &start) > 0.5, "nothing happens");
        let turns = prop::array::uniform4(-1.0..1.0f64).prop_filter("a rotation", |turn| {
            turn.iter().map(|x| x * x).sum::<f64>() > 0.01
        });
        let places = prop::array::uniform3(-3.0..3.0f64);
        let worst = [Cell::new(0.0f64), Cell::new(0.0f64)];
        let result = runner(5).run(&(turns, places), |(turn, place)| {
            let turn = unit(turn);
            let xml = heap(cone, place, turn);
            for (index, precision) in precisions.into_iter().enumerate() {
                let end = run(&xml, precision, &moved(&start, place, turn));
                let error = difference(&end, &moved(&references[index], place, turn));
                worst[index].set(worst[index].get().max(error));
                prop_assert!(error < bounds[index], "{cone:?} {precision:?}: {error:e}");
            }
            Ok(())
        });
        println!(
            "{cone:?}: f64 {:.1e}, f32 {:.1e}",
            worst[0].get(),
            worst[1].get()
        );
        result.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Where on the floor a heap with friction lies does not matter. Measured: 2e-12 in double precision; in single precision
/// 6e-4, since places up to 10 m away round to 5e-7 m, which contacts that begin a step earlier magnify.
#[test]
fn a_heap_elsewhere_on_the_floor_does_the_same() {
    let still = [1.0, 0.0, 0.0, 0.0];
    let (start, xml) = (heap_start(), heap(("pyramidal", 3), [0.0; 3], still));
    for (precision, bound) in [(Precision::Double, 1e-10), (Precision::Single, 1e-2)] {
        let mut physics = host(&compile(&xml), 1, precision);
        let mut step = |[qpos, qvel]: &[Vec<f64>; 2]| {
            physics.reset().expect("the host resets");
            physics.set_state(qpos, qvel, &[]).expect("it fits");
            physics.step(100).expect("the host steps");
            state(&physics)
        };
        let reference = step(&start);
        let (step, worst) = (RefCell::new(step), Cell::new(0.0f64));
        let result = runner(12).run(&(-10.0..10.0f64, -10.0..10.0f64), |(x, y)| {
            let place = [x, y, 0.0];
            let end = (step.borrow_mut())(&moved(&start, place, still));
            let error = difference(&end, &moved(&reference, place, still));
            worst.set(worst.get().max(error));
            prop_assert!(error < bound, "{precision:?}: {error:e}");
            Ok(())
        });
        println!("{precision:?}: {:.1e}", worst.get());
        result.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A box that tumbles and slides on a floor does so in every direction in which the cone looks the same: a pyramid does
/// after a quarter of a turn. A symmetry of 0 stands for any angle. Measured: 9e-15, in single precision 6e-6.
#[test]
fn a_box_tumbles_alike_in_all_directions() {
    const CONES: [(&str, f64); 2] = [("pyramidal", FRAC_PI_2), ("elliptic", 0.0)];
    for (cone, symmetry) in CONES {
        let xml = format!(
            r#"<mujoco><option timestep="0.002" cone="{cone}"/><worldbody>
            <geom type="plane" size="5 5 1"/>
            <body><freejoint/><geom type="box" size="0.12 0.1 0.08" mass="1.5"/></body>
            </worldbody></mujoco>"#
        );
        let start = [
            vec![0.0, 0.0, 0.13, 0.96, 0.0, 0.28, 0.0],
            vec![1.5, 0.7, -0.5, -1.0, 3.5, 1.0],
        ];
        for (precision, bound) in [(Precision::Double, 1e-10), (Precision::Single, 1e-4)] {
            let reference = run(&xml, precision, &start);
            let worst = Cell::new(0.0f64);
            let result = runner(8).run(&(0.0..TAU, -5.0..5.0f64), |(yaw, x)| {
                let yaw = if symmetry > 0.0 {
                    (yaw / symmetry).ceil() * symmetry
                } else {
                    yaw
                };
                let (sin, cos) = (0.5 * yaw).sin_cos();
                let (turn, place) = ([cos, 0.0, 0.0, sin], [x, -x, 0.0]);
                let end = run(&xml, precision, &moved(&start, place, turn));
                let error = difference(&end, &moved(&reference, place, turn));
                worst.set(worst.get().max(error));
                prop_assert!(error < bound, "{cone} {precision:?}: {error:e}");
                Ok(())
            });
            println!("{cone} {precision:?}: {:.1e}", worst.get());
            result.unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
