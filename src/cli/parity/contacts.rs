//! Contacts, which come in any number and order: paired with MuJoCo's before they are compared.

use crate::cli::npz::{Archive, Arrays, Extent};
use crate::error::Result;

/// Numbers of a contact: distance, position, normal.
pub(super) const NUMBERS: usize = 7;

/// Two geoms that touch at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Touch {
    /// In MuJoCo's order: the normal points from the first to the second.
    geoms: [usize; 2],
    numbers: [f64; NUMBERS],
    /// The second axis of the frame: it is MuJoCo's where the normal is, and is not compared.
    tangent: [f64; 3],
}

impl Touch {
    /// A contact of two geoms; `numbers` are distance, position, normal and tangent.
    ///
    /// # Panics
    /// When they are not as many.
    pub(super) fn new(geoms: [usize; 2], numbers: &[f64]) -> Self {
        let mut touch = Self {
            geoms,
            numbers: [0.0; NUMBERS],
            tangent: [0.0; 3],
        };
        let (numbers, tangent) = numbers.split_at(NUMBERS);
        touch.numbers.copy_from_slice(numbers);
        touch.tangent.copy_from_slice(tangent);
        touch
    }

    /// The distance of two contacts' positions.
    fn apart(&self, other: &Self) -> f64 {
        let squares = (1..4).map(|i| (self.numbers[i] - other.numbers[i]).powi(2));
        squares.sum::<f64>().sqrt()
    }
}

/// MuJoCo's contacts in each of the archive's states; the arrays' names end in `suffix`.
pub(super) fn read(archive: &mut Archive, states: usize, suffix: &str) -> Result<Vec<Vec<Touch>>> {
    let by_state = Extent::exactly("S", states);
    let name = |name: &str| format!("{name}{suffix}");
    let counts = archive.required(&name("ncon"), &[by_state])?;
    let dist = archive.required(&name("dist"), &[by_state, Extent::any("C")])?;
    let capacity = dist.shape()[1];
    let mut array = |array, size| {
        let by_contact = Extent::exactly("C", capacity);
        let extents = [by_state, by_contact, Extent::exactly("size", size)];
        archive.required(&name(array), &extents)
    };
    let (geom, pos, normal) = (array("geom", 2)?, array("pos", 3)?, array("normal", 3)?);
    let touch = |state: usize, i: usize| {
        let mut numbers = [dist[[state, i]], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        for k in 0..3 {
            numbers[1 + k] = pos[[state, i, k]];
            numbers[4 + k] = normal[[state, i, k]];
        }
        Touch {
            geoms: [geom[[state, i, 0]] as usize, geom[[state, i, 1]] as usize],
            numbers,
            tangent: [0.0; 3],
        }
    };
    let of_state = |state: usize| {
        let count = (counts[[state]] as usize).min(capacity);
        (0..count).map(|i| touch(state, i)).collect()
    };
    Ok((0..states).map(of_state).collect())
}

/// Adds the contacts of states to an archive, padded to the largest number `C` of them: `ncon`, `geom`, `dist`, `pos`,
/// `normal` and `tangent`.
pub(super) fn add(arrays: &mut Arrays<'_>, states: &[&Vec<Touch>]) -> Result<()> {
    let capacity = states.iter().map(|touches| touches.len()).max();
    let capacity = capacity.unwrap_or(0).max(1);
    let counts = states.iter().map(|touches| touches.len() as f64);
    arrays.add("ncon", &[states.len()], counts.collect())?;
    let mut array = |name: &str, size: usize, numbers: &dyn Fn(&Touch) -> Vec<f64>| {
        let mut values = Vec::new();
        for touches in states {
            values.extend(touches.iter().flat_map(numbers));
            let missing = (capacity - touches.len()) * size;
            values.resize(values.len() + missing, 0.0);
        }
        match size {
            1 => arrays.add(name, &[states.len(), capacity], values),
            _ => arrays.add(name, &[states.len(), capacity, size], values),
        }
    };
    array("geom", 2, &|touch| {
        touch.geoms.map(|geom| geom as f64).to_vec()
    })?;
    array("dist", 1, &|touch| touch.numbers[..1].to_vec())?;
    array("pos", 3, &|touch| touch.numbers[1..4].to_vec())?;
    array("normal", 3, &|touch| touch.numbers[4..].to_vec())?;
    array("tangent", 3, &|touch| touch.tangent.to_vec())
}

/// The numbers of all contacts of a state, each beside those of the nearest one of the same geoms. A state in which other
/// geoms touch, or in more points, has no numbers on our side: its error is infinite.
pub(super) fn matched(found: &[Touch], expected: &[Touch]) -> (Vec<f64>, Vec<f64>) {
    let all = |touches: &[Touch]| touches.iter().flat_map(|touch| touch.numbers).collect();
    let mut left = found.to_vec();
    let mut paired = Vec::new();
    for touch in expected {
        let nearest = (0..left.len())
            .filter(|i| left[*i].geoms == touch.geoms)
            .min_by(|i, j| left[*i].apart(touch).total_cmp(&left[*j].apart(touch)));
        match nearest {
            Some(i) => paired.push(left.swap_remove(i)),
            None => return (vec![f64::NAN], vec![0.0]),
        }
    }
    match left.is_empty() {
        true => (all(&paired), all(expected)),
        false => (vec![f64::NAN], vec![0.0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_paired_by_geoms_and_place() {
        let at =
            |geoms, x: f64| Touch::new(geoms, &[-0.1, x, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        let ours = [at([0, 2], 5.0), at([0, 1], 1.001), at([0, 1], 0.001)];
        let theirs = [at([0, 1], 0.0), at([0, 1], 1.0), at([0, 2], 5.0)];
        let (found, expected) = matched(&ours, &theirs);
        assert_eq!((found.len(), expected.len()), (21, 21));
        let largest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        assert!(largest.fold(0.0, f64::max) < 0.0011);
        // One too few, one too many, and other geoms.
        for ours in [
            &ours[..2],
            &[ours[0], ours[0], ours[1], ours[2]],
            &theirs[..1],
        ] {
            assert!(matched(ours, &theirs).0[0].is_nan());
        }
        assert!(matched(&[at([1, 2], 0.0)], &[at([2, 1], 0.0)]).0[0].is_nan());
        assert_eq!(matched(&[], &[]), (vec![], vec![]));
    }
}
