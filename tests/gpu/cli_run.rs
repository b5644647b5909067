//! The commands on a device, as a user runs them: rollouts agree with the host, a policy is trained, evaluated, exported.

use std::process::Output;

use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use serde_json::Value;

use crate::common::gpu;
use crate::program::{self, Folder};

/// Two links with motors, a joint limit and some damping.
const ARM: &str = r#"<mujoco model="arm">
  <option timestep="0.005"/>
  <worldbody>
    <body>
      <joint name="shoulder" type="hinge" axis="0 1 0" damping="0.05"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.05" contype="0" conaffinity="0"/>
      <body pos="0 0 -0.5">
        <joint name="elbow" type="hinge" axis="0 1 0" damping="0.05" limited="true" range="-60 60"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.4" size="0.04" contype="0" conaffinity="0"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="shoulder" gear="3" ctrllimited="true" ctrlrange="-1 1"/>
    <motor joint="elbow"/>
  </actuator>
</mujoco>"#;

/// Runs the program in `folder`, where it must succeed.
fn succeeds(folder: &Folder, arguments: &[&str]) -> Output {
    let output = program::run_in(folder.path(), arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    output
}

fn json(folder: &Folder, arguments: &[&str]) -> Value {
    let output = succeeds(folder, arguments);
    serde_json::from_slice(&output.stdout).expect("JSON and nothing else on standard output")
}

fn array<T: ndarray_npy::ReadableElement>(folder: &Folder, file: &str, name: &str) -> ArrayD<T> {
    let file = std::fs::File::open(folder.path().join(file)).expect("the record was written");
    let mut archive = NpzReader::new(file).expect("the record is an archive");
    archive
        .by_name(name)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn rollouts_on_the_device_agree_with_the_host() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-rollout");
    folder.write("arm.xml", ARM);
    let rollout = |backend: &str, worlds: &str, out: &str| {
        let run = [
            "rollout", "arm.xml", "--steps", "50", "--ctrl", "random", "--seed", "3", "--every",
            "10",
        ];
        succeeds(
            &folder,
            &[
                &run[..],
                &["--backend", backend, "--worlds", worlds, "--out", out],
            ]
            .concat(),
        );
    };
    rollout("gpu", "70", "gpu.npz");
    rollout("host", "70", "host.npz");
    rollout("gpu", "3", "few.npz");

    // 0.25 s of a driven double pendulum in single precision: errors of about 1e-7 per step, growing by the dynamics.
    for name in ["qpos", "qvel", "xpos", "xquat"] {
        let (device, host) = (
            array::<f32>(&folder, "gpu.npz", name),
            array::<f64>(&folder, "host.npz", name),
        );
        assert_eq!(device.shape(), host.shape(), "{name}");
        assert_eq!(device.shape()[..2], [6, 70], "{name}");
        let scale = host
            .iter()
            .fold(1.0f64, |scale, value| scale.max(value.abs()));
        let errors = device
            .iter()
            .zip(&host)
            .map(|(a, b)| (f64::from(*a) - b).abs());
        let error = errors.fold(0.0, f64::max) / scale;
        assert!(error < 1e-4, "{name}: {error}");
        // A world does not depend on how many there are.
        let few = array::<f32>(&folder, "few.npz", name);
        let same = device.slice_axis(ndarray::Axis(1), (0..3).into());
        assert_eq!(same, few, "{name}");
    }
    let time = array::<f64>(&folder, "gpu.npz", "time");
    assert!((time[5] - 0.25).abs() < 1e-12 && time[0] == 0.0);
    assert!(
        array::<u32>(&folder, "gpu.npz", "status")
            .iter()
            .all(|status| *status == 0)
    );
    let moved = array::<f64>(&folder, "host.npz", "qpos");
    assert!(moved.iter().any(|angle| angle.abs() > 0.1), "nothing moved");
}

/// A ball that comes to rest on the floor: one contact, which carries its weight.
#[test]
fn rollout_records_contacts() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-contacts");
    let floor = r#"<geom type="plane" size="1 1 1"/>"#;
    let ball = r#"<body pos="0 0 0.15"><freejoint/><geom size="0.1" mass="2"/></body>"#;
    let xml = format!("<mujoco><worldbody>{floor}{ball}</worldbody></mujoco>");
    folder.write("ball.xml", &xml);
    for backend in ["host", "gpu"] {
        let run = ["rollout", "ball.xml", "--steps", "1000", "--every", "500"];
        let record = ["--backend", backend, "--out", "ball.npz"];
        succeeds(&folder, &[&run[..], &record].concat());
        let ncon = array::<u32>(&folder, "ball.npz", "ncon");
        assert_eq!(ncon.iter().collect::<Vec<_>>(), [&0, &1, &1], "{backend}");
        let wrench: Vec<f64> = match backend {
            "host" => array::<f64>(&folder, "ball.npz", "cfrc_ext")
                .into_iter()
                .collect(),
            _ => array::<f32>(&folder, "ball.npz", "cfrc_ext")
                .into_iter()
                .map(f64::from)
                .collect(),
        };
        // [moment][body][6], the world first: nothing acts on it that is told, nor on the ball in the air.
        assert_eq!(wrench.len(), 3 * 2 * 6);
        assert!(wrench[..18].iter().all(|number| *number == 0.0));
        let expected = [0.0, 0.0, 0.0, 0.0, 0.0, 2.0 * 9.81];
        for (seen, expected) in wrench[30..].iter().zip(expected) {
            assert!((seen - expected).abs() < 1e-3, "{backend}: {wrench:?}");
        }
    }
}

