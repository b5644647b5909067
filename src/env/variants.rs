//! Worlds with different bodies: which of them are stepped together, by which kernel, from which numbers.

use std::ops::Range;

use super::VecEnv;
use super::fields::{Fields, Variants};
use super::machine::{KernelId, Launch, Machine};
use super::step::Plan;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::rigid::{self, Number, Parameters};
use crate::tasks::actuators::Drives;
use crate::tasks::{Params, Spec, Task, Variant};
use crate::trace::{Bits, Layout};

/// Variants that one kernel steps: alike but for numbers of the physics.
pub(super) struct Topology {
    /// The first variant's model.
    pub model: Model,
    /// What the task declares for it.
    pub spec: Spec,
    /// Its actuator models.
    pub drives: Drives,
    pub variation: Variation,
}

/// In what the variants of one kernel differ.
#[derive(Default)]
pub(super) struct Variation {
    numbers: Vec<Number>,
    /// The variants by their places among all, each with its numbers.
    members: Vec<(usize, Vec<f64>)>,
}

/// Worlds that follow one another and are stepped by one kernel.
pub(super) struct Group {
    pub plan: Plan,
    pub worlds: Range<usize>,
    pub step: KernelId,
    pub reset: KernelId,
    pub refresh: KernelId,
}

/// The variants of a task in an environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VariantWorlds {
    /// Their names, in the order of the configuration; an empty one where worlds have the task's own model.
    pub names: Vec<String>,
    /// The worlds of each; they follow one another, variants that share a kernel side by side.
    pub worlds: Vec<Range<usize>>,
}

impl Topology {
    /// Finds the variants that one kernel can step.
    ///
    /// # Errors
    /// A model asks for something that the physics does not support.
    pub(super) fn of(variants: Vec<Variant>) -> Result<Vec<Self>> {
        // Each with its variants' places and models, for the numbers once all are known.
        let mut found: Vec<(Self, Vec<(usize, Model)>)> = Vec::new();
        for (place, variant) in variants.into_iter().enumerate() {
            let topology = Self::new(variant)?;
            let alike = found.iter_mut().find_map(|(known, models)| {
                let numbers = known.differences(&topology)?;
                Some((known, models, numbers))
            });
            match alike {
                Some((known, models, numbers)) => {
                    known.variation.numbers.extend(numbers);
                    models.push((place, topology.model));
                }
                None => {
                    let model = topology.model.clone();
                    found.push((topology, vec![(place, model)]));
                }
            }
        }
        let whole = found.into_iter().map(|(mut topology, models)| {
            topology.variation = Variation::new(topology.variation.numbers, &models);
            topology
        });
        Ok(whole.collect())
    }

    /// Memory for worlds of all these kernels, and where each kernel finds what.
    pub(super) fn arrange(topologies: &[Self], names: &[String]) -> (Layout, Vec<Fields>) {
        let is_plain = names.iter().all(String::is_empty);
        let count = if is_plain { 0 } else { names.len() };
        let fields = |layout: &mut Layout, kernel: usize| {
            Fields::new(layout, &topologies[kernel], &Variants { count, kernel })
        };
        let own = (0..topologies.len()).map(|kernel| {
            let mut layout = Layout::new();
            fields(&mut layout, kernel);
            layout
        });
        let layout = Layout::union(&own.collect::<Vec<_>>());
        let places = (0..topologies.len()).map(|kernel| fields(&mut layout.frame(), kernel));
        let places = places.collect();
        (layout, places)
    }

    fn new(variant: Variant) -> Result<Self> {
        let Variant {
            mut model, spec, ..
        } = variant;
        rigid::check(&model)?;
        let drives = Drives::new(&spec.actuators, spec.control_dt, &model)?;
        drives.install(&mut model);
        Ok(Self {
            model,
            spec,
            drives,
            variation: Variation::default(),
        })
    }

    /// The numbers in which another differs that the same kernel can step.
    fn differences(&self, other: &Self) -> Option<Vec<Number>> {
        if self.drives != other.drives || self.spec != other.spec {
            return None;
        }
        // Where sizes are drawn, masses are computed from what the geoms of the first model add.
        let reshapes = self.spec.randomization().reshapes();
        if reshapes && self.model.geom_mass != other.model.geom_mass {
            return None;
        }
        rigid::differences(&self.model, &other.model)
    }
}

impl Variation {
    fn new(mut numbers: Vec<Number>, models: &[(usize, Model)]) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        let values = |model: &Model| numbers.iter().map(|number| number.of(model)).collect();
        let members = models.iter().map(|(place, model)| (*place, values(model)));
        Self {
            members: members.collect(),
            numbers,
        }
    }

    /// How many numbers the table of all `variants` holds; 0 where there is nothing to look up.
    pub(super) fn table_len(&self, variants: usize) -> usize {
        self.numbers.len() * variants
    }

    /// `[variant][number]` The table, with zeros for variants of other kernels.
    pub(super) fn table(&self, variants: usize) -> Vec<f64> {
        let mut table = vec![0.0; self.table_len(variants)];
        let width = self.numbers.len();
        for (place, values) in &self.members {
            table[place * width..][..width].copy_from_slice(values);
        }
        table
    }

    /// Its variants' places among all.
    pub(super) fn variants(&self) -> impl Iterator<Item = usize> + '_ {
        self.members.iter().map(|(place, _)| *place)
    }
}

