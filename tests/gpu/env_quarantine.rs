//! Worlds that fail alone: what goes wrong in one, and that the others do not notice.

use manyworlds::env::{Autoreset, VecEnv};
use manyworlds::tasks::Cause;

use crate::env_support::{actions, bits, counting_env, everywhere};

const WORLDS: usize = 70;
const BROKEN: usize = 65;
const FIELDS: [&str; 6] = [
    "qpos",
    "qvel",
    "obs.policy",
    "next_obs.policy",
    "reward",
    "episode_return",
];

fn build(target: manyworlds::env::Target<'_>, mode: Autoreset) -> VecEnv {
    counting_env(target, WORLDS, mode, "max_episode_steps = 100\nstart = 0.5")
}

/// The bits of a field in all worlds but the broken one.
fn neighbours(env: &VecEnv, field: &str) -> Vec<u32> {
    let values = env.get(field).unwrap_or_else(|error| panic!("{error}"));
    let width = values.len() / WORLDS;
    let all = values
        .chunks(width)
        .enumerate()
        .filter(|(world, _)| *world != BROKEN);
    all.flat_map(|(_, numbers)| bits(numbers)).collect()
}

/// Runs 12 steps; `sabotage` may change the environment or the actions before step 5. Both runs must agree everywhere
/// but in the broken world.
fn compare(mode: Autoreset, sabotage: impl Fn(&mut VecEnv, &mut [f32])) {
    everywhere(|target| {
        let (mut sound, mut broken) = (build(target, mode), build(target, mode));
        for step in 0..12 {
            let good = actions(0..WORLDS as u32, step, 1);
            let mut bad = good.clone();
            if step == 5 {
                sabotage(&mut broken, &mut bad);
            }
            sound.step(&good).unwrap();
            broken.step(&bad).unwrap();
            for field in FIELDS {
                assert_eq!(
                    neighbours(&sound, field),
                    neighbours(&broken, field),
                    "{field} after step {step}"
                );
            }
            for field in ["obs.policy", "obs.critic", "next_obs.policy", "reward"] {
                assert!(
                    broken
                        .get(field)
                        .unwrap()
                        .iter()
                        .all(|value| value.is_finite()),
                    "{field} after step {step}"
                );
            }
        }
        assert_eq!(sound.drain_stats().unwrap().quarantines, []);
    });
}

fn nan_action(_: &mut VecEnv, actions: &mut [f32]) {
    actions[BROKEN] = f32::NAN;
}

fn nan_state(env: &mut VecEnv, _: &mut [f32]) {
    let mut mask = [false; WORLDS];
    mask[BROKEN] = true;
    env.set("qvel", Some(&mask), &[f32::NAN; WORLDS]).unwrap();
}

fn huge_state(env: &mut VecEnv, _: &mut [f32]) {
    let mut mask = [false; WORLDS];
    mask[BROKEN] = true;
    env.set("qpos", Some(&mask), &[3e10; WORLDS]).unwrap();
}

#[test]
fn neighbours_do_not_notice() {
    for mode in [
        Autoreset::SameStep,
        Autoreset::NextStep,
        Autoreset::Disabled,
    ] {
        compare(mode, nan_action);
        compare(mode, nan_state);
        compare(mode, huge_state);
        compare(mode, |_, actions| actions[BROKEN] = f32::NEG_INFINITY);
    }
}

#[test]
fn the_world_begins_again_and_says_why() {
    everywhere(|target| {
        for (sabotage, cause) in [
            (nan_action as fn(&mut VecEnv, &mut [f32]), Cause::Action),
            (nan_state, Cause::State),
            (huge_state, Cause::State),
        ] {
            let mut env = build(target, Autoreset::SameStep);
            for step in 0..5 {
                env.step(&actions(0..WORLDS as u32, step, 1)).unwrap();
            }
            let last = env.get("obs.policy").unwrap()[2 * BROKEN..2 * BROKEN + 2].to_vec();
            let mut bad = actions(0..WORLDS as u32, 5, 1);
            sabotage(&mut env, &mut bad);
            let step = env.step(&bad).unwrap();
            assert_eq!(step.info.status().unwrap()[BROKEN], cause.bit());
            let seen = step.read().unwrap();
            assert_eq!(
                (
                    seen.terminated[BROKEN],
                    seen.truncated[BROKEN],
                    seen.valid[BROKEN]
                ),
                (false, true, false)
            );
            assert_eq!(seen.reward[BROKEN], 0.0);
            assert_eq!(
                bits(&seen.next_obs[0][2 * BROKEN..2 * BROKEN + 2]),
                bits(&last),
                "the last finite observation"
            );
            assert_eq!(seen.obs[0][2 * BROKEN], 0.0, "it began again");
            assert_eq!(seen.valid.iter().filter(|valid| !**valid).count(), 1);
            let stats = env.drain_stats().unwrap();
            assert_eq!(stats.episodes, 0, "a quarantined episode is no episode");
            let [quarantine] = stats.quarantines.as_slice() else {
                panic!("{:?}", stats.quarantines)
            };
            assert_eq!(
                (
                    quarantine.world,
                    quarantine.count,
                    quarantine.step,
                    quarantine.episode
                ),
                (BROKEN, 1, 5, 0)
            );
            assert_eq!(quarantine.causes, [cause]);
            assert!(
                quarantine
                    .to_string()
                    .starts_with("world 65 quarantined 1×, last in step 5 of its episode 0")
            );
            assert_eq!(env.drain_stats().unwrap().quarantines, []);
            let after = env
                .step(&actions(0..WORLDS as u32, 6, 1))
                .unwrap()
                .read()
                .unwrap();
            assert!(
                after.valid[BROKEN] && after.obs[0][2 * BROKEN] == 1.0,
                "and goes on"
            );
        }
    });
}

#[test]
fn an_unbounded_reward_is_quarantined() {
    everywhere(|target| {
        let mut env = counting_env(target, 3, Autoreset::SameStep, "");
        // Finite, and beyond what a reward may be.
        env.params().set("reward.action.weight", 1e10).unwrap();
        let step = env.step(&[0.0, 2.0, -0.5]).unwrap();
        assert_eq!(step.info.status().unwrap(), [0, Cause::Reward.bit(), 0]);
        let seen = step.read().unwrap();
        assert_eq!(
            (seen.valid, seen.truncated),
            (vec![true, false, true], vec![false, true, false])
        );
        assert_eq!(seen.reward[1], 0.0);
    });
}

#[test]
fn next_step_waits_and_disabled_stays_quarantined() {
    everywhere(|target| {
        let mut bad = [0.0; WORLDS];
        bad[BROKEN] = f32::NAN;
        let mut env = build(target, Autoreset::NextStep);
        env.step(&bad).unwrap();
        let waiting = env.step(&[0.0; WORLDS]).unwrap().read().unwrap();
        assert_eq!(
            (waiting.valid[BROKEN], waiting.truncated[BROKEN]),
            (false, false)
        );
        assert_eq!(env.get_bits("episode").unwrap()[BROKEN], 1);

        let mut env = build(target, Autoreset::Disabled);
        env.step(&bad).unwrap();
        let held = env.step(&[0.0; WORLDS]).unwrap().read().unwrap();
        assert_eq!((held.valid[BROKEN], held.truncated[BROKEN]), (false, true));
        assert_eq!(env.get_bits("episode").unwrap()[BROKEN], 0);
        assert_eq!(
            env.drain_stats().unwrap().quarantines[0].count,
            1,
            "counted once"
        );
    });
}
