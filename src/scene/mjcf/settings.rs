//! `<compiler>`, `<option>`, `<size>`, `<visual>`, `<statistic>`: what holds for the whole file.

use std::f64::consts::PI;

use super::Reader;
use super::document::Element;
use crate::error::Result;
use crate::scene::kinds::{Cone, Integrator, Jacobian, Solver};
use crate::scene::pose::{self, UNIT};
use crate::scene::{Keyframe, Limited};

/// `false`, `true`, `auto`.
pub(super) const LIMITED: &[(&str, Limited)] = &[
    ("false", Limited::False),
    ("true", Limited::True),
    ("auto", Limited::Auto),
];

/// Most keyframes that `<size nkey>` can ask for.
const MAX_KEYFRAMES: usize = 10_000;

/// How the numbers of a file are meant.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    degree: bool,
    eulerseq: [u8; 3],
    pub(super) autolimits: bool,
    /// Keyframes that the model has at least.
    nkey: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            degree: true,
            eulerseq: *b"xyz",
            autolimits: true,
            nkey: 0,
        }
    }
}

impl Settings {
    /// An angle of the file, rad.
    pub(super) fn radians(&self, angle: f64) -> f64 {
        if self.degree {
            angle / 180.0 * PI
        } else {
            angle
        }
    }

    /// As [`Settings::radians`], rounded as MuJoCo rounds joint angles.
    pub(super) fn radians_of_range(&self, angle: f64) -> f64 {
        if self.degree {
            angle * (PI / 180.0)
        } else {
            angle
        }
    }

    /// Rotations about three axes in turn: lower-case letters move with the frame, upper-case stay.
    pub(super) fn euler(&self, angles: [f64; 3]) -> [f64; 4] {
        let mut quat = UNIT;
        for (letter, angle) in self.eulerseq.into_iter().zip(angles) {
            let axis = usize::from(letter.to_ascii_lowercase() - b'x');
            let (sin, cos) = (self.radians(angle) / 2.0).sin_cos();
            let mut turn = [cos, 0.0, 0.0, 0.0];
            turn[axis + 1] = sin;
            quat = if letter.is_ascii_lowercase() {
                pose::multiply(quat, turn)
            } else {
                pose::multiply(turn, quat)
            };
        }
        pose::normalize(&mut quat);
        quat
    }
}

