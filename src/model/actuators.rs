//! Actuators, sensors, contact pairs and exclusions: what refers to the tree by name.

use super::names::Names;
use super::{Bias, Dynamics, Gain, Joint, Model, Object, Sensor, Transmission, locate};
use crate::error::{Error, Result};
use crate::scene::{self, Limited, Scene};

/// Fills the arrays of everything that refers to bodies, joints, geoms and sites.
///
/// # Errors
/// A name that does not exist, a range or a parameter without sense.
pub(super) fn fill(scene: &Scene, model: &mut Model) -> Result<()> {
    for given in &scene.pairs {
        pair(given, model).map_err(|e| locate(&given.place, "pair", &given.name, e))?;
    }
    for given in &scene.excludes {
        exclude(given, model).map_err(|e| locate(&given.place, "exclude", &given.name, e))?;
    }
    sort_pairs(model);
    for given in &scene.actuators {
        actuator(given, model).map_err(|e| locate(&given.place, "actuator", &given.name, e))?;
    }
    let labels = scene
        .actuators
        .iter()
        .map(|a| (a.name.clone(), a.place.clone()))
        .collect();
    model.actuator_names = Names::placed("actuator", labels)?;
    for given in &scene.sensors {
        sensor(given, model)
            .map_err(|e| locate(&given.place, given.kind.keyword(), &given.name, e))?;
    }
    let labels = scene
        .sensors
        .iter()
        .map(|s| (s.name.clone(), s.place.clone()))
        .collect();
    model.sensor_names = Names::placed("sensor", labels)?;
    Ok(())
}

fn actuator(given: &scene::Actuator, model: &mut Model) -> Result<()> {
    if given.target.is_empty() {
        return Err(Error::invalid("it acts on nothing").hint("name a joint"));
    }
    let joint = model.jnt_names.id(&given.target)?;
    let numbers = [&given.dynprm, &given.gainprm, &given.biasprm];
    let ranges = [&given.ctrlrange, &given.forcerange, &given.actrange];
    let finite = numbers
        .into_iter()
        .flatten()
        .chain(ranges.into_iter().flatten())
        .chain(&given.gear);
    if !finite.into_iter().all(|number| number.is_finite()) {
        return Err(Error::invalid("parameters and ranges must be finite"));
    }
    let (mut ctrlrange, mut actrange) = (given.ctrlrange, given.actrange);
    if given.inheritrange > 0.0 && servo(given) {
        let range = inherited_range(given, model, joint)?;
        match given.dynamics {
            Dynamics::None | Dynamics::FilterExact => ctrlrange = range,
            Dynamics::Integrator => actrange = range,
            Dynamics::Filter => {
                let cause = "inheritrange is for position and intvelocity actuators only";
                return Err(Error::invalid(cause));
            }
        }
    }
    let limit = |what: &str, limited: Limited, range: [f64; 2]| -> Result<bool> {
        let holds = limited.holds(range);
        if holds && range[0] >= range[1] {
            let cause = format!(
                "{what} {} {} must begin with the smaller number",
                range[0], range[1]
            );
            return Err(Error::invalid(cause));
        }
        Ok(holds)
    };
    let ctrllimited = limit("ctrlrange", given.ctrllimited, ctrlrange)?;
    let forcelimited = limit("forcerange", given.forcelimited, given.forcerange)?;
    let actlimited = limit("actrange", given.actlimited, actrange)?;
    let stateful = given.dynamics != Dynamics::None;
    if actlimited && !stateful {
        return Err(Error::invalid("actrange is given, but dyntype is 'none'"));
    }
    if let Some(actdim) = given
        .actdim
        .filter(|&actdim| actdim != usize::from(stateful))
    {
        let cause = format!(
            "actdim is {actdim}, but dyntype '{}' has {}",
            given.dynamics.keyword(),
            usize::from(stateful)
        );
        return Err(Error::invalid(cause));
    }

    model.nu += 1;
    model.actuator_trntype.push(given.transmission);
    model.actuator_trnid.push(joint);
    model.actuator_dyntype.push(given.dynamics);
    model.actuator_gaintype.push(given.gain);
    model.actuator_biastype.push(given.bias);
    model.actuator_actadr.push(stateful.then_some(model.na));
    model.actuator_actnum.push(usize::from(stateful));
    model.na += usize::from(stateful);
    model.actuator_group.push(given.group);
    model.actuator_ctrllimited.push(ctrllimited);
    model.actuator_forcelimited.push(forcelimited);
    model.actuator_actlimited.push(actlimited);
    model.actuator_actearly.push(given.actearly);
    model.actuator_dynprm.push(given.dynprm);
    model.actuator_gainprm.push(given.gainprm);
    model.actuator_biasprm.push(given.biasprm);
    model.actuator_ctrlrange.push(ctrlrange);
    model.actuator_forcerange.push(given.forcerange);
    model.actuator_actrange.push(actrange);
    model.actuator_gear.push(given.gear);
    Ok(())
}

