//! Automatic domain randomization: ranges grow where the policy is good at their edges, and shrink where it is not.
//!
//! After OpenAI, Solving Rubik's Cube with a Robot Hand, 2019 (arXiv:1910.07113), section 5.2 and algorithm 1, with
//! all boundaries measured side by side in a share of the worlds, as in Handa et al., DeXtreme, 2023 (arXiv:2210.13702),
//! "vectorized ADR". In a share of the episodes one *boundary* — one side of one range — is chosen; the entry draws
//! exactly this edge (all of its draws, where it makes several), all others draw as always. What the episodes at a
//! boundary achieve gathers in a queue. When it holds enough of them, its mean moves the edge:
//!
//! ```text
//! mean ≥ high: outwards by a step, at most to the limit
//! mean ≤ low:  inwards by a step, at most to where the range began
//! ```
//!
//! and the queue is empty again. Differences from the paper: an edge never leaves less than the range that the entry began
//! with, whose numbers are the calibrated ones; edges that cannot move are not measured; and an episode counts only if
//! it was drawn at the edge where that is now, so that long episodes from before a move do not move it again.

use super::boundary::{Boundary, Side};
use super::curriculum::{Curriculum, Measured, Numbers, Performance};
use crate::error::{Error, Result, unknown};

/// What an episode's performance is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// The undiscounted return.
    #[default]
    Return,
    /// The length in control steps.
    Length,
    /// The sum of a weighted reward term, by its name.
    Reward(String),
}

impl Metric {
    /// From its name in a file: `return`, `length` or `reward.NAME`.
    ///
    /// # Errors
    /// It is none of them.
    pub fn parse(name: &str) -> Result<Self> {
        match (name, name.strip_prefix("reward.")) {
            ("return", _) => Ok(Self::Return),
            ("length", _) => Ok(Self::Length),
            (_, Some(term)) => Ok(Self::Reward(term.into())),
            _ => Err(unknown("metric", name, ["return", "length", "reward.NAME"])),
        }
    }
}

/// The settings of automatic domain randomization, `[randomize.adr]` in a configuration. Its numbers are parameters of
/// the task.
#[derive(Clone, Debug, PartialEq)]
pub struct Adr {
    /// What is measured.
    pub metric: Metric,
    /// A boundary moves inwards where the mean is at most this.
    pub low: f64,
    /// A boundary moves outwards where the mean is at least this.
    pub high: f64,
    /// Episodes at a boundary before it may move.
    pub episodes: u32,
    /// The share of the episodes that are at a boundary.
    pub boundary_share: f64,
}

impl Adr {
    /// Settings with DeXtreme's queues of 256 episodes and boundary share of 0.4.
    pub fn new(metric: Metric, low: f64, high: f64) -> Self {
        Self {
            metric,
            low,
            high,
            episodes: 256,
            boundary_share: 0.4,
        }
    }

    /// Everything that can be seen to be wrong without a task.
    pub(super) fn check(&self) -> Result<()> {
        let are_finite = [self.low, self.high]
            .iter()
            .all(|x| (*x as f32).is_finite());
        let are_ordered = self.low < self.high;
        if !are_finite || !are_ordered {
            let cause = Error::invalid(format!("`low` is {} and `high` {}", self.low, self.high));
            return Err(
                cause.hint("performance at most low shrinks, at least high grows: low < high")
            );
        }
        if self.episodes == 0 {
            return Err(Error::invalid("`episodes` is 0").hint("give at least 1"));
        }
        if !(0.0..=1.0).contains(&self.boundary_share) {
            let cause = Error::invalid(format!("`boundary_share` is {}", self.boundary_share));
            return Err(cause.hint("it is from 0 to 1"));
        }
        Ok(())
    }

    /// The adjustable numbers: key and value.
    pub fn parameters(&self) -> Vec<(String, f64)> {
        [
            ("low", self.low),
            ("high", self.high),
            ("episodes", f64::from(self.episodes)),
            ("boundary_share", self.boundary_share),
        ]
        .map(|(name, value)| (format!("randomize.adr.{name}"), value))
        .into()
    }
}

