//! When a randomization draws, for whom, and what the draws do: environments on the host in double precision, with a
//! task whose every number can be foretold.

use manyworlds::env::{Autoreset, Precision, Target, VecEnv};
use manyworlds::error::Result;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::scene::mjcf;
use manyworlds::tasks::{Ctrl, Definition, Init, Spec, Table, Task, TaskState, Terms, World};
use manyworlds::trace::Var;

/// A free ball in empty space, and a pole on a hinge.
const MODEL: &str = r#"
<mujoco>
  <option timestep="0.005" gravity="0 0 0"/>
  <worldbody>
    <body name="ball"><freejoint name="free"/><geom name="ball" type="sphere" size="0.1" mass="2"/></body>
    <body name="pole" pos="5 0 0">
      <joint name="hinge" axis="0 1 0" damping="0.5"/>
      <geom name="pole" type="capsule" fromto="0 0 0 0 0 -0.6" size="0.03" mass="1"/>
    </body>
  </worldbody>
  <actuator><position name="servo" joint="hinge" kp="10" kv="1"/></actuator>
</mujoco>
"#;

/// Pays what its parameter says in every step; episodes last 10 steps of 0.02 s.
struct Paid;

impl Task for Paid {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.02, 10)
            .observe("policy", "velocity", 3)
            .reward("pay", 1.0)
            .param("task_pay", 1.0))
    }

    fn actuate(&self, _w: &World, _action: &[Var], _c: &mut Ctrl) {}

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        t.observe("velocity", &w.joint("free").qvel[..3]);
        t.reward("pay", w.param("task_pay"));
    }

    fn reset(&self, _init: &mut Init, _s: &mut TaskState, _rng: &mut Rng) {}
}

fn definition(config: &str) -> Result<Definition> {
    let scene = mjcf::parse("model.xml", MODEL, ".").expect("the model parses");
    let model = Model::compile(&scene).expect("the model compiles");
    Definition::from_model("paid", Box::new(Paid), model, config)
}

fn env(worlds: usize, config: &str) -> VecEnv {
    let definition = definition(config).expect("the configuration parses");
    let builder = VecEnv::builder(definition)
        .worlds(worlds)
        .seed(5)
        .autoreset(Autoreset::SameStep);
    let built = builder.build_on(Target::Host(Precision::Double));
    built.unwrap_or_else(|error| panic!("{error}"))
}

/// One control step without action.
fn step(env: &mut VecEnv) {
    let none = vec![0.0; env.num_envs() * env.action_spec().len()];
    env.step(&none).expect("a step");
}

/// `[world][draw]`
fn draws(env: &VecEnv) -> Vec<Vec<f32>> {
    let all = env.get("randomized").expect("draws");
    let width = all.len() / env.num_envs();
    all.chunks(width.max(1)).map(<[f32]>::to_vec).collect()
}

#[test]
fn timings() {
    let config = "[randomize.once]\nuniform = [0, 1]\ntiming = \"startup\"\n\
                  [randomize.episode]\nuniform = [0, 1]\n\
                  [randomize.often]\nuniform = [0, 1]\ninterval = 0.06\n\
                  [randomize.always]\nuniform = [0, 1]\ntiming = \"step\"\n";
    let mut env = env(3, config);
    let mut seen = vec![draws(&env)];
    for _ in 0..25 {
        step(&mut env);
        seen.push(draws(&env));
    }
    for world in 0..3 {
        let of = |entry: usize| -> Vec<f32> { seen.iter().map(|all| all[world][entry]).collect() };
        assert!(of(0).iter().all(|draw| *draw == of(0)[0]), "startup: once");
        for (t, pair) in of(1).windows(2).enumerate() {
            // Step t + 1 ends the episode when it is the 10th or 20th.
            assert_eq!(
                pair[0] != pair[1],
                (t + 1) % 10 == 0,
                "reset: after {} steps",
                t + 1
            );
        }
        for (t, pair) in of(2).windows(2).enumerate() {
            let in_episode = (t + 1) % 10;
            assert_eq!(
                pair[0] != pair[1],
                in_episode % 3 == 0,
                "interval: after {} steps",
                t + 1
            );
        }
        // The first step of an episode draws what its beginning drew.
        for (t, pair) in of(3).windows(2).enumerate() {
            assert_eq!(
                pair[0] != pair[1],
                t % 10 != 0,
                "step: after {} steps",
                t + 1
            );
        }
    }
    assert!(
        (0..4).all(|entry| seen[0][0][entry] != seen[0][1][entry]),
        "worlds differ"
    );
    let before = draws(&env);
    env.reset(None).expect("a reset");
    assert_eq!(draws(&env)[0][0], before[0][0], "startup: kept by a reset");
    env.reset(Some(6)).expect("a reset");
    assert_ne!(
        draws(&env)[0][0],
        before[0][0],
        "startup: drawn anew with a new seed"
    );
    env.reset(Some(5)).expect("a reset");
    assert_eq!(draws(&env), seen[0], "the seed decides");
}

