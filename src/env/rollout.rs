//! Slots on the device that steps are copied into, and that nobody rewrites while a learner works from them.

use super::VecEnv;
use super::machine::{Machine, Target};
use super::view::worlds_first;
use crate::error::{Error, Result, unknown};
use crate::gpu::Arenas;
use crate::trace::{Field, Kind, Layout};

/// What `steps` control steps gave, each field `[step][component][world]` in a buffer of its own.
///
/// Observations have `steps + 1` slots: slot t is what action t was chosen from. A learner that differentiates
/// through what it computed from a slot needs it unchanged: collect into another rollout meanwhile.
pub struct Rollout {
    machine: Machine,
    steps: usize,
    /// The environment's field, the slots, and whether the slots include one after the last step.
    columns: Vec<Column>,
}

struct Column {
    name: String,
    source: Field,
    slots: Field,
    /// Slot that step t fills: t, or t + 1 for what is seen after the step.
    shift: usize,
}

impl Rollout {
    /// Memory for `steps` steps of an environment, where it runs; slot 0 gets its present observations.
    ///
    /// # Errors
    /// No steps, or more than the device can hold.
    pub fn new(env: &VecEnv, steps: usize, target: Target<'_>) -> Result<Self> {
        if steps == 0 {
            return Err(Error::invalid("a rollout of 0 steps").hint("give at least 1"));
        }
        let fields = &env.fields;
        let groups = env
            .plan()
            .spec
            .groups
            .iter()
            .map(|group| group.name.as_str());
        let mut wanted = Vec::new();
        for (index, group) in groups.enumerate() {
            wanted.push((format!("obs.{group}"), fields.observations[index], 1));
            wanted.push((
                format!("next_obs.{group}"),
                fields.next_observations[index],
                0,
            ));
        }
        let scalars = [
            ("action", fields.action),
            ("reward", fields.reward),
            ("terminated", fields.terminated),
            ("truncated", fields.truncated),
            ("valid", fields.valid),
        ];
        wanted.extend(scalars.map(|(name, field)| (name.to_string(), field, 0)));
        let mut layout = Layout::new();
        let columns: Vec<Column> = wanted
            .into_iter()
            .map(|(name, source, shift)| {
                let buffer = layout.buffer(&name.replace('.', "_"), Kind::F32);
                let slots = layout.field(buffer, &name, (steps + shift) * source.len());
                Column {
                    name,
                    source,
                    slots,
                    shift,
                }
            })
            .collect();
        let machine = Machine::new(target, &layout, env.num_envs())?;
        if let (true, Some(arenas)) = (cfg!(debug_assertions), machine.arenas()) {
            // A slot that is read before it is filled shows.
            arenas.poison()?;
        }
        let mut rollout = Self {
            machine,
            steps,
            columns,
        };
        rollout.begin(env)?;
        Ok(rollout)
    }

    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Copies an environment's present observations into slot 0.
    ///
    /// # Errors
    /// The device failed.
    pub fn begin(&mut self, env: &VecEnv) -> Result<()> {
        let seen = self.columns.iter().filter(|column| column.shift == 1);
        let pairs: Vec<_> = seen.map(|column| (column.source, column.slot(0))).collect();
        self.machine.copy_from(&env.machine, &pairs)
    }

    /// Slot `t` of a field (`obs.GROUP`, `next_obs.GROUP`, `action`, `reward`, `terminated`, `truncated`, `valid`),
    /// `[world][component]`.
    ///
    /// # Errors
    /// There is no such field or slot, or the device failed.
    pub fn read(&self, name: &str, t: usize) -> Result<Vec<f32>> {
        let field = self.slot(name, t)?;
        Ok(worlds_first(&self.machine.read(field)?, field.len()))
    }

    /// Where slot `t` of a field lies.
    ///
    /// # Errors
    /// There is no such field or slot.
    pub fn slot(&self, name: &str, t: usize) -> Result<Field> {
        let column = self.columns.iter().find(|column| column.name == name);
        let names = self.columns.iter().map(|column| column.name.as_str());
        let column = column.ok_or_else(|| unknown("rollout field", name, names))?;
        if t >= self.steps + column.shift {
            return Err(Error::invalid(format!(
                "slot {t} of `{name}`; there are {}",
                self.steps + column.shift
            )));
        }
        Ok(column.slot(t))
    }

    /// The device's memory; none on the host.
    pub fn arenas(&self) -> Option<&Arenas> {
        self.machine.arenas()
    }

    pub(super) fn check(&self, env: &VecEnv, t: usize) -> Result<()> {
        let fits = self.machine.worlds() == env.num_envs()
            && self
                .columns
                .iter()
                .all(|column| env.layout.find(&column.name) == Some(column.source));
        if !fits {
            return Err(Error::invalid("the rollout is of another environment"));
        }
        if t >= self.steps {
            return Err(Error::invalid(format!(
                "step {t} of a rollout of {}",
                self.steps
            )));
        }
        Ok(())
    }

    pub(super) fn take(&mut self, from: &Machine, t: usize) -> Result<()> {
        let pairs: Vec<_> = self
            .columns
            .iter()
            .map(|column| (column.source, column.slot(t + column.shift)))
            .collect();
        self.machine.copy_from(from, &pairs)
    }
}

impl Column {
    fn slot(&self, t: usize) -> Field {
        self.slots.slice(t * self.source.len(), self.source.len())
    }
}
