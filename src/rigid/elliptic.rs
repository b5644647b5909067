//! Elliptic friction cones (`mj_constraintUpdate`, `HessianCone` in MuJoCo).
//!
//! Let e be the accelerations in a contact's directions less those it asks for, μ_k the friction coefficients, and
//! `μ = μ₁ √(R_t / R_n)` the regularized cone's, where `impratio = R_n / R_t`. The regularization of direction k is
//! `R_t μ₁² / μ_k²`, so in the coordinates `N = μ e_n`, `U_k = μ_k e_k` all directions have one stiffness
//! `K = D_n / μ²`. With `T = |U|`, the cost is K/2 times the squared distance of (N, U) to where nothing pushes:
//!
//! ```text
//! N ≥ μ T       free     0
//! μ N + T ≤ 0   sticks   K/2 (N² + T²)
//! otherwise     slides   D_m/2 (N − μ T)²,   D_m = K / (1 + μ²)
//! ```
//!
//! With `u = U / T`, the Hessian of the last is `D_m v vᵀ + g (1 − u uᵀ)`, where `v = (1, −μ u)` and
//! `g = D_m μ (μ T − N) / T`, between 0 (at the free zone) and K (at the sticking one). The cost is homogeneous of
//! degree two in each zone, so its gradient is the Hessian times (N, U): a Newton step makes the contact a linear
//! spring that pulls towards e = 0, as edges that push do.

use crate::math::{Articulated, Force, MIN_VALUE, Mat3, Motion, Sym3, Vec3};
use crate::trace::{Mask, Var, select};

use super::contact::Touch;

/// The elliptic cone of a contact with friction.
#[derive(Clone, Debug)]
pub(super) struct Elliptic {
    /// μ
    mu: Var,
    /// `[dim]` What turns e into (N, U): μ, μ₁, ….
    scale: Vec<Var>,
    /// K
    stiffness: Var,
    /// Damping b in the friction directions, where it differs from the normal's.
    pub slip_damping: Option<Var>,
}

/// A cone's Hessian `h hᵀ + g (P 1 P − s u uᵀ)` with `h = (normal, radial u)`, in (N, U); P leaves the normal out.
pub(super) struct Hessian {
    normal: Var,
    radial: Var,
    /// √g
    root: Var,
    /// g
    across: Var,
    /// s: one where the contact slides.
    slides: Var,
    /// u
    direction: Vec<Var>,
}

impl Elliptic {
    /// A cone from the friction coefficients of its directions (at least two), the normal's inverse regularization and
    /// `impratio`.
    pub(super) fn new(friction: &[Var], normal_stiffness: Var, impratio: f64) -> Self {
        let mu = friction[0] / impratio.max(MIN_VALUE).sqrt();
        Self {
            mu,
            scale: std::iter::once(mu)
                .chain(friction.iter().copied())
                .collect(),
            stiffness: normal_stiffness / mu.square(),
            slip_damping: None,
        }
    }

    /// D_m
    fn sliding_stiffness(&self) -> Var {
        self.stiffness / (1.0 + self.mu.square())
    }

    /// (N, U)
    fn scaled(&self, excess: &[Var]) -> Vec<Var> {
        let pairs = excess.iter().zip(&self.scale);
        pairs.map(|(&e, &scale)| e * scale).collect()
    }

    /// Whether a contact sticks, and whether it slides, at N and T.
    fn zone(&self, n: Var, t: Var) -> [Mask; 2] {
        let sticks = (self.mu * n + t).le(0.0);
        [sticks, !sticks & n.lt(self.mu * t)]
    }

    /// Whether the contact sticks, and whether it slides.
    pub(super) fn zones(&self, excess: &[Var]) -> [Mask; 2] {
        let scaled = self.scaled(excess);
        self.zone(scaled[0], norm(&scaled[1..]))
    }

