//! Imperfect sensors on the device: what the host's interpreter computes, and the same bits again, alone, and from a
//! snapshot.

use manyworlds::env::{Precision, Snapshot, Target, VecEnv};

use crate::env_support::{bits, on_device};
use crate::sensing_task::{EVERYTHING, WIDTH, clock, columns};

const STEPS: usize = 60;

fn build(target: Target<'_>, first: u32, worlds: usize) -> VecEnv {
    let builder = clock(EVERYTHING).unwrap_or_else(|error| panic!("{error}"));
    let builder = builder.worlds(worlds).first_stream(first).seed(21);
    builder
        .build_on(target)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn steps(env: &mut VecEnv, count: usize) {
    let actions = vec![0.0; env.num_envs()];
    for _ in 0..count {
        env.step(&actions).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_device_reads_what_the_host_does() {
    on_device(|context| {
        const WORLDS: usize = 300;
        let mut device = build(Target::Gpu(context), 0, WORLDS);
        let mut host = build(Target::Host(Precision::Single), 0, WORLDS);
        for step in 0..STEPS {
            steps(&mut device, 1);
            steps(&mut host, 1);
            for name in ["obs.policy", "next_obs.policy"] {
                let [found, expected] = [&device, &host].map(|env| env.get(name).unwrap());
                let pairs = found.chunks(WIDTH).zip(expected.chunks(WIDTH));
                for (world, (found, expected)) in pairs.enumerate() {
                    for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
                        // A device may fuse a product and a sum, which moves a rounding and, in the first term, may move a
                        // reading to the next multiple of 0.25, of which 0.1 is seen.
                        let rounding = if columns("ramp").contains(&column) {
                            0.0251
                        } else {
                            0.0
                        };
                        let allowed = rounding + 2e-5 * expected.abs().max(1.0);
                        assert!(
                            (found - expected).abs() <= allowed,
                            "{name} {column} of world {world}, step {step}: {found} for {expected}"
                        );
                    }
                }
            }
            let frozen = |env: &VecEnv| env.get("sensor.policy.still.frozen").unwrap();
            assert_eq!(frozen(&device), frozen(&host), "step {step}");
        }
    });
}

#[test]
fn a_delay_on_the_device_is_exact() {
    on_device(|context| {
        let config =
            "[observation.policy.ramp]\ndelay = 0.06\n[observation.policy.hidden]\nrate = 10";
        let mut env = clock(config)
            .and_then(|builder| builder.worlds(65).build(context))
            .unwrap_or_else(|error| panic!("{error}"));
        for k in 1..=100 {
            steps(&mut env, 1);
            let then = f32::max(k as f32 - 3.0, 0.0);
            for seen in env.get("obs.policy").unwrap().chunks(WIDTH) {
                assert_eq!(seen[columns("ramp")], [then * then, 1000.0 - 3.0 * then]);
                assert_eq!(seen[columns("hidden")], [(k / 5 * 5) as f32; 2], "step {k}");
            }
        }
    });
}

#[test]
fn device_bits_repeat_alone_and_after_a_snapshot() {
    on_device(|context| {
        let target = || Target::Gpu(context);
        let all = |env: &VecEnv| {
            let names = ["obs.policy", "next_obs.policy", "sensor.policy.still.drift"];
            names.map(|name| bits(&env.get(name).unwrap()))
        };
        let mut many = build(target(), 0, 130);
        steps(&mut many, STEPS / 2);
        let middle = many.snapshot(None).unwrap().to_bytes();
        steps(&mut many, STEPS / 2);
        let expected = all(&many);

        let mut other = build(target(), 1000, 130);
        let snapshot = Snapshot::from_bytes(&middle).unwrap();
        other.restore(None, &snapshot).unwrap();
        steps(&mut other, STEPS / 2);
        assert_eq!(all(&other), expected, "from the middle");

        for world in [0, 63, 64, 129] {
            let mut alone = build(target(), world as u32, 1);
            steps(&mut alone, STEPS);
            for (alone, many) in all(&alone).iter().zip(&expected) {
                let width = alone.len();
                assert_eq!(alone[..], many[world * width..][..width], "world {world}");
            }
        }
    });
}
