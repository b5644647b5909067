//! Solves `(M + B) x = τ` without building the joint-space inertia M, for a B that couples only degrees of freedom
//! of one joint: armature, implicit damping, active limits.
//!
//! The articulated-body recursion (Featherstone, Rigid Body Dynamics Algorithms, 2008, chapter 7), about a common
//! origin. From the leaves inwards, each joint is eliminated: what remains is the articulated inertia K and the force
//! p that the rest of the tree feels. From the roots outwards, accelerations are substituted back. It is linear in
//! the number of joints, and every call repeats both sweeps, with what does not change shared or hoisted by the graph.

use crate::math::{Articulated, Force, Mat3, Motion, Sym3, Vec3};
use crate::model::{Joint, Model};
use crate::trace::{Carry, Mask, Slot, Var};

use super::Context;
use super::inertia::LinkInertia;
use super::kinematics::Kinematics;
use super::tree::Link;

/// A symmetric matrix in joint space whose blocks each belong to one joint.
#[derive(Clone, Debug)]
pub(super) struct JointBlocks {
    /// `[njnt][i][j ≤ i]` Lower triangles.
    blocks: Vec<Vec<Vec<Var>>>,
}

impl JointBlocks {
    /// A diagonal matrix (`[nv]`).
    pub(super) fn from_diagonal(model: &Model, diagonal: &[Var]) -> Self {
        let row = |dof: usize, i: usize| {
            let mut row = vec![Var::ZERO; i];
            row.push(diagonal[dof + i]);
            row
        };
        let block = |joint: usize| {
            (0..model.jnt_type[joint].nv())
                .map(|i| row(model.jnt_dofadr[joint], i))
                .collect()
        };
        Self {
            blocks: (0..model.njnt).map(block).collect(),
        }
    }

    /// Adds `weight · v vᵀ` for a sparse v (degree of freedom, coefficient) within one joint.
    pub(super) fn add_outer(
        &mut self,
        model: &Model,
        joint: usize,
        v: &[(usize, Var)],
        weight: Var,
    ) {
        let first = model.jnt_dofadr[joint];
        for &(a, x) in v {
            for &(b, y) in v.iter().filter(|&&(b, _)| b <= a) {
                self.blocks[joint][a - first][b - first] += weight * x * y;
            }
        }
    }

    /// An entry of a joint's block.
    pub(super) fn get(&self, joint: usize, i: usize, j: usize) -> Var {
        self.blocks[joint][i.max(j)][i.min(j)]
    }

    /// The sum with another matrix.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        let pairs = sum
            .blocks
            .iter_mut()
            .flatten()
            .flatten()
            .zip(other.blocks.iter().flatten().flatten());
        pairs.for_each(|(a, &b)| *a += b);
        sum
    }

    /// The product with a vector (`[nv]`).
    pub(super) fn mul(&self, model: &Model, x: &[Var]) -> Vec<Var> {
        let mut product = Vec::with_capacity(x.len());
        for joint in 0..model.njnt {
            let dofs = model.joint_dofs(joint);
            for i in 0..dofs.len() {
                product.push(
                    dofs.clone()
                        .enumerate()
                        .map(|(j, dof)| self.get(joint, i, j) * x[dof])
                        .sum(),
                );
            }
        }
        product
    }

    /// Whether every entry is the constant zero.
    pub(super) fn is_zero(&self) -> bool {
        self.blocks
            .iter()
            .flatten()
            .flatten()
            .all(|entry| entry.is_zero())
    }
}

/// A joint after its elimination. With parent motion Y, its unknowns satisfy, one after the other,
/// `x_k = (u_k − U_k · Y − Σ_{j<k} c_kj x_j) / d_k`.
struct Eliminated {
    joint: usize,
    columns: Vec<Column>,
}

struct Column {
    /// U: force at the origin per unit acceleration of this degree of freedom.
    force: Force,
    /// 1 / d
    inverse: Var,
    /// u
    load: Var,
    /// c: coupling to the joint's earlier degrees of freedom.
    coupling: Vec<Var>,
}

/// `[nv]` The solution x of `(M + B) x = τ`, with M given by the links' inertias.
pub(super) fn solve(
    cx: &Context<'_>,
    at: &Kinematics,
    inertia: &[LinkInertia],
    blocks: &JointBlocks,
    tau: &[Var],
) -> Vec<Var> {
    respond(cx, at, Loads::of(inertia), blocks, tau).x
}

/// What the links resist with.
#[derive(Clone)]
pub(super) struct Loads {
    /// `[links]` Inertia, about the tree's origin.
    pub k: Vec<Articulated>,
    /// `[links]` The force that it takes to keep the acceleration at zero.
    pub p: Vec<Force>,
}

