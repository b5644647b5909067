//! Couplings: constraints that act between links, in a common form, and what they change in a response.
//!
//! A coupling has a few directions with Jacobian J. At accelerations x it exceeds what it asks for by `e = J x + c`,
//! and answers with the force `λ = −C e` along its directions, where C is symmetric and positive semidefinite: a
//! constant diagonal for an equality, for a contact whatever its cone makes of the rows that push.
//!
//! Such a constraint joins two branches of a tree, or two trees, so it cannot be folded into one link's inertia. It is
//! a correction of low rank instead (Woodbury, Inverting modified matrices, 1950). With H all that is folded in and y
//! the solution without couplings, the solution is `y + H⁻¹ Jᵀ λ`. Given any F with `C = F Fᵀ`, write `λ = F μ`; then
//!
//! ```text
//! (1 + Fᵀ A F) μ = −Fᵀ (J y + c),   A = J H⁻¹ Jᵀ
//! ```
//!
//! which is symmetric and positive definite; a direction that does not push leaves a row of the identity, for F is zero
//! there. Each direction costs one more solve on the same factorization.

use crate::trace::{Bits, Var, repeat, select};

use super::articulated::Response;

/// Numbers in all directions' responses from which on a loop finds them: recorded one by one, each takes about 80
/// operations for a degree of freedom.
const LOOPED: usize = 400;

/// A constraint between links, as it is at the moment.
#[derive(Clone, Debug)]
pub(super) struct Coupling {
    /// `[dim][nv]` Jacobian J of its directions.
    pub jacobian: Vec<Vec<Var>>,
    /// `[dim]` c: minus the accelerations that it asks for.
    pub offset: Vec<Var>,
    /// `[dim][columns]` F, a factor of its stiffness: `C = F Fᵀ`.
    pub factor: Vec<Vec<Var>>,
}

impl Coupling {
    /// A constraint that always acts, with inverse regularization D and reference acceleration `aref` in each of its
    /// directions: `λ = D (aref − J x)`. It does nothing where D is zero.
    pub(super) fn held(jacobian: Vec<Vec<Var>>, stiffness: &[Var], aref: &[Var]) -> Self {
        let column = |row: usize, k: usize| match row == k {
            true => stiffness[row].sqrt(),
            false => Var::ZERO,
        };
        let dim = jacobian.len();
        Self {
            jacobian,
            offset: aref.iter().map(|&aref| -aref).collect(),
            factor: (0..dim)
                .map(|row| (0..dim).map(|k| column(row, k)).collect())
                .collect(),
        }
    }

    /// One that asks for no acceleration.
    pub(super) fn homogeneous(&self) -> Self {
        Self {
            offset: vec![Var::ZERO; self.offset.len()],
            ..self.clone()
        }
    }

    /// `[dim]` e: accelerations along its directions at x, less those it asks for.
    pub(super) fn excess(&self, x: &[Var]) -> Vec<Var> {
        let rows = self.jacobian.iter().zip(&self.offset);
        rows.map(|(row, &offset)| dot(row, x) + offset).collect()
    }

    /// `[columns]` `Fᵀ v`
    fn gathered(&self, v: &[Var]) -> Vec<Var> {
        let columns = self.factor.first().map_or(0, Vec::len);
        let column = |k: usize| self.factor.iter().zip(v).map(|(row, &v)| row[k] * v).sum();
        (0..columns).map(column).collect()
    }

    /// First and second derivative of its cost at x on the way to another place.
    pub(super) fn slope(&self, x: &[Var], to: &[Var]) -> [Var; 2] {
        let (from, to) = (
            self.gathered(&self.excess(x)),
            self.gathered(&self.excess(to)),
        );
        let step: Vec<Var> = to.iter().zip(&from).map(|(&to, &from)| to - from).collect();
        [dot(&from, &step), dot(&step, &step)]
    }

    /// `[dim]` λ: its force along its directions at x.
    pub(super) fn force(&self, x: &[Var]) -> Vec<Var> {
        let pull = self.gathered(&self.excess(x));
        self.factor.iter().map(|row| -dot(row, &pull)).collect()
    }
}

/// Adds `Jᵀ λ` to generalized forces.
pub(super) fn push(jacobian: &[Vec<Var>], force: &[Var], qfrc: &mut [Var]) {
    for (row, &force) in jacobian.iter().zip(force) {
        let terms = qfrc.iter_mut().zip(row);
        terms.for_each(|(qfrc, &arm)| *qfrc += arm * force);
    }
}

