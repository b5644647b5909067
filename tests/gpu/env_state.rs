//! State as a value: copies of worlds on the device and in files, to the bit.

use manyworlds::env::{Physics, Precision, Randomness, Snapshot, Target, VecEnv, Which};
use manyworlds::model::Model;
use manyworlds::scene::mjcf;
use manyworlds::tasks::Registry;
use manyworlds::trace::Kind;
use std::path::Path;
use std::sync::Arc;

use crate::common::gpu;
use crate::env_support::{actions, bits, builtin, counting, everywhere, on_device};
use crate::program::Folder;

/// Every per-world field with its kind.
fn fields(env: &VecEnv) -> Vec<(String, Kind)> {
    let layout = env.arenas().expect("it is on a device").layout();
    let fields = layout.fields().iter();
    fields
        .filter(|(_, field)| field.per_world && !field.is_empty())
        .map(|(name, field)| (name.clone(), field.kind))
        .collect()
}

/// All numbers of one field, `[world][component]`, by their bits.
fn read(env: &VecEnv, name: &str, kind: Kind) -> Vec<u32> {
    match kind {
        Kind::F32 => bits(&env.get(name).unwrap()),
        Kind::U32 => env.get_bits(name).unwrap(),
    }
}

/// All numbers of each world.
fn worlds(env: &VecEnv) -> Vec<Vec<u32>> {
    let mut all = vec![Vec::new(); env.num_envs()];
    for (name, kind) in fields(env) {
        let values = read(env, &name, kind);
        let width = values.len() / all.len();
        for (world, numbers) in all.iter_mut().zip(values.chunks(width)) {
            world.extend(numbers);
        }
    }
    all
}

fn step(env: &mut VecEnv, from: u32, count: u32, per_world: usize) {
    let all = env.num_envs() as u32;
    for step in from..from + count {
        env.step(&actions(0..all, step, per_world)).unwrap();
    }
}

/// A field that a task, a sensor or an actuator adds is covered without anybody listing it: whatever lies per world
/// comes back after it was overwritten. Tables are shared by all worlds; each is named here with who restores it.
#[test]
fn every_field_of_every_world_comes_back() {
    on_device(|context| {
        for builder in [
            builtin("cartpole"),
            builtin("hopper"),
            counting("start = 0.5"),
        ] {
            let mut env = builder.worlds(5).seed(3).build(context).unwrap();
            let per_world = env.action_spec().len();
            step(&mut env, 0, 7, per_world);
            let layout = env.arenas().unwrap().layout();
            let tables = layout.buffers().iter().filter(|buffer| !buffer.per_world);
            // The task's parameters: on the host, and in snapshots.
            let names: Vec<&str> = tables.map(|table| table.name.as_str()).collect();
            assert_eq!(
                names,
                ["parameters"],
                "a new table needs somebody to restore it"
            );

            let before = worlds(&env);
            let state = env.get_state(Which::All).unwrap();
            let snapshot = env.snapshot(None).unwrap();
            for restore in [true, false] {
                for (name, kind) in fields(&env) {
                    let count = read(&env, &name, kind).len();
                    match kind {
                        Kind::F32 => env.set(&name, None, &vec![-7.5; count]).unwrap(),
                        Kind::U32 => env.set_bits(&name, None, &vec![0xdead; count]).unwrap(),
                    }
                }
                let spoilt = worlds(&env);
                assert!(
                    spoilt
                        .iter()
                        .flatten()
                        .all(|bits| *bits == 0xdead || *bits == (-7.5f32).to_bits())
                );
                match restore {
                    true => env.restore(None, &snapshot).unwrap(),
                    false => env
                        .set_state(Which::All, &state, Randomness::Saved)
                        .unwrap(),
                }
                assert_eq!(worlds(&env), before, "{}", env.name());
            }
        }
    });
}

#[test]
fn a_replay_from_a_state_gives_the_same_bits() {
    everywhere(|target| {
        let mut env = builtin("cartpole")
            .worlds(70)
            .seed(7)
            .build_on(target)
            .unwrap();
        let everything = |env: &VecEnv| env.snapshot(None).unwrap().to_bytes();
        step(&mut env, 0, 25, 1);
        let (state, start) = (env.get_state(Which::All).unwrap(), everything(&env));
        assert_eq!(state.worlds(), 70);
        step(&mut env, 25, 30, 1);
        let end = everything(&env);
        assert_ne!(start, end);
        env.set_state(Which::All, &state, Randomness::Saved)
            .unwrap();
        assert_eq!(everything(&env), start);
        step(&mut env, 25, 30, 1);
        assert_eq!(everything(&env), end, "episodes ended and began on the way");

        // The memory of a state can be used again.
        let mut state = state;
        env.get_state_into(Which::All, &mut state).unwrap();
        step(&mut env, 55, 3, 1);
        env.set_state(Which::All, &state, Randomness::Saved)
            .unwrap();
        assert_eq!(everything(&env), end);
    });
}

