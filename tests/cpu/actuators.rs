//! Actuator models in whole control steps: what they do to the physics, and that their memory is part of a world.

use manyworlds::env::{Autoreset, Precision, Start, Target, VecEnv};
use manyworlds::error::Result;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::tasks::{
    Actuator, Definition, Init, Latency, Law, Registry, Spec, Table, Task, TaskState, Terms, World,
};
use manyworlds::trace::Var;

/// A pendulum with a motor and one with a servo, 0.005 s a step.
const MODEL: &str = r#"
<mujoco>
  <option timestep="0.005" gravity="0 0 0"/>
  <worldbody>
    <body><joint name="arm" axis="0 1 0" damping="0.1"/><geom size="0.1" pos="0.2 0 0" mass="1"/></body>
    <body pos="1 0 0">
      <joint name="leg" axis="0 1 0" armature="0.1"/><geom size="0.1" pos="0.2 0 0" mass="1"/>
    </body>
  </worldbody>
  <actuator>
    <motor name="arm" joint="arm" gear="3" ctrllimited="true" ctrlrange="-1 1"/>
    <position name="leg" joint="leg" kp="10" ctrllimited="false"/>
  </actuator>
</mujoco>"#;

const SUBSTEPS: usize = 4;

/// Observes what the actuators did in the last physics step, and its sum is the reward.
struct Probe(Vec<Actuator>);

impl Task for Probe {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        let spec = Spec::new(0.005 * SUBSTEPS as f64, 7)
            .observe("policy", "efforts", 2)
            .observe("policy", "positions", 2)
            .reward("efforts", 1.0);
        Ok(self.0.iter().cloned().fold(spec, Spec::actuator))
    }
    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let efforts = w.evaluated().qfrc_actuator().to_vec();
        t.observe("efforts", &efforts);
        t.observe("positions", w.qpos());
        t.reward("efforts", efforts.into_iter().sum::<Var>());
    }
    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        init.perturb(rng, 0.05);
    }
}

/// Every stage at once.
const ALL: &str = "
[actuator.a]
joints = 'arm'
model = 'dc_motor'
target = 'duty'
saturation_effort = 4
velocity_limit = 20
friction.coulomb = 0.1
noise = { white = 0.1, correlated = 0.05 }
delay.probability = 0.5
latency = { time = 0.012, max = 0.03, interpolate = true }
low_pass.time = 0.01
[actuator.b]
actuators = 'leg'
model = 'pd'
kp = 10
kd = 0.3
latency = { time = 0.025, per = 'control_step' }
low_pass.time = 0.02
backlash.width = 0.1";

fn probe(config: &str, said: Vec<Actuator>) -> Result<Definition> {
    Definition::new("probe", Box::new(Probe(said)), MODEL, config)
}

fn env(config: &str, worlds: usize) -> VecEnv {
    VecEnv::builder(probe(config, Vec::new()).unwrap())
        .worlds(worlds)
        .seed(3)
        .build_on(Target::Host(Precision::Double))
        .unwrap()
}

fn action(step: usize, worlds: usize) -> Vec<f32> {
    let number = |i: usize| ((i + 7 * step) as f32 * 0.83).sin();
    (0..2 * worlds).map(number).collect()
}

/// All that is persistent, in the order of the fields.
fn memory(env: &VecEnv) -> Vec<Vec<f32>> {
    let stages = [
        "begun",
        "a.delay",
        "a.latency",
        "a.low_pass",
        "b.latency",
        "b.low_pass",
        "b.backlash",
    ];
    let read = |stage: &str| env.get(&format!("actuator.{stage}")).unwrap();
    stages.into_iter().map(read).collect()
}

