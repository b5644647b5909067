//! What a world was before the step in which it went wrong: kept on the device, read back when somebody asks.
//!
//! The control step overwrites the state that it loads, and in `SameStep` the next episode too. Where a
//! [`Builder`](super::Builder) is asked to keep bad worlds, every step is followed by a small kernel that looks at the
//! status word and, in the worlds that went wrong only, moves aside everything that the step read and everything that it
//! left. For that, the rows of the buffers are copied before each step. The step's own kernel does not know: it is the
//! same text with the option and without, so what was kept can be stepped again, bit for bit, by an environment without
//! the option.
//!
//! Each world keeps the last time it went wrong. The `statistics` are left out: they decide nothing.

use super::VecEnv;
use super::bad_world::{BadWorld, Origin, Values};
use super::fields::Fields;
use super::machine::{KernelId, Launch, Machine};
use crate::error::Result;
use crate::tasks::Cause;
use crate::trace::{self, Field, Graph, Kind, Layout, uniform, when};

/// Keeps the bad worlds of one environment.
pub(super) struct Keeper {
    memory: Memory,
    kernel: KernelId,
    /// Bits of the causes for which a world is kept; 0: none any more.
    wanted: u32,
    /// The task's configuration, as the text of a `task.toml`.
    config: String,
}

/// Where they are kept: buffers behind those of the environment, whose places do not change.
pub(super) struct Memory {
    /// Every buffer of the environment that is kept.
    rows: Vec<Rows>,
    /// The table of parameters, and each bad world's copy.
    parameters: [Field; 2],
    /// How often each world was kept since the last look.
    count: Field,
}

/// A buffer of the environment, and its copies.
struct Rows {
    /// All rows of the buffer.
    now: Field,
    /// As they were before the step, in all worlds.
    previous: Field,
    /// Before the step, in the worlds that went wrong.
    before: Field,
    /// After it, likewise.
    after: Field,
}

impl Memory {
    /// Adds the buffers to an environment's layout.
    pub(super) fn declare(layout: &mut Layout, fields: &Fields) -> Self {
        let statistics = fields.statistics.episodes.buffer;
        let sources: Vec<Field> = (0u32..)
            .zip(layout.buffers())
            .filter(|(index, buffer)| buffer.per_world && *index != statistics && buffer.rows > 0)
            .map(|(index, buffer)| Field {
                buffer: index,
                row: 0,
                components: buffer.rows,
                kind: buffer.kind,
                per_world: true,
            })
            .collect();
        let previous = [
            layout.buffer("previous", Kind::F32),
            layout.buffer("previous_bits", Kind::U32),
        ];
        let kept = [
            layout.buffer("kept", Kind::F32),
            layout.buffer("kept_bits", Kind::U32),
        ];
        let of = |kind| usize::from(kind == Kind::U32);
        let rows = sources
            .into_iter()
            .map(|now| {
                let mut add = |buffers: [trace::BufferId; 2], name: &str| {
                    let name = format!("{name}.{}", now.buffer);
                    layout.field(buffers[of(now.kind)], &name, now.len())
                };
                Rows {
                    now,
                    previous: add(previous, "previous"),
                    before: add(kept, "kept.before"),
                    after: add(kept, "kept.after"),
                }
            })
            .collect();
        let table = fields.parameters;
        Self {
            rows,
            parameters: [table, layout.field(kept[0], "kept.parameters", table.len())],
            count: layout.field(kept[1], "kept.count", 1),
        }
    }

    /// The kernel that follows each step. Run-time value: `wanted`, bits of the causes for which a world is kept.
    pub(super) fn record(&self, layout: &Layout, fields: &Fields) -> Graph {
        trace::record("keep", layout, || {
            let found = fields.status.load_bits(0) & uniform("wanted");
            when(found.ne(0), (), |()| {
                for rows in &self.rows {
                    match rows.now.kind {
                        Kind::F32 => {
                            rows.before.store_all(&rows.previous.load_all());
                            rows.after.store_all(&rows.now.load_all());
                        }
                        Kind::U32 => {
                            rows.before.store_all_bits(&rows.previous.load_all_bits());
                            rows.after.store_all_bits(&rows.now.load_all_bits());
                        }
                    }
                }
                let [table, kept] = self.parameters;
                kept.store_all(&table.load_all());
                self.count.store_bits(0, self.count.load_bits(0) + 1);
            });
        })
    }
}

