//! What a step gives: views of numbers on the device, read back only when asked.

use super::fields::Fields;
use super::machine::Machine;
use crate::error::Result;
use crate::tasks::Spec;
use crate::trace::Field;

/// One field of an environment, where it lies. Reading waits for the device.
#[derive(Clone, Copy)]
pub struct View<'a> {
    machine: &'a Machine,
    field: Field,
}

impl<'a> View<'a> {
    pub(super) fn new(machine: &'a Machine, field: Field) -> Self {
        Self { machine, field }
    }

    /// Where the numbers lie.
    pub fn field(&self) -> Field {
        self.field
    }

    /// The numbers, `[world][component]`.
    ///
    /// # Errors
    /// The device failed.
    pub fn read(&self) -> Result<Vec<f32>> {
        Ok(worlds_first(
            &self.machine.read(self.field)?,
            self.field.len(),
        ))
    }
}

/// The observations of every group.
#[derive(Clone, Copy)]
pub struct Groups<'a> {
    machine: &'a Machine,
    spec: &'a Spec,
    fields: &'a [Field],
}

impl<'a> Groups<'a> {
    pub(super) fn new(machine: &'a Machine, spec: &'a Spec, fields: &'a [Field]) -> Self {
        Self {
            machine,
            spec,
            fields,
        }
    }

    /// The group of that name, `[world][component]`.
    ///
    /// # Errors
    /// There is none; the hint names close ones.
    pub fn group(&self, name: &str) -> Result<View<'a>> {
        let (index, _) = self.spec.group(name)?;
        Ok(View::new(self.machine, self.fields[index]))
    }

    /// The group `policy`, which every task has.
    pub fn policy(&self) -> View<'a> {
        let index = self
            .spec
            .groups
            .iter()
            .position(|group| group.name == "policy");
        View::new(
            self.machine,
            self.fields[index.expect("a spec without `policy` is refused when it is built")],
        )
    }
}

/// What one control step gave. Everything stays on the device until it is read, and is overwritten by the next step.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// What the next action is chosen from: after the reset where a world began anew in this step.
    pub obs: Groups<'a>,
    /// The true successor of every world, never after a reset; a quarantined world's last finite observation.
    pub next_obs: Groups<'a>,
    /// `[N]`
    pub reward: View<'a>,
    /// `[N]`, 1 where the task ended the episode.
    pub terminated: View<'a>,
    /// `[N]`, 1 where the time limit or a quarantine ended it. Never together with `terminated`.
    pub truncated: View<'a>,
    /// `[N]`, either of them.
    pub done: View<'a>,
    /// `[N]`, 0 where the step must not be learned from: quarantined, or over before the step.
    pub valid: View<'a>,
    /// More about the episodes.
    pub info: Info<'a>,
}

/// More about the episodes.
#[derive(Clone, Copy)]
pub struct Info<'a> {
    /// `[N]` Return of each world's episode that ended last.
    pub final_return: View<'a>,
    /// `[N]` Its length in control steps.
    pub final_length: View<'a>,
    /// `[N]` Return so far of the running episode.
    pub episode_return: View<'a>,
    /// `[N]` Its control steps so far.
    pub episode_length: View<'a>,
    /// `[N][term]` Its weighted reward terms so far; no components where the task has a single term, whose sum is the
    /// return.
    pub episode_terms: View<'a>,
    status: View<'a>,
}

impl Info<'_> {
    /// `[N]` What went wrong in this step: bits of [`Cause`](crate::tasks::Cause), which says what that means for the
    /// world; 0 where nothing did.
    ///
    /// # Errors
    /// The device failed.
    pub fn status(&self) -> Result<Vec<u32>> {
        self.status.machine.read_bits(self.status.field)
    }
}

/// A step on the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostStep {
    /// Observations by group in the order of the spec, each `[world][component]`.
    pub obs: Vec<Vec<f32>>,
    /// Successors, likewise.
    pub next_obs: Vec<Vec<f32>>,
    /// `[N]`
    pub reward: Vec<f32>,
    /// `[N]`
    pub terminated: Vec<bool>,
    /// `[N]`
    pub truncated: Vec<bool>,
    /// `[N]`
    pub valid: Vec<bool>,
}

impl<'a> Step<'a> {
    pub(super) fn new(machine: &'a Machine, spec: &'a Spec, fields: &'a Fields) -> Self {
        let view = |field| View::new(machine, field);
        Self {
            obs: Groups::new(machine, spec, &fields.observations),
            next_obs: Groups::new(machine, spec, &fields.next_observations),
            reward: view(fields.reward),
            terminated: view(fields.terminated),
            truncated: view(fields.truncated),
            done: view(fields.done),
            valid: view(fields.valid),
            info: Info {
                final_return: view(fields.final_return),
                final_length: view(fields.final_length),
                episode_return: view(fields.episode_return),
                episode_length: view(fields.episode_length),
                episode_terms: view(fields.episode_terms),
                status: view(fields.status),
            },
        }
    }

    /// Everything, in one read-back.
    ///
    /// # Errors
    /// The device failed.
    pub fn read(&self) -> Result<HostStep> {
        let scalars =
            [self.reward, self.terminated, self.truncated, self.valid].map(|view| view.field);
        let fields: Vec<Field> = [self.obs.fields, self.next_obs.fields, &scalars].concat();
        let mut values = self.reward.machine.read_many(&fields)?.into_iter();
        let mut groups = |fields: &[Field]| -> Vec<Vec<f32>> {
            let values = values.by_ref().take(fields.len()).zip(fields);
            values
                .map(|(values, field)| worlds_first(&values, field.len()))
                .collect()
        };
        let (obs, next_obs) = (groups(self.obs.fields), groups(self.next_obs.fields));
        let [reward, terminated, truncated, valid]: [Vec<f32>; 4] = groups(&scalars)
            .try_into()
            .expect("four fields were asked for");
        let flags = |values: Vec<f32>| values.into_iter().map(|value| value != 0.0).collect();
        Ok(HostStep {
            obs,
            next_obs,
            reward,
            terminated: flags(terminated),
            truncated: flags(truncated),
            valid: flags(valid),
        })
    }
}

/// `[component][world]` as `[world][component]`.
pub(super) fn worlds_first<T: Copy>(values: &[T], components: usize) -> Vec<T> {
    let worlds = values.len() / components.max(1);
    let rows = (0..worlds)
        .flat_map(|world| (0..components).map(move |component| component * worlds + world));
    rows.map(|index| values[index]).collect()
}

/// `[world][component]` as `[component][world]`.
pub(super) fn components_first<T: Copy>(values: &[T], components: usize) -> Vec<T> {
    let worlds = values.len() / components.max(1);
    let rows = (0..components)
        .flat_map(|component| (0..worlds).map(move |world| world * components + component));
    rows.map(|index| values[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transpositions_are_inverse() {
        let values = [1, 2, 3, 4, 5, 6];
        assert_eq!(worlds_first(&values, 2), [1, 4, 2, 5, 3, 6]);
        assert_eq!(components_first(&worlds_first(&values, 2), 2), values);
        assert!(worlds_first::<f32>(&[], 0).is_empty());
    }
}
