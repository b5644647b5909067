//! Everything that decides the future of some worlds, on the host: for branching, and for checkpoints.

use super::VecEnv;
use crate::error::{Error, Result};
use crate::trace::{Field, Kind};

/// The state of some worlds of an environment, and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The worlds it holds, in ascending order.
    worlds: Vec<u32>,
    /// The number of worlds of the environment.
    of: u32,
    /// Rows of floats and of integers for each world: it fits environments with the same.
    rows: [u32; 2],
    /// `[row][world]`; what was `f32` on the device is exact here.
    floats: Vec<f64>,
    bits: Vec<u32>,
    /// The parameters, then what the curriculum remembers.
    params: Vec<f64>,
}

/// First bytes of a stored snapshot; the digit is the format's version.
const MAGIC: &[u8; 8] = b"mwsnap1\n";

impl Snapshot {
    /// The worlds it holds.
    pub fn worlds(&self) -> &[u32] {
        &self.worlds
    }

    /// As bytes, for a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let counts = [
            self.worlds.len(),
            self.floats.len(),
            self.bits.len(),
            self.params.len(),
        ];
        let mut bytes = MAGIC.to_vec();
        let header = [self.of, self.rows[0], self.rows[1]]
            .into_iter()
            .chain(counts.map(|count| count as u32));
        let integers = header
            .chain(self.worlds.iter().copied())
            .chain(self.bits.iter().copied());
        bytes.extend(integers.flat_map(u32::to_le_bytes));
        bytes.extend(
            self.floats
                .iter()
                .chain(&self.params)
                .flat_map(|value| value.to_le_bytes()),
        );
        bytes
    }

    /// From the bytes of [`Snapshot::to_bytes`].
    ///
    /// # Errors
    /// They are none, or not all of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let broken = || {
            Error::invalid("no complete snapshot")
                .hint("it was cut short, or written by another version")
        };
        let mut rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(broken)?;
        let header = integers(&mut rest, 7).ok_or_else(broken)?;
        let [of, floats, bits, counts @ ..] = header.as_slice() else {
            return Err(broken());
        };
        let counts: Vec<usize> = counts.iter().map(|count| *count as usize).collect();
        let snapshot = Self {
            of: *of,
            rows: [*floats, *bits],
            worlds: integers(&mut rest, counts[0]).ok_or_else(broken)?,
            bits: integers(&mut rest, counts[2]).ok_or_else(broken)?,
            floats: numbers(&mut rest, counts[1]).ok_or_else(broken)?,
            params: numbers(&mut rest, counts[3]).ok_or_else(broken)?,
        };
        let fits = |rows: u32, values: usize| rows as usize * snapshot.worlds.len() == values;
        let in_order = snapshot.worlds.is_sorted_by(|a, b| a < b)
            && snapshot.worlds.iter().all(|world| world < of);
        let whole = fits(*floats, snapshot.floats.len()) && fits(*bits, snapshot.bits.len());
        if !rest.is_empty() || !whole || !in_order {
            return Err(broken());
        }
        Ok(snapshot)
    }
}

fn integers(rest: &mut &[u8], count: usize) -> Option<Vec<u32>> {
    let (taken, left) = rest.split_at_checked(count.checked_mul(4)?)?;
    *rest = left;
    Some(
        taken
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes))
            .collect(),
    )
}

fn numbers(rest: &mut &[u8], count: usize) -> Option<Vec<f64>> {
    let (taken, left) = rest.split_at_checked(count.checked_mul(8)?)?;
    *rest = left;
    Some(
        taken
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect(),
    )
}