#[test]
fn a_world_draws_the_same_alone() {
    let config = "[randomize.mass]\nfield = \"body_mass\"\nscale.uniform = [0.5, 2]\n";
    let many = env(5, config);
    let definition = definition(config).unwrap();
    let builder = VecEnv::builder(definition)
        .worlds(1)
        .seed(5)
        .first_stream(3);
    let alone = builder.build_on(Target::Host(Precision::Double)).unwrap();
    assert_eq!(draws(&alone)[0], draws(&many)[3]);
    assert_eq!(
        many.spec().randomization().labels(),
        ["mass: body_mass[ball]", "mass: body_mass[pole]"]
    );
}

#[test]
fn groups_and_shared_draws() {
    let config = "[randomize.kp]\nfield = \"actuator_kp\"\nscale.uniform = [0.5, 2]\ngroup = \"gains\"\n\
                  [randomize.damping]\nfield = \"dof_damping\"\nnames = \"hinge\"\nscale.log_uniform = [0.5, 2]\ngroup = \"gains\"\n\
                  [randomize.mass]\nfield = \"body_mass\"\nper = \"world\"\nscale.uniform = [0.5, 2]\n\
                  [randomize.friction]\nfield = \"geom_friction\"\nper = \"element\"\nscale.uniform = [0.5, 2]\n";
    let env = env(64, config);
    assert_eq!(env.spec().randomization().draws(), 1 + 1 + 1 + 2);
    let mut gains: Vec<(f32, f32)> = draws(&env)
        .iter()
        .map(|draws| (draws[0], draws[1]))
        .collect();
    gains.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(
        gains.windows(2).all(|pair| pair[0].1 < pair[1].1),
        "one order in both"
    );
}

#[test]
fn chance_and_decay() {
    let config = "[randomize.never]\nfield = \"xfrc_applied\"\nnames = \"ball\"\ncomponents = 0\nadd.uniform = [1, 2]\nprobability = 0\n\
                  [randomize.fading]\nfield = \"body_acceleration\"\nnames = \"ball\"\ncomponents = 2\nadd.constant = 3\ndecay = 5\n\
                  [randomize.gear]\nfield = \"actuator_gear\"\ncomponents = 0\nscale.constant = 4\ndecay = 5\n\
                  [randomize.rate]\nlog_uniform = [0.01, 0.5]\n\
                  [randomize.sometimes]\nuniform = [0, 1]\ntiming = \"step\"\nprobability = \"rate\"\n";
    let worlds = 400;
    let mut env = env(worlds, config);
    let mut before = draws(&env);
    let (mut expected, mut made) = (0.0, 0);
    for t in 1..=9 {
        step(&mut env);
        let now = draws(&env);
        let kept = (-5.0 * 0.02 * f64::from(t)).exp();
        for (was, draws) in before.iter().zip(&now) {
            assert_eq!(draws[0], 0.0);
            assert!((f64::from(draws[1]) - 3.0 * kept).abs() < 1e-6);
            assert!((f64::from(draws[2]) - (1.0 + 3.0 * kept)).abs() < 1e-6);
            assert_eq!(was[3], draws[3]);
            // Its first draw of an episode is made by the beginning and the first step, with the same numbers.
            if t > 1 {
                expected += f64::from(draws[3]);
                made += usize::from(was[4] != draws[4]);
            }
        }
        before = now;
    }
    let deviation = expected.sqrt();
    assert!(
        (made as f64 - expected).abs() < 4.0 * deviation,
        "{made} of {expected:.1} ± {deviation:.1}"
    );
    // The force acts: the ball is as fast as the decaying acceleration makes it, which is constant in a control step.
    let speed: f64 = (1..=9)
        .map(|t| 0.02 * 3.0 * (-5.0 * 0.02 * f64::from(t)).exp())
        .sum();
    let found = env.get("qvel").unwrap()[2];
    assert!((f64::from(found) - speed).abs() < 1e-6, "{found} {speed}");
}

#[test]
fn states_are_disturbed_when_a_draw_is_made() {
    let config = "[randomize.start]\nfield = \"qpos\"\nnames = \"hinge\"\nset.uniform = [-1, 1]\n\
                  [randomize.push]\nfield = \"qvel\"\nnames = \"free\"\ncomponents = 0\nadd.uniform = [1, 2]\ninterval = 0.1\n";
    let config = config.replace("components = 0\n", "");
    let mut env = env(8, &config);
    let first = draws(&env);
    let qpos = env.get("qpos").unwrap();
    for (world, draws) in first.iter().enumerate() {
        assert_eq!(qpos[world * 8 + 7], draws[0]);
    }
    let moving =
        |env: &VecEnv| -> Vec<f32> { env.get("qvel").unwrap().chunks(7).map(|v| v[1]).collect() };
    let begun = moving(&env);
    assert!(
        first.iter().zip(&begun).all(|(draws, v)| draws[2] == *v),
        "pushed at the beginning"
    );
    (0..4).for_each(|_| step(&mut env));
    assert_eq!(moving(&env), begun, "nothing else pushes");
    step(&mut env);
    let pushed = draws(&env);
    for ((then, now), draws) in begun.iter().zip(moving(&env)).zip(&pushed) {
        assert!(
            (now - then - draws[2]).abs() < 1e-6,
            "pushed again after 0.1 s"
        );
    }
    // What the next action is chosen from knows of the push.
    let seen = env.observations().policy().read().unwrap();
    assert!(
        seen.chunks(3)
            .zip(moving(&env))
            .all(|(v, speed)| (v[1] - speed).abs() < 1e-6)
    );
}

