//! Unit quaternions w-x-y-z with MuJoCo's semantics, over [`Var`].

use std::ops::Mul;

use super::functions::{atan2, sin_cos};
use super::vector::{MIN_VALUE, Mat3, Vec3};
use crate::trace::{Carry, Slot, Var, select};

/// A quaternion, w first.
#[derive(Clone, Copy, Debug)]
pub struct Quat {
    /// Real part.
    pub w: Var,
    /// First imaginary part.
    pub x: Var,
    /// Second imaginary part.
    pub y: Var,
    /// Third imaginary part.
    pub z: Var,
}

impl Quat {
    /// No rotation, a constant.
    pub const IDENTITY: Self = Self {
        w: Var::ONE,
        x: Var::ZERO,
        y: Var::ZERO,
        z: Var::ZERO,
    };

    /// From components.
    pub fn new(w: impl Into<Var>, x: impl Into<Var>, y: impl Into<Var>, z: impl Into<Var>) -> Self {
        Self {
            w: w.into(),
            x: x.into(),
            y: y.into(),
            z: z.into(),
        }
    }

    /// A constant quaternion, w first.
    pub fn constant(q: [f64; 4]) -> Self {
        Self::new(q[0], q[1], q[2], q[3])
    }

    /// The first four values of a slice, w first.
    ///
    /// # Panics
    /// When the slice is shorter than 4.
    pub fn from_slice(q: &[Var]) -> Self {
        Self {
            w: q[0],
            x: q[1],
            y: q[2],
            z: q[3],
        }
    }

    /// The four components, w first.
    pub fn to_array(self) -> [Var; 4] {
        [self.w, self.x, self.y, self.z]
    }

    /// Real and imaginary part.
    pub fn from_parts(w: Var, v: Vec3) -> Self {
        Self {
            w,
            x: v.x,
            y: v.y,
            z: v.z,
        }
    }

    /// The imaginary part.
    pub fn vector(self) -> Vec3 {
        Vec3 {
            x: self.x,
            y: self.y,
            z: self.z,
        }
    }

    /// The inverse of a unit quaternion.
    pub fn conj(self) -> Self {
        Self::from_parts(self.w, -self.vector())
    }

    /// The unit quaternion along this one; one shorter than [`MIN_VALUE`] gives the identity, as `mju_normalize4`.
    pub fn normalize(self) -> Self {
        let squared = self.w * self.w + self.vector().norm_squared();
        let tiny = squared.lt(MIN_VALUE * MIN_VALUE);
        let scale = select(tiny, Var::ONE, squared).sqrt().recip();
        let scaled = Self::from_parts(self.w * scale, self.vector() * scale);
        select(tiny, Self::IDENTITY, scaled)
    }

    /// The rotation of a vector by a unit quaternion.
    pub fn rotate(self, v: Vec3) -> Vec3 {
        // v + 2 w (u × v) + 2 u × (u × v), with u the imaginary part.
        let u = self.vector();
        let t = u.cross(v) * 2.0;
        v + t * self.w + u.cross(t)
    }

    /// The rotation matrix of a unit quaternion.
    pub fn to_mat(self) -> Mat3 {
        let double = self.vector() * 2.0;
        let (wx, wy, wz) = (self.w * double.x, self.w * double.y, self.w * double.z);
        let (xx, xy, xz) = (self.x * double.x, self.x * double.y, self.x * double.z);
        let (yy, yz, zz) = (self.y * double.y, self.y * double.z, self.z * double.z);
        Mat3 {
            x: Vec3::new(1.0 - (yy + zz), xy + wz, xz - wy),
            y: Vec3::new(xy - wz, 1.0 - (xx + zz), yz + wx),
            z: Vec3::new(xz + wy, yz - wx, 1.0 - (xx + yy)),
        }
        .tidy()
    }

    /// The rotation vector (axis times angle in [0, π]) of a unit quaternion: `mju_quat2Vel` over one second.
    ///
    /// q and −q are one rotation, so the sign that makes w positive is the shorter way round. Rotations smaller
    /// than [`MIN_VALUE`] give zero.
    pub fn log(self) -> Vec3 {
        let squared = self.vector().norm_squared();
        let tiny = squared.lt(MIN_VALUE * MIN_VALUE);
        let sine = select(tiny, Var::ONE, squared).sqrt();
        let angle = 2.0 * atan2(sine, self.w.abs());
        let signed = select(self.w.lt(0.0), -angle, angle);
        self.vector() * select(tiny, Var::ZERO, signed / sine)
    }

    /// The rotation vector from `reference` to this orientation, in `reference`'s frame: `mju_subQuat`.
    pub fn difference(self, reference: Self) -> Vec3 {
        (reference.conj() * self).log()
    }

    /// The orientation after turning with body-fixed angular velocity (rad/s) for `dt` (s): `mju_quatIntegrate`.
    ///
    /// The quaternion must be of unit length.
    pub fn integrate(self, velocity: Vec3, dt: Var) -> Self {
        // sin(½ dt |v|) / |v| has the limit ½ dt, which the smallest length allowed here already gives.
        let speed = velocity.norm_squared().max(MIN_VALUE * MIN_VALUE).sqrt();
        let (sin, cos) = sin_cos(0.5 * dt * speed);
        self * Self::from_parts(cos, velocity * (sin / speed))
    }
}

impl Mul for Quat {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let (a, b) = (self, other);
        Self {
            w: a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z,
            x: a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
            y: a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
            z: a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w,
        }
    }
}

impl Carry for Quat {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        for component in [&mut self.w, &mut self.x, &mut self.y, &mut self.z] {
            component.slots(visit);
        }
    }
}
