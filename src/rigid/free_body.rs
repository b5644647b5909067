//! The gyroscopic part of `implicitfast` for free bodies that carry nothing that moves (`mjd_freeMhat`).
//!
//! For such a body MuJoCo adds the derivative of the bias force to the implicit matrix, which makes it unsymmetric,
//! six by six, and apart from everything else.

use crate::math::{Mat3, Sym3, Vec3};
use crate::trace::Var;

use super::articulated::JointBlocks;
use super::inertia::LinkInertia;
use super::state::State;
use super::{Context, Forward};

/// Replaces the accelerations `qacc` of all free bodies that carry nothing but what is welded to them.
///
/// `derivative` is the time step times the negative derivative of all other forces by the velocity.
pub(super) fn implicit(
    cx: &Context<'_>,
    state: &State,
    now: &Forward,
    derivative: &JointBlocks,
    qacc: &mut [Var],
) {
    for (index, link) in cx.tree.links.iter().enumerate() {
        let body = link.body;
        if !link.is_lone_free_body(cx.model) {
            continue;
        }
        let first = cx.model.body_dofadr[body];
        let rotation = now.kinematics.xmat[body];
        let spin = rotation * Vec3::from_slice(&state.qvel[first + 3..]);
        let bias = bias_derivative(&now.inertia[index], spin, cx.parameters.timestep);
        let linear = Vec3::from_slice(&now.qacc[first..]);
        let angular = rotation * Vec3::from_slice(&now.qacc[first + 3..]);
        let accelerations = [linear, angular];

        // A y = (M + armature) qacc with A = M + armature + N, in world axes, solved for the difference to qacc.
        let joint = link.joints.start;
        let n = in_world(rotation, |i, j| derivative.get(joint, i, j)).plus(&bias);
        let m = mass(&now.inertia[index])
            .plus(&in_world(rotation, |i, j| now.armature.get(joint, i, j)));
        let difference = solve(m.plus(&n).to_matrix(), n.mul(accelerations));
        let [linear, angular] = [
            accelerations[0] - difference[0],
            accelerations[1] - difference[1],
        ];
        qacc[first..first + 3].copy_from_slice(&linear.to_array());
        qacc[first + 3..first + 6].copy_from_slice(&rotation.transposed_mul(angular).to_array());
    }
}

/// A 6 × 6 matrix in 3 × 3 blocks, linear first, as a free joint's degrees of freedom.
struct Blocks([[Mat3; 2]; 2]);

impl Blocks {
    fn plus(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| {
            std::array::from_fn(|j| self.0[i][j] + other.0[i][j])
        }))
    }

    fn mul(&self, v: [Vec3; 2]) -> [Vec3; 2] {
        std::array::from_fn(|i| self.0[i][0] * v[0] + self.0[i][1] * v[1])
    }

    fn to_matrix(&self) -> [[Var; 6]; 6] {
        let entry = |i: usize, j: usize| self.0[i / 3][j / 3].columns()[j % 3].to_array()[i % 3];
        std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)))
    }
}

/// A body's inertia at its own origin.
fn mass(body: &LinkInertia) -> Blocks {
    let (m, inertia) = (body.mass, body.spatial);
    let moment = Mat3::skew(inertia.moment);
    Blocks([
        [Mat3::diagonal(Vec3::new(m, m, m)), moment.transpose()],
        [moment, inertia.rot.to_matrix()],
    ])
}

/// A joint's symmetric block with its rotational part turned from the body into the world.
fn in_world(rotation: Mat3, entry: impl Fn(usize, usize) -> Var) -> Blocks {
    let block = |row: usize, column: usize| {
        let column = |c: usize| {
            Vec3::new(
                entry(row, column + c),
                entry(row + 1, column + c),
                entry(row + 2, column + c),
            )
        };
        Mat3::from_columns(column(0), column(1), column(2))
    };
    let rotational = Sym3 {
        diagonal: Vec3::new(entry(3, 3), entry(4, 4), entry(5, 5)),
        xy: entry(3, 4),
        xz: entry(3, 5),
        yz: entry(4, 5),
    };
    let mixed = rotation * block(3, 0);
    Blocks([
        [block(0, 0), mixed.transpose()],
        [mixed, rotational.rotated(rotation).to_matrix()],
    ])
}

/// The time step times the derivative of a free body's bias force by its velocity, in world axes.
///
/// With the centre of mass at s and the rotational inertia J about it, the bias is the force `m ω × (ω × s)` with its
/// moment about the origin, and the gyroscopic torque `ω × J ω`. By the angular velocity ω the first derives to m K
/// with `K = −[ω × s]× − [ω]× [s]×`, the second to `[ω]× J − [J ω]×`. The linear velocity does not matter.
fn bias_derivative(body: &LinkInertia, spin: Vec3, dt: Var) -> Blocks {
    let LinkInertia {
        mass, com, central, ..
    } = *body;
    let (skew_spin, skew_com) = (Mat3::skew(spin), Mat3::skew(com));
    let k = Mat3::zero() - Mat3::skew(spin.cross(com)) - skew_spin * skew_com;
    let force = k * mass;
    let gyroscopic = skew_spin * central.to_matrix() - Mat3::skew(central * spin);
    let torque = skew_com * force + gyroscopic;
    Blocks([[Mat3::zero(), force * dt], [Mat3::zero(), torque * dt]])
}

/// Solves an unsymmetric system of six by Gaussian elimination. Its diagonal blocks are a mass and an inertia with
/// corrections of the order of the time step, so that no pivot is small and rows need not be exchanged.
fn solve(mut a: [[Var; 6]; 6], [linear, angular]: [Vec3; 2]) -> [Vec3; 2] {
    let ([a0, a1, a2], [a3, a4, a5]) = (linear.to_array(), angular.to_array());
    let mut x = [a0, a1, a2, a3, a4, a5];
    let mut inverse = [Var::ZERO; 6];
    for i in 0..6 {
        inverse[i] = a[i][i].recip();
        for row in i + 1..6 {
            let factor = a[row][i] * inverse[i];
            let pivot = a[i];
            a[row]
                .iter_mut()
                .zip(pivot)
                .skip(i + 1)
                .for_each(|(entry, above)| *entry -= factor * above);
            let reduced = factor * x[i];
            x[row] -= reduced;
        }
    }
    for i in (0..6).rev() {
        let known: Var = (i + 1..6).map(|j| a[i][j] * x[j]).sum();
        x[i] = (x[i] - known) * inverse[i];
    }
    [Vec3::from_slice(&x), Vec3::from_slice(&x[3..])]
}
