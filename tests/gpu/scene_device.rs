//! Experiments with contacts on the device, in single precision: rest over many steps, and slots that overflow.

use std::sync::Arc;

use manyworlds::env::{Physics, Target};
use manyworlds::model::Model;
use manyworlds::scene::mjcf;

use crate::env_support::on_device;

fn compile(xml: &str) -> Arc<Model> {
    let scene = mjcf::parse("scene.xml", xml, ".").unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Model::compile(&scene).unwrap_or_else(|error| panic!("{error}")))
}

/// A box, turned about the vertical, at rest on a plane or on a box that is fixed, for 200 s.
///
/// Friction of a soft contact is a damper: a sideways force that is wrong for ever, if only by a rounding of 6e-8 of the
/// weight, makes the box creep by some 1e-8 m/s. Measured are 0 m and 7e-12 m; the bound is a micrometre.
#[test]
fn a_box_at_rest_stays() {
    let grounds = [
        ("plane", r#"type="plane" size="2 2 1""#),
        ("box", r#"type="box" size="0.6 0.5 0.3" pos="0 0 -0.3""#),
    ];
    on_device(|context| {
        for (ground, geom) in grounds {
            let xml = format!(
                r#"<mujoco><option timestep="0.002"/><worldbody><geom {geom}/>
                <body pos="0.03 -0.02 0.0998" euler="0 0 17"><freejoint/>
                <geom type="box" size="0.2 0.15 0.1" mass="3"/></body></worldbody></mujoco>"#
            );
            let mut physics = Physics::new(&compile(&xml), 4, Target::Gpu(context)).unwrap();
            let run = |physics: &mut Physics, steps: u32| {
                // A driver may take a launch that lasts seconds for hung.
                (0..steps / 1000).for_each(|_| physics.step(1000).unwrap());
                physics.read(physics.fields().state.qpos).unwrap()
            };
            let settled = run(&mut physics, 1000);
            let end = run(&mut physics, 99_000);
            let differences = settled.iter().zip(&end).map(|(a, b)| (a - b).abs());
            let drift = differences.fold(0.0, f64::max);
            println!("on a {ground}: drift {drift:.1e} in 198 s");
            assert!(drift < 1e-6, "on a {ground}: {drift:e}");
            assert!(end[2] > 0.098, "on a {ground}: it lies at {}", end[2]);
            assert!(
                physics
                    .contacts()
                    .unwrap()
                    .ncon
                    .iter()
                    .all(|&ncon| ncon == 4)
            );
        }
    });
}

/// A world in which slots overflow is told, stays finite, and no other world differs by a bit.
#[test]
fn neighbours_of_a_world_that_overflows_do_not_notice() {
    const WORLDS: usize = 70;
    const CROWDED: usize = 5;
    let path = format!(
        "{}/tests/models/sphere_pile.xml",
        env!("CARGO_MANIFEST_DIR")
    );
    let model = Model::compile(&mjcf::load(path).unwrap()).unwrap();
    let model = Arc::new(model);
    on_device(|context| {
        let run = |crowd: bool| {
            let mut physics = Physics::new(&model, WORLDS, Target::Gpu(context)).unwrap();
            let mut qpos = model.qpos0.repeat(WORLDS);
            let mut qvel = vec![0.0; WORLDS * model.nv];
            for (index, speed) in qvel.iter_mut().enumerate() {
                *speed = f64::sin(index as f64);
            }
            if crowd {
                // All five within the radius of one.
                for body in 0..5 {
                    let place = CROWDED * model.nq + 7 * body;
                    let (sin, cos) = f64::sin_cos(body as f64);
                    let near = [0.05 * cos, 0.05 * sin, 0.1 + 0.01 * body as f64];
                    qpos[place..place + 3].copy_from_slice(&near);
                }
            }
            physics.set_state(&qpos, &qvel, &[]).unwrap();
            let before = physics.contacts().unwrap();
            physics.step(100).unwrap();
            let state = physics.fields().state;
            let rows = [state.qpos, state.qvel].map(|field| physics.read(field).unwrap());
            let sound = physics.frames().unwrap().status[CROWDED] & 2 == 0;
            (before, rows, sound)
        };
        let (quiet, alone, _) = run(false);
        let (crowded, beside, sound) = run(true);
        assert!(quiet.overflow.iter().all(|overflow| !overflow));
        for world in 0..WORLDS {
            let here = world == CROWDED;
            assert_eq!(crowded.overflow[world], here, "world {world}");
            assert_eq!(
                crowded.needed[world],
                if here { 10 } else { 0 },
                "world {world}"
            );
            for (alone, beside) in alone.iter().zip(&beside) {
                let width = alone.len() / WORLDS;
                let of = |values: &[f64]| -> Vec<u64> {
                    let row = &values[world * width..(world + 1) * width];
                    row.iter().map(|value| value.to_bits()).collect()
                };
                assert_eq!(of(alone) == of(beside), !here, "world {world}");
            }
        }
        assert!(sound, "the crowded world is finite");
    });
}