/// How far automatic domain randomization may take the range of an entry: `adr` in its table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// The lowest lower edge, the highest upper edge.
    pub limits: [f64; 2],
    /// How far an edge moves at a time; where the logarithm is uniform, the edge's logarithm.
    pub step: f64,
}

/// The [`Curriculum`] of automatic domain randomization.
#[derive(Clone, Debug, PartialEq)]
pub struct AutomaticRanges {
    boundaries: Vec<Boundary>,
    /// What has been measured at each boundary since it moved or stayed.
    queues: Vec<Performance>,
    /// The last mean over the whole distribution.
    performance: Option<f64>,
}

impl AutomaticRanges {
    /// Moves these boundaries.
    pub fn new(boundaries: &[Boundary]) -> Self {
        Self {
            boundaries: boundaries.to_vec(),
            queues: vec![Performance::default(); boundaries.len()],
            performance: None,
        }
    }

    /// The entropy of the ranges in nats per dimension, the mean logarithm of their widths (OpenAI 2019, section 5.2). A
    /// width below a step counts as a step: the logarithm of 0 is infinite.
    ///
    /// # Errors
    /// As [`Numbers::number`].
    pub fn entropy(&self, numbers: &dyn Numbers) -> Result<f64> {
        let (mut sum, mut count) = (0.0, 0.0);
        for (index, boundary) in self.boundaries.iter().enumerate() {
            // Once for each entry, whether one of its edges moves or both.
            if self.boundaries[..index]
                .iter()
                .any(|b| b.entry == boundary.entry)
            {
                continue;
            }
            let [low, high] = boundary.edges(numbers)?;
            let step = numbers.number(&boundary.growth_key("step"))?;
            sum += (high - low).max(step).ln();
            count += 1.0;
        }
        Ok(if count > 0.0 { sum / count } else { 0.0 })
    }
}

impl Curriculum for AutomaticRanges {
    fn update(&mut self, measured: &Measured, numbers: &mut dyn Numbers) -> Result<()> {
        let setting =
            |numbers: &dyn Numbers, name: &str| numbers.number(&format!("randomize.adr.{name}"));
        let [low, high, enough] = ["low", "high", "episodes"].map(|name| setting(numbers, name));
        let (low, high, enough) = (low?, high?, enough?);
        self.performance = measured.all.mean().or(self.performance);
        let found = self
            .boundaries
            .iter()
            .zip(&mut self.queues)
            .zip(&measured.boundaries);
        for ((boundary, queue), new) in found {
            queue.add(*new);
            let Some(mean) = queue.mean().filter(|_| queue.episodes as f64 >= enough) else {
                continue;
            };
            *queue = Performance::default();
            if mean >= high {
                boundary.shift(numbers, 1.0)?;
            } else if mean <= low {
                boundary.shift(numbers, -1.0)?;
            }
        }
        Ok(())
    }

    fn metrics(&self, numbers: &dyn Numbers) -> Result<Vec<(String, f64)>> {
        let mut metrics = vec![("adr/entropy".to_string(), self.entropy(numbers)?)];
        metrics.extend(
            self.performance
                .map(|mean| ("adr/performance".into(), mean)),
        );
        for boundary in &self.boundaries {
            let side = boundary.side.name();
            let name = format!("adr/{}/{side}", boundary.entry);
            metrics.push((name, numbers.number(&boundary.key)?));
        }
        Ok(metrics)
    }

    fn state(&self) -> Vec<f64> {
        let queues = self.queues.iter();
        let queues = queues.flat_map(|queue| [queue.episodes as f64, queue.sum]);
        // Not a number stands for nothing measured yet.
        queues
            .chain([self.performance.unwrap_or(f64::NAN)])
            .collect()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        let (pairs, rest) = state.as_chunks::<2>();
        let ([performance], true) = (rest, pairs.len() == self.queues.len()) else {
            let (given, own) = (state.len(), 2 * self.queues.len() + 1);
            return Err(
                Error::invalid(format!("{given} numbers about boundaries")).hint(format!(
                    "there are {own}: the randomization must be the same"
                )),
            );
        };
        for (queue, [episodes, sum]) in self.queues.iter_mut().zip(pairs) {
            *queue = Performance {
                episodes: *episodes as u64,
                sum: *sum,
            };
        }
        self.performance = Some(*performance).filter(|mean| !mean.is_nan());
        Ok(())
    }
}

