//! Vectors and 3 × 3 matrices over [`Var`].
//!
//! Written so that constants fold: a zero in a vector or a rotation about a coordinate axis costs nothing.

use std::array::from_fn;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use crate::trace::{Carry, Slot, Var};

/// MuJoCo's `mjMINVAL`: lengths below it count as zero.
pub const MIN_VALUE: f64 = 1e-15;

/// Constants nearer than this to −1, 0 or 1 are rounding noise of a composed rotation.
const NOISE: f64 = 4e-15;

/// The value, with a constant's rounding noise around −1, 0 and 1 removed, so that it folds.
fn tidy(x: Var) -> Var {
    match x.as_constant() {
        Some(value) if (value - value.round()).abs() < NOISE && value.abs() < 1.5 => {
            Var::from(value.round())
        }
        _ => x,
    }
}

/// A vector in three dimensions.
#[derive(Clone, Copy, Debug)]
pub struct Vec3 {
    /// First component.
    pub x: Var,
    /// Second component.
    pub y: Var,
    /// Third component.
    pub z: Var,
}

impl Vec3 {
    /// The null vector, a constant.
    pub const ZERO: Self = Self {
        x: Var::ZERO,
        y: Var::ZERO,
        z: Var::ZERO,
    };

    /// From components.
    pub fn new(x: impl Into<Var>, y: impl Into<Var>, z: impl Into<Var>) -> Self {
        Self {
            x: x.into(),
            y: y.into(),
            z: z.into(),
        }
    }

    /// A constant vector.
    pub fn constant(v: [f64; 3]) -> Self {
        Self::new(v[0], v[1], v[2])
    }

    /// The three components.
    pub fn to_array(self) -> [Var; 3] {
        [self.x, self.y, self.z]
    }

    /// The first three values of a slice.
    ///
    /// # Panics
    /// When the slice is shorter than 3.
    pub fn from_slice(v: &[Var]) -> Self {
        Self {
            x: v[0],
            y: v[1],
            z: v[2],
        }
    }

    /// The value, where all components are constants.
    pub fn as_constant(self) -> Option<[f64; 3]> {
        Some([
            self.x.as_constant()?,
            self.y.as_constant()?,
            self.z.as_constant()?,
        ])
    }

    /// Whether it is the constant null vector.
    pub fn is_zero(self) -> bool {
        self.x.is_zero() && self.y.is_zero() && self.z.is_zero()
    }

    /// The scalar product.
    pub fn dot(self, other: Self) -> Var {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    /// The vector product.
    pub fn cross(self, other: Self) -> Self {
        Self {
            x: self.y * other.z - self.z * other.y,
            y: self.z * other.x - self.x * other.z,
            z: self.x * other.y - self.y * other.x,
        }
    }

    /// The squared length.
    pub fn norm_squared(self) -> Var {
        self.dot(self)
    }

    /// The length.
    pub fn norm(self) -> Var {
        self.norm_squared().sqrt()
    }

    /// The unit vector and the length; a vector shorter than [`MIN_VALUE`] gives (1, 0, 0), as `mju_normalize3`.
    pub fn normalize(self) -> (Self, Var) {
        let norm = self.norm();
        let tiny = norm.lt(MIN_VALUE);
        let scale = crate::trace::select(
            tiny,
            Var::ZERO,
            crate::trace::select(tiny, Var::ONE, norm).recip(),
        );
        let unit = self * scale;
        (
            Self {
                x: crate::trace::select(tiny, Var::ONE, unit.x),
                ..unit
            },
            norm,
        )
    }

    /// Without rounding noise in its constants.
    pub(super) fn tidy(self) -> Self {
        Self {
            x: tidy(self.x),
            y: tidy(self.y),
            z: tidy(self.z),
        }
    }
}

impl From<[Var; 3]> for Vec3 {
    fn from([x, y, z]: [Var; 3]) -> Self {
        Self { x, y, z }
    }
}

impl Carry for Vec3 {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        for component in [&mut self.x, &mut self.y, &mut self.z] {
            component.slots(visit);
        }
    }
}

impl Add for Vec3 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            x: self.x + other.x,
            y: self.y + other.y,
            z: self.z + other.z,
        }
    }
}

impl Sub for Vec3 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            x: self.x - other.x,
            y: self.y - other.y,
            z: self.z - other.z,
        }
    }
}

impl Neg for Vec3 {
    type Output = Self;
    fn neg(self) -> Self {
        Self {
            x: -self.x,
            y: -self.y,
            z: -self.z,
        }
    }
}

impl Mul<Var> for Vec3 {
    type Output = Self;
    fn mul(self, factor: Var) -> Self {
        Self {
            x: self.x * factor,
            y: self.y * factor,
            z: self.z * factor,
        }
    }
}

impl Mul<f64> for Vec3 {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        self * Var::from(factor)
    }
}

