//! `<equality>`: connect, weld and joint.

use super::Reader;
use super::document::Element;
use crate::error::Result;
use crate::scene::{Equality, Held, Pose};

/// Constraints that MuJoCo has and this version has not.
const UNSUPPORTED: &[&str] = &["tendon", "flex", "flexvert", "flexstrain"];

/// A constraint that holds nothing yet: what a default class begins as.
pub(super) fn blank() -> Equality {
    let nothing = Held::Joints {
        joints: Default::default(),
        polycoef: POLYCOEF,
    };
    Equality::new("", nothing)
}

/// The second joint's position itself.
const POLYCOEF: [f64; 5] = [0.0, 1.0, 0.0, 0.0, 0.0];

/// Overwrites what every constraint has by what an element says.
pub(super) fn read_common(element: &Element, equality: &mut Equality) -> Result<()> {
    element.read_bool("active", &mut equality.active)?;
    element.read_some("solref", &mut equality.solref)?;
    element.read_some("solimp", &mut equality.solimp)
}

impl Reader<'_> {
    pub(super) fn equality_section(&mut self, section: &Element) -> Result<()> {
        section.finish()?;
        section
            .children
            .iter()
            .try_for_each(|element| self.equality(element))
    }

    fn equality(&mut self, element: &Element) -> Result<()> {
        let held = match element.tag.as_str() {
            "connect" => connect(element)?,
            "weld" => weld(element)?,
            "joint" => joint(element)?,
            tag if UNSUPPORTED.contains(&tag) => {
                return Err(element.unsupported("this constraint is not supported yet"));
            }
            _ => return Err(element.unknown("equality", &["connect", "weld", "joint"])),
        };
        let class = self.classes.of(element, 0)?;
        let mut equality = Equality {
            name: element.text("name").unwrap_or_default().into(),
            place: element.place.clone(),
            held,
            ..self.classes.get(class).equality.clone()
        };
        read_common(element, &mut equality)?;
        element.finish()?;
        element.leaf()?;
        self.scene.equalities.push(equality);
        Ok(())
    }
}

fn connect(element: &Element) -> Result<Held> {
    if let Some(sites) = sites(element, &["body1", "body2", "anchor"])? {
        return Ok(Held::ConnectSites { sites });
    }
    let Some(anchor) = element.array("anchor")? else {
        return Err(element.invalid("attribute 'anchor' is required beside 'body1'"));
    };
    Ok(Held::ConnectBodies {
        bodies: pair(element, "body1", "body2")?,
        anchor,
    })
}

fn weld(element: &Element) -> Result<Held> {
    let mut torquescale = 1.0;
    element.read("torquescale", &mut torquescale)?;
    if let Some(sites) = sites(element, &["body1", "body2", "anchor", "relpose"])? {
        return Ok(Held::WeldSites { sites, torquescale });
    }
    let mut anchor = [0.0; 3];
    element.read_array("anchor", &mut anchor)?;
    let relpose = element.array("relpose")?.and_then(relative_pose);
    Ok(Held::WeldBodies {
        bodies: pair(element, "body1", "body2")?,
        anchor,
        relpose,
        torquescale,
    })
}

/// A quaternion of zeros asks for the pose in the reference configuration.
fn relative_pose([x, y, z, quat @ ..]: [f64; 7]) -> Option<Pose> {
    let pos = [x, y, z];
    (quat != [0.0; 4]).then_some(Pose { pos, quat })
}

fn joint(element: &Element) -> Result<Held> {
    let mut polycoef = POLYCOEF;
    element.read_some("polycoef", &mut polycoef)?;
    Ok(Held::Joints {
        joints: pair(element, "joint1", "joint2")?,
        polycoef,
    })
}

/// Two names, of which the second may be missing.
fn pair(element: &Element, first: &'static str, second: &'static str) -> Result<[String; 2]> {
    Ok([
        element.required(first)?.to_string(),
        element.text(second).unwrap_or_default().to_string(),
    ])
}

/// The two sites, where the constraint is between sites; what describes bodies may not be there then.
fn sites(element: &Element, others: &[&str]) -> Result<Option<[String; 2]>> {
    let (first, second) = (element.text("site1"), element.text("site2"));
    if first.is_none() && second.is_none() {
        return Ok(None);
    }
    if let Some(other) = others.iter().find(|other| element.has(other)) {
        let cause = format!("attribute '{other}' cannot be given beside sites");
        return Err(element.invalid(cause));
    }
    match (first, second) {
        (Some(first), Some(second)) => Ok(Some([first.to_string(), second.to_string()])),
        _ => Err(element.invalid("'site1' and 'site2' are given together or not at all")),
    }
}