impl Loads {
    /// Their own inertia only.
    pub(super) fn of(inertia: &[LinkInertia]) -> Self {
        Self {
            k: inertia.iter().map(|body| body.spatial.into()).collect(),
            p: vec![Force::ZERO; inertia.len()],
        }
    }
}

/// What [`respond`] finds.
#[derive(Clone)]
pub(super) struct Response {
    /// `[nv]` The solution.
    pub x: Vec<Var>,
    /// `[links]` The motion of each link that belongs to it, about the tree's origin.
    pub motion: Vec<Motion>,
}

impl Response {
    /// Whether it differs from another by no more than a part of its largest acceleration.
    pub(super) fn equals(&self, other: &Self, part: Var) -> Mask {
        let largest = |size: Var, x: Var| size.max(x.abs());
        let size = self.x.iter().copied().fold(Var::ZERO, largest);
        let change = self.x.iter().zip(&other.x).map(|(&x, &other)| x - other);
        change.fold(Var::ZERO, largest).le(part * size)
    }
}

impl Carry for Response {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.x.slots(visit);
        self.motion.slots(visit);
    }
}

/// `[links]` The motions of the links at joint accelerations x, about the tree's origin.
pub(super) fn motions(cx: &Context<'_>, at: &Kinematics, x: &[Var]) -> Vec<Motion> {
    let mut motions: Vec<Motion> = Vec::with_capacity(cx.tree.links.len());
    for link in &cx.tree.links {
        let carrier = link.parent.map_or(Motion::ZERO, |parent| motions[parent]);
        let dofs = cx.model.body_dofs(link.body);
        motions.push(dofs.fold(carrier, |sum, dof| sum + at.cdof[dof] * x[dof]));
    }
    motions
}

/// The solution x of `(M + B) x = τ − Σ Jᵀ p`, with M given by the inertias that loads have, and J a link's Jacobian.
pub(super) fn respond(
    cx: &Context<'_>,
    at: &Kinematics,
    loads: Loads,
    blocks: &JointBlocks,
    tau: &[Var],
) -> Response {
    let sweep = Sweep {
        cx,
        at,
        blocks,
        tau,
        motion: vec![Motion::ZERO; loads.k.len()],
        k: loads.k,
        p: loads.p,
        x: vec![Var::ZERO; cx.model.nv],
    };
    sweep.run()
}

/// The recursion under way.
struct Sweep<'a> {
    cx: &'a Context<'a>,
    at: &'a Kinematics,
    blocks: &'a JointBlocks,
    tau: &'a [Var],
    /// `[links]` What hangs on a link so far, itself included: articulated inertia.
    k: Vec<Articulated>,
    /// `[links]` The force that comes with it at zero acceleration.
    p: Vec<Force>,
    /// `[links]` Acceleration.
    motion: Vec<Motion>,
    /// `[nv]` The solution.
    x: Vec<Var>,
}

