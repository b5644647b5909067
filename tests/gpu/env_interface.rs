//! The rest of the interface: fields, snapshots, parameters, rollouts, and what is refused.

use manyworlds::env::{Autoreset, Precision, Rollout, Snapshot, Target, VecEnv};
use manyworlds::error::Result;
use manyworlds::gpu::{Arenas, Recorder};
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::tasks::{
    Definition, Init, Params, Registry, Spec, Stats, Table, Task, TaskState, Terms, World,
};

use crate::env_support::{actions, bits, builtin, counting, counting_env, everywhere, on_device};

const HOST: Target<'static> = Target::Host(Precision::Single);

/// The bits of everything that a checkpoint must hold.
fn everything(env: &VecEnv) -> Vec<u8> {
    env.snapshot(None)
        .unwrap_or_else(|error| panic!("{error}"))
        .to_bytes()
}

#[test]
fn a_snapshot_restores_bit_for_bit() {
    everywhere(|target| {
        let mut env = counting_env(target, 6, Autoreset::SameStep, "stop = 4\nstart = 0.5");
        let run = |env: &mut VecEnv, from: u32| {
            for step in from..from + 6 {
                env.step(&actions(0..6, step, 1)).unwrap();
            }
        };
        run(&mut env, 0);
        let saved = env.snapshot(None).unwrap();
        let before = everything(&env);
        run(&mut env, 6);
        let continued = everything(&env);
        env.params().set("stop", 3.0).unwrap();
        run(&mut env, 12);
        let stored = Snapshot::from_bytes(&saved.to_bytes()).unwrap();
        env.restore(None, &stored).unwrap();
        assert_eq!(everything(&env), before);
        assert_eq!(
            env.params().get("stop").unwrap(),
            4.0,
            "parameters are part of it"
        );
        run(&mut env, 6);
        assert_eq!(everything(&env), continued, "the run goes on as it did");
    });
}

#[test]
fn a_partial_snapshot_restores_its_worlds_only() {
    everywhere(|target| {
        let mut env = counting_env(target, 3, Autoreset::SameStep, "");
        env.step(&[0.1, 0.2, 0.3]).unwrap();
        let mask = [false, true, true];
        let saved = env.snapshot(Some(&mask)).unwrap();
        assert_eq!(saved.worlds(), [1, 2]);
        let then = env.get("qvel").unwrap();
        env.step(&[1.0, 1.0, 1.0]).unwrap();
        let now = env.get("qvel").unwrap();
        env.restore(Some(&[false, false, true]), &saved).unwrap();
        assert_eq!(
            bits(&env.get("qvel").unwrap()),
            bits(&[now[0], now[1], then[2]])
        );
        let error = env
            .restore(Some(&[true, false, false]), &saved)
            .unwrap_err()
            .to_string();
        assert!(error.contains("does not hold world 0"), "{error}");
        let mut other = counting_env(target, 2, Autoreset::SameStep, "");
        assert!(other.restore(None, &saved).is_err());
    });
}

#[test]
fn fields_are_read_and_written_by_name() {
    everywhere(|target| {
        let mut env = counting_env(target, 3, Autoreset::SameStep, "");
        env.set("qpos", Some(&[true, false, true]), &[0.5, 0.6, 0.7])
            .unwrap();
        assert_eq!(env.get("qpos").unwrap(), [0.5, 0.0, 0.7]);
        let seen = env.observations().policy().read().unwrap();
        assert_eq!(seen, [0.0; 6], "observations wait for forward");
        assert_eq!(
            env.forward().unwrap().policy().read().unwrap(),
            [0.0, 0.5, 0.0, 0.0, 0.0, 0.7]
        );
        assert_eq!(env.episode_steps().unwrap(), [0; 3], "no time passed");
        let error = env.get("qpso").unwrap_err().to_string();
        assert!(error.contains("did you mean `qpos`"), "{error}");
        assert!(env.set("qpos", None, &[0.0; 4]).is_err());
        assert!(
            env.get("episode").is_err() && env.get_bits("qpos").is_err(),
            "kinds are told apart"
        );
    });
}

#[test]
fn parameters_change_without_a_rebuild() {
    everywhere(|target| {
        let config = "[observation.policy.count]\nscale = 2.0\nclip = [0.0, 2.0]\n[termination.stop]\nenabled = true";
        let mut env = counting_env(target, 1, Autoreset::SameStep, config);
        let mut step = |settings: &[(&str, f64)]| {
            settings
                .iter()
                .for_each(|(key, value)| env.params().set(key, *value).unwrap());
            env.step(&[0.0]).unwrap().read().unwrap()
        };
        assert_eq!(step(&[]).reward, [1.0]);
        assert_eq!(step(&[("reward.count.weight", 10.0)]).reward, [20.0]);
        assert_eq!(step(&[]).obs[0][0], 4.0, "3 is clipped to 2, times 2");
        let stopped = step(&[
            ("observation.policy.count.clip[1]", 100.0),
            ("observation.policy.count.scale", 0.5),
        ]);
        assert_eq!(stopped.obs[0][0], 2.0);
        assert_eq!(
            step(&[("stop", 1.0), ("termination.stop.enabled", 0.0)]).terminated,
            [false]
        );
        assert_eq!(
            step(&[("termination.stop.enabled", 1.0)]).terminated,
            [true]
        );
        let error = env
            .params()
            .set("observation.policy.count.noise", 1.0)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("unknown parameter"),
            "what task.toml does not mention is not there: {error}"
        );
    });
}