/// `[nv]` What couplings change in the solution `y` without them. `respond` gives the solution for generalized forces
/// alone, with all else folded in.
pub(super) fn correct(
    y: &[Var],
    couplings: &[Coupling],
    respond: impl Fn(&[Var]) -> Response,
) -> Vec<Var> {
    let directions: Vec<&Vec<Var>> = couplings
        .iter()
        .flat_map(|coupling| &coupling.jacobian)
        .collect();
    let responses = responses(&directions, respond);
    let count = directions.len();
    let mut compliance = vec![vec![Var::ZERO; count]; count];
    for i in 0..count {
        for j in i..count {
            let entry = dot(directions[i], &responses[j]);
            (compliance[i][j], compliance[j][i]) = (entry, entry);
        }
    }

    // A F, by columns of F: those of one coupling after those of another.
    let mut first = 0;
    let mut blocks = Vec::with_capacity(couplings.len());
    let (mut columns, mut load) = (Vec::new(), Vec::new());
    for coupling in couplings {
        let rows = first..first + coupling.jacobian.len();
        let across: Vec<Vec<Var>> = compliance
            .iter()
            .map(|row| coupling.gathered(&row[rows.clone()]))
            .collect();
        let own = coupling.gathered(&coupling.excess(y));
        columns.extend((0..own.len()).map(|k| across.iter().map(|row| row[k]).collect::<Vec<_>>()));
        load.extend(own.into_iter().map(|pull| -pull));
        first = rows.end;
        blocks.push(rows);
    }
    // Fᵀ (A F) + 1, transposed, which is the same.
    let matrix: Vec<Vec<Var>> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let parts = couplings.iter().zip(&blocks);
            let row = parts.flat_map(|(coupling, rows)| coupling.gathered(&column[rows.clone()]));
            let mut row: Vec<Var> = row.take(i + 1).collect();
            row[i] += 1.0;
            row
        })
        .collect();
    let mu = solve(matrix, load);

    let mut x = y.to_vec();
    let (mut mu, mut responses) = (mu.as_slice(), responses.as_slice());
    for coupling in couplings {
        let (own, rest) = mu.split_at(coupling.factor.first().map_or(0, Vec::len));
        mu = rest;
        let (along, others) = responses.split_at(coupling.jacobian.len());
        responses = others;
        for (row, response) in coupling.factor.iter().zip(along) {
            let force = dot(row, own);
            let changes = x.iter_mut().zip(response);
            changes.for_each(|(x, &change)| *x += change * force);
        }
    }
    x
}

/// `[directions][nv]` The response to a unit force along each direction.
fn responses(directions: &[&Vec<Var>], respond: impl Fn(&[Var]) -> Response) -> Vec<Vec<Var>> {
    let count = directions.len();
    let nv = directions.first().map_or(0, |row| row.len());
    if count * nv <= LOOPED {
        return directions.iter().map(|row| respond(row).x).collect();
    }
    let start = vec![vec![Var::ZERO; nv]; count];
    let one_more = |found: Vec<Vec<Var>>, which: Bits| {
        let mut row = directions[0].clone();
        for (k, other) in directions.iter().enumerate().skip(1) {
            row = select(which.eq(k as u32), (*other).clone(), row);
        }
        let response = respond(&row).x;
        let found = found.into_iter().enumerate();
        let place = |(k, stands)| select(which.eq(k as u32), response.clone(), stands);
        found.map(place).collect()
    };
    repeat(count as u32, start, |_| true.into(), one_more)
}

/// Scalar product that skips constant zeros.
pub(super) fn dot(a: &[Var], b: &[Var]) -> Var {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// Solves a symmetric positive definite system, given its lower triangle, by `LDLᵀ`.
fn solve(mut a: Vec<Vec<Var>>, mut x: Vec<Var>) -> Vec<Var> {
    let n = x.len();
    let mut inverse = Vec::with_capacity(n);
    for i in 0..n {
        inverse.push(a[i][i].recip());
        for row in i + 1..n {
            let factor = a[row][i] * inverse[i];
            let pivots: Vec<Var> = (i + 1..=row).map(|column| a[column][i]).collect();
            let entries = a[row][i + 1..].iter_mut().zip(pivots);
            entries.for_each(|(entry, pivot)| *entry -= pivot * factor);
            let reduced = factor * x[i];
            x[row] -= reduced;
        }
    }
    for i in (0..n).rev() {
        let known: Var = (i + 1..n).map(|row| a[row][i] * x[row]).sum();
        x[i] = (x[i] - known) * inverse[i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Motion;

    fn vars(values: &[f64]) -> Vec<Var> {
        values.iter().map(|&x| Var::from(x)).collect()
    }

    /// `(H + Jᵀ C J) x = H y − Jᵀ C c`, with a direction that does not push and two couplings of different kinds.
    #[test]
    fn the_correction_solves_the_coupled_system() {
        let inverse = [0.5, 2.0, 1.0, 0.25];
        let y = vars(&[1.0, -2.0, 0.5, 3.0]);
        let held = Coupling::held(
            vec![vars(&[1.0, 0.0, -1.0, 0.5])],
            &vars(&[40.0]),
            &vars(&[0.7]),
        );
        let contact = Coupling {
            jacobian: vec![
                vars(&[0.0, 1.0, 0.3, 0.0]),
                vars(&[0.2, 0.0, 1.0, -1.0]),
                vars(&[0.0, 0.1, 0.0, 1.0]),
            ],
            offset: vars(&[0.1, -0.4, 0.2]),
            factor: vec![
                vars(&[2.0, 3.0, 0.0]),
                vars(&[0.0, 1.5, 0.0]),
                vars(&[0.0; 3]),
            ],
        };
        let couplings = [held, contact];
        let x = correct(&y, &couplings, |qfrc| Response {
            x: qfrc.iter().zip(inverse).map(|(&f, h)| f * h).collect(),
            motion: vec![Motion::ZERO; 1],
        });
        let mut qfrc = vec![Var::ZERO; 4];
        for coupling in &couplings {
            push(&coupling.jacobian, &coupling.force(&x), &mut qfrc);
        }
        for k in 0..4 {
            let rest = (x[k] - y[k]) / inverse[k] - qfrc[k];
            let rest = rest.as_constant().expect("a constant");
            assert!(rest.abs() < 1e-12, "{k}: {rest}");
        }
        let force = couplings[1].force(&x);
        assert_eq!(force[2].as_constant(), Some(0.0));
        assert!(force[0].as_constant().is_some_and(|f| f.abs() > 0.1));
    }
}
