//! What can be randomized, and which numbers of a model an entry means.

use super::entry::{Entry, Operation, Per};
use crate::error::{Error, Result, unknown};
use crate::model::{Bias, Integrator, Joint, Model, Names};
use crate::rigid::{Element, Parameters};

/// Where a draw goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: others read it.
    Free,
    /// A number of the physics.
    Number {
        field: &'static str,
        row: usize,
        component: usize,
    },
    /// Position gain of a servo: `gainprm[0]`, and `biasprm[1]`, its negative.
    PositionGain(usize),
    /// A component of a small rotation (rotation vector, rad) of a row of `field`, a field of quaternions.
    Rotation {
        field: &'static str,
        row: usize,
        component: usize,
    },
    /// A component of `qpos`, once.
    Position(usize),
    /// A component of `qvel`, once.
    Velocity(usize),
    /// A force (0 to 2, N) or torque (3 to 5, N·m) at a body's centre of mass, world axes, as long as the draw lasts.
    Force { body: usize, component: usize },
    /// The same as an acceleration (m/s²) times the body's mass.
    Acceleration { body: usize, component: usize },
    /// A parameter of the task, by its key.
    Param(String),
}

/// A number, and the draw that it is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub place: Place,
    /// Index among the entry's draws.
    pub draw: usize,
    /// What it is, for people: `body_mass[trunk]`.
    pub label: String,
}

/// Fields that are not fields of [`Parameters`], with what their rows belong to, their components, and what they are.
const SPECIAL: [(&str, Element, usize, &str); 9] = [
    (
        "actuator_kp",
        Element::Actuator,
        1,
        "position gain of a servo: gainprm[0] and biasprm[1] together",
    ),
    (
        "body_rotation",
        Element::Body,
        3,
        "rotation vector (rad) that turns body_quat, in the body's frame",
    ),
    (
        "geom_rotation",
        Element::Geom,
        3,
        "rotation vector (rad) that turns geom_quat, in the geom's frame",
    ),
    (
        "site_rotation",
        Element::Site,
        3,
        "rotation vector (rad) that turns site_quat, in the site's frame",
    ),
    (
        "qpos",
        Element::Position,
        1,
        "the state, when the draw is made; joints' names",
    ),
    (
        "qvel",
        Element::Dof,
        1,
        "the state, when the draw is made: a push; joints' names",
    ),
    (
        "xfrc_applied",
        Element::Body,
        6,
        "force (N), then torque (N·m), at the centre of mass, world axes",
    ),
    (
        "body_acceleration",
        Element::Body,
        3,
        "force divided by the body's mass (m/s²), world axes",
    ),
    (
        "param",
        Element::Global,
        1,
        "a number of task.toml by its key, given as `names`",
    ),
];

/// Fields of [`Parameters`] that are not drawn themselves, and what to do instead.
const DERIVED: [(&str, &str); 7] = [
    (
        "body_products",
        "it follows from geom_size, geom_pos and geom_rotation",
    ),
    ("body_quat", "use body_rotation"),
    ("geom_quat", "use geom_rotation"),
    ("site_quat", "use site_rotation"),
    ("body_iquat", "use body_inertia"),
    ("body_invweight0", "it follows from masses"),
    ("dof_invweight0", "it follows from masses"),
];

/// Everything that can be randomized: name, what its rows belong to, components of a row.
pub fn fields() -> impl Iterator<Item = (&'static str, Element, usize)> {
    let of_physics = Parameters::FIELDS.iter().copied();
    of_physics
        .filter(|(name, ..)| DERIVED.iter().all(|(derived, _)| derived != name))
        .chain(SPECIAL.map(|(name, element, components, _)| (name, element, components)))
}

