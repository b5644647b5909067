//! Batched environments: a task in thousands of worlds, stepped, judged and begun anew on the device.
//!
//! [`VecEnv`] runs one kernel per control step (see `step.rs` for the order of its stages) and reads nothing back by
//! itself: a [`Step`] holds views that are read when asked, and [`VecEnv::step_in_place`] takes the actions from where
//! they lie on the device. [`Physics`] steps a model without a task.
//!
//! The same graphs run on the host ([`Target::Host`]), without a graphics device.
//!
//! ```no_run
//! use manyworlds::env::VecEnv;
//! use manyworlds::gpu::{Context, Options};
//! use manyworlds::tasks::Registry;
//!
//! # fn main() -> manyworlds::error::Result<()> {
//! let context = Context::new(&Options::default())?;
//! let mut env = VecEnv::builder(Registry::builtin().load("cartpole")?).worlds(4096).seed(0).build(&context)?;
//! let actions = vec![0.0; env.num_envs() * env.action_spec().len()];
//! let step = env.step(&actions)?;
//! println!("rewards: {:?}", step.reward.read()?);
//! # Ok(())
//! # }
//! ```

mod advance;
mod bad_world;
mod begin;
mod builder;
mod contacts;
mod curriculum;
mod device_state;
mod dumps;
mod fields;
mod keep;
mod machine;
mod outcome;
mod physics;
mod replay;
mod rollout;
mod snapshot;
mod sound;
mod statistics;
mod step;
mod variants;
mod view;

pub use bad_world::{BadWorld, Origin, Values};
pub use builder::{Autoreset, Builder};
pub use contacts::Contacts;
pub use device_state::{DeviceState, Randomness, Which};
pub use dumps::Dumps;
pub use fields::{Fields, StatisticsFields};
pub use machine::{Precision, Target};
pub use physics::{BodyFrames, Physics, PhysicsFields};
pub use replay::{Diagnosis, Difference, Finding, Replay};
pub use rollout::Rollout;
pub use snapshot::Snapshot;
pub use variants::VariantWorlds;
pub use view::{Groups, HostStep, Info, Step, View};

use std::ops::Range;

use crate::error::{Error, Result, unknown};
use crate::gpu::{Arenas, CompileTime};
use crate::model::Model;
use crate::randomize::Curriculum;
use crate::tasks::{Action, Definition, Params, Spec, Task};
use crate::trace::{Field, Graph, Kind, Layout};
use keep::Keeper;
use machine::{Launch, Machine};
use step::Plan;
use variants::Group;

/// A task in a batch of worlds.
///
/// Worlds are numbered from 0; a mask is one `bool` per world, and no mask means all worlds. Host arrays are
/// `[world][component]`.
pub struct VecEnv {
    task: Box<dyn Task>,
    /// Worlds by the kernels that step them; at least one.
    groups: Vec<Group>,
    variants: VariantWorlds,
    layout: Layout,
    fields: Fields,
    params: Params,
    curriculum: Option<Box<dyn Curriculum>>,
    machine: Machine,
    substeps: u32,
    /// Where bad worlds are to be kept.
    keeper: Option<Keeper>,
}

/// How episodes begin in [`VecEnv::reset_where`].
#[derive(Clone, Copy, Debug, Default)]
pub enum Start<'a> {
    /// As the task says.
    #[default]
    Task,
    /// As the task says, but in this state.
    State {
        /// `[world][nq]`, of all worlds; those of unmasked worlds do not matter.
        qpos: &'a [f32],
        /// `[world][nv]`, likewise.
        qvel: &'a [f32],
    },
}

impl VecEnv {
    /// Options for an environment of this task.
    pub fn builder(definition: Definition) -> Builder {
        Builder::new(definition)
    }

    /// The task's name.
    pub fn name(&self) -> &str {
        &self.plan().name
    }

    /// The compiled model; of the first variant, where there are some.
    pub fn model(&self) -> &Model {
        &self.plan().model
    }

    /// Everything that the task declares.
    pub fn spec(&self) -> &Spec {
        &self.plan().spec
    }

    /// The number of worlds.
    pub fn num_envs(&self) -> usize {
        self.machine.worlds()
    }

    /// An observation group: its terms and their sizes.
    ///
    /// # Errors
    /// There is no such group; the hint names close ones.
    pub fn observation_spec(&self, group: &str) -> Result<&crate::tasks::Group> {
        Ok(self.plan().spec.group(group)?.1)
    }