/// Whether an actuator's control has the units of its joint: `kp (ctrl − length)`.
fn servo(given: &scene::Actuator) -> bool {
    given.gain == Gain::Fixed && given.bias == Bias::Affine && given.gainprm[0] == -given.biasprm[1]
}

/// The joint's range, scaled about its middle.
fn inherited_range(given: &scene::Actuator, model: &Model, joint: usize) -> Result<[f64; 2]> {
    let scalar = matches!(model.jnt_type[joint], Joint::Hinge | Joint::Slide);
    if !scalar || given.transmission != Transmission::Joint {
        return Err(Error::invalid(
            "inheritrange is for hinge and slide joints only",
        ));
    }
    let [low, high] = model.jnt_range[joint];
    if low == high {
        let cause = format!(
            "inheritrange is given, but joint '{}' has no range",
            given.target
        );
        return Err(Error::invalid(cause));
    }
    let (middle, radius) = (0.5 * (high + low), 0.5 * (high - low) * given.inheritrange);
    Ok([middle - radius, middle + radius])
}

fn pair(given: &scene::Pair, model: &mut Model) -> Result<()> {
    let mut geoms = [
        model.geom_names.id(&given.geoms[0])?,
        model.geom_names.id(&given.geoms[1])?,
    ];
    if model.geom_bodyid[geoms[0]] > model.geom_bodyid[geoms[1]] {
        geoms.swap(0, 1);
    }
    if !matches!(given.condim, 1 | 3 | 4 | 6) {
        return Err(Error::invalid(format!(
            "condim is {}, not 1, 3, 4 or 6",
            given.condim
        )));
    }
    model.npair += 1;
    model.pair_dim.push(given.condim);
    model.pair_geom1.push(geoms[0]);
    model.pair_geom2.push(geoms[1]);
    model.pair_solref.push(given.solref);
    model.pair_solreffriction.push(given.solreffriction);
    model.pair_solimp.push(given.solimp);
    model.pair_margin.push(given.margin);
    model.pair_gap.push(given.gap);
    model.pair_friction.push(given.friction);
    Ok(())
}

fn exclude(given: &scene::Exclude, model: &mut Model) -> Result<()> {
    let mut bodies = [
        model.body_names.id(&given.bodies[0])?,
        model.body_names.id(&given.bodies[1])?,
    ];
    bodies.sort_unstable();
    model.nexclude += 1;
    model.exclude_bodies.push(bodies);
    Ok(())
}

/// Orders pairs and exclusions by their bodies, as MuJoCo does.
fn sort_pairs(model: &mut Model) {
    fn reorder<T: Copy>(order: &[usize], values: &mut [T]) {
        let old = values.to_vec();
        values
            .iter_mut()
            .zip(order)
            .for_each(|(value, &from)| *value = old[from]);
    }
    let mut order: Vec<usize> = (0..model.npair).collect();
    let bodies = |geom: usize| model.geom_bodyid[geom];
    order.sort_by_key(|&p| (bodies(model.pair_geom1[p]), bodies(model.pair_geom2[p])));
    reorder(&order, &mut model.pair_dim);
    reorder(&order, &mut model.pair_geom1);
    reorder(&order, &mut model.pair_geom2);
    reorder(&order, &mut model.pair_solref);
    reorder(&order, &mut model.pair_solreffriction);
    reorder(&order, &mut model.pair_solimp);
    reorder(&order, &mut model.pair_margin);
    reorder(&order, &mut model.pair_gap);
    reorder(&order, &mut model.pair_friction);
    model.exclude_bodies.sort();
}

