//! Between measured performance and ranges: sums on the device for each boundary, and the curriculum that reads them.

use super::VecEnv;
use super::step::Recipe;
use crate::error::Result;
use crate::randomize::{Curriculum, Measured, Metric, Performance};
use crate::tasks::Episode;
use crate::trace::{Bits, Var, when};

impl Recipe<'_> {
    /// The boundary at which the world is, where ranges have some.
    pub(super) fn boundary(&self) -> Option<Bits> {
        let field = self.plan.fields.boundary;
        (!field.is_empty()).then(|| field.load_bits(0))
    }

    pub(super) fn store_boundary(&self, episode: &Episode) {
        if let Some(boundary) = episode.boundary {
            self.plan.fields.boundary.store_bits(0, boundary);
        }
    }

    /// Counts an episode that ended, with its return, length and weighted reward terms, for the boundary that it was at.
    pub(super) fn measure(
        &self,
        episode: &Episode,
        (episode_return, length, terms): (Var, Var, &[Var]),
    ) {
        let spec = &self.plan.spec;
        let randomization = spec.randomization();
        let Some(slot) = episode.boundary else {
            return;
        };
        let metric = match randomization.metric() {
            Metric::Return => episode_return,
            Metric::Length => length,
            // The sum of a single term is the return, and not kept beside it.
            Metric::Reward(name) => {
                let term = spec.rewards.iter().position(|term| term.name == *name);
                let sum = term.and_then(|term| terms.get(term));
                sum.copied().unwrap_or(episode_return)
            }
        };
        let source = self.recording.source(episode.key, episode.step);
        let counts = randomization.is_current(&source, &episode.draws, slot);
        when(counts, (), |()| {
            let statistics = self.plan.fields.statistics;
            let add = [
                (statistics.measured, metric),
                (statistics.measurements, Var::ONE),
            ];
            for (field, value) in add {
                field.store_at(slot, field.load_at(slot) + value);
            }
        });
    }
}

impl VecEnv {
    /// What the curriculum goes by. Without boundaries it is the `sum` of the returns of `episodes`.
    pub(super) fn measured(&self, episodes: f64, sum: f64) -> Result<Measured> {
        let statistics = self.fields.statistics;
        if statistics.measured.is_empty() {
            let all = Performance {
                episodes: episodes as u64,
                sum,
            };
            return Ok(Measured {
                all,
                boundaries: Vec::new(),
            });
        }
        let fields = [statistics.measured, statistics.measurements];
        let read = self.machine.read_many(&fields)?;
        let worlds = self.machine.worlds();
        // In the order of the worlds, in double precision: the same run gives the same figures.
        let total = |row: &[f32]| row.iter().map(|value| f64::from(*value)).sum::<f64>();
        let rows = read[0].chunks(worlds).zip(read[1].chunks(worlds));
        let mut found = rows.map(|(sums, counts)| Performance {
            episodes: total(counts) as u64,
            sum: total(sums),
        });
        Ok(Measured {
            all: found.next().unwrap_or_default(),
            boundaries: found.collect(),
        })
    }

    /// Has the curriculum look at what was measured.
    pub(super) fn advance_curriculum(&mut self, measured: &Measured) -> Result<()> {
        match &mut self.curriculum {
            Some(curriculum) => curriculum.update(measured, &mut self.params),
            None => Ok(()),
        }
    }

    /// What the curriculum finds worth a curve, by name.
    ///
    /// # Errors
    /// The curriculum's own.
    pub fn curriculum_metrics(&self) -> Result<Vec<(String, f64)>> {
        match &self.curriculum {
            Some(curriculum) => curriculum.metrics(&self.params),
            None => Ok(Vec::new()),
        }
    }

    /// The parameters, then what the curriculum remembers.
    pub(super) fn host_numbers(&self) -> Vec<f64> {
        let remembered = self.curriculum.as_deref().map(Curriculum::state);
        [self.params.values(), &remembered.unwrap_or_default()].concat()
    }

    /// Puts back what [`VecEnv::host_numbers`] gave in an environment of the same task.
    pub(super) fn restore_host_numbers(&mut self, numbers: &[f64]) -> Result<()> {
        let (params, remembered) = numbers.split_at(self.params.len().min(numbers.len()));
        let keys: Vec<String> = self.params.keys().map(str::to_owned).collect();
        for (key, value) in keys.iter().zip(params) {
            self.params.set(key, *value)?;
        }
        match &mut self.curriculum {
            Some(curriculum) => curriculum.restore(remembered),
            None => Ok(()),
        }
    }
}
