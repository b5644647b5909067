//! Inverse weights at `qpos0` (`body_invweight0`, `dof_invweight0` of `mj_setConst`) where masses differ between worlds.
//!
//! The joint-space inertia is M = Σ Jᵀ I J + armature, by composite inertias. Row i has entries only for the ancestors of
//! degree of freedom i, so M = Lᵀ D L without fill-in (Featherstone, Rigid Body Dynamics Algorithms, 2008, section 6.5),
//! and xᵀ M⁻¹ x = Σ yᵢ² / Dᵢ with y = L⁻ᵀ x. `model/` does the same once on the host, for numbers; here the reference
//! configuration makes most of it constant, and what is left are the masses.

use std::iter::successors;

use crate::math::{Inertia, Motion};
use crate::model::{Joint, Model};
use crate::trace::{Var, stage};

use super::Context;
use super::inertia;
use super::kinematics::{self, Kinematics};
use super::parameters::Parameters;
use super::state::State;
use super::tree::Tree;

/// `body_invweight0` (`[nbody]`: translation 1/kg, rotation 1/(kg·m²)) and `dof_invweight0` (`[nv]`).
pub fn inverse_weights(model: &Model, parameters: &Parameters) -> (Vec<[Var; 2]>, Vec<Var>) {
    stage("weights", || {
        let tree = Tree::new(model);
        let cx = Context::new(model, parameters, &tree);
        let state = State {
            qpos: parameters.qpos0.clone(),
            ..State::initial(model)
        };
        let at = kinematics::kinematics(&cx, &state);
        let factors = Factors::new(&cx, &at);
        let bodies = (0..model.nbody).map(|body| body_weight(&cx, &at, &factors, body));
        (bodies.collect(), dof_weights(&cx, &factors))
    })
}

/// A degree of freedom and its ancestors, towards the root.
fn chain(model: &Model, dof: usize) -> impl Iterator<Item = usize> + '_ {
    successors(Some(dof), |&dof| model.dof_parentid[dof])
}

/// M = Lᵀ D L.
struct Factors {
    /// `[nv]` Rows of L along the chain of ancestors, the unit diagonal left out.
    lower: Vec<Vec<Var>>,
    /// `[nv]` 1 / D.
    inverse: Vec<Var>,
}

impl Factors {
    fn new(cx: &Context<'_>, at: &Kinematics) -> Self {
        let (model, links) = (cx.model, &cx.tree.links);
        let own = inertia::inertia(cx, at);
        let mut composite: Vec<Inertia> = own.iter().map(|link| link.spatial).collect();
        for (index, link) in links.iter().enumerate().rev() {
            if let Some(parent) = link.parent {
                composite[parent] = composite[parent] + composite[index];
            }
        }
        let row = |dof: usize| -> Vec<Var> {
            let Some(link) = cx.tree.body_link[model.dof_bodyid[dof]] else {
                return vec![Var::ONE];
            };
            let force = composite[link] * at.cdof[dof];
            let mut row: Vec<Var> = chain(model, dof)
                .map(|above| at.cdof[above].dot(force))
                .collect();
            row[0] += cx.parameters.dof_armature[dof];
            row
        };
        let mut rows: Vec<Vec<Var>> = (0..model.nv).map(row).collect();
        let mut inverse = vec![Var::ZERO; model.nv];
        for k in (0..model.nv).rev() {
            let row = rows[k].clone();
            inverse[k] = row[0].recip();
            // M_ij −= M_ki M_kj / M_kk for the ancestors i of k and j of i.
            for (a, i) in chain(model, k).skip(1).enumerate() {
                let factor = row[a + 1] * inverse[k];
                let entries = rows[i].iter_mut().zip(&row[a + 1..]);
                entries.for_each(|(entry, &value)| *entry -= factor * value);
            }
            rows[k] = row[1..].iter().map(|&value| value * inverse[k]).collect();
        }
        Self {
            lower: rows,
            inverse,
        }
    }

    /// xᵀ M⁻¹ x.
    fn inverse_form(&self, model: &Model, mut x: Vec<Var>) -> Var {
        for i in (0..model.nv).rev() {
            let known = x[i];
            if known.is_zero() {
                continue;
            }
            for (j, &factor) in chain(model, i).skip(1).zip(&self.lower[i]) {
                x[j] -= factor * known;
            }
        }
        x.iter()
            .zip(&self.inverse)
            .map(|(y, &inverse)| y.square() * inverse)
            .sum()
    }
}

/// Whether a body only slides and carries nothing, where MuJoCo takes 1 / mass.
pub(super) fn slides(model: &Model, body: usize) -> bool {
    model.body_invweight0[body] == [1.0 / model.body_mass[body], 0.0]
}

/// Means of the diagonal of J M⁻¹ Jᵀ at a body's centre of mass.
fn body_weight(cx: &Context<'_>, at: &Kinematics, factors: &Factors, body: usize) -> [Var; 2] {
    let model = cx.model;
    let weld = model.body_weldid[body];
    if body == 0 || model.body_dofnum[weld] == 0 {
        return [Var::ZERO; 2];
    }
    if slides(model, body) {
        return [cx.parameters.body_mass[body].recip(), Var::ZERO];
    }
    let com = at.com_offset(cx, body);
    let last = model.body_dofadr[weld] + model.body_dofnum[weld] - 1;
    let mut rows = [(); 6].map(|()| vec![Var::ZERO; model.nv]);
    for dof in chain(model, last) {
        let motion = at.cdof[dof];
        let here = Motion::new(motion.ang, motion.at(com)).to_array();
        for (row, part) in rows.iter_mut().zip(here) {
            row[dof] = part;
        }
    }
    let [a, b, c, x, y, z] = rows.map(|row| factors.inverse_form(model, row));
    [(x + y + z) / 3.0, (a + b + c) / 3.0]
}

/// The diagonal of M⁻¹, averaged over the rotations and over the translations of a joint.
fn dof_weights(cx: &Context<'_>, factors: &Factors) -> Vec<Var> {
    let model = cx.model;
    let weight = |dof: usize| {
        let body = model.dof_bodyid[dof];
        if slides(model, body) {
            return cx.parameters.body_mass[body].recip();
        }
        let mut unit = vec![Var::ZERO; model.nv];
        unit[dof] = Var::ONE;
        factors.inverse_form(model, unit)
    };
    let mut weights: Vec<Var> = (0..model.nv).map(weight).collect();
    for joint in 0..model.njnt {
        let groups: &[usize] = match model.jnt_type[joint] {
            Joint::Free => &[0, 3],
            Joint::Ball => &[0],
            Joint::Slide | Joint::Hinge => &[],
        };
        for first in groups {
            let group = &mut weights[model.jnt_dofadr[joint] + first..][..3];
            let mean = (group[0] + group[1] + group[2]) / 3.0;
            group.fill(mean);
        }
    }
    weights
}
