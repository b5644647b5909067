//! The same bits: alone or among thousands, run after run; and the device against the host's interpreter.

use manyworlds::env::{Autoreset, Precision, Target, VecEnv};

use crate::env_support::{actions, bits, builtin, counting, hash, on_device};

/// Everything that decides a world's future, and what the learner sees.
const FLOATS: [&str; 8] = [
    "qpos",
    "qvel",
    "obs.policy",
    "next_obs.policy",
    "reward",
    "terminated",
    "truncated",
    "episode_return",
];

/// The bits of all worlds, `[world][number]`.
fn worlds(env: &VecEnv) -> Vec<Vec<u32>> {
    let count = env.num_envs();
    let mut all = vec![Vec::new(); count];
    for name in FLOATS {
        let values = env.get(name).unwrap_or_else(|error| panic!("{error}"));
        let width = values.len() / count;
        for (world, numbers) in values.chunks(width).enumerate() {
            all[world].extend(bits(numbers));
        }
    }
    for name in ["episode", "episode_step"] {
        let values = env.get_bits(name).unwrap_or_else(|error| panic!("{error}"));
        values
            .into_iter()
            .enumerate()
            .for_each(|(world, value)| all[world].push(value));
    }
    all
}

#[test]
fn a_world_among_thousands_equals_it_alone() {
    on_device(|context| {
        const WORLDS: u32 = 4096;
        const STEPS: u32 = 40;
        // Noise, resets and long episodes all draw random numbers; most worlds fall within these steps.
        let build = |first: u32, count: usize| {
            let builder = builtin("cartpole")
                .worlds(count)
                .first_stream(first)
                .seed(7);
            builder
                .build(context)
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let mut many = build(0, WORLDS as usize);
        for step in 0..STEPS {
            many.step(&actions(0..WORLDS, step, 1)).unwrap();
        }
        let many = worlds(&many);
        assert!(
            many.iter()
                .filter(|world| world[world.len() - 2] > 0)
                .count()
                > 1000,
            "resets are part of the test"
        );
        // 32 worlds over the whole range, the first, the last and workgroups' edges among them.
        let chosen = (0..28)
            .map(|i| (i * 1_103 + 17) % WORLDS)
            .chain([0, 63, 64, WORLDS - 1]);
        for world in chosen {
            let mut alone = build(world, 1);
            for step in 0..STEPS {
                alone.step(&actions(world..world + 1, step, 1)).unwrap();
            }
            assert_eq!(worlds(&alone)[0], many[world as usize], "world {world}");
        }
    });
}

#[test]
fn a_thousand_steps_repeat_bit_for_bit() {
    on_device(|context| {
        let run = |seed| {
            let mut env = builtin("cartpole_swingup")
                .worlds(64)
                .seed(seed)
                .build(context)
                .unwrap();
            let mut trace = Vec::new();
            for step in 0..1000 {
                env.step(&actions(0..64, step, 1)).unwrap();
                if step % 100 == 99 {
                    trace.extend(worlds(&env).concat());
                }
            }
            hash(trace)
        };
        let first = run(0);
        assert_eq!(first, run(0));
        assert_ne!(first, run(1), "the seed matters");
    });
}

#[test]
fn reset_with_a_seed_repeats_and_without_one_continues() {
    on_device(|context| {
        let mut env = builtin("cartpole")
            .worlds(8)
            .seed(3)
            .build(context)
            .unwrap();
        let first = bits(&env.observations().policy().read().unwrap());
        let continued = bits(&env.reset(None).unwrap().policy().read().unwrap());
        assert_ne!(first, continued);
        assert_eq!(
            bits(&env.reset(Some(3)).unwrap().policy().read().unwrap()),
            first
        );
        assert_eq!(
            bits(&env.reset(None).unwrap().policy().read().unwrap()),
            continued
        );
        assert_ne!(
            bits(
                &env.reset(Some(3 + (1 << 32)))
                    .unwrap()
                    .policy()
                    .read()
                    .unwrap()
            ),
            first,
            "both halves count"
        );
    });
}

/// Largest error of each field in `|Δ|/max(1, |reference|)`.
fn errors(device: &VecEnv, host: &VecEnv) -> Vec<(&'static str, f32)> {
    let of = |name| {
        let (device, host) = (device.get(name).unwrap(), host.get(name).unwrap());
        let errors = device
            .iter()
            .zip(&host)
            .map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
        (name, errors.fold(0.0, f32::max))
    };
    FLOATS.iter().map(|name| of(*name)).collect()
}

#[test]
fn the_device_does_what_the_interpreter_does() {
    on_device(|context| {
        for task in ["cartpole", "cartpole_swingup"] {
            let mut device = builtin(task).worlds(16).seed(5).build(context).unwrap();
            let mut host = builtin(task)
                .worlds(16)
                .seed(5)
                .build_on(Target::Host(Precision::Single))
                .unwrap();
            // The same starts: uniform numbers are equal everywhere, and rounding differs in the last bits only.
            for (name, error) in errors(&device, &host) {
                assert!(
                    error <= 1e-6,
                    "{task}: {name} differs by {error} at the start"
                );
            }
            for step in 0..20 {
                // Each step from the host's state, so that the error is one step's: chaotic growth is not the
                // kernel's.
                for name in ["qpos", "qvel"] {
                    device.set(name, None, &host.get(name).unwrap()).unwrap();
                }
                let actions = actions(0..16, step, 1);
                device.step(&actions).unwrap();
                host.step(&actions).unwrap();
                for (name, error) in errors(&device, &host) {
                    // A step is some hundred operations, each with half an ULP (6e-8), and contraction may differ.
                    let tolerance = if name == "episode_return" {
                        1e-5 * (step + 1) as f32
                    } else {
                        2e-5
                    };
                    assert!(
                        error <= tolerance,
                        "{task}: {name} differs by {error} after step {step}"
                    );
                }
            }
        }
    });
}

#[test]
fn the_counting_task_is_exact_on_the_device() {
    on_device(|context| {
        // Whole numbers and uniform draws: nothing rounds, so every bit must agree, resets and commands included.
        let config = "stop = 7\n[command.target]\nlow = [0.0]\nhigh = [1.0]";
        let build = |target| {
            counting(config)
                .worlds(100)
                .seed(9)
                .autoreset(Autoreset::SameStep)
                .build_on(target)
                .unwrap()
        };
        let (mut device, mut host) = (
            build(Target::Gpu(context)),
            build(Target::Host(Precision::Single)),
        );
        for _ in 0..20 {
            device.step(&[0.0; 100]).unwrap();
            host.step(&[0.0; 100]).unwrap();
            for name in [
                "obs.critic",
                "next_obs.critic",
                "reward",
                "terminated",
                "own.count",
                "history.before",
            ] {
                assert_eq!(
                    bits(&device.get(name).unwrap()),
                    bits(&host.get(name).unwrap()),
                    "{name}"
                );
            }
            for name in ["episode", "episode_step", "status"] {
                assert_eq!(
                    device.get_bits(name).unwrap(),
                    host.get_bits(name).unwrap(),
                    "{name}"
                );
            }
        }
    });
}