impl VecEnv {
    /// Copies everything about the masked worlds (all, without a mask) and the parameters to the host.
    ///
    /// # Errors
    /// The mask's length is not the number of worlds, or the device failed.
    pub fn snapshot(&self, mask: Option<&[bool]>) -> Result<Snapshot> {
        let selected = self.selected(mask)?;
        let (floats, bits) = (self.persistent(Kind::F32), self.persistent(Kind::U32));
        let all = self.machine.worlds();
        let pick = |values: &[f64]| -> Vec<f64> {
            values
                .chunks(all)
                .flat_map(|row| selected.iter().map(|world| row[*world]))
                .collect()
        };
        let mut snapshot = Snapshot {
            worlds: selected.iter().map(|world| *world as u32).collect(),
            of: all as u32,
            rows: [&floats, &bits].map(|fields| fields.iter().map(|field| field.components).sum()),
            floats: Vec::new(),
            bits: Vec::new(),
            params: self.host_numbers(),
        };
        for field in floats {
            snapshot
                .floats
                .extend(pick(&self.machine.read_exact(field)?));
        }
        for field in bits {
            let values = self.machine.read_bits(field)?;
            snapshot.bits.extend(
                values
                    .chunks(all)
                    .flat_map(|row| selected.iter().map(|world| row[*world])),
            );
        }
        Ok(snapshot)
    }

    /// Puts the masked worlds (all that the snapshot holds, without a mask) back to where they were, bit for bit.
    /// Without a mask the parameters are restored too.
    ///
    /// # Errors
    /// The snapshot is of another task or number of worlds, lacks a masked world, or the device failed.
    pub fn restore(&mut self, mask: Option<&[bool]>, snapshot: &Snapshot) -> Result<()> {
        let (floats, bits) = (self.persistent(Kind::F32), self.persistent(Kind::U32));
        let rows: [u32; 2] =
            [&floats, &bits].map(|fields| fields.iter().map(|field| field.components).sum());
        let all = self.machine.worlds();
        if rows != snapshot.rows
            || snapshot.of as usize != all
            || snapshot.params.len() != self.host_numbers().len()
        {
            return Err(
                Error::invalid("the snapshot is of another environment").hint(format!(
                    "it has {} worlds and this one {all}; tasks must be the same too",
                    snapshot.of
                )),
            );
        }
        let held: Vec<usize> = snapshot
            .worlds
            .iter()
            .map(|world| *world as usize)
            .collect();
        let wanted = match mask {
            Some(_) => self.selected(mask)?,
            None => held.clone(),
        };
        // Where each wanted world stands in the snapshot's rows.
        let places: Vec<(usize, usize)> = wanted
            .into_iter()
            .map(|world| match held.binary_search(&world) {
                Ok(place) => Ok((world, place)),
                Err(_) => Err(Error::invalid(format!(
                    "the snapshot does not hold world {world}"
                ))),
            })
            .collect::<Result<_>>()?;
        let mut rows = snapshot.floats.chunks(held.len().max(1));
        for field in floats {
            let mut values = self.machine.read_exact(field)?;
            for (target, row) in values.chunks_mut(all).zip(rows.by_ref()) {
                places
                    .iter()
                    .for_each(|(world, place)| target[*world] = row[*place]);
            }
            self.machine.write_exact(field, &values)?;
        }
        let mut rows = snapshot.bits.chunks(held.len().max(1));
        for field in bits {
            let mut values = self.machine.read_bits(field)?;
            for (target, row) in values.chunks_mut(all).zip(rows.by_ref()) {
                places
                    .iter()
                    .for_each(|(world, place)| target[*world] = row[*place]);
            }
            self.machine.write_bits(field, &values)?;
        }
        if mask.is_none() {
            self.restore_host_numbers(&snapshot.params)?;
        }
        Ok(())
    }

    /// All per-world fields of a kind.
    fn persistent(&self, kind: Kind) -> Vec<Field> {
        let fields = self.plan.layout.fields().iter().map(|(_, field)| *field);
        fields
            .filter(|field| field.per_world && field.kind == kind && !field.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_damage_is_noticed() {
        let snapshot = Snapshot {
            worlds: vec![1, 3],
            of: 4,
            rows: [1, 2],
            floats: vec![0.5, f64::NAN],
            bits: vec![1, 2, 3, u32::MAX],
            params: vec![-0.0],
        };
        let bytes = snapshot.to_bytes();
        let back = Snapshot::from_bytes(&bytes).unwrap();
        assert_eq!(back.to_bytes(), bytes);
        for length in 0..bytes.len() {
            assert!(
                Snapshot::from_bytes(&bytes[..length]).is_err(),
                "cut to {length} bytes"
            );
        }
        assert!(
            Snapshot::from_bytes(&[&bytes[..], &[0]].concat()).is_err(),
            "a byte too many"
        );
    }
}