#[test]
fn worlds_go_where_they_are_told() {
    on_device(|context| {
        let mut env = builtin("hopper").worlds(6).seed(1).build(context).unwrap();
        step(&mut env, 0, 10, 3);
        let before = worlds(&env);
        // By index, in the order given, and one of them twice.
        let state = env.get_state(Which::Indices(&[3, 1, 3])).unwrap();
        env.set_state(Which::Indices(&[0, 2, 5]), &state, Randomness::Saved)
            .unwrap();
        let expected = [3, 1, 1, 3, 4, 3].map(|world| before[world].clone());
        assert_eq!(worlds(&env), expected);
        // By mask, in ascending order.
        let mask = [true, false, true, false, false, false];
        let state = env.get_state(Which::Mask(&mask)).unwrap();
        let targets = [false, true, false, false, true, false];
        env.set_state(Which::Mask(&targets), &state, Randomness::Saved)
            .unwrap();
        let expected = [3, 3, 1, 3, 1, 3].map(|world| before[world].clone());
        assert_eq!(worlds(&env), expected);

        // Into another environment of the same task, which has another number of worlds and another stride.
        let mut other = builtin("hopper")
            .worlds(200)
            .seed(9)
            .build(context)
            .unwrap();
        let one = env.get_state(Which::Indices(&[4])).unwrap();
        let untouched = worlds(&other);
        let targets: Vec<usize> = (0..200).filter(|world| world % 3 == 1).collect();
        other
            .set_state(Which::Indices(&targets), &one, Randomness::Saved)
            .unwrap();
        for (world, numbers) in worlds(&other).iter().enumerate() {
            let expected = match world % 3 {
                1 => &before[1],
                _ => &untouched[world],
            };
            assert_eq!(numbers, expected, "world {world}");
        }
    });
}

