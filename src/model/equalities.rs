//! Equality constraints: `eq_*`, and the parts of `eq_data` that follow from the reference configuration.

use super::names::Names;
use super::{Equality, Joint, Model, Object, locate};
use crate::error::{Error, Result};
use crate::scene::pose::{self, Pose};
use crate::scene::{self, Held, Scene};

/// Where in `eq_data` a weld's orientation begins.
const QUAT: usize = 6;
/// Where in `eq_data` the weight of a weld's rotation is.
const TORQUESCALE: usize = 10;
/// Where in `eq_data` it says that a weld's pose is that of the reference configuration.
const FROM_REFERENCE: usize = 11;

/// Fills the arrays, but for what [`place`] adds.
///
/// # Errors
/// A name that does not exist, an object held to itself, a joint of more than one degree of freedom.
pub(super) fn fill(scene: &Scene, model: &mut Model) -> Result<()> {
    for given in &scene.equalities {
        let keyword = given.held.kind().keyword();
        equality(given, model).map_err(|e| locate(&given.place, keyword, &given.name, e))?;
    }
    let labels = scene
        .equalities
        .iter()
        .map(|e| (e.name.clone(), e.place.clone()))
        .collect();
    model.eq_names = Names::placed("equality", labels)?;
    Ok(())
}

fn equality(given: &scene::Equality, model: &mut Model) -> Result<()> {
    let (kind, [first, second]) = given.held.objects();
    let names = match kind {
        Object::Body => &model.body_names,
        Object::Site => &model.site_names,
        _ => &model.jnt_names,
    };
    let obj1 = names.id(first)?;
    let obj2 = match (kind, second.as_str()) {
        (Object::Body, "") => Some(0),
        (Object::Joint, "") => None,
        (_, name) => Some(names.id(name)?),
    };
    if obj2 == Some(obj1) {
        return Err(Error::invalid(format!("'{first}' is held to itself")));
    }
    if kind == Object::Joint {
        for joint in [Some(obj1), obj2].into_iter().flatten() {
            if !matches!(model.jnt_type[joint], Joint::Slide | Joint::Hinge) {
                return Err(Error::invalid(format!(
                    "it needs slide or hinge joints, and '{}' is not one",
                    model.jnt_names.name(joint)
                )));
            }
        }
    }
    let data = data(&given.held);
    let numbers = given.solref.iter().chain(&given.solimp).chain(&data);
    if !numbers.into_iter().all(|number| number.is_finite()) {
        return Err(Error::invalid("every number must be finite"));
    }
    model.neq += 1;
    model.eq_type.push(given.held.kind());
    model
        .eq_objtype
        .push((kind != Object::Joint).then_some(kind));
    model.eq_obj1id.push(obj1);
    model.eq_obj2id.push(obj2);
    model.eq_active0.push(given.active);
    model.eq_solref.push(given.solref);
    model.eq_solimp.push(given.solimp);
    model.eq_data.push(data);
    Ok(())
}

/// The numbers that the scene says. MuJoCo leaves defaults of other kinds in places that a kind does not use (a
/// polynomial's 1, a torque scale); they are kept, so that the array equals `mjModel`'s.
fn data(held: &Held) -> [f64; 12] {
    let mut data = [0.0; 12];
    match held {
        Held::ConnectBodies { anchor, .. } => {
            data[..3].copy_from_slice(anchor);
            data[TORQUESCALE] = 1.0;
        }
        Held::ConnectSites { .. } => {}
        Held::WeldBodies {
            anchor,
            relpose,
            torquescale,
            ..
        } => {
            data[..3].copy_from_slice(anchor);
            match relpose {
                &Some(Pose { pos, mut quat }) => {
                    pose::normalize(&mut quat);
                    data[3..QUAT].copy_from_slice(&pos);
                    data[QUAT..QUAT + 4].copy_from_slice(&quat);
                }
                None => data[FROM_REFERENCE] = 1.0,
            }
            data[TORQUESCALE] = *torquescale;
        }
        Held::WeldSites { torquescale, .. } => {
            data[1] = 1.0;
            data[TORQUESCALE] = *torquescale;
        }
        Held::Joints { polycoef, .. } => {
            data[..5].copy_from_slice(polycoef);
            data[TORQUESCALE] = 1.0;
        }
    }
    data
}

/// Completes connections and welds of bodies from the poses (`[nbody]`) in the reference configuration: the anchor
/// in the other body's frame, and a weld's relative orientation unless the scene gives it.
pub(super) fn place(model: &mut Model, bodies: &[Pose]) {
    for id in 0..model.neq {
        let (Some(Object::Body), Some(obj2)) = (model.eq_objtype[id], model.eq_obj2id[id]) else {
            continue;
        };
        let (first, second) = (bodies[model.eq_obj1id[id]], bodies[obj2]);
        let data = &mut model.eq_data[id];
        let anchor = [data[0], data[1], data[2]];
        match model.eq_type[id] {
            Equality::Connect => {
                let there = second.inverse().point(first.point(anchor));
                data[3..QUAT].copy_from_slice(&there);
            }
            Equality::Weld if data[FROM_REFERENCE] != 0.0 => {
                let relative = first.inverse().then(&second);
                data[3..QUAT].copy_from_slice(&relative.point(anchor));
                data[QUAT..QUAT + 4].copy_from_slice(&relative.quat);
            }
            Equality::Weld | Equality::Joint => {}
        }
    }
}
