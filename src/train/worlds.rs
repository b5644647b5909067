//! The simulator as a learner's [`Environment`]: worlds on the graphics device, tensors where the learner computes.
//!
//! Where both share a device, actions and observations stay on it: burn writes the actions in the arena's order, the
//! device copies them into place, and observations are taken from the arena through a view. Where the learner computes
//! on the processor, a step makes one explicit copy each way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use burn::tensor::{Device, Tensor, TensorData};

use super::environment::{
    ActionTerm, Environment, EpisodeStats, ObservationGroup, ObservationTerm, Observations, Spec,
    Step,
};
use crate::env::{Builder, Dumps, HostStep, Snapshot, Target, VecEnv};
use crate::error::{Error, Result};
use crate::gpu::{Binding, Context, Recorder};
use crate::tensor::Bridge;
use crate::trace::Field;

/// Where the learner's tensors live.
#[derive(Clone, Debug)]
pub enum Learner {
    /// On the simulator's own device: nothing crosses to the host.
    Shared(Bridge),
    /// On the processor, in burn's own CPU backend.
    Processor(Device),
}

impl Learner {
    /// The device that was measured to be faster: the graphics device where it is hardware; the processor where the
    /// simulator's device is the processor as well, because a software driver multiplies matrices 3 to 10 times slower.
    ///
    /// # Errors
    /// burn cannot join the device.
    pub fn choose(context: &Context) -> Result<Self> {
        match context.info().software {
            true => Ok(Self::processor()),
            false => Self::shared(context),
        }
    }

    /// The learner on the simulator's device.
    ///
    /// # Errors
    /// burn cannot join the device.
    pub fn shared(context: &Context) -> Result<Self> {
        Ok(Self::Shared(Bridge::new(context)?))
    }

    /// The learner on the processor.
    pub fn processor() -> Self {
        Self::Processor(Device::flex())
    }

    /// burn's handle on it, without autodiff.
    pub fn device(&self) -> Device {
        match self {
            Self::Shared(bridge) => bridge.device().clone(),
            Self::Processor(device) => device.clone(),
        }
    }
}

impl fmt::Display for Learner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(bridge) => write!(
                f,
                "{}, shared with the simulator",
                bridge.context().info().adapter
            ),
            Self::Processor(_) => write!(f, "processor (one copy each way per step)"),
        }
    }
}

/// A task's worlds as an [`Environment`].
pub struct Worlds {
    env: VecEnv,
    learner: Learner,
    spec: Spec,
    /// Warnings that were said.
    warned: BTreeSet<&'static str>,
    /// Where worlds that went wrong are written to.
    dumps: Option<Dumps>,
}

