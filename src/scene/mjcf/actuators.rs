//! `<actuator>`: the general actuator and the shortcuts for common ones.

use std::f64::consts::PI;

use super::Reader;
use super::document::Element;
use super::joints::check_limited;
use super::settings::LIMITED;
use crate::error::Result;
use crate::scene::kinds::{Bias, Dynamics, Gain, Transmission};
use crate::scene::{Actuator, Limited};

/// Elements that are actuators, whether supported or not.
pub(super) const TAGS: &[&str] = &[
    "general",
    "motor",
    "position",
    "velocity",
    "intvelocity",
    "damper",
    "cylinder",
    "muscle",
    "adhesion",
    "orientation",
    "pid",
    "dcmotor",
    "plugin",
];

/// An actuator while its attributes are read.
#[derive(Clone)]
pub(super) struct Servo(pub(super) Actuator);

impl Default for Servo {
    fn default() -> Self {
        Self(Actuator::new("", ""))
    }
}

impl Servo {
    /// Overwrites it by what an element says; the element's tag is the shortcut.
    pub(super) fn read(&mut self, element: &Element) -> Result<()> {
        let tag = element.tag.as_str();
        match tag {
            "general" | "motor" | "position" | "velocity" | "intvelocity" | "damper"
            | "cylinder" => {}
            _ => return Err(element.unsupported("it is not supported yet")),
        }
        self.read_common(element)?;
        if !matches!(tag, "damper") {
            element.read_keyword("ctrllimited", LIMITED, &mut self.0.ctrllimited)?;
        }
        match tag {
            "general" => self.read_general(element),
            "motor" => {
                self.0.gainprm[0] = 1.0;
                self.set(Dynamics::None, Gain::Fixed, Bias::None);
                Ok(())
            }
            "position" => self.read_position(element),
            "intvelocity" => {
                self.read_position(element)?;
                self.0.dynamics = Dynamics::Integrator;
                self.read_actrange(element)?;
                if self.0.inheritrange > 0.0 && self.0.actrange != [0.0; 2] {
                    let cause = "only one of 'actrange' and 'inheritrange' can be given";
                    return Err(element.invalid(cause));
                }
                Ok(())
            }
            "velocity" => {
                let mut kv = self.0.gainprm[0];
                element.read("kv", &mut kv)?;
                self.0.biasprm = [0.0; 10];
                self.0.gainprm[0] = kv;
                self.0.biasprm[2] = -kv;
                self.set(Dynamics::None, Gain::Fixed, Bias::Affine);
                Ok(())
            }
            "damper" => self.read_damper(element),
            _ => self.read_cylinder(element),
        }
    }

    fn set(&mut self, dynamics: Dynamics, gain: Gain, bias: Bias) {
        (self.0.dynamics, self.0.gain, self.0.bias) = (dynamics, gain, bias);
    }

    /// Reads what every actuator has.
    fn read_common(&mut self, element: &Element) -> Result<()> {
        let a = &mut self.0;
        element.ignore(&["user", "lengthrange", "cranklength", "interp"]);
        element.refuse(&["delay", "nsample", "damping", "armature"])?;
        element.read_integer("group", &mut a.group)?;
        element.read_array("ctrlrange", &mut a.ctrlrange)?;
        element.read_array("forcerange", &mut a.forcerange)?;
        element.read_keyword("forcelimited", LIMITED, &mut a.forcelimited)?;
        element.read_some("gear", &mut a.gear)
    }

    fn read_actrange(&mut self, element: &Element) -> Result<()> {
        element.read_array("actrange", &mut self.0.actrange)?;
        element.read_keyword("actlimited", LIMITED, &mut self.0.actlimited)
    }

    fn read_general(&mut self, element: &Element) -> Result<()> {
        self.read_actrange(element)?;
        let a = &mut self.0;
        element.ignore(&["velrange", "ffrange"]);
        for (name, known) in [
            ("dyntype", &["muscle", "dcmotor", "pid", "user"][..]),
            ("gaintype", &["muscle", "dcmotor", "so3", "pid", "user"]),
            ("biastype", &["muscle", "dcmotor", "so3", "user"]),
        ] {
            if let Some(kind) = element.text(name).filter(|kind| known.contains(kind)) {
                return Err(element.unsupported(format!("{name} '{kind}' is not supported yet")));
            }
        }
        if element.text("input").is_some() {
            return Err(element.unsupported("attribute 'input' is not supported yet"));
        }
        element.read_keyword("dyntype", Dynamics::KEYWORDS, &mut a.dynamics)?;
        element.read_keyword("gaintype", Gain::KEYWORDS, &mut a.gain)?;
        element.read_keyword("biastype", Bias::KEYWORDS, &mut a.bias)?;
        element.read_some("dynprm", &mut a.dynprm)?;
        element.read_some("gainprm", &mut a.gainprm)?;
        element.read_some("biasprm", &mut a.biasprm)?;
        element.read_bool("actearly", &mut a.actearly)?;
        if let Some(actdim) = element.integer("actdim")? {
            a.actdim = usize::try_from(actdim).ok();
        }
        element.read("inheritrange", &mut a.inheritrange)
    }

