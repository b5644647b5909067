//! Imperfect sensors, exactly: how old a reading is, how long it is held, what it is rounded to, when it begins anew, and
//! what leaves it alone.

use manyworlds::env::{Autoreset, Precision, Start, Target, VecEnv};

use crate::sensing_task::{EVERYTHING, WIDTH, clock, columns};

const BOTH: [Precision; 2] = [Precision::Single, Precision::Double];

fn build(config: &str, worlds: usize) -> VecEnv {
    build_as(config, worlds, Precision::Double, Autoreset::SameStep)
}

fn build_as(config: &str, worlds: usize, precision: Precision, mode: Autoreset) -> VecEnv {
    let builder = clock(config).unwrap_or_else(|error| panic!("{error}"));
    builder
        .worlds(worlds)
        .autoreset(mode)
        .seed(5)
        .build_on(Target::Host(precision))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Lines of configuration for one term of the group `policy`.
fn sensor(term: &str, options: &str) -> String {
    format!("[observation.policy.{term}]\n{options}\n")
}

fn step(env: &mut VecEnv) {
    let actions = vec![0.0; env.num_envs()];
    env.step(&actions).unwrap_or_else(|error| panic!("{error}"));
}

/// A world's values of a term in a field of observations.
fn values(env: &VecEnv, field: &str, term: &str, world: usize) -> Vec<f32> {
    let all = env.get(field).unwrap_or_else(|error| panic!("{error}"));
    all[world * WIDTH..][columns(term)].to_vec()
}

fn seen(env: &VecEnv, term: &str) -> Vec<f32> {
    values(env, "obs.policy", term, 0)
}

fn truth(env: &VecEnv, term: &str) -> Vec<f32> {
    values(env, "obs.critic", term, 0)
}

/// Bits of everything that sensors keep and give, by world.
fn everything(env: &VecEnv) -> Vec<Vec<u32>> {
    let names = [
        "obs.policy",
        "next_obs.policy",
        "obs.critic",
        "sensor.policy.ramp.past",
        "sensor.policy.ramp.gain",
        "sensor.policy.ramp.bias",
        "sensor.policy.still.drift",
        "sensor.policy.still.frozen",
        "sensor.policy.still.reading",
        "sensor.policy.wave.mean",
        "sensor.policy.wave.variance",
        "sensor.policy.wave.samples",
        "sensor.policy.wave.reading",
        "sensor.policy.target.past",
        "sensor.policy.hidden.reading",
    ];
    let worlds = env.num_envs();
    let mut all = vec![Vec::new(); worlds];
    for name in names {
        let values = env.get(name).unwrap_or_else(|error| panic!("{error}"));
        for (world, values) in values.chunks(values.len() / worlds).enumerate() {
            all[world].extend(values.iter().map(|value| value.to_bits()));
        }
    }
    all
}

#[test]
fn a_delay_of_n_steps_is_exactly_n_steps() {
    for precision in BOTH {
        for n in 0..=7 {
            // Neither 0.02 n nor 1/0.02 is exact.
            let config = sensor("ramp", &format!("delay = {}", f64::from(n) * 0.02));
            let mut env = build_as(&config, 1, precision, Autoreset::SameStep);
            let mut past = vec![truth(&env, "ramp")];
            assert_eq!(seen(&env, "ramp"), past[0], "{n} steps, at the beginning");
            for k in 1..=20 {
                step(&mut env);
                past.push(truth(&env, "ramp"));
                let then = usize::saturating_sub(k, n as usize);
                assert_eq!(seen(&env, "ramp"), past[then], "{n} steps, at step {k}");
                assert_eq!(past[k][0], (k * k) as f32, "the critic sees the truth");
            }
        }
    }
}

#[test]
fn a_delay_between_steps_is_interpolated() {
    let config = sensor("ramp", "delay = 0.03\nmax_delay = 0.08");
    let mut env = build(&config, 1);
    let square = |k: i32| f64::from(k.max(0)).powi(2);
    for k in 1..=12 {
        step(&mut env);
        let expected = 0.5 * square(k - 1) + 0.5 * square(k - 2);
        assert_eq!(f64::from(seen(&env, "ramp")[0]), expected, "step {k}");
    }
    // The delay is a number like others, up to the largest.
    let key = "observation.policy.ramp.delay";
    for (delay, near, share) in [
        (0.025, 1, 0.75),
        (0.08, 4, 1.0),
        (0.0, 0, 1.0),
        (0.065, 3, 0.75),
    ] {
        env.params().set(key, delay).unwrap();
        step(&mut env);
        let k = env.get("own.count").unwrap()[0] as i32;
        let expected = share * square(k - near) + (1.0 - share) * square(k - near - 1);
        let found = f64::from(seen(&env, "ramp")[0]);
        // A reading of some hundreds as f32.
        assert!(
            (found - expected).abs() < 2e-5,
            "{delay} s: {found} for {expected}"
        );
    }
    for wrong in [0.081, -0.001] {
        let error = env.params().set(key, wrong).unwrap_err().to_string();
        assert!(
            error.contains("it takes a number from 0 to 0.08"),
            "{error}"
        );
    }
}

#[test]
fn a_slow_sensor_holds_its_readings() {
    // Noise is part of the reading, and is held with it.
    for period in [1, 2, 3, 4, 5, 7, 10, 50] {
        let rate = 50.0 / f64::from(period);
        let config = sensor("ramp", &format!("rate = {rate}\nnoise = 0.1"));
        let mut env = build_as(&config, 1, Precision::Single, Autoreset::SameStep);
        let mut last = seen(&env, "ramp");
        for k in 1..=400 {
            step(&mut env);
            let now = seen(&env, "ramp");
            assert_eq!(now != last, k % period == 0, "{rate} Hz, step {k}: {now:?}");
            if k % period == 0 {
                let error = now[0] - truth(&env, "ramp")[0];
                assert!(error.abs() < 0.6, "{rate} Hz, step {k}: {error} off");
            }
            last = now;
        }
    }
}

#[test]
fn a_rate_that_does_not_divide_is_kept_on_average() {
    let mut env = build(&sensor("ramp", "rate = 7"), 1);
    let (mut last, mut held, mut samples) = (seen(&env, "ramp"), 0, 0);
    for k in 1..1000 {
        step(&mut env);
        held += 1;
        let now = seen(&env, "ramp");
        if now != last {
            assert!([7, 8].contains(&held), "held for {held} steps at step {k}");
            assert_eq!(now, truth(&env, "ramp"));
            (last, held, samples) = (now, 0, samples + 1);
        }
    }
    // 19.98 s at 7 Hz.
    assert_eq!(samples, 139);
}

#[test]
fn phases_differ_between_worlds_and_episodes() {
    const WORLDS: usize = 500;
    let config =
        "max_episode_steps = 6\n".to_owned() + &sensor("ramp", "rate = 10\nrandom_phase = true");
    let mut env = build(&config, WORLDS);
    let mut phases = vec![[0; 2]; WORLDS];
    for episode in 0..2 {
        for k in 1..=5 {
            step(&mut env);
            for (world, phases) in phases.iter_mut().enumerate() {
                if values(&env, "obs.policy", "ramp", world)[0] == (k * k) as f32 {
                    phases[episode] = k;
                }
            }
        }
        let count = |k| phases.iter().filter(|phases| phases[episode] == k).count();
        let counts = [1, 2, 3, 4, 5].map(count);
        step(&mut env);
        // 100 of 500 each: 5 standard deviations are 45.
        assert!(
            counts.iter().all(|count| count.abs_diff(100) < 45),
            "{counts:?}"
        );
    }
    let same = phases
        .iter()
        .filter(|phases| phases[0] == phases[1])
        .count();
    assert!(
        (55..145).contains(&same),
        "{same} of 500 have the same phase again"
    );
}

#[test]
fn readings_are_multiples_of_the_resolution() {
    let config = sensor("ramp", "resolution = 0.7\nnoise = 1.0");
    let mut env = build(&config, 1);
    let noise_only = sensor("ramp", "noise = 1.0");
    let mut clean = build(&noise_only, 1);
    for _ in 0..50 {
        step(&mut env);
        step(&mut clean);
        for (coarse, fine) in seen(&env, "ramp").into_iter().zip(seen(&clean, "ramp")) {
            let (coarse, fine) = (f64::from(coarse), f64::from(fine));
            let steps = coarse / 0.7;
            // Readings up to 2,500, as f32.
            assert!((steps - steps.round()).abs() < 3e-4, "{coarse}");
            assert!((coarse - fine).abs() <= 0.35 + 3e-4, "{coarse} for {fine}");
        }
    }
    env.params()
        .set("observation.policy.ramp.resolution", 0.0)
        .unwrap();
    step(&mut env);
    step(&mut clean);
    assert_eq!(seen(&env, "ramp"), seen(&clean, "ramp"), "0 rounds nothing");
}

#[test]
fn an_occluded_sensor_repeats_its_reading() {
    let mut env = build(&sensor("hidden", "occlusion = true"), 1);
    for k in 1..=9 {
        step(&mut env);
        let first = if (3..7).contains(&k) { 2 } else { k };
        let second = if k == 5 { 4 } else { k };
        assert_eq!(
            seen(&env, "hidden"),
            [first as f32, second as f32],
            "step {k}"
        );
    }
    let mut without = build("", 1);
    (0..4).for_each(|_| step(&mut without));
    assert_eq!(seen(&without, "hidden"), [4.0, 4.0]);
}

#[test]
fn the_critic_and_the_other_terms_see_the_truth() {
    let mut env = build(EVERYTHING, 3);
    let mut plain = build("max_episode_steps = 12", 3);
    for _ in 0..30 {
        step(&mut env);
        step(&mut plain);
        assert_eq!(
            env.get("obs.critic").unwrap(),
            plain.get("obs.critic").unwrap()
        );
        for world in 0..3 {
            let position = |env| values(env, "obs.policy", "position", world);
            assert_eq!(position(&env), position(&plain));
            assert_ne!(
                values(&env, "obs.policy", "ramp", world),
                values(&plain, "obs.policy", "ramp", world)
            );
        }
    }
}

#[test]
fn one_sensor_changes_no_draw_of_another() {
    let noisy = sensor("ramp", "noise = 0.5\nbias = 1") + &sensor("still", "noise = 0.1");
    let mut few = build(&noisy, 2);
    let more = sensor("ramp", "noise = 0.5\nbias = 1\ngain = 0\ndropout = 0")
        + &sensor("still", "noise = 0.1\nbias = 0.2\nfreeze_rate = 0")
        + &sensor("wave", "bias = 0.2\ndrift = 1");
    let mut many = build(&more, 2);
    for _ in 0..10 {
        step(&mut few);
        step(&mut many);
        for world in 0..2 {
            let ramp = |env| values(env, "obs.policy", "ramp", world);
            assert_eq!(ramp(&few), ramp(&many));
            let offsets = many.get("sensor.policy.still.bias").unwrap();
            let offsets = &offsets[world * 6..][..6];
            let still = |env| values(env, "obs.policy", "still", world);
            for ((few, many), offset) in still(&few).into_iter().zip(still(&many)).zip(offsets) {
                assert!((many - few - offset).abs() < 1e-6, "{many} and {few}");
            }
        }
    }
}

#[test]
fn an_episode_begins_with_sensors_that_remember_nothing() {
    for mode in [
        Autoreset::SameStep,
        Autoreset::NextStep,
        Autoreset::Disabled,
    ] {
        let config = "max_episode_steps = 8\n".to_owned()
            + &sensor("ramp", "delay = 0.06")
            + &sensor(
                "still",
                "drift = 1.0\nbias = 1.0\nfreeze_rate = 20\nfreeze_time = 10",
            )
            + &sensor("target", "rate = 1.0");
        let mut env = build_as(&config, 4, Precision::Double, mode);
        let mut biases = Vec::new();
        for episode in 0..3 {
            assert_eq!(
                env.get("own.count").unwrap(),
                [0.0; 4],
                "{mode:?} {episode}"
            );
            for world in 0..4 {
                let ramp = values(&env, "obs.policy", "ramp", world);
                assert_eq!(ramp, [0.0, 1000.0], "{mode:?}: no past");
                assert_eq!(
                    values(&env, "obs.policy", "target", world),
                    values(&env, "obs.critic", "target", world),
                    "{mode:?}: a sample at the beginning"
                );
            }
            let kept = |part: &str| env.get(&format!("sensor.policy.still.{part}")).unwrap();
            assert_eq!(kept("drift"), [0.0; 24], "{mode:?}");
            assert_eq!(kept("frozen"), [0.0; 4], "{mode:?}");
            let bias = kept("bias");
            assert!(bias.iter().all(|bias| *bias != 0.0), "{mode:?}");
            assert!(!biases.contains(&bias), "{mode:?}: drawn anew");
            assert_eq!(
                env.get("sensor.policy.still.reading").unwrap(),
                bias,
                "{mode:?}"
            );
            biases.push(bias.clone());
            for k in 1..=8 {
                step(&mut env);
                let before = k < 8;
                if before {
                    assert_eq!(
                        env.get("sensor.policy.still.bias").unwrap(),
                        bias,
                        "{mode:?}"
                    );
                    let then = f32::max(k as f32 - 3.0, 0.0);
                    assert_eq!(seen(&env, "ramp")[0], then * then, "{mode:?}");
                }
                // The true successor is never after a reset.
                assert_eq!(
                    values(&env, "next_obs.policy", "ramp", 0)[1],
                    1000.0 - 3.0 * f32::max(k as f32 - 3.0, 0.0)
                );
            }
            match mode {
                Autoreset::SameStep => {}
                Autoreset::NextStep => step(&mut env),
                Autoreset::Disabled => drop(env.reset(None).unwrap()),
            }
        }
    }
}

#[test]
fn a_masked_reset_begins_only_there() {
    let mut env = build(&sensor("ramp", "delay = 0.06"), 2);
    (0..6).for_each(|_| step(&mut env));
    env.reset_where(&[false, true], Start::Task).unwrap();
    assert_eq!(values(&env, "obs.policy", "ramp", 0), [9.0, 991.0]);
    assert_eq!(values(&env, "obs.policy", "ramp", 1), [0.0, 1000.0]);
    // A state given from outside is one that the sensor has seen for ever.
    let config = sensor("position", "delay = 0.06");
    let mut env = build(&config, 2);
    (0..3).for_each(|_| step(&mut env));
    let start = Start::State {
        qpos: &[7.0, 0.5],
        qvel: &[0.0, 0.0],
    };
    env.reset_where(&[false, true], start).unwrap();
    for _ in 0..5 {
        assert_eq!(values(&env, "obs.policy", "position", 0), [0.0]);
        assert_eq!(values(&env, "obs.policy", "position", 1), [0.5]);
        step(&mut env);
    }
}

#[test]
fn looking_again_changes_nothing() {
    let mut env = build(EVERYTHING, 16);
    for k in 0..30 {
        let before = everything(&env);
        env.forward().unwrap();
        env.forward().unwrap();
        let after = everything(&env);
        for (world, (before, after)) in before.iter().zip(&after).enumerate() {
            assert_eq!(before, after, "world {world}, step {k}");
        }
        step(&mut env);
    }
}

#[test]
fn a_state_changed_from_outside_is_the_newest_sample() {
    let mut env = build(&sensor("position", "delay = 0.02"), 1);
    (0..3).for_each(|_| step(&mut env));
    env.set("qpos", None, &[2.0]).unwrap();
    env.forward().unwrap();
    assert_eq!(seen(&env, "position"), [0.0], "what was there one step ago");
    step(&mut env);
    assert_eq!(seen(&env, "position"), [2.0]);
}

#[test]
fn a_new_command_is_one_sample() {
    // Commands change every five steps, and are looked at again when they do.
    let mut env = build(&sensor("target", "delay = 0.04"), 3);
    let target = |env: &VecEnv, group: &str, world| values(env, group, "target", world)[0];
    let mut past: Vec<[f32; 3]> = Vec::new();
    for k in 0..40 {
        past.push([0, 1, 2].map(|world| target(&env, "obs.critic", world)));
        for (world, then) in past[usize::saturating_sub(k, 2)].iter().enumerate() {
            assert_eq!(target(&env, "obs.policy", world), *then, "step {k}");
        }
        step(&mut env);
    }
    let changes = past.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, 7, "new commands are part of the test");
}

