//! What bodies are and do at an instant, alone and with all that hangs on them (`mj_comPos`, `mj_comVel`,
//! `mj_subtreeVel`).
//!
//! Where MuJoCo expresses a spatial quantity about the centre of mass of a whole kinematic tree (`subtree_com` of
//! `body_rootid`), this version computes about the origin of [`Kinematics`], which costs nothing to find, and moves
//! the result where somebody asks for MuJoCo's numbers: [`Bodies::cinert`], [`Bodies::cvel`], [`Bodies::cacc`],
//! [`Bodies::wrench`].

use crate::math::{Force, Inertia, MIN_VALUE, Motion, Sym3, Vec3};
use crate::model::Model;
use crate::trace::Var;

use super::inertia::LinkInertia;
use super::kinematics::Kinematics;
use super::parameters::Parameters;
use super::tree::Tree;

/// Bodies at an instant.
pub struct Bodies<'a> {
    pub(super) model: &'a Model,
    pub(super) parameters: &'a Parameters,
    pub(super) at: &'a Kinematics,
    /// `[nbody]` Velocities about the origins of the trees.
    velocity: &'a [Motion],
    /// `[nbody]` The first link of the tree that a body moves with: bodies of one share their origin.
    root: Vec<Option<usize>>,
}

impl<'a> Bodies<'a> {
    /// From the frames and velocities (`[nbody]`) of [`motion`](super::motion) or [`Forward`](super::Forward).
    pub fn new(
        model: &'a Model,
        parameters: &'a Parameters,
        kinematics: &'a Kinematics,
        cvel: &'a [Motion],
    ) -> Self {
        let tree = Tree::new(model);
        let root = |link: &Option<usize>| link.map(|link| tree.links[link].root);
        Self {
            model,
            parameters,
            at: kinematics,
            velocity: cvel,
            root: tree.body_link.iter().map(root).collect(),
        }
    }

    /// Centre of mass of a body and all that hangs on it, in the world (`subtree_com`), m. Without mass it is that
    /// of the body.
    pub fn subtree_com(&self, body: usize) -> Vec3 {
        self.at.origin[body] + self.subtree_offset(body, body)
    }

    /// Velocity of the centre of mass of a body and all that hangs on it, world axes (`subtree_linvel`), m/s.
    pub fn subtree_linvel(&self, body: usize) -> Vec3 {
        let (mut momentum, mut mass) = (Vec3::ZERO, Var::ZERO);
        for member in self.subtree(body) {
            momentum += self.com_velocity(member) * self.parameters.body_mass[member];
            mass += self.parameters.body_mass[member];
        }
        momentum * mass.max(MIN_VALUE).recip()
    }

    /// Angular momentum of a body and all that hangs on it about their centre of mass, world axes
    /// (`subtree_angmom`), kg·m²/s: `Σ I ω + m (x − x̄) × (v − v̄)`.
    pub fn subtree_angmom(&self, body: usize) -> Vec3 {
        let (com, velocity) = (self.subtree_offset(body, body), self.subtree_linvel(body));
        let of = |member: usize| {
            let arm = self.com_offset(member) + self.between(member, body) - com;
            let orbit = arm.cross(self.com_velocity(member) - velocity);
            self.central(member) * self.velocity[member].ang
                + orbit * self.parameters.body_mass[member]
        };
        let parts = self.subtree(body).into_iter().map(of);
        parts.fold(Vec3::ZERO, |sum, part| sum + part)
    }

    /// A body's inertia about its tree's centre of mass, world axes, as MuJoCo stores it (`cinert`): Ixx, Iyy, Izz,
    /// Ixy, Ixz, Iyz (kg·m²), mass times the offset from there to the body's centre (kg·m), mass (kg). The world has
    /// none.
    pub fn cinert(&self, body: usize) -> [Var; 10] {
        if body == 0 {
            return [Var::ZERO; 10];
        }
        let mass = self.parameters.body_mass[body];
        let arm = self.com_offset(body) - self.center(body);
        let Inertia { moment, rot, .. } = Inertia::new(mass, arm, self.central(body));
        let ([xx, yy, zz], [x, y, z]) = (rot.diagonal.to_array(), moment.to_array());
        [xx, yy, zz, rot.xy, rot.xz, rot.yz, x, y, z, mass]
    }

