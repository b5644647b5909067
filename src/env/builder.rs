//! From a task to a running environment: options, and where it runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::VecEnv;
use super::bad_world::Origin;
use super::fields::Fields;
use super::keep::{Keeper, Memory};
use super::machine::{Machine, Target};
use super::step::Plan;
use crate::error::{Error, Result};
use crate::gpu::Context;
use crate::randomize::{AutomaticRanges, Curriculum, Randomization};
use crate::rigid;
use crate::tasks::actuators::Drives;
use crate::tasks::{Cause, Definition};
use crate::trace::Layout;

/// What happens to a world whose episode is over (gymnasium's `AutoresetMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autoreset {
    /// It begins anew in the same step: `obs` is after the reset, `next_obs` is the true successor. Frames and terms
    /// are computed once more for the worlds that begin, behind a branch: `info TASK` lists the cost as stage `reset`
    /// (168 of the cartpole's 537 operations).
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
        let spec = self.definition.spec()?;
        let Definition {
            name,
            task,
            mut model,
            config,
            ..
        } = self.definition;
        if self.worlds == 0 {
            return Err(Error::invalid("an environment of 0 worlds").hint("give at least 1"));
        }
        rigid::check(&model).map_err(|error| error.context(format!("task {name}")))?;
        let substeps = spec.substeps(&model)?;
        let drives = Drives::new(&spec.actuators, spec.control_dt, &model)?;
        drives.install(&mut model);
        let params = spec.parameters();
        let curriculum = self.curriculum.or_else(|| automatic(spec.randomization()));
        let mut layout = Layout::new();
        let fields = Fields::new(&mut layout, &model, &spec, &drives);
        let plan = Plan {
            name,
            task,
            model: Arc::new(model),
            spec: Arc::new(spec),
            layout,
            fields,
            drives,
            autoreset: self.autoreset,
        };
        // What is kept lies behind everything else: the kernels of the environment do not know of it.
        let mut layout = plan.layout.clone();
        let memory = (!self.kept.is_empty()).then(|| Memory::declare(&mut layout, &plan.fields));
        let mut machine = Machine::new(target, &layout, self.worlds)?;
        let step = machine.kernel(plan.step(&params)?)?;
        let reset = machine.kernel(plan.reset(&params)?)?;
        let refresh = machine.kernel(plan.refresh(&params)?)?;
        let weights = plan.fields.actuators.weights.iter();
        for (field, values) in weights.zip(plan.drives.weights()) {
            machine.write_table(*field, &values)?;
        }
        let streams: Vec<u32> = (0..self.worlds as u32)
            .map(|world| self.first_stream.wrapping_add(world))
            .collect();
        machine.write_bits(plan.fields.stream, &streams)?;
        let mut env = VecEnv {
            plan,
            params,
            curriculum,
            machine,
            substeps,
            step,
            reset,
            refresh,
            keeper: None,
        };
        if let Some(memory) = memory {
            let kernel = env
                .machine
                .kernel(memory.record(&layout, &env.plan.fields))?;
            let config = toml::to_string(&config)
                .map_err(|error| Error::invalid(error).context(format!("task {}", env.name())))?;
            let origin = Origin::of(&env, config);
            env.keeper = Some(Keeper::new(memory, kernel, &self.kept, origin));
        }
        env.begin(None, Some(self.seed), self.stagger)?;
        Ok(env)
    }
}

/// Automatic domain randomization where ranges have boundaries that move.
fn automatic(randomization: &Randomization) -> Option<Box<dyn Curriculum>> {
    let boundaries = randomization.boundaries();
    let ranges = (!boundaries.is_empty()).then(|| AutomaticRanges::new(boundaries))?;
    Some(Box::new(ranges))
}