impl Reader<'_> {
    pub(super) fn compiler(&mut self, element: &Element) -> Result<()> {
        let compiler = &mut self.scene.compilers[0];
        let settings = &mut self.settings;
        element.read_bool("autolimits", &mut settings.autolimits)?;
        element.read_keyword(
            "angle",
            &[("radian", false), ("degree", true)],
            &mut settings.degree,
        )?;
        if element.keyword("coordinate", &[("local", false), ("global", true)])? == Some(true) {
            let cause = "global coordinates were removed from MuJoCo in version 2.3.4";
            return Err(element.invalid(cause));
        }
        if let Some(text) = element.text("eulerseq") {
            let letters: Option<[u8; 3]> = text.as_bytes().try_into().ok();
            settings.eulerseq = letters
                .filter(|letters| {
                    letters
                        .iter()
                        .all(|l| matches!(l.to_ascii_lowercase(), b'x'..=b'z'))
                })
                .ok_or_else(|| {
                    element.invalid(format!(
                        "eulerseq '{text}' is not three of x, y, z, X, Y, Z"
                    ))
                })?;
        }
        element.read("boundmass", &mut compiler.boundmass)?;
        element.read("boundinertia", &mut compiler.boundinertia)?;
        if compiler.boundmass < 0.0 || compiler.boundinertia < 0.0 {
            return Err(element.invalid("boundmass and boundinertia cannot be negative"));
        }
        element.read("settotalmass", &mut compiler.settotalmass)?;
        element.read_bool("balanceinertia", &mut compiler.balanceinertia)?;
        element.read_keyword("inertiafromgeom", LIMITED, &mut compiler.inertiafromgeom)?;
        if let Some([first, last]) = element.array::<2>("inertiagrouprange")? {
            compiler.inertiagrouprange = [first as i32, last as i32];
        }
        element.read_bool("alignfree", &mut compiler.alignfree)?;
        element.read_bool("fusestatic", &mut compiler.fusestatic)?;
        element.read_bool("discardvisual", &mut compiler.discardvisual)?;
        for name in ["fitaabb", "usethread", "strippath", "saveinertial"] {
            element.read_bool(name, &mut false)?;
        }
        if let Some(policy) = element
            .text("conflict")
            .filter(|&policy| policy != "warning")
        {
            return Err(element.unsupported(format!("conflict '{policy}' is not supported yet")));
        }
        // Directories of assets that nothing reads yet, and how MuJoCo writes files.
        element.ignore(&[
            "meshdir",
            "texturedir",
            "assetdir",
            "passthrough",
            "savecanonical",
            "savecompiled",
        ]);
        element.finish()?;
        for child in &element.children {
            if child.tag != "lengthrange" {
                return Err(child.unknown("compiler", &["lengthrange"]));
            }
            self.idle("<lengthrange>");
        }
        Ok(())
    }

    pub(super) fn option(&mut self, element: &Element) -> Result<()> {
        let o = &mut self.scene.options;
        element.read("timestep", &mut o.timestep)?;
        if o.timestep <= 0.0 {
            return Err(element.invalid(format!("timestep is {}, it must be positive", o.timestep)));
        }
        element.read("impratio", &mut o.impratio)?;
        element.read("tolerance", &mut o.tolerance)?;
        element.read("ls_tolerance", &mut o.ls_tolerance)?;
        element.read("noslip_tolerance", &mut o.noslip_tolerance)?;
        element.read("ccd_tolerance", &mut o.ccd_tolerance)?;
        element.read("sleep_tolerance", &mut o.sleep_tolerance)?;
        element.read_array("gravity", &mut o.gravity)?;
        element.read_array("wind", &mut o.wind)?;
        element.read_array("magnetic", &mut o.magnetic)?;
        element.read("density", &mut o.density)?;
        element.read("viscosity", &mut o.viscosity)?;
        element.read("o_margin", &mut o.o_margin)?;
        element.read_some("o_solref", &mut o.o_solref)?;
        element.read_some("o_solimp", &mut o.o_solimp)?;
        element.read_some("o_friction", &mut o.o_friction)?;
        if element.text("integrator") == Some("discrete") {
            return Err(element.unsupported("integrator 'discrete' is not supported yet"));
        }
        element.read_keyword("integrator", Integrator::KEYWORDS, &mut o.integrator)?;
        element.read_keyword("cone", Cone::KEYWORDS, &mut o.cone)?;
        element.read_keyword("jacobian", Jacobian::KEYWORDS, &mut o.jacobian)?;
        element.read_keyword("solver", Solver::KEYWORDS, &mut o.solver)?;
        element.read_count("iterations", &mut o.iterations)?;
        element.read_count("ls_iterations", &mut o.ls_iterations)?;
        element.read_count("noslip_iterations", &mut o.noslip_iterations)?;
        element.read_count("ccd_iterations", &mut o.ccd_iterations)?;
        element.read_count("sdf_iterations", &mut o.sdf_iterations)?;
        element.read_count("sdf_initpoints", &mut o.sdf_initpoints)?;
        for group in element.numbers("actuatorgroupdisable")?.unwrap_or_default() {
            if group.fract() != 0.0 || !(0.0..=30.0).contains(&group) {
                let cause = format!("actuatorgroupdisable: {group} is not an integer from 0 to 30");
                return Err(element.invalid(cause));
            }
            o.disableactuator |= 1 << group as u32;
        }
        element.finish()?;
        for flags in &element.children {
            if flags.tag != "flag" {
                return Err(flags.unknown("option", &["flag"]));
            }
            for keyword in crate::scene::Flags::KEYWORDS {
                let on = flags.keyword(keyword, &[("disable", false), ("enable", true)])?;
                if let (Some(on), Some(flag)) = (on, o.flags.by_keyword(keyword)) {
                    *flag = on;
                }
            }
            flags.finish()?;
            flags.leaf()?;
        }
        Ok(())
    }

    pub(super) fn size(&mut self, element: &Element) -> Result<()> {
        element.ignore(&["memory"]);
        for name in [
            "njmax",
            "nconmax",
            "nstack",
            "nuserdata",
            "nuser_body",
            "nuser_jnt",
            "nuser_geom",
            "nuser_site",
            "nuser_cam",
            "nuser_tendon",
            "nuser_actuator",
            "nuser_sensor",
        ] {
            if let Some(size) = element.integer(name)?.filter(|&size| size < -1) {
                return Err(
                    element.invalid(format!("attribute '{name}' is {size}, the least is -1"))
                );
            }
        }
        element.read_count("nkey", &mut self.settings.nkey)?;
        if self.settings.nkey > MAX_KEYFRAMES {
            let cause = format!(
                "nkey is {}, at most {MAX_KEYFRAMES} are allowed",
                self.settings.nkey
            );
            return Err(element.invalid(cause));
        }
        element.finish()?;
        element.leaf()
    }

    /// Adds the keyframes that `<size nkey>` asks for and the file does not have.
    pub(super) fn pad_keyframes(&mut self, root: &Element) {
        while self.scene.keyframes.len() < self.settings.nkey {
            let mut key = Keyframe::new("");
            key.place = root.place.clone();
            self.scene.keyframes.push(key);
        }
    }

    pub(super) fn visual(&mut self, element: &Element) -> Result<()> {
        /// What `<visual>` can have, by element.
        const ELEMENTS: &[(&str, &[&str])] = &[
            (
                "global",
                &[
                    "azimuth",
                    "bvactive",
                    "cameraid",
                    "elevation",
                    "ellipsoidinertia",
                    "fovy",
                    "glow",
                    "ipd",
                    "linewidth",
                    "offheight",
                    "offwidth",
                    "orthographic",
                    "realtime",
                ],
            ),
            (
                "quality",
                &[
                    "numquads",
                    "numslices",
                    "numstacks",
                    "offsamples",
                    "shadowsize",
                ],
            ),
            ("headlight", &["active", "ambient", "diffuse", "specular"]),
            (
                "map",
                &[
                    "actuatortendon",
                    "alpha",
                    "fogend",
                    "fogstart",
                    "force",
                    "haze",
                    "shadowclip",
                    "shadowscale",
                    "stiffness",
                    "stiffnessrot",
                    "torque",
                    "zfar",
                    "znear",
                ],
            ),
            (
                "scale",
                &[
                    "actuatorlength",
                    "actuatorwidth",
                    "camera",
                    "com",
                    "connect",
                    "constraint",
                    "contactheight",
                    "contactwidth",
                    "forcewidth",
                    "framelength",
                    "framewidth",
                    "frustum",
                    "jointlength",
                    "jointwidth",
                    "light",
                    "selectpoint",
                    "slidercrank",
                ],
            ),
            (
                "rgba",
                &[
                    "actuator",
                    "actuatornegative",
                    "actuatorpositive",
                    "bv",
                    "bvactive",
                    "camera",
                    "com",
                    "connect",
                    "constraint",
                    "contactforce",
                    "contactfriction",
                    "contactgap",
                    "contactpoint",
                    "contacttorque",
                    "crankbroken",
                    "fog",
                    "force",
                    "frustum",
                    "haze",
                    "inertia",
                    "joint",
                    "light",
                    "rangefinder",
                    "selectpoint",
                    "slidercrank",
                ],
            ),
        ];
        element.finish()?;
        for child in &element.children {
            let Some((_, attributes)) = ELEMENTS.iter().find(|(tag, _)| *tag == child.tag) else {
                let known: Vec<&str> = ELEMENTS.iter().map(|(tag, _)| *tag).collect();
                return Err(child.unknown("visual", &known));
            };
            child.ignore(attributes);
            child.finish()?;
            child.leaf()?;
        }
        self.idle("<visual>");
        Ok(())
    }

    pub(super) fn statistic(&mut self, element: &Element) -> Result<()> {
        let s = &mut self.scene.statistics;
        for (name, value) in [
            ("meaninertia", &mut s.meaninertia),
            ("meanmass", &mut s.meanmass),
            ("meansize", &mut s.meansize),
            ("extent", &mut s.extent),
        ] {
            *value = element.array::<1>(name)?.map(|[number]| number).or(*value);
        }
        if s.extent.is_some_and(|extent| extent <= 0.0) {
            return Err(element.invalid("extent must be positive"));
        }
        s.center = element.array("center")?.or(s.center);
        element.finish()?;
        element.leaf()
    }
}
