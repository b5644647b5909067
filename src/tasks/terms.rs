//! What a task says about a control step: named observation, reward and termination terms.

use std::rc::Rc;

use super::recording::Recording;
use super::sensing::{Look, Memory, Reader, Seen};
use super::spec::{RANDOMIZED, VARIANT};
use crate::error::{Error, Result, unknown};
use crate::trace::{Mask, Var, select, stage};

/// Collects a task's terms. Every declared name is fed exactly once.
pub struct Terms {
    recording: Rc<Recording>,
    /// Observation terms in the order they were fed.
    observations: Vec<(String, Vec<Var>)>,
    /// Where sensors are blind, by the names of their terms.
    occlusions: Vec<(String, Vec<Mask>)>,
    rewards: Vec<Option<Var>>,
    terminations: Vec<Option<Mask>>,
}

impl Terms {
    pub(crate) fn new(recording: &Rc<Recording>) -> Self {
        Self {
            recording: Rc::clone(recording),
            observations: Vec::new(),
            occlusions: Vec::new(),
            rewards: vec![None; recording.spec.rewards.len()],
            terminations: vec![None; recording.spec.terminations.len()],
        }
    }

    /// Feeds an observation term, in every group that declares it.
    pub fn observe(&mut self, name: &str, values: impl AsRef<[Var]>) {
        let values = values.as_ref();
        let groups = &self.recording.spec.groups;
        let declared: Vec<_> = groups
            .iter()
            .flat_map(|group| &group.terms)
            .filter(|term| term.name == name)
            .collect();
        if declared.is_empty() {
            let known = groups
                .iter()
                .flat_map(|group| &group.terms)
                .map(|term| term.name.as_str());
            self.recording
                .fault(unknown("observation term", name, known));
        } else if self.observations.iter().any(|(known, _)| known == name) {
            self.recording.fault(Error::invalid(format!(
                "observation term `{name}` is given twice"
            )));
        } else if let Some(term) = declared.iter().find(|term| term.dim != values.len()) {
            let message = format!(
                "observation term `{name}` gets {} values and was declared with {}",
                values.len(),
                term.dim
            );
            self.recording.fault(Error::invalid(message));
        } else {
            self.observations.push((name.into(), values.to_vec()));
        }
    }

    /// Says where the sensor of an observation term is blind, one mask for each of its values: there a sensor with
    /// [`Sensor::occlusion`](super::Sensor::occlusion) repeats its last reading. Without that option it changes nothing.
    ///
    /// ```no_run
    /// # use manyworlds::tasks::{Terms, World};
    /// # fn terms(w: &World, t: &mut Terms) {
    /// let [tip, object] = ["fingertip", "object"].map(|name| w.link(name).position);
    /// t.observe("tip", tip.to_array());
    /// t.occlude("tip", [(tip - object).norm().lt(0.015); 3]); // the marker is hidden behind the object
    /// # }
    /// ```
    pub fn occlude(&mut self, name: &str, masks: impl AsRef<[Mask]>) {
        let masks = masks.as_ref();
        let groups = &self.recording.spec.groups;
        let mut declared = groups.iter().flat_map(|group| &group.terms);
        match declared.clone().find(|term| term.name == name) {
            Some(term) if term.dim == masks.len() => {
                self.occlusions.push((name.into(), masks.to_vec()));
            }
            Some(term) => self.recording.fault(Error::invalid(format!(
                "occlusion of `{name}` gets {} masks, and the term has {} values",
                masks.len(),
                term.dim
            ))),
            None => {
                let known = declared.by_ref().map(|term| term.name.as_str());
                self.recording
                    .fault(unknown("observation term", name, known));
            }
        }
    }

    /// Feeds a reward term; it counts times its weight.
    pub fn reward(&mut self, name: &str, value: impl Into<Var>) {
        let known = self
            .recording
            .spec
            .rewards
            .iter()
            .position(|term| term.name == name);
        match known {
            Some(index) if self.rewards[index].is_none() => {
                self.rewards[index] = Some(value.into())
            }
            Some(_) => self.recording.fault(Error::invalid(format!(
                "reward term `{name}` is given twice"
            ))),
            None => {
                let known = self
                    .recording
                    .spec
                    .rewards
                    .iter()
                    .map(|term| term.name.as_str());
                self.recording.fault(unknown("reward term", name, known));
            }
        }
    }

    /// Feeds a termination term: the episode ends where it holds.
    pub fn terminate(&mut self, name: &str, mask: impl Into<Mask>) {
        let known = self
            .recording
            .spec
            .terminations
            .iter()
            .position(|term| term.name == name);
        match known {
            Some(index) if self.terminations[index].is_none() => {
                self.terminations[index] = Some(mask.into())
            }
            Some(_) => self.recording.fault(Error::invalid(format!(
                "termination term `{name}` is given twice"
            ))),
            None => {
                let known = self
                    .recording
                    .spec
                    .terminations
                    .iter()
                    .map(|term| term.name.as_str());
                self.recording
                    .fault(unknown("termination term", name, known));
            }
        }
    }

