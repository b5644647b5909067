//! State as a value, on the device: some worlds copied out of an environment, and into the same or other worlds of it
//! or of another environment of the same task. Nothing visits the host but the list of worlds.
//!
//! A planner keeps the world that it plans for as a [`DeviceState`] of one world, puts it into thousands, and lets them
//! try what comes of different actions (examples/planner.rs). All rows of all per-world buffers are copied, so whatever
//! a task, a sensor or an actuator keeps per world comes along, to the bit.

use std::fmt;

use super::machine::Machine;
use super::{Physics, VecEnv};
use crate::error::{Error, Result};
use crate::gpu::Copies;
use crate::trace::{Field, Layout};

/// The state of some worlds, where the environment computes.
///
/// The task's parameters, which all worlds share, are not part of it ([`Snapshot`](super::Snapshot) keeps them).
pub struct DeviceState {
    machine: Machine,
    name: String,
    layout: Layout,
    /// `[world]` The variant of the model, and the first variant that its kernel steps.
    variants: Vec<(String, usize)>,
}

/// Some worlds of an environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which<'a> {
    /// All, in order.
    #[default]
    All,
    /// Those where the mask holds, in ascending order; one `bool` per world.
    Mask(&'a [bool]),
    /// These, in this order.
    Indices(&'a [usize]),
}

/// Whose random numbers a world draws after [`VecEnv::set_state`]: they are keyed by seed, stream and episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Randomness {
    /// Those of the saved world: it goes on exactly as the saved world did, and copies of one world stay equal.
    Saved,
    /// Its own: copies of one world differ from here on, through random numbers only. Worlds whose `stream` nobody
    /// changed ([`VecEnv::set_bits`]) have different ones.
    Own,
}

impl DeviceState {
    /// The number of worlds it holds.
    pub fn worlds(&self) -> usize {
        self.machine.worlds()
    }

    /// Bytes on the device; none on the host.
    pub fn bytes(&self) -> Option<u64> {
        self.machine.arenas().map(crate::gpu::Arenas::bytes)
    }

    fn new(machine: &Machine, name: &str, layout: &Layout, worlds: usize) -> Result<Self> {
        if worlds == 0 {
            return Err(Error::invalid("the state of no world").hint("choose at least one"));
        }
        Ok(Self {
            machine: machine.like(layout, worlds)?,
            name: name.to_owned(),
            layout: layout.clone(),
            variants: Vec::new(),
        })
    }

    /// Copies worlds of `machine` into this state.
    fn take(&mut self, machine: &Machine, which: Which<'_>) -> Result<()> {
        let sources = chosen(which, machine.worlds())?;
        if sources.len() != self.worlds() {
            return Err(Error::invalid(format!(
                "{} worlds go into a state of {}",
                sources.len(),
                self.worlds()
            )));
        }
        let targets = (0..sources.len() as u32).collect();
        let rows = rows(&self.layout, &[]);
        self.machine
            .copy_worlds(machine, &Copies { sources, targets }, &rows)
    }

    /// Which of its worlds go where.
    fn pairs(&self, which: Which<'_>, worlds: usize) -> Result<Copies> {
        let targets = chosen(which, worlds)?;
        let mut sorted = targets.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid(format!("world {} is there twice", twice[0]))
                .hint("a world can become one thing only"));
        }
        let sources = match self.worlds() {
            1 => vec![0; targets.len()],
            held if held == targets.len() => (0..held as u32).collect(),
            held => {
                return Err(Error::invalid(format!(
                    "a state of {held} worlds goes into {}",
                    targets.len()
                ))
                .hint("give as many worlds, or the state of one world for all of them"));
            }
        };
        Ok(Copies { sources, targets })
    }

    /// Copies this state into worlds of `machine`, without the rows of the fields `except`.
    fn put(&self, machine: &mut Machine, copies: &Copies, except: &[Field]) -> Result<()> {
        let rows = rows(&self.layout, except);
        machine.copy_worlds(&self.machine, copies, &rows)
    }

    fn demand(&self, name: &str, layout: &Layout) -> Result<()> {
        if self.name == name && self.layout == *layout {
            return Ok(());
        }
        let error = Error::invalid(format!("a state of `{}` for `{name}`", self.name));
        Err(match self.name == name {
            true => error.hint("its configuration has other fields"),
            false => error.hint("tasks must be the same"),
        })
    }
}

impl fmt::Debug for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceState({} worlds of {})", self.worlds(), self.name)
    }
}

impl VecEnv {
    /// Copies the state of some worlds; an index may be there more than once. On a device it is sent, not waited for.
    ///
    /// # Errors
    /// A world is not there, the mask's length is wrong, no world is chosen, or the device failed.
    pub fn get_state(&self, which: Which<'_>) -> Result<DeviceState> {
        let worlds = chosen(which, self.num_envs())?.len();
        let (name, layout) = (&self.groups[0].plan.name, &self.layout);
        let mut state = DeviceState::new(&self.machine, name, layout, worlds)?;
        self.get_state_into(which, &mut state)?;
        Ok(state)
    }

    /// [`VecEnv::get_state`] into memory that is there already.
    ///
    /// # Errors
    /// As [`VecEnv::get_state`]; the state is of another task or of another number of worlds.
    pub fn get_state_into(&self, which: Which<'_>, state: &mut DeviceState) -> Result<()> {
        state.demand(&self.groups[0].plan.name, &self.layout)?;
        state.take(&self.machine, which)?;
        let worlds = chosen(which, self.num_envs())?.into_iter();
        let variants = worlds.map(|world| self.variant_and_kernel(world as usize));
        state.variants = variants.collect::<Result<_>>()?;
        Ok(())
    }

