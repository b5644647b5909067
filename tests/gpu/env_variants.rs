//! Worlds with different bodies behind one environment: shapes, sizes, masses, links and grippers.

use manyworlds::env::{Builder, Precision, Randomness, Target, VecEnv, Which};
use manyworlds::error::Result;
use manyworlds::math::Rng;
use manyworlds::model::Model;
use manyworlds::scene::mjcf;
use manyworlds::tasks::{
    Ctrl, Definition, Init, Registry, Spec, Table, Task, TaskState, Terms, World,
};
use manyworlds::trace::Var;

use crate::env_support::{actions, bits, everywhere, on_device};
use crate::oracle;
use crate::program::Folder;

/// An object that falls, tilted, beside a plate that an actuator moves.
const MODEL: &str = r#"
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom name="floor" type="plane" size="2 2 0.1"/>
    <body name="object" pos="0 0 0.2" quat="0.9 0.3 0.2 0.1">
      <freejoint name="object"/>
      <geom name="object" type="sphere" size="0.05" mass="0.2"/>
    </body>
    <body name="plate" pos="-0.4 0 0.06">
      <joint name="plate" type="slide" axis="1 0 0" damping="1"/>
      <geom name="plate" type="box" size="0.02 0.1 0.05" mass="0.5"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="plate" gear="10" ctrlrange="-1 1"/></actuator>
</mujoco>
"#;