#[test]
fn pd_control_of_the_quadruped_is_what_its_servos_do() {
    let run = |assignments: &[&str]| {
        let mut definition = Registry::builtin().load("quadruped").unwrap();
        definition.set_all(assignments.iter().copied()).unwrap();
        let mut env = VecEnv::builder(definition)
            .worlds(2)
            .build_on(Target::Host(Precision::Double))
            .unwrap();
        let mut seen = Vec::new();
        for step in 0..5 {
            let actions: Vec<f32> = (0..24).map(|i| ((i + step) as f32).sin()).collect();
            let step = env.step(&actions).unwrap();
            seen.extend(step.reward.read().unwrap());
            seen.extend(env.get("qpos").unwrap());
        }
        seen
    };
    let servos = run(&[]);
    let legs = [
        "actuator.legs.joints=*",
        "actuator.legs.model=pd",
        "actuator.legs.kp=20",
    ];
    let modelled = run(&legs);
    assert_eq!(servos.len(), modelled.len());
    for (a, b) in servos.iter().zip(&modelled) {
        assert!((a - b).abs() < 1e-6 * (1.0 + a.abs()), "{a} {b}");
    }
    let weak = run(&[legs[0], legs[1], "actuator.legs.kp=10"]);
    assert!(servos.iter().zip(&weak).any(|(a, b)| (a - b).abs() > 1e-2));
}

#[test]
fn a_latency_of_n_control_steps_is_n_control_steps() {
    for late in 0..3 {
        let time = 0.02 * late as f64;
        let said = Actuator::new("m").actuators(["arm"]).latency(
            Latency {
                max: 0.04,
                ..Latency::default()
            },
            time,
        );
        let mut env = VecEnv::builder(probe("max_episode_steps = 100", vec![said]).unwrap())
            .build_on(Target::Host(Precision::Double))
            .unwrap();
        let command = |step: usize| 0.1 * (1 + step) as f32;
        for step in 0..10 {
            let seen = env.step(&[command(step), 0.0]).unwrap();
            // The gear is 3.
            let effort = seen.next_obs.group("policy").unwrap().read().unwrap()[0];
            assert!((effort - 3.0 * command(step.saturating_sub(late)).min(1.0)).abs() < 1e-6);
        }
    }
}

#[test]
fn a_declared_model_and_the_file_say_the_same() {
    let said = Actuator::new("b")
        .joints(["leg"])
        .law(Law::Pd)
        .number("kp", 10.0)
        .number("kd", 0.3);
    let file = "[actuator.b]\njoints = 'leg'\nmodel = 'pd'\nkp = 10\nkd = 0.3";
    let by_code = probe("", vec![said.clone()]).unwrap().spec().unwrap();
    let by_file = probe(file, Vec::new()).unwrap().spec().unwrap();
    assert_eq!(by_code, by_file);
    // The file has the last word.
    let both = probe("[actuator.b]\nkp = 12", vec![said])
        .unwrap()
        .spec()
        .unwrap();
    assert_eq!(both.parameters().get("actuator.b.kp").unwrap(), 12.0);
}

#[test]
fn a_snapshot_in_mid_episode_goes_on_bit_for_bit() {
    let mut env = env(ALL, 3);
    for step in 0..3 {
        env.step(&action(step, 3)).unwrap();
    }
    let snapshot = env.snapshot(None).unwrap();
    let run = |env: &mut VecEnv| {
        (3..12)
            .map(|step| {
                env.step(&action(step, 3)).unwrap();
                (env.get("qpos").unwrap(), memory(env))
            })
            .collect::<Vec<_>>()
    };
    let first = run(&mut env);
    env.restore(None, &snapshot).unwrap();
    assert_eq!(run(&mut env), first);
    // It is the memory that matters: without it, something else happens.
    env.restore(None, &snapshot).unwrap();
    let held = env.get("actuator.b.latency").unwrap();
    env.set(
        "actuator.b.latency",
        None,
        &held.iter().map(|x| x + 0.2).collect::<Vec<_>>(),
    )
    .unwrap();
    assert_ne!(run(&mut env), first);
}

