//! Constrained accelerations: the minimum of MuJoCo's convex cost (Todorov, Convex and analytically-invertible
//! dynamics with contacts and constraints, 2014), found exactly.
//!
//! The cost is `½ (x − x₀)ᵀ M (x − x₀) + Σ ½ D min(J x − aref, 0)²` over accelerations x. Once it is known which rows
//! push, the minimum is one linear solve, `(M + Σ D JᵀJ) x = τ + Σ D aref Jᵀ`; the right set of rows is the one that
//! this solution confirms. Exchanging all rows that disagree is Newton's method with full steps and takes one or two
//! rounds. It can cycle in principle, so after some rounds only the first disagreeing row is exchanged, which always
//! ends (Murty, Note on a Bard-type scheme for solving the complementarity problem, 1974; combined as by Júdice and
//! Pires, A block principal pivoting algorithm for large-scale strictly monotone linear complementarity problems,
//! 1994). The set is carried from substep to substep, so most solves confirm it in the first round.

use crate::trace::{Bits, Mask, Var, repeat, select};

use super::Context;
use super::articulated::{self, JointBlocks};
use super::constraint::Row;
use super::inertia::LinkInertia;
use super::kinematics::Kinematics;

/// Rounds in which every disagreeing row is exchanged.
const FULL_ROUNDS: u32 = 8;
/// Rounds in which a disagreement must be more than rounding: see [`TOLERANCE`].
const EXACT_ROUNDS: u32 = 4;
/// All rounds.
const ROUNDS: u32 = 48;
/// After [`EXACT_ROUNDS`], a row changes sides only for a residual above this part of its terms. In `f32` a row
/// whose force is nearly zero may otherwise change sides for ever; its force is then as small as the rounding.
const TOLERANCE: f64 = 1e-5;

/// Constrained accelerations.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    /// `[nv]` Accelerations.
    pub qacc: Vec<Var>,
    /// `[nv]` Generalized force of the constraints (`qfrc_constraint`).
    pub qfrc_constraint: Vec<Var>,
    /// Which rows push, a bit each.
    pub active: Vec<Bits>,
    /// Whether the set was confirmed within the rounds allowed.
    pub converged: Mask,
}

/// The unconstrained problem: `(M + armature) qacc = τ`.
pub(super) struct Problem<'a> {
    pub kinematics: &'a Kinematics,
    /// `[links]`
    pub inertia: &'a [LinkInertia],
    pub armature: &'a JointBlocks,
    /// `[nv]` All forces but the constraints'.
    pub tau: &'a [Var],
}

impl Problem<'_> {
    /// Solves under constraint rows, starting from those that pushed `before`.
    pub fn solve(&self, cx: &Context<'_>, rows: &[Row], before: &[Bits]) -> Solution {
        if rows.is_empty() {
            return Solution {
                qacc: articulated::solve(
                    cx,
                    self.kinematics,
                    self.inertia,
                    self.armature,
                    self.tau,
                ),
                qfrc_constraint: vec![Var::ZERO; cx.model.nv],
                active: before.to_vec(),
                converged: Mask::from(true),
            };
        }
        let present = pack(rows.iter().map(|row| row.present));
        let warm: Vec<Bits> = present
            .iter()
            .zip(before)
            .map(|(&present, &before)| present & before)
            .collect();
        let (active, qacc, converged) = repeat(
            ROUNDS,
            (warm, vec![Var::ZERO; cx.model.nv], Mask::from(false)),
            |(_, _, confirmed)| !*confirmed,
            |(active, _, _), round| {
                let pushes = unpack(&active, rows.len());
                let qacc = self.accelerations(cx, rows, &pushes);
                let change = disagreement(rows, &qacc, &pushes, round);
                let change: Vec<Bits> = change
                    .iter()
                    .zip(&present)
                    .map(|(&change, &present)| change & present)
                    .collect();
                let confirmed = change
                    .iter()
                    .fold(Mask::from(true), |all, &word| all & word.eq(0));
                let exchanged = select(round.lt(FULL_ROUNDS), change.clone(), first_bit(&change));
                let next = active
                    .iter()
                    .zip(exchanged)
                    .map(|(&active, exchanged)| active ^ exchanged)
                    .collect();
                (next, qacc, confirmed)
            },
        );
        Solution {
            qfrc_constraint: push(cx, rows, &qacc, &unpack(&active, rows.len())),
            qacc,
            // A row that is absent now starts as pushing when it appears, for that is why it appears.
            active: active
                .iter()
                .zip(&present)
                .map(|(&active, &present)| active | !present)
                .collect(),
            converged,
        }
    }

    /// The solution when a given set of rows pushes.
    fn accelerations(&self, cx: &Context<'_>, rows: &[Row], pushes: &[Mask]) -> Vec<Var> {
        let (mut blocks, mut tau) = (self.armature.clone(), self.tau.to_vec());
        for (row, &pushing) in rows.iter().zip(pushes) {
            let stiffness = select(pushing, row.stiffness, Var::ZERO);
            blocks.add_outer(cx.model, row.joint, &row.jacobian, stiffness);
            for &(dof, arm) in &row.jacobian {
                tau[dof] += arm * (stiffness * row.aref);
            }
        }
        articulated::solve(cx, self.kinematics, self.inertia, &blocks, &tau)
    }
}

/// `[nv]` The generalized forces of the rows that push.
fn push(cx: &Context<'_>, rows: &[Row], qacc: &[Var], pushes: &[Mask]) -> Vec<Var> {
    let mut qfrc = vec![Var::ZERO; cx.model.nv];
    for (row, &pushing) in rows.iter().zip(pushes) {
        let force = select(
            pushing,
            row.stiffness * (row.aref - row.along(qacc)),
            Var::ZERO,
        );
        for &(dof, arm) in &row.jacobian {
            qfrc[dof] += arm * force;
        }
    }
    qfrc
}

/// The rows that should change sides at these accelerations: a row pushes where it falls short of its reference.
fn disagreement(rows: &[Row], qacc: &[Var], pushes: &[Mask], round: Bits) -> Vec<Bits> {
    let slack = select(round.lt(EXACT_ROUNDS), Var::ZERO, Var::from(TOLERANCE));
    pack(rows.iter().zip(pushes).map(|(row, &pushing)| {
        let along = row.along(qacc);
        let band = slack * (along.abs() + row.aref.abs());
        let should_push = (along - row.aref).lt(select(pushing, band, -band));
        should_push ^ pushing
    }))
}

/// Truth values as bits, the first in the lowest bit of the first word.
fn pack(masks: impl Iterator<Item = Mask>) -> Vec<Bits> {
    let masks: Vec<Mask> = masks.collect();
    let word = |chunk: &[Mask]| {
        chunk
            .iter()
            .enumerate()
            .fold(Bits::ZERO, |word, (i, &mask)| {
                word | select(mask, Bits::from(1u32 << i), Bits::ZERO)
            })
    };
    masks.chunks(32).map(word).collect()
}

/// The first `count` bits as truth values.
fn unpack(words: &[Bits], count: usize) -> Vec<Mask> {
    (0..count)
        .map(|i| (words[i / 32] & (1u32 << (i % 32))).ne(0))
        .collect()
}

/// The lowest bit that is set, alone.
fn first_bit(words: &[Bits]) -> Vec<Bits> {
    let mut none_before = Mask::from(true);
    let mut first = Vec::with_capacity(words.len());
    for &word in words {
        first.push(select(none_before, word & (Bits::ZERO - word), Bits::ZERO));
        none_before = none_before & word.eq(0);
    }
    first
}