    /// The action's components.
    pub fn action_spec(&self) -> &[Action] {
        &self.plan().spec.actions
    }

    /// Time between two actions, s.
    pub fn control_dt(&self) -> f64 {
        self.plan().spec.control_dt
    }

    /// Physics steps in a control step.
    pub fn substeps(&self) -> u32 {
        self.substeps
    }

    /// Control steps after which an episode is truncated.
    pub fn max_episode_steps(&self) -> u32 {
        self.plan().spec.max_episode_steps
    }

    /// What happens to a world whose episode is over.
    pub fn autoreset(&self) -> Autoreset {
        self.plan().autoreset
    }

    /// The task's adjustable numbers. Changes take effect with the next step.
    pub fn params(&mut self) -> &mut Params {
        &mut self.params
    }

    /// Begins a new episode in every world. A seed starts all random streams anew; without one they continue.
    ///
    /// # Errors
    /// The device failed.
    pub fn reset(&mut self, seed: Option<u64>) -> Result<Groups<'_>> {
        self.begin(None, seed, false)?;
        Ok(self.observations())
    }

    /// Begins a new episode in the masked worlds; the others do not change.
    ///
    /// # Errors
    /// An array's length is wrong, or the device failed.
    pub fn reset_where(&mut self, mask: &[bool], start: Start<'_>) -> Result<Groups<'_>> {
        if let Start::State { qpos, qvel } = start {
            // Both lengths are checked before anything changes.
            let fields = self.fields.physics;
            self.demand("qpos", fields.qpos, qpos.len())?;
            self.demand("qvel", fields.qvel, qvel.len())?;
        }
        self.begin(Some(mask), None, false)?;
        if let Start::State { qpos, qvel } = start {
            self.set("qpos", Some(mask), qpos)?;
            self.set("qvel", Some(mask), qvel)?;
            self.refresh(Some(mask))?;
            let fields = &self.fields;
            let pairs: Vec<_> = fields
                .observations
                .iter()
                .copied()
                .zip(fields.next_observations.clone())
                .collect();
            for (from, to) in pairs {
                let values = self.machine.read(from)?;
                let kept = self.machine.read(to)?;
                self.machine.write(to, &merge(&kept, &values, mask))?;
            }
        }
        Ok(self.observations())
    }

    /// The observations from which the next action is chosen.
    pub fn observations(&self) -> Groups<'_> {
        Groups::new(&self.machine, &self.plan().spec, &self.fields.observations)
    }

    /// Advances every world by one control step. `actions` is `[world][action]`.
    ///
    /// # Errors
    /// The number of actions is wrong, or the device failed.
    pub fn step(&mut self, actions: &[f32]) -> Result<Step<'_>> {
        let field = self.fields.action;
        self.demand("action", field, actions.len())?;
        self.machine
            .write(field, &view::components_first(actions, field.len()))?;
        self.step_in_place()
    }

    /// [`VecEnv::step`] with the actions that lie in the field `action` on the device.
    ///
    /// # Errors
    /// The device failed.
    pub fn step_in_place(&mut self) -> Result<Step<'_>> {
        self.upload_params()?;
        let uniforms = [("substeps", self.substeps)];
        let groups = self.groups.iter();
        let launches: Vec<Launch<'_>> = groups
            .map(|group| group.launch(group.step, &uniforms))
            .collect();
        match &self.keeper {
            None => self.machine.launch(&launches)?,
            Some(keeper) => keeper.step(&mut self.machine, launches)?,
        }
        Ok(self.last_step())
    }

    /// [`VecEnv::step`], and copies what it gave into slot `t` of a rollout (and the observations after it into slot
    /// t + 1), on the device.
    ///
    /// # Errors
    /// As [`VecEnv::step`]; the rollout is of another environment, or has no slot `t`.
    pub fn step_into(
        &mut self,
        actions: &[f32],
        rollout: &mut Rollout,
        t: usize,
    ) -> Result<Step<'_>> {
        rollout.check(self, t)?;
        self.step(actions)?;
        rollout.take(&self.machine, t)?;
        Ok(self.last_step())
    }

    /// What the last step gave.
    pub fn last_step(&self) -> Step<'_> {
        Step::new(&self.machine, &self.plan().spec, &self.fields)
    }

    /// `[N]` Control steps towards the time limit.
    ///
    /// # Errors
    /// The device failed.
    pub fn episode_steps(&self) -> Result<Vec<u32>> {
        self.machine.read_bits(self.fields.episode_step)
    }

    /// Says how far each episode is on its way to the time limit; statistics leave out the episodes this changes.
    ///
    /// # Errors
    /// The number of worlds is wrong, a step is at the time limit or past it, or the device failed.
    pub fn set_episode_steps(&mut self, steps: &[u32]) -> Result<()> {
        let limit = self.max_episode_steps();
        if let Some(world) = steps.iter().position(|step| *step >= limit) {
            return Err(
                Error::invalid(format!("episode step {} in world {world}", steps[world]))
                    .hint(format!("an episode has {limit} steps, numbered from 0")),
            );
        }
        let fields = &self.fields;
        let before = self.machine.read_bits(fields.episode_step)?;
        let partial = self.machine.read_bits(fields.partial)?;
        self.machine.write_bits(fields.episode_step, steps)?;
        let changed = before
            .iter()
            .zip(steps)
            .map(|(before, step)| u32::from(before != step));
        let partial: Vec<u32> = partial
            .iter()
            .zip(changed)
            .map(|(partial, changed)| partial | changed)
            .collect();
        self.machine.write_bits(fields.partial, &partial)
    }

    /// The values of a field by name (see [`Fields`]), `[world][component]`.
    ///
    /// # Errors
    /// There is no such field of floats (the hint names close ones), or the device failed.
    pub fn get(&self, name: &str) -> Result<Vec<f32>> {
        let field = self.field(name, Kind::F32)?;
        Ok(view::worlds_first(&self.machine.read(field)?, field.len()))
    }

    /// [`VecEnv::get`] for a field of integers.
    ///
    /// # Errors
    /// As [`VecEnv::get`].
    pub fn get_bits(&self, name: &str) -> Result<Vec<u32>> {
        let field = self.field(name, Kind::U32)?;
        Ok(view::worlds_first(
            &self.machine.read_bits(field)?,
            field.len(),
        ))
    }

    /// Changes a field of the masked worlds; `values` is `[world][component]` of all worlds. Observations follow with
    /// [`VecEnv::forward`].
    ///
    /// # Errors
    /// There is no such field of floats, an array's length is wrong, or the device failed.
    pub fn set(&mut self, name: &str, mask: Option<&[bool]>, values: &[f32]) -> Result<()> {
        let field = self.field(name, Kind::F32)?;
        self.demand(name, field, values.len())?;
        let mut values = view::components_first(values, field.len());
        if let Some(mask) = mask {
            self.selected(Some(mask))?;
            values = merge(&self.machine.read(field)?, &values, mask);
        }
        self.machine.write(field, &values)
    }

    /// [`VecEnv::set`] for a field of integers.
    ///
    /// # Errors
    /// As [`VecEnv::set`].
    pub fn set_bits(&mut self, name: &str, mask: Option<&[bool]>, values: &[u32]) -> Result<()> {
        let field = self.field(name, Kind::U32)?;
        self.demand(name, field, values.len())?;
        let mut values = view::components_first(values, field.len());
        if let Some(mask) = mask {
            self.selected(Some(mask))?;
            values = merge(&self.machine.read_bits(field)?, &values, mask);
        }
        self.machine.write_bits(field, &values)
    }

    /// Computes all observations from the states again, without letting time pass: after [`VecEnv::set`].
    ///
    /// # Errors
    /// The device failed.
    pub fn forward(&mut self) -> Result<Groups<'_>> {
        self.refresh(None)?;
        Ok(self.observations())
    }

    /// Where everything lies in the device's memory.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The device's memory; none on the host.
    pub fn arenas(&self) -> Option<&Arenas> {
        self.machine.arenas()
    }

    /// The recorded control step: what it costs, its WGSL. The first of [`VecEnv::step_graphs`].
    pub fn step_graph(&self) -> &Graph {
        self.machine.graph(self.groups[0].step)
    }

    /// The recorded control steps and the worlds that each steps: one, unless variants of the model need more.
    pub fn step_graphs(&self) -> impl Iterator<Item = (&Graph, Range<usize>)> {
        let groups = self.groups.iter();
        groups.map(|group| (self.machine.graph(group.step), group.worlds.clone()))
    }

    /// Operations of all control steps' kernels.
    pub fn operations(&self) -> usize {
        self.step_graphs()
            .map(|(graph, _)| graph.operations().total)
            .sum()
    }

    /// How long the control steps took to compile; none on the host.
    pub fn compile_time(&self) -> Option<CompileTime> {
        let kernels = self
            .groups
            .iter()
            .filter_map(|group| self.machine.compiled(group.step));
        kernels
            .map(crate::gpu::Kernel::compile_time)
            .reduce(CompileTime::plus)
    }

    /// Waits for the device, and gives everything back.
    ///
    /// # Errors
    /// The device failed.
    pub fn close(self) -> Result<()> {
        self.machine.wait()
    }

    /// What the first kernels are recorded from. Names, declarations and options are the same in all plans.
    fn plan(&self) -> &Plan {
        &self.groups[0].plan
    }

    /// Begins episodes in the selected worlds.
    fn begin(&mut self, mask: Option<&[bool]>, seed: Option<u64>, stagger: bool) -> Result<()> {
        self.upload_params()?;
        self.select(mask)?;
        let words = seed.unwrap_or(0);
        let uniforms = [
            ("reseed", u32::from(seed.is_some())),
            ("seed_low", words as u32),
            ("seed_high", (words >> 32) as u32),
            ("stagger", u32::from(stagger)),
        ];
        let groups = self.groups.iter();
        let launches: Vec<Launch<'_>> = groups
            .map(|group| group.launch(group.reset, &uniforms))
            .collect();
        self.machine.launch(&launches)
    }

    fn refresh(&mut self, mask: Option<&[bool]>) -> Result<()> {
        self.upload_params()?;
        self.select(mask)?;
        let groups = self.groups.iter();
        let launches: Vec<Launch<'_>> = groups
            .map(|group| group.launch(group.refresh, &[]))
            .collect();
        self.machine.launch(&launches)
    }

    /// Has the next reset or refresh be about the masked worlds.
    fn select(&mut self, mask: Option<&[bool]>) -> Result<()> {
        let mut selection = vec![0; self.num_envs()];
        self.selected(mask)?
            .into_iter()
            .for_each(|world| selection[world] = 1);
        self.machine.write_bits(self.fields.selected, &selection)
    }

    /// The masked worlds.
    fn selected(&self, mask: Option<&[bool]>) -> Result<Vec<usize>> {
        selected(mask, self.num_envs())
    }

    fn upload_params(&mut self) -> Result<()> {
        if self.params.take_changed() && !self.params.is_empty() {
            self.machine
                .write_table(self.fields.parameters, self.params.values())?;
        }
        Ok(())
    }

    fn field(&self, name: &str, kind: Kind) -> Result<Field> {
        let fields = self.layout.fields().iter();
        let mut known = fields.filter(|(_, field)| field.per_world && field.kind == kind);
        match known.clone().find(|(known, _)| known == name) {
            Some((_, field)) => Ok(*field),
            None => Err(unknown(
                if kind == Kind::F32 {
                    "field of floats"
                } else {
                    "field of integers"
                },
                name,
                known.by_ref().map(|(known, _)| known.as_str()),
            )),
        }
    }

    fn demand(&self, name: &str, field: Field, given: usize) -> Result<()> {
        let (worlds, components) = (self.num_envs(), field.len());
        if given != worlds * components {
            return Err(
                Error::invalid(format!("`{name}` gets {given} numbers")).hint(format!(
                    "it takes {} = {worlds} worlds × {components}",
                    worlds * components
                )),
            );
        }
        Ok(())
    }
}

/// The masked ones of `worlds` worlds; all without a mask.
fn selected(mask: Option<&[bool]>, worlds: usize) -> Result<Vec<usize>> {
    match mask {
        None => Ok((0..worlds).collect()),
        Some(mask) if mask.len() == worlds => {
            Ok((0..worlds).filter(|world| mask[*world]).collect())
        }
        Some(mask) => Err(Error::invalid(format!(
            "a mask of {} worlds; there are {worlds}",
            mask.len()
        ))),
    }
}

/// `changed` where the mask holds, else `kept`; both `[component][world]`.
fn merge<T: Copy>(kept: &[T], changed: &[T], mask: &[bool]) -> Vec<T> {
    let worlds = mask.len();
    let pairs = kept.iter().zip(changed).enumerate();
    pairs
        .map(|(index, (kept, changed))| {
            if mask[index % worlds] {
                *changed
            } else {
                *kept
            }
        })
        .collect()
}
