//! Spatial algebra in MuJoCo's convention: six numbers, rotation first, expressed in world axes about one common
//! origin (Featherstone, Rigid Body Dynamics Algorithms, 2008, chapter 2).
//!
//! About a common origin nothing needs transforming between links: velocities, forces and inertias just add.

use std::array::from_fn;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use super::vector::{Mat3, Sym3, Vec3};
use crate::trace::{Carry, Slot, Var};

macro_rules! six_numbers {
    ($name:ident) => {
        impl $name {
            /// Zero, a constant.
            pub const ZERO: Self = Self {
                ang: Vec3::ZERO,
                lin: Vec3::ZERO,
            };

            /// From the rotational and the translational part.
            pub fn new(ang: Vec3, lin: Vec3) -> Self {
                Self { ang, lin }
            }

            /// The six numbers, rotation first.
            pub fn to_array(self) -> [Var; 6] {
                let ([a, b, c], [d, e, f]) = (self.ang.to_array(), self.lin.to_array());
                [a, b, c, d, e, f]
            }

            /// From six numbers, rotation first.
            pub fn from_array([a, b, c, d, e, f]: [Var; 6]) -> Self {
                Self {
                    ang: Vec3::new(a, b, c),
                    lin: Vec3::new(d, e, f),
                }
            }

            /// Whether it is the constant zero.
            pub fn is_zero(self) -> bool {
                self.ang.is_zero() && self.lin.is_zero()
            }
        }

        impl Carry for $name {
            fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
                self.ang.slots(visit);
                self.lin.slots(visit);
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self {
                    ang: self.ang + other.ang,
                    lin: self.lin + other.lin,
                }
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self {
                    ang: self.ang - other.ang,
                    lin: self.lin - other.lin,
                }
            }
        }

        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self {
                    ang: -self.ang,
                    lin: -self.lin,
                }
            }
        }

        impl Mul<Var> for $name {
            type Output = Self;
            fn mul(self, factor: Var) -> Self {
                Self {
                    ang: self.ang * factor,
                    lin: self.lin * factor,
                }
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }
    };
}

/// A velocity or acceleration: angular, and linear of the point of the body that is at the origin.
#[derive(Clone, Copy, Debug)]
pub struct Motion {
    /// Angular part, rad/s or rad/s².
    pub ang: Vec3,
    /// Linear part, m/s or m/s².
    pub lin: Vec3,
}

/// A wrench or momentum: torque about the origin, and force.
#[derive(Clone, Copy, Debug)]
pub struct Force {
    /// Torque about the origin, N·m.
    pub ang: Vec3,
    /// Force, N.
    pub lin: Vec3,
}

six_numbers!(Motion);
six_numbers!(Force);

impl Motion {
    /// The rotation about a unit axis through a point.
    pub fn about(axis: Vec3, point: Vec3) -> Self {
        Self {
            ang: axis,
            lin: point.cross(axis),
        }
    }

    /// The power of a force in this motion.
    pub fn dot(self, force: Force) -> Var {
        self.ang.dot(force.ang) + self.lin.dot(force.lin)
    }

    /// The rate of change of `other` when it moves along with this velocity: `mju_crossMotion`.
    pub fn cross(self, other: Motion) -> Motion {
        Motion {
            ang: self.ang.cross(other.ang),
            lin: self.ang.cross(other.lin) + self.lin.cross(other.ang),
        }
    }

    /// The rate of change of a force that moves along with this velocity: `mju_crossForce`.
    pub fn cross_force(self, force: Force) -> Force {
        Force {
            ang: self.ang.cross(force.ang) + self.lin.cross(force.lin),
            lin: self.ang.cross(force.lin),
        }
    }

    /// The linear part at a point instead of the origin.
    pub fn at(self, point: Vec3) -> Vec3 {
        self.lin + self.ang.cross(point)
    }
}

impl Force {
    /// A force and a torque that act at a point.
    pub fn acting_at(point: Vec3, torque: Vec3, force: Vec3) -> Self {
        Self {
            ang: torque + point.cross(force),
            lin: force,
        }
    }

    /// The same wrench about another point, given relative to the one that it is about.
    pub fn about(self, point: Vec3) -> Self {
        Self::acting_at(-point, self.ang, self.lin)
    }
}

/// A rigid body's inertia about the origin: ten numbers.
#[derive(Clone, Copy, Debug)]
pub struct Inertia {
    /// Mass, kg.
    pub mass: Var,
    /// Mass times centre of mass, kg·m.
    pub moment: Vec3,
    /// Rotational inertia about the origin, kg·m².
    pub rot: Sym3,
}

impl Inertia {
    /// No inertia, a constant.
    pub fn zero() -> Self {
        Self {
            mass: Var::ZERO,
            moment: Vec3::ZERO,
            rot: Sym3::zero(),
        }
    }

    /// From the mass, the centre of mass and the rotational inertia about it.
    pub fn new(mass: Var, com: Vec3, central: Sym3) -> Self {
        // Parallel axes: rot = central + m (|c|² 1 − c cᵀ).
        let moment = com * mass;
        let Sym3 {
            diagonal: d,
            xy,
            xz,
            yz,
        } = Sym3::outer_scaled(moment, com);
        let shift = Sym3 {
            diagonal: Vec3 {
                x: d.y + d.z,
                y: d.x + d.z,
                z: d.x + d.y,
            },
            xy: -xy,
            xz: -xz,
            yz: -yz,
        };
        Self {
            mass,
            moment,
            rot: central + shift,
        }
    }

