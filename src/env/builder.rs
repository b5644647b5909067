//! From a task to a running environment: options, and where it runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::VecEnv;
use super::keep::{Keeper, Memory};
use super::machine::{Machine, Target};
use super::step::Plan;
use super::variants::{Group, Topology, VariantWorlds, apportion};
use crate::error::{Error, Result};
use crate::gpu::Context;
use crate::randomize::{AutomaticRanges, Curriculum, Randomization};
use crate::tasks::{Cause, Definition, Variant};

/// What happens to a world whose episode is over (gymnasium's `AutoresetMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autoreset {
    /// It begins anew in the same step: `obs` is after the reset, `next_obs` is the true successor. Frames and terms
    /// are computed once more for the worlds that begin, behind a branch: `info TASK` lists the cost as stage `reset`
    /// (168 of the cartpole's 559 operations).
    #[default]
    SameStep,
    /// It begins anew in the next step, which ignores its action, gives it reward 0 and `valid` = 0.
    NextStep,
    /// It stands still until it is reset: further steps ignore its action, give it reward 0 and `valid` = 0.
    Disabled,
}

/// The options of an environment; made by [`VecEnv::builder`].
pub struct Builder {
    definition: Definition,
    worlds: usize,
    seed: u64,
    first_stream: u32,
    autoreset: Autoreset,
    stagger: bool,
    kept: Vec<Cause>,
    curriculum: Option<Box<dyn Curriculum>>,
}

impl Builder {
    pub(super) fn new(definition: Definition) -> Self {
        Self {
            definition,
            worlds: 1,
            seed: 0,
            first_stream: 0,
            autoreset: Autoreset::default(),
            stagger: false,
            kept: Vec::new(),
            curriculum: None,
        }
    }

    /// How many worlds step together; 1 unless said otherwise.
    #[must_use]
    pub fn worlds(mut self, worlds: usize) -> Self {
        self.worlds = worlds;
        self
    }

    /// The seed of all random numbers; 0 unless said otherwise.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// World i draws from random stream `first + i`, so that a world can be run again alone.
    #[must_use]
    pub fn first_stream(mut self, first: u32) -> Self {
        self.first_stream = first;
        self
    }

    /// What happens to a world whose episode is over.
    #[must_use]
    pub fn autoreset(mut self, mode: Autoreset) -> Self {
        self.autoreset = mode;
        self
    }

    /// Whether the first episodes begin at random steps towards the time limit, so that not all worlds run out of
    /// time together. Statistics leave these first episodes out.
    #[must_use]
    pub fn stagger(mut self, stagger: bool) -> Self {
        self.stagger = stagger;
        self
    }

    /// Keeps every world in which one of these causes is found, with everything that the step began with, for
    /// [`VecEnv::take_bad_worlds`]; none unless said otherwise.
    ///
    /// The control step's kernel is the same with and without, so that every bit is. What is kept takes three times the
    /// memory of the state. On Mesa's software device an ant's step takes 1.2 times its time, a cartpole's twice.
    #[must_use]
    pub fn keep_bad_worlds(mut self, causes: &[Cause]) -> Self {
        self.kept = causes.to_vec();
        self
    }

    /// What changes the task's numbers between rollouts, in the place of
    /// [`AutomaticRanges`], which moves the ranges where the task has boundaries that move.
    #[must_use]
    pub fn curriculum(mut self, curriculum: Box<dyn Curriculum>) -> Self {
        self.curriculum = Some(curriculum);
        self
    }

    /// Builds the environment on a graphics device and begins every world's first episode.
    ///
    /// # Errors
    /// What the task got wrong, no worlds, or more than the device can hold or compile.
    pub fn build(self, context: &Context) -> Result<VecEnv> {
        self.build_on(Target::Gpu(context))
    }