impl Boundary {
    /// Both edges of its range; their logarithms where these are uniform.
    fn edges(&self, numbers: &dyn Numbers) -> Result<[f64; 2]> {
        let [low, high] = [&self.range[0], &self.range[1]].map(|key| numbers.number(key));
        Ok([self.scaled(low?), self.scaled(high?)])
    }

    /// Moves the edge by a step, outwards for 1 and inwards for −1.
    fn shift(&self, numbers: &mut dyn Numbers, direction: f64) -> Result<()> {
        let (index, outwards) = match self.side {
            Side::Low => (0, -1.0),
            Side::High => (1, 1.0),
        };
        let step = numbers.number(&self.growth_key("step"))?;
        let limit = numbers.number(&self.growth_key(&format!("limits[{index}]")))?;
        let moved = self.scaled(numbers.number(&self.key)?) + direction * outwards * step;
        // What is left of a step by rounding is no step.
        let near = |x: f64| (moved - self.scaled(x)).abs() < 1e-6 * step;
        let moved = match [limit, self.start].into_iter().find(|x| near(*x)) {
            Some(reached) => reached,
            None if self.is_logarithmic => moved.exp(),
            None => moved,
        };
        let (least, most) = (limit.min(self.start), limit.max(self.start));
        numbers.change(&self.key, moved.max(least).min(most))
    }

    /// What moves by equal steps.
    fn scaled(&self, edge: f64) -> f64 {
        if self.is_logarithmic { edge.ln() } else { edge }
    }