    /// Puts worlds where a state says, to the bit: observations, running sums and statistics too. World k of the state
    /// goes to the k-th chosen world; the state of one world goes to all of them. Other worlds do not change.
    ///
    /// The state may come from another environment of the same task, with any number of worlds.
    ///
    /// # Errors
    /// The state is of another task or lies on another device, the numbers of worlds do not match, a world is not there
    /// or is there twice or has a body that another kernel steps, or the device failed.
    pub fn set_state(
        &mut self,
        which: Which<'_>,
        state: &DeviceState,
        randomness: Randomness,
    ) -> Result<()> {
        state.demand(&self.groups[0].plan.name, &self.layout)?;
        let fields = &self.fields;
        let keys = [fields.seed, fields.stream, fields.episode];
        let except = match randomness {
            Randomness::Saved => &[],
            Randomness::Own => keys.as_slice(),
        };
        let copies = state.pairs(which, self.num_envs())?;
        for (source, target) in copies.sources.iter().zip(&copies.targets) {
            let (name, kernel) = &state.variants[*source as usize];
            let (here, its) = self.variant_and_kernel(*target as usize)?;
            if *kernel != its {
                let cause = format!("world {target} is a `{here}` and cannot become a `{name}`");
                return Err(Error::invalid(cause).hint("another kernel steps it"));
            }
        }
        state.put(&mut self.machine, &copies, except)
    }

    /// The name of a world's variant, and the first variant that its kernel steps.
    fn variant_and_kernel(&self, world: usize) -> Result<(String, usize)> {
        let name = self.variants.name_of(world).unwrap_or_default();
        let mut variants = self.group_of(world)?.plan.variation.variants();
        Ok((name.to_owned(), variants.next().unwrap_or_default()))
    }

    /// Makes copies of one world: [`VecEnv::get_state`] of it, then [`VecEnv::set_state`].
    ///
    /// # Errors
    /// As those.
    pub fn fork(
        &mut self,
        source: usize,
        targets: Which<'_>,
        randomness: Randomness,
    ) -> Result<()> {
        let state = self.get_state(Which::Indices(&[source]))?;
        self.set_state(targets, &state, randomness)
    }
}

impl Physics {
    /// Copies the state of some worlds, controls included; an index may be there more than once. On a device it is
    /// sent, not waited for.
    ///
    /// # Errors
    /// As [`VecEnv::get_state`].
    pub fn get_state(&self, which: Which<'_>) -> Result<DeviceState> {
        let worlds = chosen(which, self.worlds())?.len();
        let mut state = DeviceState::new(&self.machine, &self.model.name, &self.layout, worlds)?;
        state.take(&self.machine, which)?;
        Ok(state)
    }

    /// Puts worlds where a state says, to the bit, as [`VecEnv::set_state`] does ([`Physics::set_state`] takes arrays).
    ///
    /// # Errors
    /// As [`VecEnv::set_state`].
    pub fn put_state(&mut self, which: Which<'_>, state: &DeviceState) -> Result<()> {
        state.demand(&self.model.name, &self.layout)?;
        let copies = state.pairs(which, self.worlds())?;
        state.put(&mut self.machine, &copies, &[])
    }
}

/// The chosen worlds, in their order.
fn chosen(which: Which<'_>, worlds: usize) -> Result<Vec<u32>> {
    match which {
        Which::All => Ok((0..worlds as u32).collect()),
        Which::Mask(mask) if mask.len() == worlds => Ok((0..worlds as u32)
            .filter(|world| mask[*world as usize])
            .collect()),
        Which::Mask(mask) => Err(Error::invalid(format!(
            "a mask of {} worlds; there are {worlds}",
            mask.len()
        ))),
        Which::Indices(indices) => match indices.iter().find(|index| **index >= worlds) {
            Some(index) => Err(Error::invalid(format!("world {index} of {worlds}"))
                .hint("worlds are numbered from 0")),
            None => Ok(indices.iter().map(|index| *index as u32).collect()),
        },
    }
}

/// Every row of every per-world buffer but those of some fields, in as few runs as possible.
pub(super) fn rows(layout: &Layout, except: &[Field]) -> Vec<Field> {
    let mut runs = Vec::new();
    let buffers = layout.buffers().iter().zip(0..);
    for (buffer, index) in buffers.filter(|(buffer, _)| buffer.per_world) {
        let whole = Field {
            buffer: index,
            row: 0,
            components: buffer.rows,
            kind: buffer.kind,
            per_world: true,
        };
        let mut left_out: Vec<&Field> = except.iter().filter(|f| f.buffer == index).collect();
        left_out.sort_by_key(|field| field.row);
        let mut start = 0;
        for field in left_out {
            runs.push(whole.slice(start, field.row as usize - start));
            start = field.row as usize + field.len();
        }
        runs.push(whole.slice(start, whole.len() - start));
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Kind;

    #[test]
    fn runs_hold_every_row_but_those_left_out() {
        let mut layout = Layout::new();
        let table = layout.table("table", Kind::F32);
        layout.field(table, "numbers", 4);
        let (a, b) = (layout.buffer("a", Kind::F32), layout.buffer("b", Kind::U32));
        layout.buffer("empty", Kind::U32);
        layout.field(a, "qpos", 3);
        let seed = layout.field(b, "seed", 2);
        layout.field(b, "status", 1);
        let stream = layout.field(b, "stream", 1);
        layout.field(b, "rest", 2);
        let places = |except: &[Field]| -> Vec<(u32, u32, u32)> {
            rows(&layout, except)
                .iter()
                .map(|run| (run.buffer, run.row, run.components))
                .collect()
        };
        assert_eq!(places(&[]), [(1, 0, 3), (2, 0, 6)]);
        assert_eq!(places(&[stream, seed]), [(1, 0, 3), (2, 2, 1), (2, 4, 2)]);
    }
}
