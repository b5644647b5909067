//! A bad world is kept with everything that its step read, and stepped again bit for bit.

use std::fs;
use std::path::PathBuf;

use manyworlds::env::{BadWorld, Builder, Dumps, Precision, Target, VecEnv};
use manyworlds::tasks::{Cause, Registry};

use crate::env_support::{actions, bits, builtin, everywhere};

const WORLDS: usize = 70;
const BROKEN: usize = 65;

/// The task's environment with and without the option, after some steps.
fn build(name: &str, target: Target<'_>, causes: &[Cause]) -> VecEnv {
    let builder: Builder = builtin(name).worlds(WORLDS).seed(4);
    (builder.keep_bad_worlds(causes).build_on(target)).unwrap_or_else(|error| panic!("{error}"))
}

fn quarantining() -> Vec<Cause> {
    (Cause::ALL.into_iter())
        .filter(|cause| cause.quarantines())
        .collect()
}

fn put(env: &mut VecEnv, name: &str, value: f32) {
    let mut mask = [false; WORLDS];
    mask[BROKEN] = true;
    let width = env.get(name).unwrap().len() / WORLDS;
    env.set(name, Some(&mask), &vec![value; WORLDS * width])
        .unwrap();
}

/// A file that is gone when the test is.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let name = format!("manyworlds-bad-{name}-{}.npz", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn keeping_bad_worlds_changes_no_bit_and_a_dump_replays() {
    everywhere(|target| {
        for name in ["cartpole", "hopper"] {
            let mut plain = build(name, target, &[]);
            let mut keeping = build(name, target, &quarantining());
            assert_eq!(plain.step_graph().wgsl(), keeping.step_graph().wgsl());
            let width = plain.action_spec().len();
            let weight = plain.params().keys().find(|key| key.ends_with(".weight"));
            let weight = weight.unwrap().to_owned();
            plain.params().set(&weight, 1.5).unwrap();
            keeping.params().set(&weight, 1.5).unwrap();
            for step in 0..8 {
                let actions = actions(0..WORLDS as u32, step, width);
                if step == 5 {
                    put(&mut plain, "qvel", f32::NAN);
                    put(&mut keeping, "qvel", f32::NAN);
                }
                plain.step(&actions).unwrap();
                keeping.step(&actions).unwrap();
            }
            for field in ["qpos", "qvel", "obs.policy", "reward", "episode_return"] {
                let [a, b] = [&plain, &keeping].map(|env| bits(&env.get(field).unwrap()));
                assert_eq!(a, b, "{name}: {field}");
            }
            assert!(plain.take_bad_worlds().unwrap().is_empty());
            let found = keeping.take_bad_worlds().unwrap();
            let [bad] = found.as_slice() else {
                panic!("{} bad worlds", found.len())
            };
            assert_eq!((bad.world, bad.count), (BROKEN, 1));
            assert_eq!((bad.step(), bad.episode()), (5, 0));
            assert_eq!(bad.causes(), [Cause::State]);
            assert!(keeping.take_bad_worlds().unwrap().is_empty(), "once");

            let file = File::new(name);
            bad.save(&file.0).unwrap();
            let read = BadWorld::load(&file.0).unwrap();
            // NaN is not equal to itself: the texts are compared.
            assert_eq!(format!("{read:?}"), format!("{bad:?}"));
            let registry = Registry::builtin();
            let mut env = read.builder(&registry).unwrap().build_on(target).unwrap();
            let replay = env.replay(&read).unwrap();
            assert_eq!(replay.causes, [Cause::State]);
            assert_eq!(replay.differences, []);
            assert!(replay.compared > 30);

            let diagnosis = env.diagnose(&read).unwrap();
            assert!(diagnosis.inputs.iter().all(|input| input.what == "qvel"));
            assert!(!diagnosis.inputs.is_empty());
            assert_eq!(diagnosis.substep, Some(1));
            assert!(diagnosis.outputs.iter().any(|output| output.what == "qpos"));
        }
    });
}

/// What comes out must be what was dumped, and not merely whatever comes out: other inputs give other numbers.
#[test]
fn a_replay_of_other_inputs_differs() {
    everywhere(|target| {
        let mut env = build("cartpole", target, &quarantining());
        env.step(&actions(0..WORLDS as u32, 0, 1)).unwrap();
        put(&mut env, "qpos", 2e10);
        env.step(&actions(0..WORLDS as u32, 1, 1)).unwrap();
        let mut bad = env.take_bad_worlds().unwrap().remove(0);
        let mut one = (bad.builder(&Registry::builtin()).unwrap().build_on(target)).unwrap();
        assert_eq!(one.replay(&bad).unwrap().differences, []);
        let (_, seed) = (bad.before.iter_mut())
            .find(|(name, _)| name == "stream")
            .unwrap();
        *seed = manyworlds::env::Values::Bits(vec![1_000]);
        let differences = one.replay(&bad).unwrap().differences;
        let differs = |field: &str| differences.iter().any(|found| found.field == field);
        assert!(differs("qpos"), "the next episode began elsewhere");
        assert!(differs("obs.policy") && !differs("status"));

        bad.origin.wgsl = "0".into();
        bad.origin.version = "0.0.0".into();
        let error = one.replay(&bad).unwrap_err().to_string();
        assert!(error.contains("WGSL 0 there, "), "{error}");
        assert!(error.contains("version 0.0.0 there, ") && error.contains("replay it with"));
    });
}

#[test]
fn warnings_are_kept_where_asked_for_and_files_are_limited() {
    let target = Target::Host(Precision::Double);
    let mut env = build("cartpole", target, &Cause::ALL);
    let folder = std::env::temp_dir().join(format!("manyworlds-dumps-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let mut dumps = Dumps::new(&folder, 3).unwrap();
    let mut broken = [0.0; WORLDS];
    (broken[3], broken[9]) = (f32::NAN, f32::INFINITY);
    env.step(&broken).unwrap();
    let lines = dumps.take(&mut env).unwrap();
    assert_eq!(lines.len(), 2);
    let name = "world_9_episode_0_step_0.npz";
    assert!(lines[1].starts_with("world 9 of `cartpole`, step 0 of its episode 0: non-finite"));
    assert!(lines[1].ends_with(name) && folder.join(name).is_file());
    env.step(&broken).unwrap();
    let lines = dumps.take(&mut env).unwrap();
    assert!(
        lines[0].contains("world_3_episode_1_step_0.npz"),
        "{lines:?}"
    );
    assert!(lines[1].contains("no more: "), "{lines:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    env.step(&broken).unwrap();
    assert!(dumps.take(&mut env).unwrap().is_empty(), "no more are kept");
    assert_eq!(
        Dumps::new(&folder, 64)
            .unwrap()
            .take(&mut env)
            .unwrap()
            .len(),
        0
    );

    // Doubles are dumped, and replayed, as doubles.
    let bad = BadWorld::load(&folder.join(name)).unwrap();
    assert_eq!(bad.origin.target, "host f64");
    let mut one = (bad.builder(&Registry::builtin()).unwrap().build_on(target)).unwrap();
    assert_eq!(one.replay(&bad).unwrap().differences, []);
    for length in [0, 10, 1000] {
        let cut = fs::read(folder.join(name)).unwrap()[..length].to_vec();
        fs::write(folder.join("cut.npz"), cut).unwrap();
        let error = BadWorld::load(&folder.join("cut.npz")).unwrap_err();
        assert!(
            error.to_string().contains("no dump of a bad world"),
            "{error}"
        );
    }
    fs::remove_dir_all(&folder).unwrap();
}
