//! `<joint>` and `<freejoint>`.

use super::document::Element;
use super::settings::{LIMITED, Settings};
use crate::error::Result;
use crate::scene::kinds::Joint as Kind;
use crate::scene::pose::Pose;
use crate::scene::{Joint, Limited, pose};

/// Overwrites a joint by what an element says, in the file's units.
pub(super) fn read(element: &Element, joint: &mut Joint) -> Result<()> {
    element.ignore(&["user"]);
    element.read_keyword("type", Kind::KEYWORDS, &mut joint.kind)?;
    element.read_integer("group", &mut joint.group)?;
    element.read_array("pos", &mut joint.pos)?;
    element.read_array("axis", &mut joint.axis)?;
    element.read_array("springdamper", &mut joint.springdamper)?;
    element.read_keyword("limited", LIMITED, &mut joint.limited)?;
    element.read_array("range", &mut joint.range)?;
    element.read_keyword("actuatorfrclimited", LIMITED, &mut joint.actuatorfrclimited)?;
    element.read_array("actuatorfrcrange", &mut joint.actuatorfrcrange)?;
    element.read_bool("actuatorgravcomp", &mut joint.actuatorgravcomp)?;
    element.read_some("solreflimit", &mut joint.solreflimit)?;
    element.read_some("solimplimit", &mut joint.solimplimit)?;
    element.read_some("solreffriction", &mut joint.solreffriction)?;
    element.read_some("solimpfriction", &mut joint.solimpfriction)?;
    read_linear(element, "stiffness", &mut joint.stiffness)?;
    read_linear(element, "damping", &mut joint.damping)?;
    element.read("margin", &mut joint.margin)?;
    element.read("ref", &mut joint.reference)?;
    element.read("springref", &mut joint.springref)?;
    element.read("armature", &mut joint.armature)?;
    element.read("frictionloss", &mut joint.frictionloss)?;
    Ok(())
}

/// Reads the linear coefficient of a polynomial; the higher ones are not supported.
fn read_linear(element: &Element, name: &'static str, into: &mut f64) -> Result<()> {
    let mut polynomial = [*into, 0.0, 0.0];
    element.read_some(name, &mut polynomial)?;
    if polynomial[1..] != [0.0; 2] {
        return Err(element.unsupported(format!("a nonlinear '{name}' is not supported yet")));
    }
    *into = polynomial[0];
    Ok(())
}

/// Reads a `<freejoint>`, which has no class.
pub(super) fn read_free(element: &Element) -> Result<Joint> {
    let mut joint = Joint::new("", Kind::Free);
    joint.place = element.place.clone();
    element.read_text("name", &mut joint.name);
    element.read_integer("group", &mut joint.group)?;
    element.read_keyword("align", LIMITED, &mut joint.align)?;
    Ok(joint)
}

/// Turns the file's units and frame into the scene's.
pub(super) fn finish(
    element: &Element,
    settings: &Settings,
    frame: &Pose,
    joint: &mut Joint,
) -> Result<()> {
    joint.place = element.place.clone();
    if joint.kind == Kind::Free {
        if joint.limited == Limited::True {
            joint.limited = Limited::False;
        }
    } else {
        check_limited(element, settings, "limited", joint.limited, joint.range)?;
        if !matches!(joint.kind, Kind::Ball) {
            let (limited, range) = (joint.actuatorfrclimited, joint.actuatorfrcrange);
            check_limited(element, settings, "actuatorfrclimited", limited, range)?;
        }
    }
    let turns = matches!(joint.kind, Kind::Hinge | Kind::Ball);
    // A range that does not hold keeps the file's numbers, as in MuJoCo.
    if turns && joint.limited.holds(joint.range) {
        joint.range = joint.range.map(|angle| settings.radians_of_range(angle));
    }
    if joint.kind == Kind::Hinge {
        joint.reference = settings.radians_of_range(joint.reference);
        joint.springref = settings.radians_of_range(joint.springref);
    }
    joint.axis = pose::rotate(frame.quat, joint.axis);
    joint.pos = frame.point(joint.pos);
    Ok(())
}

/// Refuses a range without a switch where `autolimits` is off.
pub(super) fn check_limited(
    element: &Element,
    settings: &Settings,
    switch: &str,
    limited: Limited,
    range: [f64; 2],
) -> Result<()> {
    if settings.autolimits || limited != Limited::Auto || range == [0.0; 2] {
        return Ok(());
    }
    let cause = format!("a range is given, but not '{switch}', and autolimits is off");
    Err(element
        .error(crate::error::Error::invalid(cause).hint(format!("set {switch}='true' or 'false'"))))
}
