//! Everything that decides the future of some worlds, on the host: for checkpoints, and for files.

use std::ops::Range;
use std::path::Path;

use super::device_state::rows;
use super::machine::Machine;
use super::{Physics, VecEnv};
use crate::error::{Error, Result};
use crate::files;
use crate::trace::{Field, Kind, Layout};

/// The state of some worlds of an environment or a simulation, and its parameters.
///
/// All rows of all per-world buffers are in it, to the bit: physics, histories, commands, random streams, episode
/// counters, running sums, outputs, and whatever else is kept per world.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The task's or the model's name.
    name: String,
    /// [`fingerprint`] of the fields.
    layout: u64,
    /// The worlds it holds, in ascending order.
    worlds: Vec<u32>,
    /// The number of worlds of the environment.
    of: u32,
    /// Rows of floats and of integers for each world.
    rows: [u32; 2],
    /// `[row][world]`; what was `f32` on the device is exact here.
    floats: Vec<f64>,
    bits: Vec<u32>,
    /// The parameters, then what the curriculum remembers.
    params: Vec<f64>,
}

/// First bytes of a stored snapshot; the digit is the format's version.
const MAGIC: &[u8; 8] = b"mwsnap2\n";

impl Snapshot {
    /// The worlds it holds.
    pub fn worlds(&self) -> &[u32] {
        &self.worlds
    }

    /// The name of the task or the model that it is of.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values of the environment's parameters, in the order of [`Params::keys`](crate::tasks::Params::keys), and behind
    /// them what its curriculum remembers; nothing for a simulation without a task.
    pub fn numbers(&self) -> &[f64] {
        &self.params
    }

