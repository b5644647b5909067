//! Compiled models against MuJoCo's: every array of `mjModel` that a model has, for our own models
//! and for those that gymnasium and dm_control bring along.

use std::collections::BTreeMap;
use std::f64::consts::FRAC_PI_2;
use std::path::{Path, PathBuf};

use manyworlds::error::Kind;
use manyworlds::model::Model;
use manyworlds::scene::{Actuator, Body, Geom, Inertial, Joint, Scene, Site, mjcf};
use serde_json::Value;

use crate::model_fields::fields;
use crate::oracle;

/// Sums in another order than MuJoCo's differ in the last digits; nothing else does.
const TOLERANCE: f64 = 1e-10;

/// Every array of a model, flat, as MuJoCo names and encodes it.
fn compare(path: &Path, reference: &Value) -> Result<(), String> {
    let scene = mjcf::load(path).map_err(|error| error.to_string())?;
    let model = Model::compile(&scene).map_err(|error| error.to_string())?;
    let mut failures = Vec::new();
    for (name, ours) in fields(&model) {
        let theirs = match name.split_once('.') {
            Some((group, name)) => &reference[group][name],
            None => &reference[name],
        };
        let theirs = flat(theirs);
        if ours.len() != theirs.len() {
            failures.push(format!(
                "{name}: {} numbers, MuJoCo has {}",
                ours.len(),
                theirs.len()
            ));
            continue;
        }
        // |Δ| / max(1, |reference|∞), the project's measure.
        let scale = theirs.iter().fold(1.0_f64, |scale, x| scale.max(x.abs()));
        let worst = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| (ours - theirs).abs() / scale)
            .enumerate()
            .fold((0, 0.0_f64), |worst, (i, error)| {
                if error > worst.1 || error.is_nan() {
                    (i, error)
                } else {
                    worst
                }
            });
        if worst.1.is_nan() || worst.1 > TOLERANCE {
            failures.push(format!(
                "{name}[{}]: {} is not {} ({:.1e})",
                worst.0, ours[worst.0], theirs[worst.0], worst.1
            ));
        }
    }
    for (kind, ours) in names(&model) {
        let theirs: Vec<&str> = reference[kind]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_str().unwrap())
            .collect();
        if ours != theirs {
            failures.push(format!("{kind}: {ours:?} is not {theirs:?}"));
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n  "))
    }
}

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        Value::Bool(value) => vec![f64::from(*value)],
        value => vec![value.as_f64().unwrap_or(f64::NAN)],
    }
}

fn names(model: &Model) -> Vec<(&'static str, Vec<&str>)> {
    let sensors = model
        .sensor_type
        .iter()
        .map(|kind| kind.keyword())
        .collect();
    let names = [
        ("body_names", &model.body_names),
        ("jnt_names", &model.jnt_names),
        ("geom_names", &model.geom_names),
        ("site_names", &model.site_names),
        ("cam_names", &model.cam_names),
        ("light_names", &model.light_names),
        ("mat_names", &model.mat_names),
        ("eq_names", &model.eq_names),
        ("actuator_names", &model.actuator_names),
        ("sensor_names", &model.sensor_names),
        ("key_names", &model.key_names),
    ];
    let names = names.map(|(kind, names)| (kind, names.iter().collect()));
    names
        .into_iter()
        .chain([("sensor_kinds", sensors)])
        .collect()
}