#[test]
fn copies_of_one_world_differ_through_random_numbers_only() {
    everywhere(|target| {
        let build = || {
            let builder = counting("stop = 8\nstart = 0.5").worlds(9).seed(2);
            builder.build_on(target).unwrap()
        };
        for randomness in [Randomness::Saved, Randomness::Own] {
            let mut env = build();
            step(&mut env, 0, 6, 1);
            env.fork(4, Which::All, randomness).unwrap();
            let same = |env: &VecEnv, name: &str| {
                let values = bits(&env.get(name).unwrap());
                let width = values.len() / 9;
                values.chunks(width).all(|world| *world == values[..width])
            };
            let same_bits = |env: &VecEnv, name: &str| {
                let values = env.get_bits(name).unwrap();
                values.iter().all(|value| *value == values[0])
            };
            assert!(same(&env, "obs.critic") && same(&env, "qvel"));
            assert_eq!(same_bits(&env, "stream"), randomness == Randomness::Saved);
            // The world's seventh step: nothing is drawn, all do the same.
            env.step(&[0.25; 9]).unwrap();
            assert!(same(&env, "qpos") && same(&env, "reward"));
            // The eighth ends the episode, and all begin anew somewhere.
            env.step(&[0.25; 9]).unwrap();
            assert!(same(&env, "next_obs.policy") && same(&env, "reward"));
            for name in ["qpos", "command.target"] {
                assert_eq!(same(&env, name), randomness == Randomness::Saved, "{name}");
            }
            assert!(same(&env, "final_return") && same_bits(&env, "episode_step"));
        }
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let says = |result: manyworlds::error::Result<()>, parts: &[&str]| {
        let error = result.expect_err("it must be refused").to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    };
    everywhere(|target| {
        let mut env = builtin("cartpole").worlds(4).build_on(target).unwrap();
        let before = env.snapshot(None).unwrap();
        let two = env.get_state(Which::Indices(&[0, 1])).unwrap();
        let saved = Randomness::Saved;
        let mut set = |which, state: &_| env.set_state(which, state, saved);
        says(set(Which::Indices(&[0, 4]), &two), &["world 4 of 4"]);
        says(set(Which::Indices(&[2, 2]), &two), &["world 2", "twice"]);
        says(set(Which::All, &two), &["2 worlds", "4"]);
        says(set(Which::Mask(&[true; 3]), &two), &["mask of 3 worlds"]);
        let other = builtin("cartpole_swingup")
            .worlds(2)
            .build_on(target)
            .unwrap();
        let other_state = other.get_state(Which::All).unwrap();
        says(
            set(Which::Indices(&[0, 1]), &other_state),
            &["`cartpole_swingup`", "`cartpole`"],
        );
        let elsewhere = builtin("cartpole")
            .worlds(2)
            .build_on(Target::Host(Precision::Double))
            .unwrap();
        let elsewhere = elsewhere.get_state(Which::All).unwrap();
        says(set(Which::Indices(&[0, 1]), &elsewhere), &["elsewhere"]);
        says(env.get_state(Which::Indices(&[9])).map(drop), &["world 9"]);
        says(env.get_state(Which::Indices(&[])).map(drop), &["no world"]);
        says(
            env.get_state(Which::Mask(&[false; 4])).map(drop),
            &["no world"],
        );
        let mut two = two;
        says(env.get_state_into(Which::All, &mut two), &["4 worlds", "2"]);
        says(
            env.restore(None, &other.snapshot(None).unwrap()),
            &["`cartpole_swingup`"],
        );
        assert_eq!(env.snapshot(None).unwrap(), before, "nothing changed");
    });
    if let (Some(one), Some(two)) = (gpu::context(), gpu::context()) {
        let state = builtin("cartpole").build(&one).unwrap();
        let state = state.get_state(Which::All).unwrap();
        let mut env = builtin("cartpole").build(&two).unwrap();
        says(
            env.set_state(Which::All, &state, Randomness::Saved),
            &["same device"],
        );
    }
}

#[test]
fn snapshots_are_files() {
    let folder = Folder::new("snapshots");
    everywhere(|target| {
        let mut env = builtin("cartpole").worlds(5).build_on(target).unwrap();
        step(&mut env, 0, 9, 1);
        let path = folder.path().join("worlds.snapshot");
        let snapshot = env.snapshot(None).unwrap();
        snapshot.write(&path).unwrap();
        assert_eq!(Snapshot::read(&path).unwrap(), snapshot);
        step(&mut env, 9, 5, 1);
        let later = env.snapshot(None).unwrap();
        let mut again = builtin("cartpole")
            .worlds(5)
            .seed(8)
            .build_on(target)
            .unwrap();
        again
            .restore(None, &Snapshot::read(&path).unwrap())
            .unwrap();
        step(&mut again, 9, 5, 1);
        assert_eq!(
            again.snapshot(None).unwrap(),
            later,
            "another process goes on"
        );
        std::fs::write(&path, b"mwsnap2\n").unwrap();
        let error = Snapshot::read(&path).unwrap_err().to_string();
        assert!(error.contains("worlds.snapshot: no complete"), "{error}");
    });
}

#[test]
fn a_simulation_without_a_task_is_saved_as_well() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/dragged.xml");
    let model = Arc::new(Model::compile(&mjcf::load(&path).unwrap()).unwrap());
    let test = |target: Target<'_>| {
        let mut physics = Physics::new(&model, 5, target).unwrap();
        let push = |physics: &mut Physics, from: usize| {
            for step in from..from + 20 {
                let ctrl = (0..5 * model.nu).map(|i| (i as f64 + step as f64).sin());
                physics.set_ctrl(&ctrl.collect::<Vec<_>>()).unwrap();
                physics.step(2).unwrap();
            }
        };
        push(&mut physics, 0);
        let state = physics.get_state(Which::All).unwrap();
        let snapshot = physics.snapshot(None).unwrap();
        push(&mut physics, 20);
        let end = physics.snapshot(None).unwrap();
        assert_ne!(end, snapshot);
        physics.put_state(Which::All, &state).unwrap();
        assert_eq!(physics.snapshot(None).unwrap(), snapshot);
        push(&mut physics, 20);
        assert_eq!(physics.snapshot(None).unwrap(), end);
        physics.restore(None, &snapshot).unwrap();
        push(&mut physics, 20);
        assert_eq!(physics.snapshot(None).unwrap(), end);
        // One world into all the others.
        let one = physics.get_state(Which::Indices(&[2])).unwrap();
        physics.put_state(Which::All, &one).unwrap();
        let qpos = physics.read(physics.fields().state.qpos).unwrap();
        assert!(
            qpos.chunks(model.nq)
                .all(|world| *world == qpos[..model.nq])
        );
    };
    everywhere(test);
    test(Target::Host(Precision::Double));
}

/// Every built-in task has fields that a state of the same task fits, and a state of no other does.
#[test]
fn states_of_different_tasks_do_not_mix() {
    let registry = Registry::builtin();
    let build = |name: &str| {
        let builder = VecEnv::builder(registry.load(name).unwrap());
        builder.build_on(Target::Host(Precision::Single)).unwrap()
    };
    let mut envs: Vec<VecEnv> = ["cartpole", "cartpole_swingup", "hopper", "walker2d"]
        .map(build)
        .into();
    let states: Vec<_> = envs
        .iter()
        .map(|env| env.get_state(Which::All).unwrap())
        .collect();
    for (i, env) in envs.iter_mut().enumerate() {
        for (j, state) in states.iter().enumerate() {
            let result = env.set_state(Which::All, state, Randomness::Own);
            assert_eq!(result.is_ok(), i == j, "{i} {j}");
        }
    }
}