    /// Centre of mass and rotational inertia about it; the inverse of [`Inertia::new`].
    pub fn central(self) -> (Vec3, Sym3) {
        let com = (self.moment * self.mass.recip()).tidy();
        let shift = Self::new(self.mass, com, Sym3::zero()).rot;
        (com, (self.rot - shift).tidy())
    }
}

impl Add for Inertia {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            mass: self.mass + other.mass,
            moment: self.moment + other.moment,
            rot: self.rot + other.rot,
        }
    }
}

impl Mul<Motion> for Inertia {
    type Output = Force;
    fn mul(self, v: Motion) -> Force {
        Force {
            ang: self.rot * v.ang + self.moment.cross(v.lin),
            lin: v.lin * self.mass - self.moment.cross(v.ang),
        }
    }
}

impl Carry for Inertia {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.mass.slots(visit);
        self.moment.slots(visit);
        self.rot.slots(visit);
    }
}

/// A symmetric 6 × 6 inertia or stiffness about the origin: 21 numbers, in blocks
///
/// ```text
/// [ ang     cross ]
/// [ crossᵀ  lin   ]
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Articulated {
    /// Torque from rotation.
    pub ang: Sym3,
    /// Torque from translation.
    pub cross: Mat3,
    /// Force from translation.
    pub lin: Sym3,
}

impl Articulated {
    /// No inertia, a constant.
    pub fn zero() -> Self {
        Self {
            ang: Sym3::zero(),
            cross: Mat3::zero(),
            lin: Sym3::zero(),
        }
    }

    /// About the origin, given about a point.
    ///
    /// The motion at the point P is `X y` with `X = [1 0; −[P]× 1]`, so this is `Xᵀ K X`: with the blocks A, C and L,
    /// `C' = C + [P]× L` and `A' = A + C [P]×ᵀ + (C [P]×ᵀ)ᵀ + [P]× L [P]×ᵀ`.
    #[must_use]
    pub fn about_origin(self, point: Vec3) -> Self {
        // The rows of M [P]×ᵀ are P × the rows of M.
        let turned = |m: Mat3| m.rows().map(|row| point.cross(row).to_array());
        let moment = Mat3::skew(point) * self.lin.to_matrix();
        let (c, l) = (turned(self.cross), turned(moment));
        let entry = |i: usize, j: usize| c[i][j] + c[j][i] + l[i][j];
        let added = Sym3 {
            diagonal: Vec3::new(entry(0, 0), entry(1, 1), entry(2, 2)),
            xy: entry(0, 1),
            xz: entry(0, 2),
            yz: entry(1, 2),
        };
        Self {
            ang: self.ang + added,
            cross: self.cross + moment,
            lin: self.lin,
        }
    }

    /// `Σ weight · f fᵀ` is taken away: what the elimination of a joint leaves of an articulated inertia.
    #[must_use]
    pub fn minus_outer(self, f: Force, weight: Var) -> Self {
        let w = f * weight;
        let cross = Mat3 {
            x: w.ang * f.lin.x,
            y: w.ang * f.lin.y,
            z: w.ang * f.lin.z,
        };
        Self {
            ang: self.ang - Sym3::outer_scaled(w.ang, f.ang),
            cross: self.cross - cross,
            lin: self.lin - Sym3::outer_scaled(w.lin, f.lin),
        }
    }

    /// All entries, rotation first.
    pub fn to_matrix(self) -> [[Var; 6]; 6] {
        let (ang, lin) = (
            self.ang.to_matrix().columns(),
            self.lin.to_matrix().columns(),
        );
        let cross = self.cross.rows().map(Vec3::to_array);
        from_fn(|row| {
            from_fn(|column| match (row < 3, column < 3) {
                (true, true) => ang[column].to_array()[row],
                (true, false) => cross[row][column - 3],
                (false, true) => cross[column][row - 3],
                (false, false) => lin[column - 3].to_array()[row - 3],
            })
        })
    }
}

impl From<Inertia> for Articulated {
    fn from(inertia: Inertia) -> Self {
        let m = inertia.mass;
        Self {
            ang: inertia.rot,
            cross: Mat3::skew(inertia.moment),
            lin: Sym3::from_diagonal(Vec3::new(m, m, m)),
        }
    }
}

impl Add for Articulated {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            ang: self.ang + other.ang,
            cross: self.cross + other.cross,
            lin: self.lin + other.lin,
        }
    }
}

impl Mul<Motion> for Articulated {
    type Output = Force;
    fn mul(self, v: Motion) -> Force {
        Force {
            ang: self.ang * v.ang + self.cross * v.lin,
            lin: self.cross.transposed_mul(v.ang) + self.lin * v.lin,
        }
    }
}

impl Carry for Articulated {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.ang.slots(visit);
        self.cross.slots(visit);
        self.lin.slots(visit);
    }
}
