//! More contacts between links than slots: said, survived, and not noticed by the neighbours.

use std::sync::Arc;

use manyworlds::env::{Physics, VecEnv};
use manyworlds::error::Result;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::scene::mjcf;
use manyworlds::tasks::{
    Cause, Definition, Init, Spec, Table, Task, TaskState, Terms, Warning, World,
};

use crate::env_support::{bits, everywhere};

const WORLDS: usize = 37;
const CROWDED: usize = 20;
const BALLS: usize = 6;
/// All pairs of balls that are pressed together.
const CONTACTS: u32 = 15;

/// Balls 1 m apart on a line, each free in a plane. Six of them have 15 pairs; there are 4 slots.
fn xml() -> String {
    let ball = |index: usize| {
        format!(
            r#"<body pos="{index} 0 0">
                 <joint name="x{index}" type="slide" axis="1 0 0" damping="5"/>
                 <joint type="slide" axis="0 1 0" damping="5"/>
                 <geom size="0.1" mass="1"/>
               </body>"#
        )
    };
    let balls: String = (0..BALLS).map(ball).collect();
    format!(
        r#"<mujoco model="crowd">
             <option timestep="0.005" gravity="0 0 0"/>
             <worldbody>{balls}</worldbody>
             <actuator><motor joint="x0"/></actuator>
           </mujoco>"#
    )
}

/// All balls within a few centimetres of the first.
fn crowd() -> Vec<f64> {
    let place = |ball: usize| {
        let angle = ball as f64;
        [0.05 * angle.cos() - ball as f64, 0.05 * angle.sin()]
    };
    (0..BALLS).flat_map(place).collect()
}

struct Crowd;

impl Task for Crowd {
    fn spec(&self, model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.01, 1000)
            .observe("policy", "qpos", model.nq)
            .reward("none", 1.0))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        t.observe("qpos", w.qpos());
        t.reward("none", 0.0);
    }

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}
}

#[test]
fn an_overflow_is_a_warning_and_stays_in_its_world() {
    everywhere(|target| {
        let build = || {
            let definition = Definition::new("crowd", Box::new(Crowd), &xml(), "").unwrap();
            let builder = VecEnv::builder(definition).worlds(WORLDS);
            builder
                .build_on(target)
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let (mut calm, mut crowded) = (build(), build());
        let mut mask = [false; WORLDS];
        mask[CROWDED] = true;
        let places: Vec<f32> = crowd().iter().map(|&x| x as f32).collect();
        crowded
            .set("qpos", Some(&mask), &places.repeat(WORLDS))
            .unwrap();
        let (mut steps, mut last) = (0, 0);
        for step in 0..200 {
            calm.step(&[0.3; WORLDS]).unwrap();
            let seen = crowded.step(&[0.3; WORLDS]).unwrap();
            let status = seen.info.status().unwrap();
            let host = seen.read().unwrap();
            assert!(
                host.valid.iter().all(|&valid| valid),
                "nobody is quarantined"
            );
            assert!(!host.truncated[CROWDED]);
            if status[CROWDED] == Cause::Overflow.bit() {
                steps += 1;
                last = step;
            }
            for (world, &status) in status.iter().enumerate() {
                let is_crowded = world == CROWDED && step == 0;
                assert!(status == 0 || world == CROWDED, "world {world}");
                assert!(!is_crowded || status == Cause::Overflow.bit());
            }
            for field in ["qpos", "qvel", "obs.policy"] {
                let (a, b) = (calm.get(field).unwrap(), crowded.get(field).unwrap());
                let width = a.len() / WORLDS;
                for world in (0..WORLDS).filter(|&world| world != CROWDED) {
                    let own = world * width..(world + 1) * width;
                    assert_eq!(bits(&a[own.clone()]), bits(&b[own]), "{field} of {world}");
                }
                assert!(b.iter().all(|x| x.is_finite()));
            }
        }
        assert_eq!(
            crowded.step(&[0.0; WORLDS]).unwrap().info.status().unwrap()[CROWDED],
            0,
            "they have moved apart"
        );
        let stats = crowded.drain_stats().unwrap();
        assert_eq!(stats.quarantines, []);
        let expected = Warning {
            cause: Cause::Overflow,
            worlds: 1,
            steps,
            worst: CROWDED,
            step: last,
            episode: 0,
            needed: CONTACTS,
        };
        assert_eq!(stats.warnings, [expected]);
        let line = format!(
            "of 1 worlds, up to 15 at once in world 20, last in step {last} of its episode 0; the deepest were kept"
        );
        assert!(stats.warnings[0].to_string().contains(&line));
        assert_eq!(crowded.drain_stats().unwrap().warnings, []);
        assert_eq!(calm.drain_stats().unwrap().warnings, []);
    });
}

/// Without a task, the status remembers it until the state is set.
#[test]
fn physics_remembers_an_overflow() {
    everywhere(|target| {
        let scene = mjcf::parse("crowd.xml", &xml(), ".").unwrap();
        let model = Arc::new(Model::compile(&scene).unwrap());
        let mut physics = Physics::new(&model, 3, target).unwrap();
        let apart = vec![0.0; model.nq];
        let qpos = [apart.clone(), crowd(), apart].concat();
        let qvel = vec![0.0; 3 * model.nv];
        physics.set_state(&qpos, &qvel, &[]).unwrap();
        physics.step(1).unwrap();
        physics.step(400).unwrap();
        let overflow = Cause::Overflow.bit();
        assert_eq!(physics.frames().unwrap().status, [0, overflow, 0]);
        physics.reset().unwrap();
        physics.step(1).unwrap();
        assert_eq!(physics.frames().unwrap().status, [0; 3]);
    });
}
