//! What a sensor keeps from one control step to the next, and where it lies.

use super::super::spec::Spec;
use super::declare::Sensor;
use crate::trace::{BufferId, Carry, Field, Layout, Slot, Var};

/// A named part of a sensor's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `[entry][component]` The truth, newest first; entry i is i control steps old.
    Past,
    /// `[component]` Relative error of the episode.
    Gain,
    /// `[component]` Offset of the episode, in the value's unit.
    Bias,
    /// `[component]` Offset that wanders, in the value's unit.
    Drift,
    /// `[component]` Running mean of the truth.
    Mean,
    /// `[component]` Running variance of the truth.
    Variance,
    /// How many samples the two weigh, at most [`HORIZON`](super::signal::HORIZON).
    Samples,
    /// `[part]` 1 where the reading is frozen, else 0.
    Frozen,
    /// `[component]` The last reading, before clip and scale.
    Reading,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Past => "past",
            Part::Gain => "gain",
            Part::Bias => "bias",
            Part::Drift => "drift",
            Part::Mean => "mean",
            Part::Variance => "variance",
            Part::Samples => "samples",
            Part::Frozen => "frozen",
            Part::Reading => "reading",
        }
    }
}

impl Sensor {
    /// What a sensor of `dim` values keeps at a control step of `dt` seconds: parts and their sizes.
    fn keeps(&self, dim: usize, dt: f64) -> Vec<(Part, usize)> {
        let all = [
            (
                Part::Past,
                self.has_delay().then(|| (self.delay_steps(dt) + 1) * dim),
            ),
            (Part::Gain, self.gain.map(|_| dim)),
            (Part::Bias, self.bias.map(|_| dim)),
            (Part::Drift, self.has_drift().then_some(dim)),
            (Part::Mean, self.relative_noise.map(|_| dim)),
            (Part::Variance, self.relative_noise.map(|_| dim)),
            (Part::Samples, self.relative_noise.map(|_| 1)),
            (Part::Frozen, self.has_freeze().then(|| self.parts(dim))),
            (Part::Reading, self.has_reading().then_some(dim)),
        ];
        all.into_iter()
            .filter_map(|(part, size)| Some((part, size?)))
            .collect()
    }
}

/// What one sensor keeps in one world.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    parts: Vec<(Part, Vec<Var>)>,
}

impl Memory {
    /// A part's values; none where the sensor does not keep it.
    pub(super) fn get(&self, part: Part) -> &[Var] {
        let found = self.parts.iter().find(|(known, _)| *known == part);
        found.map_or(&[], |(_, values)| values)
    }

    /// Changes one value, where the part is kept.
    pub(super) fn put(&mut self, part: Part, index: usize, value: Var) {
        let found = self.parts.iter_mut().find(|(known, _)| *known == part);
        if let Some((_, values)) = found {
            values[index] = value;
        }
    }

    /// All zeros, as before the first look.
    pub(crate) fn blank(&self) -> Self {
        let mut blank = self.clone();
        for (_, values) in &mut blank.parts {
            values.fill(Var::ZERO);
        }
        blank
    }
}

impl Carry for Memory {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.parts
            .iter_mut()
            .for_each(|(_, values)| values.slots(visit));
    }
}

/// Where a sensor's memory lies: `sensor.GROUP.TERM.PART`.
#[derive(Clone, Debug, Default)]
pub struct SensorFields {
    parts: Vec<(Part, Field)>,
}

impl SensorFields {
    /// Adds the memories of all terms to a buffer, in the order of groups and terms; many are empty.
    pub(crate) fn declare(spec: &Spec, layout: &mut Layout, buffer: BufferId) -> Vec<Self> {
        let mut all = Vec::new();
        for group in &spec.groups {
            for term in &group.terms {
                let parts = term.sensor.keeps(term.dim, spec.control_dt);
                let field = |(part, size): (Part, usize)| {
                    let name = format!("sensor.{}.{}.{}", group.name, term.name, part.name());
                    (part, layout.field(buffer, &name, size))
                };
                all.push(Self {
                    parts: parts.into_iter().map(field).collect(),
                });
            }
        }
        all
    }

    /// The values at the start of the kernel.
    pub(crate) fn load(&self) -> Memory {
        Memory {
            parts: self
                .parts
                .iter()
                .map(|(part, field)| (*part, field.load_all()))
                .collect(),
        }
    }

    /// Writes the values.
    pub(crate) fn store(&self, memory: &Memory) {
        let pairs = self.parts.iter().zip(&memory.parts);
        pairs.for_each(|((_, field), (_, values))| field.store_all(values));
    }
}
