//! What happens when an episode is over: the three modes, partial resets, staggered starts, statistics.

use manyworlds::env::{Autoreset, Start, VecEnv};

use crate::env_support::{actions, bits, counting_env, everywhere};

/// Steps with zero actions.
fn idle_step(env: &mut VecEnv) -> manyworlds::env::HostStep {
    let zeros = vec![0.0; env.num_envs()];
    env.step(&zeros)
        .and_then(|step| step.read())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Observed count of the policy group.
fn counts(obs: &[Vec<f32>]) -> Vec<f32> {
    obs[0].chunks(2).map(|world| world[0]).collect()
}

#[test]
fn same_step_begins_again_at_once_and_keeps_the_true_successor() {
    everywhere(|target| {
        let mut env = counting_env(target, 3, Autoreset::SameStep, "stop = 3");
        for step in 1..=7_u32 {
            let seen = idle_step(&mut env);
            let count = (step - 1) % 3 + 1;
            let done = count == 3;
            assert_eq!(seen.reward, vec![count as f32; 3], "step {step}");
            assert_eq!(seen.terminated, vec![done; 3]);
            assert_eq!(seen.truncated, vec![false; 3]);
            assert_eq!(seen.valid, vec![true; 3]);
            assert_eq!(counts(&seen.next_obs), vec![count as f32; 3]);
            assert_eq!(
                counts(&seen.obs),
                vec![if done { 0.0 } else { count as f32 }; 3]
            );
            assert_eq!(env.episode_steps().unwrap(), vec![count % 3; 3]);
        }
        let episodes = env.get_bits("episode").unwrap();
        assert_eq!(episodes, [2, 2, 2]);
    });
}

#[test]
fn next_step_ignores_the_action_after_the_end() {
    everywhere(|target| {
        let mut env = counting_env(target, 2, Autoreset::NextStep, "stop = 2");
        let first = idle_step(&mut env);
        let last = idle_step(&mut env);
        assert_eq!(
            (counts(&first.obs), counts(&last.obs)),
            (vec![1.0; 2], vec![2.0; 2])
        );
        assert_eq!(last.terminated, [true; 2]);
        assert_eq!(counts(&last.next_obs), [2.0; 2]);
        let ignored = env.step(&[0.5, f32::NAN]).unwrap().read().unwrap();
        assert_eq!(counts(&ignored.obs), [0.0; 2], "it began again");
        assert_eq!(
            counts(&ignored.next_obs),
            [2.0; 2],
            "nothing came after the old episode's end"
        );
        assert_eq!(ignored.reward, [0.0; 2]);
        assert_eq!(ignored.valid, [false; 2]);
        assert_eq!(
            (ignored.terminated, ignored.truncated),
            (vec![false; 2], vec![false; 2])
        );
        assert!(
            env.drain_stats().unwrap().quarantines.is_empty(),
            "an ignored action is not looked at"
        );
        let again = idle_step(&mut env);
        assert_eq!(
            (counts(&again.obs), again.valid),
            (vec![1.0; 2], vec![true; 2])
        );
    });
}

#[test]
fn disabled_stands_still_until_it_is_reset() {
    everywhere(|target| {
        let mut env = counting_env(target, 2, Autoreset::Disabled, "stop = 2");
        idle_step(&mut env);
        let last = idle_step(&mut env);
        assert_eq!(last.terminated, [true; 2]);
        let state = bits(&env.get("qpos").unwrap());
        for _ in 0..3 {
            let held = env.step(&[1.0, 1.0]).unwrap().read().unwrap();
            assert_eq!(held.terminated, [true; 2], "it keeps saying why");
            assert_eq!((held.reward, held.valid), (vec![0.0; 2], vec![false; 2]));
            assert_eq!(
                (counts(&held.obs), counts(&held.next_obs)),
                (vec![2.0; 2], vec![2.0; 2])
            );
            assert_eq!(bits(&env.get("qpos").unwrap()), state);
        }
        env.reset_where(&[false, true], Start::Task).unwrap();
        let seen = idle_step(&mut env);
        assert_eq!(seen.valid, [false, true]);
        assert_eq!(seen.terminated, [true, false]);
        assert_eq!(counts(&seen.obs), [2.0, 1.0]);
    });
}

#[test]
fn the_time_limit_truncates_and_termination_wins() {
    everywhere(|target| {
        let mut env = counting_env(target, 1, Autoreset::SameStep, "max_episode_steps = 4");
        for step in 1..=4 {
            let seen = idle_step(&mut env);
            assert_eq!((seen.terminated[0], seen.truncated[0]), (false, step == 4));
        }
        env.params().set("stop", 4.0).unwrap();
        for step in 1..=4 {
            let seen = idle_step(&mut env);
            assert_eq!(
                (seen.terminated[0], seen.truncated[0]),
                (step == 4, false),
                "step {step}"
            );
        }
    });
}

#[test]
fn a_partial_reset_changes_no_other_world() {
    everywhere(|target| {
        let mut env = counting_env(target, 5, Autoreset::SameStep, "start = 0.5");
        for step in 0..3 {
            env.step(&actions(0..5, step, 1)).unwrap();
        }
        let fields = [
            "qpos",
            "qvel",
            "own.count",
            "obs.policy",
            "obs.critic",
            "next_obs.policy",
            "episode_return",
        ];
        let before: Vec<Vec<f32>> = fields.iter().map(|field| env.get(field).unwrap()).collect();
        let mask = [false, true, false, false, true];
        env.reset_where(&mask, Start::Task).unwrap();
        for (field, before) in fields.iter().zip(&before) {
            let after = env.get(field).unwrap();
            let width = after.len() / 5;
            for world in (0..5).filter(|world| !mask[*world]) {
                let range = world * width..(world + 1) * width;
                assert_eq!(
                    bits(&after[range.clone()]),
                    bits(&before[range]),
                    "{field} of world {world}"
                );
            }
        }
        assert_eq!(env.get_bits("episode").unwrap(), [0, 1, 0, 0, 1]);
        assert_eq!(env.episode_steps().unwrap(), [3, 0, 3, 3, 0]);
        let wrong = env
            .reset_where(&[true; 4], Start::Task)
            .err()
            .expect("a mask of the wrong length");
        assert!(
            wrong.to_string().contains("4 worlds; there are 5"),
            "{wrong}"
        );
    });
}

#[test]
fn an_episode_can_begin_in_a_given_state() {
    everywhere(|target| {
        let mut env = counting_env(target, 2, Autoreset::SameStep, "");
        env.reset_where(
            &[false, true],
            Start::State {
                qpos: &[9.0, 0.25],
                qvel: &[9.0, -1.0],
            },
        )
        .unwrap();
        assert_eq!(env.get("qpos").unwrap(), [0.0, 0.25]);
        assert_eq!(env.get("qvel").unwrap(), [0.0, -1.0]);
        assert_eq!(
            env.observations().policy().read().unwrap(),
            [0.0, 0.0, 0.0, 0.25]
        );
        assert_eq!(
            env.last_step().next_obs.policy().read().unwrap(),
            [0.0, 0.0, 0.0, 0.25]
        );
        assert!(
            env.reset_where(
                &[true, true],
                Start::State {
                    qpos: &[0.0],
                    qvel: &[0.0]
                }
            )
            .is_err()
        );
    });
}

#[test]
fn staggered_starts_spread_over_the_episode_and_stay_out_of_the_statistics() {
    everywhere(|target| {
        let build = |stagger| {
            let builder = crate::env_support::counting("")
                .worlds(256)
                .stagger(stagger);
            builder
                .build_on(target)
                .unwrap_or_else(|error| panic!("{error}"))
        };
        assert_eq!(build(false).episode_steps().unwrap(), [0; 256]);
        let mut env = build(true);
        let starts = env.episode_steps().unwrap();
        for step in 0..10 {
            let worlds = starts.iter().filter(|start| **start == step).count();
            assert!(
                (8..=48).contains(&worlds),
                "{worlds} of 256 worlds start at step {step} of 10"
            );
        }
        for _ in 0..10 {
            idle_step(&mut env);
        }
        assert_eq!(
            env.drain_stats().unwrap().episodes,
            starts.iter().filter(|start| **start == 0).count() as u64
        );
        for _ in 0..10 {
            idle_step(&mut env);
        }
        let stats = env.drain_stats().unwrap();
        assert_eq!(
            (stats.episodes, stats.mean_length),
            (256, 10.0),
            "every world's next episode was whole"
        );
    });
}

#[test]
fn statistics_add_up_and_are_drained_once() {
    everywhere(|target| {
        let mut env = counting_env(
            target,
            4,
            Autoreset::SameStep,
            "stop = 3\n[reward.action]\nweight = 0.5",
        );
        for _ in 0..7 {
            env.step(&[0.0, 1.0, 0.0, 1.0]).unwrap();
        }
        let stats = env.drain_stats().unwrap();
        // Two episodes of three steps in each world: 1 + 2 + 3, and 3 · 0.5 more in every other world.
        assert_eq!((stats.episodes, stats.terminated), (8, 8));
        assert_eq!((stats.mean_return, stats.mean_length), (6.75, 3.0));
        assert_eq!(stats.std_return, 0.75);
        assert_eq!(
            stats.terms,
            [("count".to_string(), 6.0), ("action".to_string(), 0.75)]
        );
        assert_eq!(stats.terminations, [("stop".to_string(), 8)]);
        assert_eq!(
            env.last_step().info.final_return.read().unwrap(),
            [6.0, 7.5, 6.0, 7.5]
        );
        assert_eq!(env.last_step().info.final_length.read().unwrap(), [3.0; 4]);
        let info = env.last_step().info;
        assert_eq!(info.episode_return.read().unwrap(), [1.0, 1.5, 1.0, 1.5]);
        assert_eq!(info.episode_length.read().unwrap(), [1.0; 4]);
        let terms = info.episode_terms.read().unwrap();
        assert_eq!(terms, [1.0, 0.0, 1.0, 0.5, 1.0, 0.0, 1.0, 0.5]);
        let again = env.drain_stats().unwrap();
        assert_eq!((again.episodes, again.mean_return), (0, 0.0));
    });
}

#[test]
fn episode_steps_can_be_set() {
    everywhere(|target| {
        let mut env = counting_env(target, 2, Autoreset::SameStep, "");
        env.set_episode_steps(&[9, 0]).unwrap();
        let seen = idle_step(&mut env);
        assert_eq!(seen.truncated, [true, false]);
        assert_eq!(
            env.drain_stats().unwrap().episodes,
            0,
            "an episode that began late does not count"
        );
        assert!(env.set_episode_steps(&[10, 0]).is_err());
        assert!(env.set_episode_steps(&[0]).is_err());
    });
}

#[test]
fn histories_and_last_actions_look_back_and_begin_anew() {
    everywhere(|target| {
        let mut env = counting_env(target, 1, Autoreset::SameStep, "stop = 3");
        let critic = |seen: &[Vec<f32>]| -> Vec<f32> { [&seen[1][..1], &seen[1][2..]].concat() };
        let mut step = |action: f32| env.step(&[action]).unwrap().read().unwrap();
        // count, last action, the two counts before.
        assert_eq!(critic(&step(0.1).obs), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(critic(&step(0.2).obs), [2.0, 0.1, 1.0, 0.0]);
        let end = step(0.3);
        assert_eq!(critic(&end.next_obs), [3.0, 0.2, 2.0, 1.0]);
        assert_eq!(critic(&end.obs), [0.0; 4]);
        assert_eq!(
            critic(&step(0.4).obs),
            [1.0, 0.0, 0.0, 0.0],
            "the old episode's action is forgotten"
        );
        assert_eq!(critic(&step(0.5).obs), [2.0, 0.4, 1.0, 0.0]);
    });
}

#[test]
fn commands_are_drawn_from_their_range_again_and_again() {
    everywhere(|target| {
        // 0.1 s are 5 control steps.
        let mut env = counting_env(
            target,
            64,
            Autoreset::SameStep,
            "[command.target]\nlow = [2.0]\nhigh = [3.0]",
        );
        let mut last = env.get("command.target").unwrap();
        for step in 1..=10 {
            let seen = idle_step(&mut env);
            let now = env.get("command.target").unwrap();
            assert!(
                now.iter().all(|value| (2.0..=3.0).contains(value)),
                "{now:?}"
            );
            let changed = now
                .iter()
                .zip(&last)
                .filter(|(now, last)| now != last)
                .count();
            assert_eq!(changed, if step % 5 == 0 { 64 } else { 0 }, "step {step}");
            let observed: Vec<f32> = seen.obs[1].chunks(5).map(|world| world[1]).collect();
            assert_eq!(bits(&observed), bits(&now), "obs shows the new command");
            let successor: Vec<f32> = seen.next_obs[1].chunks(5).map(|world| world[1]).collect();
            assert_eq!(
                bits(&successor),
                bits(&last),
                "next_obs the one that was acted under"
            );
            last = now;
        }
        env.params().set("command.target.interval", 0.0).unwrap();
        for _ in 0..9 {
            idle_step(&mut env);
        }
        assert_eq!(
            bits(&env.get("command.target").unwrap()),
            bits(&last),
            "without an interval it holds"
        );
    });
}
