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
        let fields = &self.plan.fields;
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
        let totals: Vec<Vec<f64>> = read
            .iter()
            .map(|values| {
                values
                    .chunks(worlds)
                    .map(|row| row.iter().map(|value| f64::from(*value)).sum())
                    .collect()
            })
            .collect();
        let [episodes, terminated, sum, squares, length] =
            [0, 1, 2, 3, 4].map(|index| totals[index][0]);
        let mean = |sum: f64| if episodes > 0.0 { sum / episodes } else { 0.0 };
        let mean_return = mean(sum);
        let spec = &self.plan.spec;
        let terms = match totals[5].as_slice() {
            [] => vec![mean_return; spec.rewards.len()],
            sums => sums.iter().map(|sum| mean(*sum)).collect(),
        };
        let causes = self.machine.read_bits(fields.quarantine)?;
        let troubles = self.machine.read_bits(fields.warning)?;
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
            warnings: warnings(&troubles, worlds),
        };
        let drained: Vec<Field> = sums
            .into_iter()
            .chain([statistics.measured, statistics.measurements])
            .filter(|field| !field.is_empty())
            .chain([fields.quarantine, fields.warning])
            .collect();
        self.machine.clear(&drained)?;
        Ok(stats)
    }

    /// Lets the task and the curriculum change parameters between rollouts.
    ///
    /// # Errors
    /// The curriculum's own.
    pub fn on_iteration(&mut self, stats: &Stats) -> Result<()> {
        self.plan.task.on_iteration(stats, &mut self.params);
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

/// What was not exact, from `[overflows, needed, unsolved][world]`.
fn warnings(values: &[u32], worlds: usize) -> Vec<Warning> {
    let (overflows, rest) = values.split_at(worlds);
    let (needed, unsolved) = rest.split_at(worlds);
    // Where it is worst: where most contacts had no slot, or where the solver gave up most often.
    let of = |cause, steps: &[u32], badness: &[u32]| {
        let worst = (0..worlds)
            .rev()
            .max_by_key(|&world| (steps[world] > 0, badness[world]))?;
        (steps[worst] > 0).then(|| Warning {
            cause,
            worlds: steps.iter().filter(|&&steps| steps > 0).count(),
            steps: steps.iter().map(|&steps| u64::from(steps)).sum(),
            worst,
            needed: if cause == Cause::Overflow {
                badness[worst]
            } else {
                0
            },
        })
    };
    [
        of(Cause::Overflow, overflows, needed),
        of(Cause::Solver, unsolved, unsolved),
    ]
    .into_iter()
    .flatten()
    .collect()
}