fn sensor(given: &scene::Sensor, model: &mut Model) -> Result<()> {
    let (objtype, objid) = resolve(&given.object, model)?;
    let (reftype, refid) = resolve(&given.reference, model)?;
    if let (Some(Object::Joint), Some(joint)) = (objtype, objid) {
        check_joint(given.kind, model, joint)?;
    }
    let unit = matches!(
        given.kind,
        Sensor::BallQuat
            | Sensor::FrameQuat
            | Sensor::FrameXAxis
            | Sensor::FrameYAxis
            | Sensor::FrameZAxis
    );
    if unit && given.cutoff > 0.0 {
        return Err(Error::invalid(
            "a unit vector or quaternion cannot have a cutoff",
        ));
    }
    let dim = dimension(given.kind);
    model.nsensor += 1;
    model.sensor_type.push(given.kind);
    model.sensor_objtype.push(objtype);
    model.sensor_objid.push(objid);
    model.sensor_reftype.push(reftype);
    model.sensor_refid.push(refid);
    model.sensor_dim.push(dim);
    model.sensor_adr.push(model.nsensordata);
    model.nsensordata += dim;
    model.sensor_cutoff.push(given.cutoff);
    model.sensor_noise.push(given.noise);
    Ok(())
}

fn resolve(
    named: &Option<(Object, String)>,
    model: &Model,
) -> Result<(Option<Object>, Option<usize>)> {
    let Some((kind, name)) = named else {
        return Ok((None, None));
    };
    let names = match kind {
        Object::Body | Object::XBody => &model.body_names,
        Object::Joint => &model.jnt_names,
        Object::Geom => &model.geom_names,
        Object::Site => &model.site_names,
        Object::Camera => &model.cam_names,
        Object::Actuator => &model.actuator_names,
    };
    Ok((Some(*kind), Some(names.id(name)?)))
}

/// Refuses joint sensors on joints of another kind.
fn check_joint(kind: Sensor, model: &Model, joint: usize) -> Result<()> {
    let ball = model.jnt_type[joint] == Joint::Ball;
    let scalar = matches!(model.jnt_type[joint], Joint::Slide | Joint::Hinge);
    let limit = matches!(
        kind,
        Sensor::JointLimitPos | Sensor::JointLimitVel | Sensor::JointLimitFrc
    );
    let wrong = match kind {
        Sensor::BallQuat | Sensor::BallAngVel if !ball => "a ball joint",
        Sensor::JointPos | Sensor::JointVel | Sensor::JointActuatorFrc if !scalar => {
            "a slide or hinge joint"
        }
        _ if limit && !model.jnt_limited[joint] => "a joint with limits",
        _ => return Ok(()),
    };
    Err(Error::invalid(format!(
        "it needs {wrong}, and '{}' is not one",
        model.jnt_names.name(joint)
    )))
}

/// How many numbers a sensor gives.
fn dimension(kind: Sensor) -> usize {
    match kind {
        Sensor::Touch
        | Sensor::JointPos
        | Sensor::JointVel
        | Sensor::ActuatorPos
        | Sensor::ActuatorVel
        | Sensor::ActuatorFrc
        | Sensor::JointActuatorFrc
        | Sensor::JointLimitPos
        | Sensor::JointLimitVel
        | Sensor::JointLimitFrc
        | Sensor::EnergyPotential
        | Sensor::EnergyKinetic
        | Sensor::Clock => 1,
        Sensor::BallQuat | Sensor::FrameQuat => 4,
        _ => 3,
    }
}