    /// `kp (ctrl − length) − kv velocity`, with a filter where there is a time constant.
    fn read_position(&mut self, element: &Element) -> Result<()> {
        let a = &mut self.0;
        let mut kp = a.gainprm[0];
        element.read("kp", &mut kp)?;
        let not_negative = |name: &'static str| -> Result<Option<f64>> {
            match element.array(name)? {
                Some([value]) if value < 0.0 => {
                    Err(element.invalid(format!("attribute '{name}' cannot be negative")))
                }
                value => Ok(value.map(|[value]| value)),
            }
        };
        let (kv, dampratio) = (not_negative("kv")?, not_negative("dampratio")?);
        if kv.is_some() && dampratio.is_some() {
            return Err(element.invalid("only one of 'kv' and 'dampratio' can be given"));
        }
        a.gainprm[0] = kp;
        a.biasprm[1] = -kp;
        if let Some(kv) = kv {
            a.biasprm[2] = -kv;
        }
        if let Some(dampratio) = dampratio {
            a.biasprm[2] = dampratio;
        }
        if element.tag == "position"
            && let Some(timeconst) = not_negative("timeconst")?
        {
            a.dynprm[0] = timeconst;
            a.dynamics = if timeconst == 0.0 {
                Dynamics::None
            } else {
                Dynamics::FilterExact
            };
        }
        element.read("inheritrange", &mut a.inheritrange)?;
        if a.inheritrange > 0.0 && a.ctrlrange != [0.0; 2] {
            let cause = "only one of 'ctrlrange' and 'inheritrange' can be given";
            return Err(element.invalid(cause));
        }
        (a.gain, a.bias) = (Gain::Fixed, Bias::Affine);
        Ok(())
    }

    /// `−kv ctrl velocity`: the control sets the damping.
    fn read_damper(&mut self, element: &Element) -> Result<()> {
        let a = &mut self.0;
        let mut kv = if a.gain == Gain::Affine {
            -a.gainprm[2]
        } else {
            0.0
        };
        element.read("kv", &mut kv)?;
        if kv < 0.0 {
            return Err(element.invalid("attribute 'kv' cannot be negative"));
        }
        if a.ctrlrange[0] < 0.0 || a.ctrlrange[1] < 0.0 {
            return Err(element.invalid("the ctrlrange of a damper cannot be negative"));
        }
        a.gainprm = [0.0; 10];
        a.gainprm[2] = -kv;
        a.ctrllimited = Limited::True;
        self.set(Dynamics::None, Gain::Affine, Bias::None);
        Ok(())
    }

    /// Pressure, filtered, times area.
    fn read_cylinder(&mut self, element: &Element) -> Result<()> {
        let a = &mut self.0;
        element.read("timeconst", &mut a.dynprm[0])?;
        element.read("area", &mut a.gainprm[0])?;
        let mut bias = [a.biasprm[0], a.biasprm[1], a.biasprm[2]];
        element.read_array("bias", &mut bias)?;
        a.biasprm[..3].copy_from_slice(&bias);
        if let Some([diameter]) = element.array("diameter")?
            && diameter >= 0.0
        {
            a.gainprm[0] = PI / 4.0 * diameter * diameter;
        }
        self.set(Dynamics::Filter, Gain::Fixed, Bias::Affine);
        Ok(())
    }
}

impl Reader<'_> {
    pub(super) fn actuator_section(&mut self, section: &Element) -> Result<()> {
        section.finish()?;
        section
            .children
            .iter()
            .try_for_each(|element| self.actuator(element))
    }

    fn actuator(&mut self, element: &Element) -> Result<()> {
        if !TAGS.contains(&element.tag.as_str()) {
            return Err(element.unknown("actuator", TAGS));
        }
        let class = self.classes.of(element, 0)?;
        let mut servo = self.classes.get(class).actuator.clone();
        servo.read(element)?;
        let mut actuator = servo.0;
        actuator.place = element.place.clone();
        element.read_text("name", &mut actuator.name);
        for name in [
            "tendon",
            "slidersite",
            "cranksite",
            "site",
            "refsite",
            "body",
        ] {
            if element.text(name).is_some() {
                let cause = format!("a transmission through '{name}' is not supported yet");
                return Err(element.unsupported(cause));
            }
        }
        for (name, transmission) in [
            ("joint", Transmission::Joint),
            ("jointinparent", Transmission::JointInParent),
        ] {
            if let Some(joint) = element.text(name) {
                (actuator.target, actuator.transmission) = (joint.to_string(), transmission);
            }
        }
        if actuator.target.is_empty() {
            return Err(element.invalid("it acts on nothing: attribute 'joint' is required"));
        }
        let a = &actuator;
        for (name, limited, range) in [
            ("ctrllimited", a.ctrllimited, a.ctrlrange),
            ("forcelimited", a.forcelimited, a.forcerange),
            ("actlimited", a.actlimited, a.actrange),
        ] {
            check_limited(element, &self.settings, name, limited, range)?;
        }
        element.finish()?;
        element.leaf()?;
        self.scene.actuators.push(actuator);
        Ok(())
    }
}