impl Worlds {
    /// Builds the environment, in memory that the learner can see.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(builder: Builder, context: &Context, learner: &Learner) -> Result<Self> {
        let env = match learner {
            Learner::Shared(bridge) => builder.build_on(Target::GpuWith(context, bridge))?,
            Learner::Processor(_) => builder.build(context)?,
        };
        Ok(Self {
            spec: spec_of(&env),
            env,
            learner: learner.clone(),
            warned: BTreeSet::new(),
            dumps: None,
        })
    }

    /// Has every world that went wrong written into a folder when statistics are drained, and says so. The environment
    /// keeps them if its builder was told to ([`Builder::keep_bad_worlds`]).
    pub fn dump_into(&mut self, dumps: Dumps) {
        self.dumps = Some(dumps);
    }

    /// The environment itself.
    pub fn env(&self) -> &VecEnv {
        &self.env
    }

    /// The environment itself, to change parameters.
    pub fn env_mut(&mut self) -> &mut VecEnv {
        &mut self.env
    }

    fn observations(&self) -> Result<Observations> {
        let groups = self
            .env
            .spec()
            .groups
            .iter()
            .zip(&self.env.fields().observations);
        let mut observations = Observations::default();
        for (group, field) in groups {
            let tensor = match &self.learner {
                Learner::Shared(bridge) => self.taken(bridge, *field)?,
                Learner::Processor(device) => {
                    let values = self.env.observations().group(&group.name)?.read()?;
                    matrix(values, self.env.num_envs(), device)
                }
            };
            observations = observations.with(&group.name, tensor);
        }
        Ok(observations)
    }

    /// A copy, on the device, of what a field holds now: later steps do not change it.
    fn taken(&self, bridge: &Bridge, field: Field) -> Result<Tensor<2>> {
        let arenas = self
            .env
            .arenas()
            .expect("the learner shares a device, so there is one");
        Ok(bridge.view(arenas, field)?.mul_scalar(1.0))
    }

    /// Puts the actions where the step reads them, without the host.
    fn place_actions(&self, bridge: &Bridge, actions: Tensor<2>) -> Result<()> {
        let arenas = self
            .env
            .arenas()
            .expect("the learner shares a device, so there is one");
        let (worlds, stride) = (arenas.worlds() as usize, arenas.stride() as usize);
        let [_, components] = actions.dims();
        let rows = actions.swap_dims(0, 1).pad((0, stride - worlds, 0, 0), 0.0);
        let rows = bridge.buffer(&rows.reshape([components * stride]))?;
        // What burn has queued reads the arena's last observations and computes the actions: it goes first.
        bridge.flush()?;
        let from = Binding {
            buffer: rows.buffer().clone(),
            offset: rows.offset(),
            size: rows.size(),
        };
        let mut recorder = Recorder::new(arenas.context());
        recorder.copy(&from, &arenas.rows(self.env.fields().action)?)?;
        recorder.submit()?;
        Ok(())
    }

    fn step_shared(&mut self, bridge: &Bridge, actions: Tensor<2>) -> Result<Step> {
        self.place_actions(bridge, actions)?;
        self.env.step_in_place()?;
        let fields = self.env.fields();
        let names = self.env.spec().groups.iter().map(|group| &group.name);
        let mut next_obs = Observations::default();
        for (name, field) in names.zip(&fields.next_observations) {
            next_obs = next_obs.with(name, self.taken(bridge, *field)?);
        }
        let column = |field| Ok::<_, Error>(self.taken(bridge, field)?.reshape([-1]));
        Ok(Step {
            obs: self.observations()?,
            next_obs,
            reward: column(fields.reward)?,
            terminated: column(fields.terminated)?,
            truncated: column(fields.truncated)?,
            valid: column(fields.valid)?,
        })
    }

    fn step_across(&mut self, device: &Device, actions: Tensor<2>) -> Result<Step> {
        let actions = actions.into_data();
        let actions = actions
            .as_slice::<f32>()
            .map_err(|error| Error::invalid(format!("actions: {error:?}")))?;
        let HostStep {
            obs,
            next_obs,
            reward,
            terminated,
            truncated,
            valid,
        } = self.env.step(actions)?.read()?;
        let worlds = reward.len();
        let groups = |values: Vec<Vec<f32>>| {
            let names = self.env.spec().groups.iter().map(|group| &group.name);
            names
                .zip(values)
                .fold(Observations::default(), |all, (name, values)| {
                    all.with(name, matrix(values, worlds, device))
                })
        };
        let column =
            |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [worlds]), device);
        let flags = |values: Vec<bool>| {
            column(
                values
                    .into_iter()
                    .map(|flag| f32::from(u8::from(flag)))
                    .collect(),
            )
        };
        Ok(Step {
            obs: groups(obs),
            next_obs: groups(next_obs),
            reward: column(reward),
            terminated: flags(terminated),
            truncated: flags(truncated),
            valid: flags(valid),
        })
    }
}

impl Environment for Worlds {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn num_envs(&self) -> usize {
        self.env.num_envs()
    }