#[test]
fn observation_noise_has_the_deviation_it_is_given() {
    everywhere(|target| {
        let config = "max_episode_steps = 1000\n[observation.policy.position]\nnoise = 0.5";
        let mut env = counting_env(target, 400, Autoreset::SameStep, config);
        let mut noise = Vec::new();
        let mut previous = Vec::new();
        for _ in 0..10 {
            let seen = env.step(&[0.0; 400]).unwrap().read().unwrap();
            assert_eq!(
                bits(&seen.obs[0]),
                bits(&seen.next_obs[0]),
                "one look, one noise"
            );
            let now: Vec<f32> = seen.obs[0].chunks(2).map(|world| world[1]).collect();
            assert_ne!(now, previous);
            noise.extend(now.iter().map(|value| f64::from(*value)));
            previous = now;
        }
        let mean = noise.iter().sum::<f64>() / 4000.0;
        let deviation = (noise.iter().map(|value| value * value).sum::<f64>() / 4000.0).sqrt();
        // Standard errors: 0.5/√4000 = 0.008 and 0.5/√8000 = 0.0056; four of each.
        assert!(
            mean.abs() < 0.032 && (deviation - 0.5).abs() < 0.023,
            "mean {mean}, deviation {deviation}"
        );
        env.params()
            .set("observation.policy.position.noise", 0.0)
            .unwrap();
        let quiet = env.step(&[0.0; 400]).unwrap().read().unwrap();
        assert!(quiet.obs[0].chunks(2).all(|world| world[1] == 0.0));
    });
}

#[test]
fn rollouts_keep_every_step() {
    everywhere(|target| {
        let mut env = counting_env(target, 3, Autoreset::SameStep, "stop = 3");
        let mut rollout = Rollout::new(&env, 4, target).unwrap();
        let mut expected = vec![env.observations().policy().read().unwrap()];
        let mut rewards = Vec::new();
        for t in 0..4 {
            let seen = env
                .step_into(&actions(0..3, t as u32, 1), &mut rollout, t)
                .unwrap()
                .read()
                .unwrap();
            expected.push(seen.obs[0].clone());
            rewards.push(seen.reward);
        }
        for (t, reward) in rewards.iter().enumerate() {
            assert_eq!(bits(&rollout.read("reward", t).unwrap()), bits(reward));
            assert_eq!(
                bits(&rollout.read("action", t).unwrap()),
                bits(&actions(0..3, t as u32, 1))
            );
            let terminated = if t == 2 { 1.0 } else { 0.0 };
            assert_eq!(rollout.read("terminated", t).unwrap(), [terminated; 3]);
        }
        for (t, expected) in expected.iter().enumerate() {
            assert_eq!(
                bits(&rollout.read("obs.policy", t).unwrap()),
                bits(expected),
                "slot {t}"
            );
        }
        assert!(rollout.read("obs.policy", 5).is_err() && rollout.read("reward", 4).is_err());
        assert!(env.step_into(&[0.0; 3], &mut rollout, 4).is_err());
        assert_eq!(
            env.episode_steps().unwrap(),
            [1; 3],
            "a refused step does not happen"
        );
    });
}

#[test]
fn actions_can_lie_on_the_device_already() {
    on_device(|context| {
        let target = Target::Gpu(context);
        let mut env = counting_env(target, 5, Autoreset::SameStep, "");
        let action = env.fields().action;
        let values = actions(0..5, 3, 1);
        env.arenas()
            .expect("it runs on the device")
            .write_field(action, 0..5, &values)
            .unwrap();
        let before = context.transfers();
        let reward = env.step_in_place().unwrap().reward.field();
        env.step_in_place().unwrap();
        let after = context.transfers();
        assert_eq!(
            after.downloads, before.downloads,
            "a step reads nothing back"
        );
        let expected: Vec<f32> = values.iter().map(|value| value + 2.0).collect();
        assert_eq!(
            env.arenas()
                .unwrap()
                .read_field::<f32>(reward, 0..5)
                .unwrap(),
            expected
        );
    });
}

#[test]
fn memory_from_elsewhere_serves_as_well() {
    on_device(|context| {
        let mut own = counting_env(
            Target::GpuWith(context, context),
            3,
            Autoreset::SameStep,
            "",
        );
        assert_eq!(
            own.step(&[0.0; 3]).unwrap().reward.read().unwrap(),
            [1.0; 3]
        );
        let arenas: &Arenas = own.arenas().unwrap();
        assert!(arenas.bytes() > 0);
        Recorder::new(context).submit().unwrap().wait().unwrap();
        own.close().unwrap();
    });
}