#[test]
fn worlds_repeat_alone_and_with_others() {
    let mut together = env(ALL, 4);
    let mut alone = VecEnv::builder(probe(ALL, Vec::new()).unwrap())
        .seed(3)
        .first_stream(2)
        .build_on(Target::Host(Precision::Double))
        .unwrap();
    for step in 0..10 {
        let all = action(step, 4);
        together.step(&all).unwrap();
        alone.step(&all[4..6]).unwrap();
        assert_eq!(
            together.get("qpos").unwrap()[4..6],
            alone.get("qpos").unwrap()
        );
        let pairs = memory(&together).into_iter().zip(memory(&alone));
        for (together, alone) in pairs {
            let rows = alone.len();
            assert_eq!(together[2 * rows..3 * rows], alone);
        }
    }
}

/// Episodes of 7 steps: each begins with nothing on the way, and the first command fills the rings.
#[test]
fn an_episode_begins_without_memory() {
    let mut env = env(ALL, 2);
    assert!(memory(&env).iter().flatten().all(|value| *value == 0.0));
    for step in 0..7 {
        env.step(&action(step, 2)).unwrap();
    }
    // Step 6 was the last: a new episode has begun.
    assert!(memory(&env).iter().flatten().all(|value| *value == 0.0));
    let now = action(7, 2);
    env.step(&now).unwrap();
    assert_eq!(env.get("actuator.begun").unwrap(), [1.0, 1.0]);
    for world in 0..2 {
        let target = now[2 * world + 1];
        let ring = &env.get("actuator.b.latency").unwrap()[2 * world..2 * world + 2];
        assert_eq!(ring, [target, target]);
        assert_eq!(env.get("actuator.b.backlash").unwrap()[world], target);
    }
}

#[test]
fn idle_and_quarantined_worlds_remember_what_they_did() {
    let mut env = VecEnv::builder(probe(ALL, Vec::new()).unwrap())
        .worlds(2)
        .autoreset(Autoreset::Disabled)
        .build_on(Target::Host(Precision::Double))
        .unwrap();
    for step in 0..3 {
        env.step(&action(step, 2)).unwrap();
    }
    let before = memory(&env);
    // World 1 goes wrong, and stays where it was.
    let mut bad = action(3, 2);
    bad[2] = f32::NAN;
    env.step(&bad).unwrap();
    let after = memory(&env);
    let of = |memory: &[Vec<f32>], world: usize| -> Vec<f32> {
        let halves = memory.iter().map(|rows| rows.len() / 2);
        let rows = memory.iter().zip(halves);
        rows.flat_map(|(rows, n)| rows[world * n..(world + 1) * n].to_vec())
            .collect()
    };
    assert_eq!(of(&after, 1), of(&before, 1));
    assert_ne!(of(&after, 0), of(&before, 0));
    // World 0 runs out of time, and stands still from then on.
    for step in 4..7 {
        env.step(&action(step, 2)).unwrap();
    }
    let over = memory(&env);
    env.step(&action(7, 2)).unwrap();
    assert_eq!(memory(&env), over);
    // A state that is given begins an episode, too.
    let (qpos, qvel) = ([0.1f32; 4], [0.0f32; 4]);
    env.reset_where(
        &[true, false],
        Start::State {
            qpos: &qpos,
            qvel: &qvel,
        },
    )
    .unwrap();
    assert!(of(&memory(&env), 0).iter().all(|value| *value == 0.0));
    assert_eq!(of(&memory(&env), 1), of(&over, 1));
}

/// What nobody says is not there: neither fields nor a single other line.
#[test]
fn without_models_there_is_nothing() {
    let env = env("", 1);
    assert!(env.get("actuator.begun").is_err());
    assert!(!env.step_graph().wgsl().contains("actuators"));
}