impl Plan {
    /// The numbers of the physics in a world of a variant.
    pub(super) fn physics(&self, variant: Bits) -> Parameters {
        let mut physics = Parameters::constant(&self.model);
        let numbers = &self.variation.numbers;
        let first = variant * numbers.len() as u32;
        for (index, number) in (0..).zip(numbers) {
            if let Some(slot) = physics.number(number.field, number.row, number.component) {
                *slot = self.fields.variants.load_at(first + index);
            }
        }
        physics
    }
}

/// How many of `worlds` worlds each variant gets: as its share says, with what is left over given to the largest
/// fractions.
pub(super) fn apportion(shares: &[f64], worlds: usize) -> Vec<usize> {
    let total: f64 = shares.iter().sum();
    let exact = shares.iter().map(|share| worlds as f64 * share / total);
    let mut counts: Vec<(usize, f64)> =
        exact.map(|exact| (exact as usize, exact.fract())).collect();
    let given: usize = counts.iter().map(|(count, _)| count).sum();
    let mut order: Vec<usize> = (0..shares.len()).filter(|&i| shares[i] > 0.0).collect();
    order.sort_by(|a, b| counts[*b].1.total_cmp(&counts[*a].1));
    for index in order.iter().cycle().take(worlds.saturating_sub(given)) {
        counts[*index].0 += 1;
    }
    counts.into_iter().map(|(count, _)| count).collect()
}

impl VariantWorlds {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self {
            worlds: vec![0..0; names.len()],
            names,
        }
    }

    /// Gives the variants of one kernel the next worlds, `counts` of each.
    pub(super) fn place(&mut self, variation: &Variation, counts: &[usize]) -> Range<usize> {
        let start = self
            .worlds
            .iter()
            .map(|worlds| worlds.end)
            .max()
            .unwrap_or(0);
        let mut end = start;
        for variant in variation.variants() {
            self.worlds[variant] = end..end + counts[variant];
            end += counts[variant];
        }
        start..end
    }

    /// The worlds of each variant; none where all worlds are alike.
    pub(super) fn several(&self) -> &[Range<usize>] {
        match self.worlds.len() {
            1 => &[],
            _ => &self.worlds,
        }
    }

    /// The name of the variant of a world.
    pub fn name_of(&self, world: usize) -> Option<&str> {
        let of_world = self
            .worlds
            .iter()
            .position(|worlds| worlds.contains(&world))?;
        Some(&self.names[of_world])
    }

    /// `[world]` Which variant it has.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let mut ranges: Vec<(usize, &Range<usize>)> = self.worlds.iter().enumerate().collect();
        ranges.sort_by_key(|(_, worlds)| (worlds.start, worlds.end));
        let numbers = ranges.iter();
        numbers
            .flat_map(|(variant, worlds)| std::iter::repeat_n(*variant as u32, worlds.len()))
            .collect()
    }
}

impl Group {
    /// Compiles the kernels of a plan, and fills the tables that they read.
    pub(super) fn compile(
        plan: Plan,
        worlds: Range<usize>,
        (task, params): (&dyn Task, &Params),
        machine: &mut Machine,
    ) -> Result<Self> {
        let step = machine.kernel(plan.step(task, params)?)?;
        let reset = machine.kernel(plan.reset(task, params)?)?;
        let refresh = machine.kernel(plan.refresh(task, params)?)?;
        let weights = plan.fields.actuators.weights.iter();
        for (field, values) in weights.zip(plan.drives.weights()) {
            machine.write_table(*field, &values)?;
        }
        let table = plan.variation.table(plan.spec.variants.names.len());
        if !table.is_empty() {
            machine.write_table(plan.fields.variants, &table)?;
        }
        Ok(Self {
            plan,
            worlds,
            step,
            reset,
            refresh,
        })
    }

    /// Runs one of its kernels on its worlds.
    pub(super) fn launch<'u>(
        &self,
        kernel: KernelId,
        uniforms: &'u [(&'u str, u32)],
    ) -> Launch<'u> {
        Launch {
            kernel,
            worlds: self.worlds.clone(),
            uniforms,
        }
    }
}

impl VecEnv {
    /// Which worlds have which variant of the model.
    pub fn variants(&self) -> &VariantWorlds {
        &self.variants
    }

    /// The model of a world; of variants that differ in numbers only, the first one's.
    ///
    /// # Errors
    /// There is no such world.
    pub fn model_of(&self, world: usize) -> Result<&Model> {
        Ok(&self.group_of(world)?.plan.model)
    }

    /// The group that a world belongs to.
    pub(super) fn group_of(&self, world: usize) -> Result<&Group> {
        let found = self
            .groups
            .iter()
            .find(|group| group.worlds.contains(&world));
        found.ok_or_else(|| {
            Error::invalid(format!("world {world} of {}", self.num_envs()))
                .hint("worlds are numbered from 0")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_are_shared_out_as_exactly_as_can_be() {
        assert_eq!(apportion(&[1.0, 1.0, 1.0], 10), [4, 3, 3]);
        assert_eq!(apportion(&[2.0, 1.0, 0.0], 7), [5, 2, 0]);
        assert_eq!(apportion(&[1.0, 1000.0], 2), [0, 2]);
        assert_eq!(apportion(&[1.0, 0.0], 1), [1, 0]);
        for worlds in 1..50 {
            let counts = apportion(&[0.1, 0.7, 1e-3, 3.0], worlds);
            assert_eq!(counts.iter().sum::<usize>(), worlds);
        }
    }
}
