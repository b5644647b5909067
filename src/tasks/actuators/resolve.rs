//! What was said about actuators against a model: which actuators are meant, and whether it can be so.

use std::sync::Arc;

use super::declare::{Actuator, Law, NUMBERS, Per, Reader, Selection, Target, keys};
use super::latency::Ring;
use super::network::Network;
use super::{Axis, Drives, Group};
use crate::error::{Error, Result, near_matches, unknown};
use crate::model::{Bias, Dynamics, Gain, Joint, Model};
use crate::randomize::matches;

/// More entries would not fit into a thread's registers anyway.
const MAX_ENTRIES: usize = 256;

impl Drives {
    /// The actuator models that a task declares, on its model's actuators.
    ///
    /// # Errors
    /// A name that the model does not have (the hint names close ones), a number out of its range or without a reader,
    /// one that is missing, an actuator that cannot be replaced or is meant twice, or a file that cannot be read.
    pub(crate) fn new(said: &[Actuator], control_dt: f64, model: &Model) -> Result<Self> {
        let mut groups: Vec<Group> = Vec::with_capacity(said.len());
        for actuator in said {
            let place = |error: Error| error.context(format!("actuator.{}", actuator.name));
            let group = group(actuator, control_dt, model).map_err(place)?;
            for earlier in &groups {
                let taken = |axis: &&Axis| group.axes.iter().any(|a| a.actuator == axis.actuator);
                if let Some(axis) = earlier.axes.iter().find(taken) {
                    let (name, other) = (label(model, axis.actuator), &earlier.said.name);
                    let error = Error::invalid(format!("actuator `{name}` belongs to `{other}`"));
                    return Err(place(error.hint("give each actuator one model")));
                }
            }
            groups.push(group);
        }
        Ok(Self { groups })
    }

    /// Puts sources of force in the place of the model's actuators that have a law of their own here. Their gears and
    /// force ranges stay.
    pub(crate) fn install(&self, model: &mut Model) {
        let own = self
            .groups
            .iter()
            .filter(|group| group.said.law != Law::Mujoco);
        for axis in own.flat_map(|group| &group.axes) {
            let id = axis.actuator;
            model.actuator_gaintype[id] = Gain::Fixed;
            model.actuator_gainprm[id] = [0.0; 10];
            model.actuator_gainprm[id][0] = 1.0;
            model.actuator_biastype[id] = Bias::None;
            model.actuator_biasprm[id] = [0.0; 10];
            model.actuator_ctrllimited[id] = false;
        }
    }
}

fn group(said: &Actuator, control_dt: f64, model: &Model) -> Result<Group> {
    if said.name.is_empty() || said.name.contains('.') {
        return Err(Error::invalid(
            "an actuator model needs a name without dots",
        ));
    }
    numbers(said)?;
    let axes = axes(said, model)?;
    structure(said)?;
    servos(said, &axes, model)?;
    let network = match (said.law, &said.file) {
        (Law::Network, Some(file)) => Some(Arc::new(Network::load(file)?)),
        (Law::Network, None) => {
            return Err(Error::invalid("the network has no file")
                .hint("say file = \"net.json\", as written by `manyworlds actuator-net fit`"));
        }
        (_, Some(_)) => {
            return Err(
                Error::invalid("`file` says nothing to this model").hint("say model = \"network\"")
            );
        }
        (_, None) => None,
    };
    let stride = match &network {
        Some(network) => network.stride(model.opt.timestep)?,
        None => 0,
    };
    Ok(Group {
        ring: ring(said, control_dt, model.opt.timestep)?,
        limits: limits(said, &axes, model)?,
        said: said.clone(),
        axes,
        network,
        stride,
    })
}

/// Every number is one that there is, in its range, and read by the law.
fn numbers(said: &Actuator) -> Result<()> {
    for (key, value) in &said.numbers {
        let Some(number) = NUMBERS.iter().find(|number| number.key == key) else {
            return Err(unknown("key", key, keys()));
        };
        let [low, high] = number.range;
        let fits = (low..=high).contains(value) && (*value as f32).is_finite();
        if !fits {
            let error = Error::invalid(format!("`{key}` is {value}"));
            return Err(error.hint(match (low > 0.0, high.is_finite()) {
                (_, true) => format!("it takes a number from {low} to {high}"),
                (true, _) => "it takes a positive number".into(),
                (false, _) => "it takes a number that is not negative".into(),
            }));
        }
        if let Reader::Laws(laws) = number.of
            && !laws.contains(&said.law)
        {
            let readers: Vec<&str> = laws.iter().map(|law| law.name()).collect();
            let law = said.law.name();
            let error = Error::invalid(format!("model \"{law}\" does not read `{key}`"));
            return Err(error.hint(match (said.law, *key == "effort_limit") {
                (Law::Mujoco, true) => "the model's forcerange limits its own actuators".into(),
                _ => format!("model = \"{}\" does", readers.join("\" or \"")),
            }));
        }
    }
    Ok(())
}