impl Keeper {
    pub(super) fn new(memory: Memory, kernel: KernelId, causes: &[Cause], config: String) -> Self {
        Self {
            memory,
            kernel,
            wanted: causes.iter().fold(0, |bits, cause| bits | cause.bit()),
            config,
        }
    }

    /// Runs a control step and looks at what came of it.
    pub(super) fn step(&self, machine: &mut Machine, mut step: Vec<Launch<'_>>) -> Result<()> {
        if self.wanted == 0 {
            return machine.launch(&step);
        }
        let rows = self.memory.rows.iter();
        let copies: Vec<_> = rows.map(|rows| (rows.now, rows.previous)).collect();
        let wanted = [("wanted", self.wanted)];
        let look = Launch {
            kernel: self.kernel,
            worlds: 0..machine.worlds(),
            uniforms: &wanted,
        };
        let launches: Vec<Launch<'_>> = step.drain(..).chain([look]).collect();
        machine.launch_after(&copies, &launches)
    }
}

impl VecEnv {
    /// The worlds that went wrong since the last call, each with the last step in which it did, in ascending order. None
    /// unless the environment was built with [`Builder::keep_bad_worlds`](super::Builder::keep_bad_worlds).
    ///
    /// Where nothing went wrong, one number per world is read back.
    ///
    /// # Errors
    /// The device failed.
    pub fn take_bad_worlds(&mut self) -> Result<Vec<BadWorld>> {
        let Some(keeper) = &self.keeper else {
            return Ok(Vec::new());
        };
        let memory = &keeper.memory;
        let counts = self.machine.read_bits(memory.count)?;
        if counts.iter().all(|&count| count == 0) {
            return Ok(Vec::new());
        }
        let mut buffers = Vec::new();
        for rows in &memory.rows {
            let sides = [rows.before, rows.after].map(|field| self.machine.read_values(field));
            let [before, after] = sides;
            buffers.push((rows.now.buffer, [before?, after?]));
        }
        let parameters = self.machine.read_values(memory.parameters[1])?;
        let worlds = self.machine.worlds();
        let of_world = |world: usize, side: usize| {
            let fields = self.layout.fields().iter();
            let kept = fields.filter_map(|(name, field)| {
                let (_, sides) = buffers.iter().find(|(buffer, _)| *buffer == field.buffer)?;
                let rows = field.row as usize..(field.row + field.components) as usize;
                let at = rows.map(move |row| row * worlds + world);
                (!field.is_empty()).then(|| (name.clone(), sides[side].pick(at)))
            });
            kept.collect::<Vec<_>>()
        };
        let found = (0..worlds).filter(|world| counts[*world] > 0);
        let bad = found.map(|world| BadWorld {
            world,
            count: counts[world],
            origin: Origin::of(self, world, keeper.config.clone()),
            // A table without entries has one place all the same.
            parameters: (self.params.keys().map(str::to_owned))
                .zip(
                    parameters
                        .pick((0..self.params.len()).map(|i| i * worlds + world))
                        .to_f64(),
                )
                .collect(),
            before: of_world(world, 0),
            after: of_world(world, 1),
        });
        let bad = bad.collect();
        let count = memory.count;
        self.machine.clear(&[count])?;
        Ok(bad)
    }

    /// Keeps no more bad worlds: from here on a step costs what it costs without.
    pub fn stop_keeping_bad_worlds(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            keeper.wanted = 0;
        }
    }

    /// Puts `values`, `[component]`, into a field of every world.
    pub(super) fn put(&mut self, field: Field, values: &Values) -> Result<()> {
        let worlds = self.machine.worlds();
        let spread = |len: usize| (0..len).flat_map(move |i| std::iter::repeat_n(i, worlds));
        match values {
            Values::Bits(bits) => {
                let all: Vec<u32> = spread(bits.len()).map(|i| bits[i]).collect();
                self.machine.write_bits(field, &all)
            }
            Values::Single(floats) => {
                let all: Vec<f32> = spread(floats.len()).map(|i| floats[i]).collect();
                self.machine.write(field, &all)
            }
            Values::Double(floats) => {
                let all: Vec<f64> = spread(floats.len()).map(|i| floats[i]).collect();
                self.machine.write_exact(field, &all)
            }
        }
    }

    /// A field of the only world, or of the first.
    pub(super) fn values_of_first(&self, field: Field) -> Result<Values> {
        let worlds = self.machine.worlds();
        let at = (0..field.len()).map(|component| component * worlds);
        Ok(self.machine.read_values(field)?.pick(at))
    }
}