    fn device(&self) -> Device {
        self.learner.device()
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Observations> {
        if let Learner::Shared(bridge) = &self.learner {
            bridge.flush()?;
        }
        self.env.reset(seed)?;
        self.observations()
    }

    fn set_episode_steps(&mut self, elapsed: &[u32]) -> Result<()> {
        self.env.set_episode_steps(elapsed)
    }

    fn step(&mut self, actions: Tensor<2>) -> Result<Step> {
        let expected = [self.num_envs(), self.spec.action_dim()];
        if actions.dims() != expected {
            let message = format!(
                "actions of shape {:?}, expected {expected:?}",
                actions.dims()
            );
            return Err(Error::invalid(message).context(self.env.name()));
        }
        match self.learner.clone() {
            Learner::Shared(bridge) => self.step_shared(&bridge, actions),
            Learner::Processor(device) => self.step_across(&device, actions),
        }
    }

    fn drain_stats(&mut self) -> Result<EpisodeStats> {
        if let Some(dumps) = &mut self.dumps {
            for line in dumps.take(&mut self.env)? {
                eprintln!("dumped {line}");
            }
        }
        let stats = self.env.drain_stats()?;
        self.env.on_iteration(&stats)?;
        let counts = stats
            .terminations
            .iter()
            .map(|(name, count)| (format!("termination/{name}"), *count as f64));
        let mut metrics: BTreeMap<String, f64> = counts.collect();
        metrics.extend(self.env.curriculum_metrics()?);
        let quarantines: u32 = stats
            .quarantines
            .iter()
            .map(|quarantine| quarantine.count)
            .sum();
        metrics.insert("quarantined".into(), f64::from(quarantines));
        for quarantine in stats.quarantines.iter().take(3) {
            eprintln!("warning: {quarantine}");
        }
        for warning in &stats.warnings {
            let name = warning.metric();
            metrics.insert(name.into(), warning.steps as f64);
            if self.warned.insert(name) {
                eprintln!("warning: {warning} (said once; metrics count {name} steps)");
            }
        }
        Ok(EpisodeStats {
            count: stats.episodes,
            mean_return: stats.mean_return,
            mean_length: stats.mean_length,
            terms: stats.terms.into_iter().collect(),
            metrics,
        })
    }

    fn state(&self, worlds: usize) -> Result<Vec<(String, Vec<f32>)>> {
        let first = |name: &str| {
            let mut values = self.env.get(name)?;
            values.truncate(values.len() / self.num_envs() * worlds.min(self.num_envs()));
            Ok((name.to_owned(), values))
        };
        ["qpos", "qvel"].into_iter().map(first).collect()
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        Ok(self.env.snapshot(None)?.to_bytes())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<Observations> {
        self.env.restore(None, &Snapshot::from_bytes(snapshot)?)?;
        self.observations()
    }
}

/// `[world][component]` values as a tensor.
fn matrix(values: Vec<f32>, worlds: usize, device: &Device) -> Tensor<2> {
    let columns = values.len() / worlds;
    Tensor::from_data(TensorData::new(values, [worlds, columns]), device)
}

/// What an exported policy has to say about its task.
fn spec_of(env: &VecEnv) -> Spec {
    let groups = env.spec().groups.iter().map(|group| ObservationGroup {
        name: group.name.clone(),
        terms: group
            .terms
            .iter()
            .map(|term| ObservationTerm {
                name: term.name.clone(),
                dim: term.dim,
                scale: term.scale.unwrap_or(1.0),
            })
            .collect(),
    });
    let actions = env.action_spec().iter().map(|action| ActionTerm {
        name: action.name.clone(),
        scale: 1.0,
        offset: 0.0,
    });
    let model = env.model();
    let details = [
        ("physics_dt", serde_json::json!(model.opt.timestep)),
        ("default_qpos", serde_json::json!(model.qpos0)),
    ];
    Spec {
        task: env.name().into(),
        observations: groups.collect(),
        actions: actions.collect(),
        control_dt: env.control_dt(),
        max_episode_steps: Some(env.max_episode_steps() as usize),
        details: details.map(|(key, value)| (key.to_owned(), value)).into(),
    }
}