#[test]
fn a_quarantined_world_keeps_what_its_sensors_had() {
    for mode in [Autoreset::NextStep, Autoreset::Disabled] {
        let config = EVERYTHING.replace("max_episode_steps = 12", "max_episode_steps = 50");
        let mut env = build_as(&config, 3, Precision::Single, mode);
        // A command changes in the fifth step, just before.
        for _ in 0..5 {
            step(&mut env);
        }
        let before = everything(&env);
        env.step(&[0.0, f32::NAN, 0.0]).unwrap();
        let after = everything(&env);
        let observed = 2 * WIDTH;
        assert_eq!(before[1][observed..], after[1][observed..], "{mode:?}");
        assert_eq!(before[1][..WIDTH], after[1][..WIDTH], "{mode:?}");
        assert_ne!(before[0], after[0], "{mode:?}");
    }
}

#[test]
fn bits_repeat_alone_and_after_a_snapshot() {
    for precision in BOTH {
        let builder = |first: u32, worlds: usize, seed: u64| {
            let builder = clock(EVERYTHING).unwrap().worlds(worlds);
            let builder = builder.first_stream(first).seed(seed);
            builder.build_on(Target::Host(precision)).unwrap()
        };
        let run = |mut env: VecEnv, steps: usize| {
            (0..steps).for_each(|_| step(&mut env));
            env
        };
        let many = everything(&run(builder(0, 16, 5), 40));
        assert_eq!(many, everything(&run(builder(0, 16, 5), 40)));
        assert_ne!(many, everything(&run(builder(0, 16, 6), 40)));
        for world in [0, 9, 15] {
            let alone = everything(&run(builder(world, 1, 5), 40));
            assert_eq!(alone[0], many[world as usize], "world {world} alone");
        }
        // In the middle, over a byte string, into an environment that was elsewhere.
        let half = run(builder(0, 16, 5), 23);
        let bytes = half.snapshot(None).unwrap().to_bytes();
        let mut other = run(builder(100, 16, 77), 7);
        let snapshot = manyworlds::env::Snapshot::from_bytes(&bytes).unwrap();
        other.restore(None, &snapshot).unwrap();
        assert_eq!(everything(&run(other, 17)), many);
        // A seed leaves nothing of what was before.
        let mut again = run(builder(0, 16, 9), 30);
        again.reset(Some(5)).unwrap();
        assert_eq!(everything(&run(again, 40)), many);
    }
}