#[test]
fn wrong_keys_and_files_are_refused() {
    let error = |config: &str| {
        probe(config, Vec::new())
            .unwrap()
            .spec()
            .unwrap_err()
            .to_string()
    };
    let typo = error("[actuator.legs]\njoints = 'legg'\nmodel = 'pd'\nkp = 1");
    assert!(
        typo.contains("actuator.legs") && typo.contains("did you mean `leg`"),
        "{typo}"
    );
    let path = std::env::temp_dir().join(format!("manyworlds-no-net-{}.json", std::process::id()));
    for (text, cause) in [
        ("{", "no actuator network"),
        (
            "{\"format\":\"x\",\"interval\":0.005,\"lags\":[0],\"activation\":\"tanh\",\"layers\":[]}",
            "the format is `x`",
        ),
        (
            "{\"format\":\"manyworlds actuator network 1\",\"interval\":0.005,\"lags\":[0],\"activation\":\"tanh\",\"layers\":[{\"weights\":[[1,2,3]],\"bias\":[0]}]}",
            "layer 0",
        ),
        (
            "{\"format\":\"manyworlds actuator network 1\",\"interval\":0.007,\"lags\":[0,1],\"activation\":\"tanh\",\"layers\":[{\"weights\":[[1,2,3,4]],\"bias\":[0]}]}",
            "multiple of the timestep",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let config = format!(
            "[actuator.n]\njoints = 'leg'\nmodel = 'network'\nfile = '{}'",
            path.display()
        );
        let error = error(&config);
        assert!(error.contains(cause), "{error}");
    }
    std::fs::remove_file(path).unwrap();
    let mut definition = probe("", Vec::new()).unwrap();
    let before = definition.config.clone();
    let alone = definition
        .set("actuator.legs.model=pd")
        .unwrap_err()
        .to_string();
    assert!(
        alone.contains("`actuator.legs.model=pd`") && alone.contains("joints"),
        "{alone}"
    );
    assert_eq!(definition.config, before);
}

/// Each world draws its own gain and its own delay when an episode begins; neither needs more than the number's key.
#[test]
fn numbers_differ_per_world_where_they_are_randomized() {
    let config = "max_episode_steps = 30\n\
        [actuator.b]\nactuators = 'leg'\nmodel = 'pd'\nkp = 10\n\
        latency = { time = 0, max = 0.06, per = 'control_step' }\n\
        [randomize.gain]\nfield = 'param'\nnames = 'actuator.b.kp'\nscale.uniform = [0.5, 1.5]\n\
        [randomize.late]\nfield = 'param'\nnames = 'actuator.b.latency.time'\nset.uniform = [0.0, 0.06]";
    let worlds = 8;
    let mut env = env(config, worlds);
    // The leg is held where it is; the command jumps in the second control step.
    let qpos = vec![0.0f32; 2 * worlds];
    let mut efforts = Vec::new();
    for step in 0..8 {
        env.set("qpos", None, &qpos).unwrap();
        env.set("qvel", None, &qpos).unwrap();
        let action = if step == 0 { 0.0 } else { 0.1 };
        let seen = env.step(&vec![action; 2 * worlds]).unwrap();
        let efforts_now = seen.next_obs.group("policy").unwrap().read().unwrap();
        efforts.push(
            (0..worlds)
                .map(|w| efforts_now[4 * w + 1])
                .collect::<Vec<_>>(),
        );
    }
    let arrival = |world: usize| efforts.iter().position(|e| e[world] > 0.2).unwrap();
    let arrivals: Vec<usize> = (0..worlds).map(arrival).collect();
    assert!(
        arrivals.iter().all(|step| (1..=4).contains(step)),
        "{arrivals:?}"
    );
    assert!(
        arrivals.iter().any(|step| *step != arrivals[0]),
        "{arrivals:?}"
    );
    // A tenth of the gain, less what the leg moved within a control step.
    let gains: Vec<f32> = (0..worlds).map(|w| 10.0 * efforts[7][w]).collect();
    assert!(
        gains.iter().all(|gain| (4.0..15.0).contains(gain)),
        "{gains:?}"
    );
    let spread = gains
        .iter()
        .fold(0.0f32, |most, gain| most.max((gain - gains[0]).abs()));
    assert!(spread > 1.0, "{gains:?}");
}