    /// A body's velocity as MuJoCo stores it (`cvel`): angular, and linear of the point of the body that is at its
    /// tree's centre of mass, world axes.
    pub fn cvel(&self, body: usize) -> Motion {
        self.centered(body, self.velocity[body])
    }

    /// A body's acceleration from [`PostConstraint`](super::PostConstraint) as MuJoCo stores it (`cacc`).
    pub fn cacc(&self, body: usize, acceleration: Motion) -> Motion {
        self.centered(body, acceleration)
    }

    /// A wrench on a body from [`PostConstraint`](super::PostConstraint) about its tree's centre of mass, as MuJoCo
    /// stores it (`cfrc_ext`, `cfrc_int`).
    pub fn wrench(&self, body: usize, wrench: Force) -> Force {
        Force {
            ang: wrench.ang - self.center(body).cross(wrench.lin),
            ..wrench
        }
    }

    fn centered(&self, body: usize, motion: Motion) -> Motion {
        Motion {
            lin: motion.at(self.center(body)),
            ..motion
        }
    }

    /// The centre of mass of the tree that a body belongs to, relative to the body's origin.
    fn center(&self, body: usize) -> Vec3 {
        self.subtree_offset(self.model.body_rootid[body], body)
    }

    /// The centre of mass of a subtree relative to the origin of a body.
    fn subtree_offset(&self, subtree: usize, body: usize) -> Vec3 {
        let com = |member: usize| self.com_offset(member) + self.between(member, body);
        if self.model.body_subtreemass[subtree] < MIN_VALUE {
            return com(subtree);
        }
        let (mut moment, mut mass) = (Vec3::ZERO, Var::ZERO);
        for member in self.subtree(subtree) {
            moment += com(member) * self.parameters.body_mass[member];
            mass += self.parameters.body_mass[member];
        }
        moment * mass.recip()
    }

    /// The origin of one body relative to that of another.
    pub(super) fn between(&self, body: usize, other: usize) -> Vec3 {
        if self.root[body] == self.root[other] {
            return Vec3::ZERO;
        }
        self.at.origin[body] - self.at.origin[other]
    }

    /// A body and all that hangs on it.
    fn subtree(&self, root: usize) -> Vec<usize> {
        let mut inside = vec![false; self.model.nbody];
        // Parents precede children.
        for body in root..self.model.nbody {
            inside[body] = body == root || inside[self.model.body_parentid[body]];
        }
        (root..self.model.nbody)
            .filter(|&body| inside[body])
            .collect()
    }

    /// A body's centre of mass relative to its origin, m.
    pub(super) fn com_offset(&self, body: usize) -> Vec3 {
        self.at.offset[body] + self.at.xmat[body] * self.parameters.body_ipos[body]
    }

    /// Velocity of a body's centre of mass, m/s.
    pub(super) fn com_velocity(&self, body: usize) -> Vec3 {
        self.velocity[body].at(self.com_offset(body))
    }

    /// A body's rotational inertia about its centre of mass, world axes.
    pub(super) fn central(&self, body: usize) -> Sym3 {
        let axes = self.at.xmat[body] * self.parameters.body_iquat[body].to_mat();
        self.parameters.central_inertia(body).rotated(axes)
    }

    /// A body's inertia, about its origin and about its centre of mass.
    pub(super) fn inertia(&self, body: usize) -> LinkInertia {
        let (mass, com) = (self.parameters.body_mass[body], self.com_offset(body));
        let central = self.central(body);
        LinkInertia {
            mass,
            com,
            central,
            spatial: Inertia::new(mass, com, central),
        }
    }

    /// Velocity of a body about its origin.
    pub(super) fn velocity(&self, body: usize) -> Motion {
        self.velocity[body]
    }
}
