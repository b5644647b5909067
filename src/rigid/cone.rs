//! What a contact does to a link under the pyramidal cone (`mj_contactForce`); elliptic ones are in
//! [`elliptic`](super::elliptic).
//!
//! A contact with friction is a pyramid of edges: with the normal n and friction directions t_k of coefficient μ_k,
//! the rows `n ± μ_k t_k`, each one-sided and of the same regularization. All edges of a contact ask for one
//! acceleration of its point: with the relative velocity v there, `c = −b v − k d (distance − margin) n`. So the edges
//! that push make a stiffness of the relative motion at the point, a symmetric 6 × 6, and a force that is this
//! stiffness times c: no row of a Jacobian is ever formed.

use crate::math::{Articulated, Force, Mat3, Motion, Sym3, Vec3};
use crate::trace::{Mask, Var, select};

use super::contact::Touch;

/// The number of bits of a contact's state.
pub(super) fn state_bits(dim: usize, is_elliptic: bool) -> usize {
    match (dim, is_elliptic) {
        (1, _) => 1,
        (_, true) => 2,
        (_, false) => 2 * (dim - 1),
    }
}

impl Touch {
    /// The axes of the contact frame such that a force along them acts on the link.
    pub(super) fn axes(&self) -> [Vec3; 3] {
        if self.is_second {
            self.frame
        } else {
            self.frame.map(|axis| -axis)
        }
    }

    /// The stiffness about the origin of the edges that push, and the force that it exerts at zero acceleration,
    /// given the velocity of its link.
    ///
    /// The edges of direction k with `s = D₊ + D₋` and `e = μ (D₊ − D₋)` are
    /// `s n nᵀ + μ² s t tᵀ + e (n tᵀ + t nᵀ)`.
    pub(super) fn load(&self, pushes: &[Mask], cvel: Motion) -> (Articulated, Force) {
        let strength = |edge: usize| select(pushes[edge], self.stiffness, Var::ZERO);
        let [n, t1, t2] = self.axes();
        let (mut normal, mut with_normal, mut with_spin) = (Var::ZERO, Vec3::ZERO, Vec3::ZERO);
        let (mut lin, mut ang) = (Sym3::zero(), Sym3::zero());
        if self.dim == 1 {
            normal = strength(0);
        }
        for (k, axis) in [t1, t2, n, t1, t2]
            .into_iter()
            .enumerate()
            .take(self.dim - 1)
        {
            let (plus, minus, mu) = (strength(2 * k), strength(2 * k + 1), self.friction[k]);
            let (own, shared) = ((plus + minus) * mu.square(), (plus - minus) * mu);
            normal += plus + minus;
            if k < 2 {
                // The part n tᵀ + t nᵀ is added below.
                lin = lin + Sym3::outer_scaled(axis * own, axis);
                with_normal += axis * shared;
            } else {
                ang = ang + Sym3::outer_scaled(axis * own, axis);
                with_spin += axis * shared;
            }
        }
        let across = Sym3::outer_scaled(n, with_normal) + Sym3::outer_scaled(with_normal, n);
        lin = lin + Sym3::outer_scaled(n * normal, n) + across;
        let cross = Mat3::from_columns(with_spin * n.x, with_spin * n.y, with_spin * n.z);
        self.settled(Articulated { ang, cross, lin }, cvel)
    }

    /// A stiffness about the point moved to the origin, and the force that it exerts at zero acceleration, given the
    /// velocity of the link: the stiffness times `−c`.
    pub(super) fn settled(&self, about_point: Articulated, cvel: Motion) -> (Articulated, Force) {
        let drift = cvel * self.damping;
        let n = self.axes()[0];
        let mut rest = Motion::new(drift.ang, drift.at(self.pos) + n * self.spring);
        if let Some(slip) = self.slip_damping() {
            let v = cvel.at(self.pos);
            rest.ang = cvel.ang * slip;
            rest.lin += (v - n * n.dot(v)) * (slip - self.damping);
        }
        let force = about_point * rest;
        (
            about_point.about_origin(self.pos),
            Force::acting_at(self.pos, force.ang, force.lin),
        )
    }

    /// Damping in the friction directions, where it differs from the normal's.
    fn slip_damping(&self) -> Option<Var> {
        self.elliptic.as_ref().and_then(|cone| cone.slip_damping)
    }

    /// The bits of its state: for each edge whether it pushes; for an elliptic cone whether it sticks and slides.
    pub(super) fn bits(&self) -> usize {
        state_bits(self.dim, self.elliptic.is_some())
    }