impl AddAssign for Vec3 {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Vec3 {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

/// A 3 × 3 matrix by its columns. As a rotation, the columns are the rotated axes.
#[derive(Clone, Copy, Debug)]
pub struct Mat3 {
    /// First column.
    pub x: Vec3,
    /// Second column.
    pub y: Vec3,
    /// Third column.
    pub z: Vec3,
}

impl Mat3 {
    /// From columns.
    pub fn from_columns(x: Vec3, y: Vec3, z: Vec3) -> Self {
        Self { x, y, z }
    }

    /// The identity, a constant.
    pub fn identity() -> Self {
        Self::diagonal(Vec3::new(1.0, 1.0, 1.0))
    }

    /// The null matrix, a constant.
    pub fn zero() -> Self {
        Self {
            x: Vec3::ZERO,
            y: Vec3::ZERO,
            z: Vec3::ZERO,
        }
    }

    /// A diagonal matrix.
    pub fn diagonal(d: Vec3) -> Self {
        Self {
            x: Vec3::new(d.x, 0.0, 0.0),
            y: Vec3::new(0.0, d.y, 0.0),
            z: Vec3::new(0.0, 0.0, d.z),
        }
    }

    /// The matrix of `v ×`.
    pub fn skew(v: Vec3) -> Self {
        Self {
            x: Vec3::new(0.0, v.z, -v.y),
            y: Vec3::new(-v.z, 0.0, v.x),
            z: Vec3::new(v.y, -v.x, 0.0),
        }
    }

    /// The rotation about a unit `axis` by the angle with this sine and cosine.
    ///
    /// Rodrigues' formula `a aᵀ + cos·(1 − a aᵀ) + sin·[a]×`, arranged so that a coordinate axis folds to the
    /// four numbers of a plane rotation.
    pub fn rotation(axis: Vec3, sin: Var, cos: Var) -> Self {
        let (a, turn) = (axis.to_array(), Self::skew(axis).columns());
        let entry = |row: usize, column: usize| {
            let along = a[row] * a[column];
            let across = if row == column { 1.0 - along } else { -along };
            tidy(along) + cos * tidy(across) + sin * turn[column].to_array()[row]
        };
        let [x, y, z] =
            from_fn(|column| Vec3::new(entry(0, column), entry(1, column), entry(2, column)));
        Self { x, y, z }
    }

    /// The three columns.
    pub fn columns(self) -> [Vec3; 3] {
        [self.x, self.y, self.z]
    }

    /// The three rows.
    pub fn rows(self) -> [Vec3; 3] {
        self.transpose().columns()
    }

    /// Rows and columns exchanged.
    pub fn transpose(self) -> Self {
        Self {
            x: Vec3::new(self.x.x, self.y.x, self.z.x),
            y: Vec3::new(self.x.y, self.y.y, self.z.y),
            z: Vec3::new(self.x.z, self.y.z, self.z.z),
        }
    }

    /// The transpose times a vector; the inverse rotation, for a rotation.
    pub fn transposed_mul(self, v: Vec3) -> Vec3 {
        Vec3 {
            x: self.x.dot(v),
            y: self.y.dot(v),
            z: self.z.dot(v),
        }
    }

    /// Without rounding noise in its constants.
    pub(super) fn tidy(self) -> Self {
        Self {
            x: self.x.tidy(),
            y: self.y.tidy(),
            z: self.z.tidy(),
        }
    }
}

impl Carry for Mat3 {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        for column in [&mut self.x, &mut self.y, &mut self.z] {
            column.slots(visit);
        }
    }
}

impl Mul<Vec3> for Mat3 {
    type Output = Vec3;
    fn mul(self, v: Vec3) -> Vec3 {
        self.x * v.x + self.y * v.y + self.z * v.z
    }
}

impl Mul for Mat3 {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self {
            x: self * other.x,
            y: self * other.y,
            z: self * other.z,
        }
    }
}

impl Mul<Var> for Mat3 {
    type Output = Self;
    fn mul(self, factor: Var) -> Self {
        Self {
            x: self.x * factor,
            y: self.y * factor,
            z: self.z * factor,
        }
    }
}

impl Add for Mat3 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            x: self.x + other.x,
            y: self.y + other.y,
            z: self.z + other.z,
        }
    }
}

impl Sub for Mat3 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            x: self.x - other.x,
            y: self.y - other.y,
            z: self.z - other.z,
        }
    }
}

/// A symmetric 3 × 3 matrix.
#[derive(Clone, Copy, Debug)]
pub struct Sym3 {
    /// The diagonal.
    pub diagonal: Vec3,
    /// Row 0, column 1.
    pub xy: Var,
    /// Row 0, column 2.
    pub xz: Var,
    /// Row 1, column 2.
    pub yz: Var,
}

impl Sym3 {
    /// A diagonal matrix.
    pub fn from_diagonal(diagonal: Vec3) -> Self {
        Self {
            diagonal,
            xy: Var::ZERO,
            xz: Var::ZERO,
            yz: Var::ZERO,
        }
    }

