//! Positions and orientations on the host: f64, quaternions w-x-y-z, as MuJoCo's compiler has them.

/// Below this a length counts as zero, and this near to 1 as one (MuJoCo's `mjEPS`).
pub(crate) const EPS: f64 = 1e-14;

/// The rotation that does nothing.
pub(crate) const UNIT: [f64; 4] = [1.0, 0.0, 0.0, 0.0];

/// A rigid placement: a rotation, then a translation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Position, m.
    pub pos: [f64; 3],
    /// Orientation, a unit quaternion.
    pub quat: [f64; 4],
}

impl Default for Pose {
    fn default() -> Self {
        Self {
            pos: [0.0; 3],
            quat: UNIT,
        }
    }
}

impl Pose {
    /// The placement of a child in this pose's parent: `self` after `child`.
    #[must_use]
    pub fn then(&self, child: &Pose) -> Pose {
        Pose {
            pos: self.point(child.pos),
            quat: multiply(self.quat, child.quat),
        }
    }

    /// The placement that undoes this one.
    #[must_use]
    pub fn inverse(&self) -> Pose {
        let quat = conjugate(self.quat);
        Pose {
            pos: scale(rotate(quat, self.pos), -1.0),
            quat,
        }
    }

    /// A point of the child's frame, in the parent's.
    pub fn point(&self, point: [f64; 3]) -> [f64; 3] {
        add(self.pos, rotate(self.quat, point))
    }
}

pub(crate) fn add(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn sub(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn scale(a: [f64; 3], s: f64) -> [f64; 3] {
    [a[0] * s, a[1] * s, a[2] * s]
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

pub(crate) fn norm(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

/// Scales a vector to length 1 and returns its former length.
///
/// As MuJoCo's compiler: a vector whose square is below [`EPS`] is left alone and counts as zero,
/// and one that is a unit vector to within [`EPS`] keeps its bits.
pub(crate) fn normalize<const N: usize>(vector: &mut [f64; N]) -> f64 {
    let square: f64 = vector.iter().map(|x| x * x).sum();
    if square < EPS {
        return 0.0;
    }
    let length = square.sqrt();
    if (length - 1.0).abs() > EPS {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    length
}

/// The Hamilton product: first `b`, then `a`.
pub(crate) fn multiply(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    [
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    ]
}

pub(crate) fn conjugate(q: [f64; 4]) -> [f64; 4] {
    [q[0], -q[1], -q[2], -q[3]]
}

/// Rotates a vector: `v + 2 u × (w v + u × v)` with the quaternion `(w, u)`.
pub(crate) fn rotate(q: [f64; 4], v: [f64; 3]) -> [f64; 3] {
    if q == UNIT {
        return v;
    }
    let u = [q[1], q[2], q[3]];
    let t = add(scale(v, q[0]), cross(u, v));
    add(v, scale(cross(u, t), 2.0))
}

/// The rotation matrix, by rows.
pub(crate) fn matrix(q: [f64; 4]) -> [[f64; 3]; 3] {
    let columns = [
        rotate(q, [1.0, 0.0, 0.0]),
        rotate(q, [0.0, 1.0, 0.0]),
        rotate(q, [0.0, 0.0, 1.0]),
    ];
    std::array::from_fn(|row| std::array::from_fn(|column| columns[column][row]))
}

/// The rotation by `angle` (rad) about a unit axis.
pub(crate) fn from_axis_angle(axis: [f64; 3], angle: f64) -> [f64; 4] {
    let (sin, cos) = (angle / 2.0).sin_cos();
    [cos, sin * axis[0], sin * axis[1], sin * axis[2]]
}

/// The shortest rotation that takes Z to a unit vector; about X if the vector is ±Z.
pub(crate) fn from_z(z: [f64; 3]) -> [f64; 4] {
    let mut axis = cross([0.0, 0.0, 1.0], z);
    let sin = normalize(&mut axis);
    if sin < 1e-10 {
        axis = [1.0, 0.0, 0.0];
    }
    from_axis_angle(axis, sin.atan2(z[2]))
}

/// The rotation whose matrix has these orthonormal columns.
///
/// The quaternion's largest component is found first, from the trace, so that no division is by a
/// small number: S. W. Shepperd, "Quaternion from rotation matrix", 1978.
pub(crate) fn from_axes(x: [f64; 3], y: [f64; 3], z: [f64; 3]) -> [f64; 4] {
    let mut q = [0.0; 4];
    if x[0] + y[1] + z[2] > 0.0 {
        q[0] = 0.5 * (1.0 + x[0] + y[1] + z[2]).sqrt();
        q[1] = 0.25 * (y[2] - z[1]) / q[0];
        q[2] = 0.25 * (z[0] - x[2]) / q[0];
        q[3] = 0.25 * (x[1] - y[0]) / q[0];
    } else if x[0] > y[1] && x[0] > z[2] {
        q[1] = 0.5 * (1.0 + x[0] - y[1] - z[2]).sqrt();
        q[0] = 0.25 * (y[2] - z[1]) / q[1];
        q[2] = 0.25 * (y[0] + x[1]) / q[1];
        q[3] = 0.25 * (z[0] + x[2]) / q[1];
    } else if y[1] > z[2] {
        q[2] = 0.5 * (1.0 - x[0] + y[1] - z[2]).sqrt();
        q[0] = 0.25 * (z[0] - x[2]) / q[2];
        q[1] = 0.25 * (y[0] + x[1]) / q[2];
        q[3] = 0.25 * (z[1] + y[2]) / q[2];
    } else {
        q[3] = 0.5 * (1.0 - x[0] - y[1] + z[2]).sqrt();
        q[0] = 0.25 * (x[1] - y[0]) / q[3];
        q[1] = 0.25 * (z[0] + x[2]) / q[3];
        q[2] = 0.25 * (z[1] + y[2]) / q[3];
    }
    normalize(&mut q);
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &[f64], b: &[f64]) {
        let worst = a
            .iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(worst < 1e-14, "{a:?} is not {b:?}");
    }

    #[test]
    fn a_pose_and_its_inverse_cancel() {
        let mut quat = [0.3, -0.5, 0.7, 0.2];
        normalize(&mut quat);
        let pose = Pose {
            pos: [1.0, -2.0, 3.0],
            quat,
        };
        let nothing = pose.then(&pose.inverse());
        near(&nothing.pos, &[0.0; 3]);
        near(&nothing.quat, &UNIT);
    }

    #[test]
    fn axes_come_back_from_the_quaternion_in_every_branch() {
        for quat in [
            [0.9, 0.1, 0.2, 0.3],
            [0.1, 0.9, 0.2, 0.3],
            [0.1, 0.2, 0.9, 0.3],
            [0.1, 0.2, 0.3, 0.9],
        ] {
            let mut quat = quat;
            normalize(&mut quat);
            let m = matrix(quat);
            let column = |i: usize| [m[0][i], m[1][i], m[2][i]];
            near(&from_axes(column(0), column(1), column(2)), &quat);
        }
    }

    #[test]
    fn z_is_taken_to_the_vector_and_back_again_upside_down() {
        for z in [
            [0.6, 0.0, 0.8],
            [0.0, -1.0, 0.0],
            [0.0, 0.0, 1.0],
            [0.0, 0.0, -1.0],
        ] {
            near(&rotate(from_z(z), [0.0, 0.0, 1.0]), &z);
        }
    }
}