    /// Writes a file that is whole or not there.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, path: &Path) -> Result<()> {
        files::write(path, &self.to_bytes())
    }

    /// Reads a file that [`Snapshot::write`] wrote.
    ///
    /// # Errors
    /// The file system's, or the file is no complete, undamaged snapshot.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&files::read(path)?).map_err(|error| error.context(path.display()))
    }

    /// As bytes, for a file: a header, the integers, the floats (four bytes each where no bit is lost, else eight), a
    /// checksum. Little endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let single = |value: &f64| f64::from(*value as f32).to_bits() == value.to_bits();
        let narrow = self.floats.iter().all(single);
        let mut bytes = MAGIC.to_vec();
        let counts = [
            self.name.len(),
            self.worlds.len(),
            self.bits.len(),
            self.floats.len(),
            self.params.len(),
        ];
        let head = [self.of, self.rows[0], self.rows[1], u32::from(narrow)];
        bytes.extend(self.layout.to_le_bytes());
        bytes.extend(head.into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(
            counts
                .iter()
                .flat_map(|count| (*count as u64).to_le_bytes()),
        );
        bytes.extend(self.name.as_bytes());
        let integers = self.worlds.iter().chain(&self.bits);
        bytes.extend(integers.flat_map(|value| value.to_le_bytes()));
        match narrow {
            true => bytes.extend(self.floats.iter().flat_map(|v| (*v as f32).to_le_bytes())),
            false => bytes.extend(self.floats.iter().flat_map(|value| value.to_le_bytes())),
        }
        bytes.extend(self.params.iter().flat_map(|value| value.to_le_bytes()));
        let checksum = hash(HASH_START, &bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    /// From the bytes of [`Snapshot::to_bytes`].
    ///
    /// # Errors
    /// They are none, not all of them, or not as they were written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let broken = || {
            Error::invalid("no complete snapshot")
                .hint("it was cut short or damaged, or written by another version")
        };
        Self::parse(bytes).ok_or_else(broken)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<8>()?;
        let mut rest = content.strip_prefix(MAGIC.as_slice())?;
        if hash(HASH_START, content) != u64::from_le_bytes(*checksum) {
            return None;
        }
        let rest = &mut rest;
        let [layout] = values(rest, 1, u64::from_le_bytes)?[..] else {
            return None;
        };
        let head = values(rest, 4, u32::from_le_bytes)?;
        let counts = values(rest, 5, u64::from_le_bytes)?;
        let counts: Vec<usize> = counts
            .into_iter()
            .map(|count| usize::try_from(count).ok())
            .collect::<Option<_>>()?;
        let (name, left) = rest.split_at_checked(counts[0])?;
        *rest = left;
        let worlds = values(rest, counts[1], u32::from_le_bytes)?;
        let bits = values(rest, counts[2], u32::from_le_bytes)?;
        let floats = match head[3] {
            0 => values(rest, counts[3], f64::from_le_bytes)?,
            _ => values(rest, counts[3], |four| f64::from(f32::from_le_bytes(four)))?,
        };
        let snapshot = Self {
            name: String::from_utf8(name.to_vec()).ok()?,
            layout,
            of: head[0],
            rows: [head[1], head[2]],
            worlds,
            bits,
            floats,
            params: values(rest, counts[4], f64::from_le_bytes)?,
        };
        let fits = |rows: u32, values: usize| {
            (rows as usize).checked_mul(snapshot.worlds.len()) == Some(values)
        };
        let in_order = snapshot.worlds.is_sorted_by(|a, b| a < b)
            && snapshot.worlds.iter().all(|world| *world < snapshot.of);
        let whole = fits(head[1], snapshot.floats.len()) && fits(head[2], snapshot.bits.len());
        (rest.is_empty() && whole && in_order).then_some(snapshot)
    }

    /// Copies some worlds of a machine.
    fn take(source: &Source<'_>, machine: &Machine, selected: Vec<usize>) -> Result<Self> {
        let all = machine.worlds();
        let [floats, bits] = source.buffers();
        let mut snapshot = Self {
            name: source.name.to_owned(),
            layout: source.fingerprint(),
            worlds: selected.iter().map(|world| *world as u32).collect(),
            of: all as u32,
            rows: [&floats, &bits].map(|buffers| row_count(buffers)),
            floats: Vec::new(),
            bits: Vec::new(),
            params: source.params.to_vec(),
        };
        for buffer in floats {
            let values = machine.read_exact(buffer)?;
            snapshot.floats.extend(pick(&values, all, &selected));
        }
        for buffer in bits {
            let values = machine.read_bits(buffer)?;
            snapshot.bits.extend(pick(&values, all, &selected));
        }
        Ok(snapshot)
    }

    /// Puts worlds that the snapshot holds back into a machine.
    fn put(&self, source: &Source<'_>, machine: &mut Machine, wanted: &[usize]) -> Result<()> {
        let all = machine.worlds();
        self.demand(source, all)?;
        let held = |world: &usize| {
            let place = self.worlds.binary_search(&(*world as u32));
            place
                .map(|place| (*world, place))
                .map_err(|_| Error::invalid(format!("the snapshot does not hold world {world}")))
        };
        // Where each wanted world stands in the snapshot's rows.
        let places: Vec<(usize, usize)> = wanted.iter().map(held).collect::<Result<_>>()?;
        let width = self.worlds.len().max(1);
        let [floats, bits] = source.buffers();
        let mut rows = self.floats.chunks(width);
        for buffer in floats {
            let mut values = machine.read_exact(buffer)?;
            place(&mut values, all, &mut rows, &places);
            machine.write_exact(buffer, &values)?;
        }
        let mut rows = self.bits.chunks(width);
        for buffer in bits {
            let mut values = machine.read_bits(buffer)?;
            place(&mut values, all, &mut rows, &places);
            machine.write_bits(buffer, &values)?;
        }
        Ok(())
    }

    fn demand(&self, source: &Source<'_>, worlds: usize) -> Result<()> {
        let error = Error::invalid("the snapshot is of another environment");
        let [floats, bits] = source.buffers();
        if self.name != source.name {
            return Err(error.hint(format!(
                "it is of `{}`, not of `{}`",
                self.name, source.name
            )));
        }
        if self.of as usize != worlds {
            return Err(error.hint(format!("it has {} worlds and this one {worlds}", self.of)));
        }
        if self.layout != source.fingerprint()
            || self.rows != [row_count(&floats), row_count(&bits)]
            || self.params.len() != source.params.len()
        {
            return Err(error.hint(
                "their fields differ, or the worlds of their variants: the configuration must be the same too",
            ));
        }
        Ok(())
    }

    fn all_worlds(&self) -> Vec<usize> {
        self.worlds.iter().map(|world| *world as usize).collect()
    }
}

/// What a snapshot is taken from, or goes into.
struct Source<'a> {
    name: &'a str,
    layout: &'a Layout,
    params: &'a [f64],
    /// The worlds of each variant.
    variants: &'a [Range<usize>],
}

impl Source<'_> {
    /// Tells layouts with different fields apart, and worlds with different bodies.
    fn fingerprint(&self) -> u64 {
        let fields = self.layout.fields().iter();
        let fields = fields.fold(HASH_START, |all, (name, field)| {
            let place = [field.buffer, field.row, field.components];
            let place = place.into_iter().flat_map(u32::to_le_bytes);
            hash(
                all,
                &[name.as_bytes(), &place.collect::<Vec<u8>>()].concat(),
            )
        });
        self.variants.iter().fold(fields, |all, worlds| {
            let range = [worlds.start, worlds.end].map(|world| (world as u64).to_le_bytes());
            hash(all, range.as_flattened())
        })
    }

    /// Whole per-world buffers, of floats and of integers.
    fn buffers(&self) -> [Vec<Field>; 2] {
        [Kind::F32, Kind::U32].map(|kind| {
            let mut buffers = rows(self.layout, &[]);
            buffers.retain(|buffer| buffer.kind == kind);
            buffers
        })
    }
}

fn row_count(buffers: &[Field]) -> u32 {
    buffers.iter().map(|buffer| buffer.components).sum()
}