#[test]
fn wrong_input_is_refused_with_a_reason() {
    let refused = |config: &str| {
        counting(config)
            .build_on(HOST)
            .err()
            .expect(config)
            .to_string()
    };
    let error = refused("control_dt = 0.012");
    assert!(
        error.contains("no integer multiple") && error.contains("nearest multiple is 0.01"),
        "{error}"
    );
    let error = refused("[reward.cuont]\nweight = 1.0");
    assert!(
        error.contains("unknown key `reward.cuont.weight`")
            && error.contains("reward.count.weight"),
        "{error}"
    );
    assert!(refused("max_episode_steps = 0").contains("max_episode_steps is 0"));
    assert!(refused("[command.target]\nlow = [2.0]").contains("above its upper bound"));
    let error = counting("")
        .worlds(0)
        .build_on(HOST)
        .err()
        .expect("no worlds")
        .to_string();
    assert!(error.contains("0 worlds"), "{error}");
    let mut env = counting_env(HOST, 2, Autoreset::SameStep, "");
    let error = env
        .step(&[0.0; 3])
        .err()
        .expect("three actions for two worlds")
        .to_string();
    assert!(
        error.contains("`action` gets 3 numbers") && error.contains("2 = 2 worlds × 1"),
        "{error}"
    );
    assert!(
        env.observation_spec("polcy")
            .unwrap_err()
            .to_string()
            .contains("did you mean `policy`")
    );
}

/// Every mistake that a task can make while it is recorded.
#[derive(Clone, Copy, Debug)]
enum Mistake {
    Joint,
    Missing,
    Dimension,
    Twice,
    Parameter,
}

impl Task for Mistake {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.04, 10)
            .observe("policy", "angle", 1)
            .reward("alive", 1.0))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let joint = if matches!(self, Mistake::Joint) {
            "hinje"
        } else {
            "hinge"
        };
        let angle = w.joint_position(joint);
        match self {
            Mistake::Dimension => t.observe("angle", [angle, angle]),
            Mistake::Missing => {}
            _ => t.observe("angle", [angle]),
        }
        if matches!(self, Mistake::Twice) {
            t.reward("alive", 1.0);
        }
        if matches!(self, Mistake::Parameter) {
            t.reward("alive", w.param("reward.alvie.weight"));
        } else {
            t.reward("alive", 1.0);
        }
    }

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}
}

#[test]
fn a_tasks_mistakes_are_errors_that_name_them() {
    for (mistake, message) in [
        (Mistake::Joint, "did you mean 'hinge'"),
        (
            Mistake::Missing,
            "observation term `angle` is declared and never given",
        ),
        (
            Mistake::Dimension,
            "observation term `angle` gets 2 values and was declared with 1",
        ),
        (Mistake::Twice, "reward term `alive` is given twice"),
        (Mistake::Parameter, "did you mean `reward.alive.weight`"),
    ] {
        let model = Registry::builtin().load("cartpole").unwrap().model;
        let definition = Definition::from_model("wrong", Box::new(mistake), model, "").unwrap();
        let error = VecEnv::builder(definition)
            .build_on(HOST)
            .err()
            .expect("a mistake")
            .to_string();
        assert!(
            error.starts_with("task wrong: ") && error.contains(message),
            "{mistake:?}: {error}"
        );
    }
}

/// A curriculum: the episode's end comes later when episodes go well.
struct Curriculum;

impl Task for Curriculum {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.04, 10)
            .observe("policy", "angle", 1)
            .reward("alive", 1.0)
            .termination("end")
            .param("end", 2.0))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        t.observe("angle", [w.joint_position("hinge")]);
        t.reward("alive", 1.0);
        t.terminate("end", w.episode_step().to_var().ge(w.param("end")));
    }

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}

    fn on_iteration(&mut self, stats: &Stats, p: &mut Params) {
        if stats.mean_length >= 2.0 {
            p.set("end", 5.0).expect("the task declares it");
        }
    }
}

#[test]
fn a_curriculum_changes_parameters_between_rollouts() {
    everywhere(|target| {
        let model = Registry::builtin().load("cartpole").unwrap().model;
        let definition =
            Definition::from_model("curriculum", Box::new(Curriculum), model, "").unwrap();
        let mut env = VecEnv::builder(definition)
            .worlds(2)
            .build_on(target)
            .unwrap();
        let mut length = |steps: usize| {
            for _ in 0..steps {
                env.step(&[0.0; 2]).unwrap();
            }
            let stats = env.drain_stats().unwrap();
            env.on_iteration(&stats).unwrap();
            stats.mean_length
        };
        assert_eq!(length(4), 2.0);
        assert_eq!(length(10), 5.0);
    });
}

#[test]
fn the_step_is_one_kernel_of_known_size() {
    let env = builtin("cartpole").build_on(HOST).unwrap();
    let operations = env.step_graph().operations();
    println!("cartpole: {operations:?}");
    // A planar cart and pole, RK4: some hundred operations a substep, resets and random numbers among the rest.
    assert!(operations.total < 6_000, "{}", operations.total);
    // qpos, qvel, time, action, sums, counters and parameters: nothing is loaded twice.
    assert!(operations.loads < 60, "{}", operations.loads);
    assert!(operations.stores < 60, "{}", operations.stores);
}