    /// The Hessian at an excess, in a zone that need not be the excess's own.
    pub(super) fn hessian(&self, excess: &[Var], zone: &[Mask]) -> Hessian {
        let scaled = self.scaled(excess);
        let (n, tangent) = (scaled[0], &scaled[1..]);
        let t = norm(tangent);
        let inverse = t.max(MIN_VALUE).recip();
        let (sticks, slides) = (zone[0], zone[1] & !zone[0]);
        let softer = self.sliding_stiffness();
        let curvature = (self.mu * (self.mu * t - n) * inverse).clamp(0.0, 1.0 + self.mu.square());
        let of = |stick: Var, slide: Var| select(sticks, stick, select(slides, slide, Var::ZERO));
        let across = of(self.stiffness, softer * curvature);
        Hessian {
            normal: of(self.stiffness.sqrt(), softer.sqrt()),
            radial: of(Var::ZERO, -(self.mu * softer.sqrt())),
            root: across.sqrt(),
            across,
            slides: of(Var::ZERO, Var::ONE),
            direction: tangent.iter().map(|&u| u * inverse).collect(),
        }
    }

    /// Minus the cost's gradient in (N, U).
    fn pull(&self, scaled: &[Var]) -> Vec<Var> {
        let (n, tangent) = (scaled[0], &scaled[1..]);
        let t = norm(tangent);
        let [sticks, slides] = self.zone(n, t);
        let along = self.sliding_stiffness() * (self.mu * t - n);
        let of = |stick: Var, slide: Var| select(sticks, stick, select(slides, slide, Var::ZERO));
        let normal = of(-(self.stiffness * n), along);
        let radial = of(-self.stiffness, -(self.mu * along) / t.max(MIN_VALUE));
        let tangent = tangent.iter().map(|&u| radial * u);
        std::iter::once(normal).chain(tangent).collect()
    }

    /// `[dim]` The force in its directions.
    pub(super) fn force(&self, excess: &[Var]) -> Vec<Var> {
        let pull = self.pull(&self.scaled(excess));
        let pairs = pull.into_iter().zip(&self.scale);
        pairs.map(|(pull, &scale)| pull * scale).collect()
    }

    /// Whether the linear spring that a Newton step took the contact for pulls as the contact does, up to a part of the
    /// terms' size. `spring` is a part of the normal's excess that others may cancel.
    pub(super) fn agrees(&self, taken: &Hessian, excess: &[Var], spring: Var, part: Var) -> Mask {
        let scaled = self.scaled(excess);
        let pulls = self.pull(&scaled).into_iter().zip(taken.pull(&scaled));
        let differences = pulls.map(|(exact, taken)| (exact - taken).abs());
        let off = differences.fold(Var::ZERO, |most, off| most.max(off));
        let size = scaled[0].abs() + norm(&scaled[1..]) + (self.mu * spring).abs();
        !off.gt(part * self.stiffness * size)
    }

    /// What its cost does along the way from one excess to another.
    pub(super) fn ray(&self, from: &[Var], to: &[Var], present: Mask) -> Ray {
        let (from, to) = (self.scaled(from), self.scaled(to));
        let step: Vec<Var> = to.iter().zip(&from).map(|(&to, &from)| to - from).collect();
        let dot = |a: &[Var], b: &[Var]| a[1..].iter().zip(&b[1..]).map(|(&a, &b)| a * b).sum();
        Ray {
            mu: self.mu,
            stiffness: select(present, self.stiffness, Var::ZERO),
            normal: [from[0], step[0]],
            tangent: [dot(&from, &from), dot(&from, &step), dot(&step, &step)],
        }
    }
}

fn norm(x: &[Var]) -> Var {
    let squares: Var = x.iter().map(|x| x.square()).sum();
    squares.sqrt()
}

/// A cone along `(N, U) = (N₀ + α N₁, U₀ + α U₁)`.
pub(super) struct Ray {
    mu: Var,
    stiffness: Var,
    /// `[N₀, N₁]`
    normal: [Var; 2],
    /// `[U₀·U₀, U₀·U₁, U₁·U₁]`
    tangent: [Var; 3],
}

impl Ray {
    /// First and second derivative of the cost in α: with `N' = N₁`, `T' = (U₀·U₁ + α U₁·U₁) / T` and
    /// `T'' = (U₁·U₁ − T'²) / T`, those of the cost of each zone.
    pub(super) fn slope(&self, alpha: Var) -> [Var; 2] {
        let [n0, n1] = self.normal;
        let [a, b, c] = self.tangent;
        let n = n0 + alpha * n1;
        let half_rate = b + alpha * c;
        let t = (a + alpha * (b + half_rate)).max(0.0).sqrt();
        let inverse = t.max(MIN_VALUE).recip();
        let rate = half_rate * inverse;
        let sticks = (self.mu * n + t).le(0.0);
        let slides = !sticks & n.lt(self.mu * t);
        let softer = self.stiffness / (1.0 + self.mu.square());
        let (gap, closing) = (n - self.mu * t, n1 - self.mu * rate);
        let bend = self.mu * (c - rate.square()).max(0.0) * inverse;
        let of = |stick: Var, slide: Var| select(sticks, stick, select(slides, slide, Var::ZERO));
        [
            of(
                self.stiffness * (n * n1 + half_rate),
                softer * gap * closing,
            ),
            of(
                self.stiffness * (n1.square() + c),
                softer * (closing.square() - gap * bend),
            ),
        ]
    }
}

