//! Reads the device's episode statistics, and starts them anew.

use super::VecEnv;
use crate::error::Result;
use crate::tasks::{Cause, Quarantine, Stats, Warning};
use crate::trace::Field;

impl VecEnv {
    /// What happened in the episodes that ended since the last call.
    ///
    /// Sums are added up in the order of the worlds, in double precision: the same run gives the same figures.
    ///
    /// # Errors
    /// The device failed.
    pub fn drain_stats(&mut self) -> Result<Stats> {
        let fields = &self.fields;
        let statistics = fields.statistics;
        let sums = [
            statistics.episodes,
            statistics.terminated,
            statistics.sum,
            statistics.sum_of_squares,
            statistics.length,
            statistics.terms,
            statistics.terminations,
        ];
        let worlds = self.machine.worlds();
        let read = self.machine.read_many(&sums)?;
        // One world's sums must not make everybody's means worthless.
        let finite: Vec<bool> = (0..worlds)
            .map(|world| {
                let mut rows = read.iter().flat_map(|values| values.chunks(worlds));
                rows.all(|row| row[world].is_finite())
            })
            .collect();
        let total = |row: &[f32]| -> f64 {
            let counted = row.iter().zip(&finite).filter(|(_, finite)| **finite);
            counted.map(|(value, _)| f64::from(*value)).sum()
        };
        let totals: Vec<Vec<f64>> = read
            .iter()
            .map(|values| values.chunks(worlds).map(total).collect())
            .collect();
        let [episodes, terminated, sum, squares, length] =
            [0, 1, 2, 3, 4].map(|index| totals[index][0]);
        let mean = |sum: f64| if episodes > 0.0 { sum / episodes } else { 0.0 };
        let mean_return = mean(sum);
        let spec = &self.groups[0].plan.spec;
        let terms = match totals[5].as_slice() {
            [] => vec![mean_return; spec.rewards.len()],
            sums => sums.iter().map(|sum| mean(*sum)).collect(),
        };
        let causes = self.machine.read_bits(fields.quarantine)?;
        let overflow = self.machine.read_bits(fields.overflow)?;
        let unsolved = self.machine.read_bits(fields.unsolved)?;
        let warnings = [
            overflowed(&overflow, worlds),
            gave_up(&unsolved, worlds),
            lost(&finite),
        ];
        let stats = Stats {
            episodes: episodes as u64,
            terminated: terminated as u64,
            mean_return,
            std_return: (mean(squares) - mean_return * mean_return).max(0.0).sqrt(),
            mean_length: mean(length),
            terms: spec
                .rewards
                .iter()
                .map(|term| term.name.clone())
                .zip(terms)
                .collect(),
            terminations: spec
                .terminations
                .iter()
                .zip(&totals[6])
                .map(|(term, count)| (term.name.clone(), *count as u64))
                .collect(),
            measured: self.measured(episodes, sum)?,
            quarantines: quarantines(&causes, worlds),
            warnings: warnings.into_iter().flatten().collect(),
        };
        let drained: Vec<Field> = sums
            .into_iter()
            .chain([statistics.measured, statistics.measurements])
            .filter(|field| !field.is_empty())
            .chain([fields.quarantine, fields.overflow, fields.unsolved])
            .collect();
        self.machine.clear(&drained)?;
        Ok(stats)
    }

    /// Lets the task and the curriculum change parameters between rollouts.
    ///
    /// # Errors
    /// The curriculum's own.
    pub fn on_iteration(&mut self, stats: &Stats) -> Result<()> {
        self.task.on_iteration(stats, &mut self.params);
        self.advance_curriculum(&stats.measured)
    }
}

/// The worlds that were quarantined, from `[count, causes, step, episode][world]`.
fn quarantines(values: &[u32], worlds: usize) -> Vec<Quarantine> {
    let found = (0..worlds).filter(|world| values[*world] > 0);
    found
        .map(|world| Quarantine {
            world,
            count: values[world],
            causes: Cause::of(values[worlds + world]),
            step: values[2 * worlds + world],
            episode: values[3 * worlds + world],
        })
        .collect()
}

/// Contacts without a slot, from `[steps, step, episode, needed][world]`.
fn overflowed(values: &[u32], worlds: usize) -> Option<Warning> {
    let needed = &values[3 * worlds..];
    let warning = warning(Cause::Overflow, values, needed, worlds)?;
    Some(Warning {
        needed: needed[warning.worst],
        ..warning
    })
}

/// Steps in which the solver gave up, from `[steps, step, episode][world]`.
fn gave_up(values: &[u32], worlds: usize) -> Option<Warning> {
    warning(Cause::Solver, values, &values[..worlds], worlds)
}

/// What happened in `[steps, step, episode, …][world]`; it is worst where `badness` is greatest, then in the first world.
fn warning(cause: Cause, values: &[u32], badness: &[u32], worlds: usize) -> Option<Warning> {
    let steps = &values[..worlds];
    let worst = (0..worlds)
        .rev()
        .max_by_key(|&world| (steps[world] > 0, badness[world]))?;
    (steps[worst] > 0).then(|| Warning {
        cause,
        worlds: steps.iter().filter(|&&steps| steps > 0).count(),
        steps: steps.iter().map(|&steps| u64::from(steps)).sum(),
        worst,
        step: values[worlds + worst],
        episode: values[2 * worlds + worst],
        needed: 0,
    })
}

/// The worlds whose sums are not finite.
fn lost(finite: &[bool]) -> Option<Warning> {
    let worst = finite.iter().position(|finite| !finite)?;
    let worlds = finite.iter().filter(|finite| !**finite).count();
    Some(Warning {
        cause: Cause::Statistics,
        worlds,
        steps: worlds as u64,
        worst,
        step: 0,
        episode: 0,
        needed: 0,
    })
}