    /// `[dim][dim]` A factor F of the stiffness `C = F Fᵀ` that the edges that push make in the contact's directions.
    ///
    /// The two edges of friction direction k make a column. Both: `D (n + μ t)(n + μ t)ᵀ + D (n − μ t)(n − μ t)ᵀ`
    /// is `2 D μ² t tᵀ + 2 D n nᵀ`, and its normal part goes to the column of the normal. One alone is a column as it is.
    pub(super) fn factor(&self, pushes: &[Mask]) -> Vec<Vec<Var>> {
        let root = self.stiffness.sqrt();
        if self.dim == 1 {
            return vec![vec![select(pushes[0], root, Var::ZERO)]];
        }
        let mut factor = vec![vec![Var::ZERO; self.dim]; self.dim];
        let mut doubled = Var::ZERO;
        for k in 1..self.dim {
            let (plus, minus) = (pushes[2 * k - 2], pushes[2 * k - 1]);
            let one_sided = select(plus, root, select(minus, -root, Var::ZERO));
            factor[0][k] = select(plus & minus, Var::ZERO, one_sided);
            let size = select(
                plus & minus,
                root * std::f64::consts::SQRT_2,
                select(plus | minus, root, Var::ZERO),
            );
            factor[k][k] = size * self.friction[k - 1];
            doubled += select(plus & minus, Var::from(2.0), Var::ZERO);
        }
        factor[0][0] = root * doubled.sqrt();
        factor
    }

    /// `[dim]` The accelerations that it asks for, with their signs changed, given the velocities in its directions.
    pub(super) fn offset(&self, velocity: &[Var]) -> Vec<Var> {
        let slip = self.slip_damping().unwrap_or(self.damping);
        let mut offset: Vec<Var> = velocity.iter().map(|&v| v * slip).collect();
        offset[0] = velocity[0] * self.damping + self.spring;
        offset
    }

    /// The acceleration in its directions less those it asks for, given the acceleration and the velocity of its link.
    pub(super) fn excess(&self, motion: Motion, cvel: Motion) -> Vec<Var> {
        let mut excess = self.along(motion + cvel * self.damping);
        excess[0] += self.spring;
        if let Some(slip) = self.slip_damping() {
            let velocity = self.along(cvel);
            let pairs = excess.iter_mut().zip(velocity).skip(1);
            pairs.for_each(|(excess, v)| *excess += v * (slip - self.damping));
        }
        excess
    }

    /// The parts of a motion, relative to the origin, in the contact's directions: the normal and the friction's.
    pub(super) fn along(&self, motion: Motion) -> Vec<Var> {
        let [n, t1, t2] = self.axes();
        let lin = motion.at(self.pos);
        let along = |k: usize| match k {
            0 => n.dot(lin),
            1 => t1.dot(lin),
            2 => t2.dot(lin),
            3 => n.dot(motion.ang),
            4 => t1.dot(motion.ang),
            _ => t2.dot(motion.ang),
        };
        (0..self.dim).map(along).collect()
    }

    /// How far each edge exceeds its reference acceleration, given the excess in the contact's directions; and the size
    /// of the terms.
    fn residuals_of(&self, excess: &[Var]) -> (Vec<Var>, Var) {
        let normal = excess[0];
        let mut size = normal.abs() + self.spring.abs();
        if self.dim == 1 {
            return (vec![normal], size);
        }
        let mut edges = Vec::new();
        for (&along, &mu) in excess[1..].iter().zip(&self.friction) {
            let slip = along * mu;
            edges.extend([normal + slip, normal - slip]);
            size += slip.abs();
        }
        (edges, size)
    }

    /// Which edges should push, given which do. `slack` is the part of the terms' size by which a residual must be on
    /// the other side.
    pub(super) fn wanted(&self, excess: &[Var], pushes: &[Mask], slack: Var) -> Vec<Mask> {
        let (edges, size) = self.residuals_of(excess);
        let band = slack * size;
        edges
            .iter()
            .zip(pushes)
            .map(|(residual, &pushing)| residual.lt(select(pushing, band, -band)))
            .collect()
    }

    /// The force in the contact frame, given which edges push.
    pub(super) fn force(&self, excess: &[Var], pushes: &[Mask]) -> [Var; 6] {
        if let Some(cone) = &self.elliptic {
            let mut force = [Var::ZERO; 6];
            let along = cone.force(excess).into_iter().zip(&mut force);
            along.for_each(|(found, force)| *force = select(self.present, found, Var::ZERO));
            return force;
        }
        let (edges, _) = self.residuals_of(excess);
        let pushes = edges.iter().zip(pushes);
        let push: Vec<Var> = pushes
            .map(|(&residual, &pushing)| select(pushing, -residual * self.stiffness, Var::ZERO))
            .collect();
        let mut force = [Var::ZERO; 6];
        force[0] = push.iter().copied().sum();
        for k in 0..self.dim - 1 {
            force[k + 1] = (push[2 * k] - push[2 * k + 1]) * self.friction[k];
        }
        force
    }

    /// A force in the contact frame as a wrench on the link about the origin of its tree.
    pub(super) fn wrench(&self, force: &[Var; 6]) -> Force {
        let [n, t1, t2] = self.axes();
        let turned = |k: usize| n * force[k] + t1 * force[k + 1] + t2 * force[k + 2];
        Force::acting_at(self.pos, turned(3), turned(0))
    }
}