/// The numbers that a law cannot do without, and those that exclude each other.
fn structure(said: &Actuator) -> Result<()> {
    let servo = matches!(said.law, Law::Pd | Law::DcMotor);
    let need = |key: &str, why: &str| match said.says(key) {
        true => Ok(()),
        false => Err(Error::invalid(format!("`{key}` is missing")).hint(why)),
    };
    let feedback = servo && matches!(said.target, Target::Position | Target::Velocity);
    match said.target {
        Target::Position if servo => need("kp", "a position target needs a gain, N·m/rad")?,
        Target::Velocity if servo => need("kd", "a velocity target needs a gain, N·m·s/rad")?,
        Target::Duty if said.law != Law::DcMotor => {
            return Err(
                Error::invalid("target = \"duty\" needs a motor").hint("say model = \"dc_motor\"")
            );
        }
        Target::Position => {}
        _ if matches!(said.law, Law::Mujoco | Law::Network) => {
            return Err(Error::invalid(format!(
                "model \"{}\" does not read `target`",
                said.law.name()
            ))
            .hint("model = \"pd\" or \"dc_motor\" does"));
        }
        _ => {}
    }
    for key in ["kp", "kd"] {
        if servo && said.says(key) && !feedback {
            return Err(Error::invalid(format!("`{key}` is not read"))
                .hint("only position and velocity targets have gains"));
        }
    }
    if said.target == Target::Velocity && said.says("kp") {
        return Err(Error::invalid("`kp` is not read").hint("a velocity target's gain is `kd`"));
    }
    if said.says("friction.velocity") && !said.says("friction.coulomb") {
        return Err(
            Error::invalid("`friction.velocity` without `friction.coulomb`")
                .hint("it says where Coulomb friction is full"),
        );
    }
    if said.law == Law::DcMotor {
        let curve = ["saturation_effort", "velocity_limit"];
        let circuit = ["voltage", "resistance", "torque_constant"];
        let more = ["gear_ratio", "current_limit"];
        let says = |keys: &[&str]| keys.iter().any(|key| said.says(key));
        if says(&curve) == says(&circuit) {
            return Err(Error::invalid("a motor is said in one of two ways").hint(
                "either saturation_effort and velocity_limit, or voltage, resistance and torque_constant",
            ));
        }
        let wanted: &[&str] = if says(&curve) { &curve } else { &circuit };
        for key in wanted {
            need(key, &format!("a motor needs {}", wanted.join(", ")))?;
        }
        if says(&curve) && says(&more) {
            return Err(
                Error::invalid("`gear_ratio` and `current_limit` belong to a circuit")
                    .hint("with saturation_effort and velocity_limit, say effort_limit"),
            );
        }
    }
    if said.says("noise.range") && !said.says("noise.white") && !said.says("noise.correlated") {
        return Err(Error::invalid("`noise.range` without noise")
            .hint("say noise.white or noise.correlated"));
    }
    if said.says("backlash.width") && said.target != Target::Position {
        return Err(Error::invalid("backlash of a command that is no position")
            .hint("backlash.width is play between the commanded and the moved position"));
    }
    Ok(())
}

/// The actuators that are meant, in the model's order.
fn axes(said: &Actuator, model: &Model) -> Result<Vec<Axis>> {
    let (what, patterns, names): (_, _, Vec<&str>) = match &said.on {
        Selection::None => {
            return Err(
                Error::invalid("it does not say which actuators it stands for")
                    .hint("say joints = \"*\", or joints = [\"…\"], or actuators = [\"…\"]"),
            );
        }
        Selection::Joints(patterns) => {
            let joint = |id: usize| model.jnt_names.name(model.actuator_trnid[id]);
            ("joint", patterns, (0..model.nu).map(joint).collect())
        }
        Selection::Actuators(patterns) => {
            let name = |id: usize| model.actuator_names.name(id);
            ("actuator", patterns, (0..model.nu).map(name).collect())
        }
    };
    let mut meant = vec![false; model.nu];
    for pattern in patterns {
        let mut found = false;
        for (id, name) in names.iter().enumerate() {
            if matches(pattern, name) {
                (meant[id], found) = (true, true);
            }
        }
        if !found {
            let error = Error::invalid(format!("no actuator is on a {what} named `{pattern}`"));
            let near = near_matches(pattern, names.iter().copied().filter(|n| !n.is_empty()));
            return Err(match near.as_slice() {
                [] if names.is_empty() => error.hint("the model has no actuators"),
                [] => error.hint(format!("known: {}", names.join(", "))),
                near => error.hint(format!("did you mean `{}`?", near.join("`, `"))),
            });
        }
    }
    let ids = (0..model.nu).filter(|id| meant[*id]);
    ids.map(|id| axis(said, model, id)).collect()
}