/// The MJCF attributes of the object in each variant; three spheres share a kernel.
const OBJECTS: [(&str, &str); 6] = [
    ("ball", r#"type="sphere" size="0.05" mass="0.2""#),
    ("box", r#"type="box" size="0.05 0.04 0.03" mass="0.2""#),
    ("marble", r#"type="sphere" size="0.02" mass="0.05""#),
    ("pill", r#"type="capsule" size="0.03 0.05" mass="0.2""#),
    ("can", r#"type="cylinder" size="0.04 0.05" mass="0.3""#),
    (
        "pumpkin",
        r#"type="ellipsoid" size="0.06 0.05 0.04" mass="0.4""#,
    ),
];

const VARIANTS: &str = r#"
[variants]
observe = "critic"

[variants.ball]

[variants.box]
geom.object = { type = "box", size = [0.05, 0.04, 0.03] }

[variants.marble.geom.object]
size = 0.02
mass = 0.05

[variants.pill]
geom.object.type = "capsule"
geom.object.size = [0.03, 0.05]

[variants.can]
share = 2
geom.object = { type = "cylinder", size = "0.04 0.05", mass = 0.3 }

[variants.pumpkin]
geom.object = { type = "ellipsoid", size = [0.06, 0.05, 0.04], mass = 0.4 }
"#;

/// Pushes the object along x.
struct Push;

impl Task for Push {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.02, 40)
            .observe("policy", "object", 3)
            .observe("policy", "plate", 1)
            .reward("moved", 1.0)
            .param("reset.noise", 0.0))
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        let object = w.link("object").position;
        t.observe("object", object.to_array());
        t.observe("plate", [w.joint_position("plate")]);
        t.reward("moved", object.x);
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        let noise = init.param("reset.noise");
        init.perturb(rng, noise);
    }
}

fn definition(model: &str, config: &str) -> Result<Definition> {
    Definition::new("push", Box::new(Push), model, config)
}

fn builder(config: &str) -> Builder {
    VecEnv::builder(definition(MODEL, config).expect("the test's task is right"))
}

/// The refusal's one line.
fn refusal(config: &str) -> String {
    let built = builder(config)
        .worlds(4)
        .build_on(Target::Host(Precision::Single));
    let line = built
        .err()
        .unwrap_or_else(|| panic!("{config} is refused"))
        .to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

/// `[world][component]`
fn rows(env: &VecEnv, name: &str) -> Vec<Vec<f32>> {
    let all = env.get(name).expect(name);
    all.chunks(all.len() / env.num_envs())
        .map(<[f32]>::to_vec)
        .collect()
}

#[test]
fn shares_are_worlds_side_by_side_and_alike_ones_share_a_kernel() {
    let mut env = builder(VARIANTS)
        .worlds(70)
        .build_on(Target::Host(Precision::Single))
        .unwrap();
    let variants = env.variants().clone();
    assert_eq!(variants.names, OBJECTS.map(|(name, _)| name));
    let counts: Vec<usize> = variants.worlds.iter().map(ExactSizeIterator::len).collect();
    assert_eq!(counts, [10, 10, 10, 10, 20, 10]);
    // Ball and marble first: one kernel. Then the others, in their order.
    let starts: Vec<usize> = variants.worlds.iter().map(|worlds| worlds.start).collect();
    assert_eq!(starts, [0, 20, 10, 30, 40, 60]);
    let kernels: Vec<_> = env.step_graphs().map(|(_, worlds)| worlds).collect();
    assert_eq!(kernels, [0..20, 20..30, 30..40, 40..60, 60..70]);
    // The critic sees one number for each variant.
    let seen = env
        .reset(None)
        .unwrap()
        .group("critic")
        .unwrap()
        .read()
        .unwrap();
    let width = seen.len() / 70;
    assert_eq!(width, 4 + 6, "what the policy sees, and the variant");
    let which = env.get_bits("variant").unwrap();
    for (world, seen) in seen.chunks(width).enumerate() {
        let is = variants
            .worlds
            .iter()
            .position(|worlds| worlds.contains(&world))
            .unwrap();
        assert_eq!(which[world] as usize, is);
        let shown: Vec<f32> = (0..6).map(|k| f32::from(u8::from(k == is))).collect();
        assert_eq!(seen[4..], shown);
    }
}

/// Every variant falls as its own file does in MuJoCo: within the rounding of what is read, in single precision.
#[test]
fn every_variant_moves_as_its_own_model_does_in_mujoco() {
    let folder = Folder::new("variants");
    let files = OBJECTS.map(|(name, attributes)| {
        let text = MODEL.replace(OBJECTS[0].1, attributes);
        let path = folder.path().join(format!("{name}.xml"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    });
    let mut arguments = vec!["--steps", "96", "--every", "4"];
    arguments.extend(files.iter().map(String::as_str));
    let Some(reference) = oracle::run("trajectory.py", &arguments) else {
        return;
    };
    let mut env = builder(VARIANTS)
        .worlds(7)
        .build_on(Target::Host(Precision::Double))
        .unwrap();
    let firsts: Vec<usize> = env
        .variants()
        .worlds
        .iter()
        .map(|worlds| worlds.start)
        .collect();
    let mut worst = [0.0_f64; OBJECTS.len()];
    for step in 0..=24 {
        let qpos = rows(&env, "qpos");
        for (variant, world) in firsts.iter().enumerate() {
            let there = oracle::floats(&reference[variant]["qpos"][step]);
            for (here, there) in qpos[*world].iter().zip(there) {
                worst[variant] = worst[variant].max((f64::from(*here) - there).abs());
            }
        }
        env.step(&[0.0; 7]).unwrap();
    }
    for ((name, _), error) in OBJECTS.iter().zip(worst) {
        println!("{name}: {error:.1e}");
        assert!(error < 1e-7, "{name}: {error:e}");
    }
}

/// A world's bits do not depend on what other worlds are: each variant steps as it does alone.
#[test]
fn a_variant_steps_the_same_alone() {
    everywhere(|target| {
        let config = format!(
            "{VARIANTS}\n[reset]\nnoise = 0.01\n[randomize.friction]\nfield = \"geom_friction\"\nscale.uniform = [0.5, 1.5]\n"
        );
        let mut env = builder(&config)
            .worlds(21)
            .seed(3)
            .build_on(target)
            .unwrap();
        let variants = env.variants().clone();
        let run = |env: &mut VecEnv, first: u32| -> Vec<Vec<u32>> {
            let worlds = env.num_envs() as u32;
            let mut seen = vec![Vec::new(); worlds as usize];
            for step in 0..60 {
                env.step(&actions(first..first + worlds, step, 1)).unwrap();
                for name in ["qpos", "qvel", "obs.policy", "obs.critic", "reward"] {
                    for (world, row) in rows(env, name).iter().enumerate() {
                        seen[world].extend(bits(row));
                    }
                }
            }
            seen
        };
        let together = run(&mut env, 0);
        for (name, worlds) in variants.names.iter().zip(&variants.worlds) {
            let mut one = definition(MODEL, &config).unwrap();
            one.only_variant(name).unwrap();
            let alone = VecEnv::builder(one).worlds(worlds.len()).seed(3);
            let mut alone = alone
                .first_stream(worlds.start as u32)
                .build_on(target)
                .unwrap();
            assert_eq!(alone.step_graphs().count(), 1);
            let alone = run(&mut alone, worlds.start as u32);
            assert!(alone == together[worlds.clone()], "{name}");
        }
    });
}

/// Numbers from a table are those of a model of its own, whose constants are folded: alike but for rounding.
#[test]
fn numbers_from_the_table_are_the_models() {
    let sphere = |attributes: &str| MODEL.replace(OBJECTS[0].1, attributes);
    let config = "[reset]\nnoise = 0.01\n";
    let target = Target::Host(Precision::Double);
    let mut env = builder(&format!("{VARIANTS}{config}"))
        .worlds(7)
        .build_on(target)
        .unwrap();
    let worlds = [(0, OBJECTS[0].1), (1, OBJECTS[2].1)];
    let mut alone = worlds.map(|(world, attributes)| {
        let definition = definition(&sphere(attributes), config).unwrap();
        VecEnv::builder(definition)
            .first_stream(world)
            .build_on(target)
            .unwrap()
    });
    for step in 0..100 {
        env.step(&actions(0..7, step, 1)).unwrap();
        let together = rows(&env, "qpos");
        for ((world, _), alone) in worlds.iter().zip(&mut alone) {
            alone.step(&actions(*world..world + 1, step, 1)).unwrap();
            for (here, there) in together[*world as usize]
                .iter()
                .zip(&rows(alone, "qpos")[0])
            {
                assert!(
                    (here - there).abs() < 1e-6,
                    "world {world}, step {step}: {here} {there}"
                );
            }
        }
    }
}

/// A hand that closes: one finger, or two with a joint each.
struct Grip;

impl Task for Grip {
    fn spec(&self, _model: &Model, _config: &Table) -> Result<Spec> {
        Ok(Spec::new(0.02, 50)
            .observe("policy", "opening", 1)
            .action("close", -1.0, 1.0)
            .reward("closed", 1.0))
    }

    fn actuate(&self, w: &World, action: &[Var], c: &mut Ctrl) {
        c.set("left", action[0]);
        if w.model().actuator_names.find("right").is_some() {
            c.set("right", action[0]);
        }
    }

    fn terms(&self, w: &World, _s: &TaskState, t: &mut Terms) {
        t.observe("opening", [w.joint_position("left")]);
        t.reward("closed", -w.joint_position("left"));
    }

    fn reset(&self, init: &mut Init, _s: &mut TaskState, rng: &mut Rng) {
        init.perturb(rng, 0.1);
    }
}

fn hand(fingers: &[&str]) -> Model {
    let finger = |name: &&str| {
        format!(
            "<body name='{name}'><joint name='{name}' type='slide' axis='1 0 0' range='-0.1 0.1'/>\
             <geom size='0.02'/></body>"
        )
    };
    let motor = |name: &&str| format!("<motor name='{name}' joint='{name}'/>");
    let bodies: String = fingers.iter().map(finger).collect();
    let motors: String = fingers.iter().map(motor).collect();
    let text = format!(
        "<mujoco><compiler autolimits='true'/><option gravity='0 0 0' timestep='0.01'/>\
         <worldbody>{bodies}</worldbody><actuator>{motors}</actuator></mujoco>"
    );
    Model::compile(&mjcf::parse("hand", &text, ".").unwrap()).unwrap()
}

fn hands() -> Builder {
    let definition = Definition::from_model("grip", Box::new(Grip), hand(&["left"]), "").unwrap();
    let definition = definition.variant("one", 1.0, hand(&["left"])).variant(
        "two",
        1.0,
        hand(&["left", "right"]),
    );
    VecEnv::builder(definition)
}

#[test]
fn bodies_with_other_joints_stand_behind_one_environment() {
    everywhere(|target| {
        let mut env = hands().worlds(8).seed(2).build_on(target).unwrap();
        assert_eq!(env.action_spec().len(), 1);
        assert_eq!(env.model_of(0).unwrap().nq, 1);
        assert_eq!(env.model_of(7).unwrap().nq, 2);
        assert!(env.model_of(8).is_err());
        for step in 0..30 {
            env.step(&actions(0..8, step, 1)).unwrap();
        }
        // What one finger has not is 0.
        let qpos = rows(&env, "qpos");
        assert!(qpos.iter().all(|row| row.len() == 2));
        assert!(qpos[..4].iter().all(|row| row[0] != 0.0 && row[1] == 0.0));
        assert!(qpos[4..].iter().all(|row| row[0] != 0.0 && row[1] != 0.0));

        // All of it is a value: saved, spoilt, restored.
        let state = env.get_state(Which::All).unwrap();
        let snapshot = env.snapshot(None).unwrap();
        env.set("qpos", None, &[0.05; 16]).unwrap();
        assert_ne!(rows(&env, "qpos"), qpos);
        env.set_state(Which::All, &state, Randomness::Saved)
            .unwrap();
        assert_eq!(rows(&env, "qpos"), qpos);
        env.set("qpos", None, &[0.05; 16]).unwrap();
        env.restore(None, &snapshot).unwrap();
        assert_eq!(rows(&env, "qpos"), qpos);

        // A world can become another only of its own kernel.
        env.fork(0, Which::Indices(&[3]), Randomness::Saved)
            .unwrap();
        assert_eq!(rows(&env, "qpos")[3], qpos[0]);
        let error = env
            .fork(0, Which::Indices(&[5]), Randomness::Saved)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("world 5") && error.contains("`two`"),
            "{error}"
        );
        let mut other = hands().worlds(6).build_on(target).unwrap();
        let error = other.restore(None, &snapshot).unwrap_err().to_string();
        assert!(error.contains("worlds"), "{error}");
    });
}

#[test]
fn a_state_with_other_shares_is_refused() {
    on_device(|context| {
        let shared = |share: u32| {
            let config = format!(
                "{VARIANTS}\n[variants.box2]\nshare = {share}\ngeom.object = {{ type = \"box\", size = [0.1, 0.1, 0.1] }}\n"
            );
            builder(&config).worlds(14).build(context).unwrap()
        };
        let (few, mut many) = (shared(0), shared(7));
        let error = many
            .restore(None, &few.snapshot(None).unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("variants"), "{error}");
    });
}

/// A fault in a world is found, kept with its variant, and steps again bit for bit.
#[test]
fn a_bad_world_is_replayed_as_the_variant_that_it_was() {
    use manyworlds::env::BadWorld;
    use manyworlds::tasks::{Cause, Entry};
    on_device(|context| {
        let entry = Entry {
            about: "pushes an object",
            make: || Box::new(Push),
            model: MODEL,
            config: VARIANTS,
            models: &[],
        };
        let mut registry = Registry::new();
        registry.register("push", entry);
        let builder = VecEnv::builder(registry.load("push").unwrap());
        let builder = builder.worlds(14).keep_bad_worlds(&[Cause::State]);
        let mut env = builder.build(context).unwrap();
        let folder = Folder::new("bad_variants");
        for step in 0..5 {
            env.step(&actions(0..14, step, 1)).unwrap();
        }
        for world in [3, 5, 13] {
            let mut mask = [false; 14];
            mask[world] = true;
            let mut qvel = env.get("qvel").unwrap();
            let width = qvel.len() / 14;
            qvel[world * width + 2] = f32::NAN;
            env.set("qvel", Some(&mask), &qvel).unwrap();
        }
        env.step(&actions(0..14, 5, 1)).unwrap();
        let bad = env.take_bad_worlds().unwrap();
        let which: Vec<usize> = bad.iter().map(|bad| bad.world).collect();
        assert_eq!(which, [3, 5, 13]);
        for bad in bad {
            let path = folder.path().join(bad.file_name());
            bad.save(&path).unwrap();
            let bad = BadWorld::load(&path).unwrap();
            let mut again = bad.builder(&registry).unwrap().build(context).unwrap();
            let replay = again.replay(&bad).unwrap();
            assert!(
                replay.differences.is_empty(),
                "{}: {:?}",
                bad.origin.variant,
                replay.differences
            );
            let found = again.diagnose(&bad).unwrap();
            assert!(!found.inputs.is_empty());
        }
    });
}

#[test]
fn other_models_are_found_by_name() {
    let entry = manyworlds::tasks::Entry {
        about: "pushes an object",
        make: || Box::new(Push),
        model: MODEL,
        config: "[variants.own]\n[variants.other]\nmodel = \"other.xml\"\ngeom.object.mass = 3\n",
        models: &[("other.xml", MODEL)],
    };
    let mut registry = Registry::new();
    registry.register("push", entry);
    let variants = registry.load("push").unwrap().variants().unwrap();
    let masses: Vec<f64> = variants
        .iter()
        .map(|variant| variant.model.body_mass[1])
        .collect();
    assert_eq!(masses, [0.2, 3.0]);
}

#[test]
fn what_is_wrong_with_variants_is_said_on_one_line() {
    let lines = [
        ("[variants.a.geom.objct]\nsize = 1", "did you mean `object`"),
        ("[variants.a.geom.object]\nsiez = 1", "did you mean 'size'"),
        ("[variants.a]\nshare = -1", "share"),
        ("[variants.a]\nshare = \"many\"", "share"),
        ("[variants.a]\nshare = 0", "share above 0"),
        ("[variants]\na = 1", "variants.a"),
        ("variants = 1", "no table"),
        ("[variants.a]\nmodel = \"missing.xml\"", "missing.xml"),
        (
            "[variants.a.option]\ntimestep = 0.01\n[variants.b]",
            "time steps",
        ),
        (
            "[variants.a.motor.push]\nctrlrange = [-2, 2]\n[variants.b]",
            "action `push`",
        ),
        ("[variants]\nobserve = \"critic\"", "variants"),
        ("[variants.a.joint.plate]\nname = \"other\"", "plate"),
    ];
    for (config, part) in lines.iter().take(10).chain(&lines[11..]) {
        let line = refusal(config);
        assert!(line.contains(part), "{config:?}: {line}");
    }
    // Nothing is to be seen where there are no variants.
    assert!(
        builder(lines[10].0)
            .build_on(Target::Host(Precision::Single))
            .is_ok()
    );
    let mut task = definition(MODEL, VARIANTS).unwrap();
    let line = task.only_variant("bal").unwrap_err().to_string();
    assert!(line.contains("did you mean `ball`"), "{line}");
}

#[test]
fn a_variant_is_a_file_of_its_own() {
    let definition = definition(MODEL, VARIANTS).unwrap();
    for variant in definition.variants().unwrap() {
        let text = definition.mjcf(&variant.name).unwrap();
        let scene = mjcf::parse("again", &text, ".").unwrap();
        assert!(Model::compile(&scene).unwrap() == variant.model, "{text}");
    }
    assert!(definition.mjcf("").unwrap().contains("0.05"));
    assert!(definition.mjcf("none").is_err());
}