/// The chosen worlds of `[row][world]`.
fn pick<T: Copy>(values: &[T], worlds: usize, chosen: &[usize]) -> Vec<T> {
    let rows = values.chunks(worlds);
    rows.flat_map(|row| chosen.iter().map(|world| row[*world]))
        .collect()
}

/// Puts (world, place in the snapshot's row) pairs of the next rows into `[row][world]`.
fn place<'a, T: Copy + 'a>(
    values: &mut [T],
    worlds: usize,
    rows: &mut impl Iterator<Item = &'a [T]>,
    places: &[(usize, usize)],
) {
    for (target, row) in values.chunks_mut(worlds).zip(rows) {
        places
            .iter()
            .for_each(|(world, place)| target[*world] = row[*place]);
    }
}

/// Takes `count` numbers of `N` bytes from the front.
fn values<const N: usize, T>(
    rest: &mut &[u8],
    count: usize,
    read: impl Fn([u8; N]) -> T,
) -> Option<Vec<T>> {
    let (taken, left) = rest.split_at_checked(count.checked_mul(N)?)?;
    *rest = left;
    Some(
        taken
            .as_chunks::<N>()
            .0
            .iter()
            .map(|bytes| read(*bytes))
            .collect(),
    )
}

const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a (Fowler, Noll and Vo), over words of eight bytes for speed, then what is left byte by byte.
fn hash(start: u64, bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words
        .chain(tail.iter().map(|byte| u64::from(*byte)))
        .fold(start, |hash, word| {
            (hash ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(23)
        })
}

impl VecEnv {
    /// Copies everything about the masked worlds (all, without a mask) and the parameters to the host.
    ///
    /// # Errors
    /// The mask's length is not the number of worlds, or the device failed.
    pub fn snapshot(&self, mask: Option<&[bool]>) -> Result<Snapshot> {
        let numbers = self.host_numbers();
        Snapshot::take(&self.source(&numbers), &self.machine, self.selected(mask)?)
    }

    /// Puts the masked worlds (all that the snapshot holds, without a mask) back to where they were, bit for bit.
    /// Without a mask the parameters are restored too.
    ///
    /// # Errors
    /// The snapshot is of another task or number of worlds, lacks a masked world, or the device failed.
    pub fn restore(&mut self, mask: Option<&[bool]>, snapshot: &Snapshot) -> Result<()> {
        let wanted = match mask {
            Some(_) => self.selected(mask)?,
            None => snapshot.all_worlds(),
        };
        let numbers = self.host_numbers();
        let source = Source {
            name: &self.groups[0].plan.name,
            layout: &self.layout,
            params: &numbers,
            variants: self.variants.several(),
        };
        snapshot.put(&source, &mut self.machine, &wanted)?;
        if mask.is_none() {
            self.restore_host_numbers(&snapshot.params)?;
        }
        Ok(())
    }

    fn source<'a>(&'a self, params: &'a [f64]) -> Source<'a> {
        Source {
            name: &self.groups[0].plan.name,
            layout: &self.layout,
            params,
            variants: self.variants.several(),
        }
    }
}

impl Physics {
    /// Copies everything about the masked worlds (all, without a mask) to the host, controls included.
    ///
    /// # Errors
    /// The mask's length is not the number of worlds, or the device failed.
    pub fn snapshot(&self, mask: Option<&[bool]>) -> Result<Snapshot> {
        let selected = self.selected(mask)?;
        Snapshot::take(&self.source(), &self.machine, selected)
    }

    /// Puts the masked worlds (all that the snapshot holds, without a mask) back to where they were, bit for bit.
    ///
    /// # Errors
    /// The snapshot is of another model or number of worlds, lacks a masked world, or the device failed.
    pub fn restore(&mut self, mask: Option<&[bool]>, snapshot: &Snapshot) -> Result<()> {
        let wanted = match mask {
            Some(_) => self.selected(mask)?,
            None => snapshot.all_worlds(),
        };
        let source = Source {
            name: &self.model.name,
            layout: &self.layout,
            params: &[],
            variants: &[],
        };
        snapshot.put(&source, &mut self.machine, &wanted)
    }

    fn source(&self) -> Source<'_> {
        Source {
            name: &self.model.name,
            layout: &self.layout,
            params: &[],
            variants: &[],
        }
    }

    fn selected(&self, mask: Option<&[bool]>) -> Result<Vec<usize>> {
        super::selected(mask, self.worlds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_damage_is_noticed() {
        let snapshot = Snapshot {
            name: "task".into(),
            layout: 7,
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
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Snapshot::from_bytes(&damaged).is_err(), "byte {at}");
        }
        // What single precision cannot hold is stored in double.
        let exact = Snapshot {
            floats: vec![0.1, 1.0],
            ..snapshot.clone()
        };
        assert_eq!(exact.to_bytes().len(), bytes.len() + 8);
        assert_eq!(Snapshot::from_bytes(&exact.to_bytes()).unwrap(), exact);
    }
}