    fn growth_key(&self, what: &str) -> String {
        format!("randomize.{}.adr.{what}", self.entry)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::math::random::{HostKey, HostRng};
    use crate::model::Model;
    use crate::randomize::{Entry, Randomization};

    /// Parameters without a task.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Table(BTreeMap<String, f64>);

    impl Numbers for Table {
        fn number(&self, key: &str) -> Result<f64> {
            let found = self.0.get(key).copied();
            found.ok_or_else(|| Error::invalid(format!("no {key}")))
        }

        fn change(&mut self, key: &str, value: f64) -> Result<()> {
            self.number(key)?;
            self.0.insert(key.into(), value);
            Ok(())
        }
    }

    /// A policy that is good where every number lies in its band, and worse by the distance from it.
    struct Policy {
        bands: BTreeMap<&'static str, [f64; 2]>,
        rng: HostRng,
    }

    impl Policy {
        /// 1,000 in the bands, 5,000 less per unit beyond; and noise.
        fn episode(&mut self, values: &BTreeMap<String, f64>) -> f64 {
            let beyond = |(name, [low, high]): (&&str, &[f64; 2])| {
                let value = values[*name];
                (low - value).max(value - high).max(0.0)
            };
            let worst = self.bands.iter().map(beyond).fold(0.0, f64::max);
            (1000.0 - 5000.0 * worst).max(0.0) + 100.0 * self.rng.normal()
        }
    }

    struct Experiment {
        policy: Policy,
        numbers: Table,
        ranges: AutomaticRanges,
    }

    impl Experiment {
        fn new(entries: &[Entry], bands: &[(&'static str, [f64; 2])]) -> Self {
            let adr = Adr {
                episodes: 32,
                ..Adr::new(Metric::Return, 400.0, 800.0)
            };
            let randomization = Randomization::new(entries, &Model::default(), &[])
                .and_then(|randomization| randomization.with_adr(Some(&adr), &[]))
                .expect("is right");
            let numbers = entries.iter().flat_map(Entry::parameters);
            let key = HostKey {
                seed: 7,
                stream: 0,
                episode: 0,
                step: 0,
            };
            Self {
                policy: Policy {
                    bands: bands.iter().copied().collect(),
                    rng: HostRng::new(key, "policy"),
                },
                numbers: Table(numbers.chain(adr.parameters()).collect()),
                ranges: AutomaticRanges::new(randomization.boundaries()),
            }
        }

        fn range(&self, name: &str) -> [f64; 2] {
            [0, 1].map(|side| self.numbers.0[&format!("randomize.{name}.uniform[{side}]")])
        }

        /// What 12 episodes at each boundary give.
        fn measure(&mut self) -> Measured {
            let names: Vec<&str> = self.policy.bands.keys().copied().collect();
            let ranges: Vec<[f64; 2]> = names.iter().map(|name| self.range(name)).collect();
            let mut boundaries = Vec::new();
            for boundary in self.ranges.boundaries.clone() {
                let mut found = Performance::default();
                for _ in 0..12 {
                    let drawn = names.iter().zip(&ranges);
                    let mut values: BTreeMap<String, f64> = drawn
                        .map(|(name, [low, high])| {
                            ((*name).to_string(), self.policy.rng.range(*low, *high))
                        })
                        .collect();
                    values.insert(boundary.entry.clone(), self.numbers.0[&boundary.key]);
                    found.add(Performance {
                        episodes: 1,
                        sum: self.policy.episode(&values),
                    });
                }
                boundaries.push(found);
            }
            Measured {
                all: Performance::default(),
                boundaries,
            }
        }

        fn iterate(&mut self, times: usize) {
            for _ in 0..times {
                let measured = self.measure();
                self.ranges
                    .update(&measured, &mut self.numbers)
                    .expect("keys are known");
            }
        }
    }

    fn entry(name: &str, range: [f64; 2], limits: [f64; 2], step: f64) -> Entry {
        Entry::free(name)
            .uniform(range[0], range[1])
            .expect("is right")
            .adr(limits, step)
    }

    fn experiment() -> Experiment {
        let entries = [
            entry("mass", [1.0, 1.0], [0.0, 3.0], 0.05),
            entry("gain", [0.9, 1.1], [0.0, 5.0], 0.02),
            // Its limits lie within what the policy can do.
            entry("noise", [0.0, 0.0], [0.0, 0.3], 0.07),
        ];
        let bands = [
            ("mass", [0.6, 1.7]),
            ("gain", [0.8, 1.3]),
            ("noise", [-1.0, 1.0]),
        ];
        let mut experiment = Experiment::new(&entries, &bands);
        experiment.iterate(1);
        experiment
    }

    fn assert_near(found: [f64; 2], expected: [f64; 2], tolerance: f64) {
        let near = found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() <= tolerance);
        assert!(near, "{found:?} is not {expected:?} ± {tolerance}");
    }

    /// The mean is `high` where an edge is 0.04 beyond the band, and `low` where it is 0.12: an edge rests between, give or
    /// take a step and the noise of the means (18 of 1,000).
    #[test]
    fn ranges_become_what_the_policy_can_do() {
        let mut experiment = experiment();
        experiment.iterate(300);
        for _ in 0..100 {
            experiment.iterate(1);
            assert_near(experiment.range("mass"), [0.52, 1.78], 0.10);
            assert_near(experiment.range("gain"), [0.72, 1.38], 0.07);
            assert_eq!(
                experiment.range("noise"),
                [0.0, 0.3],
                "up to the limit, exactly"
            );
        }
        // The policy forgets some: ranges follow.
        experiment.policy.bands.insert("mass", [0.8, 1.2]);
        experiment.iterate(300);
        assert_near(experiment.range("mass"), [0.72, 1.28], 0.10);
        // It forgets all: they are what they were at first, and not less.
        experiment.policy.bands.insert("gain", [9.0, 9.0]);
        experiment.iterate(300);
        let found = ["mass", "gain", "noise"].map(|name| experiment.range(name));
        assert_eq!(found, [[1.0, 1.0], [0.9, 1.1], [0.0, 0.0]]);
    }

    #[test]
    fn what_fails_where_it_begins_stays_there() {
        let entries = [entry("delay", [2.0, 3.0], [0.0, 9.0], 0.5)];
        let mut experiment = Experiment::new(&entries, &[("delay", [0.0, 0.1])]);
        experiment.iterate(100);
        assert_eq!(experiment.range("delay"), [2.0, 3.0]);
    }

    #[test]
    fn a_logarithm_moves_by_equal_steps() {
        let gain = Entry::free("gain")
            .log_uniform(0.5, 2.0)
            .unwrap()
            .adr([0.1, 8.0], 2f64.ln());
        let mut experiment = Experiment::new(&[gain], &[]);
        let grow = Measured {
            all: Performance::default(),
            boundaries: vec![
                Performance {
                    episodes: 32,
                    sum: 32e3
                };
                2
            ],
        };
        let key = |side: usize| format!("randomize.gain.log_uniform[{side}]");
        for expected in [[0.25, 4.0], [0.125, 8.0], [0.1, 8.0], [0.1, 8.0]] {
            experiment
                .ranges
                .update(&grow, &mut experiment.numbers)
                .unwrap();
            let found = [0, 1].map(|side| experiment.numbers.0[&key(side)]);
            assert_near(found, expected, 1e-12);
        }
        let entropy = experiment.ranges.entropy(&experiment.numbers).unwrap();
        assert!((entropy - 80f64.ln().ln()).abs() < 1e-12, "{entropy}");
    }

    #[test]
    fn a_queue_waits_for_enough_episodes_and_is_empty_after() {
        let mut experiment = Experiment::new(&[entry("mass", [1.0, 1.0], [0.5, 1.0], 0.1)], &[]);
        assert_eq!(
            experiment.ranges.boundaries.len(),
            1,
            "the upper edge cannot move"
        );
        let mut low = |episodes: u64, mean: f64| {
            let measured = Measured {
                all: Performance::default(),
                boundaries: vec![Performance {
                    episodes,
                    sum: mean * episodes as f64,
                }],
            };
            experiment
                .ranges
                .update(&measured, &mut experiment.numbers)
                .unwrap();
            experiment.range("mass")[0]
        };
        assert_eq!(low(31, 900.0), 1.0);
        assert_eq!(low(1, 900.0), 0.9);
        assert_eq!(low(31, 900.0), 0.9, "the first 32 are forgotten");
        // (31·900 + 20·0) / 51 = 547 is between the thresholds: it stays, and they are forgotten too.
        assert_eq!(low(20, 0.0), 0.9);
        assert_eq!(low(32, 0.0), 1.0);
    }

    #[test]
    fn a_restored_curriculum_goes_on_as_if_nothing_had_been() {
        let mut one = experiment();
        one.iterate(7);
        let (numbers, state) = (one.numbers.clone(), one.ranges.state());
        let mut other = experiment();
        other.numbers = numbers;
        other.ranges.restore(&state).unwrap();
        for _ in 0..20 {
            let measured = one.measure();
            one.ranges.update(&measured, &mut one.numbers).unwrap();
            other.ranges.update(&measured, &mut other.numbers).unwrap();
            assert_eq!(one.numbers, other.numbers);
            let [one, other] = [&one, &other].map(|it| it.ranges.metrics(&it.numbers).unwrap());
            assert_eq!(one, other);
        }
        let error = other.ranges.restore(&state[1..]).unwrap_err().to_string();
        assert!(
            error.contains("the randomization must be the same"),
            "{error}"
        );
    }

    #[test]
    fn entropy_is_the_mean_logarithm_of_the_widths() {
        let entries = [
            entry("a", [0.0, std::f64::consts::E], [-1.0, 9.0], 0.1),
            entry("b", [2.0, 3.0], [2.0, 9.0], 0.1),
            entry("c", [1.0, 1.0], [0.0, 2.0], 0.5),
        ];
        let experiment = Experiment::new(&entries, &[]);
        let entropy = experiment.ranges.entropy(&experiment.numbers).unwrap();
        assert!(
            (entropy - (1.0 + 0.0 + 0.5f64.ln()) / 3.0).abs() < 1e-12,
            "{entropy}"
        );
    }
}