/// The numbers that an entry means, in the order of the model, and how many draws they take. `params` are the keys of
/// the task's parameters.
///
/// # Errors
/// An unknown field, name or component (with close ones), or nothing that the entry would change.
pub(super) fn resolve(
    entry: &Entry,
    model: &Model,
    params: &[String],
) -> Result<(Vec<Target>, usize)> {
    let Some(field) = &entry.field else {
        let target = Target {
            place: Place::Free,
            draw: 0,
            label: entry.name.clone(),
        };
        return Ok((vec![target], 1));
    };
    let (field, element, components) = find(field)?;
    let rows = match field {
        "param" => params.to_vec(),
        _ => labels(model, element),
    };
    let mut chosen = choose(entry, &rows, what(field, element))?;
    // Numbers that belong to joints are rows of one number; the component is the place in the joint.
    let (width, of_joints) = match element {
        Element::Dof => (6, true),
        Element::Position => (7, true),
        _ => (components, false),
    };
    if let Some(outside) = entry
        .components
        .iter()
        .find(|component| **component >= width)
    {
        let cause = Error::invalid(format!("component {outside} of {field}"));
        return Err(cause.hint(format!("there are {width}, numbered from 0")));
    }
    let components: Vec<usize> = match entry.components.as_slice() {
        given if of_joints => {
            let meant = |row: usize| {
                given.is_empty() || given.contains(&place_in_joint(model, element, row))
            };
            chosen.retain(|row| meant(*row));
            vec![0]
        }
        [] => (0..components).collect(),
        given => given.to_vec(),
    };
    let allowed = match field {
        "body_rotation" | "geom_rotation" | "site_rotation" | "xfrc_applied"
        | "body_acceleration" => entry.operation != Operation::Scale,
        _ => true,
    };
    let fades = entry.probability.is_some() || entry.decay.is_some();
    let of_model = !matches!(
        field,
        "xfrc_applied" | "body_acceleration" | "qpos" | "qvel"
    );
    if entry.operation == Operation::Set && fades && of_model {
        let cause = Error::invalid(format!("`probability` or `decay` with `set` of {field}"));
        return Err(cause.hint("use add or scale: there a draw can do nothing"));
    }
    if !allowed {
        let cause = Error::invalid(format!("`scale` of {field}, which is 0 without it"));
        return Err(cause.hint("use add"));
    }
    let columns = if of_joints { 1 } else { width };
    let mut refused = None;
    let mut kept: Vec<(usize, usize)> = Vec::new();
    for (row, component) in chosen
        .iter()
        .flat_map(|row| components.iter().map(|c| (*row, *c)))
    {
        match no_effect(entry, model, field, row, component) {
            None => kept.push((row, component)),
            Some(reason) => {
                let label = label(field, &rows[row], component, columns);
                refused.get_or_insert_with(|| format!("{label}: {reason}"));
            }
        }
    }
    let mut elements: Vec<usize> = kept.iter().map(|(row, _)| *row).collect();
    elements.dedup();
    let draw = |index: usize, row: usize| match entry.per {
        Per::World => 0,
        Per::Element => elements.iter().position(|known| *known == row).unwrap_or(0),
        Per::Number => index,
    };
    let targets: Vec<Target> = (kept.iter().enumerate())
        .map(|(index, &(row, component))| Target {
            place: place(field, &rows[row], row, component),
            draw: draw(index, row),
            label: label(field, &rows[row], component, columns),
        })
        .collect();
    let draws = targets
        .iter()
        .map(|target| target.draw + 1)
        .max()
        .unwrap_or(0);
    match (targets.is_empty(), refused) {
        (false, _) => Ok((targets, draws)),
        (true, _) if entry.optional => Ok((targets, 0)),
        (true, Some(reason)) => Err(Error::invalid(format!("nothing to change: {reason}"))),
        (true, None) if of_joints && !rows.is_empty() => {
            let cause = Error::invalid(format!("no joint meant has such a component of {field}"));
            Err(cause.hint("hinges and slides have component 0 only"))
        }
        (true, None) => Err(Error::invalid(format!(
            "the model has no {}",
            what(field, element)
        ))),
    }
}