#[test]
fn parameters_of_the_task_differ_between_worlds() {
    let config =
        "[randomize.pay]\nfield = \"param\"\nnames = \"task_pay\"\nscale.uniform = [1, 3]\n";
    let mut env = env(16, config);
    env.params().set("task_pay", 2.0).unwrap();
    let drawn = draws(&env);
    let none = vec![0.0; 16];
    let reward = env.step(&none).unwrap().reward.read().unwrap();
    for (reward, draws) in reward.iter().zip(&drawn) {
        assert!((reward - 2.0 * draws[0]).abs() < 1e-6);
    }
}

#[test]
fn ranges_change_while_it_runs() {
    let mut env = env(
        64,
        "[randomize.mass]\nfield = \"body_mass\"\nscale.uniform = [1, 1]\n",
    );
    let all_in = |env: &VecEnv, low: f32, high: f32| {
        let weights = env.spec().randomization().draws();
        draws(env).iter().all(|draws| {
            draws[..weights]
                .iter()
                .all(|draw| (low..=high).contains(draw))
        })
    };
    assert!(all_in(&env, 1.0, 1.0));
    env.params()
        .set("randomize.mass.scale.uniform[1]", 2.0)
        .unwrap();
    env.reset(None).unwrap();
    assert!(all_in(&env, 1.0, 2.0) && !all_in(&env, 1.0, 1.5));
}

#[test]
fn the_critic_sees_what_was_drawn() {
    let config = "[observation.policy.velocity]\nnoise = 0.1\n[randomize]\nobserve = \"critic\"\n\
                  [randomize.mass]\nfield = \"body_mass\"\nscale.uniform = [0.5, 2]\n";
    let mut env = env(4, config);
    assert_eq!(env.observation_spec("critic").unwrap().dim(), 3 + 2);
    step(&mut env);
    let seen = env.observations().group("critic").unwrap().read().unwrap();
    for (seen, draws) in seen.chunks(5).zip(draws(&env)) {
        assert_eq!(seen[3..], draws[..2]);
        assert_eq!(seen[..3], [0.0; 3], "without the policy's noise");
    }
}

#[test]
fn what_is_wrong_is_said_on_one_line() {
    let cases = [
        (
            "field = \"body_mas\"\nscale.uniform = [1, 2]",
            "task paid: randomize.x: unknown field `body_mas` (did you mean `body_mass`",
        ),
        (
            "field = \"body_mass\"\nnames = \"bal\"\nscale.uniform = [1, 2]",
            "randomize.x: unknown body `bal` (did you mean `ball`?)",
        ),
        (
            "field = \"body_mass\"\ncomponents = 1\nscale.uniform = [1, 2]",
            "randomize.x: component 1 of body_mass (a row has 1, numbered from 0)",
        ),
        (
            "field = \"dof_frictionloss\"\nset.uniform = [1, 2]",
            "nothing to change: dof_frictionloss[free]: the joint has no friction loss in the model",
        ),
        (
            "field = \"gravity\"\nscale.uniform = [1, 2]",
            "gravity[0]: it is 0 in the model: use add or set, not scale",
        ),
        (
            "field = \"body_quat\"\nadd.uniform = [1, 2]",
            "`body_quat` is not drawn itself (use body_rotation)",
        ),
        (
            "field = \"body_mass\"\nscale.uniform = [1, \"y\"]",
            "no entry above draws `y`",
        ),
        (
            "field = \"param\"\nnames = \"task_pai\"\nscale.uniform = [1, 2]",
            "unknown parameter `task_pai` (did you mean `task_pay`?)",
        ),
        (
            "field = \"body_mass\"\nset.uniform = [1, 2]\nprobability = 0.5",
            "`probability` or `decay` with `set` of body_mass (use add or scale",
        ),
        (
            "field = \"qpos\"\nadd.uniform = [1, 2]\nnames = \"free\"\ncomponents = 1",
            "component 1 of qpos",
        ),
    ];
    for (text, expected) in cases {
        let definition = definition(&format!("[randomize.x]\n{text}\n")).expect("it is TOML");
        let error = definition.spec().expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains('\n'));
    }
    let unknown = definition("[randomize]\npreset = \"leged\"\n")
        .unwrap()
        .spec()
        .expect_err("no preset");
    assert!(
        unknown
            .to_string()
            .contains("unknown preset `leged` (there are"),
        "{unknown}"
    );
}