impl Hessian {
    /// Minus its product with (N, U).
    fn pull(&self, scaled: &[Var]) -> Vec<Var> {
        let (n, tangent) = (scaled[0], &scaled[1..]);
        let directions = self.direction.iter().zip(tangent);
        let along: Var = directions.clone().map(|(&u, &x)| u * x).sum();
        let pull = self.normal * n + self.radial * along;
        let tangent = directions.map(|(&u, &x)| {
            let across = self.across * (x - self.slides * along * u);
            -(self.radial * u * pull + across)
        });
        std::iter::once(-(self.normal * pull))
            .chain(tangent)
            .collect()
    }

    /// The force of this spring in the contact frame at an excess.
    pub(super) fn force(&self, cone: &Elliptic, excess: &[Var]) -> [Var; 6] {
        let pulls = self.pull(&cone.scaled(excess)).into_iter().zip(&cone.scale);
        let mut force = [Var::ZERO; 6];
        for (force, (pull, &scale)) in force.iter_mut().zip(pulls) {
            *force = pull * scale;
        }
        force
    }

    /// `[dim][dim]` A factor F of the stiffness in the contact's directions: `1 − u uᵀ` is its own square.
    pub(super) fn factor(&self, cone: &Elliptic) -> Vec<Vec<Var>> {
        let dim = cone.scale.len();
        let entry = |row: usize, column: usize| match (row, column) {
            (0, 0) => self.normal,
            (0, _) => Var::ZERO,
            (_, 0) => self.radial * self.direction[row - 1],
            _ => {
                let own = if row == column { Var::ONE } else { Var::ZERO };
                let along = self.direction[row - 1] * self.direction[column - 1];
                self.root * (own - self.slides * along)
            }
        };
        let row = |row: usize| {
            (0..dim)
                .map(|column| cone.scale[row] * entry(row, column))
                .collect()
        };
        (0..dim).map(row).collect()
    }

    /// The stiffness about the origin, and the force that it exerts at zero acceleration, given the velocity of the
    /// contact's link.
    pub(super) fn load(
        &self,
        cone: &Elliptic,
        touch: &Touch,
        cvel: Motion,
    ) -> (Articulated, Force) {
        let [n, t1, t2] = touch.axes();
        let (mut u_lin, mut u_ang) = (Vec3::ZERO, Vec3::ZERO);
        let (mut lin, mut ang) = (Sym3::zero(), Sym3::zero());
        let axes = [t1, t2, n, t1, t2].into_iter().zip(&cone.scale[1..]);
        for (k, (axis, &mu)) in axes.enumerate() {
            let own = Sym3::outer_scaled(axis * (self.across * mu.square()), axis);
            let along = axis * (self.direction[k] * mu);
            if k < 2 {
                (lin, u_lin) = (lin + own, u_lin + along);
            } else {
                (ang, u_ang) = (ang + own, u_ang + along);
            }
        }
        let h_lin = n * (cone.mu * self.normal) + u_lin * self.radial;
        let h_ang = u_ang * self.radial;
        let less = self.across * self.slides;
        lin = lin + Sym3::outer_scaled(h_lin, h_lin) - Sym3::outer_scaled(u_lin * less, u_lin);
        ang = ang + Sym3::outer_scaled(h_ang, h_ang) - Sym3::outer_scaled(u_ang * less, u_ang);
        let (h, u) = (h_lin.to_array(), (u_lin * less).to_array());
        let column = |k: usize| h_ang * h[k] - u_ang * u[k];
        let cross = Mat3::from_columns(column(0), column(1), column(2));
        touch.settled(Articulated { ang, cross, lin }, cvel)
    }
}