    /// The null matrix, a constant.
    pub fn zero() -> Self {
        Self::from_diagonal(Vec3::ZERO)
    }

    /// `v vᵀ`
    pub fn outer(v: Vec3) -> Self {
        let diagonal = Vec3 {
            x: v.x * v.x,
            y: v.y * v.y,
            z: v.z * v.z,
        };
        Self {
            diagonal,
            xy: v.x * v.y,
            xz: v.x * v.z,
            yz: v.y * v.z,
        }
    }

    /// The symmetric part of `a bᵀ`, for vectors whose `a bᵀ` is symmetric already.
    pub fn outer_scaled(a: Vec3, b: Vec3) -> Self {
        let diagonal = Vec3 {
            x: a.x * b.x,
            y: a.y * b.y,
            z: a.z * b.z,
        };
        Self {
            diagonal,
            xy: a.x * b.y,
            xz: a.x * b.z,
            yz: a.y * b.z,
        }
    }

    /// `R D Rᵀ` for a rotation R and a diagonal D.
    ///
    /// With `1 = x xᵀ + y yᵀ + z zᵀ` over R's columns, one of the three diagonal numbers can be taken out in front
    /// of the identity, and columns whose number equals it drop out: a body with rotational symmetry needs one
    /// column only, a sphere none.
    pub fn rotated_diagonal(r: Mat3, d: Vec3) -> Self {
        let d = d.to_array();
        // Principal moments that an eigenvalue solver found differ by its rounding.
        let equal = |i: usize, j: usize| match (d[i].as_constant(), d[j].as_constant()) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-13 * a.abs().max(b.abs()),
            _ => false,
        };
        let base = if equal(1, 2) { 1 } else { 0 };
        let mut sum = Self::from_diagonal(Vec3::new(d[base], d[base], d[base]));
        for (k, column) in r.columns().into_iter().enumerate() {
            if k != base && !equal(k, base) {
                sum = sum + Self::outer_scaled(column * (d[k] - d[base]), column);
            }
        }
        sum
    }

    /// `R S Rᵀ` for a rotation R.
    pub fn rotated(self, r: Mat3) -> Self {
        if self.xy.is_zero() && self.xz.is_zero() && self.yz.is_zero() {
            return Self::rotated_diagonal(r, self.diagonal);
        }
        // Rows of R S and of R.
        let [a, b, c] = (r * self.to_matrix()).rows();
        let [x, y, z] = r.rows();
        Self {
            diagonal: Vec3 {
                x: a.dot(x),
                y: b.dot(y),
                z: c.dot(z),
            },
            xy: a.dot(y),
            xz: a.dot(z),
            yz: b.dot(z),
        }
    }

    /// Without constant off-diagonal entries that are rounding noise beside a constant diagonal.
    #[must_use]
    pub(super) fn tidy(self) -> Self {
        let Some(diagonal) = self.diagonal.as_constant() else {
            return self;
        };
        let noise = 1e-14
            * diagonal
                .into_iter()
                .fold(0.0, |largest, d| f64::max(largest, d.abs()));
        let entry = |x: Var| match x.as_constant() {
            Some(value) if value.abs() <= noise => Var::ZERO,
            _ => x,
        };
        Self {
            diagonal: self.diagonal,
            xy: entry(self.xy),
            xz: entry(self.xz),
            yz: entry(self.yz),
        }
    }

    /// As a full matrix.
    pub fn to_matrix(self) -> Mat3 {
        let d = self.diagonal;
        Mat3 {
            x: Vec3::new(d.x, self.xy, self.xz),
            y: Vec3::new(self.xy, d.y, self.yz),
            z: Vec3::new(self.xz, self.yz, d.z),
        }
    }
}

impl Carry for Sym3 {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.diagonal.slots(visit);
        for entry in [&mut self.xy, &mut self.xz, &mut self.yz] {
            entry.slots(visit);
        }
    }
}

impl Add for Sym3 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            diagonal: self.diagonal + other.diagonal,
            xy: self.xy + other.xy,
            xz: self.xz + other.xz,
            yz: self.yz + other.yz,
        }
    }
}

impl Sub for Sym3 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            diagonal: self.diagonal - other.diagonal,
            xy: self.xy - other.xy,
            xz: self.xz - other.xz,
            yz: self.yz - other.yz,
        }
    }
}

impl Mul<Vec3> for Sym3 {
    type Output = Vec3;
    fn mul(self, v: Vec3) -> Vec3 {
        let d = self.diagonal;
        Vec3 {
            x: d.x * v.x + self.xy * v.y + self.xz * v.z,
            y: self.xy * v.x + d.y * v.y + self.yz * v.z,
            z: self.xz * v.x + self.yz * v.y + d.z * v.z,
        }
    }
}