/// A field by name.
fn find(name: &str) -> Result<(&'static str, Element, usize)> {
    if let Some((_, instead)) = DERIVED.iter().find(|(derived, _)| *derived == name) {
        return Err(Error::invalid(format!("`{name}` is not drawn itself")).hint(instead));
    }
    let found = fields().find(|(known, ..)| *known == name);
    found.ok_or_else(|| unknown("field", name, fields().map(|(known, ..)| known)))
}

/// What the rows of a field are called.
fn what(field: &str, element: Element) -> &'static str {
    match element {
        Element::Global if field == "param" => "parameter",
        Element::Global => "option",
        Element::Body => "body",
        Element::Position | Element::Dof | Element::Joint => "joint",
        Element::Geom => "geom",
        Element::Equality => "equality constraint",
        Element::Site => "site",
        Element::Actuator => "actuator",
    }
}

/// `[rows]` The name of each row: of the object that it belongs to, or `#3` for the fourth if that has none.
fn labels(model: &Model, element: Element) -> Vec<String> {
    let named = |names: &Names, id: usize| match names.name(id) {
        "" => format!("#{id}"),
        name => name.into(),
    };
    let all = |names: &Names| (0..names.len()).map(|id| named(names, id)).collect();
    let joint = |joint: usize| named(&model.jnt_names, joint);
    match element {
        Element::Global => vec!["*".into()],
        Element::Body => all(&model.body_names),
        Element::Joint => all(&model.jnt_names),
        Element::Dof => (0..model.nv)
            .map(|dof| joint(model.dof_jntid[dof]))
            .collect(),
        Element::Position => (0..model.njnt)
            .flat_map(|id| model.joint_qpos(id).map(move |_| joint(id)))
            .collect(),
        Element::Geom => all(&model.geom_names),
        Element::Equality => (0..model.neq).map(|id| format!("#{id}")).collect(),
        Element::Site => all(&model.site_names),
        Element::Actuator => all(&model.actuator_names),
    }
}

/// Which number of its joint a component of `qpos` or `qvel` is.
fn place_in_joint(model: &Model, element: Element, row: usize) -> usize {
    match element {
        Element::Dof => row - model.jnt_dofadr[model.dof_jntid[row]],
        _ => {
            let joint = (0..model.njnt).find(|&joint| model.joint_qpos(joint).contains(&row));
            joint.map_or(0, |joint| row - model.jnt_qposadr[joint])
        }
    }
}

/// The rows whose names an entry means.
fn choose(entry: &Entry, rows: &[String], what: &str) -> Result<Vec<usize>> {
    for glob in &entry.names {
        if !rows.iter().any(|name| matches(glob, name)) && glob != "*" && !entry.optional {
            let mut known: Vec<&str> = rows.iter().map(String::as_str).collect();
            known.dedup();
            return Err(unknown(what, glob, known));
        }
    }
    let meant = |name: &String| entry.names.iter().any(|glob| matches(glob, name));
    Ok((0..rows.len()).filter(|row| meant(&rows[*row])).collect())
}

/// Whether a name is one that a pattern means: `*` stands for any characters, `?` for one.
pub(crate) fn matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    // reached[j]: the pattern so far means the first j characters.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for symbol in glob {
        let before = reached.clone();
        for j in 0..=name.len() {
            reached[j] = match symbol {
                '*' => before[..=j].contains(&true),
                _ => j > 0 && before[j - 1] && (symbol == '?' || symbol == name[j - 1]),
            };
        }
    }
    reached[name.len()]
}

fn label(field: &str, row: &str, component: usize, width: usize) -> String {
    match (row, width) {
        ("*", 1) => field.into(),
        ("*", _) => format!("{field}[{component}]"),
        (_, 1) => format!("{field}[{row}]"),
        _ => format!("{field}[{row}][{component}]"),
    }
}