/// Our own models, sorted.
fn own_models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn own_models_equal_mujocos() {
    let paths = own_models();
    assert!(paths.len() >= 10, "only {} models", paths.len());
    let args: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    let Some(reference) = oracle::run("dump_model.py", &args) else {
        return;
    };
    let mut failures = Vec::new();
    for path in &paths {
        let theirs = &reference[path.to_str().unwrap()];
        assert!(
            theirs.get("error").is_none(),
            "MuJoCo refuses {}: {}",
            path.display(),
            theirs["error"]
        );
        if let Err(failure) = compare(path, theirs) {
            failures.push(format!(
                "{}:\n  {failure}",
                path.file_name().unwrap().display()
            ));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn package_models_equal_mujocos_or_say_what_they_need() {
    let Some(reference) = oracle::run("dump_model.py", &["--packages"]) else {
        return;
    };
    let (mut equal, mut unsupported, mut failures) = (Vec::new(), BTreeMap::new(), Vec::new());
    for (path, theirs) in reference.as_object().unwrap() {
        let path = Path::new(path);
        let name = path
            .iter()
            .rev()
            .take(2)
            .map(|part| part.to_str().unwrap())
            .collect::<Vec<_>>();
        let name = format!("{}/{}", name[1], name[0]);
        let scene = mjcf::load(path);
        match scene.map_err(|error| (error.kind(), error.to_string())) {
            Err((Kind::Unsupported, cause)) => {
                assert!(cause.contains(".xml:"), "{name}: no place in '{cause}'");
                unsupported.insert(name, cause);
            }
            _ if theirs.get("error").is_some() => {}
            Err((_, cause)) => failures.push(format!("{name}: {cause}")),
            Ok(_) => match compare(path, theirs) {
                Ok(()) => equal.push(name),
                Err(failure) => failures.push(format!("{name}:\n  {failure}")),
            },
        }
    }
    eprintln!("equal: {equal:?}\nunsupported: {unsupported:#?}");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    for needed in [
        "suite/cartpole.xml",
        "assets/inverted_pendulum.xml",
        "assets/ant.xml",
        "assets/half_cheetah.xml",
    ] {
        assert!(
            equal.iter().any(|name| name == needed),
            "{needed} does not load"
        );
    }
}

/// The builder says the same as the file.
#[test]
fn a_scene_built_in_rust_compiles_to_the_same_model() {
    let text = "<mujoco model='arm'><option timestep='0.01'/>
        <worldbody>
          <geom name='floor' type='plane' size='0 0 1'/>
          <body name='upper' pos='0 0 1'>
            <joint name='shoulder' axis='0 1 0' range='-90 90' damping='0.1' armature='0.01'/>
            <geom name='bone' type='capsule' size='0.02 0.25' pos='0 0 -0.25' mass='1'/>
            <body name='lower' pos='0 0 -0.5' quat='0 1 0 0'>
              <joint name='elbow' type='slide'/>
              <inertial pos='0 0 0.1' mass='0.5' diaginertia='0.01 0.02 0.03'/>
              <site name='tip' pos='0 0 0.2'/>
            </body>
          </body>
        </worldbody>
        <actuator>
          <motor name='torque' joint='shoulder' gear='5' ctrlrange='-1 1'/>
          <position name='servo' joint='elbow' kp='10' kv='1' forcerange='-2 2'/>
        </actuator></mujoco>";
    let read = mjcf::parse("arm.xml", text, "").unwrap();

    let mut built = Scene::new("arm");
    built.options.timestep = 0.01;
    built.world.geoms.push(Geom::plane().named("floor"));
    built.world.add(
        Body::new("upper")
            .at([0.0, 0.0, 1.0])
            .joint(
                Joint::hinge("shoulder")
                    .axis([0.0, 1.0, 0.0])
                    .range([-FRAC_PI_2, FRAC_PI_2])
                    .damping(0.1)
                    .armature(0.01),
            )
            .geom(
                Geom::capsule(0.02, 0.25)
                    .named("bone")
                    .at([0.0, 0.0, -0.25])
                    .mass(1.0),
            )
            .body(
                Body::new("lower")
                    .at([0.0, 0.0, -0.5])
                    .turned([0.0, 1.0, 0.0, 0.0])
                    .joint(Joint::slide("elbow"))
                    .inertial(Inertial::new(0.5, [0.0, 0.0, 0.1], [0.01, 0.02, 0.03]))
                    .site(Site::new("tip").at([0.0, 0.0, 0.2])),
            ),
    );
    built.actuators.push(
        Actuator::motor("torque", "shoulder")
            .gear(5.0)
            .ctrlrange([-1.0, 1.0]),
    );
    built
        .actuators
        .push(Actuator::position("servo", "elbow", 10.0, 1.0).forcerange([-2.0, 2.0]));

    assert_eq!(
        Model::compile(&built).unwrap(),
        Model::compile(&read).unwrap()
    );

    built.world.bodies[0].geoms[0].size[0] = f64::NAN;
    let error = Model::compile(&built).unwrap_err().to_string();
    assert!(
        error.contains("model.rs:") && error.contains("size must be finite"),
        "{error}"
    );
}

/// What is only for drawing is said once.
#[test]
fn what_has_no_effect_is_one_warning() {
    let text = "<mujoco><visual><map znear='1'/></visual>
        <asset><texture name='t' file='nowhere.png'/><material name='m' texture='t'/><mesh name='s' file='s.stl'/>
        <texture type='skybox' builtin='flat' width='8' height='8'/></asset>
        <worldbody><geom type='mesh' mesh='s' contype='0' conaffinity='0'/></worldbody></mujoco>";
    let scene = mjcf::parse("drawn.xml", text, "").unwrap();
    let expected = "drawn.xml:1: without effect on the physics: <texture> (×2), <visual>, mesh 's'";
    assert_eq!(scene.warnings, [expected]);
    assert_eq!(Model::compile(&scene).unwrap().ngeom, 0);
}