    /// Builds the environment on any [`Target`]: a graphics device with an allocator of your own, or the host.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn build_on(self, target: Target<'_>) -> Result<VecEnv> {
        if self.worlds == 0 {
            return Err(Error::invalid("an environment of 0 worlds").hint("give at least 1"));
        }
        let variants = self.definition.variants()?;
        let names: Vec<String> = variants
            .iter()
            .map(|variant| variant.name.clone())
            .collect();
        let shares: Vec<f64> = variants.iter().map(|variant| variant.share).collect();
        let counts = apportion(&shares, self.worlds);
        let Definition {
            name, task, config, ..
        } = self.definition;
        let place = |error: Error| error.context(format!("task {name}"));
        let substeps = one_number_of_substeps(&variants).map_err(place)?;
        let topologies = Topology::of(variants).map_err(place)?;
        let spec = &topologies[0].spec;
        let params = spec.parameters();
        let curriculum = self.curriculum.or_else(|| automatic(spec.randomization()));
        let (layout, places) = Topology::arrange(&topologies, &names);
        let fields = places[0].clone().whole(&layout);
        // What is kept lies behind everything else: the kernels of the environment do not know of it.
        let mut wide = layout.clone();
        let memory = (!self.kept.is_empty()).then(|| Memory::declare(&mut wide, &fields));
        let mut machine = Machine::new(target, &wide, self.worlds)?;
        let mut worlds = VariantWorlds::new(names);
        let mut groups = Vec::new();
        for (topology, places) in topologies.into_iter().zip(places) {
            let range = worlds.place(&topology.variation, &counts);
            if range.is_empty() {
                // Its fields have their places, so that kernels do not depend on how many worlds there are of what.
                continue;
            }
            let Topology {
                model,
                spec,
                drives,
                variation,
            } = topology;
            let plan = Plan {
                name: name.clone(),
                model: Arc::new(model),
                spec: Arc::new(spec),
                layout: layout.clone(),
                fields: places,
                drives,
                autoreset: self.autoreset,
                variation,
            };
            groups.push(Group::compile(
                plan,
                range,
                (&*task, &params),
                &mut machine,
            )?);
        }
        let streams: Vec<u32> = (0..self.worlds as u32)
            .map(|world| self.first_stream.wrapping_add(world))
            .collect();
        machine.write_bits(fields.stream, &streams)?;
        if !fields.variant.is_empty() {
            machine.write_bits(fields.variant, &worlds.numbers())?;
        }
        let mut env = VecEnv {
            task,
            groups,
            variants: worlds,
            layout,
            fields,
            params,
            curriculum,
            machine,
            substeps,
            keeper: None,
        };
        if let Some(memory) = memory {
            let kernel = env.machine.kernel(memory.record(&wide, &env.fields))?;
            let config = toml::to_string(&config)
                .map_err(|error| Error::invalid(error).context(format!("task {}", env.name())))?;
            env.keeper = Some(Keeper::new(memory, kernel, &self.kept, config));
        }
        env.begin(None, Some(self.seed), self.stagger)?;
        Ok(env)
    }
}

/// The physics steps in a control step, which all variants have in common.
fn one_number_of_substeps(variants: &[Variant]) -> Result<u32> {
    let mut counts = variants
        .iter()
        .map(|variant| variant.spec.substeps(&variant.model));
    let first = counts.next().unwrap_or(Ok(1))?;
    for (variant, count) in variants[1..].iter().zip(counts) {
        let (one, other) = (&variants[0].name, &variant.name);
        if count? != first {
            let cause = format!("variants `{one}` and `{other}` have other time steps");
            return Err(Error::invalid(cause).hint("worlds of one environment step alike"));
        }
    }
    Ok(first)
}

/// Automatic domain randomization where ranges have boundaries that move.
fn automatic(randomization: &Randomization) -> Option<Box<dyn Curriculum>> {
    let boundaries = randomization.boundaries();
    let ranges = (!boundaries.is_empty()).then(|| AutomaticRanges::new(boundaries))?;
    Some(Box::new(ranges))
}