fn place(field: &'static str, name: &str, row: usize, component: usize) -> Place {
    match field {
        "actuator_kp" => Place::PositionGain(row),
        "body_rotation" => Place::Rotation {
            field: "body_quat",
            row,
            component,
        },
        "geom_rotation" => Place::Rotation {
            field: "geom_quat",
            row,
            component,
        },
        "site_rotation" => Place::Rotation {
            field: "site_quat",
            row,
            component,
        },
        "qpos" => Place::Position(row),
        "qvel" => Place::Velocity(row),
        "xfrc_applied" => Place::Force {
            body: row,
            component,
        },
        "body_acceleration" => Place::Acceleration {
            body: row,
            component,
        },
        "param" => Place::Param(name.into()),
        _ => Place::Number {
            field,
            row,
            component,
        },
    }
}

/// Why a draw for a number would change nothing, if so.
fn no_effect(
    entry: &Entry,
    model: &Model,
    field: &str,
    row: usize,
    component: usize,
) -> Option<&'static str> {
    let fluid = model.opt.density != 0.0 || model.opt.viscosity != 0.0;
    let is_fixed = |body: usize| model.body_dofnum[model.body_weldid[body]] == 0;
    let reason = match field {
        _ if field.starts_with("body_") && row == 0 => Some("that is the world"),
        "xfrc_applied" if row == 0 => Some("that is the world"),
        "body_mass" | "body_inertia" | "body_ipos" | "xfrc_applied" | "body_acceleration"
            if is_fixed(row) =>
        {
            Some("the body cannot move")
        }
        "body_mass" | "body_inertia" if model.body_mass[row] <= 0.0 => Some("the body has no mass"),
        "jnt_range" if !model.jnt_limited[row] => Some("the joint has no limits"),
        "jnt_actfrcrange" if !model.jnt_actfrclimited[row] => {
            Some("the joint's actuator force has no limits")
        }
        "actuator_ctrlrange" if !model.actuator_ctrllimited[row] => {
            Some("the actuator's control has no limits")
        }
        "actuator_forcerange" if !model.actuator_forcelimited[row] => {
            Some("the actuator's force has no limits")
        }
        "actuator_actrange" if !model.actuator_actlimited[row] => {
            Some("the actuator's activation has no limits")
        }
        "actuator_kp" if model.actuator_biastype[row] != Bias::Affine => {
            Some("the actuator is no position servo")
        }
        "dof_frictionloss" if model.dof_frictionloss[row] <= 0.0 => {
            Some("the joint has no friction loss in the model: give it one there, however small")
        }
        "wind" if !fluid => Some("there is no medium: the model's density and viscosity are 0"),
        "density" | "viscosity" if model.opt.integrator == Integrator::ImplicitFast => {
            Some("the integrator implicitfast knows no medium")
        }
        "qpos" => not_a_number(model, row),
        _ => None,
    };
    let value = Parameters::value(model, field, row, component);
    reason.or_else(|| {
        let nothing = entry.operation == Operation::Scale && value == Some(0.0);
        nothing.then_some("it is 0 in the model: use add or set, not scale")
    })
}

/// Components of quaternions are not randomized one by one.
fn not_a_number(model: &Model, index: usize) -> Option<&'static str> {
    let of = |joint: &usize| model.joint_qpos(*joint).contains(&index);
    let joint = (0..model.njnt).find(of)?;
    let within = place_in_joint(model, Element::Position, index);
    let turns = match model.jnt_type[joint] {
        Joint::Free => within >= 3,
        Joint::Ball => true,
        Joint::Slide | Joint::Hinge => false,
    };
    turns.then_some("it is part of a quaternion: turn the body with body_rotation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cases = [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*_calf", "FL_calf", true),
            ("*_calf", "FL_calf2", false),
            ("?_calf", "L_calf", true),
            ("?_calf", "_calf", false),
            ("a*b*c", "aXbYbZc", true),
            ("trunk", "trunk", true),
            ("l?ft*p", "left_hip", true),
            ("*t*t*", "tattoo", true),
            ("a*b", "acbc", false),
            ("?", "", false),
            ("", "a", false),
        ];
        for (glob, name, expected) in cases {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }
}