impl Sweep<'_> {
    fn run(mut self) -> Response {
        let links = &self.cx.tree.links;
        let mut eliminated: Vec<Vec<Eliminated>> = Vec::with_capacity(links.len());
        for (index, link) in links.iter().enumerate().rev() {
            let joints = link.joints.clone().rev();
            eliminated.push(match self.is_free(link) {
                true => Vec::new(),
                false => joints.map(|joint| self.eliminate(index, joint)).collect(),
            });
            if let Some(parent) = link.parent {
                self.k[parent] = self.k[parent] + self.k[index];
                self.p[parent] = self.p[parent] + self.p[index];
            }
        }
        for (index, (link, joints)) in links.iter().zip(eliminated.iter().rev()).enumerate() {
            let carrier = link
                .parent
                .map_or(Motion::ZERO, |parent| self.motion[parent]);
            self.motion[index] = match self.is_free(link) {
                true => self.free(index, link.joints.start),
                false => joints
                    .iter()
                    .rev()
                    .fold(carrier, |y, joint| self.substitute(joint, y)),
            };
        }
        Response {
            x: self.x,
            motion: self.motion,
        }
    }

    fn is_free(&self, link: &Link) -> bool {
        self.cx.model.jnt_type[link.joints.start] == Joint::Free
    }

    /// Eliminates a joint from the inertia and force beyond it.
    ///
    /// The unknowns y of a joint with axes S obey `(SᵀKS + B) y + SᵀK Y + Sᵀp = τ`. With U = KS, `LDLᵀ` factors of
    /// the bracket and the columns of U reduced along, `K' = K − U D⁻¹ Uᵀ` and `p' = p + U D⁻¹ u`.
    fn eliminate(&mut self, link: usize, joint: usize) -> Eliminated {
        let (k, p) = (&mut self.k[link], &mut self.p[link]);
        let dofs = self.cx.model.joint_dofs(joint);
        let axes = &self.at.cdof[dofs.clone()];
        let n = axes.len();
        let mut force: Vec<Force> = axes.iter().map(|&axis| *k * axis).collect();
        let mut load: Vec<Var> = dofs
            .map(|dof| self.tau[dof] - self.at.cdof[dof].dot(*p))
            .collect();
        let bracket = |i: usize, j: usize| axes[j].dot(force[i]) + self.blocks.get(joint, i, j);
        let mut d: Vec<Vec<Var>> = (0..n)
            .map(|i| (0..=i).map(|j| bracket(i, j)).collect())
            .collect();
        let mut columns = Vec::with_capacity(n);
        for i in (0..n).rev() {
            let inverse = d[i][i].recip();
            for j in 0..i {
                let factor = d[i][j] * inverse;
                force[j] = force[j] - force[i] * factor;
                load[j] = load[j] - load[i] * factor;
                let (rows, this) = d.split_at_mut(i);
                rows[j]
                    .iter_mut()
                    .zip(&this[0])
                    .for_each(|(entry, &coupled)| *entry -= coupled * factor);
            }
            *k = k.minus_outer(force[i], inverse);
            *p += force[i] * (inverse * load[i]);
            columns.push(Column {
                force: force[i],
                inverse,
                load: load[i],
                coupling: d[i][..i].to_vec(),
            });
        }
        columns.reverse();
        Eliminated { joint, columns }
    }

    /// Finds a joint's unknowns from the motion of what carries it, and gives the motion beyond it.
    fn substitute(&mut self, done: &Eliminated, carrier: Motion) -> Motion {
        let first = self.cx.model.jnt_dofadr[done.joint];
        let mut beyond = carrier;
        for (i, column) in done.columns.iter().enumerate() {
            let coupled: Var = (0..i).map(|j| column.coupling[j] * self.x[first + j]).sum();
            self.x[first + i] =
                (column.load - carrier.dot(column.force) - coupled) * column.inverse;
            beyond += self.at.cdof[first + i] * self.x[first + i];
        }
        beyond
    }

    /// Solves for a free joint, whose motion is that of its link: nothing carries it.
    ///
    /// Its degrees of freedom are the linear velocity in the world and the angular velocity in the body, at the
    /// origin of the tree. So with R the body's orientation, B becomes a spatial inertia and τ a wrench by turning
    /// their angular parts, and the six unknowns are solved for in world axes.
    fn free(&mut self, link: usize, joint: usize) -> Motion {
        let first = self.cx.model.jnt_dofadr[joint];
        let rotation = self.at.xmat[self.cx.model.jnt_bodyid[joint]];
        let entry = |i: usize, j: usize| self.blocks.get(joint, i, j);
        let symmetric = |o: usize| Sym3 {
            diagonal: Vec3::new(entry(o, o), entry(o + 1, o + 1), entry(o + 2, o + 2)),
            xy: entry(o, o + 1),
            xz: entry(o, o + 2),
            yz: entry(o + 1, o + 2),
        };
        let mixed = |column: usize| Vec3::new(entry(3, column), entry(4, column), entry(5, column));
        let joint_inertia = Articulated {
            ang: symmetric(3).rotated(rotation),
            cross: rotation * Mat3::from_columns(mixed(0), mixed(1), mixed(2)),
            lin: symmetric(0),
        };
        let torque = rotation * Vec3::from_slice(&self.tau[first + 3..]);
        let wrench = Force::new(torque, Vec3::from_slice(&self.tau[first..])) - self.p[link];
        let motion = solve_six(
            (self.k[link] + joint_inertia).to_matrix(),
            wrench.to_array(),
        );
        let motion = Motion::from_array(motion);
        self.x[first..first + 3].copy_from_slice(&motion.lin.to_array());
        self.x[first + 3..first + 6]
            .copy_from_slice(&rotation.transposed_mul(motion.ang).to_array());
        motion
    }
}

/// Solves a symmetric positive definite system of six by `LDLᵀ`; the linear unknowns go first, because a body that
/// carries nothing is diagonal in them.
fn solve_six(mut h: [[Var; 6]; 6], mut x: [Var; 6]) -> [Var; 6] {
    const ORDER: [usize; 6] = [3, 4, 5, 0, 1, 2];
    let mut inverse = [Var::ZERO; 6];
    for (step, &i) in ORDER.iter().enumerate() {
        inverse[i] = h[i][i].recip();
        let rest = &ORDER[step + 1..];
        for (a, &row) in rest.iter().enumerate() {
            let factor = h[i][row] * inverse[i];
            for &column in &rest[a..] {
                let reduced = h[row][column] - factor * h[i][column];
                (h[row][column], h[column][row]) = (reduced, reduced);
            }
            x[row] -= factor * x[i];
        }
    }
    for (step, &i) in ORDER.iter().enumerate().rev() {
        let known: Var = ORDER[step + 1..].iter().map(|&j| h[i][j] * x[j]).sum();
        x[i] = (x[i] - known) * inverse[i];
    }
    x
}
