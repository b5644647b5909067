//! The five ways in which MJCF gives an orientation.

use super::document::Element;
use super::settings::Settings;
use crate::error::Result;
use crate::scene::pose::{self, EPS, UNIT};

/// An orientation as the file gives it: in the file's angles, not normalized.
///
/// An alternative to the quaternion wins over it, and one of a default class wins over the
/// quaternion of the element, as in MuJoCo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Orientation {
    quat: [f64; 4],
    alternative: Option<Alternative>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Alternative {
    AxisAngle([f64; 4]),
    XyAxes([f64; 6]),
    ZAxis([f64; 3]),
    Euler([f64; 3]),
}

impl Default for Orientation {
    fn default() -> Self {
        Self {
            quat: UNIT,
            alternative: None,
        }
    }
}

impl Orientation {
    /// Overwrites it by what an element says.
    pub(super) fn read(&mut self, element: &Element) -> Result<()> {
        let mut given = 0;
        if let Some(quat) = element.array::<4>("quat")? {
            if quat == [0.0; 4] {
                return Err(
                    element.invalid("attribute 'quat': a zero quaternion is no orientation")
                );
            }
            self.quat = quat;
            given += 1;
        }
        let alternatives = [
            element.array("axisangle")?.map(Alternative::AxisAngle),
            element.array("xyaxes")?.map(Alternative::XyAxes),
            element.array("zaxis")?.map(Alternative::ZAxis),
            element.array("euler")?.map(Alternative::Euler),
        ];
        for alternative in alternatives.into_iter().flatten() {
            self.alternative = Some(alternative);
            given += 1;
        }
        if given > 1 {
            let cause = "only one of 'quat', 'axisangle', 'xyaxes', 'zaxis', 'euler' can be given";
            return Err(element.invalid(cause));
        }
        Ok(())
    }

    /// The unit quaternion.
    pub(super) fn resolve(&self, settings: &Settings, element: &Element) -> Result<[f64; 4]> {
        let short = |what: &str| element.invalid(format!("attribute '{what}' is too short"));
        let mut quat = match self.alternative {
            None => self.quat,
            Some(Alternative::AxisAngle([x, y, z, angle])) => {
                let mut axis = [x, y, z];
                if pose::normalize(&mut axis) < EPS {
                    return Err(short("axisangle"));
                }
                pose::from_axis_angle(axis, settings.radians(angle))
            }
            Some(Alternative::XyAxes([a, b, c, d, e, f])) => {
                let mut x = [a, b, c];
                if pose::normalize(&mut x) < EPS {
                    return Err(short("xyaxes"));
                }
                let y = [d, e, f];
                let mut y = pose::sub(y, pose::scale(x, pose::dot(x, y)));
                if pose::normalize(&mut y) < EPS {
                    return Err(short("xyaxes"));
                }
                pose::from_axes(x, y, pose::cross(x, y))
            }
            Some(Alternative::ZAxis(mut z)) => {
                if pose::normalize(&mut z) < EPS {
                    return Err(short("zaxis"));
                }
                pose::from_z(z)
            }
            Some(Alternative::Euler(angles)) => settings.euler(angles),
        };
        pose::normalize(&mut quat);
        Ok(quat)
    }
}