    /// Feeds what the world drew of its randomization to those who see it.
    pub(crate) fn observe_draws(&mut self, draws: &[Var]) {
        let mut terms = self
            .recording
            .spec
            .groups
            .iter()
            .flat_map(|group| &group.terms);
        if terms.any(|term| term.name == RANDOMIZED) {
            let seen = self.recording.spec.randomization.draws();
            self.observe(RANDOMIZED, &draws[..seen]);
        }
    }

    /// Feeds which variant of the model the world has to those who see it: 1 at its place, 0 at the others'.
    pub(crate) fn observe_variant(&mut self) {
        let mut terms = self
            .recording
            .spec
            .groups
            .iter()
            .flat_map(|group| &group.terms);
        if terms.any(|term| term.name == VARIANT) {
            let variant = self.recording.variant;
            let places = 0..self.recording.spec.variants.names.len() as u32;
            let is_it = |place| select(variant.eq(place), Var::ONE, Var::ZERO);
            self.observe(VARIANT, places.map(is_it).collect::<Vec<_>>());
        }
    }

    /// A parameter's value as it is when the kernel runs, by its dotted key.
    pub fn param(&self, key: &str) -> Var {
        self.recording.param(key)
    }

    /// The termination terms, false where switched off, in the order of the declaration.
    pub(crate) fn terminations(&self) -> Vec<Mask> {
        let terms = self
            .recording
            .spec
            .terminations
            .iter()
            .zip(&self.terminations);
        let masks = terms.map(|(term, mask)| match (mask, term.enabled) {
            (Some(mask), None) => *mask,
            (Some(mask), Some(_)) => {
                *mask
                    & self
                        .param(&format!("termination.{}.enabled", term.name))
                        .ne(0.0)
            }
            (None, _) => {
                self.missing("termination term", &term.name);
                Mask::from(false)
            }
        });
        masks.collect()
    }

    /// The weighted reward terms, in the order of the declaration.
    pub(crate) fn weighted_rewards(&self) -> Vec<Var> {
        let terms = self.recording.spec.rewards.iter().zip(&self.rewards);
        let weighted = terms.map(|(term, value)| match value {
            Some(value) => self.param(&format!("reward.{}.weight", term.name)) * *value,
            None => {
                self.missing("reward term", &term.name);
                Var::from(0.0)
            }
        });
        weighted.collect()
    }

    /// What a look at every group's sensors gives, `scale · clip(reading)`, and what they keep. There is a memory for
    /// each term, in the order of the groups and terms.
    ///
    /// The white noise of all groups is drawn from one stream, in the order of the groups, terms and components.
    pub(crate) fn look(
        &self,
        look: &Look<'_>,
        memories: &[Memory],
    ) -> (Vec<Vec<Var>>, Vec<Memory>) {
        stage("observation", || {
            let mut white = look.key.rng("noise", look.step);
            let mut kept = Vec::with_capacity(memories.len());
            let groups = self.recording.spec.groups.iter();
            let values = groups.map(|group| {
                let mut values = Vec::with_capacity(group.dim());
                for term in &group.terms {
                    let truth = self.observation(&term.name, term.dim);
                    let seen = Seen {
                        group: &group.name,
                        term: &term.name,
                        sensor: &term.sensor,
                        truth: &truth,
                        occluded: self.occluded(&term.name),
                    };
                    let key =
                        |field: &str| format!("observation.{}.{}.{field}", group.name, term.name);
                    let mut reader = Reader::new(look, seen, &memories[kept.len()]);
                    for component in 0..term.dim {
                        let mut value = reader.read(component, &mut white);
                        if term.clip.is_some() {
                            value = value
                                .clamp(self.param(&key("clip[0]")), self.param(&key("clip[1]")));
                        }
                        if term.scale.is_some() {
                            value *= self.param(&key("scale"));
                        }
                        values.push(value);
                    }
                    kept.push(reader.finish());
                }
                values
            });
            (values.collect(), kept)
        })
    }

    fn occluded(&self, name: &str) -> Option<&[Mask]> {
        let found = self.occlusions.iter().find(|(known, _)| known == name);
        found.map(|(_, masks)| masks.as_slice())
    }

    fn observation(&self, name: &str, dim: usize) -> Vec<Var> {
        match self.observations.iter().find(|(known, _)| known == name) {
            Some((_, values)) => values.clone(),
            None => {
                self.missing("observation term", name);
                vec![Var::from(0.0); dim]
            }
        }
    }

    fn missing(&self, what: &str, name: &str) {
        self.recording.fault(
            Error::invalid(format!("{what} `{name}` is declared and never given"))
                .hint("feed it in Task::terms, or remove it from the spec"),
        );
    }
}

/// Fails with the first fault, named after the task.
pub(crate) fn check(recording: &Recording, task: &str) -> Result<()> {
    match recording.first_fault() {
        Some(error) => Err(error.context(format!("task {task}"))),
        None => Ok(()),
    }
}