#[test]
fn info_counts_what_a_task_and_a_model_cost() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-info");
    folder.write("arm.xml", ARM);
    let report = json(&folder, &["info", "arm.xml", "--json"]);
    assert_eq!(
        (
            report["model"]["nv"].as_u64(),
            report["model"]["nu"].as_u64()
        ),
        (Some(2), Some(2))
    );
    assert!(
        report["kernel"]["driver_seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0),
        "{report}"
    );
    let stages = report["kernel"]["operations_by_stage"]
        .as_array()
        .expect("stages");
    let sum: u64 = stages.iter().filter_map(|stage| stage[1].as_u64()).sum();
    assert_eq!(report["kernel"]["operations"].as_u64(), Some(sum));
    let report = json(&folder, &["info", "cartpole", "--json"]);
    assert_eq!(report["task"]["substeps"].as_u64(), Some(2));
    let wgsl = succeeds(&folder, &["info", "arm.xml", "--wgsl"]).stdout;
    assert!(String::from_utf8_lossy(&wgsl).contains("@compute"));
}

#[cfg(feature = "learn")]
#[test]
fn a_policy_is_trained_resumed_evaluated_and_exported() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-train");
    let train = [
        "train",
        "cartpole",
        "--worlds",
        "32",
        "network.actor=[16]",
        "network.critic=[16]",
    ];
    succeeds(&folder, &[&train[..], &["--steps", "1536"]].concat());
    let run = "runs/cartpole/001";
    succeeds(
        &folder,
        &["train", "cartpole", "--resume", run, "--steps", "3072"],
    );
    succeeds(&folder, &[&train[..], &["--steps", "3072"]].concat());
    // The same steps in one go and in two give the same policy.
    for run in [run, "runs/cartpole/002"] {
        let name = run.replace('/', "_");
        succeeds(&folder, &["export", run, "--out", &name]);
    }
    for name in ["weight_0", "bias_1", "obs_mean"] {
        let [two, one] = ["001", "002"]
            .map(|number| array::<f32>(&folder, &format!("runs_cartpole_{number}.npz"), name));
        assert_eq!(two, one, "{name}");
    }
    let report = json(
        &folder,
        &[
            "eval",
            run,
            "--episodes",
            "8",
            "--json",
            "--record",
            "episodes.npz",
        ],
    );
    assert_eq!(report["episodes"].as_u64(), Some(8));
    assert!(
        report["mean_return"]
            .as_f64()
            .is_some_and(|mean| mean > 0.0),
        "{report}"
    );
    let (qpos, obs) = (
        array::<f32>(&folder, "episodes.npz", "qpos"),
        array::<f32>(&folder, "episodes.npz", "obs"),
    );
    assert_eq!(qpos.shape()[1..], [8, 2]);
    // The policy sees qpos first: state and observation are of the same moment.
    assert_eq!(qpos, obs.slice_axis(ndarray::Axis(2), (0..2).into()));

    for wrong in [
        &["train", "cartpole", "--out", run][..],
        &["train", "cartpole_swingup", "--resume", run],
        &["train", "cartpole", "--resume", run, "ppo.gamma=0.5"],
        &["eval", "runs/cartpole"],
        &["eval", run, "--episodes", "0"],
        &["export", run, "--out", "runs"],
    ] {
        let output = program::run_in(folder.path(), wrong);
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.trim_end().lines().last().unwrap_or_default();
        assert!(
            !output.status.success() && last.starts_with("error: "),
            "{wrong:?}: {errors}"
        );
        assert!(!errors.contains("internal:"), "{wrong:?}: {errors}");
    }
}

/// The task that `new` writes.
#[cfg(feature = "learn")]
#[allow(
    unreachable_pub,
    reason = "a file of a user's program, as it is scaffolded"
)]
#[path = "../../src/cli/scaffold/task.rs"]
mod scaffold;

#[cfg(feature = "learn")]
#[test]
fn the_task_of_a_new_crate_can_be_learned() {
    use manyworlds::env::VecEnv;
    use manyworlds::tasks::Registry;
    use manyworlds::train::{Config, Environment, Learner, Worlds, ppo::Ppo};

    let Some(context) = gpu::context() else {
        return;
    };
    let mut registry = Registry::new();
    registry.register("puck", scaffold::ENTRY);
    let builder = VecEnv::builder(
        registry
            .load("puck")
            .unwrap_or_else(|error| panic!("{error}")),
    )
    .worlds(256);
    let learner = Learner::processor();
    let mut worlds =
        Worlds::new(builder, &context, &learner).unwrap_or_else(|error| panic!("{error}"));
    let mut config = Config {
        worlds: 256,
        steps: 60 * 256 * 24,
        ..Config::default()
    };
    (config.network.actor, config.network.critic) = (vec![32, 32], vec![32, 32]);
    let mut ppo = Ppo::new(&config, worlds.spec(), &worlds.device()).expect("a learner");
    let mut obs = worlds.reset(Some(1)).expect("a reset");
    let mut returns = Vec::new();
    for _ in 0..60 {
        let rollout = ppo.collect(&mut worlds, &mut obs).expect("a rollout");
        let stats = worlds.drain_stats().expect("statistics");
        if stats.count > 0 {
            returns.push(stats.mean_return);
        }
        ppo.update(&rollout);
    }
    // A still puck earns about 0.2 per step (the target is some 0.6 m away, twice `reach`); a good one twice that.
    let (first, last) = (returns[0], returns[returns.len() - 1]);
    assert!(last > 1.5 * first, "the return went from {first} to {last}");
}
