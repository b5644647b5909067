//! From a scene to a model: the passes, in order.

use super::names::Names;
use super::reference::Given;
use super::{Joint, Model, actuators, equalities, fuse, locate, reference, tree};
use crate::error::{Error, Result};
use crate::scene::pose;
use crate::scene::{Body, CustomValue, Keyframe, Scene};

impl Model {
    /// Compiles a scene, with the semantics of MuJoCo's compiler.
    ///
    /// # Errors
    /// Whatever the scene says that makes no sense, with the line that said it.
    pub fn compile(scene: &Scene) -> Result<Self> {
        let fused = if scene.compilers[0].fusestatic {
            Some(fuse::fuse(scene)?)
        } else {
            None
        };
        let scene = fused.as_ref().unwrap_or(scene);
        let mut model = Model {
            name: scene.name.clone(),
            opt: scene.options.clone(),
            max_contact_points: max_contact_points(scene)?,
            ..Model::default()
        };
        check_options(scene)?;
        materials(scene, &mut model)?;
        tree::fill(scene, &mut model)?;
        actuators::fill(scene, &mut model)?;
        equalities::fill(scene, &mut model)?;
        keyframes(scene, &mut model)?;
        scale_mass(scene, &mut model);
        reference::fill(&mut model, &given(scene));
        Ok(model)
    }
}

fn check_options(scene: &Scene) -> Result<()> {
    let options = &scene.options;
    let numbers = options
        .gravity
        .iter()
        .chain(&options.wind)
        .chain(&options.magnetic)
        .chain([
            &options.timestep,
            &options.density,
            &options.viscosity,
            &options.impratio,
        ]);
    if numbers.into_iter().any(|number| !number.is_finite()) {
        return Err(Error::invalid("<option>: every number must be finite"));
    }
    if options.timestep <= 0.0 {
        return Err(Error::invalid(format!(
            "<option>: timestep is {}, it must be positive",
            options.timestep
        )));
    }
    Ok(())
}

/// The custom number of that name.
fn max_contact_points(scene: &Scene) -> Result<Option<usize>> {
    const NAME: &str = "max_contact_points";
    let Some(custom) = scene.custom.iter().find(|custom| custom.name == NAME) else {
        return Ok(None);
    };
    match &custom.value {
        CustomValue::Numeric(data) => match data.as_slice() {
            &[count] if count.fract() == 0.0 && (0.0..=1000.0).contains(&count) => {
                Ok(Some(count as usize))
            }
            _ => {
                let error = Error::invalid("it is no whole number between 0 and 1000");
                Err(locate(&custom.place, "numeric", NAME, error))
            }
        },
        CustomValue::Text(_) => Ok(None),
    }
}

fn materials(scene: &Scene, model: &mut Model) -> Result<()> {
    if scene.compilers[0].discardvisual {
        return Ok(());
    }
    model.nmat = scene.materials.len();
    model.mat_rgba = scene
        .materials
        .iter()
        .map(|material| material.rgba)
        .collect();
    let labels = scene
        .materials
        .iter()
        .map(|m| (m.name.clone(), m.place.clone()))
        .collect();
    model.mat_names = Names::placed("material", labels)?;
    Ok(())
}

/// Scales every mass and inertia so that the model weighs what `settotalmass` says.
fn scale_mass(scene: &Scene, model: &mut Model) {
    let wanted = scene.compilers[0].settotalmass;
    let total: f64 = model.body_mass.iter().sum();
    if wanted > 0.0 && total > 0.0 {
        let factor = wanted / total;
        model.body_mass.iter_mut().for_each(|mass| *mass *= factor);
        model
            .body_inertia
            .iter_mut()
            .flatten()
            .for_each(|moment| *moment *= factor);
    }
}

fn given(scene: &Scene) -> Given {
    fn walk(body: &Body, given: &mut Given) {
        given.simple.push(body.simple);
        given
            .springdamper
            .extend(body.joints.iter().map(|joint| joint.springdamper));
        body.bodies.iter().for_each(|child| walk(child, given));
    }
    let mut given = Given {
        statistics: scene.statistics,
        springdamper: Vec::new(),
        simple: Vec::new(),
    };
    walk(&scene.world, &mut given);
    given
}

fn keyframes(scene: &Scene, model: &mut Model) -> Result<()> {
    for key in &scene.keyframes {
        keyframe(key, model).map_err(|error| locate(&key.place, "key", &key.name, error))?;
    }
    let labels = scene
        .keyframes
        .iter()
        .map(|k| (k.name.clone(), k.place.clone()))
        .collect();
    model.key_names = Names::placed("key", labels)?;
    Ok(())
}

/// Adds a keyframe: what it leaves out is the reference state's.
fn keyframe(key: &Keyframe, model: &mut Model) -> Result<()> {
    let mocap = (0..model.nbody).filter(|&body| model.body_mocapid[body].is_some());
    let (mpos0, mquat0): (Vec<_>, Vec<_>) = mocap
        .map(|body| (model.body_pos[body], model.body_quat[body]))
        .unzip();

    let mut qpos = sized("qpos", &key.qpos, &model.qpos0)?;
    normalize_quaternions(model, &mut qpos);
    let qvel = sized("qvel", &key.qvel, &vec![0.0; model.nv])?;
    let act = sized("act", &key.act, &vec![0.0; model.na])?;
    let ctrl = sized("ctrl", &key.ctrl, &vec![0.0; model.nu])?;
    let mpos = sized("mpos", &key.mpos, mpos0.as_flattened())?;
    let mquat = sized("mquat", &key.mquat, mquat0.as_flattened())?;
    if !key.time.is_finite() {
        return Err(Error::invalid("time must be finite"));
    }
    model.nkey += 1;
    model.key_time.push(key.time);
    model.key_qpos.push(qpos);
    model.key_qvel.push(qvel);
    model.key_act.push(act);
    model.key_ctrl.push(ctrl);
    model.key_mpos.push(mpos.as_chunks().0.to_vec());
    model.key_mquat.push(mquat.as_chunks().0.to_vec());
    Ok(())
}

/// The numbers given, or the default if none are.
fn sized(what: &str, given: &[f64], default: &[f64]) -> Result<Vec<f64>> {
    if given.is_empty() {
        return Ok(default.to_vec());
    }
    if given.len() != default.len() {
        let cause = format!(
            "{what} has {} numbers, the model needs {}",
            given.len(),
            default.len()
        );
        return Err(Error::invalid(cause));
    }
    if given.iter().any(|number| !number.is_finite()) {
        return Err(Error::invalid(format!("{what} must be finite")));
    }
    Ok(given.to_vec())
}

fn normalize_quaternions(model: &Model, qpos: &mut [f64]) {
    for joint in 0..model.njnt {
        let skip = match model.jnt_type[joint] {
            Joint::Free => 3,
            Joint::Ball => 0,
            Joint::Slide | Joint::Hinge => continue,
        };
        let adr = model.jnt_qposadr[joint] + skip;
        let mut quat: [f64; 4] = std::array::from_fn(|k| qpos[adr + k]);
        if pose::normalize(&mut quat) == 0.0 {
            quat = pose::UNIT;
        }
        qpos[adr..adr + 4].copy_from_slice(&quat);
    }
}
