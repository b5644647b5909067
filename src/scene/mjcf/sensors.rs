//! `<sensor>`.

use super::Reader;
use super::document::Element;
use crate::error::Result;
use crate::scene::Sensor;
use crate::scene::kinds::{Object, Sensor as Kind};

/// Sensors that MuJoCo has and this version has not.
const UNSUPPORTED: &[&str] = &[
    "camprojection",
    "rangefinder",
    "tendonpos",
    "tendonvel",
    "tendonactuatorfrc",
    "tendonlimitpos",
    "tendonlimitvel",
    "tendonlimitfrc",
    "insidesite",
    "distance",
    "normal",
    "fromto",
    "contact",
    "tactile",
    "user",
    "plugin",
];

/// Objects that have a frame.
const FRAMES: &[(&str, Object)] = &[
    ("body", Object::Body),
    ("xbody", Object::XBody),
    ("geom", Object::Geom),
    ("site", Object::Site),
    ("camera", Object::Camera),
];

impl Reader<'_> {
    pub(super) fn sensor_section(&mut self, section: &Element) -> Result<()> {
        section.finish()?;
        section
            .children
            .iter()
            .try_for_each(|element| self.sensor(element))
    }

    fn sensor(&mut self, element: &Element) -> Result<()> {
        let tag = element.tag.as_str();
        let Some((_, kind)) = Kind::KEYWORDS.iter().find(|(keyword, _)| *keyword == tag) else {
            if UNSUPPORTED.contains(&tag) {
                return Err(element.unsupported("this sensor is not supported yet"));
            }
            let known: Vec<&str> = Kind::KEYWORDS.iter().map(|(keyword, _)| *keyword).collect();
            return Err(element.unknown("sensor", &known));
        };
        let mut sensor = Sensor {
            name: element.text("name").unwrap_or_default().into(),
            place: element.place.clone(),
            kind: *kind,
            object: None,
            reference: None,
            cutoff: 0.0,
            noise: 0.0,
        };
        element.read("cutoff", &mut sensor.cutoff)?;
        element.read("noise", &mut sensor.noise)?;
        if sensor.cutoff < 0.0 || sensor.noise < 0.0 {
            return Err(element.invalid("cutoff and noise cannot be negative"));
        }
        element.refuse(&["delay", "nsample", "interval"])?;
        element.ignore(&["user", "interp"]);
        self.sensed(element, &mut sensor)?;
        element.finish()?;
        element.leaf()?;
        self.scene.sensors.push(sensor);
        Ok(())
    }

    /// Reads what a sensor is attached to.
    fn sensed(&self, element: &Element, sensor: &mut Sensor) -> Result<()> {
        let named = |attribute, kind| -> Result<Option<(Object, String)>> {
            Ok(Some((kind, element.required(attribute)?.to_string())))
        };
        sensor.object = match sensor.kind {
            Kind::Touch
            | Kind::Accelerometer
            | Kind::Velocimeter
            | Kind::Gyro
            | Kind::Force
            | Kind::Torque
            | Kind::Magnetometer => named("site", Object::Site)?,
            Kind::JointPos
            | Kind::JointVel
            | Kind::JointActuatorFrc
            | Kind::BallQuat
            | Kind::BallAngVel
            | Kind::JointLimitPos
            | Kind::JointLimitVel
            | Kind::JointLimitFrc => named("joint", Object::Joint)?,
            Kind::ActuatorPos | Kind::ActuatorVel | Kind::ActuatorFrc => {
                named("actuator", Object::Actuator)?
            }
            Kind::SubtreeCom | Kind::SubtreeLinVel | Kind::SubtreeAngMom => {
                named("body", Object::Body)?
            }
            Kind::EnergyPotential | Kind::EnergyKinetic | Kind::Clock => None,
            Kind::FramePos
            | Kind::FrameQuat
            | Kind::FrameXAxis
            | Kind::FrameYAxis
            | Kind::FrameZAxis
            | Kind::FrameLinVel
            | Kind::FrameAngVel
            | Kind::FrameLinAcc
            | Kind::FrameAngAcc => {
                let absent = || element.invalid("attribute 'objtype' is required");
                let kind = element.keyword("objtype", FRAMES)?.ok_or_else(absent)?;
                if !matches!(sensor.kind, Kind::FrameLinAcc | Kind::FrameAngAcc) {
                    sensor.reference = reference(element)?;
                }
                Some((kind, element.required("objname")?.to_string()))
            }
        };
        Ok(())
    }
}

/// The frame that a sensor is relative to.
fn reference(element: &Element) -> Result<Option<(Object, String)>> {
    match (element.keyword("reftype", FRAMES)?, element.text("refname")) {
        (None, None) => Ok(None),
        (Some(kind), Some(name)) => Ok(Some((kind, name.to_string()))),
        _ => Err(element.invalid("'reftype' and 'refname' are given together or not at all")),
    }
}