fn axis(said: &Actuator, model: &Model, id: usize) -> Result<Axis> {
    let joint = model.actuator_trnid[id];
    let single = matches!(model.jnt_type[joint], Joint::Hinge | Joint::Slide);
    let name = || label(model, id);
    if said.law != Law::Mujoco {
        if !single {
            return Err(Error::invalid(format!(
                "actuator `{}` moves a joint of more than one axis",
                name()
            ))
            .hint("only hinges and slides have models of their own"));
        }
        if model.actuator_dyntype[id] != Dynamics::None {
            return Err(Error::invalid(format!(
                "actuator `{}` has activation dynamics, which a law of its own would pass by",
                name()
            ))
            .hint("make it a <motor>, and say low_pass.time"));
        }
        if model.actuator_gear[id][0] == 0.0 {
            return Err(Error::invalid(format!("actuator `{}` has gear 0", name())));
        }
    }
    Ok(Axis {
        actuator: id,
        qpos: model.jnt_qposadr[joint],
        dof: model.jnt_dofadr[joint],
    })
}

/// Whether what has play is a position.
fn servos(said: &Actuator, axes: &[Axis], model: &Model) -> Result<()> {
    if said.law != Law::Mujoco || !said.says("backlash.width") {
        return Ok(());
    }
    let servo = |axis: &&Axis| model.actuator_biasprm[axis.actuator][1] == 0.0;
    match axes.iter().find(servo) {
        None => Ok(()),
        Some(axis) => Err(Error::invalid(format!(
            "backlash on actuator `{}`, which is no position servo",
            label(model, axis.actuator)
        ))
        .hint("make it <position>, or say model = \"pd\"")),
    }
}

/// Where commands are late: how many are kept.
fn ring(said: &Actuator, control_dt: f64, timestep: f64) -> Result<Option<Ring>> {
    let time = match (said.value("latency.time"), said.latency) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            return Err(
                Error::invalid("a ring for late commands, and no `latency.time`")
                    .hint("say latency.time = 0 if they are not late yet"),
            );
        }
        (Some(time), _) => time,
    };
    let ring = said.latency.unwrap_or_default();
    let max = if ring.max == 0.0 { time } else { ring.max };
    if !(max >= time && max.is_finite()) {
        return Err(Error::invalid(format!(
            "latency.time {time} s is above latency.max {max} s"
        )));
    }
    if ring.interpolate && ring.per == Per::ControlStep {
        return Err(Error::invalid("interpolation between control steps")
            .hint("say latency.per = \"substep\""));
    }
    let period = match ring.per {
        Per::Substep => timestep,
        Per::ControlStep => control_dt,
    };
    let entries = (max / period - 1e-3).ceil().max(0.0);
    if entries > MAX_ENTRIES as f64 {
        return Err(Error::invalid(format!(
            "latency.max {max} s is {entries} commands, and there is room for {MAX_ENTRIES}"
        ))
        .hint("say latency.per = \"control_step\", or a shorter time"));
    }
    Ok(Some(Ring {
        entries: entries as usize,
        per: ring.per,
        interpolate: ring.interpolate,
        substeps: (control_dt / timestep).round(),
    }))
}

/// The control ranges that hold.
fn limits(said: &Actuator, axes: &[Axis], model: &Model) -> Result<Vec<bool>> {
    let limited =
        |axis: &Axis| model.actuator_ctrllimited[axis.actuator] && model.opt.flags.clampctrl;
    let limits: Vec<bool> = axes.iter().map(limited).collect();
    let noisy = said.says("noise.white") || said.says("noise.correlated");
    if let (true, Some(free)) = (
        noisy && !said.says("noise.range"),
        limits.iter().position(|limited| !limited),
    ) {
        return Err(Error::invalid(format!(
            "noise in fractions of a range, and actuator `{}` has no control range",
            label(model, axes[free].actuator)
        ))
        .hint("say noise.range in units of the command"));
    }
    Ok(limits)
}

fn label(model: &Model, id: usize) -> String {
    match model.actuator_names.name(id) {
        "" => format!("number {id}"),
        name => name.into(),
    }
}
