//! Actuator models on the device, on a robot with a dozen joints: the host's interpreter does the same operations.

use manyworlds::env::{Precision, Target, VecEnv};
use manyworlds::tasks::Registry;
use manyworlds::tasks::actuators::{Curve, Layer, Network};

use crate::env_support::on_device;

/// Three layers of 32, with weights that repeat.
fn network() -> Network {
    let mut seed = 9u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(seed) / f64::from(u32::MAX) - 0.5
    };
    let mut layer = |inputs: usize, outputs: usize| Layer {
        weights: (0..outputs)
            .map(|_| (0..inputs).map(|_| random()).collect())
            .collect(),
        bias: (0..outputs).map(|_| random()).collect(),
    };
    let layers = vec![layer(6, 32), layer(32, 32), layer(32, 32), layer(32, 1)];
    Network::new(0.005, vec![0, 1, 2], Curve::Softsign, layers).expect("the shapes fit")
}

fn run(target: Target<'_>, assignments: &[String]) -> Vec<f32> {
    let mut definition = Registry::builtin().load("quadruped").unwrap();
    definition
        .set_all(assignments.iter().map(String::as_str))
        .unwrap();
    let mut env = VecEnv::builder(definition)
        .worlds(3)
        .build_on(target)
        .unwrap();
    for step in 0..4 {
        let actions: Vec<f32> = (0..36).map(|i| ((i + 3 * step) as f32).sin()).collect();
        env.step(&actions).unwrap();
    }
    let memory = env
        .spec()
        .actuators
        .iter()
        .map(|a| format!("actuator.{}.latency", a.name));
    let mut seen = env.get("qpos").unwrap();
    memory.for_each(|name| seen.extend(env.get(&name).unwrap()));
    seen
}

#[test]
fn the_device_and_the_host_agree_about_every_model() {
    on_device(|context| {
        let file = format!("manyworlds-actuators-{}.json", std::process::id());
        let file = std::env::temp_dir().join(file);
        std::fs::write(&file, network().to_json().unwrap()).unwrap();
        let say = |name: &str, keys: &[&str]| -> Vec<String> {
            let key = |key: &&str| format!("actuator.{name}.{key}");
            keys.iter().map(key).collect()
        };
        let learned = format!("file='{}'", file.display());
        let late = [
            "latency.time=0.0125",
            "latency.max=0.02",
            "noise.white=0.02",
            "noise.range=2",
        ];
        let hips = [
            "joints=*_hip",
            "model=network",
            learned.as_str(),
            "effort_limit=20",
        ];
        let rest = [
            "joints=[\"*_thigh\", \"*_calf\"]",
            "model=dc_motor",
            "kp=20",
            "kd=0.3",
            "voltage=24",
            "resistance=0.5",
            "torque_constant=0.05",
            "gear_ratio=9",
            "current_limit=50",
            "low_pass.time=0.004",
            "backlash.width=0.02",
            "delay.probability=0.5",
        ];
        let hips = say("hips", &[&hips[..], &late[..]].concat());
        let rest = say("rest", &[&rest[..], &late[..]].concat());
        compare(context, &[hips, rest].concat());
        std::fs::remove_file(file).unwrap();
    });
}

fn compare(context: &manyworlds::gpu::Context, assignments: &[String]) {
    let device = run(Target::Gpu(context), assignments);
    let host = run(Target::Host(Precision::Single), assignments);
    for (device, host) in device.iter().zip(&host) {
        assert!(
            (device - host).abs() < 1e-3 * (1.0 + host.abs()),
            "{device} {host}"
        );
    }
}
